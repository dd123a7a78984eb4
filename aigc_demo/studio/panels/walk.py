"""The view "Walk": from picture to picture, played in the page and as a labelled film; arithmetic on three of them, two mixed."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import gradio as gr

from ...config import ConfigError
from ...engine import Request
from ...exploration import maps, walks
from .. import widgets
from ..explore import REACH, Explore, request, state_of
from . import reading

ORDER = 2
MOST_FRAMES = 600  # ten seconds at 60 a second
SIDE = 128  # pixels of a picture while a walk plays


def functions(explore: Explore) -> list[Callable[[Any], Any]]:
    engine = explore.engine

    def asked(payload: dict[str, Any]) -> tuple[list[Request], int, str, bool]:
        """(keys, frames, way, loop) of a payload."""
        with reading():
            keys = [request(key) for key in payload["keys"][: walks.MOST_KEYS + 1]]
            return keys, _few(int(payload["frames"])), str(payload.get("way", "arc")), bool(payload.get("loop"))

    def walk_frames(payload):
        """The walk's pictures, to be played in the page, and what is heard of them."""
        keys, frames, way, loop = asked(payload)
        passed = walks.walk(engine, keys, frames, way, loop)
        items = maps.thumbnails(engine, passed, SIDE)
        return {"items": [widgets.pixels(item) for item in items]} | widgets.heard(walks.sound(engine, passed))

    def walk_at(payload):
        """The state of the walk's frame `at`."""
        keys, frames, way, loop = asked(payload)
        with reading():
            at = int(payload["at"]) % frames
        return {"state": state_of(walks.walk(engine, keys, frames, way, loop)[at])}

    def walk_along(payload):
        """The states at the two ends of a direction through the state."""
        with reading():
            here, k = request(payload["state"]), int(payload["slider"])
        count = len(engine.warm(here.checkpoint).directions)
        if not 0 <= k < count:
            raise ConfigError(f"slider: {k} is not a number from 0 to {count - 1}")
        return {"keys": [state_of(key) for key in walks.along(here, k, REACH)]}

    def walk_sum(payload):
        """a - b + c: the state, and its picture."""
        with reading():
            a, b, c = (request(key) for key in payload["keys"][:3])
        made = walks.analogy(engine, a, b, c)
        return {"state": state_of(made), "picture": widgets.pixels(maps.thumbnails(engine, [made], SIDE)[0])}

    def walk_mix(payload):
        """The first layers of one latent and the others of another: the state."""
        with reading():
            coarse, fine = (request(key) for key in payload["keys"][:2])
            level = int(payload["level"])
        return {"state": state_of(walks.mixture(engine, coarse, fine, level))}

    def walk_film(payload):
        """The walk as a film: base64 and a file's name."""
        keys, frames, way, loop = asked(payload)
        with reading():
            fps, kind = int(payload["fps"]), str(payload["kind"])
        data = walks.film(engine, keys, frames, fps, kind, way, loop)
        return {"film": base64.b64encode(data).decode(), "name": f"walk.{kind}"}

    return [walk_frames, walk_at, walk_along, walk_sum, walk_mix, walk_film]


def endpoints(explore: Explore) -> None:
    def explore_walk(
        checkpoint: str,
        seeds: str = "1,2,3",
        frames: int = 60,
        fps: int = 30,
        kind: str = "webp",
        way: str = "arc",
        loop: int = 0,
        label: int = -1,
    ) -> str:
        """Walk through the latents of seeds, as a film.

        Args:
            checkpoint: its name.
            seeds: the seeds to walk through, with commas between, at most 32.
            frames: how many pictures, at most 600.
            fps: pictures a second, at most 60 (a gif: 50).
            kind: mp4, webp or gif; of sounds also wav, the clips one after another.
            way: arc, at the radius of what the model was trained on, or line.
            loop: 1 to come back to the first.
            label: the class's number, or -1 for the first.
        """

        def film():
            with reading():
                numbers = [int(seed) for seed in seeds.split(",")[: walks.MOST_KEYS + 1]]
            keys = [Request(checkpoint, seed, label=None if label < 0 else label) for seed in numbers]
            return walks.film(explore.engine, keys, _few(frames), fps, kind, way, bool(loop))

        return widgets.served(widgets.told(film), f"walk.{kind}")

    def explore_mix(checkpoint: str, coarse: str = "1,2,3", fine: str = "4,5,6", level: int = 1, label: int = -1) -> str:
        """Mix the layers of latents: a row has the first layers of one seed, a column the others of another (of models with several).

        Args:
            checkpoint: its name.
            coarse: the seeds of the rows, with commas between, at most 8.
            fine: the seeds of the columns, at most 8.
            level: how many of the first layers come from the row's seed.
            label: the class's number, or -1 for the first.
        """

        def sheet():
            with reading():
                rows, columns = ([int(seed) for seed in seeds.split(",")] for seeds in (coarse, fine))
            return walks.mixtures(explore.engine, Request(checkpoint, label=None if label < 0 else label), rows, columns, level)

        return widgets.served(widgets.told(sheet), "mix.png")

    widgets.endpoint(explore_walk, gr.File(visible=False))
    widgets.endpoint(explore_mix, gr.Image(visible=False, format="png"))


def _few(frames: int) -> int:
    if not 1 <= frames <= MOST_FRAMES:
        raise ConfigError(f"frames: {frames} is not a number from 1 to {MOST_FRAMES}; the command `aigc walk` goes further")
    return frames
