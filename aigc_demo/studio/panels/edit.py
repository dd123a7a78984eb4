"""The view "Redraw": a picture, a mask that is painted on it, and what the model makes of it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import gradio as gr

from ...config import ConfigError
from ...engine import Engine, Request
from ...exploration import edits
from .. import widgets
from ..explore import Explore, request
from . import reading

ORDER = 5
LARGEST = 4_000_000  # bytes of an uploaded picture, and of a mask


def made(engine: Engine, asked: Request, picture: str, mask: str, strength: float) -> tuple[edits.Edit, bytes, tuple[str, ...]]:
    """The edit of a picture (base64), where there is a mask (base64) within that; its file; and what was done to the picture.

    Raises ConfigError, DataError and CheckpointError."""
    found = engine.warm(asked.checkpoint).checkpoint
    item, where, notes = edits.read(found, _bytes("picture", picture), _bytes("mask", mask) if mask else None)
    edit = edits.redraw(engine, asked, item, strength, where, found)
    return edit, edits.file(found.modality, edit), notes


def functions(explore: Explore) -> list[Callable[[Any], Any]]:
    def edit(payload):
        """A picture redrawn with the state's class, seed and settings."""
        with reading():
            asked, strength = request(payload["state"]), float(payload["strength"])
            picture, mask = str(payload["picture"]), str(payload.get("mask") or "")
        done, data, notes = made(explore.engine, asked, picture, mask, strength)
        return {
            "original": widgets.pixels(done.original),
            "picture": widgets.pixels(done.item),
            "changed": round(done.changed, 4),
            "psnr": round(done.psnr, 2),
            "notes": list(notes),
            "png": base64.b64encode(data).decode(),
            "name": f"{asked.checkpoint}-redrawn.png",
        }

    return [edit]


def endpoints(explore: Explore) -> None:
    def explore_edit(checkpoint: str, picture: str, mask: str = "", strength: float = 0.5, label: int = -1, seed: int = 0) -> str:
        """Redraw a picture, or the masked part of it, in a model's own manner.

        Args:
            checkpoint: its name; a flow or a diffusion.
            picture: the bytes of a PNG, JPEG or WebP in base64, at most 4 MB.
            mask: a picture in base64 that is white where it is to be redrawn; empty for the whole picture.
            strength: how far it is noised before it is brought back: above 0, at most 1.
            label: the class's number, or -1 for none.
            seed: of the noise.
        """

        def answer():
            return made(explore.engine, Request(checkpoint, seed, label=None if label < 0 else label), picture, mask, strength)[1]

        return widgets.served(widgets.told(answer), f"{checkpoint}-redrawn.png")

    widgets.endpoint(explore_edit, gr.File(visible=False))


def _bytes(what: str, text: str) -> bytes:
    if len(text) > LARGEST * 4 // 3 + 4:
        raise ConfigError(f"{what}: over {LARGEST // 10**6} MB, too large")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ConfigError(f"{what}: not the bytes of a file in base64") from None
