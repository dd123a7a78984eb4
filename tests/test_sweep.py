"""Sweeps: what cannot be swept is said before anything starts, the same command goes on after a kill, and Optuna's choices are kept."""

import json
import os
import signal
import subprocess
import sys

import pytest
from toys import wait_for

import aigc_demo
from aigc_demo import compare, files, history, jobs, sweep
from aigc_demo.config import ConfigError

TINY = {"data.source": "digits", "data.limit": 96, "data.size": 16, "device": "cpu", "train.budget": 8, "train.unit": "steps"}
ROOT = os.path.dirname(os.path.dirname(aigc_demo.__file__))


@pytest.mark.parametrize(
    ("preset", "over", "more", "says"),
    [
        ("vae:tiny", [], {}, "name what to try"),
        ("vae:tiny", ["train.lr"], {}, "write it as NAME="),
        ("vae:tiny", ["train.lr="], {}, "write it as NAME="),
        ("vae:tiny", ["train.lr=1e-3,-1"], {}, "train.lr: -1 is not above 0"),
        ("vae:tiny", ["train.lr=1e-3,1e-3"], {}, "there twice"),
        ("vae:tiny", ["model.latnt=3,4"], {}, "the nearest is model.latent"),
        ("vae:tiny", ["train.lr=1e-5..1e-2"], {}, "list them, or give --trials"),
        ("vae:tiny", ["train.lr=1e-2..1e-5"], {"trials": 3}, "is not below"),
        ("vae:tiny", ["train.lr=a..b"], {"trials": 3}, "from a number to a number"),
        ("vae:tiny", ["train.decay=1..2"], {"trials": 3}, "only numbers have a range"),
        ("vae:tiny", ["train.lr=1e-3..100"], {"trials": 3}, "train.lr: 100.0 is above 10"),
        ("vae:tiny", ["train.lr=1e-3", "train.lr=1e-4"], {}, "is set already"),
        ("vae:tiny", ["train.budget=1,2"], {}, "is set already"),
        ("vae:tiny", ["group=a,b"], {}, "is set already"),
        ("vae:tiny", ["train.lr=1e-3,1e-4"], {"objective": "fid"}, "is not one of val, distance"),
        ("vae:tiny", ["train.lr=1e-3,1e-4"], {"trials": -1}, "trials: -1"),
        ("gan:tiny", ["train.lr=1e-5..1e-2"], {"trials": 3, "objective": "val"}, "no loss of a gan falls with quality; take distance"),
    ],
)
def test_what_cannot_be_swept_is_said_at_once(home, preset, over, more, says):
    with pytest.raises(ConfigError, match=says):
        sweep.planned(preset, over, TINY, **more)
    assert not (home / "runs").exists()


def test_a_grid_that_is_too_large_and_a_name_that_is_taken(home):
    with pytest.raises(sweep.SweepError, match="1,600 runs"):
        sweep.planned("vae:tiny", [f"seed={','.join(map(str, range(40)))}", f"model.latent={','.join(map(str, range(1, 41)))}"], TINY)
    one = sweep.planned("vae:tiny", ["seed=1,2"], TINY, name="mine")
    with sweep._alone(one), pytest.raises(sweep.SweepError, match="another process"):
        next(sweep.go(one))
    with pytest.raises(sweep.SweepError, match="other settings"):
        next(sweep.go(sweep.planned("vae:tiny", ["seed=1,2,3"], TINY, name="mine")))
    files.write_whole(
        home / "runs" / "mine-0" / jobs.CONFIG, one.run({"seed": "1"}).model_copy(update={"group": ""}).model_dump_json().encode()
    )
    with pytest.raises(sweep.SweepError, match="not of this sweep"):
        next(sweep.go(one))


def test_runs_that_ended_or_were_deleted_while_the_sweep_was_away_are_not_trained_again(home):
    grid = sweep.planned("vae:tiny", ["seed=1,2"], TINY, name="mine")
    grid.folder.mkdir(parents=True)
    for number in range(2):
        files.append(grid.folder / sweep.JOURNAL, json.dumps(vars(sweep.Trial(number, {"seed": str(number + 1)}, f"mine-{number}"))))
    folder = jobs.create(grid.run({"seed": "1"}), id="mine-0")
    history.note(folder, {"step": 8, "seconds": 1.0, "terms": {"held-out loss": 0.5}, "health": {"distance": 0.25}})
    jobs.report(folder, "done", "Done.")
    assert [(t.number, t.state, t.value) for t in sweep.go(grid) if t.state != "begun"] == [(0, "done", 0.5), (1, "failed", None)]
    assert not (home / "runs" / "mine-1").exists()
    assert list(sweep.go(grid)) == []


def test_a_grid_is_every_combination_in_order_and_lists_are_values():
    grid = sweep.planned("vae:tiny", ["train.lr=1e-4,2e-4", "model.hidden=[8],[8,16]"], TINY)
    asked = sweep.Grid(grid, {})
    found = [asked.ask() for _ in range(5)]
    assert [n for n, _ in found[:4]] == [0, 1, 2, 3]
    assert found[4] is None
    assert [grid.run(settings).model["hidden"] for _, settings in found[:4]] == [[8], [8, 16]] * 2
    assert [grid.run(settings).train.lr for _, settings in found[:4]] == [1e-4, 1e-4, 2e-4, 2e-4]
    assert grid.run({}).group == grid.name
    assert grid.name == sweep.planned("vae:tiny", ["train.lr=1e-4,2e-4", "model.hidden=[8],[8,16]"], TINY).name


def test_a_family_without_a_falling_loss_is_searched_for_the_least_distance():
    assert sweep.planned("gan:tiny", ["train.lr=1e-5..1e-2"], TINY, 3).objective == "distance"
    assert sweep.planned("vae:tiny", ["train.lr=1e-5..1e-2"], TINY, 3).objective == "val"


def test_optunas_choices_are_kept_and_follow_from_what_came_before(home):
    def search(name):
        return sweep.planned("vae:tiny", ["train.lr=1e-5..1e-2", "model.latent=2..8", "train.beta1=0.5,0.9"], TINY, 14, "val", name)

    def value(settings):
        return settings["model.latent"] + abs(settings["train.lr"] - 1e-3)

    def walk(of, trials, source):
        while (asked := source.ask()) is not None:
            number, settings = asked
            trials[number] = sweep.Trial(number, settings, f"{of.name}-{number}", "done", value(settings))
            if number == 3:
                trials[number] = sweep.Trial(number, settings, f"{of.name}-{number}", "failed")
            yield number
            source.tell(trials[number])

    straight, kept = search("straight"), {}
    straight.folder.mkdir(parents=True)
    assert list(walk(straight, kept, sweep.Search(straight, {}))) == list(range(14))

    killed, again = search("killed"), {}
    killed.folder.mkdir(parents=True)
    first = walk(killed, again, sweep.Search(killed, {}))
    for number in first:
        if number == 11:  # asked for, and never told
            break
    asked = again.pop(11)
    del first
    second = walk(killed, again, sweep.Search(killed, dict(again)))
    assert list(second) == [11, 12, 13]
    assert again[11].settings == asked.settings
    assert [t.settings for t in again.values()] == [t.settings for t in kept.values()]
    rates = [t.settings["train.lr"] for t in kept.values()]
    assert min(rates) < 1e-4 < 1e-3 < max(rates)  # a log scale: a plain one would hardly ever be below a tenth of a tenth
    assert all(isinstance(killed.run(t.settings).model["latent"], int) for t in kept.values())


@pytest.mark.timeout(900)
def test_a_sweep_that_is_killed_goes_on_with_the_same_command(home):
    """Optuna's, over real runs: SIGKILL while the second trains; what was finished is not repeated."""
    line = [sys.executable, "-m", "aigc_demo", "sweep", "vae:tiny", "--over", "train.lr=1e-4..1e-2", "--trials", "2", "--objective", "val"]
    line += ["--name", "mine", "--data", "digits", "--device", "cpu", "--steps", "8", "--json"]
    for setting in ("data.limit=96", "data.size=16"):
        line += ["--set", setting]
    env = {**os.environ, "PYTHONPATH": ROOT}
    first = subprocess.Popen(line, env=env, stdout=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: (home / "runs" / "mine-1" / jobs.CONFIG).exists() or first.poll() is not None)
        first.send_signal(signal.SIGKILL)
        first.wait()
    finally:
        first.kill()
        first.stdout.close()
    log = home / "runs" / "mine-0" / "log.jsonl"
    before = log.stat().st_mtime_ns
    done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    told = [json.loads(t) for t in done.stdout.splitlines()]
    assert [(t["number"], t["state"]) for t in told] == [(1, "begun"), (1, "done")]
    assert log.stat().st_mtime_ns == before
    rows = compare.table(compare.shared(), "mine")["runs"]
    assert {(r["id"], r["state"], r["steps"]) for r in rows} == {(f"mine-{i}", "done", 8) for i in range(2)}
    kept = sweep.journal(sweep.planned("vae:tiny", ["train.lr=1e-4..1e-2"], TINY, 2, "val", "mine"))
    assert {t.run: t.value for t in kept.values()} == {r["id"]: r["best"] for r in rows}
    again = subprocess.run(line, env=env, capture_output=True, text=True, timeout=600)
    assert (again.returncode, again.stdout) == (0, "")
