"""The network that a family which draws step by step is described with."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from .transformer import Transformer
from .unet import UNet


class Described(Protocol):
    """The settings that config.Network has."""

    network: str
    width: int
    depth: int
    patch: int
    heads: int
    scales: tuple[int, ...]


def network(config: Described, shape: tuple[int, int, int], classes: int, times: int = 1) -> nn.Module:
    """x (B, *shape), times (B, `times`) and y (B,), `classes` for none -> (B, *shape). Raises ValueError as Transformer and UNet."""
    if config.network == "unet":
        return UNet(shape, classes, config.width, config.scales, config.depth, times)
    return Transformer(shape, classes, config.patch, config.width, config.depth, config.heads, times)
