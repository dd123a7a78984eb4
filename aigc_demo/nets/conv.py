"""How convolutional and dense stacks scale to a picture's size."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor, nn


class Kind(Protocol):
    """What of a modality says whether convolutions work on it."""

    kind: str
    shape: tuple[int, ...]


def fits(network: str, of: Kind) -> None:
    """Raises ValueError where a network of convolutions, any but mlp, is to work on x that are no pictures."""
    if network != "mlp" and len(of.shape) != 3:
        raise ValueError(f"model.network: {network} is of convolutions, and these are {of.kind}: mlp works on them")


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


def halved(shape: tuple[int, int, int], width: int) -> nn.Sequential:
    """The small encoder: x (B, C, s, s) -> w x s/2 x s/2 -> 2w x s/4 x s/4 -> features (B, 8w).

    Raises ValueError for an s that is not a multiple of 4 from 8 on."""
    channels, base, w = shape[0], _quarter(shape[1]), width
    return nn.Sequential(
        nn.Conv2d(channels, w, 4, 2, 1), nn.SiLU(), nn.Conv2d(w, 2 * w, 4, 2, 1), nn.SiLU(),
        nn.Flatten(), nn.Linear(2 * w * base * base, 8 * w), nn.SiLU(),
    )  # fmt: skip


def doubled(inputs: int, shape: tuple[int, int, int], width: int) -> nn.Sequential:
    """The small decoder, `halved` backwards: (B, inputs) -> 8w -> 2w x s/4 x s/4 -> w x s/2 x s/2 -> (B, C, s, s). Raises as `halved`."""
    channels, base, w = shape[0], _quarter(shape[1]), width
    return nn.Sequential(
        nn.Linear(inputs, 8 * w), nn.SiLU(), nn.Linear(8 * w, 2 * w * base * base), nn.SiLU(), nn.Unflatten(1, (2 * w, base, base)),
        nn.ConvTranspose2d(2 * w, w, 4, 2, 1), nn.SiLU(), nn.ConvTranspose2d(w, channels, 4, 2, 1),
    )  # fmt: skip


def _quarter(size: int) -> int:
    if size % 4 or size < 8:
        raise ValueError(f"data.size: {size} is not a multiple of 4 from 8 on, as these convolutions need")
    return size // 4


def dense(widths: Sequence[int], activation: Callable[[], nn.Module]) -> nn.Sequential:
    """Linear layers between `widths`, with `activation` between them and none after the last: (B, widths[0]) -> (B, widths[-1])."""
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(itertools.pairwise(widths)):
        layers += ([activation()] if i else []) + [nn.Linear(before, after)]
    return nn.Sequential(*layers)


class Block(nn.Module):
    """A residual bottleneck, as in very deep VAEs (Child 2020, arXiv:2011.10650): h (N, w, b, b) -> the same."""

    def __init__(self, width: int):
        super().__init__()
        self.net = nn.Sequential(
            nn.SiLU(), nn.Conv2d(width, width // 2, 1), nn.SiLU(), nn.Conv2d(width // 2, width // 2, 3, 1, 1),
            nn.SiLU(), nn.Conv2d(width // 2, width, 1),
        )  # fmt: skip

    def forward(self, h: Tensor) -> Tensor:
        return h + self.net(h)
