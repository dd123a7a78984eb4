"""A sweep: one preset trained with many settings, all of a grid or where Optuna looks next; its journal lets the same command go on."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import compare, config, files, jobs, model
from .config import ConfigError, Fields, Run

MOST_TRIALS = 1000
LOOK_SECONDS = 0.5
PLAN, JOURNAL, STUDY = "sweep.json", "journal.jsonl", "optuna.log"
MOST_TRIES = 3  # times that the process of one trial may be killed
FINISHED = ("done", "stopped", "failed")  # one that was interrupted goes on, and one that its owner paused with the next command
OBJECTIVES = {"val": lambda row: row.best, "distance": lambda row: row.distance}  # what the least is wanted of
SPREAD = 30  # a range of positive numbers whose ends are so many times apart is searched on a log scale


class SweepError(ValueError):
    """A sweep that cannot be begun or gone on with; the text says why."""


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both possible."""

    low: float
    high: float
    whole: bool

    @property
    def log(self) -> bool:
        return self.low > 0 and self.high / self.low >= SPREAD


@dataclass(frozen=True)
class Trial:
    """One run of a sweep: its settings, its id, and, once it has ended, its state and the objective's least value where there is one."""

    number: int
    settings: dict[str, Any]
    run: str
    state: str = "begun"
    value: float | None = None


@dataclass(frozen=True)
class Sweep:
    """What is tried: `preset` with `changes`, over each of `over` (a setting's values as texts, or a Range). `trials` is 0 for the whole
    grid, else how many times Optuna chooses, for the least value of `objective` that a run reaches at any of its marks."""

    name: str
    preset: str
    changes: dict[str, Any]
    over: dict[str, tuple[str, ...] | Range]
    trials: int = 0
    objective: str = ""
    plan: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def folder(self) -> Path:
        """Where its plan and its journal are."""
        return files.home() / "sweeps" / self.name

    def run(self, settings: Mapping[str, Any]) -> Run:
        """The run that tries `settings`. Raises ConfigError."""
        return model.plan(self.preset, {**self.changes, **settings, "group": self.name})


def planned(
    preset: str, over: list[str], changes: dict[str, Any] | None = None, trials: int = 0, objective: str = "", name: str = ""
) -> Sweep:
    """The sweep that a command line describes; `over` are texts such as "train.lr=1e-4,2e-4" or, for Optuna, "train.lr=1e-5..1e-2".

    Every value is checked before anything starts. Raises ConfigError, SweepError."""
    changes = dict(changes or {})
    base = model.plan(preset, changes)
    monitor = model.family(base.family).monitor
    objective = objective or ("distance" if monitor is None else "val")
    if objective not in OBJECTIVES:
        raise ConfigError(f"objective: {objective[:40]!r} is not one of {', '.join(OBJECTIVES)}")
    if objective == "val" and monitor is None:
        raise ConfigError(f"objective: no loss of a {base.family} falls with quality; take distance, that of its samples from the data")
    if not 0 <= trials <= MOST_TRIALS:
        raise ConfigError(f"trials: {trials} is not a number from 0 to {MOST_TRIALS}")
    spread: dict[str, tuple[str, ...] | Range] = {}
    for text in over:
        path, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not values:
            raise ConfigError(f"--over {text}: write it as NAME=VALUE,VALUE or NAME=LOW..HIGH, such as train.lr=1e-4,2e-4")
        if path in spread or path in changes or path in ("name", "group"):
            raise ConfigError(f"--over {path}: is set already")
        spread[path] = _spread(preset, path, values)
    if not spread:
        raise ConfigError("--over: name what to try, such as train.lr=1e-4,2e-4,4e-4")
    if not trials and (ranges := [path for path, values in spread.items() if isinstance(values, Range)]):
        raise ConfigError(f"--over {ranges[0]}: a range has no end of values; list them, or give --trials")
    ends = [(v.low, v.high) if isinstance(v, Range) else v for v in spread.values()]
    count = math.prod(map(len, ends))
    if count > MOST_TRIALS:
        raise SweepError(f"the grid has {count:,} runs, more than {MOST_TRIALS:,}")
    for values in itertools.product(*ends):
        model.plan(preset, changes | dict(zip(spread, values, strict=True)))
    shown = {path: vars(v) if isinstance(v, Range) else list(v) for path, v in spread.items()}
    plan = {"preset": preset, "changes": changes, "over": shown, "trials": trials, "objective": objective}
    digest = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:6]
    called = name or f"{preset.replace(':', '-')}-{digest}"
    files.named(f"{called}-{MOST_TRIALS}")
    return Sweep(called, preset, changes, spread, trials, objective, plan)


def _spread(preset: str, path: str, text: str) -> tuple[str, ...] | Range:
    if not (ends := re.fullmatch(r"([^,]+)\.\.([^,]+)", text)):
        values = tuple(v.strip() for v in re.split(r",(?![^\[]*\])", text))  # not the commas of a list such as [256,512]
        if len(set(values)) < len(values):
            raise ConfigError(f"--over {path}: a value is there twice")
        return values
    try:
        low, high = float(ends[1]), float(ends[2])
    except ValueError:
        raise ConfigError(f"--over {path}: {text[:60]} does not go from a number to a number") from None
    if not low < high:
        raise ConfigError(f"--over {path}: {ends[1]} is not below {ends[2]}")
    group: type[Fields] = {"data": config.Data, "train": config.Train, "model": model.family(preset.partition(":")[0]).Config}.get(
        path.partition(".")[0], Run
    )
    kind = next((s.kind for s in config.specs(group) if s.name == path.rpartition(".")[2]), "")
    if kind not in ("int", "float"):
        raise ConfigError(f"--over {path}: only numbers have a range; list its values")
    return Range(low, high, kind == "int")


class Grid:
    """Every combination of the values, in order; what has begun and ended is in the journal."""

    def __init__(self, sweep: Sweep, trials: dict[int, Trial]):
        combinations = itertools.product(*(v for v in sweep.over.values() if not isinstance(v, Range)))
        self.all = [dict(zip(sweep.over, values, strict=True)) for values in combinations]
        self.left = [n for n in range(len(self.all)) if n not in trials]

    def ask(self) -> tuple[int, dict[str, Any]] | None:
        """The next trial's number and settings; None after the last."""
        return (number := self.left.pop(0), self.all[number]) if self.left else None

    def tell(self, trial: Trial) -> None:
        """Takes note of how a trial ended."""


class Search:
    """Optuna's tree-structured Parzen estimator (Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS 2011), whose trials
    are in a journal file of its own; each choice follows from the trials before it."""

    def __init__(self, sweep: Sweep, trials: dict[int, Trial]):
        try:
            import optuna
        except ImportError:
            raise SweepError("--trials: Optuna is not installed here; pip install 'aigc-demo[sweep]'") from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.optuna, self.sweep = optuna, sweep
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(sweep.folder / STUDY)))
        self.study = optuna.create_study(storage=storage, study_name=sweep.name, load_if_exists=True)
        self.left = [t.number for t in self.study.get_trials() if t.number not in trials]  # asked for, and then the process was killed
        for number, trial in trials.items():  # ended, and then the process was killed
            if trial.state in FINISHED and not self.study.get_trials()[number].state.is_finished():
                self.tell(trial)

    def ask(self) -> tuple[int, dict[str, Any]] | None:
        """The next trial's number and settings; None after the last."""
        while self.left:
            number = self.left.pop(0)
            settings = dict(self.study.get_trials()[number].params)
            if settings.keys() == self.sweep.over.keys():
                return number, settings
            self.study.tell(number, state=self.optuna.trial.TrialState.FAIL)  # killed while Optuna chose
        number = len(self.study.get_trials())
        if number >= self.sweep.trials:
            return None
        self.study.sampler = self.optuna.samplers.TPESampler(seed=model.key("sweep", number) % 2**32)
        trial = self.study.ask({path: self._distribution(values) for path, values in self.sweep.over.items()})
        return trial.number, dict(trial.params)

    def _distribution(self, values: tuple[str, ...] | Range) -> Any:
        of = self.optuna.distributions
        if not isinstance(values, Range):
            return of.CategoricalDistribution(values)
        if values.whole:
            return of.IntDistribution(int(values.low), int(values.high), log=values.log)
        return of.FloatDistribution(values.low, values.high, log=values.log)

    def tell(self, trial: Trial) -> None:
        """Takes note of how a trial ended: one without a value has failed."""
        if trial.value is None or trial.state == "failed":
            self.study.tell(trial.number, state=self.optuna.trial.TrialState.FAIL)
        else:
            self.study.tell(trial.number, trial.value)


def go(sweep: Sweep) -> Iterator[Trial]:
    """Trains all of it, as many runs at a time as the machine has slots, yielding each trial as it begins and as it ends.

    Goes on where an earlier process was killed: finished trials are not repeated, others go on from their last save. Raises SweepError
    where another process is at work on it or the name belongs to another sweep, jobs.JobError, files.StorageError."""
    with _alone(sweep):
        trials = journal(sweep)
        source = (Search if sweep.trials else Grid)(sweep, trials)
        limits = jobs.Limits.told()
        limits = limits.model_copy(update={"minutes": 1e6, "steps": 10**9, "waiting": 1000})  # who sits at the machine has none of these
        ready, at_work = [t for t in trials.values() if t.state not in FINISHED], {}
        tries: Counter[int] = Counter()
        while True:
            while len(at_work) < limits.slots and (trial := ready.pop(0) if ready else _next(sweep, source)):
                tries[trial.number] += 1
                if _state(trial)[0] not in FINISHED and not jobs.live(files.runs() / trial.run):
                    jobs.go_on(trial.run, jobs.HERE, limits)
                at_work[trial.number] = trial
                yield trial
            if not at_work:
                return
            time.sleep(LOOK_SECONDS)
            for number, trial in list(at_work.items()):
                state, row = _state(trial)
                if state == "interrupted" and tries[number] < MOST_TRIES:  # its process was killed
                    ready.append(at_work.pop(number))
                elif state == "paused":
                    del at_work[number]
                elif state in (*FINISHED, "interrupted"):
                    value = OBJECTIVES[sweep.objective](row) if row else None
                    ended = Trial(number, trial.settings, trial.run, "failed" if state == "interrupted" else state, value)
                    _note(sweep, ended)
                    source.tell(ended)
                    del at_work[number]
                    yield ended
                else:
                    jobs.attend(trial.run)


def _state(trial: Trial) -> tuple[str, compare.Row | None]:
    """The state of a trial's run, and its row; one that was deleted has failed."""
    seen = compare.rows([trial.run])
    return (seen[0].state, seen[0]) if seen else ("failed", None)


def _next(sweep: Sweep, source: Grid | Search) -> Trial | None:
    asked = source.ask()
    if asked is None:
        return None
    number, settings = asked
    trial = Trial(number, settings, f"{sweep.name}-{number}")
    place = files.runs() / trial.run / jobs.CONFIG
    if not place.is_file():
        files.write_whole(place, sweep.run(settings).model_dump_json(indent=1).encode())
    elif jobs.read(place.parent).group != sweep.name:
        raise SweepError(f"there is a run {trial.run} that is not of this sweep; give the sweep another --name")
    _note(sweep, trial)
    return trial


def journal(sweep: Sweep) -> dict[int, Trial]:
    """The trials that have begun, by number, each as its last line says."""
    found = {}
    path = sweep.folder / JOURNAL
    for line in path.read_bytes().splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError, TypeError):  # the last line of a process that was killed
            trial = Trial(**json.loads(line))
            found[trial.number] = trial
    return found


def _note(sweep: Sweep, trial: Trial) -> None:
    files.append(sweep.folder / JOURNAL, json.dumps(vars(trial)))


@contextlib.contextmanager
def _alone(sweep: Sweep) -> Iterator[None]:
    """Holds the sweep's folder for this process, with the plan in it."""
    with files.said(sweep.folder):
        sweep.folder.mkdir(parents=True, exist_ok=True)
        handle = open(sweep.folder / ".lock", "ab")  # noqa: SIM115  (closed below)
    with handle:
        if not files.lock(handle):
            raise SweepError(f"another process is at work on the sweep {sweep.name}")
        plan = sweep.folder / PLAN
        if not plan.exists():
            files.write_whole(plan, json.dumps(sweep.plan, indent=1).encode())
        try:
            former = json.loads(plan.read_bytes())
        except ValueError:
            former = None
        # more trials of the same search are the same sweep
        if not isinstance(former, dict) or {**former, "trials": bool(former.get("trials"))} != {**sweep.plan, "trials": bool(sweep.trials)}:
            raise SweepError(f"the sweep {sweep.name} was begun with other settings; give this one another --name")
        told = sweep.folder / JOURNAL
        if told.exists() and not told.read_bytes().endswith(b"\n"):
            files.append(told, "")  # a line that a power cut tore off does not spoil the next
        yield
