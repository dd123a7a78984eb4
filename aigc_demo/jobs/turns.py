"""Whose turn it is to train: the children that wait decide it from files, visitor by visitor, and within a visitor by time of asking.

The time of asking is a number drawn from a count, not the clock, which may be set back."""

from __future__ import annotations

import contextlib
import heapq
import json
import platform
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from .. import files
from ..config import Run
from . import folder as runs
from .child import AGAIN, Orders

LOOK_SECONDS = 0.3
TOLD_SECONDS = 5.0
REMEMBERED = 1000  # visitors whose last turn is known
WAITS = "Another run is training on this machine; this one starts by itself when its turn comes."


def ask(folder: Path, visitor: str) -> None:
    """Gives the run in `folder` a number in the line, and notes its visitor (a hash). Raises files.StorageError."""
    with files.alone(_place() / "lock"):
        count = _place() / "count"  # its length is the number: no crash can leave half of it
        with files.said(count), open(count, "ab") as drawn:
            drawn.write(b".")
            drawn.flush()
            number = drawn.tell()
    files.write_whole(folder / runs.ASKED, json.dumps({"visitor": visitor, "number": number}).encode())


def asked(folder: Path) -> tuple[str, int]:
    """(visitor, number) of a run; ("", 0) for one that asked nobody."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads((folder / runs.ASKED).read_bytes())
        return str(found["visitor"]), int(found["number"])
    return "", 0


def waiting() -> list[tuple[Path, dict]]:
    """The runs that wait, in no order, with what they said when they joined the line; entries of dead ones are removed."""
    found = []
    for entry in (_place() / "waiting").glob("[!.]*"):  # not what is being written
        folder = files.runs() / entry.name
        if not files.held(folder / runs.LOCK):
            entry.unlink(missing_ok=True)
            continue
        with contextlib.suppress(OSError, ValueError):
            found.append((folder, json.loads(entry.read_bytes())))
    return found


def in_order(entries: list[tuple[Path, dict]], served: list[str]) -> list[tuple[Path, dict]]:
    """Round-robin: each visitor's first run before anyone's second, first whoever had a turn longest ago, then by number."""
    ranks: Counter[str] = Counter()
    keyed = []
    for folder, entry in sorted(entries, key=lambda e: e[1]["number"]):
        visitor = entry["visitor"]
        last = served.index(visitor) if visitor in served else -1
        keyed.append(((ranks[visitor], last, entry["number"]), (folder, entry)))
        ranks[visitor] += 1
    return [found for _, found in sorted(keyed, key=lambda k: k[0])]


def wait(running: list[float | None], slots: int, ahead: list[float | None]) -> float | None:
    """Seconds until a slot is free for who comes after `ahead`: the slots' runs have `running` seconds left, those ahead take theirs.

    None where that follows from a time which nobody knows."""
    free = [0.0] * (slots - len(running)) + [float("inf") if s is None else s for s in running]
    heapq.heapify(free)
    for seconds in ahead:
        heapq.heapreplace(free, free[0] + (float("inf") if seconds is None else seconds))
    return None if free[0] == float("inf") else free[0]


@contextlib.contextmanager
def turn(folder: Path, orders: Orders) -> Iterator[str]:
    """Waits for the run's turn on its device and holds a slot; yields "", or the state to end in where it was ended while it waited.

    Raises JobError, files.StorageError."""
    (visitor, number), run, limits = asked(folder), runs.read(folder), orders.limits
    on, t = device(run), run.train
    trained = next((p["seconds"] for p in runs.last(folder)), 0.0)
    seconds = max(0.0, min(60 * t.budget - trained, 60 * limits.minutes)) if t.unit == "minutes" else None
    entry = _place() / "waiting" / folder.name
    files.write_whole(entry, json.dumps({"visitor": visitor, "number": number, "device": on, "seconds": seconds}).encode())
    told, shown = 0.0, None
    with contextlib.ExitStack() as held:
        try:
            while not (end := orders()) or end == AGAIN:
                if end:
                    orders.heed()  # a config that was changed while the run waits is read when its turn comes
                with files.alone(_place() / "lock"):
                    line = in_order([e for e in waiting() if e[1]["device"] == on], _served())
                    at = next((i for i, e in enumerate(line) if e[0] == folder), len(line))
                    if at == 0 and _take(held, f"{on}-", limits.slots, folder):
                        _serve(visitor)
                        end = ""
                        break
                left = [runs.status(files.runs() / id).get("left") for id in _training(f"{on}-", limits.slots)]
                place = runs.Place(at + 1, len(line), wait(left, limits.slots, [e[1]["seconds"] for e in line[:at]]))
                if time.monotonic() - told > TOLD_SECONDS or shown is None or place[:2] != shown[:2]:
                    runs.report(folder, "waiting", WAITS, place=place)
                    told, shown = time.monotonic(), place
                time.sleep(LOOK_SECONDS)
        finally:
            entry.unlink(missing_ok=True)
        yield end


def device(run: Run) -> str:
    """The device whose slots the run waits for, without importing torch."""
    if run.device != "auto":
        return run.device
    if Path("/dev/nvidiactl").exists():
        return "cuda"
    return "mps" if (platform.system(), platform.machine()) == ("Darwin", "arm64") else "cpu"


def _place() -> Path:
    return files.runs() / ".turns"


def _slot(name: str) -> Path:
    return _place() / f"slot-{name}"


def _take(held: contextlib.ExitStack, device: str, count: int, folder: Path) -> bool:
    for i in range(count):
        path = _slot(f"{device}{i}")
        with files.said(path):
            handle = open(path, "ab")  # noqa: SIM115  (held until the turn ends)
        if files.lock(handle):
            held.enter_context(handle)
            handle.truncate(0)
            handle.write(folder.name.encode())
            handle.flush()
            return True
        handle.close()
    return False


def _training(device: str, count: int) -> list[str]:
    """The ids of the runs that hold a slot."""
    found = []
    for i in range(count):
        path = _slot(f"{device}{i}")
        if files.held(path):
            with contextlib.suppress(OSError, ValueError):
                found.append(path.read_text())
    return found


def _served() -> list[str]:
    """The visitors who had a turn, the last one last."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((_place() / "served").read_bytes())
        if isinstance(found, list):
            return found
    return []


def _serve(visitor: str) -> None:
    others = [v for v in _served() if v != visitor]
    files.write_whole(_place() / "served", json.dumps([*others[1 - REMEMBERED :], visitor]).encode())
