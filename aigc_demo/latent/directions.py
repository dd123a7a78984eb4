"""Directions in a latent space: found by what they change, with their effects, methods and names."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..model import Model, draw_latents, key

EXAMPLES = 24  # latents at which the effect is measured
STEP = 0.5  # standard deviations: wide enough for what a slider shows, narrow enough for a derivative


@dataclass(frozen=True, eq=False)
class Directions:
    """The sliders of a checkpoint, of the largest effect first.

    `vectors` (K, *latent) are of length one, `effects` (K,) the root mean square change of x a unit; `methods` says how each was found,
    and `names` what it changes: the key of a word that the page translates, a text as it is, or "" where nothing was found to say."""

    vectors: Tensor
    effects: Tensor
    methods: tuple[str, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.effects)


@torch.no_grad()
def directions(model: Model, seed: int = 0, count: int = 10) -> Directions:
    """The `count` orthonormal directions along which x changes most.

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
    effects = values[order].clamp(min=0).sqrt().float()
    return Directions(found.float().view(-1, *model.latent), effects, ("jacobian",) * len(order), ("",) * len(order))
