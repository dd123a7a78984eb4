"""Mathematics on latents: the directions of largest effect, points on them, and interpolation."""

from __future__ import annotations

import torch
from torch import Tensor

from .model import Model, draw_latents, key

EXAMPLES = 24  # latents at which the effect is measured
STEP = 0.5  # standard deviations: wide enough for what a slider shows, narrow enough for a derivative


@torch.no_grad()
def directions(model: Model, seed: int = 0, count: int = 10) -> tuple[Tensor, Tensor]:
    """The `count` orthonormal directions (K, *latent) along which x changes most, and their effects (K,), largest first.

    They are the leading eigenvectors of E_z[J(z)^T J(z)], J the Jacobian of x by z (as in Ramesh et al. 2018, arXiv:1812.01161), with J by
    central differences; an effect is the root of its eigenvalue over the number of pixels: the root mean square change of x a unit of z."""
    device = next(model.phases()[list(model.phases())[-1]].parameters()).device
    size = int(torch.tensor(model.latent).prod())
    latents = draw_latents(model.latent, key(seed, "directions"), range(EXAMPLES)).to(device)
    condition = torch.arange(EXAMPLES, device=device) % model.classes if model.classes else None
    axes = STEP * torch.eye(size, device=device).view(size, *model.latent)
    sampling = model.Sampling()
    total = torch.zeros(size, size, dtype=torch.float64)
    for i in range(EXAMPLES):
        y = None if condition is None else condition[i].expand(size)
        ahead, behind = (model.sample(latents[i] + s * axes, sampling, y).flatten(1).float() for s in (1, -1))
        jacobian = ((ahead - behind) / (2 * STEP)).cpu().double()  # (latent, pixels): row i is dx/dz_i
        total += jacobian @ jacobian.T / (EXAMPLES * jacobian.shape[1])
    values, vectors = torch.linalg.eigh(total)
    order = values.argsort(descending=True)[: min(count, size)]
    found = vectors[:, order].T
    found = found * torch.where(found.gather(1, found.abs().argmax(1, keepdim=True)) < 0, -1.0, 1.0)  # a sign that every machine agrees on
    return found.float().view(-1, *model.latent), values[order].clamp(min=0).sqrt().float()


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
