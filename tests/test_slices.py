"""Where a GPU is lent for a call at a time, a run in slices is the straight run bit for bit, and can be left and gone on with."""

import time

import pytest
from toys import FAMILIES, finished, same_bytes, tiny

from aigc_demo import jobs, slices, trainer


class Lender:
    """A decorator such as spaces.GPU that counts what it is asked for."""

    def __init__(self):
        self.durations, self.calls = [], 0

    def __call__(self, duration):
        self.durations.append(duration)

        def decorate(function):
            def lent(*arguments):
                self.calls += 1
                return function(*arguments)

            return lent

        return decorate


@pytest.fixture
def short(monkeypatch):
    """Slices of a hundredth of a second."""
    monkeypatch.setattr(slices, "SECONDS", 20.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_slices_are_the_straight_run_bit_for_bit(family, short, home, tmp_path):
    run = tiny(f"{family}:tiny", 60, {"data.mirror": True, "train.ema": 0.9})
    finished(run, tmp_path)
    lend, folder = Lender(), jobs.create(run, id="run")
    ends = list(slices.train("run", lend))
    assert ends == ["again"] * (len(ends) - 1) + ["done"]
    assert lend.calls == len(ends) > 2
    assert lend.durations == [slices.SECONDS]
    for name in ("state.safetensors", "checkpoint/model.safetensors"):
        assert same_bytes((folder / name).read_bytes(), (tmp_path / name).read_bytes()) == []
    seen = jobs.watch("run")
    assert (seen.state, seen.says, seen.points[-1]["step"]) == ("done", "Done.", 60)


def test_a_slice_takes_a_step_however_long_the_data_takes(home):
    jobs.create(tiny("vae:tiny", 5), id="run")
    for step in (1, 2):
        assert slices.stretch("run", 1e-9) == "again"
        assert jobs.watch("run").points[-1]["step"] == step


def test_a_run_whose_page_is_closed_is_kept_and_its_owner_can_stop_it(short, home):
    jobs.create(tiny("vae:tiny", 1_000_000), id="run")
    going = slices.train("run", Lender())
    assert next(going) == "again"
    assert jobs.watch("run").state == "running"
    going.close()
    left = jobs.watch("run")
    assert (left.state, left.says) == ("interrupted", slices.LEFT)
    assert left.saved > 0
    going = slices.train("run", Lender())
    next(going)
    jobs.stop("run", jobs.HERE)
    time.sleep(0.2)
    assert list(going)[-1] == "stopped"
    assert jobs.watch("run").checkpoint


def test_a_run_that_waits_for_its_first_slice_is_starting(home):
    id, owner = jobs.start(tiny("vae:tiny", 3), spawn=False)
    assert jobs.watch(id).state == "starting"
    assert list(slices.train(id, Lender())) == ["done"]
    jobs.extend(id, owner, 2)
    jobs.go_on(id, owner, spawn=False)
    assert jobs.watch(id).state == "starting"
    assert list(slices.train(id, Lender())) == ["done"]
    assert jobs.watch(id).points[-1]["step"] == 5


def test_what_breaks_in_a_slice_is_said(short, home):
    jobs.create(tiny("vae:tiny", 2000, {"train.lr": 10}), id="run")
    with pytest.raises(trainer.TrainingError):
        list(slices.train("run", Lender()))
    assert jobs.watch("run").state == "failed"
    assert "lower train.lr" in jobs.watch("run").says
