"""The view "Side by side": a second checkpoint under the same seed, class, sliders and settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr

from ... import checkpoint as checkpoints
from ...engine import Engine, Request
from .. import widgets
from ..explore import Explore, request
from . import reading

ORDER = 4


def counterpart(engine: Engine, asked: Request, name: str) -> tuple[Request, list[str]]:
    """What `asked` means to the checkpoint `name`, and what the two share beside the seed: of latent, class, sliders or ways, settings.

    The seed draws the same latent where both latents have the same shape; only then are single numbers and places carried over. Sliders
    move each along its own directions ("sliders"), but two states of one run along the same ("ways"). A class is carried over by its name.
    Raises CheckpointError and ConfigError."""
    ours, theirs = engine.warm(asked.checkpoint), engine.warm(name)
    same = ours.model.latent == theirs.model.latent
    one_run = same and asked.checkpoint.partition("@")[0] == name.partition("@")[0]
    label, classes = None, theirs.checkpoint.manifest.classes
    if asked.label is not None and 0 <= asked.label < ours.model.classes and theirs.model.classes:
        wanted = ours.checkpoint.manifest.classes[asked.label]
        label = classes.index(wanted) if wanted in classes else None
    settings = {k: v for k, v in asked.sampling.items() if k in theirs.model.Sampling.model_fields}
    made = replace(asked, checkpoint=name, sliders=asked.sliders[: len(theirs.directions)], label=label, sampling=settings)
    if one_run:
        made = made.pinned(engine.points([asked])[0])
    elif not same:
        made = replace(made, numbers={}, place=None)
    parts = {
        "latent": same,
        "class": label is not None,
        "ways": one_run,
        "sliders": not one_run and len(theirs.directions) > 0,
        "settings": bool(set(theirs.model.Sampling.model_fields) & set(ours.model.Sampling.model_fields)),
    }
    return made, [part for part, shared in parts.items() if shared]


def functions(explore: Explore) -> list[Callable[[Any], Any]]:
    engine = explore.engine

    def pair(payload):
        """The picture that the other checkpoint draws of the state, and what the two share."""
        with reading():
            here, other = request(payload["state"]), str(payload["other"])
            session = f"{str(payload['state'].get('session'))[:64]} pair"
        asked, shared = counterpart(engine, here, other)
        (sample,) = engine.draw([asked], session=session)
        return {"picture": widgets.pixels(sample.item), "shared": shared}

    def pair_marks(name):
        """The marks of the checkpoint's own run that it can be laid beside."""
        found = engine.warm(str(name)).checkpoint
        return {"marks": [{"name": mark, "step": int(mark.partition("@")[2])} for mark in checkpoints.marks(found) if mark != found.name]}

    return [pair, pair_marks]


def endpoints(explore: Explore) -> None:
    def explore_pair(checkpoint: str, other: str, seed: int = 0, label: int = -1) -> str:
        """Draw what a second checkpoint makes of the same seed and class, to lay beside explore_picture of the first.

        Args:
            checkpoint: the first one's name.
            other: the second one's name; RUN@STEP is a run as it was at a mark whose weights are kept.
            seed: the seed of both.
            label: the number of the first one's class, or -1 for none.
        """

        def picture():
            asked, _ = counterpart(explore.engine, Request(checkpoint, seed, label=None if label < 0 else label), other)
            (sample,) = explore.engine.draw([asked])
            return explore.engine.file(sample)

        return widgets.served(widgets.told(picture), f"{other}-{seed}.png")

    widgets.endpoint(explore_pair, gr.Image(visible=False, format="png"))
