"""Flow matching (Lipman et al. 2022, arXiv:2210.02747; rectified flow: Liu et al. 2022, arXiv:2209.03003), in many steps or in one.

Noise x_0 goes to data x_1 on a straight line, x_t = (1 - t) x_0 + t x_1, and a network learns the velocity of all lines through x_t, of
pictures and sounds most easily by where they end, v = (end - x_t) / (1 - t) (JiT: Li and He 2025, arXiv:2511.13720):
    loss = E |v(x_t, t) - (x_1 - x_0)|^2,  t from a logit-normal (Esser et al. 2024, arXiv:2403.03206, section 3.1), EARLY of data.
A sample solves dx/dt = v(x, t) from the latent, x_0, to t = 1. With `objective: average` the network learns instead the mean velocity u
over the rest of the way, from t to any r, so that one step is enough (MeanFlow: Geng et al. 2025, arXiv:2505.13447):
    u(x_t, t, r) = v + (r - t) du/dt,  along the flow, by one forward-mode derivative; u(x_t, t, t) = v(x_t, t),
and, as no pair of times that is drawn so leads from one end to the other, all the way to r = 1 by the two parts of a way, split at s
(interval splitting: Guo et al. 2025, arXiv:2507.16884), which the derivative cannot: over so long a way it feeds on its own errors.
    (1 - t) u(x_t, t, 1) = (s - t) u(x_t, t, s) + (1 - s) u(x_s, s, 1).
This is the network's own word, which counts as much as its velocity explains of the lines': a new network would lead itself astray.
With `transport` x_0 and x_1 of a batch are paired at the least sum of squared distances (minibatch optimal transport: Tong et al. 2023,
arXiv:2302.00482), within a class, as otherwise x_0 would tell the class (Cheng and Schwing 2025, arXiv:2503.10636)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from .. import samplers
from ..config import Fields, Network
from ..modality import Modality
from ..model import Batch, Model as Promise
from ..nets.condition import dropped
from ..nets.denoising import network

AHEAD = 0.25  # average: share of a batch that looks ahead, r > t; the rest learns the velocity, r = t (table 1a of MeanFlow)
WHOLE = 0.125  # average: share of a batch that looks all the way, r = 1, a quarter of it from t = 0, the way of one step
TRUST = 0.5  # average: weight of these, times the share of the lines' variance that the network's velocity explains
SPLIT = (0.3, 0.7)  # of such a way: where it is split
LAST = 0.2  # of all time: such a way from so near the end is learnt as the line that it nearly is
EVEN = 0.05  # average: an item's error is divided by itself and this much, so that no item outweighs the rest (equation 22)
EARLY = -0.8  # the mean of logit t where data is predicted: what a picture shows is settled near the noise (as in JiT)
SPREAD = {"velocity": 0.8, "average": 1.2}  # its deviation; an average has to lead from one end to the other
COARSEST = 8  # pixels: a larger patch has more numbers than a small network is wide
SHOWN = 0.95  # the time of the velocity that is shown: nearly all noise is gone
EDIT_STEPS = 16  # at least: a picture is joined to what is kept of another step by step


class Config(Network):
    """The network, and what it learns."""

    patch: int = Field(
        0, ge=0, le=64, description="transformer: side of a patch in pixels; smaller is finer and slower; 0 is a quarter of the picture's"
    )
    objective: Literal["velocity", "average"] = Field("velocity", description="of the flow; average velocities make one step enough")
    predicts: samplers.Predicts = Field("velocity", description="what the network gives; data is learnt sooner, and leaves less noise")
    steps: int = Field(16, ge=1, le=1000, description="steps from noise to a sample, where a sampling asks for none")
    guidance: float = Field(1.0, ge=1, le=10, description="how far beyond its class a sample is drawn; average: learnt once for all")
    transport: bool = Field(False, description="pair noise and data of a batch by optimal transport: straighter ways")


class Sampling(Fields):
    """How the flow is followed."""

    steps: int = Field(0, ge=0, le=1000, description="steps from noise to a sample; 0 is as the model was made for")
    method: Literal["euler", "heun"] = Field("heun", description="of a step; heun looks twice and errs less; an average needs neither")
    guidance: float = Field(
        1.0, ge=0, le=8, description="times the model's own: more draws more of the class, less varied, in twice the time"
    )
    truncation: float = Field(1.0, ge=0.0, le=2.0, description="scales the latent: below 1 is more typical, above 1 more unusual")


def quarter(size: int) -> int:
    """The side of a patch that is a quarter of `size`, or the largest below that which divides it, COARSEST at most."""
    return next(side for side in range(max(1, min(size // 4, COARSEST)), 0, -1) if size % side == 0)


def paired(x_0: Tensor, x_1: Tensor, y: Tensor | None) -> Tensor:
    """The noise x_0 (B, ...) in the order in which the sum of |x_0 - x_1|^2 is least, within each class of y (B,)."""
    from scipy.optimize import linear_sum_assignment

    x_0 = x_0.clone()
    for group in [torch.arange(len(x_0))] if y is None else [(y == k).nonzero()[:, 0].cpu() for k in y.unique()]:
        a, b = x_0[group].flatten(1), x_1[group].flatten(1)
        _, order = linear_sum_assignment((-b @ a.T).float().cpu().numpy())
        x_0[group] = x_0[group[torch.from_numpy(order)]]
    return x_0


class Model(Promise):
    """The velocity, as one family. A latent is the noise x_0, of the shape of x."""

    Config, Sampling = Config, Sampling
    modalities = ("image", "points", "audio")
    monitor = "velocity"
    presets: ClassVar = {
        "cpu": {
            "about": "a small transformer, many steps; varied, and quick to train",
            "model": {"width": 128, "depth": 6, "heads": 4, "steps": 8, "predicts": "data"},
            "train": {"lr": 1e-3, "beta2": 0.99, "batch": 64, "warmup": 100, "decay": "cosine", "clip": 1.0, "marks": 15},
            "size": 28,
        },
        "one-step": {
            "about": "a small transformer, one step: sliders move live",
            "model": {"width": 128, "depth": 6, "heads": 4, "steps": 1, "objective": "average", "predicts": "data"},
            "train": {"lr": 1e-3, "beta2": 0.95, "batch": 64, "warmup": 100, "decay": "cosine", "clip": 1.0},
            "size": 28,
        },
        "fine-gpu": {
            "about": "patches of a seventh of a digit: finer, and few samples are no digits; five minutes of an H100",
            "model": {"width": 144, "depth": 8, "heads": 4, "patch": 4, "steps": 8, "predicts": "data"},
            "train": {"lr": 1e-3, "beta2": 0.99, "batch": 256, "warmup": 100, "decay": "cosine", "clip": 1.0, "ema": 0.9995, "marks": 15}
            | {"budget": 55},
            "size": 28,
        },
        "gpu": {
            "about": "the published small transformer of 33 million weights",
            "model": {"width": 384, "depth": 12, "heads": 6, "patch": 2, "steps": 25, "predicts": "data"},
            "train": {"lr": 2e-4, "batch": 256, "warmup": 1000, "ema": 0.9999, "budget": 400, "clip": 1.0},
            "size": 32,
        },
        "points": {
            "about": "points of the plane, and the velocity that carries them; a minute",
            "model": {"network": "mlp", "width": 128, "depth": 4, "steps": 16},
            "data": {"source": "moons"},
            "train": {"lr": 2e-3, "batch": 256, "decay": "cosine", "budget": 10},
            "size": 28,
        },
        "sound": {
            "about": "sounds of a chosen class, in two steps; hours on a CPU",
            "model": {"width": 128, "depth": 5, "heads": 4, "patch": 8, "steps": 2, "guidance": 1.5}
            | {"objective": "average", "predicts": "data"},
            "train": {"lr": 2e-3, "beta2": 0.99, "batch": 64, "warmup": 100, "decay": "cosine", "clip": 1.0, "budget": 60},
            "data": {"source": "tones"},
            "size": 64,
        },
        "tiny": {
            "about": "for tests, seconds",
            "model": {"width": 32, "depth": 1, "heads": 2, "patch": 4, "steps": 2},
            "train": {"lr": 5e-3, "batch": 16, "ema": 0.9, "budget": 1, "precision": "fp32"},
            "size": 16,
        },
    }

    def __init__(self, config: Config, modality: Modality, classes: int):
        super().__init__()
        self.config, self.latent = config, modality.space
        self.classes = classes if config.conditional else 0
        averages = config.objective == "average"
        self.draft = {} if averages else {"steps": 4, "method": "euler"}
        self.idle = tuple(name for name, used in {"method": not averages, "guidance": self.classes}.items() if not used)
        sized = config.model_copy(update={"patch": config.patch or quarter(modality.space[-1])})
        self.network = network(sized, modality.space, self.classes, 2 if averages else 1)

    @property
    def steady(self) -> bool:
        return not self.config.transport  # pairs are found on the CPU

    def average(self, x: Tensor, t: Tensor | float, r: Tensor | float, y: Tensor | None) -> Tensor:
        """x (N, *shape) at t, each (N,) or one number -> the mean velocity from t to r; at r = t, and without `average`, that at t.

        y (N,) may be `classes`, which means none."""
        t, r = (torch.as_tensor(v, dtype=x.dtype, device=x.device).expand(x.shape[0]) for v in (t, r))
        found = self.network(x, torch.stack([t, r - t] if self.config.objective == "average" else [t], 1), y).to(x)
        return samplers.straight(found, x, t, self.config.predicts)

    def loss(self, phase: str, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        x_1, classes = batch.x, batch.y if self.classes else None
        n = len(x_1)
        x_0 = torch.randn(x_1.shape, generator=rng, device=rng.device).to(x_1.device)
        if self.config.transport:
            x_0 = paired(x_0, x_1, classes)
        y = dropped(classes, self.classes, self.config.drop, rng)
        early, spread = (EARLY, SPREAD[self.config.objective]) if self.config.predicts == "data" else (0.0, 1.0)
        ends = (early + spread * torch.randn(2, n, generator=rng, device=rng.device)).sigmoid().to(x_1.device)
        t = r = ends[0]
        ahead = whole = n  # items from `ahead` on look ahead, those from `whole` on all the way
        if self.config.objective == "average":
            whole = n - round(WHOLE * n)
            ahead = whole - round(AHEAD * n)
            begin = torch.rand(n - whole, generator=rng, device=rng.device).to(x_1.device)
            begin = (1 - samplers.NEAR) * ((4 * begin - 1) / 3).clamp(min=0).square()
            t = torch.cat([ends[0, :ahead], ends[:, ahead:whole].amin(0), begin])
            r = torch.cat([ends[0, :ahead], ends[:, ahead:whole].amax(0), torch.ones_like(begin)])
        x_t = torch.lerp(x_0, x_1, samplers.across(t, x_1))
        v = self._target(x_1 - x_0, x_t, t, y)

        def part(a: int, b: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
            return v[a:b], x_t[a:b], t[a:b], r[a:b], None if y is None else y[a:b]

        targets = [v[:ahead]]
        if ahead < whole:  # of few items there are none
            targets.append(self._ahead(*part(ahead, whole)))
        if whole < n:
            targets.append(self._split(*part(whole, n), rng))
        errors = (self.average(x_t, t, r, y) - torch.cat(targets)).square().flatten(1).mean(1)
        terms = {"velocity": errors[:ahead].mean()}
        if ahead == n:
            return terms["velocity"], terms
        apart = errors[whole:] * (1 - t[whole:]).square()  # all the way: of where that leads
        even = [e / (e.detach() + EVEN) for e in (errors[:whole], apart)]
        known = (1 - terms["velocity"].detach() / (v - v.mean(0)).square().mean()).clamp(min=0)
        return (even[0].sum() + TRUST * known * even[1].sum()) / n, terms | {"average": errors[ahead:].mean()}

    @torch.no_grad()
    def _target(self, v: Tensor, x_t: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        """The velocity to learn, beyond that of the line by config.guidance where an item has its class (equation 19 of MeanFlow)."""
        if y is None or self.config.objective == "velocity" or self.config.guidance == 1:
            return v
        plain = self.average(x_t, t, t, torch.full_like(y, self.classes))
        return torch.where(samplers.across(y < self.classes, v), plain + self.config.guidance * (v - plain), v)

    @torch.no_grad()
    def _ahead(self, v: Tensor, x_t: Tensor, t: Tensor, r: Tensor, y: Tensor | None) -> Tensor:
        """The mean velocity from t to r by equation 6 of MeanFlow, the change along the flow as the network knows it: that along one line
        is right in the mean only, and errs the more, the more the network knows (Geng et al. 2025, arXiv:2512.02012)."""
        way = self.average(x_t, t, t, y)
        _, change = samplers.along(lambda x, t: self.average(x, t, r, y), (x_t, t), (way, torch.ones_like(t)))
        return v + samplers.across(r - t, v) * change

    @torch.no_grad()
    def _split(self, v: Tensor, x_t: Tensor, t: Tensor, r: Tensor, y: Tensor | None, rng: torch.Generator) -> Tensor:
        """The mean velocity from t to r as the network knows it of the way's two parts; of a short way, v."""
        share = SPLIT[0] + (SPLIT[1] - SPLIT[0]) * torch.rand(len(t), generator=rng, device=rng.device).to(t.device)
        s = torch.lerp(t, r, share)
        first = self.average(x_t, t, s, y)
        second = self.average(x_t + samplers.across(s - t, v) * first, s, r, y)
        return torch.where(samplers.across(r - t, v) < LAST, v, torch.lerp(second, first, samplers.across(share, v)))

    def surface(self, x: Tensor) -> Tensor | None:
        """How near each x (N, *shape) is to where the flow at SHOWN would carry it, less than 0; without classes."""
        return None if self.classes else -self.average(x, SHOWN, SHOWN, None).flatten(1).norm(dim=1)

    def _follow(self, sampling: Fields, condition: Tensor | None, x: Tensor, times: list[float], on_step=None, settle=None) -> Tensor:
        """x at times[-1] from x at times[0], as `sampling` has it."""

        def of(y: Tensor | None):
            return lambda x, t, r=None: self.average(x, t, t if r is None else r, y)

        own = 1.0 if self.config.objective == "average" else self.config.guidance  # an average has learnt it
        field = samplers.of_class(of, condition, self.classes, sampling.guidance * own)
        follow = samplers.hops if self.config.objective == "average" else samplers.solver(sampling.method, self.config.predicts)
        return follow(field, x, times, on_step, settle)

    def sample(self, latents, sampling, condition=None, on_step=None):
        steps = sampling.steps or self.config.steps
        return self._follow(sampling, condition, latents * sampling.truncation, samplers.grid(0.0, 1.0, steps), on_step).clamp(-1, 1)

    def edit(
        self,
        x: Tensor,
        latents: Tensor,
        sampling: Fields,
        condition: Tensor | None = None,
        strength: float = 1.0,
        keep: Tensor | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> Tensor:
        """x (N, C, S, S) noised to t = 1 - strength by the latents, and brought back (SDEdit: Meng et al. 2021, arXiv:2108.01073); where
        `keep` (N, 1, S, S) is true the way is that of x itself, which the rest then has to fit (RePaint: Lugmayr et al. 2022,
        arXiv:2201.09865, equation 8)."""

        def known(t: float) -> Tensor:
            return torch.lerp(latents, x, t)

        latents = latents * sampling.truncation
        times = samplers.grid(1 - strength, 1.0, max(sampling.steps or self.config.steps, EDIT_STEPS))
        settle = None if keep is None else lambda now, t: torch.where(keep, known(t), now)
        return self._follow(sampling, condition, known(times[0]), times, on_step, settle).clamp(-1, 1)

    def denoise(self, x: Tensor, sigma: float, condition: Tensor | None = None) -> Tensor:
        """The mean of the pictures that x (N, C, S, S) may be with noise of deviation `sigma` on them: x_t / t at t = 1 / (1 + sigma)."""
        t = 1 / (1 + sigma)
        y = torch.full((len(x),), self.classes, device=x.device) if self.classes and condition is None else condition
        return (t * x + (1 - t) * self.average(t * x, t, t, y)).clamp(-1, 1)

    def noise(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """x (N, C, S, S) -> the latents (N, C, S, S) that flow to them."""
        return samplers.heun(lambda x, t: self.average(x, t, t, condition), x, samplers.grid(1.0, 0.0, EDIT_STEPS))

    @torch.no_grad()
    def log_density(self, x: Tensor, rng: torch.Generator, condition: Tensor | None = None, steps: int = 50) -> Tensor:
        """log p(x) (N,) in nats of x (N, C, S, S) as a density, by the flow from t = 1 to 0, with one probe of signs each."""
        probe = samplers.signs(x.shape, rng).to(x)
        return samplers.likelihood(lambda x, t: self.average(x, t, t, condition), x, samplers.grid(1.0, 0.0, steps), probe)
