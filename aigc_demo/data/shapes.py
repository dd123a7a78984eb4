"""Coloured shapes drawn by this program, with captions and with every factor known: a set whose truth can be checked."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import torch

SHAPES = ("circle", "square", "triangle", "star", "cross", "heart")
COLOURS = {
    "red": (214, 48, 49),
    "orange": (240, 138, 36),
    "yellow": (245, 202, 45),
    "green": (46, 158, 91),
    "blue": (45, 111, 214),
    "purple": (132, 72, 190),
    "pink": (236, 112, 168),
    "black": (48, 50, 58),
}
SIZES = {"small": (0.12, 0.15), "medium": (0.19, 0.22), "large": (0.27, 0.31)}  # radius, in sides of the picture
PLACES = (("top left", "top", "top right"), ("left", "centre", "right"), ("bottom left", "bottom", "bottom right"))
PAPERS = ((250, 250, 250), (252, 246, 233), (232, 242, 252), (235, 247, 236), (243, 236, 250))
MARGIN, TILT = 0.04, 25.0  # sides of the picture, degrees
CHUNK = 8_000_000  # pixels drawn at a time
DRAWS = 10  # uniform numbers an item takes, so that item i does not depend on how many there are


def factors(count: int, seed: int) -> dict[str, torch.Tensor]:
    """What is drawn, by name, each (count,): shape, colour, size, background, row, column (int64, places in this module's tables);
    radius, x, y (float32, in sides of the picture, y downwards) and rotation (float32, degrees, clockwise, 0 for circles)."""
    rng = random.Random(seed)  # Python promises that random() stays the same between versions
    u = torch.tensor([rng.random() for _ in range(count * DRAWS)], dtype=torch.float64).view(count, DRAWS).unbind(1)

    def pick(x: torch.Tensor, choices: int) -> torch.Tensor:
        return (x * choices).long()

    size, row, column = pick(u[2], len(SIZES)), pick(u[4], 3), pick(u[5], 3)
    low, high = torch.tensor(list(SIZES.values()), dtype=torch.float64)[size].unbind(1)
    radius = low + (high - low) * u[8]
    free = 0.5 - radius - MARGIN
    # 0.7 to 1 of the free way towards a side, or within 0.15 of the middle: places stay apart at every size
    x, y = (0.5 + free * torch.where(c == 1, 0.3 * v - 0.15, (c - 1) * (0.7 + 0.3 * v)) for c, v in ((column, u[6]), (row, u[7])))
    shape = pick(u[0], len(SHAPES))
    rotation = torch.where(shape == 0, 0.0, TILT * (2 * u[9] - 1))
    colour, background = pick(u[1], len(COLOURS)), pick(u[3], len(PAPERS))
    whole = {"shape": shape, "colour": colour, "size": size, "background": background, "row": row, "column": column}
    return whole | {name: v.float() for name, v in (("radius", radius), ("x", x), ("y", y), ("rotation", rotation))}


def captions(known: dict[str, torch.Tensor], colour: bool = True) -> tuple[str, ...]:
    """One sentence an item: "a small red circle at the top left"; without the colour for pictures that have none."""
    said, colours, sizes = [], list(COLOURS), list(SIZES)
    columns = ("size", "colour", "shape", "row", "column")
    for size, tint, shape, row, column in zip(*(known[c].tolist() for c in columns), strict=True):
        words = [sizes[size], *([colours[tint]] if colour else []), SHAPES[shape]]
        place = PLACES[row][column]
        article = "an" if words[0][0] in "aeiou" else "a"
        said.append(f"{article} {' '.join(words)} {'in' if place == 'centre' else 'at'} the {place}")
    return tuple(said)


def draw(known: dict[str, torch.Tensor], side: int) -> torch.Tensor:
    """The pictures of `factors`: uint8 (N, 3, side, side), antialiased by signed distance to the outline."""
    count = len(known["shape"])
    items = torch.empty(count, 3, side, side, dtype=torch.uint8)
    chunk = max(1, CHUNK // side**2)
    for start in range(0, count, chunk):
        part = slice(start, start + chunk)
        items[part] = _draw({name: values[part] for name, values in known.items()}, side)
    return items


def _draw(known: dict[str, torch.Tensor], side: int) -> torch.Tensor:
    line = (torch.arange(side) + 0.5) / side
    v, u = torch.meshgrid(line, line, indexing="ij")
    x, y, radius = (known[name].view(-1, 1, 1) for name in ("x", "y", "radius"))
    turn = torch.deg2rad(known["rotation"]).view(-1, 1, 1)
    distance = _distance(known["shape"], (u - x) / radius, (v - y) / radius, turn) * radius  # (n, side, side), sides of the picture
    fallen = _distance(known["shape"], (u - x - 0.012) / radius, (v - y - 0.03) / radius, turn) * radius
    cover = (0.5 - distance * side).clamp(0, 1).unsqueeze(1)
    shadow = 0.16 * torch.sigmoid(-fallen * 70).unsqueeze(1)
    light = (1.06 - 0.12 * v).view(1, 1, side, side)
    paper = torch.tensor(PAPERS, dtype=torch.float32)[known["background"]].view(-1, 3, 1, 1) * (1.01 - 0.04 * v) * (1 - shadow)
    ink = torch.tensor(list(COLOURS.values()), dtype=torch.float32)[known["colour"]].view(-1, 3, 1, 1) * light
    return (paper + cover * (ink - paper)).round().clamp(0, 255).to(torch.uint8)


def _distance(shape: torch.Tensor, x: torch.Tensor, y: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Signed distance (n, side, side) from points (x, y) to each item's outline, which spans about -1 to 1; below 0 is inside."""
    cos, sin = turn.cos(), turn.sin()
    x, y = x * cos + y * sin, y * cos - x * sin
    distance = torch.empty_like(x)
    for label, outline in enumerate(OUTLINES):
        mine = shape == label
        distance[mine] = outline(x[mine], y[mine])
    return distance


def _circle(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.hypot(x, y) - 0.95


def _star(points: int, inner: float, tip: float = 1.0, start: float = 0.0) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Tips at distance `tip`, the corners between them at `inner` of it; inner = cos(pi / points) gives the regular polygon."""
    half = math.pi / points
    corner = (tip * inner * math.cos(half), tip * inner * math.sin(half))
    along = (corner[0] - tip, corner[1])
    length = math.hypot(*along)
    normal = (along[1] / length, -along[0] / length)

    def outline(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        angle = torch.atan2(x, -y) - start  # 0 is upwards
        folded = (torch.remainder(angle + half, 2 * half) - half).abs()  # one edge stands for all by symmetry
        far = torch.hypot(x, y)
        return (far * folded.cos() - tip) * normal[0] + far * folded.sin() * normal[1]

    return outline


def _cross(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    x, y = x.abs(), y.abs()
    return torch.minimum(torch.maximum(x - 0.34, y - 0.95), torch.maximum(x - 0.95, y - 0.34))


def _heart(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """I. Quilez, "2D distance functions" (sdHeart)."""
    scale = 1.62
    x, y = x.abs() / scale, 0.55 - y / scale
    lobe = torch.hypot(x - 0.25, y - 0.75) - math.sqrt(2) / 4
    fold = 0.5 * (x + y).clamp(min=0)
    body = torch.minimum(torch.hypot(x, y - 1), torch.hypot(x - fold, y - fold)) * torch.sign(x - y)
    return scale * torch.where(x + y > 1, lobe, body)


OUTLINES = (_circle, _star(4, math.cos(math.pi / 4), 1.15, math.pi / 4), _star(3, 0.5, 1.1), _star(5, 0.45, 1.1), _cross, _heart)
