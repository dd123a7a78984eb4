"""The view "Map": a flat map whose every place is a picture, drawn in tiles, with a point on it that the picture follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from ...config import ConfigError
from ...engine import Request
from ...exploration import maps
from .. import widgets
from ..explore import Explore, request, state_of
from . import reading

ORDER = 1
TILE = 4  # pictures on a side of a tile
KINDS = ("seeds", "sliders", "plane", "pca", "data")
LARGEST = 16  # pictures on a side of the endpoint's sheet


def functions(explore: Explore) -> list[Callable[[Any], Any]]:
    engine, atlas = explore.engine, maps.Atlas(explore.engine)

    def there(payload: dict[str, Any], places: Sequence[tuple[float, float]]) -> list[Request]:
        """The requests at places of the map that the payload means."""
        with reading():
            here, kind = request(payload["state"]), payload.get("kind")
            x, y = (int(k) for k in payload.get("axes", (0, 1)))
            corners = [request(c) for c in payload.get("corners", ())[:4]]
        if kind == "seeds":
            return maps.seeds(here, places)
        if kind == "sliders":
            return maps.sliders(here, (x, y), places)
        if kind == "plane":
            return maps.plane(engine, corners, places)
        if kind == "pca":
            return atlas.principal(here, places)
        if kind == "data":
            return atlas.embedding(engine.warm(here.checkpoint).checkpoint).at(here, places)
        raise ConfigError(f"map: {str(kind)[:40]!r} is not one of {', '.join(KINDS)}")

    def map_tile(payload):
        """The pictures of tile (i, j) as one: TILE a side, `step` apart, the first row the topmost, where y is largest."""
        with reading():
            i, j, step = (_number(payload[k]) for k in ("i", "j", "step"))
        corner = [(TILE * i + c, TILE * j + TILE - 1 - r) for r in range(TILE) for c in range(TILE)]
        return widgets.pixels(maps.tile(engine, there(payload, [(x * step, y * step) for x, y in corner]), TILE))

    def map_place(payload):
        """The picture at (x, y), and the state that draws it."""
        with reading():
            place, session = (_number(payload["x"]), _number(payload["y"])), f"{str(payload['state'].get('session'))[:64]} map"
        (sample,) = engine.draw(there(payload, [place]), session=session)
        return {"picture": widgets.pixels(sample.item), "state": state_of(sample.request)}

    def map_data(name):
        """The test set's places, classes and what is known of them, or why there are none."""
        found = engine.warm(str(name)).checkpoint
        if why := atlas.why_not(found):
            return {"why": why}
        made = atlas.embedding(found)
        return {
            "places": [[round(v, 3) for v in place] for place in made.places.tolist()],
            "labels": [] if made.labels is None else made.labels.tolist(),
            "classes": list(made.classes),
            "kept": round(made.kept, 3),
            "title": made.title,
            "told": bool(engine.warm(found).model.classes),
        }

    return [map_tile, map_place, map_data]


def endpoints(explore: Explore) -> None:
    def explore_map(checkpoint: str, x: float = 0, y: float = 0, step: float = 0.25, side: int = 9, seed: int = 0, label: int = -1) -> str:
        """Draw a piece of a seed's endless map as one sheet, the place (x, y) in the middle (`aigc sample --place` draws one).

        Args:
            checkpoint: its name.
            x: the place in the middle, from left to right.
            y: the place in the middle, from below to above.
            step: the distance between two pictures; at 1 each is independent of the next.
            side: pictures in a row and in a column, at most 16.
            seed: each seed has a map of its own.
            label: the class's number, or -1 for the first.
        """

        def sheet():
            if not 1 <= side <= LARGEST:
                raise ConfigError(f"side: {side} is not a number from 1 to {LARGEST}")
            asked = Request(checkpoint, seed, label=None if label < 0 else label)
            offsets = [step * (k - side // 2) for k in range(side)]
            places = [(_number(x) + across, _number(y) - down) for down in offsets for across in offsets]
            return explore.engine.sheet(explore.engine.draw(maps.seeds(asked, places)), side)

        return widgets.served(widgets.told(sheet), f"map-{seed}.png")

    widgets.endpoint(explore_map, gr.Image(visible=False, format="png"))


def _number(value: Any) -> float:
    value = float(value)
    if not abs(value) <= 1e9:
        raise ConfigError(f"map: {value} is not a place")
    return value
