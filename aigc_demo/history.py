"""What a run writes down as it goes: the log's lines and the sheets of its marks, one file each, and how both are cut back to a step."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from . import files

LOG, SHEETS = "log.jsonl", "samples.pack"
AGAIN = "again"  # the end of a stretch that the next one follows at once: it leaves a state, and neither a mark nor a checkpoint


def note(folder: Path, line: dict[str, Any], sheet: bytes | None = None) -> None:
    """Adds a line to the log. A mark's `sheet` goes to the end of samples.pack first, and the line's "mark" says where it lies.

    Raises files.StorageError."""
    mark = None
    if sheet is not None:
        with files.said(folder / SHEETS), open(folder / SHEETS, "ab") as pack:
            mark = {"at": os.fstat(pack.fileno()).st_size, "bytes": len(sheet)}
            pack.write(sheet)
    files.append(folder / LOG, json.dumps({**line, "mark": mark}))


def sheet(folder: Path, mark: dict[str, int]) -> bytes:
    """The sheet (WebP) that a line's "mark" points to. Raises ValueError where the file does not hold it."""
    try:
        with open(folder / SHEETS, "rb") as pack:
            pack.seek(mark["at"])
            found = pack.read(mark["bytes"])
    except (OSError, KeyError, TypeError):
        raise ValueError("there is no such sheet") from None
    if len(found) != mark["bytes"]:
        raise ValueError("the sheet is cut short")
    return found


def cut(folder: Path, step: int) -> None:
    """Takes what was written after `step`, or torn by a crash, out of the log and the sheets. Raises files.StorageError."""
    log, pack = folder / LOG, folder / SHEETS
    kept, end = [], 0
    size = pack.stat().st_size if pack.exists() else 0
    for line in log.read_bytes().splitlines() if log.exists() else ():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            found = json.loads(line)
            if found["step"] > step:
                continue
            if mark := found.get("mark"):
                if mark["at"] + mark["bytes"] > size:  # a power cut can take the sheet and leave the line
                    line = json.dumps({**found, "mark": None}).encode()
                else:
                    end = max(end, mark["at"] + mark["bytes"])
            kept.append(line)
    if log.exists():
        files.write_whole(log, b"".join(line + b"\n" for line in kept))
    if size > end:
        with files.said(pack):
            os.truncate(pack, end)
