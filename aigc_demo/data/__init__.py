"""From a name, a folder or a zip to clean items in one tensor, with an account of what was left out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .cleaning import DataError, Ledger
from .sources import Source, present, sources

if TYPE_CHECKING:
    from .loading import Batches, Dataset, foreseen, load

__all__ = ["Batches", "DataError", "Dataset", "Ledger", "Source", "foreseen", "load", "present", "sources"]
LATE = ("Batches", "Dataset", "foreseen", "load")  # torch's import takes seconds that a list of sources should not wait for


def __getattr__(name: str) -> Any:
    if name in LATE:
        return getattr(importlib.import_module(".loading", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
