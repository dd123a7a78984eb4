"""A picture of one's own framed as a built-in set frames its pictures: their ground, their margin, their middle."""

from __future__ import annotations

import io
from typing import NamedTuple

import torch
from PIL import Image
from torch.nn import functional

from ..modalities import audio
from ..modalities.image import FORMATS, Modality
from ..modality import BadItem
from .cleaning import DataError

FINE = 280  # pixels a side at which a picture is looked at before it is scaled
INK = 0.2  # of the way from the ground to the strongest ink: what counts as drawn


class Frame(NamedTuple):
    """How a set of light things on black lays them: the share of the side that the longer side of a thing takes, and what is centred."""

    share: float
    centre: str  # "mass" or "box"


FRAMES = {
    "mnist": Frame(20 / 28, "mass"),  # LeCun et al. 1998: scaled into 20 x 20 pixels, the centre of mass in the middle of 28 x 28
    "fashion-mnist": Frame(1.0, "box"),  # Xiao et al. 2017, arXiv:1708.07747, figure 1: the longer side 28 pixels, centred
    "digits": Frame(0.8, "box"),  # ink touches the edge of the 8 x 8, and one pixel of paper is put around it (sources.py)
}


def framed(data: bytes, modality: Modality | audio.Modality, source: str) -> tuple[torch.Tensor, tuple[str, ...]]:
    """One file's bytes -> an item, uint8 (channels, size, size), as the set `source` frames its pictures, and what was done, in words.

    A sound, a picture of exactly the model's size, and any picture for a set whose framing is not known, is taken as Modality.look reads
    it. Raises DataError."""
    try:
        return _framed(data, modality, source) if source in FRAMES else modality.look(data)
    except BadItem as error:
        raise DataError(f"{modality.thing}: {error}") from None


def _framed(data: bytes, modality: Modality, source: str) -> tuple[torch.Tensor, tuple[str, ...]]:
    frame = FRAMES[source]
    fine, notes = Modality(FINE, 1).look(data)
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        as_it_is = image.size == (modality.size, modality.size)
    if as_it_is:
        return modality.look(data)
    x = fine[0].float() / 255
    ground = torch.cat([x[0], x[-1], x[:, 0], x[:, -1]]).median()
    if ground > 0.5:
        x, ground = 1 - x, 1 - ground
        notes = (*notes, "dark on light: turned to light on black")
    x = (x - ground).clamp(min=0)
    if x.max() < 0.1:
        raise BadItem("blank: nothing on it stands out from its edge")
    x = x / x.max()
    drawn = x > INK
    rows, columns = (drawn.any(axis).nonzero().flatten() for axis in (1, 0))
    x = torch.where(drawn, x, 0)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    longer = max(x.shape)
    scaled = [max(1, round(side * frame.share * modality.size / longer)) for side in x.shape]
    x = functional.interpolate(x[None, None], scaled, mode="bilinear", antialias=True)[0, 0]
    middle = [side / 2 for side in scaled]
    if frame.centre == "mass":
        middle = [float((x.sum(1 - axis) * (torch.arange(side) + 0.5)).sum() / x.sum()) for axis, side in enumerate(scaled)]
    item = torch.zeros(modality.size, modality.size)
    top, left = (min(max(0, round(modality.size / 2 - m)), modality.size - side) for m, side in zip(middle, scaled, strict=True))
    item[top : top + scaled[0], left : left + scaled[1]] = x
    centred = "its centre of mass" if frame.centre == "mass" else "its box"
    notes = (*notes, f"scaled to {max(scaled)} of {modality.size} pixels, {centred} in the middle, as the pictures of {source} are")
    return modality.opaque(item.mul(255).round().to(torch.uint8).expand(1, 1, -1, -1))[0], notes
