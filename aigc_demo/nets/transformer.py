"""A transformer on patches of a picture (DiT: Peebles and Xie 2022, arXiv:2212.09748): dense layers alone, which suit a CPU."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import fused
from .condition import Condition


class Words(NamedTuple):
    """What a picture is told besides its times: tokens (B, L, W), and which of them there are, bool (B, L), at least the first of each."""

    tokens: Tensor
    there: Tensor


def waves(numbers: int, side: int, device: torch.device | None = None) -> Tensor:
    """Angles (side^2, 2 numbers) that tell a patch's row, then its column, at `numbers` speeds from 1.5 radians a patch downwards."""
    speed = 1.5 * 10.0 ** -(torch.arange(numbers, device=device) / numbers)
    steps = torch.arange(side, device=device)[:, None] * speed  # (side, numbers)
    return torch.cat([steps[:, None].expand(side, side, -1), steps.expand(side, side, -1)], 2).flatten(0, 1)


class Block(nn.Module):
    """Attention and a dense layer, each shifted, scaled and gated by the condition (adaLN-zero): h (B, T, W), c (B, W) -> (B, T, W).

    With `reads` each patch looks at words as it looks at the other patches, in one attention (as in Imagen: Saharia et al. 2022,
    arXiv:2205.11487, appendix B.1). With `turns` (fused.turns) attention knows how far two patches are apart, and with a `side`, of so
    many patches, the dense layer sees the eight around each (as in SANA: Xie et al. 2024, arXiv:2410.10629, section 2.2): edges that cross
    patches are learnt sooner."""

    def __init__(self, width: int, heads: int, reads: bool = False, side: int = 0):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))
        self.adapt = nn.Linear(width, 6 * width)
        self.words = nn.Linear(width, 2 * width) if reads else None
        self.side, self.near = side, nn.Conv2d(width, width, 3, padding=1, groups=width) if side else None

    def forward(self, h: Tensor, c: Tensor, words: Words | None = None, turns: tuple[Tensor, Tensor] | None = None) -> Tensor:
        shift, scale, gate, shift2, scale2, gate2 = self.adapt(c)[:, None].chunk(6, 2)
        # (B, T, 3W) -> q, k, v, each (B, heads, T, W / heads)
        q, k, v = self.qkv(self.norm(h) * (1 + scale) + shift).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if turns is not None:
            q, k = fused.turned(q, *turns), fused.turned(k, *turns)
        seen = None
        if words is not None:
            k2, v2 = self.words(words.tokens).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
            k, v = torch.cat([k, k2], 2), torch.cat([v, v2], 2)
            seen = F.pad(words.there, (h.shape[1], 0), value=True)[:, None, None]  # (B, 1, 1, T + L)
        h = h + gate * self.out(fused.attention(q, k, v, seen).transpose(1, 2).flatten(2))
        y = self.norm(h) * (1 + scale2) + shift2
        if self.side:
            y = y + self.near(y.transpose(1, 2).unflatten(2, (self.side, self.side))).flatten(2).transpose(1, 2)
        return h + gate2 * self.dense(y)


class Transformer(nn.Module):
    """x (B, C, S, S), times (B, `times`) and y (B,), `classes` for none -> (B, C, S, S), zero before any training; told in `Words` where
    it `reads`, the first of which is added to what it is told of the times. `near` gives its blocks their `side`.

    Raises ValueError where `patch` does not divide the size, or `heads` the width."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        times: int = 1,
        reads: bool = False,
        near: bool = False,
    ):
        super().__init__()
        channels, size, _ = shape
        if size % patch:
            raise ValueError(f"data.size: {size} is not a multiple of model.patch, {patch}")
        if width % heads:
            raise ValueError(f"model.width: {width} is not a multiple of model.heads, {heads}")
        self.patch, self.near, self.head = patch, near, width // heads
        numbers, tokens = channels * patch**2, (size // patch) ** 2
        self.condition = Condition(width, classes, times)
        self.inward = nn.Linear(numbers, width)
        angles = waves(width // 4, size // patch)
        self.place = nn.Parameter(0.5 * torch.cat([angles.sin(), angles.cos()], 1) if near else 0.02 * torch.randn(tokens, width))
        self.blocks = nn.ModuleList(Block(width, heads, reads, size // patch if near else 0) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.adapt = nn.Linear(width, 2 * width)
        self.outward = nn.Linear(width, numbers)
        for layer in (*(b.adapt for b in self.blocks), self.adapt, self.outward):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, times: Tensor, y: Tensor | None = None, words: Words | None = None) -> Tensor:
        c = self.condition(times, y, None if words is None else words.tokens[:, 0])
        side = x.shape[2] // self.patch
        h = self.inward(F.pixel_unshuffle(x, self.patch).flatten(2).transpose(1, 2)) + self.place  # (B, T, W)
        turns = fused.turns(waves(self.head // 4, side, h.device)) if self.near else None
        for block in self.blocks:
            h = block(h, c, words, turns)
        shift, scale = self.adapt(c)[:, None].chunk(2, 2)
        h = self.outward(self.norm(h) * (1 + scale) + shift)
        return F.pixel_shuffle(h.transpose(1, 2).unflatten(2, (side, side)), self.patch)
