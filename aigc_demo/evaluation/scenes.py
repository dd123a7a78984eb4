"""What a picture shows of a scene, read back exactly: colour, shape, number, size, and where the groups stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.scenes import RADII, RELATIONS, SHAPES, Scene, cover, inks

PROPERTIES = ("colour", "shape", "count", "size", "relation")
COVERED = 0.5  # of a pixel: it belongs to a thing
FEWEST = 0.4  # of the area of the smallest thing: less is a speck
CHUNK = 256  # pictures read at a time
LIKE = 0.7  # of intersection over union with the best outline: less is no shape


@dataclass(frozen=True)
class Thing:
    """One shape of a picture: places in COLOURS, SHAPES (None for what is none) and SIZES, and its middle in sides of the picture."""

    colour: int
    shape: int | None
    size: int
    x: float
    y: float


def things(pictures: Tensor) -> list[list[Thing]]:
    """The things of each of pictures uint8 (N, 3, S, S): pixels of one ink that touch, compared with every outline of their area."""
    found: list[list[Thing]] = [[] for _ in pictures]
    for start in range(0, len(pictures), CHUNK):
        for at, thing in _things(pictures[start : start + CHUNK].float()):
            found[start + at].append(thing)
    return found


def _things(pictures: Tensor) -> Iterator[tuple[int, Thing]]:
    """The things of pictures (N, 3, S, S), 0 to 255, each with its picture's number."""
    side = pictures.shape[3]
    ink, alpha = _covered(pictures)
    number = _parts(ink, alpha > COVERED)
    last = number.flatten(1) == torch.arange(1, side * side + 1)  # where a part has its last pixel
    at, part = last.nonzero().unbind(1)  # (P,)
    mine = number[at] == (part + 1).view(-1, 1, 1)  # (P, S, S)
    colour = ink.flatten(1)[at, part]
    edge = torch.nn.functional.max_pool2d(mine.float(), 3, 1, 1) > 0  # with the pixels of which less than half is covered
    soft = alpha[at] * edge * (ink[at] == colour.view(-1, 1, 1))
    area, line = soft.sum((1, 2)), (torch.arange(side) + 0.5) / side
    x, y = (soft * line.view(1, 1, -1)).sum((1, 2)) / area, (soft * line.view(1, -1, 1)).sum((1, 2)) / area
    smallest = _areas(side)
    radii = RADII[0][0] * (area / smallest[:, None]).sqrt()  # (shapes, P): of each outline, were it the one
    drawn = torch.stack([cover(k, x, y, radii[k], side) for k in range(len(SHAPES))])
    fit = torch.minimum(drawn, soft).sum((2, 3)) / torch.maximum(drawn, soft).sum((2, 3))
    fit, best = fit.max(0)
    size = radii.gather(0, best[None])[0] > (RADII[0][1] + RADII[1][0]) / 2
    for i in (area >= FEWEST * smallest.min()).nonzero()[:, 0].tolist():
        shape = int(best[i]) if fit[i] >= LIKE else None
        yield int(at[i]), Thing(int(colour[i]), shape, int(size[i]), float(x[i]), float(y[i]))


def _covered(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """For each pixel (N, S, S) the ink that it lies nearest to on the line from the paper, and how far along, 0 to 1."""
    paper = pictures.flatten(2).median(2).values.view(-1, 1, 3, 1, 1)  # things cover less than half
    ways = inks().view(1, -1, 3, 1, 1) - paper
    off = pictures[:, None] - paper
    along = ((off * ways).sum(2) / ways.square().sum(2)).clamp(0, 1)  # (N, inks, S, S)
    ink = (along[:, :, None] * ways - off).square().sum(2).argmin(1)
    return ink, along.gather(1, ink[:, None])[:, 0]


def _parts(ink: Tensor, mask: Tensor) -> Tensor:
    """The pixels of mask (N, S, S) that touch side by side and have one ink, by number (N, S, S): the place of the part's last pixel,
    from 1 on; 0 where there is none."""
    key = torch.where(mask, ink, -1)
    number = torch.arange(1, mask[0].numel() + 1).view(mask.shape[1:]) * mask
    while True:  # the largest number spreads over its part
        spread = number.clone()
        for axis in (1, 2):
            low, high = (slice(None),) * axis + (slice(None, -1),), (slice(None),) * axis + (slice(1, None),)
            same = key[low] == key[high]
            spread[low] = torch.maximum(spread[low], number[high] * same)
            spread[high] = torch.maximum(spread[high], number[low] * same)
        spread = spread * mask
        if torch.equal(spread, number):
            return number
        number = spread


def _areas(side: int) -> Tensor:
    """The pixels that a thing of each shape (shapes,) covers with the smallest radius."""
    middle, radius = torch.tensor([0.5]), torch.tensor([RADII[0][0]])
    return torch.stack([cover(k, middle, middle, radius, side).sum() for k in range(len(SHAPES))])


def shown(found: Sequence[Thing], scene: Scene) -> dict[str, bool]:
    """Which of PROPERTIES the things of a picture show as a scene has them; "relation" only where the scene has two groups.

    "colour": these colours and no other. "shape": these shapes, each in its colour, and nothing else. The rest needs that: "count", as
    many of each; "size", each of its group's; "relation", all of the first group stand so from all of the second."""
    groups = [[thing for thing in found if (thing.colour, thing.shape) == g.kind] for g in scene.groups]
    right = all(groups) and sum(map(len, groups)) == len(found)
    said = {
        "colour": {thing.colour for thing in found} == {g.colour for g in scene.groups},
        "shape": right,
        "count": right and all(len(own) == g.count for own, g in zip(groups, scene.groups, strict=True)),
        "size": right and all(thing.size == g.size for own, g in zip(groups, scene.groups, strict=True) for thing in own),
    }
    if scene.relation is not None:
        said["relation"] = right and _stand(*groups, RELATIONS[scene.relation])
    return said


def _stand(first: Sequence[Thing], second: Sequence[Thing], relation: str) -> bool:
    if relation in ("right of", "below"):
        return _stand(second, first, {"right of": "left of", "below": "above"}[relation])
    axis = "x" if relation == "left of" else "y"
    return max(getattr(thing, axis) for thing in first) < min(getattr(thing, axis) for thing in second)


def shares(pictures: Tensor, scenes: Sequence[Scene]) -> dict[str, float]:
    """Of each property the share of pictures uint8 (N, 3, S, S) that show it as the scenes have it, and of "all"; NaN where none has it."""
    said = [shown(found, scene) for found, scene in zip(things(pictures), scenes, strict=True)]
    asked = {name: [one[name] for one in said if name in one] for name in PROPERTIES} | {"all": [all(one.values()) for one in said]}
    return {name: sum(ones) / len(ones) if ones else float("nan") for name, ones in asked.items()}
