"""Scenes drawn by this program, one or two groups of shapes, told in English or Chinese: what a caption asks for can be read back."""

from __future__ import annotations

import hashlib
import itertools
import random
from dataclasses import dataclass

import torch

from . import shapes

SHAPES = ("circle", "square", "triangle")
COLOURS = ("red", "yellow", "green", "blue", "purple", "black")  # of those in shapes.COLOURS
SIZES = ("small", "big")
RADII = ((0.084, 0.094), (0.138, 0.148))  # of SIZES, in sides of the picture
RELATIONS = ("left of", "right of", "above", "below")
MOST = 3  # things in a group
LANGUAGES = ("en", "zh")
ALONE = 0.3  # share of the scenes that are one group
# share of the train part's pairs that are told from the group on the left or above. Were it half, the order of a caption would say nothing
# of who stands where until its relation is understood too, and a model would learn neither for thousands of steps.
FORWARD = 0.8
GAP = 0.045  # sides of the picture between two things, and to the edge, as far as a full row has the room
HELD = 8  # of so many sets of kinds that stand together one is kept for the test part
CHUNK = 1024  # scenes drawn at a time
DRAWS = 11 + 3 * 2 * MOST  # uniform numbers an item takes, so that item i does not depend on how many there are

_ZH = {
    "circle": "圆", "square": "方块", "triangle": "三角",
    "red": "红", "yellow": "黄", "green": "绿", "blue": "蓝", "purple": "紫", "black": "黑",
    "small": "小", "big": "大",
    "left of": "左边", "right of": "右边", "above": "上面", "below": "下面",
}  # fmt: skip
Kind = tuple[int, int]  # places in COLOURS and in SHAPES


@dataclass(frozen=True)
class Group:
    """So many things of one size, colour and shape: numbers from 1 to MOST, and places in SIZES, COLOURS and SHAPES."""

    count: int
    size: int
    colour: int
    shape: int

    @property
    def kind(self) -> Kind:
        """What the group is told from another by."""
        return self.colour, self.shape


@dataclass(frozen=True)
class Scene:
    """A group, and where there are two, the place in RELATIONS at which the first stands from the second."""

    groups: tuple[Group, ...]
    relation: int | None = None

    def said(self, language: str) -> str:
        """The caption: "two small red circles left of a big blue square", "大蓝方块左边有两个小红圆"."""
        first, *other = self.groups
        if language == "en":
            return " ".join([_english(first), *(f"{RELATIONS[self.relation]} {_english(g)}" for g in other)])
        return "".join([*(f"{_chinese(g, '')}{_ZH[RELATIONS[self.relation]]}有" for g in other), _chinese(first, "一个")])


def _english(g: Group) -> str:
    words = f"{SIZES[g.size]} {COLOURS[g.colour]} {SHAPES[g.shape]}"
    return f"a {words}" if g.count == 1 else f"{('two', 'three')[g.count - 2]} {words}s"


def _chinese(g: Group, one: str) -> str:
    return (one, "两个", "三个")[g.count - 1] + "".join(_ZH[w] for w in (SIZES[g.size], COLOURS[g.colour], SHAPES[g.shape]))


def held(*kinds: Kind) -> bool:
    """Whether these kinds stand together in the test part alone: one in HELD sets of one kind or two, whatever the seed."""
    said = " ".join(f"{COLOURS[colour]} {SHAPES[shape]}" for colour, shape in sorted(set(kinds)))
    return hashlib.blake2b(said.encode(), digest_size=4).digest()[0] % HELD == 0


def _together(part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The kinds that stand alone in a part (n, 1, 2), and those that stand in pairs (m, 2, 2)."""
    kinds = list(itertools.product(range(len(COLOURS)), range(len(SHAPES))))
    alone = [(k,) for k in kinds if held(k) == (part == "test")]
    pairs = [pair for pair in itertools.permutations(kinds, 2) if held(*pair) == (part == "test")]
    return torch.tensor(alone), torch.tensor(pairs)


def factors(count: int, seed: int, part: str) -> dict[str, torch.Tensor]:
    """What is drawn, by name. Of each scene (count,): `groups` (1 or 2), `relation` (in RELATIONS, -1 without one), `language` (in
    LANGUAGES), `paper` (in shapes.PAPERS), all int64; of its groups (count, 2): `number` (things, 0 where there is no such group), `size`,
    `colour`, `shape`, int64; of its things (count, 2, MOST): `x`, `y` and `radius`, float32, in sides of the picture, y downwards."""
    rng = random.Random(seed)  # Python promises that random() stays the same between versions
    u = torch.tensor([rng.random() for _ in range(count * DRAWS)], dtype=torch.float64).view(count, DRAWS)
    at = iter(u.unbind(1))

    def pick(choices: int) -> torch.Tensor:
        return (next(at) * choices).long()

    alone, pairs = _together(part)
    single = next(at) < ALONE
    which = next(at)
    kinds = torch.where(single.view(-1, 1, 1), alone[(which * len(alone)).long()].expand(-1, 2, -1), pairs[(which * len(pairs)).long()])
    number = torch.stack([1 + pick(MOST), 1 + pick(MOST)], 1)
    size = torch.stack([pick(len(SIZES)), pick(len(SIZES))], 1)
    told = next(at)  # in each half of 0 to 1 left of, or above, comes first
    relation = (told * 2).long() * 2 + (told * 2 % 1 >= (FORWARD if part == "train" else 0.5))
    language, paper, upright = pick(len(LANGUAGES)), pick(len(shapes.PAPERS)), next(at) < 0.5
    number[single, 1] = 0
    # a group is a row of things across the way to the other group; alone, a row either way
    places = torch.stack([next(at) for _ in range(4 * MOST)], 1).view(count, 2, MOST, 2)
    own = torch.stack([next(at) for _ in range(2 * MOST)], 1).view(count, 2, MOST)
    low, high = torch.tensor(RADII, dtype=torch.float64)[size].unbind(2)  # (count, 2)
    radius = low[..., None] + (high - low)[..., None] * own
    slot = 1 / number.clamp(min=1)[..., None]  # of the row, which goes over the whole picture
    along = slot * (torch.arange(MOST) + 0.5) + (2 * places[..., 0] - 1) * (slot / 2 - radius - GAP / 2).clamp(min=0)
    half = torch.where(single, 1.0, 0.5).view(-1, 1, 1)
    first = torch.tensor([0.0, 0.5]) if count else torch.zeros(2)
    begins = torch.where((relation % 2 == 1)[:, None], first.flip(0), first) * (~single)[:, None]  # left of, above: the first half
    across = begins[..., None] + half / 2 + (2 * places[..., 1] - 1) * (half / 2 - radius - GAP).clamp(min=0)
    upright = torch.where(single, upright, relation < 2).view(-1, 1, 1)
    return {
        "groups": torch.where(single, 1, 2),
        "relation": torch.where(single, -1, relation),
        "language": language,
        "paper": paper,
        "number": number,
        "size": size,
        "colour": kinds[..., 0],
        "shape": kinds[..., 1],
        "x": torch.where(upright, across, along).float(),
        "y": torch.where(upright, along, across).float(),
        "radius": radius.float(),
    }


def scenes(known: dict[str, torch.Tensor]) -> list[Scene]:
    """The scenes of `factors`."""
    groups = torch.stack([known[name] for name in ("number", "size", "colour", "shape")], 2).tolist()  # (N, 2, 4)
    return [
        Scene(tuple(Group(*g) for g in own[:n]), None if relation < 0 else relation)
        for own, n, relation in zip(groups, known["groups"].tolist(), known["relation"].tolist(), strict=True)
    ]


def captions(known: dict[str, torch.Tensor]) -> tuple[str, ...]:
    """One sentence an item, in its own language."""
    return tuple(scene.said(LANGUAGES[k]) for scene, k in zip(scenes(known), known["language"].tolist(), strict=True))


def draw(known: dict[str, torch.Tensor], side: int) -> torch.Tensor:
    """The pictures of `factors`: uint8 (N, 3, side, side), antialiased by signed distance to the outline."""
    count = len(known["groups"])
    items = torch.empty(count, 3, side, side, dtype=torch.uint8)
    for start in range(0, count, CHUNK):
        part = slice(start, start + CHUNK)
        items[part] = _draw({name: values[part] for name, values in known.items()}, side)
    return items


def inks() -> torch.Tensor:
    """The colours (len(COLOURS), 3), 0 to 255."""
    return torch.tensor([shapes.COLOURS[name] for name in COLOURS], dtype=torch.float32)


def cover(shape: int, x: torch.Tensor, y: torch.Tensor, radius: torch.Tensor, side: int) -> torch.Tensor:
    """How much of each pixel (n, side, side) a shape at x, y with a radius, each (n,) in sides of the picture, covers."""
    line = (torch.arange(side) + 0.5) / side
    x, y, radius = (v.view(-1, 1, 1) for v in (x, y, radius))
    u, v = (line.view(1, 1, -1) - x) / radius, (line.view(1, -1, 1) - y) / radius
    outline = shapes.OUTLINES[shapes.SHAPES.index(SHAPES[shape])]
    return (0.5 - outline(*torch.broadcast_tensors(u, v)) * radius * side).clamp(0, 1)


def _draw(known: dict[str, torch.Tensor], side: int) -> torch.Tensor:
    pictures = torch.tensor(shapes.PAPERS, dtype=torch.float32)[known["paper"]].view(-1, 3, 1, 1).repeat(1, 1, side, side)
    for group, thing in itertools.product(range(2), range(MOST)):
        for shape in range(len(SHAPES)):
            mine = ((known["shape"][:, group] == shape) & (known["number"][:, group] > thing)).nonzero()[:, 0]
            x, y, radius = (known[name][mine, group, thing] for name in ("x", "y", "radius"))
            ink = inks()[known["colour"][mine, group]].view(-1, 3, 1, 1)
            pictures[mine] = torch.lerp(pictures[mine], ink.expand(-1, 3, side, side), cover(shape, x, y, radius, side).unsqueeze(1))
    return pictures.round().to(torch.uint8)
