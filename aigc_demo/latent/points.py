"""Points in a latent space: moved along directions, and on the arcs between two of them."""

from __future__ import annotations

import torch
from torch import Tensor


def moved(latents: Tensor, directions: Tensor, amounts: Tensor) -> Tensor:
    """Latents (N, *latent) moved along directions (K, *latent) by amounts (N, K), in standard deviations."""
    return latents + torch.einsum("nk,k...->n...", amounts, directions)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Points (T, *latent) on the great arc from a to b at t (T,) in 0 to 1, radii interpolated (White 2016, arXiv:1609.04468)."""
    shape, a, b, t = a.shape, a.flatten(), b.flatten(), t.view(-1, 1)
    ra, rb = a.norm().clamp(min=1e-8), b.norm().clamp(min=1e-8)
    angle = torch.acos((a @ b / (ra * rb)).clamp(-1, 1))
    if angle < 1e-4 or angle > torch.pi - 1e-4 or min(ra, rb) <= 1e-8:  # no arc: one way, opposite ways, or none
        return (a + t * (b - a)).view(-1, *shape)
    arc = (torch.sin((1 - t) * angle) * a / ra + torch.sin(t * angle) * b / rb) / torch.sin(angle)
    return (arc * (ra + t * (rb - ra))).view(-1, *shape)
