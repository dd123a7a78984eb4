"""How convolutional and dense stacks scale to a picture's size."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from torch import nn


def pyramid(size: int, low: int = 4) -> tuple[int, int]:
    """(base, halvings) with size = base * 2**halvings and low <= base < 2 * low: 28 -> (7, 2), 64 -> (4, 4).

    Raises ValueError for a size that halves to no such base."""
    halvings = 0
    base = size
    while base % 2 == 0 and base // 2 >= low:
        base, halvings = base // 2, halvings + 1
    if not low <= base < 2 * low:
        near = [b << k for b in range(low, 2 * low) for k in range(9) if b << k <= 512]
        near = sorted(sorted(near, key=lambda n: abs(n - size))[:4])
        raise ValueError(
            f"data.size: {size} does not halve down to {low} to {2 * low - 1}; sizes near it that do: {', '.join(map(str, near))}"
        )
    return base, halvings


def dense(widths: Sequence[int], activation: Callable[[], nn.Module]) -> nn.Sequential:
    """Linear layers between `widths`, with `activation` between them and none after the last: (B, widths[0]) -> (B, widths[-1])."""
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(itertools.pairwise(widths)):
        layers += ([activation()] if i else []) + [nn.Linear(before, after)]
    return nn.Sequential(*layers)
