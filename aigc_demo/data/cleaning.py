"""The account of cleaning: what was read, what was left out and why, and what was done to the rest."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch


class DataError(ValueError):
    """Data that cannot be used; the text is one sentence that says which, where and what to do."""


class Entry(NamedTuple):
    """One file that was left out, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Ledger:
    """How many of a thing were read, the entries left out, the hidden files passed over, and notes on those that were kept."""

    read: int
    left_out: tuple[Entry, ...] = ()
    hidden: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    thing: str = "picture"

    def summary(self) -> str:
        """One sentence: "2,431 pictures read, 3 left out: 2 not an image, 1 too few pixels"."""
        said = f"{_count(self.read, self.thing)} read"
        if self.left_out:
            kinds = Counter(_kind(entry.reason) for entry in self.left_out).most_common()
            said += f", {len(self.left_out):,} left out: " + ", ".join(f"{n:,} {kind}" for kind, n in kinds)
        return said + "".join(f"; {note}" for note in self.notes)


def duplicates(items: torch.Tensor) -> int:
    """How many of items (N, ...) repeat an earlier one exactly."""
    seen = {hashlib.blake2b(row, digest_size=16).digest() for row in items.contiguous().numpy()}
    return len(items) - len(seen)


def shown(name: str) -> str:
    """A file's name as at most 200 characters that any log, page or JSON can hold: what does not print is escaped."""
    name = name.encode("utf-8", "backslashreplace").decode()
    name = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    return name if len(name) <= 200 else name[:98] + "..." + name[-98:]


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def _kind(reason: str) -> str:
    return re.sub(r"^\d+ x \d+ pixels are too (few|many)", r"too \1 pixels", reason).split(":")[0]
