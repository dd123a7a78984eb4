"""A transformer on patches of a picture (DiT: Peebles and Xie 2022, arXiv:2212.09748): dense layers alone, which suit a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .condition import Condition


class Block(nn.Module):
    """Attention and a dense layer, each shifted, scaled and gated by the condition (adaLN-zero): h (B, T, W), c (B, W) -> (B, T, W)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))
        self.adapt = nn.Linear(width, 6 * width)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        shift, scale, gate, shift2, scale2, gate2 = self.adapt(c)[:, None].chunk(6, 2)
        # (B, T, 3W) -> q, k, v, each (B, heads, T, W / heads)
        q, k, v = self.qkv(self.norm(h) * (1 + scale) + shift).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        h = h + gate * self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return h + gate2 * self.dense(self.norm(h) * (1 + scale2) + shift2)


class Transformer(nn.Module):
    """x (B, C, S, S), times (B, `times`) and y (B,), `classes` for none -> (B, C, S, S), zero before any training.

    Raises ValueError where `patch` does not divide the size, or `heads` the width."""

    def __init__(self, shape: tuple[int, int, int], classes: int, patch: int, width: int, depth: int, heads: int, times: int = 1):
        super().__init__()
        channels, size, _ = shape
        if size % patch:
            raise ValueError(f"data.size: {size} is not a multiple of model.patch, {patch}")
        if width % heads:
            raise ValueError(f"model.width: {width} is not a multiple of model.heads, {heads}")
        self.patch = patch
        numbers, tokens = channels * patch**2, (size // patch) ** 2
        self.condition = Condition(width, classes, times)
        self.inward = nn.Linear(numbers, width)
        self.place = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.adapt = nn.Linear(width, 2 * width)
        self.outward = nn.Linear(width, numbers)
        for layer in (*(b.adapt for b in self.blocks), self.adapt, self.outward):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, times: Tensor, y: Tensor | None = None) -> Tensor:
        c = self.condition(times, y)
        side = x.shape[2] // self.patch
        h = self.inward(F.pixel_unshuffle(x, self.patch).flatten(2).transpose(1, 2)) + self.place  # (B, T, W)
        for block in self.blocks:
            h = block(h, c)
        shift, scale = self.adapt(c)[:, None].chunk(2, 2)
        h = self.outward(self.norm(h) * (1 + scale) + shift)
        return F.pixel_shuffle(h.transpose(1, 2).unflatten(2, (side, side)), self.patch)
