"""What a run writes down as it goes: its log, the sheets of its marks, the weights of some and states to go back to; and how all of it is
cut back to a step."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import files

LOG, SHEETS, STATE = "log.jsonl", "samples.pack", "state.safetensors"
FIRST = "config.first.json"  # what the run was before its training was changed
MARKS, STATES = "marks", "states"  # folders: a checkpoint a mark that is kept, and the states that were saved before the last
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


def place(folder: Path, kind: str, step: int) -> Path:
    """Where what is kept of `step` lies, of the kind MARKS or STATES."""
    return folder / kind / (f"{step:09d}" if kind == MARKS else f"{step:09d}.safetensors")


def kept(folder: Path, kind: str) -> list[int]:
    """The steps of which a mark's weights, or a state, are kept, ascending."""
    names = (p.name.removesuffix(".safetensors") for p in (folder / kind).glob("*"))
    return sorted(int(name) for name in names if name.isdecimal())


def surplus(steps: Sequence[int], most: int) -> list[int]:
    """Those of `steps`, ascending, that go so that `most` stay: as evenly as may be, the first and the newest always among them."""
    left, gone = list(steps), []
    while len(left) > max(1, most):
        # the one whose neighbours are nearest to each other leaves the smallest gap
        at = min(range(1, len(left) - 1), key=lambda i: left[i + 1] - left[i - 1]) if most > 1 and len(left) > 2 else 0
        gone.append(left.pop(at))
    return gone


def thin(folder: Path, kind: str, most: int) -> None:
    """Keeps `most` marks' weights, or states, as `surplus` chooses."""
    for step in surplus(kept(folder, kind), most) if most else kept(folder, kind):
        _remove(place(folder, kind, step))


def keep_state(folder: Path, step: int, most: float) -> None:
    """Keeps the state that was just saved for going back to it, and as many before it as fit into `most` bytes, the first among them.

    The file itself is kept under a second name: nothing is written twice. Raises files.StorageError."""
    state, own = folder / STATE, place(folder, STATES, step)
    with files.said(own):
        count = int(most // state.stat().st_size)
        if count:
            own.parent.mkdir(exist_ok=True)
            own.unlink(missing_ok=True)
            _again(state, own)
        thin(folder, STATES, count)


def put_back(folder: Path, step: int) -> None:
    """Makes the state that is kept of `step` the one that the run goes on from, and cuts all else back to it. Raises files.StorageError."""
    side = folder / f".{STATE}.back"
    with files.said(folder / STATE):
        side.unlink(missing_ok=True)
        _again(place(folder, STATES, step), side)
        os.replace(side, folder / STATE)
        files.sync(folder)
    cut(folder, step)


def _again(path: Path, name: Path) -> None:
    """Gives a file a second name, or a copy where the disk knows no such thing."""
    try:
        os.link(path, name)
    except OSError:
        side = name.with_name(f".{name.name}.copy")
        shutil.copyfile(path, side)
        os.replace(side, name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def cut(folder: Path, step: int) -> None:
    """Takes what was written after `step`, or torn by a crash, out of all that is kept. Raises files.StorageError."""
    for kind in (MARKS, STATES):
        for later in (s for s in kept(folder, kind) if s > step):
            _remove(place(folder, kind, later))
        for half in (folder / kind).glob(".*"):  # what a crash left half written
            _remove(half)
    log, pack = folder / LOG, folder / SHEETS
    lines, end = [], 0
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
            lines.append(line)
    if log.exists():
        files.write_whole(log, b"".join(line + b"\n" for line in lines))
    if size > end:
        with files.said(pack):
            os.truncate(pack, end)
