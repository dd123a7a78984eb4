"""How a network that draws step by step is told times and a class: one vector an item."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FREQUENCIES = 64
HIGHEST = 100.0  # radians a unit: a time is told to about a hundredth, and its derivative, which one-step objectives take, stays tame


class Condition(nn.Module):
    """Times (B, K), each about -2 to 2, and where there are classes y (B,), 0 to `classes`, the last for none -> (B, width)."""

    def __init__(self, width: int, classes: int, times: int = 1):
        super().__init__()
        self.times = nn.Sequential(nn.Linear(times * 2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.embed = nn.Embedding(classes + 1, width) if classes else None

    def forward(self, times: Tensor, y: Tensor | None = None, more: Tensor | None = None) -> Tensor:
        """`more` (B, width) is what else the network is to be told."""
        angles = times[..., None] * HIGHEST ** torch.linspace(0, 1, FREQUENCIES, device=times.device)
        h = self.times(torch.cat([angles.cos(), angles.sin()], -1).flatten(1))
        h = h if self.embed is None else h + self.embed(y)
        return F.silu(h if more is None else h + more)


def dropped(y: Tensor | None, classes: int, share: float, rng: torch.Generator) -> Tensor | None:
    """Classes y (B,), or captions (B, L), about `share` of them replaced by `classes`, which means none: so one network learns both fields
    of guidance."""
    if y is None:
        return None
    left_out = (torch.rand(len(y), generator=rng, device=rng.device) < share).to(y.device)
    return torch.where(left_out.view(-1, *[1] * (y.dim() - 1)), classes, y)
