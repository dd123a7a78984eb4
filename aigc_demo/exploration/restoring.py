"""Noise put on pictures and taken off again: what was there, what the model was shown, and what it takes that for."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from .. import data
from ..checkpoint import Checkpoint
from ..config import ConfigError, Data
from ..engine import Engine
from ..model import generator
from ..provenance import label
from . import maps
from .inversion import decibels

MOST = 64  # pictures at a time
COLUMNS = 8  # of a sheet
EXAMPLES = 1000  # test pictures that are kept at hand


class Restored(NamedTuple):
    """Three items uint8 (C, S, S), and the PSNR in dB of the latter two against the first."""

    original: Tensor
    noisy: Tensor
    restored: Tensor
    before: float
    after: float


def noises(engine: Engine, found: Checkpoint) -> tuple[str, ...]:
    """The kinds of noise that a checkpoint takes off. Raises ConfigError for a family that takes off none."""
    model = engine.warm(found).model
    if not hasattr(model, "restore") or len(found.modality.shape) != 3:
        raise ConfigError(f"restore: {found.name} is a {found.manifest.run.family}, which takes no noise off pictures; an autoencoder does")
    return model.noises


def restore(engine: Engine, found: Checkpoint, items: Sequence[Tensor], noise: str, amount: float, seed: int = 0) -> list[Restored]:
    """Items uint8 (C, S, S) with `amount` (0 to 1) of a kind of noise, or "none" where they have some already, and without it.

    The noise of an item follows from (seed, its place). Raises ConfigError, and as Engine.warm."""
    kinds = noises(engine, found)
    if noise not in ("none", *kinds):
        raise ConfigError(f"noise: {noise!r:.40} is not one of none, {', '.join(kinds)}")
    if not 0 <= amount <= 1:
        raise ConfigError(f"amount: {amount} is not a number from 0 to 1")
    if not 1 <= len(items) <= MOST:
        raise ConfigError(f"restore: {len(items)} pictures; 1 to {MOST} are taken at a time")
    model, modality = engine.warm(found).model, found.modality
    x = modality.encode(torch.stack(list(items)))
    if noise != "none":
        x = torch.cat([model.spoilt(x[i : i + 1], noise, amount, generator(seed, "noise", i)) for i in range(len(x))])
    shown = modality.decode(x)  # the model sees what people are shown: 8 bits
    with engine.turn, torch.inference_mode():
        made = modality.decode(model.restore(modality.encode(shown).to(engine.device)).float().cpu())
    return [Restored(a, b, c, psnr(a, b), psnr(a, c)) for a, b, c in zip(items, shown, made, strict=True)]


def example(found: Checkpoint, number: int) -> Tensor:
    """A picture of the test part of the set that a checkpoint was trained on: uint8 (C, S, S). Raises ConfigError where it is not here."""
    if why := maps.no_test_set(found):
        raise ConfigError(f"restore: {why}; give a picture of your own")
    shape = {"size": found.modality.size, "channels": found.modality.channels, "limit": EXAMPLES}
    test = _read(found.manifest.run.data.model_copy(update=shape))
    return test.items[number % len(test)]


@functools.lru_cache(2)
def _read(spec: Data) -> data.Dataset:
    return data.load(spec, part="test")


def psnr(a: Tensor, b: Tensor) -> float:
    """Of two items uint8 (C, S, S), in dB."""
    return decibels((a.float() - b.float()).square().mean().sqrt().item())


def sheet(found: Checkpoint, made: Sequence[Restored], recipe: dict) -> bytes:
    """Rows of originals, of noisy and of restored pictures, by turns, as a labelled PNG."""
    columns = min(COLUMNS, len(made))
    blank = torch.zeros_like(made[0].original)
    rows = []
    for i in range(0, len(made), columns):
        part = made[i : i + columns]
        for pictures in zip(*(m[:3] for m in part), strict=True):
            rows += [*pictures, *[blank] * (columns - len(part))]
    out = io.BytesIO()
    Image.fromarray(found.modality.sheet(torch.stack(rows), columns)).save(out, "PNG")
    return label.put(out.getvalue(), label.xmp({"checkpoint": found.name, "digest": found.digest, **recipe}))
