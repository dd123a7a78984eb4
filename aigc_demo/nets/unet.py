"""A U-Net of residual blocks with attention at its coarsest scale (Ho et al. 2020, arXiv:2006.11239, appendix B)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import fused
from .condition import Condition


def norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(next(n for n in (32, 16, 8, 4, 2, 1) if width % n == 0 and width // n >= 2), width, eps=1e-6)


def zero(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Residual(nn.Module):
    """h (B, before, s, s), c (B, W) -> (B, after, s, s): two convolutions, the second scaled and shifted by the condition."""

    def __init__(self, before: int, after: int, condition: int):
        super().__init__()
        self.first = nn.Sequential(norm(before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1))
        self.norm, self.adapt = norm(after), nn.Linear(condition, 2 * after)
        self.second = zero(nn.Conv2d(after, after, 3, padding=1))
        self.skip = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        scale, shift = self.adapt(c)[..., None, None].chunk(2, 1)
        return self.skip(h) + self.second(F.silu(self.norm(self.first(h)) * (1 + scale) + shift))


class Attention(nn.Module):
    """h (B, W, s, s) -> (B, W, s, s): each place looks at all others."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.qkv, self.out = norm(width), nn.Conv2d(width, 3 * width, 1), zero(nn.Conv2d(width, width, 1))

    def forward(self, h: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(h)).flatten(2).transpose(1, 2)[:, None].chunk(3, 3)  # (B, 1, s s, W)
        return h + self.out(fused.attention(q, k, v)[:, 0].transpose(1, 2).view_as(h))


class UNet(nn.Module):
    """x (B, C, S, S), times (B, `times`) and y (B,), `classes` for none -> (B, C, S, S), zero before any training.

    Channels are `width` times each of `scales`, from the full size downwards, each scale half the size of the one before. Raises
    ValueError for a size that cannot be halved so often."""

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int, scales: tuple[int, ...], depth: int, times: int = 1):
        super().__init__()
        channels, size, _ = shape
        if size % (1 << len(scales) - 1):
            raise ValueError(f"data.size: {size} is not a multiple of {1 << len(scales) - 1}, as a U-Net of {len(scales)} scales needs")
        self.condition = Condition(4 * width, classes, times)
        self.inward = nn.Conv2d(channels, width, 3, padding=1)
        widths = [width * s for s in scales]
        kept, now = [width], width  # what the way up gets handed over
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        for i, w in enumerate(widths):
            blocks = nn.ModuleList()
            for _ in range(depth):
                blocks.append(Residual(now, w, 4 * width))
                now = w
                kept.append(now)
            self.down.append(blocks)
            if i < len(widths) - 1:
                self.shrink.append(nn.Conv2d(now, now, 3, 2, 1))
                kept.append(now)
        self.middle = nn.ModuleList([Residual(now, now, 4 * width), Residual(now, now, 4 * width)])
        self.attention = Attention(now)
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for i, w in reversed(list(enumerate(widths))):
            blocks = nn.ModuleList()
            for _ in range(depth + 1):
                blocks.append(Residual(now + kept.pop(), w, 4 * width))
                now = w
            self.up.append(blocks)
            if i:
                self.grow.append(nn.Conv2d(now, now, 3, padding=1))
        self.outward = nn.Sequential(norm(now), nn.SiLU(), zero(nn.Conv2d(now, channels, 3, padding=1)))

    def forward(self, x: Tensor, times: Tensor, y: Tensor | None = None) -> Tensor:
        c = self.condition(times, y)
        h = self.inward(x)
        kept = [h]
        for i, blocks in enumerate(self.down):
            for block in blocks:
                h = block(h, c)
                kept.append(h)
            if i < len(self.shrink):
                h = self.shrink[i](h)
                kept.append(h)
        h = self.middle[1](self.attention(self.middle[0](h, c)), c)
        for i, blocks in enumerate(self.up):
            for block in blocks:
                h = block(torch.cat([h, kept.pop()], 1), c)
            if i < len(self.grow):
                h = self.grow[i](F.interpolate(h, scale_factor=2.0, mode="nearest"))
        return self.outward(h)
