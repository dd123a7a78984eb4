"""The promise of a modality: the one place where bytes become tensors and tensors become bytes."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    import torch

LARGEST_FILE = 16 << 20  # bytes of a field that is a file of its own


class BadItem(ValueError):
    """Bytes that cannot become an item; the text is the reason, without the file's name."""


class Modality(Protocol):
    """A frozen dataclass whose fields are stored in the checkpoint, so that sizes, rates and alphabets travel with the weights: a field of
    bytes (safetensors) as a file of its own.

    An *item* is what is stored and shown (for pictures a uint8 tensor of `shape`); *x* is what a model sees (float32 of `space`, about -1
    to 1).
    `thing` is what a person calls an item, `suffix` ends a file's name, and `many` is how many items a sheet is to show: 0 for what one
    looks at one by one, a few rows of it. `pictured` says whether the page can show an item as a picture (uint8), in the colours of
    `palette` where it has one."""

    kind: ClassVar[str]
    thing: ClassVar[str]
    many: ClassVar[int]
    suffix: ClassVar[str]
    pictured: ClassVar[bool]
    palette: ClassVar[tuple[tuple[int, int, int], ...]]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one item."""

    @property
    def space(self) -> tuple[int, ...]:
        """The shape of one x: that of an item, but where models see something else of it."""

    @property
    def extent(self) -> str:
        """How large an item is, in a person's words: "28 px"."""

    def read(self, data: bytes) -> torch.Tensor:
        """One file's bytes -> one item. Raises BadItem with the reason."""

    def encode(self, items: torch.Tensor) -> torch.Tensor:
        """Items (N, *shape) -> x (N, *space)."""

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """x (N, *space) -> items (N, *shape), clipped to what an item can hold."""

    def write(self, item: torch.Tensor, recipe: dict[str, Any] | None = None) -> bytes:
        """One item -> the bytes of a file, with the recipe that made it inside."""

    def sound(self, items: torch.Tensor) -> tuple[torch.Tensor, int] | None:
        """What is heard of items (N, *shape): waves float32 (N, samples) within -1 to 1, and samples a second; None of what is silent."""

    def film(self, items: torch.Tensor, fps: int, kind: str) -> bytes:
        """Items (N, *shape) -> the bytes of a film that shows them one after another."""

    @staticmethod
    def recipe_of(data: bytes) -> dict[str, Any] | None:
        """The recipe that `write` put into a file; None where there is none. A stranger's file is safe to ask."""

    def sheet(self, items: torch.Tensor, columns: int) -> Any:
        """Items (N, *shape) -> one uint8 array (height, width, 3) that shows them in rows."""

    @staticmethod
    def features(x: torch.Tensor) -> torch.Tensor:
        """x (N, *space) -> float32 (N, F), in which near means alike, roughly: what samples and data are compared by."""

    def measures(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """What can be read off x (N, *space) and said in a word, each (N,): a slider that changes one of them bears its name."""


def kinds() -> tuple[str, ...]:
    """The modalities there are: one file each in the room `modalities`."""
    from . import modalities

    return tuple(sorted(m.name for m in pkgutil.iter_modules(modalities.__path__)))


def recipe_of(data: bytes) -> dict[str, Any] | None:
    """The recipe inside a file that a modality wrote; None where there is none."""
    found = (_kind(kind).recipe_of(data) for kind in kinds())
    return next((recipe for recipe in found if recipe is not None), None)


def _kind(name: str) -> type[Modality]:
    return importlib.import_module(f"{__package__}.modalities.{name}").Modality


def to_json(modality: Modality) -> dict[str, Any]:
    """`{"kind": "image", "size": 28, ...}`: what a checkpoint stores; of bytes their SHA-256, "" for none."""
    named = {k: _digest(v) if isinstance(v, bytes) else v for k, v in asdict(modality).items()}
    return {"kind": modality.kind, **named}


def files_of(modality: Modality) -> dict[str, bytes]:
    """What a checkpoint stores beside `to_json`, by file name."""
    return {f"{k}.safetensors": v for k, v in asdict(modality).items() if isinstance(v, bytes) and v}


def from_json(stored: dict[str, Any], folder: Path | None = None) -> Modality:
    """The modality that `to_json` described, its files in `folder`.

    Raises ValueError for a kind or a field that does not exist, and for a file that is missing or not the one that was stored."""
    stored = dict(stored)
    kind = stored.pop("kind", None)
    if kind not in kinds():
        raise ValueError(f"modality: {kind!r} is not one of {', '.join(kinds())}")
    for name in (f.name for f in fields(_kind(kind)) if f.type == "bytes" and f.name in stored):
        stored[name] = _file(folder, name, str(stored[name]))
    try:
        return _kind(kind)(**stored)
    except TypeError as error:
        raise ValueError(f"modality {kind}: {str(error).split(') ', 1)[-1]}") from None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if data else ""


def _file(folder: Path | None, name: str, digest: str) -> bytes:
    if not digest:
        return b""
    path = (folder or Path()) / f"{name}.safetensors"
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError:
        data = b""
    if _digest(data) != digest:
        raise ValueError(f"modality: {path.name} is missing, or not the file that it was saved with")
    return data
