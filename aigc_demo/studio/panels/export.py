"""The whole model as a file to take along: a page that needs no server, or a graph for other programs."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import Any

import gradio as gr

from ... import checkpoint as checkpoints
from ...config import ConfigError
from ...engine import Engine
from ...publish import graph, static_page
from .. import widgets
from ..explore import Explore
from . import reading

ORDER = 9
FORMATS = ("page", "onnx")
LARGEST = 100_000_000  # bytes of a checkpoint's weights: what a browser can be asked to hold
STEPS = 4  # that a picture may take: a graph holds each, and takes torch 10 to 20 seconds a step, the more the longer it is
LONGEST = 40  # characters of a direction's name
_one = threading.Lock()  # an export takes a core for seconds


def check(found: checkpoints.Checkpoint) -> None:
    """Raises ConfigError for a checkpoint that is too large or takes too many steps to be exported here, and as graph.check."""
    if found.bytes > LARGEST:
        have, most = (f"{size / 1e6:.0f} MB" for size in (found.bytes, LARGEST))
        raise ConfigError(f"export: {have} of weights are too many here: at most {most}; `aigc export` has no limit")
    graph.check(found)  # the command line cannot do it either
    if (steps := found.manifest.run.model.get("steps", 1)) > STEPS:
        raise ConfigError(
            f"export: a graph of {steps} steps takes minutes, at most {STEPS} are made here; `aigc export {found.name}` has no limit"
        )


def made(engine: Engine, name: str, format: str, names: dict[int, str] | None = None) -> tuple[bytes, str]:
    """A checkpoint's export and the name of its file: a zip of the page's folder, or the graph; `names` is the visitor's own of directions.

    Raises ConfigError for what cannot be."""
    if format not in FORMATS:
        raise ConfigError(f"format: {format[:40]!r} is not one of {', '.join(FORMATS)}")
    found = checkpoints.find(name)
    check(found)
    if not _one.acquire(blocking=False):
        raise ConfigError("export: another one is under way; try again in a few seconds")
    try:
        if format == "onnx":
            return graph.export(found).data, f"{static_page.title(found)}.onnx"
        return static_page.zipped(static_page.make(engine, found, names=names)), f"{static_page.title(found)}-page.zip"
    finally:
        _one.release()


def functions(explore: Explore) -> list[Callable[[Any], Any]]:
    """What the view's buttons call."""

    def export_file(asked: dict[str, Any]) -> dict[str, str]:
        """{"checkpoint", "format", "names"} -> {"file": base64, "name"}."""
        with reading():
            checkpoint, format = str(asked["checkpoint"]), str(asked["format"])
            names = {int(k): str(name)[:LONGEST] for k, name in dict(asked.get("names") or {}).items()}
        data, name = made(explore.engine, checkpoint, format, names)
        return {"file": base64.b64encode(data).decode(), "name": name}

    return [export_file]


def endpoints(explore: Explore) -> None:
    """Registers explore_export."""

    def explore_export(checkpoint: str, format: str = "page") -> str:
        """Export a checkpoint as a page that needs no server (a zip), or as an ONNX graph that was compared with torch.

        Args:
            checkpoint: its name, as explore_list gives it.
            format: page or onnx.
        """
        data, name = widgets.told(made, explore.engine, checkpoint, format)
        return widgets.served(data, name)

    widgets.endpoint(explore_export, gr.File(visible=False))
