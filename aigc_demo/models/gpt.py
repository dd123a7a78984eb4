"""A decoder-only transformer (Radford et al. 2019) as it is built today: it foretells each token of a text from those before it.

    loss = -log p(x_t | x_<t), meaned over t; a text is drawn token by token from p.
RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467), rotary positions (Su et al. 2021, arXiv:2104.09864), queries and keys of unit length
(QK-norm: Henry et al. 2020, arXiv:2010.04245), SwiGLU (Shazeer 2020, arXiv:2002.05202) or squared ReLU (So et al. 2021, arXiv:2109.08668).
With `counts` its logits are added to the log-probability that counting the text gives (nets/ngrams.py): it learns what counting cannot.
While it learns, each answer is counted in the other folds of the text alone, as a held-out one would be (stacking: Wolpert 1992)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ..config import ConfigError, Fields
from ..modality import BadItem, Modality
from ..model import Batch, Model as Promise
from ..nets import fused
from ..nets.ngrams import DENSE, Ngrams

LONGEST = 2048  # tokens of one sample


class Config(Fields):
    """The network."""

    width: int = Field(128, ge=8, le=4096, description="numbers a token")
    depth: int = Field(4, ge=1, le=64, description="blocks")
    heads: int = Field(4, ge=1, le=64, description="parts that attention looks with")
    hidden: int = Field(384, ge=8, le=16384, description="numbers between the two dense layers of a block")
    activation: Literal["swiglu", "relu2"] = Field("swiglu", description="between them: a gate, or the square of what is above 0")
    tied: bool = Field(False, description="read tokens and foretell them by the same numbers")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of what a block adds that is left out while it learns")
    counts: int = Field(0, ge=0, le=8, description="start from counting what follows this many tokens; 0 counts nothing")


class Sampling(Fields):
    """How a text is drawn."""

    prompt: str = Field("", max_length=4000, description="what the text begins with")
    temperature: float = Field(0.8, ge=0, le=2, description="below 1 is more typical, above 1 more unusual; 0 always takes the likeliest")
    top_k: int = Field(0, ge=0, le=10_000, description="draw from this many of the likeliest tokens; 0 is all")
    top_p: float = Field(1.0, gt=0, le=1, description="draw from the likeliest tokens that have this share of the probability")
    min_p: float = Field(0.0, ge=0, le=1, description="leave out what is less likely than this share of the likeliest")
    penalty: float = Field(1.0, ge=1, le=2, description="above 1 makes tokens that are there already less likely")
    length: int = Field(0, ge=0, le=LONGEST, description="tokens to write after the prompt; 0 is as many as are seen at once")
    until: str = Field("", max_length=20, description="end the text where this was written")


class Token(NamedTuple):
    """One written token with the probability that the model gave it, and the likeliest ones there, each with its own."""

    token: int
    p: float
    likeliest: tuple[tuple[int, float], ...]


class Cache:
    """The keys and values (B, heads, T, head) of what each block has seen, of at most `most` tokens, so that a new token costs no more than
    itself; and the `turns` of all these places."""

    def __init__(self, most: int, turns: tuple[Tensor, Tensor]) -> None:
        self.most, self.length, self.turns = most, 0, turns
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}

    def joined(self, block: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values of a block, with the new ones k, v at their end."""
        if block not in self.kept:
            self.kept[block] = tuple(x.new_empty(*x.shape[:2], self.most, x.shape[3]) for x in (k, v))
        for kept, x in zip(self.kept[block], (k, v), strict=True):
            kept.narrow(2, self.length, x.shape[2]).copy_(x)
        keys, values = (kept.narrow(2, 0, self.length + k.shape[2]) for kept in self.kept[block])
        return keys, values


def turns(width: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """For each of `count` positions the cosines and sines (count, width) of its angles, for fused.turned."""
    speed = 10_000 ** -(torch.arange(width // 2, device=device) / (width // 2))
    return fused.turns(torch.arange(count, device=device)[:, None] * speed)


class Block(nn.Module):
    """Attention to what came before, and a dense layer: h (B, T, W) -> (B, T, W)."""

    def __init__(self, config: Config, number: int):
        super().__init__()
        width, gates = config.width, 2 if config.activation == "swiglu" else 1
        self.number, self.heads, self.dropout, self.gated = number, config.heads, config.dropout, gates == 2
        self.norm, self.norm2 = fused.RMSNorm(width), fused.RMSNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.inward, self.outward = nn.Linear(width, gates * config.hidden, bias=False), nn.Linear(config.hidden, width, bias=False)

    def forward(self, h: Tensor, turn: tuple[Tensor, Tensor], cache: Cache | None) -> Tensor:
        qkv = self.qkv(self.norm(h)).view(*h.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (3, B, heads, T, W / heads)
        qk, v = qkv.split((2, 1))  # whose gradients are put together in one go, where those of indices are added to zeros
        (q, k), v = fused.turned(fused.unit(qk), *turn), v[0]
        k, v = cache.joined(self.number, k, v) if cache else (k, v)
        mixed = fused.attention(q, k, v, causal=q.shape[2] > 1)
        h = h + self._dropped(self.out(mixed.transpose(1, 2).flatten(2)))
        inner = self.inward(self.norm2(h))
        if self.gated:
            gate, inner = inner.chunk(2, 2)
            inner = F.silu(gate) * inner
        else:
            inner = fused.squared(inner)
        return h + self._dropped(self.outward(inner))

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout) if self.training and self.dropout else x


class Model(Promise):
    """The transformer, as one family. A latent (LONGEST,) holds the number by which each token is drawn: 0 is the middle of p."""

    Config, Sampling = Config, Sampling
    modalities = ("text",)
    monitor = "nats"
    smooth = False
    breakages: ClassVar = {"fifty items": {"data.limit": 10_000, "data.validation": 0.5}}  # of a text, characters
    presets: ClassVar = {
        "shakespeare": {
            "about": "characters, five minutes on two cores; starts from counting",
            "data": {"source": "tinyshakespeare", "validation": 0.1},
            "model": {"width": 128, "depth": 4, "heads": 4, "hidden": 384, "counts": 5},
            "train": {"lr": 4e-3, "beta2": 0.99, "batch": 16, "warmup": 50, "decay": "linear", "clip": 1.0, "ema": 0.0}
            | {"budget": 5, "unit": "minutes", "marks": 4, "kept_marks": 3, "weight_decay": 0.1},
            "size": 128,
        },
        "tang": {
            "about": "Tang poems by title and form, on a CPU",
            "data": {"source": "tang", "validation": 0.05},
            "model": {"width": 160, "depth": 4, "heads": 4, "hidden": 432, "tied": True},
            "train": {"lr": 2e-3, "beta2": 0.99, "batch": 8, "warmup": 100, "decay": "linear", "clip": 1.0, "ema": 0.0}
            | {"budget": 12, "unit": "minutes", "marks": 6, "kept_marks": 3, "weight_decay": 0.1, "weights": "float16"},
            "size": 96,
        },
        "gpu": {
            "about": "characters, nanoGPT's size of 10 million weights",
            "data": {"source": "tinyshakespeare", "validation": 0.1},
            "model": {"width": 384, "depth": 6, "heads": 6, "hidden": 1024, "dropout": 0.2, "counts": 5},
            "train": {"lr": 1e-3, "beta2": 0.99, "batch": 64, "warmup": 100, "decay": "linear", "clip": 1.0, "weight_decay": 0.1}
            | {"budget": 5000, "unit": "steps", "marks": 20, "ema": 0.99, "patience": 8},
            "size": 256,
        },
        "tiny": {
            "about": "for tests, seconds",
            "data": {"source": "tinyshakespeare", "validation": 0.1},
            "model": {"width": 32, "depth": 1, "heads": 2, "hidden": 64},
            "train": {"lr": 1e-2, "batch": 16, "ema": 0.9, "budget": 1, "precision": "fp32"},
            "size": 16,
        },
    }

    def __init__(self, config: Config, modality: Modality, classes: int):
        super().__init__()
        tokens, width = len(modality.pieces), config.width
        if width % (2 * config.heads):
            raise ValueError(f"model.width: {width} is not a multiple of twice model.heads, {config.heads}")
        if config.counts and tokens > DENSE:
            raise ValueError(f"model.counts: counts are kept for at most {DENSE} tokens, and the data has {tokens:,}; set it to 0")
        self.config, self.modality, self.latent, self.classes = config, modality, (LONGEST,), 0
        self.register_buffer("characters", modality.characters, persistent=False)  # how many characters each token has
        self.embed = nn.Embedding(tokens, width)
        self.blocks = nn.ModuleList(Block(config, i) for i in range(config.depth))
        self.norm = fused.RMSNorm(width)
        self.head = None if config.tied else nn.Linear(width, tokens, bias=False)
        self.ngrams = Ngrams(config.counts, tokens) if config.counts else None
        self.trust = nn.Linear(width, 1) if config.counts else None
        for name, p in self.named_parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=p.shape[1] ** -0.5)
            if name.endswith(("out.weight", "outward.weight", "trust.weight")):
                nn.init.zeros_(p)
        if self.head is not None:
            nn.init.zeros_(self.head.weight)
        if self.trust is not None:
            nn.init.ones_(self.trust.bias)

    def matrices(self) -> list[nn.Parameter]:
        """Those of the blocks."""
        return [p for p in self.blocks.parameters() if p.dim() == 2]

    def prepare(self, items: Tensor) -> None:
        """Counts the text whose windows, one a token, are items (N, context + 1)."""
        if self.ngrams is not None:
            self.ngrams.count(torch.cat([items[:, 0], items[-1, 1:]]), folded=True)

    def logits(self, x: Tensor, at: Tensor | None = None) -> Tensor:
        """Tokens x (B, T) -> logits (B, T, tokens) of the next; with `at` (B, T), where each of these stands in the text that `prepare`
        counted, the counts are those of the folds that it is not in."""
        h = self._read(x)
        return self._foretold(h) if self.ngrams is None else self._foretold(h) + self.trust(h) * self.ngrams(x, at)

    def _foretold(self, h: Tensor) -> Tensor:
        """h (..., W) -> logits (..., tokens), without what was counted; tied ones begin small, as those of a head begin as zeros."""
        return F.linear(h, self.embed.weight) * h.shape[-1] ** -0.5 if self.head is None else self.head(h)

    def _read(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        """Tokens x (B, T) -> h (B, T, W). With a `cache` they go on from what it holds, one at a time once it holds any."""
        h, count = self.embed(x), x.shape[1]
        turn = tuple(part.narrow(0, cache.length, count) for part in cache.turns) if cache else self._turns(count, x.device)
        for block in self.blocks:
            h = block(h, turn, cache)
        if cache:
            cache.length += count
        return self.norm(h)

    def _turns(self, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        return turns(self.config.width // self.config.heads, count, device)

    def loss(self, phase: str, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """In nats: "loss" a token, "nats" a character, and of held-out text "counting" a character, that of the counts alone. Where it is
        told the places of what it learns from, the counts are those of the text's other folds."""
        x, answers = batch.x[:, :-1].clamp(min=0), batch.x[:, 1:]
        at = None if batch.places is None else batch.places[:, None] + torch.arange(1, batch.x.shape[1], device=x.device)
        logits = self.logits(x, at)
        loss = F.cross_entropy(logits.flatten(0, 1).float(), answers.flatten(), ignore_index=self.modality.nothing)
        there = answers >= 0
        characters = (self.characters[answers.clamp(min=0)] * there).sum().clamp(min=1)
        terms = {"loss": loss, "nats": loss * there.sum() / characters}
        if self.ngrams is not None and not self.training:
            alone = self.ngrams(x).flatten(0, 1)
            terms["counting"] = F.nll_loss(alone, answers.flatten(), ignore_index=self.modality.nothing, reduction="sum") / characters
        return loss, terms

    def sample(
        self, latents: Tensor, sampling: Sampling, condition: Tensor | None = None, on_step: Callable[[int], None] | None = None
    ) -> Tensor:
        """Latents (N, LONGEST) -> the prompt and what follows it, int64 (N, n), nothing after an end. Raises ConfigError for a prompt
        that the model cannot read."""
        start, length = self.start(sampling.prompt), sampling.length or self.modality.context
        x = torch.full((len(latents), len(start) + length), self.modality.nothing, device=latents.device)
        x[:, : len(start)] = start
        for i, (token, _) in enumerate(self._written(latents, sampling)):
            x[:, len(start) + i] = token
            if on_step:
                on_step(i)
        return x

    def stream(self, latent: Tensor, sampling: Sampling, most: int = 5) -> Iterator[Token]:
        """The tokens after the prompt, one by one as they are drawn from a latent (LONGEST,): those of `sample`."""
        for token, logits in self._written(latent[None], sampling):
            if int(token) == self.modality.nothing:
                return
            p = logits[0].softmax(0)
            found = p.topk(min(most, len(p)))
            yield Token(int(token), float(p[token]), tuple(zip(found.indices.tolist(), found.values.tolist(), strict=True)))

    def counting(self, tokens: Tensor) -> Tensor | None:
        """-log p (T - 1,) in nats of each of tokens (T,) but the first by the counts alone; None where nothing was counted."""
        return None if self.ngrams is None or not len(self.ngrams.grams) else self.ngrams.score(tokens.to(self.ngrams.grams.device)).cpu()

    def start(self, prompt: str) -> Tensor:
        """The prompt's tokens (n,), or those of what stands for none. Raises ConfigError."""
        try:
            return self.modality.tokens(prompt or self.modality.start, "prompt")
        except BadItem as error:
            raise ConfigError(str(error)) from None

    @torch.no_grad()
    def _written(self, latents: Tensor, sampling: Sampling) -> Iterator[tuple[Tensor, Tensor]]:
        """For each place after the prompt tokens (N,), nothing where a text has ended, and the logits (N, tokens) they were drawn by."""
        context, start = self.modality.context, self.start(sampling.prompt)
        end = self.start(sampling.until).to(latents.device) if sampling.until else None
        x = start.to(latents.device).expand(len(latents), -1)
        cache = Cache(context, self._turns(context, x.device))
        over = torch.zeros(len(latents), dtype=torch.bool, device=latents.device)
        # uniform on 0 to below 1; drawn from on the CPU, as not every GPU has doubles
        chance = torch.special.ndtr(latents.cpu().double()).clamp(max=1 - 2**-52)
        new = x[:, -context:]
        for i in range(sampling.length or context):
            if cache.length + new.shape[1] > context:  # all that can be seen at once is full: go on from its later half
                cache, new = Cache(context, cache.turns), x[:, -(context // 2) :]
            logits = self._next(x, new, cache)
            token = drawn(penalised(logits, x, sampling.penalty).cpu(), sampling, chance[:, i]).to(x.device)
            x, new = torch.cat([x, token[:, None]], 1), token[:, None]
            yield torch.where(over, self.modality.nothing, token), logits
            if end is not None:
                over = over | (x[:, -len(end) :] == end).all(1)
                if over.all():
                    return

    def _next(self, x: Tensor, new: Tensor, cache: Cache) -> Tensor:
        """Logits (N, tokens) of what follows x (N, T), of which the cache lacks `new`."""
        h = self._read(new, cache)[:, -1]
        logits = self._foretold(h)
        return logits if self.ngrams is None else logits + self.trust(h) * self.ngrams.last(x)


def penalised(logits: Tensor, x: Tensor, penalty: float) -> Tensor:
    """Logits (N, tokens), those of what is in x (N, T) made less likely (Keskar et al. 2019, arXiv:1909.05858, section 4.1)."""
    if penalty == 1:
        return logits
    there = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, x, True)
    return torch.where(there, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def drawn(logits: Tensor, sampling: Sampling, chance: Tensor) -> Tensor:
    """The token (N,) at `chance` (N,), below 1, of the distribution function over tokens from the likeliest on, after what the settings
    leave of it: top_k (Fan et al. 2018, arXiv:1805.04833), top_p (Holtzman et al. 2020, arXiv:1904.09751), min_p (arXiv:2407.01082)."""
    if sampling.temperature == 0:
        return logits.argmax(1)
    p, order = (logits.double() / sampling.temperature).softmax(1).sort(dim=1, descending=True, stable=True)
    if sampling.top_k or sampling.top_p < 1 or sampling.min_p:
        keep = (p.cumsum(1) - p < sampling.top_p) & (p >= sampling.min_p * p[:, :1])
        keep[:, sampling.top_k or len(p[0]) :] = False
        p = p * keep
    total = p.cumsum(1)
    place = (total <= chance[:, None] * total[:, -1:]).sum(1)
    return order.gather(1, place[:, None])[:, 0]
