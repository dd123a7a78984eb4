"""The view "Take noise off": a picture of the test set or of one's own, noise put on it, and what a model takes that for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from ...config import ConfigError
from ...data import framing
from ...exploration import restoring
from .. import widgets
from ..explore import Explore, request
from . import decoded, reading

ORDER = 5


def functions(explore: Explore) -> list[Callable[[Any], Any]]:
    engine = explore.engine

    def restore_kinds(name):
        """The kinds of noise that a checkpoint takes off; none, and why, where it takes off none."""
        found = engine.warm(str(name)).checkpoint
        try:
            return {"kinds": list(restoring.noises(engine, found)), "why": ""}
        except ConfigError as error:
            return {"kinds": [], "why": str(error)}

    def restore(payload):
        """The picture, with noise, and restored; `number` is that of the test picture where none is given."""
        with reading():
            here, noise, picture = request(payload["state"]), str(payload["noise"]), str(payload.get("picture", ""))
            amount, number = float(payload["amount"]), int(payload["number"])
        return _shown(*_restored(explore, here.checkpoint, picture, noise, amount, number))

    return [restore_kinds, restore]


def endpoints(explore: Explore) -> None:
    def explore_restore(checkpoint: str, picture: str = "", noise: str = "gaussian", amount: float = 0.5, number: int = 0) -> dict:
        """Put noise on a picture and take it off again with an autoencoder (`aigc restore`).

        Args:
            checkpoint: its name.
            picture: the bytes of a PNG, JPEG or WebP in base64, at most 4 MB; a test picture of the checkpoint's data where none is given.
            noise: gaussian, masking or salt-and-pepper; none where the picture has some already.
            amount: how much, from 0 to 1.
            number: which test picture, and the seed of the noise.
        """

        def answer():
            made, notes = _restored(explore, checkpoint, picture, noise, amount, number)
            return {"before": made.before, "after": made.after, "notes": list(notes), "restored": widgets.pixels(made.restored)}

        return widgets.told(answer)

    gr.api(explore_restore, api_name="explore_restore")


def _restored(
    explore: Explore, name: str, picture: str, noise: str, amount: float, number: int
) -> tuple[restoring.Restored, tuple[str, ...]]:
    found = explore.engine.warm(name).checkpoint
    restoring.noises(explore.engine, found)
    if picture:
        item, notes = framing.framed(decoded(picture), found.modality, found.manifest.run.data.source)
    else:
        item, notes = restoring.example(found, number), ()
    return restoring.restore(explore.engine, found, [item], noise, amount, number)[0], notes


def _shown(made: restoring.Restored, notes: tuple[str, ...]) -> dict[str, Any]:
    pictures = {k: widgets.pixels(getattr(made, k)) for k in ("original", "noisy", "restored")}
    return {**pictures, "before": round(made.before, 2), "after": round(made.after, 2), "notes": list(notes)}
