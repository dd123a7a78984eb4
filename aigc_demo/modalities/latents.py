"""Pictures that models see as the latents of a trained VAE: smaller, and of what matters."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import safetensors.torch
import torch

from ..nets.codec import FACTOR, Codec
from . import image

REACH = 3.0  # deviations of a latent's prior, N(0, 1): x is -1 to 1 within them, and clipped beyond


@dataclass(frozen=True)
class Modality(image.Modality):
    """Pictures as of `image`; x is their latent, (planes, size / FACTOR, size / FACTOR), by a codec whose weights (safetensors) come along.

    Raises ValueError where these are none of one for such pictures."""

    codec: bytes = field(default=b"", repr=False)

    kind: ClassVar[str] = "latents"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % FACTOR:
            raise ValueError(f"size: {self.size} is not a multiple of {FACTOR}, as latents need")
        if self._network.down[0].in_channels != self.channels:
            raise ValueError(f"codec: of pictures of {self._network.down[0].in_channels} channels, and these have {self.channels}")

    @cached_property
    def _network(self) -> Codec:
        try:
            return Codec.of(safetensors.torch.load(self.codec))
        except (safetensors.SafetensorError, KeyError, RuntimeError, TypeError):
            raise ValueError("codec: not the weights of one") from None

    @property
    def space(self) -> tuple[int, int, int]:
        """(planes, size / FACTOR, size / FACTOR), of one x."""
        return self._network.planes, self.size // FACTOR, self.size // FACTOR

    def encode(self, items: torch.Tensor) -> torch.Tensor:
        """Items uint8 (N, *shape) -> x (N, *space)."""
        return self._network.to(items.device).latents(super().encode(items)).div_(REACH).clamp_(-1, 1)

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """x (N, *space) -> items uint8 (N, *shape)."""
        return super().decode(self._pictures(x))

    def measures(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Those of the pictures that x (N, *space) stands for."""
        return super().measures(self._pictures(x))

    def _pictures(self, x: torch.Tensor) -> torch.Tensor:
        return self._network.to(x.device).pictures(REACH * x)
