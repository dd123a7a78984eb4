"""Autoencoders (Hinton and Salakhutdinov 2006, doi 10.1126/science.1127647): a code of few numbers from which x can be drawn again.

    loss = mean (x - decode(code(x~)))^2 + sparsity mean_j KL(rate || mean code_j)
Plain, x~ is x. Denoising (Vincent et al. 2008, doi 10.1145/1390156.1390294), x~ is x with noise of up to `amount`, so that the code must
say what the picture is rather than what its pixels are. Sparse (Lee et al. 2007, as in Ng's lecture notes CS294A), codes lie between 0 and
1, and each number is 0 but for a share `rate` of the items: the KL term is that of two coins, in nats.

Such a model says nothing of where codes lie, so it cannot be sampled as it is. As in Ghosh et al. 2020 (arXiv:1903.12436, section 4), a
density is fitted to its codes: one Gaussian, or one a class where the data has classes, from running means over the last hundred batches.
A latent z is standard normal and stands for the code mean_y + root_y z, with root_y the Cholesky factor of the class's covariance; encoder
and decoder are never told the class."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from .. import samplers
from ..config import Fields, Widths
from ..modality import Modality
from ..model import Batch, Model as Promise
from ..nets.conv import dense, doubled, halved

MEMORY = 0.99  # of the running means, a batch
JITTER = 1e-5  # of a covariance's mean variance, added to its diagonal: few items leave some directions without any


class Config(Fields):
    """The encoder, the decoder, and what keeps the code from being a copy."""

    network: Literal["mlp", "conv"] = Field("conv", description="the encoder and the decoder")
    latent: int = Field(32, ge=1, le=256, description="numbers in one code")
    hidden: Widths = Field((500, 250), description="mlp: the encoder's hidden widths, the decoder's in reverse")
    width: int = Field(32, ge=4, le=512, description="conv: channels of the first layer")
    noise: Literal["none", "gaussian", "masking", "salt-and-pepper", "any"] = Field(
        "none", description="what the encoder's pictures are spoilt with; any draws one of the three for each"
    )
    amount: float = Field(0.5, gt=0, le=1, description="noise: the most; each picture gets from none to this")
    sparsity: float = Field(0.0, ge=0, le=100, description="weight of the term that keeps codes mostly 0; 0 leaves them free")
    rate: float = Field(0.05, gt=0, lt=1, description="sparse: the share of pictures that a number of the code is for")
    conditional: bool = Field(True, description="a Gaussian of codes for each class, where the data has classes; a map then shows none")


class Sampling(Fields):
    """How a trained decoder is asked."""

    truncation: float = Field(1.0, ge=0.0, le=2.0, description="scales the latent: below 1 is more typical, above 1 more unusual")


def gaussian(x: Tensor, amount: Tensor | float, noise: Tensor) -> Tensor:
    """Normal noise of deviation `amount`, as a share of the way from black to white."""
    return x + 2 * amount * noise


def masking(x: Tensor, amount: Tensor | float, noise: Tensor) -> Tensor:
    """A share `amount` of the pixels black."""
    return torch.where(_uniform(noise) < amount, -1.0, x)


def salt_and_pepper(x: Tensor, amount: Tensor | float, noise: Tensor) -> Tensor:
    """A share `amount` of the pixels black or white, as a coin falls."""
    u = _uniform(noise)
    return torch.where(u < amount, torch.where(u < amount / 2, -1.0, 1.0), x)


def _uniform(noise: Tensor) -> Tensor:
    return torch.special.ndtr(noise[:, :1])  # one draw a pixel, whatever its channels


NOISES = {"gaussian": gaussian, "masking": masking, "salt-and-pepper": salt_and_pepper}


class Model(Promise):
    """Encoder, decoder and the Gaussians of its codes, as one family."""

    Config, Sampling = Config, Sampling
    modalities = ("image", "points")
    monitor = "loss"
    noises: ClassVar = tuple(NOISES)
    presets: ClassVar = {
        "plain": {
            "about": "pictures to 32 numbers and back",
            "model": {"network": "conv", "latent": 32, "conditional": False},
            "train": {"lr": 2e-3, "batch": 128, "decay": "cosine"},
            "size": 28,
        },
        "map": {
            "about": "pictures to two numbers: a map of the data",
            "model": {"network": "mlp", "latent": 2, "hidden": (500, 250, 100), "conditional": False},
            "train": {"lr": 1e-3, "batch": 128, "decay": "cosine", "budget": 20},
            "size": 28,
        },
        "denoising": {
            "about": "takes noise off pictures",
            "model": {"network": "conv", "latent": 64, "noise": "any", "conditional": False},
            "train": {"lr": 2e-3, "batch": 128, "decay": "cosine", "budget": 10},
            "size": 28,
        },
        "sparse": {
            "about": "codes of which few numbers are in use for each picture",
            "model": {"network": "conv", "latent": 128, "sparsity": 0.1, "conditional": False},
            "train": {"lr": 2e-3, "batch": 128, "decay": "cosine", "budget": 10},
            "size": 28,
        },
        "gpu": {
            "about": "takes noise off pictures, wide, for a GPU",
            "model": {"network": "conv", "latent": 256, "width": 128, "noise": "any", "conditional": False},
            "train": {"lr": 1e-3, "batch": 256, "decay": "cosine", "budget": 100},
            "size": 64,
        },
        "points": {
            "about": "points of the plane to one number and back: a curve through them",
            "model": {"network": "mlp", "latent": 1, "hidden": (128, 128, 64), "noise": "gaussian", "amount": 0.05},
            "data": {"source": "moons"},
            "train": {"lr": 1e-3, "batch": 256, "decay": "cosine", "budget": 10},
            "size": 28,
        },
        "tiny": {
            "about": "for tests, seconds",
            "model": {"network": "mlp", "latent": 8, "hidden": (128,), "noise": "gaussian", "amount": 0.2},
            "train": {"lr": 5e-3, "batch": 16, "ema": 0.9, "budget": 1, "precision": "fp32"},
            "size": 16,
        },
    }

    def __init__(self, config: Config, modality: Modality, classes: int):
        super().__init__()
        self.config, self.latent, self.shape = config, (config.latent,), modality.space
        self.classes = classes if config.conditional else 0
        if len(self.shape) != 3 and (config.network != "mlp" or config.noise not in ("none", "gaussian")):
            raise ValueError(f"model.network: {modality.kind} need mlp, and model.noise none or gaussian")
        if config.network == "mlp":
            pixels = math.prod(self.shape)
            self.encoder = nn.Sequential(nn.Flatten(), dense((pixels, *config.hidden, config.latent), nn.SiLU))
            self.decoder = nn.Sequential(dense((config.latent, *reversed(config.hidden), pixels), nn.SiLU), nn.Unflatten(1, self.shape))
        else:
            self.encoder = nn.Sequential(halved(self.shape, config.width), nn.Linear(8 * config.width, config.latent))
            self.decoder = doubled(config.latent, self.shape, config.width)
        gaussians, d = max(self.classes, 1), config.latent
        self.register_buffer("seen", torch.zeros(gaussians))  # items of each in the running means, the older the less
        self.register_buffer("mean", torch.zeros(gaussians, d))
        self.register_buffer("covariance", torch.eye(d).repeat(gaussians, 1, 1))
        self.register_buffer("root", torch.eye(d).repeat(gaussians, 1, 1))

    def code(self, x: Tensor) -> Tensor:
        """x (B, C, S, S) -> codes (B, latent): any numbers, or 0 to 1 where they are sparse."""
        code = self.encoder(x)
        return code.sigmoid() if self.config.sparsity else code

    def spoilt(self, x: Tensor, noise: str, amount: Tensor | float, rng: torch.Generator) -> Tensor:
        """x (B, C, S, S) with one of NOISES, still from -1 to 1; `amount`, from 0 to 1, of each (B, 1, 1, 1) or of all."""
        drawn = torch.randn(x.shape, generator=rng, device=rng.device).to(x.device)
        return NOISES[noise](x, amount, drawn).clamp(-1, 1)

    def loss(self, phase: str, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        x, c = batch.x, self.config
        code = self.code(x if c.noise == "none" else self.noisy(x, rng))
        error = (self.decoder(code) - x).square().mean()
        loss, terms = error, {"error": error}
        if c.sparsity:
            active = code.float().mean(0).clamp(1e-4, 1 - 1e-4)
            terms["kl"] = (c.rate * (c.rate / active).log() + (1 - c.rate) * ((1 - c.rate) / (1 - active)).log()).mean()
            loss = loss + c.sparsity * terms["kl"]
        if self.training:
            self.follow(code.detach().float(), batch.y)
        return loss, {"loss": loss, **terms}

    def noisy(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """x as the encoder sees it in training."""
        amount = self.config.amount * samplers.across(torch.rand(len(x), generator=rng, device=rng.device), x).to(x.device)
        if self.config.noise != "any":
            return self.spoilt(x, self.config.noise, amount, rng)
        which = torch.randint(len(NOISES), (len(x),), generator=rng, device=rng.device).to(x.device)
        return torch.stack([self.spoilt(x, noise, amount, rng) for noise in NOISES])[which, torch.arange(len(x), device=x.device)]

    @torch.no_grad()
    def follow(self, code: Tensor, y: Tensor | None) -> None:
        """Takes a batch's codes (B, latent) into the running means and covariances of their classes y (B,), in whole precision: a
        covariance that is rounded to bf16 may have no root."""
        with torch.autocast(code.device.type, enabled=False):
            self._follow(code, y)

    def _follow(self, code: Tensor, y: Tensor | None) -> None:
        member = F.one_hot(y, self.classes).to(code.dtype) if self.classes else torch.ones_like(code[:, :1])  # (B, classes)
        count = member.sum(0)
        mean = member.T @ code / count.clamp(min=1)[:, None]
        apart = code - member @ mean
        covariance = torch.einsum("bk,bi,bj->kij", member, apart, apart) / count.clamp(min=1)[:, None, None]
        self.seen.mul_(MEMORY).add_(count)
        share = (count / self.seen.clamp(min=1))[:, None]  # of the batch in what is known from now on
        moved = mean - self.mean
        self.covariance += share[:, None] * (covariance - self.covariance + (1 - share)[:, None] * moved[:, :, None] * moved[:, None, :])
        self.mean += share * moved
        jitter = JITTER * self.covariance.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-6)
        whole = self.covariance + jitter[:, None, None] * torch.eye(code.shape[1], device=code.device)
        root, failed = torch.linalg.cholesky_ex(whole)  # it may fail for the first few items of a class: then the last one stays
        self.root.copy_(torch.where(failed[:, None, None] > 0, self.root, root))

    def encode(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (B, C, S, S) -> the latents (B, latent) that sample draws x from again, and -inf, the logarithm of their variance: none."""
        z = self.standard(self.code(x), condition)
        return z, torch.full_like(z, -math.inf)

    def standard(self, code: Tensor, condition: Tensor | None = None) -> Tensor:
        """Codes (B, latent) -> the latents (B, latent) that stand for them."""
        y = self.which(code, condition)
        return torch.linalg.solve_triangular(self.root[y], (code - self.mean[y]).unsqueeze(2), upper=False).squeeze(2)

    def restore(self, x: Tensor) -> Tensor:
        """x (B, C, S, S), spoilt or not -> what the model takes it for, from -1 to 1."""
        return self.decoder(self.code(x)).clamp(-1, 1)

    def which(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """The Gaussian of each: that of its class, or the one that there is."""
        return condition if self.classes else torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)

    def surface(self, x: Tensor) -> Tensor | None:
        """How near each x (N, *shape) is to what is drawn of its code, less than 0."""
        return -(self.decoder(self.code(x)) - x).flatten(1).norm(dim=1)

    def sample(self, latents, sampling, condition=None, on_step=None):
        y = self.which(latents, condition)
        code = self.mean[y] + (self.root[y] @ (latents * sampling.truncation).unsqueeze(2)).squeeze(2)
        return self.decoder(code.clamp(0, 1) if self.config.sparsity else code).clamp(-1, 1)
