"""Does the health light name what is wrong, and keep quiet where nothing is?

Each preset but those for a GPU runs as it ships, on the data and with the budget that it names, and no alarm may be said at any mark of
it. Runs that are broken on purpose, on the digits that come with scikit-learn, must have the right word as their first alarm, by a stated
step:

    a discriminator that nothing holds back  no dropout, no smoothing, and a rate 20 times the generator's  -> discriminator winning
    a weak discriminator                     a rate of 0.02 of the generator's                              -> collapsing
    learning rate x 50                                                                                      -> diverging
    50 training images                       and 50 held out                                                -> overfitting
    posterior collapse                       beta x 50                                                      -> collapsing

Five seeds each, 301 to 305; the bounds of evaluation/health.py were set on seed 0, and after a look at broken runs of seeds 101 to
105, 201 and 202 ("near" after one at gpt:shakespeare's runs of 303 to 305). All of it takes a core half a day. So every run's verdicts,
mark by mark where the word changed, go to health_runs.json with --save, with the hash of the code that trained and judged it: while that
is the same, a run counts and is not trained again. Presets that are named are trained, of the others the runs that are kept count; how
many of all there are is a row of the table.

--quick trains one broken run and the tiny presets, each with one seed, whatever is kept."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch

from aigc_demo import files, history, model
from aigc_demo.config import Run
from aigc_demo.evaluation import health
from aigc_demo.trainer import TrainingError, record

from . import report

SEEDS = range(301, 306)
TRAINS = ("config", "modality", "model", "history", "files", "measures", "trainer")
RUNS = Path(__file__).with_name("health_runs.json")
SHIPPED = "as shipped"


class Broken(NamedTuple):
    """A run that is broken on purpose, in one of model.breakages with a budget of its own: the word that is right for it, and the step by
    which it must be said."""

    name: str
    preset: str
    way: str
    budget: dict[str, Any]
    word: str
    by: int

    @property
    def changes(self) -> dict[str, Any]:
        return model.breakages(self.preset)[self.way] | self.budget


BROKEN = (
    Broken("nothing holds the discriminator back", "gan:mlp", "discriminator too strong", {}, "discriminator winning", 500),
    Broken("a weak discriminator", "gan:mlp", "discriminator too weak", {}, "collapsing", 300),
    Broken("learning rate x 50", "gan:mlp", "learning rate too high", {}, "diverging", 300),
    Broken("learning rate x 50", "vae:conv", "learning rate too high", {}, "diverging", 50),
    Broken("50 training images", "gan:mlp", "fifty items", {"train.unit": "steps", "train.budget": 2000}, "overfitting", 2000),
    Broken("50 training images", "vae:mlp", "fifty items", {"train.unit": "steps", "train.budget": 800}, "overfitting", 600),
    Broken("beta x 50", "vae:conv", "nothing into the latent", {"train.budget": 20}, "collapsing", 100),
)


@functools.cache
def code(family: str) -> str:
    """The hash of all that trains a family: what every training goes through, and the family with the networks and samplers it imports."""
    house = Path(model.__file__).parent
    rooms = [house / f"{room}.py" for room in TRAINS]
    rooms += [path for room in ("data", "modalities") for path in (house / room).glob("*.py")]
    todo = [house / "models" / f"{family}.py"]
    while todo:
        rooms.append(path := todo.pop())
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom) and node.level:
                place = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
                named = [place.with_suffix(".py"), *(place / f"{name.name}.py" for name in node.names)]
                own = [file for file in named if file.parent == house / "nets" or file == house / "samplers.py"]
                todo += [file for file in own if file.is_file() and file not in rooms]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(set(rooms)))).hexdigest()


def trained(run: Run) -> list[dict[str, Any]]:
    """Trains `run`; gives the lines of its log."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            for _ in record(run, Path(folder)):
                pass
        except TrainingError as error:
            report.say(f"    {error}")
        return [json.loads(line) for line in (Path(folder) / history.LOG).read_bytes().splitlines()]


def verdicts(run: Run) -> list[tuple[int, str]]:
    """Each word that the health of `run` said, with the step at which it was first read, mark by mark as the page does."""
    said: list[tuple[int, str]] = []
    points = report.kept(trained, run, by=code(run.family))
    for n, point in enumerate(points, 1):
        word = health.verdict(points[:n]).word if health.marks([point]) else said[-1][1]
        if not said or said[-1][1] != word:
            said.append((point["step"], word))
    return said


def planned(preset: str, seed: int, changes: dict[str, Any]) -> Run:
    """The run on the CPU."""
    return model.plan(preset, {"device": "cpu", "seed": seed, **changes})


def judged(family: str) -> str:
    """The hash of all that trains a family, and judges its logs."""
    return hashlib.sha256(code(family).encode() + Path(health.__file__).read_bytes()).hexdigest()[:16]


class Runs:
    """The runs that are kept, and those that are trained now; `anew` as if none were kept."""

    def __init__(self, keep: bool, anew: bool = False):
        told = [] if anew or not RUNS.exists() else json.loads(RUNS.read_text("utf-8"))
        self.keep, self.told = keep, [run for run in told if run["code"] == judged(run["preset"].partition(":")[0])]

    def of(self, case: str, preset: str, changes: dict[str, Any], seeds: range, train: bool) -> list[list[tuple[int, str]]]:
        """The verdicts of each seed's run; where it is not kept, it is trained, or left out."""
        found = []
        for seed in seeds:
            asked = json.loads(json.dumps({"case": case, "preset": preset, "changes": changes, "seed": seed}))
            said = next((run["said"] for run in self.told if asked.items() <= run.items()), None)
            if said is None and train:
                said = verdicts(planned(preset, seed, changes))
                report.say(f"  {case}, {preset}, seed {seed}: " + ", ".join(f"{word} at step {step:,}" for step, word in said))
                self.told.append({**asked, "code": judged(preset.partition(":")[0]), "said": said})
                if self.keep:
                    self.told.sort(key=lambda run: (run["case"] == SHIPPED, run["preset"], run["case"], run["seed"]))
                    files.write_whole(RUNS, ("[\n" + ",\n".join(json.dumps(run) for run in self.told) + "\n]\n").encode())
            if said is not None:
                found.append(said)
        return found


def first_alarm(said: list[tuple[int, str]]) -> tuple[int, str]:
    """The first alarm of a run and its step; ("", -1) where there was none."""
    return next(((step, word) for step, word in said if word in health.ALARMS), (-1, ""))


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__, presets="trained where no run of theirs is kept; all, if none is named")
    torch.set_num_threads(1)
    presets = [p for p in model.presets() if not p.endswith("gpu")]
    if unknown := set(asked.presets) - set(presets):
        report.give_up(f"no preset that runs on a CPU: {', '.join(sorted(unknown))}")
    if asked.quick and not asked.presets:
        presets = [p for p in presets if p.endswith(":tiny")]
    seeds, runs = SEEDS[:1] if asked.quick else SEEDS, Runs(asked.save, asked.quick)
    rows = []
    for case in BROKEN[-1:] if asked.quick else BROKEN:
        found = runs.of(case.name, case.preset, case.changes, seeds, not asked.presets)
        firsts = [first_alarm(said) for said in found]
        right = sum(word == case.word and step <= case.by for step, word in firsts)
        name = f"{case.preset}, {case.name}: named {case.word} by step {case.by:,}"
        rows.append(report.row(name, right, f"of {len(seeds)} runs", f">= {len(seeds)}"))
        rows.append(report.row(f"{case.preset}, {case.name}: the latest first alarm", max((s for s, _ in firsts), default=-1), "steps"))
    taken = 0
    for preset in presets:
        found = runs.of(SHIPPED, preset, {}, seeds, not asked.presets or preset in asked.presets)
        taken += len(found)
        if found:
            false = sum(first_alarm(said)[1] != "" for said in found)
            rows.append(report.row(f"{preset}, as shipped: false alarms", false, f"of {len(found)} runs", "<= 0"))
    wanted = len(presets) * len(seeds)
    rows.append(report.row(f"as shipped: runs of {len(presets)} presets", taken, f"of {wanted}", f">= {wanted}"))
    report.finish("health", rows, asked)


if __name__ == "__main__":
    main()
