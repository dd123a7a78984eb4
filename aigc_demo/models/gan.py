"""Generative adversarial networks (Goodfellow et al. 2014, arXiv:1406.2661; DCGAN: Radford et al. 2015, arXiv:1511.06434).

Two players: the discriminator D scores how real x looks (a logit), the generator G turns a latent z into an x that D takes for real.
`discriminator_loss` and `generator_loss` have what they minimise. D may be held back: by spectral normalisation (Miyato et al. 2018,
arXiv:1802.05957), by a slope of 1 between real and fake (WGAN-GP: Gulrajani et al. 2017, arXiv:1704.00028), or of 0 at the real (R1:
Mescheder et al. 2018, arXiv:1801.04406) and at the fake (R2). `modern` is R3GAN (Huang et al. 2024, arXiv:2501.05441): relativistic, R1
and R2, residual networks without normalisation. `augment` alters what D sees of both, for small data (DiffAugment: Zhao et al. 2020,
arXiv:2006.10738).

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

from .. import samplers
from ..config import Fields, Widths
from ..modality import Modality
from ..model import Batch, Model as Promise
from ..nets.conv import dense, fits, pyramid

SLOPE = 0.2  # of the leaky rectifiers of the residual networks
MODERN = {"network": "residual", "latent": 64, "dropout": 0.0, "objective": "relativistic", "r1": 1.0, "r2": 1.0}


class Config(Fields):
    """The two networks, what they play for, and what holds the discriminator back."""

    network: Literal["mlp", "dcgan", "dcgan-rgb", "residual"] = Field("dcgan", description="the pair of networks")
    latent: int = Field(100, ge=1, le=1024, description="numbers in one latent")
    hidden: Widths = Field((256, 512), description="mlp: the generator's hidden widths, the discriminator's in reverse")
    waves: int = Field(0, ge=0, le=10, description="mlp: octaves of waves over x that the discriminator sees beside it, for fine detail")
    width: int = Field(64, ge=4, le=1024, description="convolutions: channels of the discriminator's first layer")
    widest: int = Field(256, ge=4, le=1024, description="residual: most channels of a layer; they double from width at each halving")
    blocks: int = Field(1, ge=1, le=8, description="residual: blocks at each resolution")
    dropout: float = Field(0.3, ge=0, le=0.9, description="dcgan: dropout in the discriminator")
    objective: Literal["non-saturating", "hinge", "wasserstein", "relativistic"] = Field(
        "non-saturating", description="what the two players play for; wasserstein needs gradient_penalty or spectral"
    )
    spectral: bool = Field(False, description="spectral normalisation of the discriminator")
    gradient_penalty: float = Field(0.0, ge=0, le=1e4, description="weight that pulls the discriminator's slope to 1 (WGAN-GP: 10)")
    r1: float = Field(0.0, ge=0, le=1e4, description="weight of half the discriminator's squared slope at real items")
    r2: float = Field(0.0, ge=0, le=1e4, description="the same at generated items")
    augment: Literal["none", "translation", "translation,cutout", "color,translation,cutout"] = Field(
        "none", description="what real and generated pictures undergo before they are judged; for a few thousand or fewer"
    )
    real_label: float = Field(1.0, ge=0.5, le=1, description="non-saturating: target of real pictures; 0.9 smooths it")
    fake_label: float = Field(0.0, ge=0, le=0.5, description="non-saturating: target of generated pictures; 0.1 smooths it")
    pack: int = Field(1, ge=1, le=4, description="pictures that the discriminator judges together; 2 or more keep the generator varied")
    discriminator_rate: float = Field(1.0, gt=0, le=100, description="the discriminator's learning rate as a multiple of train.lr")
    conditional: bool = Field(True, description="learn to draw a chosen class, where the data has classes")


class Sampling(Fields):
    """How a trained generator is asked."""

    truncation: float = Field(1.0, ge=0.0, le=2.0, description="scales the latent: below 1 is more typical, above 1 more unusual")


def begin(layer: nn.Module, gain: float = 1.0) -> nn.Module:
    """The layer with weights drawn from N(0, gain^2 / inputs) (He et al. 2015, arXiv:1502.01852) and no bias yet."""
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Waves(nn.Module):
    """x (B, n) -> (B, n + 2 octaves n): x, and sines and cosines of pi x, 2 pi x, 4 pi x ... (Tancik et al. 2020, arXiv:2006.10739): of few
    numbers alone dense layers are slow to learn what differs over a short way."""

    def __init__(self, octaves: int):
        super().__init__()
        self.octaves = octaves

    def forward(self, x: Tensor) -> Tensor:
        turns = torch.cat([math.pi * 2**k * x for k in range(self.octaves)], 1)
        return torch.cat([x, turns.sin(), turns.cos()], 1)


class Residual(nn.Module):
    """h (B, w, S, S) -> h + f(h): a bottleneck turned inside out, 1x1 to 2w, 3x3 in groups of 16, 1x1 back, without normalisation.

    f begins at 0, and its first layers the smaller the deeper the network (Fixup: Zhang et al. 2019, arXiv:1901.09321, with 3 layers)."""

    def __init__(self, width: int, depth: int):
        super().__init__()
        wide, gain = 2 * width, math.sqrt(2 / (1 + SLOPE**2)) * depth**-0.25
        groups = wide // 16 if wide % 16 == 0 else 1
        self.net = nn.Sequential(
            begin(nn.Conv2d(width, wide, 1), gain), nn.LeakyReLU(SLOPE, inplace=True),
            begin(nn.Conv2d(wide, wide, 3, padding=1, groups=groups), gain), nn.LeakyReLU(SLOPE, inplace=True),
            begin(nn.Conv2d(wide, width, 1, bias=False), 0.0),
        )  # fmt: skip

    def forward(self, h: Tensor) -> Tensor:
        return h + self.net(h)


class Spread(nn.Module):
    """z (B, n) -> h (B, w, s, s): w learned maps, each times one linear function of z."""

    def __init__(self, inputs: int, width: int, side: int):
        super().__init__()
        self.amounts = begin(nn.Linear(inputs, width, bias=False))
        self.maps = nn.Parameter(torch.randn(width, side, side))

    def forward(self, z: Tensor) -> Tensor:
        return self.amounts(z)[:, :, None, None] * self.maps


class Gather(nn.Module):
    """h (B, w, s, s) -> (B, w): each channel weighed by a learned map and summed."""

    def __init__(self, width: int, side: int):
        super().__init__()
        self.maps = nn.Parameter(torch.randn(width, side, side) / side)

    def forward(self, h: Tensor) -> Tensor:
        return (h * self.maps).sum((2, 3))


def stages(config: Config, size: int) -> tuple[int, list[int], int]:
    """Of the residual networks: the lowest resolution's side, the widths from the highest to it, and how many blocks there are in all."""
    base, halvings = pyramid(size)
    widths = [min(config.width << k, config.widest) for k in range(halvings + 1)]
    return base, widths, config.blocks * len(widths)


class Generator(nn.Module):
    """z (B, latent), and y (B,) where conditional -> x (B, *shape), in -1 to 1 but for the residual network's, which may go beyond."""

    def __init__(self, config: Config, shape: tuple[int, ...], classes: int):
        super().__init__()
        channels, size = shape[0], shape[-1]
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
        elif config.network == "dcgan-rgb":
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
        else:
            base, widths, depth = stages(config, size)
            before = widths[-1]
            layers = [Spread(inputs, before, base)]
            for i, w in enumerate(reversed(widths)):
                if i:
                    layers += [begin(nn.Conv2d(before, w, 1, bias=False)), nn.Upsample(scale_factor=2, mode="bilinear")]
                layers += [Residual(w, depth) for _ in range(config.blocks)]
                before = w
            self.net = nn.Sequential(*layers, begin(nn.Conv2d(before, channels, 1, bias=False)))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.embed is not None:
            z = torch.cat([z, self.embed(y)], 1)
        return self.net(z).view(-1, *self.shape)


class Discriminator(nn.Module):
    """x (B, pack C, S, S), and y (B,) where conditional -> logits (B,): above 0 is real."""

    def __init__(self, config: Config, shape: tuple[int, ...], classes: int):
        super().__init__()
        channels, size = config.pack * shape[0], shape[-1]
        if config.network == "mlp":
            widths = (config.pack * math.prod(shape) * (1 + 2 * config.waves), *reversed(config.hidden))
            seen = [nn.Flatten(), Waves(config.waves)] if config.waves else [nn.Flatten()]
            features, self.features = widths[-1], nn.Sequential(*seen, dense(widths, lambda: nn.LeakyReLU(0.2)), nn.LeakyReLU(0.2))
        elif config.network == "residual":
            base, widths, depth = stages(config, size)
            layers: list[nn.Module] = [begin(nn.Conv2d(channels, widths[0], 1, bias=False))]
            for i, w in enumerate(widths):
                if i:
                    layers += [nn.AvgPool2d(2), begin(nn.Conv2d(widths[i - 1], w, 1, bias=False))]
                layers += [Residual(w, depth) for _ in range(config.blocks)]
            features, self.features = widths[-1], nn.Sequential(*layers, Gather(widths[-1], base))
        else:
            halvings = 2 if config.network == "dcgan" else min(3, pyramid(size)[1])
            kernel, padding = (5, 2) if config.network == "dcgan" else (4, 1)
            layers = []
            before = channels
            for i in range(halvings):
                after = config.width << i
                layers += [nn.Conv2d(before, after, kernel, 2, padding), nn.LeakyReLU(0.2, inplace=True), nn.Dropout(config.dropout)]
                before = after
            features, self.features = before * (size >> halvings) ** 2, nn.Sequential(*layers, nn.Flatten())
        # where only differences of scores count, a constant would have no gradient
        self.score = nn.Linear(features, 1, bias=config.objective in ("non-saturating", "hinge"))
        self.embed = nn.Embedding(classes, features) if classes else None
        if config.spectral:
            for layer in list(self.modules()):
                if isinstance(layer, (nn.Conv2d, nn.Linear, nn.Embedding)):
                    nn.utils.parametrizations.spectral_norm(layer)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.features(x)
        logits = self.score(h).squeeze(1)
        return logits if self.embed is None else logits + (self.embed(y) * h).sum(1) / math.sqrt(h.shape[1])


def discriminator_loss(config: Config, real: Tensor, fake: Tensor) -> Tensor:
    """What D minimises, of the scores (B,) that it gives to real items and to generated ones.

    relativistic: in pairs, softplus(-(D(x) - D(G(z)))) (Jolicoeur-Martineau 2018, arXiv:1807.00734; R3GAN, equation 2): a generator that
    draws one thing loses to every x that differs. hinge: Lim and Ye 2017, arXiv:1705.02894. wasserstein: Arjovsky et al. 2017,
    arXiv:1701.07875."""
    if config.objective == "relativistic":
        return F.softplus(fake - real).mean()
    if config.objective == "wasserstein":
        return (fake - real).mean()
    if config.objective == "hinge":
        return (F.relu(1 - real) + F.relu(1 + fake)).mean()
    on_real = F.binary_cross_entropy_with_logits(real, torch.full_like(real, config.real_label))
    on_fake = F.binary_cross_entropy_with_logits(fake, torch.full_like(fake, config.fake_label))
    return on_real + on_fake


def generator_loss(config: Config, real: Tensor | None, fake: Tensor) -> Tensor:
    """What G minimises, of the same scores; only `relativistic` looks at those of real items."""
    if config.objective == "relativistic":
        return F.softplus(real - fake).mean()
    if config.objective == "non-saturating":
        return F.softplus(-fake).mean()  # -log sigmoid(D(G(z)))
    return -fake.mean()


def augmented(x: Tensor, policy: str, rng: torch.Generator) -> Tensor:
    """Pictures x (B, C, S, S), each altered by draws of its own, differentiably, as the published code of DiffAugment does.

    color: brightness by -0.5 to 0.5, saturation times 0 to 2, contrast times 0.5 to 1.5. translation: by at most S/8 each way, and 0 comes
    in. cutout: a square of side S/2 around any place is 0."""
    n, _, size, _ = x.shape
    shift, half = (size + 4) // 8, (size + 1) // 2

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(n, 1, 1, 1, device=rng.device).uniform_(low, high, generator=rng).to(x.device)

    def whole(low: int, high: int) -> Tensor:
        return torch.randint(low, high + 1, (n, 1), generator=rng, device=rng.device).to(x.device)

    places = torch.arange(size, device=x.device)
    if "color" in policy:
        x = x + uniform(-0.5, 0.5)
        grey = x.mean(1, keepdim=True)
        x = (x - grey) * uniform(0, 2) + grey
        middle = x.mean((1, 2, 3), keepdim=True)
        x = (x - middle) * uniform(0.5, 1.5) + middle
    if "translation" in policy:
        for dim in (2, 3):
            come = places - whole(-shift, shift)  # (B, S): where each row, or column, comes from
            inside = ((come >= 0) & (come < size)).to(x.dtype)
            spread = (n, 1, size, 1) if dim == 2 else (n, 1, 1, size)
            x = x.gather(dim, come.clamp(0, size - 1).view(spread).expand_as(x)) * inside.view(spread)
    if "cutout" in policy:
        rows, columns = ((places - whole(0, size - half % 2) + half // 2) // half == 0 for _ in range(2))  # (B, S) each
        x = x * ~(rows[:, None, :, None] & columns[:, None, None, :])
    return x


class Model(Promise):
    """The pair, as one family."""

    Config, Sampling = Config, Sampling
    modalities = ("image", "points")
    breakages: ClassVar = {
        "discriminator too strong": {"model.discriminator_rate": 20.0},
        "discriminator too weak": {"model.discriminator_rate": 0.02},
    }
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
        "modern": {
            "about": "residual, without normalisation (R3GAN); varied, and slow on a CPU",
            "model": {**MODERN, "width": 32, "widest": 128},
            "train": {"lr": 2e-4, "beta1": 0.0, "beta2": 0.99, "batch": 64, "decay": "cosine"},
            "size": 32,
        },
        "modern-gpu": {
            "about": "the same, thirty times as large, for a GPU and hours; not tried yet",
            "model": {**MODERN, "width": 384, "widest": 384, "blocks": 2},
            "train": {"lr": 2e-4, "beta1": 0.0, "beta2": 0.99, "batch": 512, "decay": "cosine", "budget": 200},
            "size": 32,
        },
        "points": {
            "about": "dense layers for points of the plane; deep, so that little lies between the parts; two or three minutes",
            "model": {
                "network": "mlp",
                "latent": 2,
                "hidden": (64, 64, 64, 64, 64, 64),
                "waves": 5,
                "objective": "relativistic",
                "r1": 0.1,
                "r2": 0.1,
            },
            "data": {"source": "grid25"},
            "train": {"lr": 1.5e-3, "beta1": 0.0, "beta2": 0.99, "batch": 256, "decay": "cosine", "budget": 60},
            "size": 28,
        },
        "tiny": {
            "about": "for tests, seconds",
            "model": {"network": "dcgan", "latent": 8, "width": 4, "dropout": 0.0},
            "train": {"lr": 1e-3, "beta1": 0.5, "batch": 16, "ema": 0.9, "budget": 1, "precision": "fp32"},
            "size": 16,
        },
    }

    def __init__(self, config: Config, modality: Modality, classes: int):
        super().__init__()
        if config.augment != "none" and len(modality.space) != 3:
            raise ValueError(f"model.augment: {config.augment} alters pictures, and these are {modality.kind}")
        fits(config.network, modality)
        self.config, self.latent = config, (config.latent,)
        self.classes = classes if config.conditional else 0
        self.discriminator = Discriminator(config, modality.space, self.classes)
        self.generator = Generator(config, modality.space, self.classes)

    def phases(self) -> dict[str, nn.Module]:
        return {"discriminator": self.discriminator, "generator": self.generator}

    def rates(self) -> dict[str, float]:
        return {"discriminator": self.config.discriminator_rate}

    @property
    def steady(self) -> bool:
        return self.config.pack == 1  # the number of a class's pictures is waited for

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

    def seen(self, x: Tensor, y: Tensor | None, rng: torch.Generator) -> Tensor:
        """x (B, *shape) as D judges it: altered, then packed."""
        return self.packed(x if self.config.augment == "none" else augmented(x, self.config.augment, rng), y)

    def sloped(self, seen: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """D's scores (B,) of what it sees, and the squared length (B,) of the gradient of each, with a gradient where gradients are on."""
        keep = torch.is_grad_enabled()
        with torch.enable_grad():
            seen = seen.detach().requires_grad_()
            scores = self.discriminator(seen, y)
            (slope,) = torch.autograd.grad(scores.sum(), seen, create_graph=keep)  # D has no batch norm: each score is of its own x
        return scores if keep else scores.detach(), slope.float().flatten(1).square().sum(1)

    def loss(self, phase: str, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        c, n = self.config, len(batch.x)
        y = batch.y if self.classes else None
        z = torch.randn(n, *self.latent, generator=rng, device=rng.device).to(batch.x.device)
        if phase == "generator":
            fake = self.discriminator(self.seen(self.generator(z, y), y, rng), y)
            with torch.no_grad():
                real = self.discriminator(self.seen(batch.x, y, rng), y) if c.objective == "relativistic" else None
            loss = generator_loss(c, real, fake)
            return loss, {"generator": loss}
        with torch.no_grad():
            fake = self.generator(z, y)
        # one pass over both halves: D has no batch norm, so it scores them as it would apart
        seen, twice = torch.cat([self.seen(batch.x, y, rng), self.seen(fake, y, rng)]), None if y is None else torch.cat([y, y])
        scores, slopes = self.sloped(seen, twice) if c.r1 or c.r2 else (self.discriminator(seen, twice), None)
        real, fake = scores[:n], scores[n:]
        loss = discriminator_loss(c, real, fake)
        terms = {"discriminator": loss}
        if c.objective == "non-saturating":
            terms |= {"taken for real": real.sigmoid().mean(), "fooled": fake.sigmoid().mean()}
        else:  # whose scores are no logits
            terms["ahead"] = (real - fake).mean()
        if slopes is not None:
            terms |= {"slope at real": slopes[:n].mean(), "slope at fake": slopes[n:].mean()}
            loss = loss + c.r1 / 2 * terms["slope at real"] + c.r2 / 2 * terms["slope at fake"]
        if c.gradient_penalty:
            share = samplers.across(torch.rand(n, generator=rng, device=rng.device), seen).to(seen.device)
            squares = self.sloped(seen[:n].lerp(seen[n:], share), y)[1]
            terms["penalty"] = ((squares + 1e-12).sqrt() - 1).square().mean()  # a root has no slope at 0
            loss = loss + c.gradient_penalty * terms["penalty"]
        return loss, terms

    def signals(self, batch: Batch, own: Batch, trained: Batch | None = None) -> dict[str, Tensor]:
        def score(b: Batch) -> Tensor:
            y = b.y if self.classes else None
            return self.discriminator(self.packed(b.x, y), y)

        fake, known = score(own), score(batch)
        # a discriminator that only compares has no zero: the middle between real and fake stands for it
        bar = 0.0 if self.config.objective in ("non-saturating", "hinge") else (known.mean() + fake.mean()) / 2
        found = {"fake": (fake < bar).float().mean()}
        for at, real in (("", known), ("trained ", None if trained is None else score(trained))):
            if real is not None:
                found[f"{at}real"] = (real > bar).float().mean()
                if self.config.objective != "wasserstein":  # whose scores are no log-odds
                    found[f"{at}margin"] = real.mean() - fake.mean()
        return found

    def surface(self, x: Tensor) -> Tensor | None:
        """D's score of each x (N, *shape), where it judges one at a time and no class."""
        return None if self.classes or self.config.pack > 1 else self.discriminator(x)

    def sample(self, latents, sampling, condition=None, on_step=None):
        return self.generator(latents * sampling.truncation, condition).clamp(-1, 1)
