"""Generative adversarial networks (Goodfellow et al. 2014, arXiv:1406.2661; DCGAN: Radford et al. 2015, arXiv:1511.06434).

Two players: the discriminator D scores how real x looks (a logit), the generator G turns a latent z into an x that D takes for real.
    D minimises  BCE(D(x), real_label) + BCE(D(G(z)), fake_label)
    G minimises  -log sigmoid(D(G(z))), the non-saturating loss (section 3 of the first paper), not log(1 - sigmoid(D(G(z)))).
With labels, G takes an embedding of the class y beside z, and D scores <embed(y), h(x)> + w.h(x), the projection of Miyato and Koyama
(2018, arXiv:1802.05637), where h(x) are D's last features. With pack = m, D judges m pictures (of one class) as one (PacGAN: Lin et al.
2018, arXiv:1712.04086): a generator that always draws the same thing is then found out. D may learn at another rate than G (TTUR: Heusel
et al. 2017, arXiv:1706.08500)."""

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
from ..nets.conv import dense, pyramid


class Config(Fields):
    """The two networks and their labels."""

    network: Literal["mlp", "dcgan", "dcgan-rgb"] = Field("dcgan", description="the pair of networks")
    latent: int = Field(100, ge=1, le=1024, description="numbers in one latent")
    hidden: Widths = Field((256, 512), description="mlp: the generator's hidden widths, the discriminator's in reverse")
    width: int = Field(64, ge=4, le=512, description="convolutions: channels of the discriminator's first layer")
    dropout: float = Field(0.3, ge=0, le=0.9, description="convolutions: dropout in the discriminator")
    real_label: float = Field(1.0, ge=0.5, le=1, description="target of real pictures; 0.9 smooths it")
    fake_label: float = Field(0.0, ge=0, le=0.5, description="target of generated pictures; 0.1 smooths it")
    pack: int = Field(1, ge=1, le=4, description="pictures that the discriminator judges together; 2 or more keep the generator varied")
    discriminator_rate: float = Field(1.0, gt=0, le=100, description="the discriminator's learning rate as a multiple of train.lr")
    conditional: bool = Field(True, description="learn to draw a chosen class, where the data has classes")


class Sampling(Fields):
    """How a trained generator is asked."""

    truncation: float = Field(1.0, ge=0.0, le=2.0, description="scales the latent: below 1 is more typical, above 1 more unusual")


class Generator(nn.Module):
    """z (B, latent), and y (B,) where conditional -> x (B, C, S, S) in -1 to 1."""

    def __init__(self, config: Config, shape: tuple[int, int, int], classes: int):
        super().__init__()
        channels, size, _ = shape
        self.shape = shape
        self.embed = nn.Embedding(classes, min(config.latent, 32)) if classes else None
        inputs = config.latent + (self.embed.embedding_dim if self.embed else 0)
        if config.network == "mlp":
            self.net = nn.Sequential(dense((inputs, *config.hidden, math.prod(shape)), lambda: nn.LeakyReLU(0.2)), nn.Tanh())
        elif config.network == "dcgan":
            # 4w x s/4 x s/4 -> 2w x s/4 x s/4 -> w x s/2 x s/2 -> C x s x s, w = 64: the network of the DCGAN tutorials
            if size % 4 or size < 8:
                raise ValueError(f"data.size: {size} is not a multiple of 4 from 8 on, as the preset dcgan needs")
            base, w = size // 4, config.width
            self.net = nn.Sequential(
                nn.Linear(inputs, 4 * w * base * base, bias=False), nn.BatchNorm1d(4 * w * base * base), nn.LeakyReLU(0.3, inplace=True),
                nn.Unflatten(1, (4 * w, base, base)),
                nn.ConvTranspose2d(4 * w, 2 * w, 5, 1, 2, bias=False), nn.BatchNorm2d(2 * w), nn.LeakyReLU(0.3, inplace=True),
                nn.ConvTranspose2d(2 * w, w, 5, 2, 2, 1, bias=False), nn.BatchNorm2d(w), nn.LeakyReLU(0.3, inplace=True),
                nn.ConvTranspose2d(w, channels, 5, 2, 2, 1, bias=False), nn.Tanh(),
            )  # fmt: skip
        else:
            # z -> 256 -> 512 -> 1024 -> 4w x b x b, doubled up to s x s; w = 64 and b = 4 at 64 pixels are the published sizes
            base, doublings = pyramid(size)
            w = 4 * config.width
            layers: list[nn.Module] = [
                dense((inputs, 256, 512, 1024, w * base * base), lambda: nn.ReLU(inplace=True)),
                nn.ReLU(inplace=True),
            ]
            layers += [nn.Unflatten(1, (w, base, base))]
            for i in range(doublings - 1):
                before, after = max(w >> i, 16), max(w >> (i + 1), 16)
                layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
            last = max(w >> max(doublings - 1, 0), 16) if doublings > 1 else w
            layers += [nn.ConvTranspose2d(last, channels, 4, 2, 1) if doublings else nn.Conv2d(last, channels, 3, 1, 1), nn.Tanh()]
            self.net = nn.Sequential(*layers)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.embed is not None:
            z = torch.cat([z, self.embed(y)], 1)
        return self.net(z).view(-1, *self.shape)


class Discriminator(nn.Module):
    """x (B, pack C, S, S), and y (B,) where conditional -> logits (B,): above 0 is real."""

    def __init__(self, config: Config, shape: tuple[int, int, int], classes: int):
        super().__init__()
        channels, size = config.pack * shape[0], shape[1]
        if config.network == "mlp":
            widths = (config.pack * math.prod(shape), *reversed(config.hidden))
            features, self.features = widths[-1], nn.Sequential(nn.Flatten(), dense(widths, lambda: nn.LeakyReLU(0.2)), nn.LeakyReLU(0.2))
        else:
            halvings = 2 if config.network == "dcgan" else min(3, pyramid(size)[1])
            kernel, padding = (5, 2) if config.network == "dcgan" else (4, 1)
            layers: list[nn.Module] = []
            before = channels
            for i in range(halvings):
                after = config.width << i
                layers += [nn.Conv2d(before, after, kernel, 2, padding), nn.LeakyReLU(0.2, inplace=True), nn.Dropout(config.dropout)]
                before = after
            features, self.features = before * (size >> halvings) ** 2, nn.Sequential(*layers, nn.Flatten())
        self.score = nn.Linear(features, 1)
        self.embed = nn.Embedding(classes, features) if classes else None

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.features(x)
        logits = self.score(h).squeeze(1)
        return logits if self.embed is None else logits + (self.embed(y) * h).sum(1) / math.sqrt(h.shape[1])


class Model(Promise):
    """The pair, as one family."""

    Config, Sampling = Config, Sampling
    modalities = ("image",)
    presets: ClassVar = {
        "mlp": {
            "about": "dense layers; quick, and rough",
            "model": {"network": "mlp", "latent": 100, "hidden": (256, 512)},
            "train": {"lr": 2e-4, "batch": 32, "budget": 20},
            "size": 28,
        },
        "mlp-rgb": {
            "about": "the smallest for colour at 64 pixels",
            "model": {"network": "mlp", "latent": 100, "hidden": (128,)},
            "train": {"lr": 2e-4, "batch": 32, "budget": 20},
            "size": 64,
        },
        "dcgan": {
            "about": "convolutions; sharp, and slow to learn",
            "model": {"network": "dcgan", "latent": 100, "width": 64, "dropout": 0.3, "real_label": 0.9, "fake_label": 0.1},
            "train": {"lr": 1e-4, "batch": 64},
            "size": 28,
        },
        "dcgan-rgb": {
            "about": "convolutions for colour at 64 pixels",
            "model": {"network": "dcgan-rgb", "latent": 128, "width": 64, "dropout": 0.0},
            "train": {"lr": 2e-4, "beta1": 0.5, "batch": 128, "budget": 50},
            "size": 64,
        },
        "tiny": {
            "about": "for tests, seconds",
            "model": {"network": "dcgan", "latent": 8, "width": 4, "dropout": 0.0},
            "train": {"lr": 1e-3, "beta1": 0.5, "batch": 16, "ema": 0.9, "budget": 1},
            "size": 16,
        },
    }

    def __init__(self, config: Config, modality: Modality, classes: int):
        super().__init__()
        self.config, self.latent = config, (config.latent,)
        self.classes = classes if config.conditional else 0
        self.discriminator = Discriminator(config, modality.shape, self.classes)
        self.generator = Generator(config, modality.shape, self.classes)

    def phases(self) -> dict[str, nn.Module]:
        return {"discriminator": self.discriminator, "generator": self.generator}

    def rates(self) -> dict[str, float]:
        return {"discriminator": self.config.discriminator_rate}

    def packed(self, x: Tensor, y: Tensor | None) -> Tensor:
        """x (B, C, S, S) -> (B, pack C, S, S): each picture with the next ones of its class in the batch, going round."""
        if self.config.pack == 1:
            return x
        y = torch.zeros(len(x), dtype=torch.long, device=x.device) if y is None else y
        order = y.argsort(stable=True)  # classes in runs: [start, start + count)
        counts = y.bincount(minlength=max(self.classes, 1))
        place = torch.empty_like(order)
        place[order] = torch.arange(len(x), device=x.device)
        start, count = (counts.cumsum(0) - counts)[y], counts[y]
        return torch.cat([x[order[start + (place - start + k) % count]] for k in range(self.config.pack)], 1)

    def loss(self, phase: str, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        n = len(batch.x)
        y = batch.y if self.classes else None
        z = torch.randn(n, *self.latent, generator=rng).to(batch.x.device)
        if phase == "discriminator":
            with torch.no_grad():
                fake = self.generator(z, y)
            # one pass over both halves: D has no batch norm, so it scores them as it would apart
            logits = self.discriminator(
                torch.cat([self.packed(batch.x, y), self.packed(fake, y)]), None if y is None else torch.cat([y, y])
            )
            real, fake = logits[:n], logits[n:]
            on_real = F.binary_cross_entropy_with_logits(real, torch.full_like(real, self.config.real_label))
            on_fake = F.binary_cross_entropy_with_logits(fake, torch.full_like(fake, self.config.fake_label))
            return on_real + on_fake, {
                "discriminator": on_real + on_fake,
                "taken for real": real.sigmoid().mean(),
                "fooled": fake.sigmoid().mean(),
            }
        loss = F.softplus(-self.discriminator(self.packed(self.generator(z, y), y), y)).mean()  # -log sigmoid(D(G(z)))
        return loss, {"generator": loss}

    def signals(self, batch: Batch, own: Batch, trained: Batch | None = None) -> dict[str, Tensor]:
        def score(b: Batch) -> Tensor:
            y = b.y if self.classes else None
            return self.discriminator(self.packed(b.x, y), y)

        fake = score(own)
        found = {"fake": (fake < 0).float().mean()}
        for at, b in (("", batch), ("trained ", trained)):
            if b is not None:
                real = score(b)
                found |= {f"{at}real": (real > 0).float().mean(), f"{at}margin": real.mean() - fake.mean()}
        return found

    def sample(self, latents, sampling, condition=None, on_step=None):
        return self.generator(latents * sampling.truncation, condition)
