"""A run's folder: what is in it, and what a watcher sees of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from .. import files, history
from ..config import Run

CONFIG, STATUS, OWNER, OUTPUT = "config.json", "status.json", "owner", "output.txt"
STOP = "stop"  # what its owner asks of a run at work
KEEP = "keep"  # it is there where the run goes on without its server and without watchers
ASKED, LEASE, LOCK = ".asked", ".lease", ".lock"
ENDED = ("done", "stopped", "paused", "interrupted", "failed")  # states without a process
START_SECONDS = 90.0  # that a child may take to be there
LEASE_SECONDS = 5.0  # between two renewals of a lease
REMEMBERED = 100_000  # points of logs that are kept in memory, of the runs watched last: about 200 MB
ROOM = 4096  # bytes that a status is kept long where the disk is full: writing over them needs no new place


class JobError(ValueError):
    """A run that cannot be started, found or changed; the text says which and why."""


class Place(NamedTuple):
    """Where a run stands in the line (from 1), how many stand there, and the seconds until its turn, None where nobody can know."""

    at: int
    of: int
    seconds: float | None


@dataclass(frozen=True)
class Seen:
    """What a watcher sees of a run. `state` is waiting, starting, running, or one of ENDED; `points` are the log's lines, `marks` the steps
    that have a picture, `saved` is the step that an ended run can go on from, None where it has saved nothing. `kept` runs need nobody."""

    id: str
    run: Run
    state: str
    says: str
    points: tuple[dict[str, Any], ...] = ()
    marks: tuple[int, ...] = ()
    checkpoint: bool = False
    saved: int | None = None
    place: Place | None = None
    kept: bool = False


def create(run: Run, owner: str = "", id: str = "") -> Path:
    """Makes the run's folder with its config; `owner` is the token that may change it, of which only a hash is kept.

    Without an `id` the folder is named after the run, numbered where that is taken. Raises files.StorageError."""
    folder = files.new_folder(
        files.runs(), id or run.name or f"{run.data.source if run.data.source.isidentifier() else run.family}-{run.preset}"
    )
    if owner:
        files.write_whole(folder / OWNER, hashed(owner).encode())
    files.write_whole(folder / CONFIG, run.model_dump_json(indent=1).encode())
    return folder


def hashed(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def find(id: str) -> Path:
    """The folder of run `id`. Raises JobError."""
    try:
        folder = files.runs() / files.named(id)
    except ValueError:
        raise JobError("that is not a run's address") from None
    if not (folder / CONFIG).is_file():
        raise JobError(f"there is no run {id[:64]} here (any more)")
    return folder


def read(folder: Path) -> Run:
    """The run that `folder` holds. Raises JobError."""
    try:
        return Run.model_validate_json((folder / CONFIG).read_bytes())
    except (OSError, ValueError):
        raise JobError(f"{folder / CONFIG}: not the description of a run") from None


def watch(id: str) -> Seen:
    """What run `id` shows now, from step 0. Raises JobError."""
    folder = find(id)
    points = _points(folder / history.LOG)
    return _seen(folder, points, tuple(sorted(_marks(points))))


def listed(visitor: str | None = None) -> list[Seen]:
    """The runs there are, the newest first, each with the last line of its log as its only point.

    Without a `visitor` (a token) these are all; with one, what visitors may know of: their own, and those that nobody owns."""
    from .turns import asked

    own = None if visitor is None else hashed(visitor)
    found = []
    for config in files.runs().glob("[!.]*/" + CONFIG):
        folder = config.parent
        if own is None or not (folder / OWNER).exists() or asked(folder)[0] == own:
            with contextlib.suppress(JobError, OSError):
                found.append((config.stat().st_mtime, folder.name, _seen(folder, last(folder), ())))
    return [seen for *_, seen in sorted(found, key=lambda f: f[:2], reverse=True)]


def _seen(folder: Path, points: tuple[dict[str, Any], ...], marks: tuple[int, ...]) -> Seen:
    said = status(folder)
    state, says = said.get("state"), str(said.get("says", ""))
    if state not in ENDED and not live(folder):
        step = saved(folder)
        on = f"What it had learnt up to step {step:,} is kept, and it can go on from there." if step else "It can begin again."
        state, says = "interrupted", f"The training process ended without a word. {on}"
    place = None
    with contextlib.suppress(TypeError):
        place = Place(*said["place"]) if state == "waiting" and said.get("place") else None
    step = saved(folder) if state in ENDED else None
    made, kept = (folder / "checkpoint" / CONFIG).is_file(), (folder / KEEP).exists()
    return Seen(folder.name, read(folder), state, says, points, marks, made, step, place, kept)


def live(folder: Path) -> bool:
    """Whether a process is at work on the run, or was spawned a moment ago."""
    if files.held(folder / LOCK):
        return True
    said = status(folder)
    with contextlib.suppress(KeyError, TypeError):
        # abs: a clock that was set back does not make a child that never came one that is about to
        return said["state"] not in ENDED and said["pid"] is None and abs(time.time() - said["at"]) < START_SECONDS
    return False


def saved(folder: Path) -> int | None:
    """The step of the saved state, from its header alone; None where there is none to go on from."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(folder / history.STATE, "rb") as f:
        header = json.loads(f.read(min(int.from_bytes(f.read(8), "little"), 1 << 26)))
        return int(json.loads(header["__metadata__"]["facts"])["step"])
    return None


_logs: OrderedDict[Path, tuple[int, int, tuple[dict[str, Any], ...]]] = OrderedDict()  # path: inode, bytes read, points; for all watchers
_reading = threading.Lock()


def _points(path: Path) -> tuple[dict[str, Any], ...]:
    """The whole lines of a log; what was read before is not read again, unless the log was written anew."""
    with _reading, contextlib.suppress(OSError):
        inode, read_to, points = _logs.get(path, (0, 0, ()))
        with open(path, "rb") as log:
            now = os.fstat(log.fileno())
            if now.st_ino != inode or now.st_size < read_to:
                read_to, points = 0, ()
            log.seek(read_to)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]  # the last line may be half written
        _logs[path] = (now.st_ino, read_to + len(whole), points := points + _lines(whole))
        _logs.move_to_end(path)
        while len(_logs) > 1 and sum(len(p) for _, _, p in _logs.values()) > REMEMBERED:
            _logs.popitem(last=False)
        return points
    return ()


def last(folder: Path) -> tuple[dict[str, Any], ...]:
    """The last whole line of the run's log, where there is one."""
    with contextlib.suppress(OSError), open(folder / history.LOG, "rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - (1 << 14)))
        end = log.read()
        return _lines(end[: end.rfind(b"\n") + 1])[-1:]
    return ()


def _lines(text: bytes) -> tuple[dict[str, Any], ...]:
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return tuple(found)


def _marks(points: tuple[dict[str, Any], ...]) -> dict[int, dict[str, int]]:
    """Where the sheet of each marked step lies."""
    return {p["step"]: p["mark"] for p in points if p.get("mark")}


def mark(id: str, step: int) -> bytes:
    """The picture (WebP) of the run's fixed latents at a step of Seen.marks. Raises JobError."""
    folder = find(id)
    try:
        return history.sheet(folder, _marks(_points(folder / history.LOG))[int(step)])
    except (KeyError, ValueError):
        raise JobError(f"the run has no picture of step {str(step)[:20]}") from None


_attended: OrderedDict[Path, float] = OrderedDict()  # when this process last renewed a lease


def states(id: str, step: int) -> list[int]:
    """The steps up to `step` of which a state is kept to rewind the run to. Raises JobError."""
    return [s for s in history.kept(find(id), history.STATES) if s <= step]


def attend(id: str) -> None:
    """Says that somebody watches the run. Raises JobError."""
    folder, now = find(id), time.monotonic()
    if now - _attended.get(folder, -LEASE_SECONDS) >= LEASE_SECONDS:
        _attended[folder] = now
        _attended.move_to_end(folder)
        while len(_attended) > 1000:
            _attended.popitem(last=False)
        with contextlib.suppress(OSError):  # a folder that cannot be written: its run has other troubles
            (folder / LEASE).touch()


def report(folder: Path, state: str, says: str, begun: bool = True, left: float | None = None, place: Place | None = None) -> None:
    """The child's word on itself, for those who watch; before the child has `begun` no process answers for it.

    `left` is the seconds that the run still takes, where they are known. Raises files.StorageError."""
    said = {"state": state, "says": says, "pid": os.getpid() if begun else None, "at": time.time(), "left": left, "place": place}
    text = json.dumps(said).ljust(ROOM).encode()
    try:
        files.write_whole(folder / STATUS, text)
    except files.StorageError:
        try:
            with open(folder / STATUS, "r+b") as f:
                f.write(text[:ROOM])
        except OSError:
            pass
        else:
            return
        raise


def status(folder: Path) -> dict[str, Any]:
    """The child's last word, {} where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((folder / STATUS).read_bytes())
        if isinstance(found, dict):
            return found
    return {}
