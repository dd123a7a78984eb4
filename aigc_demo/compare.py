"""Runs side by side: a row each with the settings that differ, and what each drew at equal steps or after equal seconds."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from . import curves, files, history, jobs
from .config import ConfigError, Run
from .model import changed, family

MOST_RUNS = 200  # of a table, the newest
APART = ("name", "device", "group", "data.source")  # settings with a column of their own, or of no consequence
By = Literal["steps", "seconds"]
Judge = Callable[[tuple[dict[str, Any], ...]], str]  # the points of a log -> its health in a word


@dataclass(frozen=True)
class Row:
    """One run of the table. `best` is the least held-out value of `monitor`, reached at step `best_at`; both None where the family has no
    loss that falls with quality. `distance` is the least that its samples had from the data (measures.Eye). `changed` are the settings
    that differ from the preset's, `begun` is in seconds since 1970; `health` is a word where the table was asked for with a judge."""

    id: str
    run: Run
    state: str
    says: str
    steps: int
    seconds: float
    monitor: str | None
    best: float | None
    best_at: int | None
    distance: float | None
    changed: dict[str, Any]
    begun: float
    health: str

    @property
    def title(self) -> str:
        """What people call the run: its name; a run of the page without one goes by its preset and the first signs of its address."""
        secret = re.fullmatch("[0-9a-f]{32}", self.id)
        return self.run.name or (f"{self.preset} {self.id[:4]}" if secret else self.id)

    @property
    def preset(self) -> str:
        return f"{self.run.family}:{self.run.preset}"

    def setting(self, path: str) -> Any:
        """The value of a setting such as "model.latent"; None where the run's family has no such setting."""
        part, _, field = path.rpartition(".")
        group = getattr(self.run, part) if part else self.run
        return group.get(field) if isinstance(group, dict) else getattr(group, field, None)


def shared() -> list[str]:
    """The ids of the runs that everybody here may see, those that nobody owns: of the command line, and of sweeps there."""
    folders = [p.parent for p in files.runs().glob(f"[!.]*/{jobs.CONFIG}")]
    return [f.name for f in folders if not (f / jobs.OWNER).exists()]


def rows(ids: Iterable[str], judge: Judge | None = None) -> list[Row]:
    """A row for each run of `ids` that is there, the newest first, MOST_RUNS at most."""
    found = []
    for id in dict.fromkeys(ids):
        try:
            folder = jobs.find(id)
            found.append(((folder / jobs.CONFIG).stat().st_mtime, folder))
        except (jobs.JobError, OSError):
            continue  # deleted since
    made = []
    for begun, folder in sorted(found, key=lambda f: (f[0], f[1].name), reverse=True)[:MOST_RUNS]:
        try:
            made.append(row(folder, begun, judge))
        except jobs.JobError:
            continue
    return made


_rows: OrderedDict[tuple[Path, Judge | None], tuple[Any, Row]] = OrderedDict()  # of runs that have ended, by what their files looked like
_keeping = threading.Lock()


def row(folder: Path, begun: float, judge: Judge | None = None) -> Row:
    """The row of one run. Raises jobs.JobError."""
    mark = tuple(_looks(folder / name) for name in (jobs.CONFIG, jobs.STATUS, history.LOG))
    with _keeping:
        kept = _rows.get((folder, judge))
        if kept and kept[0] == mark:
            _rows.move_to_end((folder, judge))
            return kept[1]
    seen, own, _ = curves.watch(folder.name)
    last = seen.points[-1] if seen.points else {"step": 0, "seconds": 0.0}
    monitor, own_settings = None, {}
    try:
        monitor = family(seen.run.family).monitor
        own_settings = {k: v for k, v in changed(seen.run).items() if k not in APART}
    except ConfigError:
        pass  # a family or a preset that this version does not have
    best, best_at = own.lowest.get(f"{curves.HELD_OUT}{monitor}", (None, None))
    distance = own.lowest.get(curves.DISTANCE, (None,))[0]
    health, reached = judge(seen.points) if judge and seen.points else "", (last["step"], last["seconds"])
    made = Row(seen.id, seen.run, seen.state, seen.says, *reached, monitor, best, best_at, distance, own_settings, begun, health)
    if seen.state in jobs.ENDED:
        with _keeping:
            _rows[folder, judge] = mark, made
            while len(_rows) > 10 * MOST_RUNS:
                _rows.popitem(last=False)
    return made


def _looks(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns


def differing(shown: list[Row]) -> tuple[list[str], dict[str, Any]]:
    """The settings that are not the same in all of `shown`, and those that are but differ from each run's preset, with their value."""
    paths = list(dict.fromkeys(path for r in shown for path in r.changed))
    apart = [p for p in paths if any(r.setting(p) != shown[0].setting(p) for r in shown)]
    return apart, {p: shown[0].setting(p) for p in paths if p not in apart}


def table(ids: Iterable[str], group: str = "", judge: Judge | None = None) -> dict[str, Any]:
    """The table as JSON: {"runs": a dict each, "columns": the settings that differ, "same": those changed alike in all, "groups": that the
    runs of `ids` are of}; with the runs of one `group` alone where that is named."""
    every = rows(ids, judge)
    shown = [r for r in every if not group or r.run.group == group]
    columns, same = differing(shown)
    made = [
        {
            "id": r.id,
            "title": r.title,
            "group": r.run.group,
            "preset": r.preset,
            "data": Path(r.run.data.source).name,
            "settings": {c: r.setting(c) for c in columns},
            "steps": r.steps,
            "seconds": r.seconds,
            "monitor": r.monitor,
            "best": r.best,
            "best_at": r.best_at,
            "distance": r.distance,
            "health": r.health,
            "state": r.state,
            "live": r.state not in jobs.ENDED,
            "begun": r.begun,
        }
        for r in shown
    ]
    groups = list(dict.fromkeys(r.run.group for r in every if r.run.group))
    return {"runs": made, "columns": columns, "same": same, "groups": groups}


def equal(ids: Iterable[str], by: By, at: float) -> list[dict[str, Any]]:
    """The mark of each run at or before `at` steps or seconds of training (its first where all are later): {"run", "step", "seconds"}.

    `step` is None where a run has drawn nothing yet. Raises jobs.JobError, ConfigError."""
    if by not in ("steps", "seconds"):
        raise ConfigError(f"by: {str(by)[:40]!r} is not one of steps, seconds")
    if not isinstance(at, (int, float)) or not at >= 0:
        raise ConfigError(f"at: {str(at)[:40]} is not a number of {by} from 0 on")
    key = "step" if by == "steps" else "seconds"
    found = []
    for id in ids:
        seen = jobs.watch(id)
        marked = [p for p in seen.points if p["step"] in set(seen.marks) and p["mark"]]
        before = [p for p in marked if p[key] <= at] or marked[:1]
        found.append({"run": id, "step": before[-1]["step"] if before else None, "seconds": before[-1]["seconds"] if before else None})
    return found
