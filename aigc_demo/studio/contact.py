"""The endpoints for what sliders move along: directions by any method, and contact sheets of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from .. import checkpoint as checkpoints
from ..engine import Engine
from ..exploration import contact
from . import widgets


def endpoints(engine: Engine, gpu: Callable | None = None) -> None:
    """Registers explore_directions and explore_contact; `gpu` lends a GPU for one call where there is such a thing."""

    def directions(checkpoint: str, method: str, between: str) -> list[dict[str, Any]]:
        names = tuple(name.strip() for name in between.split(",")) if between else ()
        return contact.told(contact.directions(engine, checkpoints.find(checkpoint), method, between=names))

    def sheet(checkpoint: str, method: str, seed: int, seeds: int, label: int) -> bytes:
        found = checkpoints.find(checkpoint)
        ways = contact.directions(engine, found, method)
        asked = range(seed, seed + max(0, min(seeds, contact.MOST + 1)))  # one too many is refused there
        return contact.sheet(engine, found, ways, asked, None if label < 0 else label)

    def explore_directions(checkpoint: str, method: str = "stored", between: str = "") -> list[dict]:
        """What a checkpoint's sliders move along, or may: number, name, method and effect of each, the largest effect first.

        Args:
            checkpoint: its name, as explore_list gives it.
            method: stored (its sliders), or found anew: best, labels, measured, pca, closed, jacobian, curved.
            between: with labels, two names with a comma between: the direction from the first to the second.
        """
        return widgets.told(directions, checkpoint, method, between)

    def explore_contact(checkpoint: str, method: str = "stored", seed: int = 0, seeds: int = 1, label: int = -1) -> str:
        """Draw a contact sheet, A4 at 300 dots an inch: a row for each direction, or of several seeds a row for each seed.

        Args:
            checkpoint: its name.
            method: stored (its sliders), or found anew: best, labels, measured, pca, closed, jacobian, curved.
            seed: the first seed.
            seeds: how many, at most 40.
            label: the class's number, or -1 for all in turn.
        """
        return widgets.served(widgets.told(sheet, checkpoint, method, seed, seeds, label), f"{checkpoint}-{method}-{seed}.png")

    gr.api(explore_directions, api_name="explore_directions")
    widgets.endpoint(gpu(explore_contact) if gpu else explore_contact, gr.Image(visible=False, format="png"))
