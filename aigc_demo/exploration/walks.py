"""Walks between requests as frames, each an ordinary request, and as labelled films; sums of requests, and mixtures of their layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .. import latent
from ..checkpoint import Checkpoint
from ..config import ConfigError
from ..engine import Engine, Request
from ..provenance import label

WAYS = ("arc", "line")
MOST_FRAMES = 1800  # half a minute at 60 a second
MOST_KEYS = 32
MOST_MIXED = 8  # seeds on a side of a table of mixtures


def walk(
    engine: Engine, keys: Sequence[Request], frames: int, way: str = "arc", loop: bool = False, name: Checkpoint | None = None
) -> list[Request]:
    """`frames` requests at even times through the requests `keys`, along great arcs (latent.slerp) or straight lines; with `loop`, back to
    the first, which is then not shown twice.

    A class cannot be in between: each frame has the class of the nearer key. All take the first key's sampling settings. Raises ConfigError
    and as Engine.draw."""
    if way not in WAYS:
        raise ConfigError(f"way: {way!r:.40} is not one of {', '.join(WAYS)}")
    if not 1 <= len(keys) <= MOST_KEYS:
        raise ConfigError(f"keys: a walk goes through 1 to {MOST_KEYS} pictures, not {len(keys)}")
    if not 1 <= frames <= MOST_FRAMES:
        raise ConfigError(f"frames: {frames} is not a number from 1 to {MOST_FRAMES}")
    keys = [replace(k, sampling=keys[0].sampling) for k in keys]
    points = engine.points(keys, name)
    stretches = len(keys) if loop else len(keys) - 1
    times = torch.linspace(0, stretches, frames + 1 if loop else frames)[:frames].tolist()
    found = []
    for time in times:
        start = min(math.floor(time), max(stretches - 1, 0))
        a, b, t = points[start], points[(start + 1) % len(keys)], torch.tensor([time - start])
        z = latent.slerp(a, b, t)[0] if way == "arc" else a + t * (b - a)
        found.append(keys[(start + (time - start >= 0.5)) % len(keys)].pinned(z))
    return found


def along(here: Request, k: int, reach: float = 3.0) -> list[Request]:
    """The two ends of direction `k` (from 0) through `here`, `reach` standard deviations to either side: keys of a walk."""
    return [here.at(f"sliders.{k}", amount) for amount in (-reach, reach)]


def film(
    engine: Engine,
    keys: Sequence[Request],
    frames: int,
    fps: int,
    kind: str,
    way: str = "arc",
    loop: bool = False,
    name: Checkpoint | None = None,
) -> bytes:
    """A walk as an mp4, gif or webp of `fps` pictures a second, of sounds also as a wav of one after another, with its recipe and its label
    inside. Raises as `walk`, and FilmError."""
    samples = engine.draw(walk(engine, keys, frames, way, loop, name), name=name)
    found = engine.warm(name or keys[0].checkpoint).checkpoint
    recipe = {"walk": [k.recipe(found.digest) for k in keys], "frames": frames, "fps": fps, "way": way, "loop": loop}
    return label.put(found.modality.film(torch.stack([s.item for s in samples]), fps, kind), label.xmp(recipe))


def sound(engine: Engine, requests: Sequence[Request]) -> tuple[Tensor, int] | None:
    """What is heard of the requests one after another: a wave (samples,) and its rate; None of a model that is silent. Raises as draw."""
    name = requests[0].checkpoint
    if engine.warm(name).checkpoint.modality.suffix != "wav":
        return None
    return engine.sound([s.item for s in engine.draw(requests)], name)


def analogy(engine: Engine, a: Request, b: Request, c: Request, name: Checkpoint | None = None) -> Request:
    """a - b + c: what makes a different from b, given to c (Radford et al. 2015, arXiv:1511.06434, section 6.3.2); class and all else are
    c's. Raises as Engine.draw."""
    points = engine.points([replace(r, sampling=c.sampling) for r in (a, b, c)], name)
    return c.pinned(latent.mixed(points, torch.tensor([[1.0, -1.0, 1.0]]))[0])


def mixture(engine: Engine, coarse: Request, fine: Request, level: int, name: Checkpoint | None = None) -> Request:
    """The first `level` layers of one latent and the later ones of another: what is drawn at large of the first, and how of the second
    (style mixing: Karras et al. 2019, arXiv:1812.04948, section 3.1). Class and all else are the first one's.

    Raises ConfigError where the model's latent has no layers, or not so many, and as Engine.draw."""
    found = engine.warm(name or coarse.checkpoint)
    levels = found.model.levels
    if not levels:
        raise ConfigError(f"mix: the latent of {found.checkpoint.name} has one layer, so there is nothing to mix it with")
    if not 1 <= level < len(levels):
        raise ConfigError(f"level: {level} is not a number from 1 to {len(levels) - 1}")
    points, start = engine.points([coarse, replace(fine, label=coarse.label, sampling=coarse.sampling)], name), sum(levels[:level])
    return coarse.pinned(torch.cat([points[0][:start], points[1][start:]]))


def mixtures(
    engine: Engine, here: Request, coarse: Sequence[int], fine: Sequence[int], level: int, name: Checkpoint | None = None
) -> bytes:
    """A labelled PNG of the mixtures of seeds, a row for each of `coarse` and a column for each of `fine`; class and settings are those of
    `here`. Raises as `mixture`, and ConfigError for more than MOST_MIXED seeds on a side."""
    for side, seeds in (("coarse", coarse), ("fine", fine)):
        if not 1 <= len(seeds) <= MOST_MIXED:
            raise ConfigError(f"{side}: a table has 1 to {MOST_MIXED} seeds on a side, not {len(seeds)}")
    asked = [mixture(engine, replace(here, seed=a), replace(here, seed=b), level, name) for a in coarse for b in fine]
    return engine.sheet(engine.draw(asked, name=name), len(fine))
