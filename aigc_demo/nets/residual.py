"""Dense layers that are told times and a class, for x of a few numbers, such as points of the plane."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .condition import Condition


class Residual(nn.Module):
    """x (B, n), times (B, `times`) and y (B,), `classes` for none -> (B, n), zero before any training: h + dense(silu(norm(h) + c))."""

    def __init__(self, numbers: int, classes: int, width: int, depth: int, times: int = 1):
        super().__init__()
        self.condition = Condition(width, classes, times)
        self.inward = nn.Linear(numbers, width)
        self.blocks = nn.ModuleList(nn.ModuleList([nn.LayerNorm(width), nn.Linear(width, width)]) for _ in range(depth))
        self.outward = nn.Linear(width, numbers)
        nn.init.zeros_(self.outward.weight)
        nn.init.zeros_(self.outward.bias)

    def forward(self, x: Tensor, times: Tensor, y: Tensor | None = None) -> Tensor:
        c, h = self.condition(times, y), self.inward(x)
        for norm, layer in self.blocks:
            h = h + layer(F.silu(norm(h) + c))
        return self.outward(h)
