"""One latent beside the slider of time: drawn with the weights of the mark in view, and held still from mark to mark."""

from __future__ import annotations

from typing import Any

import gradio as gr

from .. import checkpoint as checkpoints, jobs
from ..config import ConfigError
from ..engine import Engine, Request, Superseded
from . import widgets, words


class Moments:
    """What the page and the named endpoint call."""

    def __init__(self, engine: Engine):
        self.engine = engine

    def request(self, run: str, step: int, seed: int, x: float, y: float, label: int | None) -> Request:
        """The request for (x, y) of the seed's lattice at the mark of `run` whose weights are kept nearest before `step`.

        Raises jobs.JobError, checkpoint.CheckpointError."""
        jobs.find(run)
        mark = checkpoints.find(f"{run}@{step}")
        classes = self.engine.warm(mark).model.classes
        return Request(mark.name, seed, label=(label or 0) if classes else None, place=(x, y))

    def moment(self, asked: Any) -> dict[str, Any]:
        """The picture that the page asks for, with the step whose weights drew it and the classes that there are."""
        try:
            label, session = asked.get("label"), str(asked.get("session") or "")[:64]
            numbers = (int(asked["step"]), int(asked["seed"]), float(asked["x"]), float(asked["y"]))
            found = self.request(str(asked["run"]), *numbers, None if label is None else int(label))
        except (AttributeError, KeyError, TypeError, OverflowError):
            raise ConfigError("a moment is asked for by run, step, seed, x, y and label") from None
        try:
            sample = self.engine.draw([found], session=f"{session} moment" if session else None)[0]
        except Superseded:
            return {"superseded": True}
        made = checkpoints.find(found.checkpoint).manifest
        return {
            "picture": widgets.pixels(sample.item),
            "step": made.training.steps,
            "classes": list(made.classes) if found.label is not None else [],
        }

    def pad(self, **settings: Any) -> gr.HTML:
        """The component; its value {"run": id, "step": step} is the mark in view, {} while there is none."""
        markup = (widgets.ASSETS / "moment.html").read_text("utf-8")
        return widgets.scripted(markup, ["moment.js"], [self.moment], {"words": words.of("moment")}, **settings)

    def endpoints(self) -> None:
        """What gradio_client and MCP call."""

        def train_moment(run: str, step: int, seed: int = 0, x: float = 0.0, y: float = 0.0, label: int = -1) -> str:
            """The picture of one latent with the weights that a run had at a mark, the newest kept one that is not after the step.

            Args:
                run: the run's id.
                step: the step.
                seed: the same seed and place are the same latent at every step.
                x: where on the seed's lattice, in standard draws.
                y: likewise, across.
                label: the class's number, or -1 for the first.
            """
            asked = widgets.told(self.request, run, step, seed, x, y, None if label < 0 else label)
            sample = widgets.told(self.engine.draw, [asked])[0]
            return widgets.served(widgets.told(self.engine.file, sample), f"{asked.checkpoint}.png")

        widgets.endpoint(train_moment, gr.Image(visible=False, format="png"))
