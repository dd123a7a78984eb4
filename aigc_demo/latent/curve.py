"""Coordinates of a latent space in which what is measured runs straight: a bend of the space, learnt from a model's own samples."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..model import Model, generator
from .methods import Measures, axes, columns, drawn, samples, within

HIDDEN, LAYERS = 64, 6  # of a curve
LARGEST = 1024  # numbers of one that is read from a file
BOUND = 0.3  # of the logarithm of a coupling's stretch: beyond what a curve has seen it stays nearly straight
SAMPLES, STEPS, BATCH = 5000, 1500, 256  # that a curve is fitted to, and how long
RATE = 3e-3
TIGHT = 10.0  # weight of a squared error of what is measured: a deviation of 0.22 of its own


class Curve(nn.Module):
    """A bijection u = f(c) of a latent's coordinates c (N, n) along the `axes` of a look: affine couplings (Dinh et al. 2017,
    arXiv:1605.08803), each of which keeps half of the numbers, and stretches and shifts the others by what it reads off them.

    The halves are those whose places differ in one binary digit, digit by digit, so that each number meets every other. Raises ValueError
    for fewer than two numbers."""

    def __init__(self, size: int, hidden: int = HIDDEN, layers: int = LAYERS):
        super().__init__()
        if size < 2:
            raise ValueError("curve: a single number has no other to bend with")
        self.register_buffer("turn", torch.eye(size))
        self.register_buffer("bound", torch.tensor(BOUND))
        self.layers = nn.ModuleList()
        self.halves = []
        for i in range(layers):
            one = torch.arange(size) >> i // 2 % (size - 1).bit_length() & 1 == i % 2
            kept, changed = one.nonzero()[:, 0], (~one).nonzero()[:, 0]
            self.halves.append((kept, changed))
            sizes = (len(kept), hidden, hidden, 2 * len(changed))
            self.layers.append(nn.Sequential(*(nn.utils.skip_init(nn.Linear, a, b) for a, b in itertools.pairwise(sizes))))

    @classmethod
    def stored(cls, state: dict[str, Tensor], latent: Sequence[int]) -> Curve:
        """The curve of a state_dict, for latents (*latent). Raises ValueError where it is none."""
        try:
            size, hidden = len(state["turn"]), len(state["layers.0.0.weight"])
            if max(size, hidden) > LARGEST:
                raise ValueError(f"curve: it has more than {LARGEST} numbers")
            curve = cls(size, hidden, sum(name.endswith(".0.weight") for name in state))
            curve.load_state_dict(state)
        except (KeyError, TypeError, RuntimeError):
            raise ValueError("curve: its tensors do not fit together") from None
        if (len(latent) == 1 and size != latent[0]) or size != len(axes(latent)) or not all(v.isfinite().all() for v in state.values()):
            raise ValueError("curve: it is not of such a latent, or holds numbers that are not finite")
        return curve.requires_grad_(False)

    def begin(self, rng: torch.Generator) -> None:
        """Draws the weights; each coupling changes nothing yet."""
        with torch.no_grad():
            for layer in self.layers:
                for part in layer:
                    part.weight.normal_(0, part.in_features**-0.5, generator=rng)
                    part.bias.zero_()
                layer[-1].weight.zero_()

    def _coupling(self, i: int, kept: Tensor) -> tuple[Tensor, Tensor]:
        """The logarithm of the stretch, within `bound`, and the shift, (N, changed) each."""
        first, second, last = self.layers[i]
        scale, shift = last(F.silu(second(F.silu(first(kept))))).chunk(2, 1)
        return self.bound * scale.tanh(), shift

    def forward(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """c (N, n) -> u (N, n), and log |det du/dc| (N,)."""
        u, stretched = c @ self.turn, torch.zeros(len(c), dtype=c.dtype, device=c.device)
        for i, (kept, changed) in enumerate(self.halves):
            scale, shift = self._coupling(i, u[:, kept])
            u = u.index_copy(1, changed.to(u.device), u[:, changed] * scale.exp() + shift)
            stretched = stretched + scale.sum(1)
        return u, stretched

    def inverse(self, u: Tensor) -> Tensor:
        """u (N, n) -> c (N, n)."""
        c = u
        for i, (kept, changed) in reversed(list(enumerate(self.halves))):
            scale, shift = self._coupling(i, c[:, kept])
            c = c.index_copy(1, changed.to(c.device), (c[:, changed] - shift) * (-scale).exp())
        return c @ self.turn.T

    def moved(self, latents: Tensor, moves: Tensor) -> Tensor:
        """Latents (N, *latent) moved in these coordinates by `moves` (N, *latent), which lie along the axes; where a move is 0, the latent
        itself to the bit."""
        along = axes(latents.shape[1:]).flatten(1).to(self.turn)  # (n, numbers)
        u, far = (self._of(part, along) for part in (latents, moves))
        u = self(u)[0]
        change = (self.inverse(u + far) - self.inverse(u)) @ along
        return latents + change.view_as(latents).to(latents)

    def told(self, latent: Sequence[int]) -> dict[str, Any]:
        """The curve of latents (*latent) for a program without torch: what it is made of, and its tensors, row by row; the axes where they
        are not the latent's own numbers."""
        parts = [self.turn, *(p for layer in self.layers for part in layer for p in (part.weight, part.bias))]
        told = {"size": len(self.turn), "hidden": len(self.layers[0][0].bias), "bound": float(self.bound), "parts": parts}
        return told if len(latent) == 1 else told | {"axes": axes(latent)}

    def unbent(self, latents: Tensor) -> Tensor:
        """u (N, *latent), of which what is not along the axes is a latent's own -> the latents (N, *latent)."""
        along = axes(latents.shape[1:]).flatten(1).to(self.turn)
        u = self._of(latents, along)
        return latents + ((self.inverse(u) - u) @ along).view_as(latents).to(latents)

    def _of(self, latents: Tensor, along: Tensor) -> Tensor:
        return latents.flatten(1).to(self.turn) @ along.T


class Bent:
    """A model that draws from the coordinates of a curve instead of from latents, for what looks at models."""

    def __init__(self, model: Model, curve: Curve):
        self.model, self.curve = model, curve

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def sample(self, u: Tensor, sampling: Any, condition: Tensor | None = None) -> Tensor:
        return self.model.sample(self.curve.unbent(u), sampling, condition)


def fit(model: Model, measures: Measures, names: Sequence[str], seed: int) -> Curve:
    """The curve whose first numbers are what is named of `measures`, as standard normals, and whose u is standard normal when z is: of
    the likelihood of both, p(u) = N(0, I) and p(measure_k | u) = N(u_k, 1 / (2 TIGHT)), the maximum over the model's own samples."""
    with torch.no_grad():
        z, y = drawn(model, seed, "curve", SAMPLES)
        told = torch.cat([columns({name: read[name] for name in names}) for read in map(measures, samples(model, z, y))])
        rank = within(told, y).argsort(0).argsort(0)  # as normal scores: what is measured may have any distribution
        scores = (math.sqrt(2) * torch.erfinv((2 * rank + 1) / len(rank) - 1)).float()  # (N, M)
        c = z.flatten(1).cpu() @ axes(model.latent).flatten(1).T
    rng = generator(seed, "curve")
    curve = Curve(c.shape[1])
    curve.begin(rng)
    slopes = torch.linalg.lstsq(c, scores).solution  # (n, M): c are standard normal
    turned = torch.linalg.qr(torch.cat([slopes, torch.randn(len(slopes), len(slopes) - slopes.shape[1], generator=rng)], 1)).Q
    left, _, right = torch.linalg.svd(slopes, full_matrices=False)
    turned[:, : slopes.shape[1]] = left @ right
    curve.turn.copy_(turned)
    optimizer = torch.optim.Adam(curve.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    with torch.enable_grad():
        for _ in range(STEPS):
            some = torch.randint(len(c), (BATCH,), generator=rng)
            u, stretched = curve(c[some])
            off = (u[:, : scores.shape[1]] - scores[some]).square().sum(1)
            loss = (TIGHT * off + 0.5 * u.square().sum(1) - stretched).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(curve.parameters(), 10.0)
            optimizer.step()
            schedule.step()
    return curve.requires_grad_(False)
