"""The view "From a picture": a dropped photo or a drawing, and the latent from which the model draws its match."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr

from ...checkpoint import Checkpoint
from ...data import framing
from ...engine import Engine, Request
from ...exploration import inversion
from .. import widgets
from ..explore import Explore, request, state_of
from . import decoded, reading

ORDER = 3
WAITING = 4  # searches that are taken on at once, of all visitors; the machine computes one at a time
PLACES, TURN = threading.Semaphore(WAITING), threading.Lock()
REMEMBERED = 64  # searches whose progress is kept


class Busy(RuntimeError):
    """More searches than the server takes at once."""


def search(
    engine: Engine, found: Checkpoint, asked: Request, data: bytes, tell: Callable[[float, Any], None] | None = None
) -> tuple[inversion.Match, Any, tuple[str, ...]]:
    """The match, the picture as it was framed, and what was done to it. Raises DataError, ConfigError, CheckpointError and Busy."""
    item, notes = framing.framed(data, found.modality, found.manifest.run.data.source)
    if not PLACES.acquire(blocking=False):
        raise Busy(f"{WAITING} pictures are being searched for already: try again in a few seconds")
    try:
        with TURN:
            return inversion.invert(engine, asked, item, tell, found), item, notes
    finally:
        PLACES.release()


def functions(explore: Explore) -> list[Callable[[Any], Any]]:
    going: OrderedDict[str, tuple[float, Any]] = OrderedDict()  # token -> share done, best picture so far
    lock = threading.Lock()

    def remember(token, *seen):
        with lock:
            going[token] = seen
            while len(going) > REMEMBERED:
                going.popitem(last=False)

    def invert(payload):
        """The match of a picture (base64), for every class or for that of the state."""
        with reading():
            here, data, token = request(payload["state"]), decoded(payload["picture"]), str(payload.get("token", ""))[:64]
            label = None if payload.get("any_class", True) else here.label
        found = explore.engine.warm(here.checkpoint).checkpoint
        asked = Request(here.checkpoint, here.seed, label=label)
        match, item, notes = search(explore.engine, found, asked, data, partial(remember, token))
        return {
            "state": state_of(match.request),
            "original": widgets.pixels(item) | widgets.heard(explore.engine.sound([item], here.checkpoint)),
            "picture": widgets.pixels(match.item) | widgets.heard(explore.engine.sound([match.item], here.checkpoint)),
            **_said(match, found, notes),
        }

    def invert_progress(token):
        """How far a search is."""
        with lock:
            share, item = going.get(str(token)[:64], (0.0, None))
        return {"share": share, "picture": None if item is None else widgets.pixels(item)}

    return [invert, invert_progress]


def endpoints(explore: Explore) -> None:
    def explore_invert(checkpoint: str, picture: str, label: int = -1) -> dict:
        """Find the latent from which a checkpoint draws a picture most nearly, or makes a clip.

        Args:
            checkpoint: its name.
            picture: the bytes of a PNG, JPEG or WebP, of a sound of a WAV, FLAC, OGG or MP3, in base64, at most 4 MB.
            label: the class's number, or -1 to try every class.
        """

        def answer():
            found = explore.engine.warm(checkpoint).checkpoint
            match, _, notes = search(explore.engine, found, Request(checkpoint, label=None if label < 0 else label), decoded(picture))
            return {"request": {**state_of(match.request), "digest": found.digest}, **_said(match, found, notes)}

        return widgets.told(answer)

    gr.api(explore_invert, api_name="explore_invert")


def _said(match: inversion.Match, found: Checkpoint, notes: tuple[str, ...]) -> dict[str, Any]:
    classes = found.manifest.classes
    return {
        "rmse": round(match.rmse, 2),
        "psnr": round(match.psnr, 2),
        "seconds": round(match.seconds, 2),
        "encoded": match.encoded,
        "class": None if match.request.label is None else classes[match.request.label],
        "notes": list(notes),
    }
