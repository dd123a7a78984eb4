"""Points of the plane: a distribution, and what a model makes of it, that can be seen whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn import functional

from ..modality import BadItem
from . import image

SIDE = 192  # pixels of a picture of the plane
GUTTER = 4
PAPER, DATA, SAMPLES, HIGH = (22, 24, 26), (110, 180, 255), (255, 176, 64), (236, 236, 230)  # blue and orange: apart to the colour-blind
PICTURE = image.Modality(SIDE, 3)


@dataclass(frozen=True)
class Modality:
    """Points (x, y) of the square from -reach to reach (above 0, at most 1000), y upwards, float32. Raises ValueError for another reach.

    A file of one, and a sheet of many, is a picture of the square: what many points show is how dense they lie."""

    reach: float

    kind: ClassVar[str] = "points"
    thing: ClassVar[str] = "point"
    many: ClassVar[int] = 2500
    suffix: ClassVar[str] = "png"
    pictured: ClassVar[bool] = False
    palette: ClassVar[tuple[tuple[int, int, int], ...]] = ()

    def __post_init__(self) -> None:
        if type(self.reach) not in (int, float) or not 0 < self.reach <= 1000:
            raise ValueError(f"reach: {self.reach!r} is not a number above 0, at most 1000")

    @property
    def shape(self) -> tuple[int]:
        """(2,), of one item."""
        return (2,)

    @property
    def space(self) -> tuple[int]:
        """As `shape`: of one x."""
        return self.shape

    @property
    def extent(self) -> str:
        """How far the square reaches."""
        return f"within ±{self.reach:g}"

    def sound(self, items: torch.Tensor) -> None:
        """None: points are silent."""

    def read(self, data: bytes) -> torch.Tensor:
        """Raises BadItem: this program draws its points itself."""
        raise BadItem("not a point: points are drawn by this program, and no file of them is read")

    def encode(self, items: torch.Tensor) -> torch.Tensor:
        """Items float32 (N, 2) -> x float32 (N, 2): reach is 1."""
        return items.float() / self.reach

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """x (N, 2) -> items float32 (N, 2), clipped to the square; a NaN is its middle."""
        return torch.nan_to_num(x.float(), nan=0.0).clamp(-1, 1) * self.reach

    def write(self, item: torch.Tensor, recipe: dict[str, Any] | None = None) -> bytes:
        """One item (2,) -> a PNG of the square with a dot in it, and the recipe as pictures have it."""
        return PICTURE.write(self._pictures(item[None])[0], recipe)

    def film(self, items: torch.Tensor, fps: int, kind: str) -> bytes:
        """Items (N, 2) -> a film of a dot that moves, as pictures make one. Raises image.FilmError."""
        return PICTURE.film(self._pictures(items), fps, kind)

    def _pictures(self, items: torch.Tensor) -> torch.Tensor:
        """Items (N, 2) -> uint8 (N, 3, SIDE, SIDE), a dot in each."""
        return torch.stack([torch.from_numpy(_lit(self.density(one[None]), SAMPLES)).permute(2, 0, 1) for one in items])

    @staticmethod
    def recipe_of(data: bytes) -> dict[str, Any] | None:
        """None: the file is a picture, which tells its own recipe."""
        return None

    def sheet(self, items: torch.Tensor, columns: int) -> np.ndarray:
        """Items (N, 2) -> uint8 (SIDE, SIDE, 3): how dense they lie in the square. `columns` means nothing here."""
        return _lit(self.density(items), SAMPLES)

    def plane(self) -> torch.Tensor:
        """x (SIDE * SIDE, 2) of the pixels of a picture of the square, row by row from the top."""
        at = (torch.arange(SIDE) + 0.5) * 2 / SIDE - 1
        down, across = torch.meshgrid(-at, at, indexing="ij")
        return torch.stack([across, down], -1).view(-1, 2)

    def beside(self, samples: torch.Tensor, known: torch.Tensor, levels: torch.Tensor | None) -> np.ndarray:
        """One sheet of items `known` and `samples` (N, 2) and of levels (SIDE * SIDE,), what a model holds of `plane`, if there are any.

        Side by side: how dense the data lies, how dense the samples lie, and the levels, light where high, with the samples on them.
        -> uint8 (SIDE, 2 or 3 times SIDE with gutters, 3)."""
        panels = [_lit(self.density(known), DATA), _lit(self.density(samples), SAMPLES)]
        if levels is not None:
            order = levels.float().argsort().argsort().view(SIDE, SIDE, 1).numpy() / SIDE**2  # ranks: a level's scale says nothing
            ground = np.array(PAPER) + order * (np.array(HIGH) - PAPER)
            heat = self.density(samples)[..., None]
            panels.append((ground * (1 - heat) + np.array(SAMPLES) * heat).astype(np.uint8))
        gutter = np.full((SIDE, GUTTER, 3), 255, np.uint8)
        return np.concatenate([p for panel in panels for p in (gutter, panel)][1:], 1)

    def density(self, items: torch.Tensor) -> np.ndarray:
        """Items (N, 2) -> (SIDE, SIDE) from 0 to 1: each is a dot of 3 x 3 pixels, and many in one place lighten it less and less."""
        place = ((items.cpu() / self.reach + 1) * SIDE / 2).long().clamp(0, SIDE - 1)
        counts = torch.bincount((SIDE - 1 - place[:, 1]) * SIDE + place[:, 0], minlength=SIDE**2).view(1, 1, SIDE, SIDE).float()
        return (1 - (-functional.avg_pool2d(counts, 3, 1, 1) * 9).exp())[0, 0].numpy()

    @staticmethod
    def features(x: torch.Tensor) -> torch.Tensor:
        """x (N, *shape) -> its numbers (N, F)."""
        return x.flatten(1).float()

    def measures(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Of x (N, 2): left-right and up-down, its coordinates."""
        return {"left-right": x[:, 0], "up-down": x[:, 1]}


def _lit(heat: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Heat (H, W) from 0 to 1 -> uint8 (H, W, 3), from the dark ground to the colour."""
    return (np.array(PAPER) + heat[..., None] * (np.array(colour) - PAPER)).astype(np.uint8)
