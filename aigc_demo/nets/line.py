"""The straight line x_t = (1 - t) x_0 + t x_1 of flow matching, where a network knows it by its velocity or by its end."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

from torch import Tensor

from .. import samplers

Predicts = Literal["velocity", "data"]
NEAR = 0.05  # of the way: nearer to the end a velocity tells of an error there twenty times over, and no more


def velocity(found: Tensor, x: Tensor, t: Tensor, predicts: Predicts) -> Tensor:
    """The velocity (N, ...) at x (N, ...) and t (N,) of which a network has `found` (N, ...) what it predicts: for data, the end of the
    line, (end - x) / (1 - t).

    Data takes few numbers to say, noise all of them: a network that gives the data need not carry the noise through, and a small one is
    sooner right (JiT: Li and He 2025, arXiv:2511.13720)."""
    return found if predicts == "velocity" else (found - x) / samplers.across((1 - t).clamp(min=NEAR), x)


def solver(method: str, predicts: Predicts) -> Callable[..., Tensor]:
    """One of samplers.METHODS; at t = 1 lines that are known by their end have no velocity."""
    known = predicts == "data" and method == "heun"
    return functools.partial(samplers.heun, edge=1.0) if known else samplers.METHODS[method]
