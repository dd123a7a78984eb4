"""Points of the plane drawn by this program from distributions that are known: what a model finds of them can be counted."""

from __future__ import annotations

import math

import torch

REACH = 5.0  # every set lies within -5 to 5
GRID = tuple((x, y) for y in (-4.0, -2.0, 0.0, 2.0, 4.0) for x in (-4.0, -2.0, 0.0, 2.0, 4.0))
RING = tuple((4 * math.cos(k * math.pi / 4), 4 * math.sin(k * math.pi / 4)) for k in range(8))
SIGMA = {"grid25": 0.05, "ring": 0.15, "moons": 0.15}  # the deviation of each part, across the line for moons


def draw(name: str, count: int, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Points float32 (count, 2) of a set, and the part (count,) that each comes from.

    grid25: 25 Gaussians (the grid of Dumoulin et al. 2016, arXiv:1606.00704, as PacGAN measures it); ring: 8 of them; moons: two half
    circles that reach into one another."""
    if name == "moons":
        part = torch.randint(2, (count,), generator=rng)
        turn = math.pi * (torch.rand(count, generator=rng) + part)
        middle = torch.stack([3 * turn.cos() + 3 * part - 1.5, 3 * turn.sin() + 1.5 * part - 0.75], 1)
    else:
        means = torch.tensor(GRID if name == "grid25" else RING)
        part = torch.randint(len(means), (count,), generator=rng)
        middle = means[part]
    return (middle + SIGMA[name] * torch.randn(count, 2, generator=rng)).clamp(-REACH, REACH), part
