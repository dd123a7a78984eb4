"""What a direction changes, measured on samples that it was not found on, and the name that follows where one thing explains most of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .methods import Look, Reading, columns, drawn

HELD = 64  # latents that a direction is judged on
REACH = 2.0  # standard deviations to either side: what a slider shows in most of its travel
MOVED = 1.2  # a name needs the measure to move so many of its standard deviations, from one end to the other, in the mean,
STEADY = 0.85  # the same way in at least this share of the latents,
SHARE = 0.4  # and to have at least this share of the squared movement of all measures


@dataclass(frozen=True)
class Word:
    """What was found to say of a direction: the number of the measure that explains most of its movement, -1 where none does, and 1 where
    that grows along the direction, -1 where it falls."""

    measure: int
    sign: float


@torch.no_grad()
def words(seen: Look, reading: Reading, vectors: Tensor) -> list[Word]:
    """What each direction (K, n) changes among the measures of `reading`, from one end to the other, at latents held out for this."""
    z, y = drawn(seen.model, seen.seed, "held out", HELD)
    both = None if y is None else torch.cat([y, y])
    found = []
    for way in torch.einsum("kn,n...->k...", REACH * vectors.float(), seen.axes).to(z.device):
        x = seen.model.sample(torch.cat([z - way, z + way]), seen.model.Sampling(**seen.model.draft), both).float().cpu()
        behind, ahead = columns(reading.measures(x)).split(HELD)
        change = (ahead - behind) / reading.spread  # (HELD, M)
        mean = change.mean(0)
        most = int(mean.abs().argmax())
        sign = float(mean[most].sign())
        steady = float((change[:, most] * sign > 0).double().mean())
        says = abs(mean[most]) >= MOVED and mean[most] ** 2 >= SHARE * mean.square().sum() and steady >= STEADY
        found.append(Word(most, sign) if says else Word(-1, 1.0))
    return found
