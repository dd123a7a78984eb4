"""The child process of a run: how it is spawned, holds its run for itself, and learns that it shall end."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from .. import files
from ..history import AGAIN
from . import folder as runs
from .limits import Limits

OWN_SECONDS = 5.0  # a run's former process may be gone for those who watch, and yet hold its lock until the system has cleared it away
LOOK_SECONDS = 0.1  # between two looks at the run's folder, and ten of them between two at the server
MOST_SECONDS = 5.0  # that count between two looks: a machine that slept has not been abandoned for as long

STOPPED = "Stopped; what it learnt is kept."

_children: list[subprocess.Popen[bytes]] = []  # so that ended ones are reaped
_servers: dict[Path, str] = {}  # this process's name as a server, by its folder of names


def spawn(folder: Path, limits: Limits) -> None:
    """Starts the child that trains the run in `folder`: the command line's own `train --resume`, in its turn and within `limits`."""
    runs.report(folder, "starting", "The run is being set up.", begun=False)
    child = _command(["train", "--resume", folder.name, "--quiet", "--server", serve()], folder / runs.OUTPUT, limits)
    _children.append(child)


def _command(words: list[str], output: Path, limits: Limits) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parent.parent.parent)
    env = {**os.environ, **limits.environment(), "AIGC_HOME": str(files.home())}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    env.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads sleep: beside other work a step is four times as fast
    with files.said(output), open(output, "ab") as told:
        line = [sys.executable, "-m", "aigc_demo", *words]
        return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=told, stderr=told, env=env, start_new_session=True, cwd=files.home())


def reap() -> None:
    """Clears away the children that have ended."""
    for child in [c for c in _children if c.poll() is not None]:
        _children.remove(child)


def serve() -> str:
    """This process's name as a server of the runs that it spawns; the lock of that name ends with the process, however it ends.

    Raises files.StorageError."""
    place = files.runs() / ".servers"
    if place not in _servers:
        with files.alone(place / ".lock"), files.said(place):
            for former in place.glob("[!.]*"):
                if not files.held(former):
                    former.unlink(missing_ok=True)
            name = files.token()
            handle = open(place / name, "ab")  # noqa: SIM115  (held as long as this process lives)
            while not files.lock(handle):  # somebody looks whether it is held
                time.sleep(0.01)
        atexit.register(handle.close)
        _servers[place] = name
    return _servers[place]


class Orders:
    """What ends a run from outside, asked at every step and looked up ten times a second: a signal, its owner, the server's end, the lease,
    the time at its turn. Without a `server` (a run of the command line) only a signal and its owner do."""

    def __init__(self, folder: Path, limits: Limits, server: str = ""):
        self.folder, self.limits, self.server = folder, limits, server
        self.says = ""  # why it ended
        self._end, self._signal = "", 0
        self._looked, self._count = -LOOK_SECONDS, 0
        self._lease, self._alone = 0, 0.0  # the lease as last seen, and seconds since it was renewed
        self._until = float("inf")

    def listen(self) -> None:
        """Takes signals from here on as orders to end."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._told)

    def _told(self, number: int, frame: object) -> None:
        if self._signal and number == signal.SIGINT:  # a second Ctrl-C ends it at once
            raise KeyboardInterrupt
        self._signal = number

    @property
    def signalled(self) -> bool:
        """Whether a signal asked this process to end."""
        return bool(self._signal)

    def begin(self) -> None:
        """The run's turn begins: from here its minutes count."""
        if self.server and self._until == float("inf"):
            self._until = time.monotonic() + 60 * self.limits.minutes

    def reached(self, step: int) -> None:
        """The run has come to `step`."""
        if self.server and step >= self.limits.steps:
            self._stop("stopped", f"Stopped at the {self.limits.steps:,} steps that this server grants a run; what it learnt is kept.")

    def heed(self) -> None:
        """Takes back an order to go on by a changed config; any other stands."""
        if _word(self.folder / runs.STOP) == AGAIN:
            (self.folder / runs.STOP).unlink(missing_ok=True)
        self._end = ""

    def __call__(self) -> str:
        """The state to end in, or "" to go on."""
        now = time.monotonic()
        if not self._end and now - self._looked >= LOOK_SECONDS:
            self._look(min(now - self._looked, MOST_SECONDS))
            self._looked = now
        return self._end

    def _look(self, seconds: float) -> None:
        self._count += 1
        if self._signal and self.server:
            self._stop("interrupted", "The training process was told to end; what it learnt is kept.")
        elif self._signal:
            self._stop("stopped", STOPPED)
        elif word := _word(self.folder / runs.STOP):
            self._stop(word, {"stopped": STOPPED, "paused": "Paused; it goes on from here."}.get(word, ""))
        elif time.monotonic() > self._until:
            granted = f"{self.limits.minutes:g} minutes"
            self._stop("stopped", f"Stopped after the {granted} that this server grants at a turn; what it learnt is kept.")
        elif self.server and not (self.folder / runs.KEEP).exists():
            with contextlib.suppress(OSError):
                lease = (self.folder / runs.LEASE).stat().st_mtime_ns
                if lease != self._lease:  # any other value: the clock may have been set back
                    self._lease, self._alone = lease, 0.0
            self._alone += seconds
            if self._alone > 60 * self.limits.lease:
                self._stop("stopped", f"Nobody watched for {self.limits.lease:g} minutes, so it stopped; what it learnt is kept.")
            elif self._count % 10 == 0 and not files.held(files.runs() / ".servers" / self.server):
                self._stop("interrupted", "The server that had started this run ended; what it learnt is kept.")

    def _stop(self, end: str, says: str) -> None:
        self._end, self.says = end, says


def _word(path: Path) -> str:
    """What the file of a stop asks for; an empty one is a plain stop."""
    try:
        word = path.read_text()
    except (OSError, ValueError):
        return ""
    return word if word in ("paused", AGAIN) else "stopped"


@contextlib.contextmanager
def own(folder: Path) -> Iterator[None]:
    """Holds the run for this process alone. Raises JobError where another process trains it, files.StorageError where it cannot be held."""
    with files.said(folder), open(folder / runs.LOCK, "ab") as handle:
        until = time.monotonic() + OWN_SECONDS
        while not files.lock(handle):
            if time.monotonic() > until:
                raise runs.JobError(f"run {folder.name} is being trained by another process")
            time.sleep(0.1)
        yield


def yield_to_others() -> None:
    """Lowers this process's priority, where the system can."""
    if hasattr(os, "nice"):
        os.nice(10)
    with contextlib.suppress(OSError):  # Linux weighs sessions against each other first, and a child has a session of its own
        Path("/proc/self/autogroup").write_text("10")


def resume_check(preset: str, steps: int, at: int, seconds: float = 300) -> dict:
    """What `aigc resume-check` finds, in a child of low priority. Raises JobError."""
    words = ["resume-check", preset, "--steps", str(steps), "--at", str(at), "--json", "--aside"]
    output = files.home() / f".check-{files.token()}"
    child = _command(words, output, Limits.told())
    try:
        child.wait(seconds)
        last = (output.read_text(errors="replace").splitlines() or [""])[-1]
        if child.returncode == 0:
            return json.loads(last)
        raise runs.JobError(last.removeprefix("aigc: ") or "the check ended without a word")
    except subprocess.TimeoutExpired:
        raise runs.JobError(f"the check took longer than {seconds:g} s: take a smaller kind of model, or fewer steps") from None
    finally:
        child.kill()
        child.wait()
        output.unlink(missing_ok=True)
