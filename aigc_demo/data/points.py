"""Points of the plane, drawn by this program from distributions that are known, or by hand and read from a file."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence

import numpy as np
import torch

from .cleaning import DataError, Ledger, shown

SUFFIX = ".points"  # of a file of them: a line each, two numbers with a space or a comma between
MOST, LARGEST = 1_000_000, 64 << 20  # points, bytes of a file
FARTHEST = 1000.0
REACH = 5.0  # every set that is drawn here lies within -5 to 5
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


def written(drawn: Sequence[tuple[float, float]]) -> bytes:
    """The file of points (x, y) that `read` reads."""
    return "".join(f"{x:.6g} {y:.6g}\n" for x, y in drawn).encode()


def read(path: str) -> tuple[torch.Tensor, float, Ledger]:
    """Points float32 (n, 2) of a file, how far a square about 0 has to reach to hold them, and the account. Raises DataError."""
    where = shown(os.path.basename(path))
    with open(path, "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise DataError(f"{where}: larger than the {LARGEST >> 20} MB that a file of points may have")
    lines = data.replace(b",", b" ").splitlines()
    try:
        drawn = np.loadtxt(io.BytesIO(b"\n".join(lines[: MOST + 1])), dtype=np.float32, ndmin=2) if any(map(bytes.strip, lines)) else None
    except (ValueError, OverflowError) as error:
        raise DataError(f"{where}: not two numbers a line: {shown(str(error).splitlines()[0])}") from None
    if drawn is None or drawn.shape[1] != 2:
        raise DataError(f"{where}: not two numbers a line")
    if len(drawn) > MOST:
        raise DataError(f"{where}: more than {MOST:,} points")
    far = float(np.abs(drawn).max())
    if not far <= FARTHEST:  # a NaN is not
        raise DataError(f"{where}: a point lies beyond {FARTHEST:g}, or nowhere")
    return torch.from_numpy(drawn), max(REACH, far), Ledger(len(drawn), thing="point")
