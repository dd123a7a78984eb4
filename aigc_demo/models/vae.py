"""Variational autoencoders (Kingma and Welling 2013, arXiv:1312.6114; beta: Higgins et al. 2017, openreview Sy2fzU9gl).

    loss = -E_q(z|x)[log p(x|z)] + beta KL(q(z|x) || N(0, I)),  q(z|x) = N(mu(x), exp(logvar(x))),  in nats per item.
p(x|z) is a true likelihood: Bernoulli over pixels, which are drawn black or white with the probability of their grey (dynamic
binarisation), or a Gaussian over pixels of -1 to 1 with one learned deviation (sigma-VAE: Rybkin et al. 2020, arXiv:2006.13202)."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ..config import Fields, Widths
from ..modality import Modality
from ..model import Batch, Model as Promise
from ..nets.conv import dense


class Config(Fields):
    """The encoder, the decoder and the likelihood."""

    network: Literal["mlp", "conv"] = Field("conv", description="the encoder and the decoder")
    latent: int = Field(16, ge=1, le=1024, description="numbers in one latent")
    hidden: Widths = Field((500, 500), description="mlp: the encoder's hidden widths, the decoder's in reverse")
    width: int = Field(32, ge=4, le=512, description="conv: channels of the first layer")
    beta: float = Field(1.0, ge=0, le=1000, description="weight of the KL term; above 1 trades detail for orderly latents")
    likelihood: Literal["auto", "bernoulli", "gaussian"] = Field(
        "auto", description="of the pixels; auto is Bernoulli for grey, Gaussian for colour"
    )
    conditional: bool = Field(True, description="learn to draw a chosen class, where the data has classes")


class Sampling(Fields):
    """How a trained decoder is asked."""

    truncation: float = Field(1.0, ge=0.0, le=2.0, description="scales the latent: below 1 is more typical, above 1 more unusual")


def divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, I)) in nats an item, of mu and logvar (B, latent): appendix B of the first paper."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum() / len(mu)


class Model(Promise):
    """Encoder and decoder, as one family."""

    Config, Sampling = Config, Sampling
    modalities = ("image",)
    monitor = "loss"
    presets: ClassVar = {
        "mlp": {
            "about": "dense layers; quick, and soft",
            "model": {"network": "mlp", "latent": 20, "hidden": (500, 500)},
            "train": {"lr": 1e-3, "batch": 128, "budget": 10},
            "size": 28,
        },
        "conv": {
            "about": "convolutions; sure results within a minute",
            "model": {"network": "conv", "latent": 16, "width": 32},
            "train": {"lr": 2e-3, "batch": 128, "decay": "cosine"},
            "size": 28,
        },
        "beta": {
            "about": "convolutions; sliders that change one thing each",
            "model": {"network": "conv", "latent": 10, "width": 32, "beta": 4.0},
            "train": {"lr": 2e-3, "batch": 128, "budget": 10},
            "size": 64,
        },
        "tiny": {
            "about": "for tests, seconds",
            "model": {"network": "conv", "latent": 4, "width": 4},
            "train": {"lr": 5e-3, "batch": 16, "ema": 0.9, "budget": 1},
            "size": 16,
        },
    }

    def __init__(self, config: Config, modality: Modality, classes: int):
        super().__init__()
        channels, size, _ = self.shape = modality.shape
        self.config, self.latent = config, (config.latent,)
        self.classes = classes if config.conditional else 0
        likelihood = ("bernoulli" if channels == 1 else "gaussian") if config.likelihood == "auto" else config.likelihood
        self.log_sigma = nn.Parameter(torch.zeros(())) if likelihood == "gaussian" else None
        self.embed = nn.Embedding(self.classes, 16) if self.classes else None
        extra = 16 if self.classes else 0
        if config.network == "mlp":
            self.features = nn.Sequential(nn.Flatten(), dense((math.prod(self.shape), *config.hidden), nn.ReLU), nn.ReLU())
            features = config.hidden[-1]
            self.decoder = nn.Sequential(
                dense((config.latent + extra, *reversed(config.hidden), math.prod(self.shape)), nn.ReLU), nn.Unflatten(1, self.shape)
            )
        else:
            # C x s x s -> w x s/2 x s/2 -> 2w x s/4 x s/4 -> 4w -> latent, and back
            if size % 4 or size < 8:
                raise ValueError(f"data.size: {size} is not a multiple of 4 from 8 on, as vae:conv needs")
            w, base = config.width, size // 4
            flat, features = 2 * w * base * base, 8 * w
            self.features = nn.Sequential(
                nn.Conv2d(channels, w, 4, 2, 1), nn.SiLU(), nn.Conv2d(w, 2 * w, 4, 2, 1), nn.SiLU(),
                nn.Flatten(), nn.Linear(flat, features), nn.SiLU(),
            )  # fmt: skip
            self.decoder = nn.Sequential(
                nn.Linear(config.latent + extra, features), nn.SiLU(), nn.Linear(features, flat), nn.SiLU(),
                nn.Unflatten(1, (2 * w, base, base)),
                nn.ConvTranspose2d(2 * w, w, 4, 2, 1), nn.SiLU(), nn.ConvTranspose2d(w, channels, 4, 2, 1),
            )  # fmt: skip
        self.posterior = nn.Linear(features + extra, 2 * config.latent)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (B, C, S, S) -> mu, logvar, each (B, latent)."""
        h = self.features(x)
        h = h if self.embed is None else torch.cat([h, self.embed(condition)], 1)
        return self.posterior(h).chunk(2, 1)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """z (B, latent) -> what p(x|z) is made of, (B, C, S, S): Bernoulli's logits or the Gaussian's mean."""
        return self.decoder(z if self.embed is None else torch.cat([z, self.embed(condition)], 1))

    def loss(self, phase: str, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        x, y = batch.x, batch.y if self.classes else None
        if self.log_sigma is None:
            noise = torch.empty(x.shape).uniform_(-1, 1, generator=rng).to(x.device)
            x = (x > noise).to(x.dtype) * 2 - 1  # a pixel is white with probability (x + 1) / 2
        mu, logvar = self.encode(x, y)
        z = mu + (0.5 * logvar).exp() * torch.randn(mu.shape, generator=rng).to(mu.device)
        out = self.decode(z, y)
        if self.log_sigma is None:
            nll = F.binary_cross_entropy_with_logits(out, (x + 1) / 2, reduction="sum")
        else:  # -log N(x; out, sigma^2) summed over pixels
            nll = 0.5 * ((x - out) / self.log_sigma.exp()).square().sum() + x.numel() * (self.log_sigma + 0.5 * math.log(2 * math.pi))
        reconstruction = nll / len(x)
        kl = divergence(mu, logvar)
        loss = reconstruction + self.config.beta * kl
        return loss, {"loss": loss, "reconstruction": reconstruction, "kl": kl}

    def signals(self, batch: Batch, own: Batch, trained: Batch | None = None) -> dict[str, Tensor]:
        mu, logvar = self.encode(batch.x, batch.y if self.classes else None)
        in_use = (mu.var(0, unbiased=False) > 0.01).float().mean()
        return {"information": divergence(mu, logvar), "in use": in_use}

    def sample(self, latents, sampling, condition=None, on_step=None):
        out = self.decode(latents * sampling.truncation, condition)
        return out.sigmoid() * 2 - 1 if self.log_sigma is None else out.clamp(-1, 1)
