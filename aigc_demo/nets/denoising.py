"""The network that a family which draws step by step is described with."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from .residual import Residual
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


def network(config: Described, shape: tuple[int, ...], classes: int, times: int = 1) -> nn.Module:
    """x (B, *shape), times (B, `times`) and y (B,), `classes` for none -> (B, *shape).

    Raises ValueError as Transformer and UNet, and for a network that does not go with the shape."""
    if (config.network == "mlp") != (len(shape) == 1):
        fits = "mlp works on points" if len(shape) == 1 else "transformer and unet work on pictures"
        raise ValueError(f"model.network: {config.network} does not go with x of shape {tuple(shape)}: {fits}")
    if config.network == "mlp":
        return Residual(shape[0], classes, config.width, config.depth, times)
    if config.network == "unet":
        return UNet(shape, classes, config.width, config.scales, config.depth, times)
    return Transformer(shape, classes, config.patch, config.width, config.depth, config.heads, times)
