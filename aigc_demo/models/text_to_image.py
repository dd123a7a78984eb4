"""Pictures from words: flow matching on patches that look at the words of a caption (Esser et al. 2024, arXiv:2403.03206, made small).

Noise x_0 goes to a picture x_1 on a straight line, x_t = (1 - t) x_0 + t x_1, and the network learns the velocity of all lines through x_t
that a caption c belongs to (rectified flow: Liu et al. 2022, arXiv:2209.03003):
    loss = E |v(x_t, t, c) - (x_1 - x_0)|^2,  t from a logit-normal around EARLY: what stands where is settled near the noise.
A small transformer, trained along with it, reads the caption. Some captions are left out while it learns, so that a sample can go further
towards its prompt than the prompt alone leads (classifier-free guidance: Ho and Salimans 2022, arXiv:2207.12598):
    v = v(negative) + guidance (v(prompt) - v(negative)).
Words have no list: each is hashed to one of NUMBERS, so any language can be read, and what was never learnt from is known by its number."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from .. import samplers
from ..config import ConfigError, Fields
from ..modality import Modality
from ..model import Batch, Model as Promise
from ..nets.condition import dropped
from ..nets.transformer import Transformer, Words

EARLY = -1.0  # the mean of logit t
NUMBERS = 4096  # that words are hashed to; 0 is no word
LONGEST = 32  # words of a caption that are read
ALONE = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"  # Chinese, Japanese, Korean: each character is a word
WORD = re.compile(rf"[{ALONE}]|[^\W_{ALONE}]+")


class Config(Fields):
    """The network, and how it is followed."""

    width: int = Field(128, ge=8, le=2048, description="numbers a patch, and a word")
    depth: int = Field(6, ge=1, le=64, description="blocks that draw")
    reading: int = Field(2, ge=1, le=24, description="blocks that read")
    patch: int = Field(4, ge=1, le=64, description="side of a patch in pixels; smaller is finer and slower")
    heads: int = Field(4, ge=1, le=64, description="parts that attention looks with")
    drop: float = Field(0.1, ge=0, lt=1, description="share of the captions that are left out, so that guidance can tell one from none")
    steps: int = Field(8, ge=1, le=1000, description="steps from noise to a picture, where a sampling asks for none")


class Sampling(Fields):
    """What is to be drawn, and how the flow is followed."""

    prompt: str = Field("", max_length=400, description="what is to be drawn; empty is anything that it learnt")
    negative: str = Field("", max_length=400, description="what is to be kept out; empty is nothing in particular")
    toward: str = Field("", max_length=400, description="a second prompt, to go to from the first")
    mix: float = Field(0.0, ge=0, le=1, description="how far to go towards the second prompt")
    guidance: float = Field(2.0, ge=0, le=8, description="how far beyond the prompt to go; 1 is what it learnt, in half the time")
    steps: int = Field(0, ge=0, le=1000, description="steps from noise to a picture; 0 is as the model was made for")
    method: Literal["euler", "heun"] = Field("heun", description="of a step; heun looks twice and errs less")
    truncation: float = Field(1.0, ge=0.0, le=2.0, description="scales the latent: below 1 is more typical, above 1 more unusual")


def words(text: str) -> list[str]:
    """What a text consists of: words in small letters, and each character of Chinese, Japanese and Korean by itself."""
    return WORD.findall(text.lower())


def number(word: str) -> int:
    """The number of a word, 1 to NUMBERS - 1, the same on every machine."""
    return 1 + int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big") % (NUMBERS - 1)


class Reader(nn.Module):
    """Captions int64 (B, L) -> Words of a token more, which comes first and stands for the whole."""

    def __init__(self, width: int, heads: int, depth: int):
        super().__init__()
        self.embed = nn.Embedding(NUMBERS, width)
        self.place = nn.Parameter(0.5 * torch.randn(1 + LONGEST, width))  # as loud as the words: what is left of what is their order
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        nn.init.normal_(self.embed.weight, std=0.5)

    def forward(self, said: Tensor) -> Words:
        there = nn.functional.pad(said > 0, (1, 0), value=True)
        tokens = self.embed(nn.functional.pad(said, (1, 0))) + self.place[: 1 + said.shape[1]]
        return Words(self.blocks(tokens, src_key_padding_mask=~there), there)


class Model(Promise):
    """The velocity and its reader, as one family. A latent is the noise x_0, of the shape of x.

    `learnt` (NUMBERS,) says which words it learnt from."""

    Config, Sampling = Config, Sampling
    modalities = ("image", "latents")
    monitor = "velocity"
    reads = True
    draft: ClassVar = {"steps": 4, "method": "euler"}
    presets: ClassVar = {
        "cpu": {
            "about": "scenes that a sentence describes, in English or Chinese; twenty minutes on a core",
            "model": {"width": 96, "depth": 4, "heads": 4, "patch": 4},
            "data": {"source": "scenes"},
            "train": {"lr": 2e-3, "beta2": 0.99, "batch": 16, "warmup": 200, "decay": "cosine", "clip": 1.0}
            | {"budget": 11000, "unit": "steps", "marks": 4, "weights": "float16"},
            "size": 32,
        },
        "gpu": {
            "about": "the same, four times as wide, for pictures of more than shapes",
            "model": {"width": 384, "depth": 10, "heads": 6, "patch": 4, "reading": 4, "steps": 16},
            "data": {"source": "scenes"},
            "train": {"lr": 5e-4, "beta2": 0.99, "batch": 256, "warmup": 1000, "decay": "cosine", "clip": 1.0, "budget": 100},
            "size": 32,
        },
        "tiny": {
            "about": "for tests, seconds",
            "model": {"width": 32, "depth": 1, "heads": 2, "reading": 1, "steps": 2},
            "data": {"source": "scenes"},
            "train": {"lr": 5e-3, "batch": 16, "ema": 0.9, "budget": 1},
            "size": 16,
        },
    }

    def __init__(self, config: Config, modality: Modality, classes: int):
        super().__init__()
        self.config, self.latent, self.classes = config, modality.space, 0  # a class is told by its name
        if config.width % (4 * config.heads):
            raise ValueError(f"model.width: {config.width} is not a multiple of four times model.heads, {config.heads}")
        self.network = Transformer(modality.space, 0, config.patch, config.width, config.depth, config.heads, reads=True, near=True)
        self.reader = Reader(config.width, config.heads, config.reading)
        self.register_buffer("learnt", torch.zeros(NUMBERS, dtype=torch.bool))

    @classmethod
    def halves(cls, config: Config) -> bool:
        """None: with its words and its small convolutions among the patches it is a tenth slower (benchmarks/half.py)."""
        return False

    def read(self, captions: Sequence[str]) -> Tensor:
        """The numbers of the first LONGEST words of each caption, int64 (N, L)."""
        said = [[number(word) for word in words(caption)[:LONGEST]] for caption in captions]
        longest = max(1, *map(len, said)) if said else 1
        return torch.tensor([own + [0] * (longest - len(own)) for own in said]).view(len(said), longest)

    def velocity(self, x: Tensor, t: Tensor | float, told: Words) -> Tensor:
        """x (N, *shape) at t, (N,) or one number, told in words -> dx/dt."""
        t = torch.as_tensor(t, dtype=x.dtype, device=x.device).expand(len(x))
        return self.network(x, t[:, None], words=told)

    def loss(self, phase: str, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        x_1, n = batch.x, len(batch.x)
        said = torch.zeros(n, 1, dtype=torch.int64, device=x_1.device) if batch.said is None else batch.said
        if self.training:
            self.learnt.index_fill_(0, said.flatten(), True)
        x_0 = torch.randn(x_1.shape, generator=rng, device=rng.device).to(x_1.device)
        t = (EARLY + torch.randn(n, generator=rng, device=rng.device)).sigmoid().to(x_1.device)
        told = self.reader(dropped(said, 0, self.config.drop, rng))
        error = self.velocity(torch.lerp(x_0, x_1, samplers.across(t, x_1)), t, told) - (x_1 - x_0)
        loss = error.square().mean()
        return loss, {"velocity": loss}

    def strange(self, prompt: str) -> list[str]:
        """The words of a prompt that were in no caption that the model learnt from."""
        return [word for word in dict.fromkeys(words(prompt)) if not self.learnt[number(word)]]

    def asked(self, field: str, prompt: str) -> Tensor:
        """What a prompt says, int64 (1, L). Raises ConfigError, by the name of its field, for a word that was in no caption that the model
        learnt from, and for too many words."""
        found = words(prompt)
        if len(found) > LONGEST:
            raise ConfigError(f"{field}: {len(found)} words are too many: at most {LONGEST} are read")
        if strange := self.strange(prompt):
            be = "was" if len(strange) == 1 else "were"
            raise ConfigError(f"{field}: {', '.join(map(repr, strange))} {be} in no caption that this model learnt from")
        return self.read([prompt]).to(self.learnt.device)

    def sample(
        self, latents: Tensor, sampling: Sampling, condition: Tensor | None = None, on_step: Callable[[int], None] | None = None
    ) -> Tensor:
        """Latents (N, *latent) -> x (N, *shape) of the prompt, or of what is said (N, L) of each. Raises ConfigError as `asked`."""
        return self._follow(latents, sampling, condition, on_step).clamp(-1, 1)

    def stages(self, latents: Tensor, sampling: Sampling) -> Tensor:
        """What `sample` goes through: x_t (steps + 1, N, *shape) from the latents to the picture. Raises as `sample`."""
        seen = [latents * sampling.truncation]

        def settle(x: Tensor, t: float) -> Tensor:
            seen.append(x)
            return x

        self._follow(latents, sampling, settle=settle)
        return torch.stack(seen).clamp(-1, 1)

    def _follow(
        self,
        latents: Tensor,
        sampling: Sampling,
        condition: Tensor | None = None,
        on_step: samplers.OnStep | None = None,
        settle: samplers.Settle | None = None,
    ) -> Tensor:
        def field(said: Tensor) -> samplers.Velocity:
            told = Words(*(part.expand(len(latents), *part.shape[1:]) for part in self.reader(said)))
            return lambda x, t: self.velocity(x, t, told)

        prompt = self.asked("prompt", sampling.prompt) if condition is None else condition
        goal = field(prompt)
        if sampling.mix:
            goal = samplers.guided(field(self.asked("toward", sampling.toward)), goal, sampling.mix)
        negative = self.asked("negative", sampling.negative)
        if bool(prompt.any()) or bool(negative.any()) or sampling.mix:
            goal = samplers.guided(goal, field(negative), sampling.guidance)
        times = samplers.grid(0.0, 1.0, sampling.steps or self.config.steps)
        return samplers.METHODS[sampling.method](goal, latents * sampling.truncation, times, on_step, settle)
