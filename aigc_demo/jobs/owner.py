"""What may be asked for a run: to start it, and, by who started it alone, to stop, pause, go on, extend, rename, keep or delete it."""

from __future__ import annotations

import hmac
import shutil
from pathlib import Path

from .. import files, history
from ..config import ConfigError, Run, Train, check
from . import child, folder as runs, turns
from .folder import JobError
from .limits import Limits

CHANGING = ".changing"  # locked by whoever reads a config to write it anew
HERE = object()  # in the place of a token: whoever sits at the machine may do all; nothing that comes over the network is this object


def start(run: Run, visitor: str = "", limits: Limits | None = None, spawn: bool = True) -> tuple[str, str]:
    """Starts `run` in a child process of low priority; returns its id (whoever has it may watch) and its owner's token (who may change it).

    Without `spawn` it is only made: another room trains it.

    `visitor` is a token that stays the same over a visitor's runs: turns go round among visitors, and each is granted so much.
    Raises JobError where too many wait or the visitor's runs fill their share of the disk, ConfigError where the budget is beyond the
    limits, files.StorageError where the folder cannot be written."""
    limits = limits or Limits.told()
    limits.allow(run)
    own = runs.hashed(visitor) if visitor else ""
    _room(limits, own)
    taken = files.taken(_folders(own)) if own else 0
    if taken > limits.disk * 1e9:
        raise JobError(f"your runs take {taken / 1e9:.1f} GB, of {limits.disk:g} GB that each visitor is granted here: delete one first")
    id, owner = files.token(), files.token()
    folder = runs.create(run, owner, id)
    turns.ask(folder, own)
    _begin(folder, limits, spawn)
    return id, owner


def _begin(folder: Path, limits: Limits, spawn: bool) -> None:
    if spawn:
        child.spawn(folder, limits)
    else:
        runs.report(folder, "starting", "The run is being set up.", begun=False)


def _room(limits: Limits, visitor: str) -> None:
    """Raises JobError where one more run may not wait."""
    child.reap()
    waiting = [p for p in _folders() if runs.status(p).get("state") in ("waiting", "starting") and runs.live(p)]
    if len(waiting) >= limits.waiting:
        raise JobError(f"{limits.waiting} runs are waiting already, which is all that this server takes: try again when one has ended")
    if visitor and sum(turns.asked(p)[0] == visitor for p in waiting) >= limits.each:
        raise JobError(f"{limits.each} runs of yours are waiting already, which is all that each visitor is granted: wait for one to end")


def _folders(visitor: str = "") -> list[Path]:
    """The folders of runs, or those of one visitor (a hash)."""
    found = [p.parent for p in files.runs().glob("[!.]*/" + runs.CONFIG)]
    return [p for p in found if turns.asked(p)[0] == visitor] if visitor else found


def owns(folder: Path, owner: object) -> bool:
    """Whether `owner` is the token that the run was created with."""
    try:
        kept = (folder / runs.OWNER).read_text()
    except (OSError, ValueError):
        return False
    return isinstance(owner, str) and hmac.compare_digest(kept, runs.hashed(owner))


def _mine(id: str, owner: object, what: str) -> Path:
    folder = runs.find(id)
    if owner is not HERE and not owns(folder, owner):
        raise JobError(f"only the browser that started this run may {what} it")
    return folder


def stop(id: str, owner: object) -> None:
    """Asks the run to stop and keep what it learnt. Raises JobError where `owner` is not who started it."""
    files.write_whole(_mine(id, owner, "stop") / runs.STOP, b"stopped")


def pause(id: str, owner: object) -> None:
    """Asks the run to save its whole state and end, to go on later. Raises JobError."""
    files.write_whole(_mine(id, owner, "pause") / runs.STOP, b"paused")


def go_on(id: str, owner: object, limits: Limits | None = None, spawn: bool = True) -> None:
    """Goes on with a run that has ended, from its last save, when its turn comes (in a child process, unless another room trains it).

    Raises JobError, ConfigError, files.StorageError."""
    folder, limits = _mine(id, owner, "go on with"), limits or Limits.told()
    if runs.live(folder):
        raise JobError("the run is at work already")
    visitor = turns.asked(folder)[0]
    limits.allow(runs.read(folder))
    _room(limits, visitor)
    with files.said(folder):
        (folder / runs.STOP).unlink(missing_ok=True)
    turns.ask(folder, visitor)
    _begin(folder, limits, spawn)


def extend(id: str, owner: object, amount: float, unit: str = "", limits: Limits | None = None) -> Run:
    """Adds `amount` of `unit` (the run's own unless another is named) to the budget; a run at work goes on by it, one that has ended
    does so at the next `go_on`. Returns the run as it is now; what it was at first stays beside it in config.first.json.

    The amount is added to what is left; where a run has ended, it counts from what it has reached, in any unit.
    Raises JobError, ConfigError, files.StorageError."""
    folder = _mine(id, owner, "extend")
    with files.alone(folder / CHANGING):
        run, seen = runs.read(folder), runs.watch(id)
        unit = unit or run.train.unit
        if unit not in ("steps", "epochs", "minutes"):
            raise ConfigError(f"unit: {unit[:40]!r} is not one of steps, epochs, minutes")
        if not isinstance(amount, int | float) or not 0 < amount < float("inf"):
            raise ConfigError(f"amount: {str(amount)[:40]} is not a number above 0")
        unfinished = runs.live(folder) or seen.state == "paused"
        if unfinished and unit != run.train.unit:
            raise ConfigError(
                f"unit: the run has not used up its {run.train.budget:g} {run.train.unit}, so it is extended by {run.train.unit}"
            )
        base = run.train.budget
        if not unfinished:
            last = seen.points[-1] if seen.points else {"step": 0, "epoch": 0.0, "seconds": 0.0}
            base = {"steps": last["step"], "epochs": last["epoch"], "minutes": last["seconds"] / 60}[unit]
        train = check(Train, {**run.train.model_dump(), "budget": base + amount, "unit": unit}, "train.")
        longer = run.model_copy(update={"train": train})
        if limits:
            limits.allow(longer)
        _change(folder, run, longer)
    if runs.live(folder) and not (folder / runs.STOP).exists():
        files.write_whole(folder / runs.STOP, child.AGAIN.encode())
    return longer


def rewind(id: str, owner: object, step: int, rate: float = 0.0) -> int:
    """Goes back to the newest state that is kept and not after `step`, for the next `go_on` to start from; all that came later is cut off.
    `rate` is the learning rate from there on, 0 the one it had: without a change a run does on a CPU what it did before, bit for bit.

    Returns the step. Raises JobError where the run is at work or nothing is kept, ConfigError for a rate that cannot be one."""
    folder = _mine(id, owner, "rewind")
    run = runs.read(folder)
    slower = run.model_copy(update={"train": check(Train, {**run.train.model_dump(), "lr": rate or run.train.lr}, "train.")})
    if runs.live(folder):
        raise JobError("the run is at work: stop it first")
    with child.own(folder):
        states = runs.states(id, step)
        if not states:
            raise JobError(f"no state of the run is kept from step {step:,} or before, so it cannot be rewound to there")
        history.put_back(folder, states[-1])
    if slower != run:
        with files.alone(folder / CHANGING):
            _change(folder, run, slower)
    return states[-1]


def _change(folder: Path, run: Run, now: Run) -> None:
    """Writes what the run is now; what it was at first stays beside it."""
    if not (folder / history.FIRST).exists():
        files.write_whole(folder / history.FIRST, run.model_dump_json(indent=1).encode())
    files.write_whole(folder / runs.CONFIG, now.model_dump_json(indent=1).encode())


def rename(id: str, owner: object, name: str) -> None:
    """Gives the run another name; its address stays. Raises JobError, ConfigError for a name that cannot be one."""
    folder = _mine(id, owner, "rename")
    with files.alone(folder / CHANGING):
        renamed = check(Run, {**runs.read(folder).model_dump(), "name": name})
        files.write_whole(folder / runs.CONFIG, renamed.model_dump_json(indent=1).encode())


def keep(id: str, owner: object, yes: bool) -> None:
    """Lets the run go on without its server and without anybody watching, or no longer. Raises JobError, files.StorageError."""
    path = _mine(id, owner, "keep") / runs.KEEP
    with files.said(path):
        path.touch() if yes else path.unlink(missing_ok=True)


def delete(id: str, owner: object) -> None:
    """Deletes the run's folder with all that it learnt. Raises JobError where it is at work, files.StorageError."""
    folder = _mine(id, owner, "delete")
    if runs.live(folder):
        raise JobError("the run is at work: stop it first")
    gone = folder.with_name(f".deleted-{files.token()}")
    with files.said(folder):
        folder.rename(gone)
        shutil.rmtree(gone)
