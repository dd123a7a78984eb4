"""Whether a run survives SIGKILL: to its trainer, to its trainer within a save, or to the server that started it, over and over.

Each run is killed up to twenty times and goes on after each; then it ends, and its state (weights, averages, optimizer) and its
checkpoint are compared with those of a run that nobody killed, byte by byte. The server is a process that starts runs as the page's
server does; what it started must notice its death by itself. A trainer is the command line's own `train --resume`, but forked from that
server, which has imported torch, instead of spawned: 200 starts take minutes then, not an hour. Random times follow from a seed."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported; the trainers inherit it: sums depend on the number of threads

import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from . import report

KILLS, QUICK = 200, 10
EACH = 20  # kills of one run
PRESETS = ("vae:tiny", "gan:tiny")
STEPS = 600
SECONDS = 1.5  # after its data is read, within which a trainer is killed
DEADLINE = 180.0
HOWS = ("trainer", "trainer", "save", "save", "server")
SERVER = """import os, signal, sys
import accelerate
from aigc_demo import cli, jobs, trainer

signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
for line in sys.stdin:
    folder = jobs.find(line.strip())
    jobs.go_on(folder.name, jobs.HERE, spawn=False)
    server, child = jobs.child.serve(), os.fork()
    if not child:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        output = os.open(folder / jobs.OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.closerange(3, 256)  # above all the lock that says that the server lives
        sys.argv = ["aigc", "train", "--resume", folder.name, "--quiet", "--server", server]
        try:
            cli.main()
        finally:
            sys.stderr.flush()
            os._exit(0)
    print(child, flush=True)
"""


class Server:
    """A process that starts runs, until it is killed; the next run starts another."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def go_on(self, id: str) -> int:
        """Goes on with a run; returns its trainer's process."""
        if self.process is None:
            line = [sys.executable, "-c", SERVER]
            self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=report.ROOT)
        print(id, file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def kill(self) -> None:
        """SIGKILL, if it lives."""
        if self.process is not None:
            with self.process as process:
                process.kill()
            self.process = None


def main() -> None:
    asked = report.options(__doc__)
    wanted = QUICK if asked.quick else KILLS
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        os.environ["AIGC_HOME"] = home
        straight = {preset: _straight(preset) for preset in PRESETS}
        server, dice, seen = Server(), random.Random(0), Counter()
        try:
            while seen["kills"] < wanted:
                preset = PRESETS[seen["runs"] % len(PRESETS)]
                _run(preset, straight[preset], server, dice, seen, wanted)
                report.say(f"  {seen['kills']} kills: {dict(seen)}")
        finally:
            server.kill()
    rows = [report.row("kills of a trainer at a random time", seen["trainer"], "kills")]
    rows += [report.row("kills of a trainer within a save", seen["save"], "kills")]
    rows += [report.row("kills of the server", seen["server"], "kills")]
    rows += [report.row("runs that went on after a kill", seen["resumed"] / seen["kills"], "share", ">= 1")]
    rows += [report.row("states that could not be read", seen["unreadable"], "states", "<= 0")]
    rows += [report.row("killed runs that ended unlike the straight one", seen["different"], f"of {seen['runs']} runs", "<= 0")]
    report.finish("crashes", rows, asked)


def _plan(preset: str):
    from aigc_demo import model

    small = {"data.source": "shapes", "data.limit": 96, "data.size": 16, "device": "cpu", "data.mirror": True}
    budget = {"train.budget": STEPS, "train.unit": "steps", "train.marks": 5, "train.save_seconds": 0}
    return model.plan(preset, {**small, **budget})


def _straight(preset: str) -> str:
    """The digest of a run that nobody kills."""
    from aigc_demo import jobs, trainer

    folder = jobs.create(_plan(preset))
    for _ in trainer.record(jobs.read(folder), folder):
        pass
    return digest(folder)


def digest(folder: Path) -> str:
    """SHA-256 over the state's tensors and the checkpoint's weights of a run that has ended."""
    from aigc_demo import history, trainer

    made = hashlib.sha256((folder / "checkpoint" / "model.safetensors").read_bytes()).hexdigest()
    return made + trainer.digest((folder / history.STATE).read_bytes())


def _run(preset: str, straight: str, server: Server, dice: random.Random, seen: Counter, wanted: int) -> None:
    """One run from its start to its end, killed on its way; what happened is counted in `seen`."""
    from aigc_demo import jobs

    folder = jobs.create(_plan(preset))
    pending = False
    for kill in range(EACH + 1):
        trainer = server.go_on(folder.name)
        if not _reads(folder, trainer):
            break
        seen["resumed"] += pending
        pending = False
        if kill == EACH or seen["kills"] == wanted:
            break
        how = dice.choice(HOWS)
        if not _kill(how, folder, trainer, server, dice):
            break  # it was faster, and is done
        seen["kills"] += 1
        seen[how] += 1
        seen["unreadable"] += not _readable(folder / "state.safetensors")
        pending = True
    _until(lambda: jobs.watch(folder.name).state in jobs.ENDED)
    ended = jobs.watch(folder.name)
    seen["runs"] += 1
    seen["different"] += ended.state != "done" or digest(folder) != straight
    if ended.state != "done":
        report.say(f"  {folder.name} ended as {ended.state}: {ended.says}")


def _reads(folder: Path, trainer: int) -> bool:
    """Waits until the trainer has come to its data, or has ended."""
    from aigc_demo import jobs

    def there() -> bool:
        said = jobs.folder.status(folder)
        return said.get("pid") == trainer or not jobs.live(folder)

    _until(there)
    return jobs.folder.status(folder).get("state") != "failed"


def _kill(how: str, folder: Path, trainer: int, server: Server, dice: random.Random) -> bool:
    """Kills, at a time of its own, and waits until the trainer is gone; False where the run had ended before."""
    from aigc_demo import jobs

    time.sleep(dice.uniform(0, SECONDS))
    if how == "save":
        end = time.monotonic() + SECONDS
        while not any(name.startswith(".state.safetensors") for name in os.listdir(folder)) and time.monotonic() < end:
            pass
    if not jobs.live(folder):
        return False
    if how == "server":
        server.kill()
    else:
        os.kill(trainer, 9)
    _until(lambda: not jobs.live(folder))
    return jobs.watch(folder.name).state == "interrupted"


def _readable(path: Path) -> bool:
    """Whether a state is whole, or was never written."""
    import safetensors

    if not path.exists():
        return True
    try:
        with safetensors.safe_open(path, "pt") as f:
            json.loads(f.metadata()["facts"])
            return all(f.get_tensor(key) is not None for key in f.keys())  # noqa: SIM118  (not a dict)
    except (OSError, safetensors.SafetensorError, ValueError, KeyError):
        return False


def _until(true) -> None:
    for _ in range(int(DEADLINE / 0.05)):  # not by the clock: whoever needs the machine may stop this process for a while
        if true():
            return
        time.sleep(0.05)
    raise RuntimeError(f"a trainer did nothing for {DEADLINE:g} s")


if __name__ == "__main__":
    main()
