"""Variational autoencoders (Kingma and Welling 2013, arXiv:1312.6114; beta: Higgins et al. 2017, openreview Sy2fzU9gl).

    loss = -E_q(z|x)[log p(x|z)] + beta KL(q(z|x) || N(0, I)),  q(z|x) = N(mu(x), exp(logvar(x))),  in nats per item.
p(x|z) is a true likelihood: Bernoulli over pixels, which are drawn black or white with the probability of their grey (dynamic
binarisation), or a Gaussian over pixels of -1 to 1 with one learned deviation (sigma-VAE: Rybkin et al. 2020, arXiv:2006.13202).

With importance = k above 1 the loss is the tighter bound of k draws (IWAE: Burda et al. 2015, arXiv:1509.00519, section 3),
    loss = -E[log 1/k sum_i w_i],  w_i = p(x, z_i) / q(z_i|x),
whose gradient weighs that of each log w_i by w_i / sum_j w_j. log_likelihood is the same estimate at thousands of draws.

The ladder has several latent layers, z = (z_1, ..., z_L): what the encoder saw meets the decoder on its way down, so that
q(z|x) = prod_l q(z_l | z_<l, x) (Sønderby et al. 2016, arXiv:1602.02282; as a residual network: Kingma et al. 2016, arXiv:1606.04934).
A layer's prior N(m(z_<l), s(z_<l)^2) is written as m + s z_l, z_l standard normal, and its posterior is that of z_l (the residual normal
of Vahdat and Kautz 2020, arXiv:2007.03898, section 3.2): the latent holds the noises of all layers, its prior is N(0, I) whatever the
network, and the KL term, which such a map leaves as it is, sums over layers as over numbers. Free bits (Kingma et al. 2016) let each
layer's KL term rest at so many nats, lest a layer die before it is of use."""

from __future__ import annotations

import itertools
import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ..config import Fields, Widths
from ..modality import Modality
from ..model import Batch, Model as Promise
from ..nets.codec import FACTOR, Codec
from ..nets.conv import Block, dense, doubled, fits, halved, pyramid

ROWS = 200  # latents that log_likelihood decodes in one pass: of more, what a ladder goes through leaves a core's cache
TAME = 4  # rungs up to which a ladder's scales, one multiplying on the next, stay small at the start by themselves


class Config(Fields):
    """The encoder, the decoder, the likelihood and the bound."""

    network: Literal["mlp", "conv", "ladder", "grid"] = Field(
        "conv", description="the encoder and the decoder; a ladder has several latent layers, the latent of a grid is a small picture"
    )
    latent: int = Field(16, ge=1, le=1024, description="numbers in one latent; ladder: in its first layer; grid: as its planes have it")
    hidden: Widths = Field((500, 500), description="mlp: the encoder's hidden widths, the decoder's in reverse")
    activation: Literal["relu", "tanh"] = Field("relu", description="mlp: what follows a hidden layer")
    width: int = Field(32, ge=4, le=512, description="conv, ladder, grid: channels of the first layer")
    depth: int = Field(3, ge=1, le=32, description="ladder: latent layers after the first")
    planes: int = Field(1, ge=1, le=32, description="ladder: small pictures that each of them holds; grid: channels of its latent")
    beta: float = Field(1.0, ge=0, le=1000, description="weight of the KL term; above 1 trades detail for orderly latents")
    free_bits: float = Field(0.0, ge=0, le=100, description="nats that each latent layer may hold without a price")
    importance: int = Field(1, ge=1, le=512, description="latents drawn for each item; 2 or more train the importance-weighted bound")
    likelihood: Literal["auto", "bernoulli", "gaussian"] = Field(
        "auto", description="of the pixels; auto is Bernoulli for grey, Gaussian for colour and for points"
    )
    conditional: bool = Field(True, description="learn to draw a chosen class, where the data has classes")


class Sampling(Fields):
    """How a trained decoder is asked."""

    truncation: float = Field(1.0, ge=0.0, le=2.0, description="scales the latent: below 1 is more typical, above 1 more unusual")


def divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, I)) in nats an item, of mu and logvar (B, latent): appendix B of the first paper."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum() / len(mu)


def drawn(noise: Tensor, posterior: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Noise (N, n), and mu and logvar side by side (N, 2n) -> z = mu + exp(logvar / 2) noise, mu, logvar; those of N(0, I) without."""
    if posterior is None:
        return noise, torch.zeros_like(noise), torch.zeros_like(noise)
    mu, logvar = posterior.chunk(2, 1)
    return mu + (0.5 * logvar).exp() * noise, mu, logvar


def log_ratio(noise: Tensor, z: Tensor, logvar: Tensor) -> Tensor:
    """log p(z) - log q(z|x) in nats, (N,), of z (N, latent) that `drawn` made of noise: both densities' constants cancel."""
    return 0.5 * (noise.square() + logvar - z.square()).sum(1)


class Shares(nn.Module):
    """x (B, *shape) of -1 to 1 -> (B, n) of 0 to 1, so that a background of -1 is nothing: as it is, it would be seven eighths of what a
    dense layer on digits sees, and of how far each step of Adam moves its outputs."""

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1) + 1) / 2


def glorot(network: nn.Module) -> None:
    """Draws the weights of a network's dense layers anew, after Glorot and Bengio 2010, and sets their biases to 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)


class Rung(nn.Module):
    """One latent layer of a ladder after the first: what the decoder has so far, h (N, w, b, b), with z_l (N, planes b b) in it."""

    def __init__(self, width: int, planes: int, base: int):
        super().__init__()
        self.planes = planes, base, base
        self.prior = nn.Conv2d(width, 2 * planes, 1)
        self.meet = nn.Sequential(
            nn.Conv2d(2 * width, width // 2, 1), nn.SiLU(), nn.Conv2d(width // 2, width // 2, 3, 1, 1), nn.SiLU(),
            nn.Conv2d(width // 2, 2 * planes, 1), nn.Flatten(),
        )  # fmt: skip
        self.rise = nn.Conv2d(planes, width, 1)
        self.block = Block(width)

    def begin(self, share: float) -> None:
        """Starts from the prior N(0, I), and with so small a share of what the layer usually adds to h (Child 2020, section 3.2)."""
        for part in self.prior.parameters():
            nn.init.zeros_(part)
        with torch.no_grad():
            for part in (*self.rise.parameters(), *self.block.net[-1].parameters()):
                part.mul_(share)

    def posterior(self, h: Tensor, seen: Tensor) -> Tensor:
        """h and what the encoder saw (N, w, b, b) -> mu and logvar of q(z_l | z_<l, x), side by side: (N, 2 planes b b)."""
        return self.meet(torch.cat([h, seen], 1))

    def forward(self, h: Tensor, z: Tensor) -> Tensor:
        m, log_s = self.prior(F.silu(h)).chunk(2, 1)
        return self.block(h + self.rise(m + log_s.exp() * z.unflatten(1, self.planes)))


class Model(Promise):
    """Encoder and decoder, as one family."""

    Config, Sampling = Config, Sampling
    modalities = ("image", "points", "audio")
    monitor = "loss"
    breakages: ClassVar = {"nothing into the latent": {"model.beta": 50.0}}
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
        "paper": {
            "about": "the small network that likelihoods are compared on",
            "model": {"network": "mlp", "latent": 50, "hidden": (200, 200), "activation": "tanh", "free_bits": 0.5, "conditional": False},
            "train": {"lr": 4e-3, "batch": 200, "decay": "cosine", "budget": 100},
            "size": 28,
        },
        "iwae": {
            "about": "the same on a tighter bound: 50 draws an item",
            "model": {"network": "mlp", "latent": 50, "hidden": (200, 200), "activation": "tanh", "conditional": False, "importance": 50},
            "train": {"lr": 1e-3, "batch": 100, "decay": "cosine", "budget": 100},
            "size": 28,
        },
        "hierarchical": {
            "about": "several latent layers; the likeliest pictures that two cores can learn",
            "model": {"network": "ladder", "latent": 32, "width": 32, "depth": 4, "planes": 1, "free_bits": 0.5, "conditional": False},
            "train": {"lr": 2e-3, "batch": 128, "decay": "cosine", "clip": 100.0, "budget": 30},
            "size": 28,
        },
        "hierarchical-gpu": {
            "about": "the same, wider and deeper; likelier still after eight minutes of an H100",
            "model": {"network": "ladder", "latent": 32, "width": 96, "depth": 6, "planes": 2, "free_bits": 0.5, "conditional": False},
            "train": {"lr": 2e-3, "batch": 256, "decay": "cosine", "clip": 100.0, "warmup": 500, "weight_decay": 0.02, "ema": 0.9995}
            | {"precision": "fp32", "budget": 75},
            "size": 28,
        },
        "grid": {
            "about": "a latent that is a small picture, for text_to_image to learn in; samples of its own are confetti",
            "model": {"network": "grid", "width": 32, "planes": 4},
            "train": {"lr": 2e-3, "batch": 32, "decay": "cosine", "clip": 100.0, "budget": 10},
            "size": 32,
        },
        "points": {
            "about": "points of the plane, and their likelihood; seconds",
            "model": {"network": "mlp", "latent": 2, "hidden": (128, 128)},
            "data": {"source": "moons"},
            "train": {"lr": 1e-3, "batch": 256, "decay": "cosine", "budget": 10},
            "size": 28,
        },
        "sound": {
            "about": "sounds: sliders are heard live, and a clip dropped into it comes back",
            "model": {"network": "conv", "latent": 32, "width": 20, "likelihood": "gaussian", "beta": 5.0},
            "train": {"lr": 2e-3, "batch": 64, "decay": "cosine", "clip": 100.0, "budget": 60},
            "data": {"source": "tones"},
            "size": 64,
        },
        "tiny": {
            "about": "for tests, seconds",
            "model": {"network": "conv", "latent": 4, "width": 4},
            "train": {"lr": 5e-3, "batch": 16, "ema": 0.9, "budget": 1, "precision": "fp32"},
            "size": 16,
        },
    }

    def __init__(self, config: Config, modality: Modality, classes: int):
        super().__init__()
        if config.importance > 1 and config.free_bits:
            raise ValueError(f"model.free_bits: {config.free_bits:g} needs model.importance 1: of more draws, no KL term is computed")
        self.shape = modality.space
        fits(config.network, modality)
        self.modality, self.pictured = modality, config.network == "mlp" and len(self.shape) == 3  # dense layers that draw pictures
        self.config, self.classes = config, classes if config.conditional and config.network != "grid" else 0
        grey = len(self.shape) == 3 and self.shape[0] == 1
        self.likelihood = ("bernoulli" if grey else "gaussian") if config.likelihood == "auto" else config.likelihood
        start = 0.0 if len(self.shape) == 3 else -2.0  # of few numbers the KL term would win before a deviation of 1 had shrunk
        self.log_sigma = nn.Parameter(torch.tensor(start)) if self.likelihood == "gaussian" else None
        self.embed = nn.Embedding(self.classes, 16) if self.classes else None
        label = 16 if self.classes else 0
        # x -> features -> what the encoder saw; z_1 and the label -> start -> h; h and z_l -> a rung -> h; h -> decoder -> p(x|z)
        self.start, self.rungs, self.sizes = nn.Identity(), nn.ModuleList(), [config.latent]
        if config.network == "mlp":
            activation = {"relu": nn.ReLU, "tanh": nn.Tanh}[config.activation]
            seen = config.hidden[-1]
            self.features = nn.Sequential(
                Shares() if self.pictured else nn.Flatten(), dense((math.prod(self.shape), *config.hidden), activation), activation()
            )
            self.decoder = nn.Sequential(
                dense((config.latent + label, *reversed(config.hidden), math.prod(self.shape)), activation), nn.Unflatten(1, self.shape)
            )
        elif config.network == "conv":
            seen = 8 * config.width
            self.features, self.decoder = halved(self.shape, config.width), doubled(config.latent + label, self.shape, config.width)
        elif config.network == "grid":
            channels, size, _ = self.shape
            if size % FACTOR:
                raise ValueError(f"data.size: {size} is not a multiple of {FACTOR}, as a grid needs")
            small, made = (config.planes, size // FACTOR, size // FACTOR), Codec.new(channels, config.planes, config.width)
            self.features, self.decoder, self.sizes = made.down, nn.Sequential(nn.Unflatten(1, small), made.up), [math.prod(small)]
        else:
            # C x s x s -> w x s/2 x s/2 -> 2w x s/4 x s/4, halved on to 2w x b x b with b from 4 to 7, and back
            channels, size, _ = self.shape
            base, halvings = pyramid(size)
            if not halvings:
                raise ValueError(f"data.size: {size} is below 8, the least of a ladder")
            widths = [channels, *(min(config.width << i, 2 * config.width) for i in range(halvings))]
            top = widths[-1]
            seen = top * base * base
            down = [m for a, b in itertools.pairwise(widths) for m in (nn.Conv2d(a, b, 4, 2, 1), Block(b))]
            up = [m for b, a in itertools.pairwise(widths[::-1]) for m in (Block(b), nn.SiLU(), nn.ConvTranspose2d(b, a, 4, 2, 1))]
            self.features, self.decoder = nn.Sequential(*down, Block(top)), nn.Sequential(*up)
            self.start = nn.Sequential(nn.Linear(config.latent + label, seen), nn.Unflatten(1, (top, base, base)))
            self.rungs.extend(Rung(top, config.planes, base) for _ in range(config.depth))
            if config.depth > TAME:  # of ten layers exp(log_s) would overflow before the first step
                for rung in self.rungs:
                    rung.begin((TAME / config.depth) ** 0.5)
            self.sizes += [config.planes * base * base] * config.depth
        self.latent, self.levels = (sum(self.sizes),), tuple(self.sizes) if self.rungs else ()
        self.posterior = nn.Identity() if config.network == "grid" else nn.Linear(seen + label, 2 * config.latent)
        if self.pictured:
            glorot(nn.ModuleList([self.features, self.posterior, self.decoder]))

    def prepare(self, items: Tensor) -> None:
        """Dense layers that draw pictures begin with the mean of all items, whatever z is, as in the code of Burda et al. 2015: else most
        of the latent is given up before each pixel's share of white is learnt."""
        if self.pictured:
            total = torch.stack([self.modality.encode(part).double().sum(0) for part in items.split(1000)]).sum(0)
            mean = (total / len(items)).float().flatten()
            with torch.no_grad():
                self.decoder[0][-1].bias.copy_(mean if self.log_sigma is not None else torch.logit((mean + 1) / 2, eps=1e-3))

    @property
    def codec(self) -> Codec | None:
        """A grid's two halves, for another model to learn between them."""
        return Codec(self.features, self.decoder[1], self.likelihood == "bernoulli") if self.config.network == "grid" else None

    def descend(self, noise: Tensor, condition: Tensor | None, seen: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """From noise (N, latent) down through the latent's layers: what the decoder takes, and z, mu and logvar, each (N, latent).

        With `seen`, what the encoder saw of N items, z is of q(z|x) = N(mu, exp(logvar)); without it is of the prior: the noise itself."""
        first, *others = noise.split(self.sizes, 1)
        label = noise[:, :0] if self.embed is None else self.embed(condition)
        layers = [drawn(first, None if seen is None else self.posterior(torch.cat([seen.flatten(1), label], 1)))]
        h = self.start(torch.cat([layers[0][0], label], 1))
        for rung, e in zip(self.rungs, others, strict=True):
            layers.append(drawn(e, None if seen is None else rung.posterior(h, seen)))
            h = rung(h, layers[-1][0])
        z, mu, logvar = (torch.cat(part, 1) for part in zip(*layers, strict=True))
        return h, z, mu, logvar

    def encode(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (B, C, S, S) -> mu, logvar, each (B, latent); of a ladder, each layer's where those above it are at their mu."""
        return self.descend(torch.zeros(len(x), *self.latent, device=x.device), condition, self.features(x))[2:]

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """z (B, latent) -> what p(x|z) is made of, (B, C, S, S): Bernoulli's logits or the Gaussian's mean."""
        return self.decoder(self.descend(z, condition)[0])

    def observed(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """What the likelihood is of: for Bernoulli, each pixel is -1 or 1, white with probability (x + 1) / 2."""
        if self.log_sigma is not None:
            return x
        return (x > torch.empty(x.shape, device=rng.device).uniform_(-1, 1, generator=rng).to(x.device)).to(x.dtype) * 2 - 1

    def log_p(self, x: Tensor, out: Tensor) -> Tensor:
        """log p(x|z) in nats of observed x (N, C, S, S) under what decode gives: (N,)."""
        if self.log_sigma is None:
            return -F.binary_cross_entropy_with_logits(out, (x + 1) / 2, reduction="none").flatten(1).sum(1)
        squares = 0.5 * ((x - out) / self.log_sigma.exp()).square().flatten(1).sum(1)
        return -squares - x[0].numel() * (self.log_sigma + 0.5 * math.log(2 * math.pi))

    def loss(self, phase: str, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        c, k = self.config, self.config.importance
        x = self.observed(batch.x, rng)
        noise = torch.randn(k * len(x), *self.latent, generator=rng, device=rng.device).to(x.device)
        seen, x, y = (v if v is None or k == 1 else v.repeat_interleave(k, 0) for v in (self.features(x), x, batch.y))
        h, z, mu, logvar = self.descend(noise, y, seen)
        log_p, kl = self.log_p(x, self.decoder(h)), divergence(mu, logvar)
        if k == 1:
            by_layer = torch.stack([divergence(*q) for q in zip(mu.split(self.sizes, 1), logvar.split(self.sizes, 1), strict=True)])
            loss = -log_p.mean() + c.beta * by_layer.clamp(min=c.free_bits).sum()
        else:
            log_w = (log_p + c.beta * log_ratio(noise, z, logvar)).view(-1, k)
            loss = math.log(k) - log_w.logsumexp(1).mean()
        return loss, {"loss": loss, "reconstruction": -log_p.mean(), "kl": kl}

    @torch.no_grad()
    def log_likelihood(self, x: Tensor, samples: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        """log p(x) in nats, (N,) of float64, of x (N, C, S, S) as observed, given the class where the model is conditional: the logarithm
        of the mean weight p(x, z) / q(z|x) of so many latents an item, which is below log p(x) in the mean, and less so the more there are.

        A pixel between black and white is drawn first, as in training; those of -1 and 1 stay."""
        x = self.observed(x, rng)
        seen, total, left = self.features(x), torch.full((len(x),), -math.inf, dtype=torch.float64, device=x.device), samples
        while left:
            k = min(left, max(1, ROWS // len(x)))
            noise = torch.randn(k * len(x), *self.latent, generator=rng, device=rng.device).to(x.device)
            y = None if condition is None else condition.repeat_interleave(k, 0)
            h, z, _, logvar = self.descend(noise, y, seen.repeat_interleave(k, 0))
            log_w = self.log_p(x.repeat_interleave(k, 0), self.decoder(h)) + log_ratio(noise, z, logvar)
            total = torch.logaddexp(total, log_w.double().view(-1, k).logsumexp(1))
            left -= k
        return total - math.log(samples)

    def signals(self, batch: Batch, own: Batch, trained: Batch | None = None) -> dict[str, Tensor]:
        mu, logvar = self.encode(batch.x, batch.y if self.classes else None)
        in_use = (mu.var(0, unbiased=False) > 0.01).float().mean()
        return {"information": divergence(mu, logvar), "in use": in_use}

    def surface(self, x: Tensor) -> Tensor | None:
        """log p(x, z) - log q(z|x) in nats at z = mu(x) of each x (N, *shape), without a class."""
        if self.classes:
            return None
        h, z, _, logvar = self.descend(torch.zeros(len(x), *self.latent, device=x.device), None, self.features(x))
        return self.log_p(x, self.decoder(h)) + log_ratio(torch.zeros_like(z), z, logvar)

    def sample(self, latents, sampling, condition=None, on_step=None):
        out = self.decode(latents * sampling.truncation, condition)
        return out.sigmoid() * 2 - 1 if self.log_sigma is None else out.clamp(-1, 1)
