"""Training runs as child processes that write files: start, watch, stop, re-attach. A run is a folder, and its name is its address."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import files, history
from .config import Run

CONFIG, STATUS, STOP, OWNER, OUTPUT = "config.json", "status.json", "stop", "owner", "output.txt"
ENDED = ("done", "stopped", "failed")
OWN_SECONDS = 5.0  # a run's former process may be gone for those who watch, and yet hold its lock until the system has cleared it away
STALE_SECONDS = 15.0  # a live run writes its status at least this often


class JobError(ValueError):
    """A run that cannot be started, found or stopped; the text says which and why."""


@dataclass(frozen=True)
class Limits:
    """What one server grants: runs at a time, runs waiting, and minutes a run."""

    slots: int = 1
    waiting: int = 8
    minutes: float = 120.0

    @classmethod
    def told(cls) -> Limits:
        """The limits that AIGC_SLOTS, AIGC_WAITING and AIGC_MINUTES set."""
        env = os.environ
        return cls(int(env.get("AIGC_SLOTS", 1)), int(env.get("AIGC_WAITING", 8)), float(env.get("AIGC_MINUTES", 120)))


@dataclass(frozen=True)
class Seen:
    """What a watcher sees of a run. `state` is waiting, starting, running, done, stopped or failed; `points` are the log's lines,
    `marks` the steps that have a picture."""

    id: str
    run: Run
    state: str
    says: str
    points: tuple[dict[str, Any], ...]
    marks: tuple[int, ...]
    checkpoint: bool


def create(run: Run, owner: str = "", id: str = "") -> Path:
    """Makes the run's folder with its config; `owner` is the token that may stop it, of which only a hash is kept.

    Without an `id` the folder is named after the run, numbered where that is taken. Raises files.StorageError."""
    folder = files.new_folder(
        files.runs(), id or run.name or f"{run.data.source if run.data.source.isidentifier() else run.family}-{run.preset}"
    )
    if owner:
        files.write_whole(folder / OWNER, hashlib.sha256(owner.encode()).hexdigest().encode())
    files.write_whole(folder / CONFIG, run.model_dump_json(indent=1).encode())
    return folder


def start(run: Run, limits: Limits | None = None) -> tuple[str, str]:
    """Starts `run` in a child process of low priority; returns its id (whoever has it may watch) and its owner's token (who may stop it).

    Raises JobError where too many wait, files.StorageError where the folder cannot be written."""
    limits = limits or Limits.told()
    if sum(s in ("waiting", "starting") for s in _states()) >= limits.waiting:
        raise JobError(f"{limits.waiting} runs are waiting already, which is all that this server takes: try again when one has ended")
    id, owner = files.token(), files.token()
    folder = create(run, owner, id)
    spawn(folder, limits)
    return id, owner


def spawn(folder: Path, limits: Limits) -> subprocess.Popen[bytes]:
    """The child that trains the run in `folder`: the command line's own `train --resume`."""
    report(folder, "starting", "The run is being set up.", begun=False)
    output = open(folder / OUTPUT, "ab")  # noqa: SIM115  (the child's own)
    with output:
        line = [
            sys.executable,
            "-m",
            "aigc_demo",
            "train",
            "--resume",
            folder.name,
            "--quiet",
            "--minutes-at-most",
            f"{limits.minutes:g}",
            "--slots",
            str(limits.slots),
        ]
        root = str(Path(__file__).parent.parent)
        env = {
            **os.environ,
            "AIGC_HOME": str(files.home()),
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")])),
        }
        env.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads sleep: beside other work a step is four times as fast
        child = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, start_new_session=True, cwd=files.home()
        )
    _children.append(child)
    return child


_children: list[subprocess.Popen[bytes]] = []  # so that ended ones are reaped


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
    for child in [c for c in _children if c.poll() is not None]:
        _children.remove(child)
    folder = find(id)
    status = _status(folder)
    state, says = status.get("state", "starting"), status.get("says", "")
    if state not in ENDED and not _alive(status):
        state, says = (
            "failed",
            "The training process ended without a word. What it had learnt up to its last save is kept, and the run can go on from there.",
        )
    points = _points(folder / history.LOG)
    return Seen(id, read(folder), state, says, points, tuple(sorted(_marks(points))), (folder / "checkpoint" / CONFIG).is_file())


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
        fresh = []
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):
                fresh.append(json.loads(line))
        _logs[path] = (now.st_ino, read_to + len(whole), points := points + tuple(fresh))
        _logs.move_to_end(path)
        while len(_logs) > 32:
            _logs.popitem(last=False)
        return points
    return ()


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


def stop(id: str, owner: str) -> None:
    """Asks the run to stop and keep what it learnt. Raises JobError where `owner` is not who started it."""
    folder = find(id)
    if not owns(folder, owner):
        raise JobError("only the browser that started this run may stop it")
    files.write_whole(folder / STOP, b"")


def owns(folder: Path, owner: str) -> bool:
    """Whether `owner` is the token that the run was created with."""
    try:
        kept = (folder / OWNER).read_text()
    except OSError:
        return False
    return hmac.compare_digest(kept, hashlib.sha256(owner.encode()).hexdigest())


def report(folder: Path, state: str, says: str, begun: bool = True) -> None:
    """The child's word on itself, for those who watch; before the child has `begun` no process answers for it."""
    status = {"state": state, "says": says, "pid": os.getpid() if begun else None, "at": time.time()}
    files.write_whole(folder / STATUS, json.dumps(status).encode())


def asked_to_stop(folder: Path) -> bool:
    """Whether a stop was asked for."""
    return (folder / STOP).exists()


def yield_to_others() -> None:
    """Lowers this process's priority, where the system can."""
    if hasattr(os, "nice"):
        os.nice(10)
    with contextlib.suppress(OSError):  # Linux weighs sessions against each other first, and a child has a session of its own
        Path("/proc/self/autogroup").write_text("10")


@contextlib.contextmanager
def slot(count: int, folder: Path, stopped: Callable[[], bool]):
    """Waits for one of `count` places to train, and holds it; yields False where the run was stopped while it waited."""
    places = files.runs() / ".slots"
    with files.said(places):
        places.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        told = 0.0
        while True:
            for i in range(count):
                handle = held.enter_context(open(places / str(i), "ab"))
                if files.lock(handle):
                    yield True
                    return
            held.close()
            if stopped():
                yield False
                return
            if time.time() - told > STALE_SECONDS / 3:
                report(folder, "waiting", "Another run is training on this machine; this one starts by itself when that one ends.")
                told = time.time()
            time.sleep(0.3)


@contextlib.contextmanager
def own(folder: Path):
    """Holds the run for this process alone. Raises JobError where another process trains it."""
    with files.said(folder), open(folder / ".lock", "ab") as handle:
        until = time.monotonic() + OWN_SECONDS
        while not files.lock(handle):
            if time.monotonic() > until:
                raise JobError(f"run {folder.name} is being trained by another process")
            time.sleep(0.1)
        yield


def _status(folder: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((folder / STATUS).read_bytes())
        if isinstance(found, dict):
            return found
    return {}


def _alive(status: dict[str, Any]) -> bool:
    """Whether the process that wrote `status` may still be at work; it writes more often than STALE_SECONDS, also while it waits."""
    with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError, OSError):  # OSError: there is no such process, or not of ours
        if time.time() - status["at"] < STALE_SECONDS:
            return True
        os.kill(int(status["pid"]), 0)
        return not Path("/proc").is_dir() or "aigc_demo" in Path(f"/proc/{int(status['pid'])}/cmdline").read_text()
    return False


def _states() -> list[str]:
    folders = [p for p in files.runs().iterdir() if p.is_dir()] if files.runs().is_dir() else []
    statuses = [_status(p) for p in folders]
    return [s["state"] for s in statuses if s.get("state") not in (None, *ENDED) and _alive(s)]


def end_all() -> None:
    """Asks every child of this process to stop and keep what it learnt (SIGTERM)."""
    for child in _children:
        if child.poll() is None:
            with contextlib.suppress(OSError):
                child.send_signal(signal.SIGTERM)
