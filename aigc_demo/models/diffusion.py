"""Diffusion as "Elucidating the Design Space of Diffusion-Based Generative Models" has it (EDM: Karras et al. 2022, arXiv:2206.00364).

A network F learns to take noise off a picture, x_0 = D(x; sigma) from x = x_0 + sigma n, whatever the noise (table 1, last column):
    D(x; sigma) = c_skip x + c_out F(c_in x; ln(sigma) / 4),  so that what F takes and gives has variance 1;
    loss = E lambda(sigma) |D(x_0 + sigma n; sigma) - x_0|^2,  ln(sigma) ~ N(P_mean, P_std^2),  lambda = 1 / c_out^2.
A sample follows dx/dsigma = (x - D(x; sigma)) / sigma from sigma_max down to 0 by Heun's steps, or by ancestral ones, whose fresh noise
forgives errors of D and needs more steps."""

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

LOW, HIGH, RHO = 0.002, 80.0, 7.0  # sigma_min, sigma_max and the spacing of the steps between them
P_MEAN, P_STD = -1.2, 1.2
SHOWN = 0.05  # the noise of the denoiser that is shown
EDIT_STEPS = 18  # at least: a picture is joined to what is kept of another step by step


class Config(Network):
    """The network, and what it expects of the data."""

    sigma_data: float = Field(0.5, gt=0, le=10, description="standard deviation of the data's pixels, which lie from -1 to 1")
    steps: int = Field(18, ge=1, le=1000, description="steps from noise to a sample, where a sampling asks for none")


class Sampling(Fields):
    """How noise is taken off."""

    steps: int = Field(0, ge=0, le=1000, description="steps from noise to a sample; 0 is as the model was made for")
    method: Literal["euler", "heun", "ancestral"] = Field("heun", description="of a step; heun looks twice, ancestral adds fresh noise")
    guidance: float = Field(1.0, ge=0, le=8, description="above 1 draws more of the class and less variety; doubles the time")
    truncation: float = Field(1.0, ge=0.0, le=2.0, description="scales the latent: below 1 is more typical, above 1 more unusual")


def spaced(high: float, steps: int, low: float = LOW) -> list[float]:
    """The sigmas of so many steps from `high` down to `low`, then 0 (equation 5)."""
    a, b = high ** (1 / RHO), low ** (1 / RHO)
    return [(a + i / max(1, steps - 1) * (b - a)) ** RHO for i in range(steps)] + [0.0]


class Model(Promise):
    """The denoiser, as one family. A latent is the noise over sigma_max, of the shape of x."""

    Config, Sampling = Config, Sampling
    modalities = ("image", "points")
    monitor = "loss"
    draft: ClassVar = {"steps": 6, "method": "euler"}
    presets: ClassVar = {
        "cpu": {
            "about": "a small transformer that takes noise off; varied, and slow to draw",
            "model": {"width": 128, "depth": 6, "heads": 4, "patch": 4, "steps": 12},
            "train": {"lr": 1e-3, "beta2": 0.99, "batch": 64, "warmup": 100, "decay": "cosine", "clip": 1.0, "marks": 15},
            "size": 28,
        },
        "gpu": {
            "about": "a U-Net of 36 million weights, as first published for small pictures",
            "model": {"network": "unet", "width": 128, "scales": (1, 2, 2, 2), "depth": 2, "steps": 18},
            "train": {"lr": 2e-4, "batch": 128, "warmup": 5000, "ema": 0.9999, "budget": 400, "clip": 1.0},
            "size": 32,
        },
        "points": {
            "about": "points of the plane, and where each is pulled to; a minute",
            "model": {"network": "mlp", "width": 128, "depth": 4, "steps": 18},
            "data": {"source": "moons"},
            "train": {"lr": 2e-3, "batch": 256, "decay": "cosine", "budget": 10},
            "size": 28,
        },
        "tiny": {
            "about": "for tests, seconds",
            "model": {"width": 32, "depth": 1, "heads": 2, "patch": 4, "steps": 8},
            "train": {"lr": 5e-3, "batch": 16, "ema": 0.9, "budget": 1, "precision": "fp32"},
            "size": 16,
        },
    }

    def __init__(self, config: Config, modality: Modality, classes: int):
        super().__init__()
        self.config, self.latent = config, modality.space
        self.classes = classes if config.conditional else 0
        self.idle = () if self.classes else ("guidance",)
        self.network = network(config, modality.space, self.classes)

    def denoised(self, x: Tensor, sigma: Tensor | float, y: Tensor | None) -> Tensor:
        """D(x; sigma): x (N, *shape) at noise sigma, (N,) or one number -> the mean x_0 it may come from. y may be `classes`, for none."""
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand(x.shape[0])
        across, data = samplers.across(sigma, x), self.config.sigma_data
        root = (across**2 + data**2).sqrt()
        return data**2 / root**2 * x + across * data / root * self.network(x / root, sigma.log()[:, None] / 4, y)

    def loss(self, phase: str, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        x_0, data = batch.x, self.config.sigma_data
        sigma = (P_MEAN + P_STD * torch.randn(len(x_0), generator=rng, device=rng.device)).exp().to(x_0.device)
        noise = torch.randn(x_0.shape, generator=rng, device=rng.device).to(x_0.device)
        y = dropped(batch.y if self.classes else None, self.classes, self.config.drop, rng)
        errors = (self.denoised(x_0 + samplers.across(sigma, x_0) * noise, sigma, y) - x_0).square().flatten(1).mean(1)
        loss = ((sigma**2 + data**2) / (sigma * data) ** 2 * errors).mean()
        return loss, {"loss": loss}

    def surface(self, x: Tensor) -> Tensor | None:
        """How near each x (N, *shape) is to the mean of what it may be with noise SHOWN on it, less than 0; without classes."""
        return None if self.classes else -(self.denoised(x, SHOWN, None) - x).flatten(1).norm(dim=1)

    def _follow(
        self, sampling: Fields, condition: Tensor | None, x: Tensor, sigmas: list[float], latents: Tensor, on_step=None, settle=None
    ) -> Tensor:
        """x at sigmas[-1] from x at sigmas[0], as `sampling` has it; an ancestral step's noise follows from `latents`."""

        def of(y: Tensor | None):
            return lambda x, sigma: self.denoised(x, sigma, y)

        denoiser = samplers.of_class(of, condition, self.classes, sampling.guidance)
        if sampling.method == "ancestral":
            return samplers.ancestral(denoiser, x, sigmas, samplers.shuffled(latents), on_step, settle)
        follow = samplers.euler if sampling.method == "euler" else samplers.heun
        return follow(lambda x, sigma: (x - denoiser(x, sigma)) / sigma, x, sigmas, on_step, settle)

    def sample(self, latents, sampling, condition=None, on_step=None):
        latents = latents * sampling.truncation
        sigmas = spaced(HIGH, sampling.steps or self.config.steps)
        return self._follow(sampling, condition, HIGH * latents, sigmas, latents, on_step).clamp(-1, 1)

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
        """x (N, C, S, S) noised by the latents, at `strength` of the way from no noise to sigma_max, and brought back (SDEdit: Meng et al.
        2021, arXiv:2108.01073); where `keep` (N, 1, S, S) is true the way is that of x itself, which the rest then has to fit (RePaint:
        Lugmayr et al. 2022, arXiv:2201.09865, equation 8)."""

        def known(sigma: float) -> Tensor:
            return x + sigma * latents

        latents = latents * sampling.truncation
        low, high = LOW ** (1 / RHO), HIGH ** (1 / RHO)
        sigmas = spaced((low + strength * (high - low)) ** RHO, max(sampling.steps or self.config.steps, EDIT_STEPS))
        settle = None if keep is None else lambda now, sigma: torch.where(keep, known(sigma), now)
        return self._follow(sampling, condition, known(sigmas[0]), sigmas, latents, on_step, settle).clamp(-1, 1)

    def denoise(self, x: Tensor, sigma: float, condition: Tensor | None = None) -> Tensor:
        """The mean of the pictures that x (N, C, S, S) may be with noise of deviation `sigma` on them."""
        y = torch.full((len(x),), self.classes, device=x.device) if self.classes and condition is None else condition
        return self.denoised(x, sigma, y).clamp(-1, 1)

    def noise(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """x (N, C, S, S) -> the latents (N, C, S, S) that flow to them."""
        sigmas = spaced(HIGH, max(self.config.steps, EDIT_STEPS))[-2::-1]
        return samplers.heun(lambda x, sigma: (x - self.denoised(x, sigma, condition)) / sigma, x, sigmas) / HIGH

    @torch.no_grad()
    def log_density(self, x: Tensor, rng: torch.Generator, condition: Tensor | None = None, steps: int = 50) -> Tensor:
        """log p(x) (N,) in nats of x (N, C, S, S) as a density, by the flow from LOW to HIGH, with one probe of signs each."""
        probe = samplers.signs(x.shape, rng).to(x)
        sigmas = spaced(HIGH, steps)[-2::-1]
        return samplers.likelihood(lambda x, sigma: (x - self.denoised(x, sigma, condition)) / sigma, x, sigmas, probe, HIGH)
