"""Pictures as smaller pictures of more channels, and back: what a VAE learns so that another model may learn in its latent space.

The first stage of latent diffusion (Rombach et al. 2021, arXiv:2112.10752), made small: convolutions alone, so that a latent keeps the
places of what it holds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .conv import Block

FACTOR = 4  # pixels of a picture's side to one of a latent's


class Codec(nn.Module):
    """x (N, C, s, s) and its latents (N, planes, s / FACTOR, s / FACTOR); s is a multiple of FACTOR.

    `down` gives mu and logvar side by side, `up` what p(x|z) is made of: with `logits` a Bernoulli's, else a Gaussian's mean."""

    def __init__(self, down: nn.Sequential, up: nn.Sequential, logits: bool):
        super().__init__()
        self.down, self.up = down, up
        self.register_buffer("logits", torch.tensor(logits))

    @classmethod
    def new(cls, channels: int, planes: int, width: int) -> Codec:
        """An untrained one of a Gaussian, `width` channels wide at first, twice as wide within."""
        w = width
        down = nn.Sequential(
            nn.Conv2d(channels, w, 4, 2, 1), Block(w), nn.SiLU(), nn.Conv2d(w, 2 * w, 4, 2, 1), Block(2 * w), Block(2 * w),
            nn.SiLU(), nn.Conv2d(2 * w, 2 * planes, 1),
        )  # fmt: skip
        up = nn.Sequential(
            nn.Conv2d(planes, 2 * w, 3, 1, 1), Block(2 * w), Block(2 * w), nn.SiLU(), nn.ConvTranspose2d(2 * w, w, 4, 2, 1),
            Block(w), nn.SiLU(), nn.ConvTranspose2d(w, channels, 4, 2, 1),
        )  # fmt: skip
        return cls(down, up, logits=False)

    @classmethod
    def of(cls, weights: dict[str, Tensor]) -> Codec:
        """The codec that has these weights, as its `state_dict` names them. Raises KeyError, RuntimeError for others."""
        planes, width, channels = weights["up.0.weight"].shape[1], weights["down.0.bias"].numel(), weights["down.0.weight"].shape[1]
        with torch.device("meta"):
            made = cls.new(channels, planes, width)
        made.load_state_dict({k: v if k == "logits" else v.float() for k, v in weights.items()}, assign=True)
        return made.requires_grad_(False).eval()

    @property
    def planes(self) -> int:
        """Channels of a latent."""
        return self.up[0].in_channels

    def latents(self, x: Tensor) -> Tensor:
        """x (N, C, s, s) -> mu (N, planes, s / FACTOR, s / FACTOR)."""
        return self.down(x).chunk(2, 1)[0]

    def pictures(self, z: Tensor) -> Tensor:
        """Latents (N, planes, b, b) -> x (N, C, FACTOR b, FACTOR b), the mean of p(x|z)."""
        out = self.up(z)
        return out.sigmoid() * 2 - 1 if self.logits else out
