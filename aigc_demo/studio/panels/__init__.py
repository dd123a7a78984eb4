"""The views beside the picture of Explore: one file each, found by its name; the head of assets/explore/core.js says how one plugs in."""

from __future__ import annotations

import base64
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ...config import ConfigError

LARGEST = 4_000_000  # bytes of an uploaded picture


class Panel(Protocol):
    """What a file of this room defines; `explore` is studio.explore's Explore."""

    ORDER: int  # its place among the tabs; the sliders are 0

    def functions(self, explore: Any) -> list[Callable[[Any], Any]]:
        """What the panel's page part calls, by the functions' names: each takes one JSON value and returns one. They check what they are
        given and raise ConfigError, CheckpointError or another of our errors, which the page says as a sentence."""

    def endpoints(self, explore: Any) -> None:
        """Registers the panel's named endpoints, over the same functions."""


def found() -> dict[str, Panel]:
    """The panels that there are, by id, in the order of their tabs."""
    panels = {m.name: importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)}
    return dict(sorted(panels.items(), key=lambda item: item[1].ORDER))


@contextmanager
def reading() -> Iterator[None]:
    """Around the lines that take a payload apart: whatever is missing in it, or of another kind, is a ConfigError."""
    try:
        yield
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        if type(error).__module__.startswith("aigc_demo"):
            raise
        raise ConfigError("the request is not one that this page sends: a part of it is missing, or of another kind") from None


def decoded(text: str) -> bytes:
    """The bytes of an uploaded picture or clip in base64. Raises ConfigError."""
    if len(text) > LARGEST * 4 // 3 + 4:
        raise ConfigError(f"file: over {LARGEST // 10**6} MB, too large")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ConfigError("file: not the bytes of one in base64") from None
