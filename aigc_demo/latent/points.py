"""Points in a latent space: moved along directions, on the arcs between two of them, mixed of several, and on an endless lattice."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..model import generator
from .curve import Curve


def moved(latents: Tensor, directions: Tensor, amounts: Tensor, curve: Curve | None = None) -> Tensor:
    """Latents (N, *latent) moved along directions (K, *latent) by amounts (N, K), in standard deviations; with a curve, along lines that
    are straight in its coordinates."""
    moves = torch.einsum("nk,k...->n...", amounts, directions)
    return latents + moves if curve is None else curve.moved(latents, moves)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Points (T, *latent) on the great arc from a to b at t (T,) in 0 to 1, radii interpolated (White 2016, arXiv:1609.04468)."""
    shape, a, b, t = a.shape, a.flatten(), b.flatten(), t.view(-1, 1)
    ra, rb = a.norm().clamp(min=1e-8), b.norm().clamp(min=1e-8)
    angle = torch.acos((a @ b / (ra * rb)).clamp(-1, 1))
    if angle < 1e-4 or angle > torch.pi - 1e-4 or min(ra, rb) <= 1e-8:  # no arc: one way, opposite ways, or none
        return (a + t * (b - a)).view(-1, *shape)
    arc = (torch.sin((1 - t) * angle) * a / ra + torch.sin(t * angle) * b / rb) / torch.sin(angle)
    return (arc * (ra + t * (rb - ra))).view(-1, *shape)


def mixed(points: Tensor, weights: Tensor) -> Tensor:
    """Points (K, *latent) mixed by weights (N, K), each row of sum 1 -> (N, *latent): barycentric, so (1, -1, 1) is a - b + c.

    Directions are mixed, and radii by themselves, as slerp does it: a plain mean of random latents lies nearer to the origin than anything
    that the model was trained on. A weight of 1 on one point is that point."""
    flat = points.flatten(1)
    mean = weights @ flat
    radius = (weights @ flat.norm(dim=1)).clamp(min=0)
    return (mean * (radius / mean.norm(dim=1).clamp(min=1e-8)).unsqueeze(1)).view(-1, *points.shape[1:])


def on_lattice(shape: Sequence[int], seed: int, x: float, y: float) -> Tensor:
    """z (*shape) at (x, y) of the seed's endless lattice: smooth in x and y, and a standard normal draw wherever one looks.

    At whole numbers stand independent draws; between four of them z is their mix with weights eased by 6t^5 - 15t^4 + 10t^3 (Perlin 2002,
    Improving Noise), divided by the root of the weights' squares, which keeps the variance at 1."""
    left, low = math.floor(x), math.floor(y)
    u, v = (t * t * t * (t * (6 * t - 15) + 10) for t in (x - left, y - low))
    weights = torch.tensor([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], dtype=torch.float32)
    corners = [torch.randn(*shape, generator=generator(seed, "lattice", left + i, low + j)) for j in (0, 1) for i in (0, 1)]
    return torch.tensordot(weights / weights.norm(), torch.stack(corners), 1)
