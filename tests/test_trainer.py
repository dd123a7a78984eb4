"""Training goes on where it stopped bit for bit, ends when it should, breaks with a sentence, and writes what it says."""

import errno
import io
import itertools
import json
import math
import os
import re
import shlex
import stat
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from toys import FAMILIES, finished, same_bytes, tiny

from aigc_demo import checkpoint, data, files, history, model, trainer
from aigc_demo.config import ConfigError
from aigc_demo.latent import curve
from aigc_demo.model import Batch
from aigc_demo.trainer import Trainer, TrainingError, record, train

MONITORED = [f for f in FAMILIES if model.family(f).monitor]
UNMONITORED = [f for f in FAMILIES if not model.family(f).monitor]


def lively(family, steps, changes=None):
    """A run with everything in it that a resume could lose: warm-up, decay, clipping, averages, mirroring, dropout."""
    own = {"model.dropout": 0.3} if "dropout" in model.family(family).Config.model_fields else {}
    train = {"train.warmup": 4, "train.decay": "cosine", "train.clip": 1.0, "train.ema": 0.9, "train.weight_decay": 0.01}
    return tiny(f"{family}:tiny", steps, {**train, **own, "data.mirror": True, "train.batch": 20, **(changes or {})})


def states(run):
    """A trainer and the states that it saves."""
    made, saved = Trainer(run), []
    return made, saved, lambda state: saved.append(state)


def after(calls):
    """A stop() that says so at its call number `calls`, counted from 0: after so many steps."""
    count = itertools.count()
    return lambda: "stopped" if next(count) >= calls else ""


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_bytes().splitlines()]


# Resume


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "refused"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_that_is_repeated_or_that_a_gpu_refuses_to_record_learns_the_same(family, recorded, monkeypatch):
    """Without a GPU: what stands for a recording does the work anew, on the tensors that it was given at first."""

    class Recording:
        def __init__(self, work, given):
            if not recorded:
                raise RuntimeError("not while a stream is capturing")
            self.work, self.given = work, [None if v is None else v.clone() for v in given]

        def __call__(self, *given):
            for place, v in zip(self.given, given, strict=True):
                if place is not None:
                    place.copy_(v)
            return self.work(*self.given)

    monkeypatch.setattr(trainer, "Replay", Recording)
    ends = []
    for replays in (False, True):
        t = Trainer(tiny(f"{family}:tiny", 10))
        t.replays = replays
        for _ in range(trainer.WARM):
            t.one_step(0.0)
        rng = torch.Generator()
        for step in range(3):
            known = (None if v is None else v[8 * step : 8 * step + 8] for v in (t.training.labels, t.said))
            batch = Batch(t.modality.encode(t.training.items[8 * step : 8 * step + 8]), *known)
            found = (t._repeat if replays else t._learn)(batch, rng.manual_seed(step))
            assert found
            assert all(v.isfinite() for v in found.values())
        assert t.replays is (replays and recorded)
        ends.append(trainer.digest(t.state()))
    assert ends[0] == ends[1]


def test_how_far_apart_two_states_are():
    def state(**tensors):
        return safetensors.torch.save(tensors)

    a = state(w=torch.tensor([3.0, 0.0]), v=torch.tensor([0.0, 4.0]), n=torch.tensor([7]))
    assert trainer.apart(a, a) == 0
    assert trainer.apart(a, state(w=torch.tensor([3.0, 0.3]), v=torch.tensor([0.4, 4.0]), n=torch.tensor([7]))) == pytest.approx(0.1)
    assert trainer.apart(a, state(w=torch.tensor([3.0, 0.0]), v=torch.tensor([0.0, 4.0]), n=torch.tensor([8]))) == math.inf
    assert trainer.apart(a, state(w=torch.tensor([3.0, 0.0]), n=torch.tensor([7]))) == math.inf
    assert not trainer.Resumed("a", "b", 1e-5, 0.0).same
    assert trainer.Resumed("a", "b", 1e-5, trainer.TOLERANCE * 1e-5).same


@pytest.mark.parametrize("k", [1, 7, 12])  # 12 steps of 20 are 2 epochs and a half of 91 items
@pytest.mark.parametrize("family", FAMILIES)
def test_stop_and_resume_is_the_straight_run_bit_for_bit(family, k, tmp_path):
    run = lively(family, 14)
    straight, whole, save = states(run)
    assert straight.batches.steps_per_epoch == 4
    *_, last = train(straight, save=save)
    assert (last.end, last.step) == ("done", 14)

    first, halves, save = states(run)
    *_, last = train(first, after(k), save)
    assert (last.end, last.step) == ("stopped", k)
    (tmp_path / "state").write_bytes(halves[-1])
    assert same_bytes(halves[-1], whole[-1]), "there is something left to learn"
    second, rest, save = states(run)
    second.restore(tmp_path / "state")
    assert second.step == k
    assert same_bytes(second.state(), halves[-1]) == []
    *_, last = train(second, save=save)
    assert (last.end, last.step) == ("done", 14)
    assert same_bytes(rest[-1], whole[-1]) == []
    names = safetensors.torch.load(whole[-1]).keys()
    assert {n.split(".")[0] for n in names} == {"model", "averages", "optimizer"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_that_is_stopped_three_times_makes_the_checkpoint_of_the_straight_one(family, tmp_path):
    run = lively(family, 10)
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    for folder, stops in ((straight, [99]), (broken, [0, 3, 2, 99])):
        folder.mkdir()
        ends = [list(record(run, folder, after(s)))[-1] for s in stops]
        assert ends[-1].end == "done"
    assert same_bytes(*((f / "checkpoint" / "model.safetensors").read_bytes() for f in (straight, broken))) == []
    steps = [line["step"] for line in log(broken)]
    assert steps == sorted(steps)
    assert steps.count(0) == 1
    assert [e.step for e in ends] == [0, 3, 5, 10]


def test_what_a_crash_left_behind_the_last_save_is_dropped(tmp_path):
    run = tiny("vae:tiny", 8)
    list(record(run, tmp_path, after(4)))
    kept = (tmp_path / "log.jsonl").read_bytes()
    later = {"step": 6, "terms": {"loss": 1.0}}
    (tmp_path / "log.jsonl").write_bytes(kept + json.dumps(later).encode() + b'\n{"step": 7, "ter')
    pack = (tmp_path / "samples.pack").read_bytes()
    (tmp_path / "samples.pack").write_bytes(pack + b"drawn after the last save")
    list(record(run, tmp_path))
    lines = log(tmp_path)
    assert later not in lines
    assert lines[: len(kept.splitlines())] == [json.loads(line) for line in kept.splitlines()]
    assert [line["step"] for line in lines][-1] == 8
    assert (tmp_path / "samples.pack").read_bytes()[: len(pack) + 4] == pack + b"RIFF", "the next sheet follows the last one that counts"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_weights_of_marks_are_checkpoints_and_follow_the_run(family, home, monkeypatch):
    step = Trainer.one_step

    def slow(*args, **kwargs):  # a run of half a second has no marks but its first and its last
        time.sleep(0.01)
        return step(*args, **kwargs)

    monkeypatch.setattr(Trainer, "one_step", slow)
    folder = home / "runs" / "run"
    folder.mkdir(parents=True)
    run = tiny(f"{family}:tiny", 100, {"train.kept_marks": 3, "train.marks": 1000, "train.save_seconds": 0})
    list(record(run, folder))
    kept = history.kept(folder, history.MARKS)
    assert len(kept) == 3
    assert (kept[0], kept[-1]) == (0, 100)
    first, last = (checkpoint.find(f"run@{step}") for step in (0, 100))
    assert (first.name, last.name) == ("run@0", "run@100")
    assert checkpoint.find("run@99").name == f"run@{kept[1]}"
    for before, after in zip(
        checkpoint.load(checkpoint.find("run")).state_dict().values(), checkpoint.load(last).state_dict().values(), strict=True
    ):
        torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-6)
    assert same_bytes(*((c.path / "model.safetensors").read_bytes() for c in (first, last)))
    assert not (checkpoint.find("run").path.parent / "marks" / "000000101").exists()
    for name in ("run@", "run@x", "run@-1", "nobody@5", f"run@{'9' * 50}x"):
        with pytest.raises(checkpoint.CheckpointError):
            checkpoint.find(name)


def test_a_run_that_is_rewound_goes_on_bit_for_bit_and_forgets_what_came_after(tmp_path):
    run = lively("vae", 40, {"train.save_seconds": 0, "train.rewind_mb": 100, "train.marks": 1000})
    list(record(run, tmp_path))
    whole, lines = (tmp_path / history.STATE).read_bytes(), log(tmp_path)
    states = history.kept(tmp_path, history.STATES)
    assert states[-1] == 40
    back = states[len(states) // 2]
    assert 0 < back < 40
    history.put_back(tmp_path, back)
    assert [line["step"] for line in log(tmp_path)] == [line["step"] for line in lines if line["step"] <= back]
    *_, last = record(run, tmp_path)
    assert (last.end, last.step) == ("done", 40)
    assert same_bytes((tmp_path / history.STATE).read_bytes(), whole) == []


def header(state, change):
    """`state` with its facts changed."""
    tensors = safetensors.torch.load(state)
    with_facts = json.loads(json.loads(state[8 : 8 + int.from_bytes(state[:8], "little")])["__metadata__"]["facts"])
    facts, tensors = change(with_facts, tensors)
    return safetensors.torch.save(tensors, facts if facts is None else {"facts": json.dumps(facts)})


def without(tensors, start):
    return {k: v for k, v in tensors.items() if not k.startswith(start)}


def narrowed(tensors, names):
    return {k: v[..., :1].clone() if re.match(names, k) else v for k, v in tensors.items()}


BROKEN = {
    "empty": lambda s: b"",
    "cut in the header": lambda s: s[:50],
    "cut in the middle": lambda s: s[: len(s) // 2],
    "cut by a byte": lambda s: s[:-1],
    "noise": lambda s: bytes(range(256)) * 40,
    "not ours": lambda s: header(s, lambda f, t: (None, t)),
    "facts that are a list": lambda s: header(s, lambda f, t: ([1], t)),
    "no step": lambda s: header(s, lambda f, t: ({k: v for k, v in f.items() if k != "step"}, t)),
    "a step in words": lambda s: header(s, lambda f, t: ({**f, "step": "five"}, t)),
    "a best that is a list": lambda s: header(s, lambda f, t: ({**f, "best": []}, t)),
    "no model": lambda s: header(s, lambda f, t: (f, without(t, "model."))),
    "no averages": lambda s: header(s, lambda f, t: (f, without(t, "averages."))),
    "no optimizer": lambda s: header(s, lambda f, t: (f, without(t, "optimizer."))),
    "half an optimizer": lambda s: header(s, lambda f, t: (f, {k: v for k, v in t.items() if not k.endswith("_sq")})),
    "an optimizer of other shapes": lambda s: header(s, lambda f, t: (f, narrowed(t, "optimizer.*exp_avg"))),
    "weights of other shapes": lambda s: header(s, lambda f, t: (f, narrowed(t, "model"))),
    "other data": lambda s: header(s, lambda f, t: ({**f, "data": "0" * 64}, t)),
}


@pytest.fixture(scope="module")
def good_state():
    made, saved, save = states(tiny("vae:tiny", 2))
    list(train(made, save=save))
    return saved[-1]


@pytest.mark.parametrize("name", BROKEN)
def test_a_state_that_is_broken_or_of_another_run_is_refused_in_a_sentence(name, good_state, tmp_path):
    path = tmp_path / "state.safetensors"
    path.write_bytes(BROKEN[name](good_state))
    with pytest.raises(TrainingError) as error:
        Trainer(tiny("vae:tiny", 2)).restore(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_state_of_a_wider_model_is_refused(good_state, tmp_path):
    (tmp_path / "state").write_bytes(good_state)
    with pytest.raises(TrainingError, match="does not fit the model"):
        Trainer(tiny("vae:tiny", 2, {"model.width": 8})).restore(tmp_path / "state")


# How it ends


BUDGETS = [(2, "epochs", 10), (0.5, "epochs", 2), (0.001, "epochs", 1), (3, "steps", 3), (2.5, "steps", 3), (1, "steps", 1)]


@pytest.mark.parametrize(("budget", "unit", "steps"), BUDGETS)
def test_a_budget_of_epochs_or_steps_is_met_exactly(budget, unit, steps):
    made = Trainer(tiny("vae:tiny", 1, {"train.budget": budget, "train.unit": unit}))
    assert made.batches.steps_per_epoch == 5
    seen = list(train(made))
    assert (seen[-1].end, seen[-1].step, seen[-1].done) == ("done", steps, 1.0)
    assert seen[-1].epoch == pytest.approx(steps / 5)
    assert seen[-1].items == steps * 16
    assert [s.end for s in seen[:-1]] == [""] * (len(seen) - 1)
    assert [s.done for s in seen] == sorted(s.done for s in seen)


def test_a_budget_of_minutes_is_met_within_a_step():
    seen = list(train(Trainer(tiny("vae:tiny", 1, {"train.budget": 0.02, "train.unit": "minutes", "train.marks": 3}))))
    assert seen[-1].end == "done"
    assert 1.2 <= seen[-1].seconds < 4
    assert seen[-1].step > 3
    assert all(s.left is None or s.left >= 0 for s in seen)


def test_items_are_counted_as_they_are_seen_when_there_are_fewer_than_a_batch(tmp_path):
    seen = list(record(tiny("vae:tiny", 4, {"data.limit": 12, "train.batch": 64}), tmp_path))
    assert seen[-1].items == 4 * 11  # one of twelve is held out
    assert checkpoint.read(tmp_path / "checkpoint").manifest.training.items == 44
    assert seen[-1].epoch == 4


@pytest.mark.parametrize("ema", [0.9, 0.0])
@pytest.mark.parametrize("family", MONITORED)
def test_patience_stops_and_keeps_the_best(family, ema, tmp_path):
    changes = {"train.lr": 0.03, "train.ema": ema, "train.patience": 3, "train.marks": 1000, "data.limit": 32, "data.validation": 0.5}
    run = tiny(f"{family}:tiny", 6000, changes)
    *_, last = record(run, tmp_path)
    assert last.end == "done"
    assert last.step < 6000
    assert "kept the best" in last.says
    term = f"held-out {model.family(family).monitor}"
    held = [line["terms"][term] for line in log(tmp_path) if line["mark"]]
    assert min(held) == held[-4] < held[-1]
    assert f"{min(held):.4g}" in log(tmp_path)[-1]["says"]
    made = checkpoint.read(tmp_path / "checkpoint")
    fresh = Trainer(run)
    fresh.part.load_state_dict(safetensors.torch.load((made.path / "model.safetensors").read_bytes()))
    fresh.averages = {}
    assert fresh.validate()[term] == pytest.approx(min(held), rel=1e-5)
    with Image.open(made.path / "samples.webp") as shown:
        assert np.abs(np.asarray(shown).astype(int) - fresh.draw().astype(int)).max() <= 1, "the card shows what the checkpoint draws"


@pytest.mark.parametrize("family", MONITORED)
def test_patience_counts_the_same_marks_where_a_run_is_paused(family, tmp_path):
    changes = {"train.lr": 0.03, "train.ema": 0.9, "train.patience": 3, "train.marks": 1000, "data.limit": 32, "data.validation": 0.5}
    run, ends, weights = tiny(f"{family}:tiny", 6000, changes), [], []
    for stops in ([], [0], [6], [7]):  # a mark is due every 6 steps
        folder = tmp_path / f"paused-{len(ends)}"
        folder.mkdir()
        ends.append([list(record(run, folder, after(k)))[-1] for k in (*stops, 9999)][-1])
        weights.append((folder / "checkpoint" / "model.safetensors").read_bytes())
    straight, *paused = ends
    assert straight.step < 6000
    assert all((end.step, end.says) == (straight.step, straight.says) for end in paused)
    assert [same_bytes(weights[0], after_pause) for after_pause in weights[1:]] == [[], [], []]


@pytest.mark.parametrize("family", UNMONITORED)
def test_patience_is_refused_where_no_loss_falls_with_quality(family):
    with pytest.raises(ConfigError, match=r"^train\.patience: "):
        Trainer(tiny(f"{family}:tiny", 2, {"train.patience": 3}))


def test_a_batch_smaller_than_two_and_a_gpu_that_is_not_there_are_refused():
    with pytest.raises(ConfigError, match=r"^train\.batch: 1 is below 2"):
        tiny("vae:tiny", 1, {"train.batch": 1})
    for device, there in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())):
        if not there:
            with pytest.raises(ConfigError, match=r"^device: there is no .* GPU here"):
                Trainer(tiny("vae:tiny", 1, {"device": device}))


# How it breaks


def test_a_learning_rate_that_is_too_large_ends_in_a_sentence_and_the_last_whole_state_is_kept(tmp_path):
    run = tiny("vae:tiny", 2000, {"train.lr": 10, "train.save_seconds": 0})
    with pytest.raises(TrainingError, match=r"^after step \d+ .* not .*number.* a lower train\.lr than 10") as error:
        list(record(run, tmp_path))
    assert "\n" not in str(error.value)
    made = checkpoint.read(tmp_path / "checkpoint")
    kept = checkpoint.load(made)  # which refuses numbers that are not finite
    assert all(v.isfinite().all() for v in kept.state_dict().values())
    again = Trainer(run)
    again.restore(tmp_path / "state.safetensors")
    assert again.step == made.manifest.training.steps < 2000
    assert all(math.isfinite(v) for line in log(tmp_path) for v in (line["terms"] | line["health"]).values())
    assert log(tmp_path)[-1]["health"] == {"broken": 1.0}
    assert log(tmp_path)[-1]["says"] == str(error.value)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("where", ["parameters", "buffers"])
def test_no_state_with_a_number_that_is_not_finite_is_saved(family, where):
    made, saved, save = states(tiny(f"{family}:tiny", 50))
    broken = [v for v in getattr(made.model, where)() if v.is_floating_point()]
    if not broken:
        pytest.skip("this family has none")
    assert made.whole()
    with torch.no_grad():
        broken[-1].fill_(math.inf)
    assert not made.whole()
    with pytest.raises(TrainingError, match=r"train\.lr"):
        list(train(made, save=save))
    assert saved == []


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_ends_in_a_sentence_and_the_old_state_is_whole(reason, tmp_path, monkeypatch):
    run = tiny("vae:tiny", 6)
    list(record(run, tmp_path, after(2)))
    old = {p.name: p.read_bytes() for p in (tmp_path / "state.safetensors", tmp_path / "checkpoint" / "config.json")}
    real = os.fsync

    def full(handle):
        about = os.fstat(handle)
        if stat.S_ISREG(about.st_mode) and about.st_size > 2000:
            raise OSError(reason, os.strerror(reason))
        return real(handle)

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(files.StorageError, match="could not be written: the disk") as error:
            list(record(run, tmp_path))
    assert str(error.value).startswith(str(tmp_path))
    for name, content in old.items():
        path = tmp_path / name if name.startswith("state") else tmp_path / "checkpoint" / name
        assert path.read_bytes() == content
    assert [p.name for p in tmp_path.rglob(".*") if p.is_file()] == [], "no half-written file stays"
    *_, last = record(run, tmp_path)
    assert (last.end, last.step) == ("done", 6)


# What a step is


@pytest.mark.parametrize("family", FAMILIES)
def test_the_averaged_weights_follow_their_formula(family):
    made = Trainer(tiny(f"{family}:tiny", 9, {"train.ema": 0.6}))
    expected = {k: v.clone() for k, v in made.averages.items()}
    for step in range(1, 7):
        made.one_step(0.0)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = {k: decay * v + (1 - decay) * made.part.state_dict()[k] for k, v in expected.items()}
    for k, v in expected.items():
        torch.testing.assert_close(made.averages[k], v)
    now = {k: v.clone() for k, v in made.part.state_dict().items()}
    with made.averaged() as averaged:
        assert not averaged.training
        assert all(torch.equal(made.part.state_dict()[k], v) for k, v in made.averages.items())
    assert made.model.training
    assert all(torch.equal(made.part.state_dict()[k], v) for k, v in now.items())


def test_without_averages_the_checkpoint_keeps_the_weights_themselves():
    made = Trainer(tiny("vae:tiny", 3, {"train.ema": 0}))
    made.one_step(0.0)
    assert made.averages == {}
    assert all(torch.equal(v, made.part.state_dict()[k]) for k, v in made.weights().items())


@pytest.mark.parametrize(
    ("decay", "at"), [("none", lambda d: 1.0), ("linear", lambda d: 1 - d), ("cosine", lambda d: 0.5 * (1 + math.cos(math.pi * d)))]
)
@pytest.mark.parametrize("warmup", [0, 4])
def test_the_learning_rate_warms_up_and_falls_as_told(decay, at, warmup):
    made = Trainer(tiny("vae:tiny", 10, {"train.decay": decay, "train.warmup": warmup, "train.lr": 0.002}))
    for step in range(10):
        done = made.done(0.0)
        assert done == step / 10
        made.one_step(done)
        rate = made.optimizers["model"][0].param_groups[0]["lr"]
        assert rate == pytest.approx(0.002 * at(done) * (min(1, (step + 1) / warmup) if warmup else 1))


def test_gradients_are_clipped_to_the_norm():
    norms = []
    for clip in (0.0, 0.5):
        made = Trainer(tiny("vae:tiny", 3, {"train.clip": clip}))
        grads = lambda *_, made=made: norms.append(torch.cat([p.grad.flatten() for p in made.model.parameters()]).norm().item())  # noqa: E731
        made.optimizers["model"][0].register_step_pre_hook(grads)
        made.one_step(0.0)
    assert norms[0] > 1
    assert norms[1] == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_validation_and_marks_leave_training_as_it_is(family):
    runs = []
    for looked in (False, True):
        made = Trainer(lively(family, 6))
        for _ in range(6):
            if looked:
                made.validate(), made.draw(), made.weights(), made.state()
            made.one_step(0.5)
        runs.append(made.state())
    assert same_bytes(*runs) == []


def test_the_held_out_items_are_not_trained_on():
    made = Trainer(tiny("vae:tiny", 1, {"data.validation": 0.25}))
    assert (len(made.training), len(made.held)) == (72, 24)
    trained = {item.numpy().tobytes() for item in made.training.items}
    assert not any(item.numpy().tobytes() in trained for item in made.held.items)
    assert Trainer(tiny("vae:tiny", 1, {"data.validation": 0})).validate() == {}


def test_runs_of_one_process_each_have_their_own_precision():
    for precision, expected in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp32", torch.float32)):
        made, seen = Trainer(tiny("vae:tiny", 1, {"train.precision": precision})), []
        made.model.posterior.register_forward_hook(lambda m, i, out, seen=seen: seen.append(out.dtype))
        terms = made.one_step(0.0)
        assert seen == [expected]
        assert all(v.isfinite() for v in terms.values())


PRECISIONS = [("vae:tiny", {"model.network": "conv"}, True), ("vae:mlp", {}, False), ("gpt:tiny", {}, True), ("gan:mlp", {}, False)]


@pytest.mark.parametrize(("preset", "changes", "gains"), PRECISIONS)
def test_auto_takes_bf16_on_a_cpu_that_gains_by_it(preset, changes, gains, monkeypatch):
    for tiles in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda tiles=tiles: tiles)
        made = Trainer(tiny(preset, 1, {"device": "cpu", "train.precision": "auto", **changes}))
        assert made.accelerator.mixed_precision == ("bf16" if tiles and gains else "no")
        assert all(v.isfinite() for v in made.one_step(0.0).values())
        assert all(p.dtype == torch.float32 for p in made.model.parameters())
        asked = Trainer(tiny(preset, 1, {"device": "cpu", "train.precision": "fp32", **changes}))
        assert asked.accelerator.mixed_precision == "no"


MUON = {"train.optimizer": "muon", "train.lr": 0.01, "train.warmup": 3, "train.decay": "linear"}


def test_muon_turns_the_matrices_of_the_blocks_by_steps_that_are_orthogonal():
    made = Trainer(tiny("gpt:tiny", 4, {**MUON, "train.warmup": 0, "train.decay": "none"}))
    made.one_step(0.0), made.one_step(0.0)  # the ways out of the blocks begin as 0, and let nothing back until then
    before = {k: v.detach().clone() for k, v in made.model.named_parameters()}
    made.one_step(0.0)
    moved = {k: v.detach() - before[k] for k, v in made.model.named_parameters()}
    assert {id(p) for p in made.optimizers["model"][1].param_groups[0]["params"]} == {id(p) for p in made.model.matrices()}
    for name in ("blocks.0.inward.weight", "blocks.0.qkv.weight"):
        sizes = torch.linalg.svdvals(moved[name])
        assert sizes.max() < 3 * sizes.median(), "all its directions move alike"
        # as long as a step of AdamW's, whose numbers have a root mean square of about 0.2 lr (arXiv:2502.16982)
        assert moved[name].square().mean().sqrt() == pytest.approx(0.2 * 0.01, rel=0.5)
    sizes = torch.linalg.svdvals(moved["head.weight"])
    assert sizes.max() > 5 * sizes.median(), "what reads and what foretells is AdamW's"


def test_a_run_with_muon_goes_on_bit_for_bit_and_both_rates_fall(tmp_path):
    run = tiny("gpt:tiny", 8, MUON)
    straight = Trainer(run)
    for _ in range(8):
        straight.one_step(straight.done(0.0))
    first = Trainer(run)
    for _ in range(3):
        first.one_step(first.done(0.0))
    (tmp_path / "state").write_bytes(first.state())
    second = Trainer(run)
    second.restore(tmp_path / "state")
    for _ in range(5):
        second.one_step(second.done(0.0))
        assert len({o.param_groups[0]["lr"] for o in second.optimizers["model"]}) == 1
    assert second.optimizers["model"][1].param_groups[0]["lr"] == pytest.approx(0.01 / 8)
    assert same_bytes(straight.state(), second.state()) == []


@pytest.mark.parametrize("slot", ["momentum_buffer", "exp_avg"])
def test_a_state_without_what_an_optimizer_knew_is_refused(slot, tmp_path):
    made = Trainer(tiny("gpt:tiny", 2, MUON))
    made.one_step(0.0)
    lacking = header(made.state(), lambda f, t: (f, {k: v for k, v in t.items() if not k.endswith(slot)}))
    (tmp_path / "state").write_bytes(lacking)
    with pytest.raises(TrainingError, match="does not fit the model"):
        Trainer(tiny("gpt:tiny", 2, MUON)).restore(tmp_path / "state")


def test_muon_is_refused_where_there_is_nothing_for_it(monkeypatch):
    with pytest.raises(ConfigError, match=r"^train\.optimizer: muon is for the matrices of a gpt, and a vae has none"):
        Trainer(tiny("vae:tiny", 1, {"train.optimizer": "muon"}))
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(ConfigError, match=r"^train\.optimizer: muon comes with torch 2\.9"):
        Trainer(tiny("gpt:tiny", 1, {"train.optimizer": "muon"}))


# What it writes


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_writes_its_log_its_samples_its_state_and_its_checkpoint(family, tmp_path):
    seen = list(record(tiny(f"{family}:tiny", 6), tmp_path))
    lines = log(tmp_path)
    assert [line["step"] for line in lines] == [s.step for s in seen]
    assert lines[0]["step"] == 0
    assert lines[0]["mark"]
    assert lines[-1]["mark"]
    assert all(math.isfinite(v) for line in lines for v in line["terms"].values())
    assert lines[-1]["left"] == 0
    assert {f"held-out {k}" for k in lines[1]["terms"]} <= lines[-1]["terms"].keys()
    marks = [line["mark"] for line in lines if line["mark"]]
    assert [m["at"] for m in marks] == [0, *itertools.accumulate(m["bytes"] for m in marks)][:-1], "one after another, without a gap"
    for mark in marks:
        with Image.open(io.BytesIO(history.sheet(tmp_path, mark))) as image:
            assert image.format == "WEBP"
            assert image.width > 100
    made = checkpoint.read(tmp_path / "checkpoint")
    kept = {p.name for p in made.path.iterdir()}
    assert kept == {"config.json", "model.safetensors", "README.md", "log.jsonl", "samples.webp", "directions.safetensors"}
    assert (made.path / "log.jsonl").read_bytes() == (tmp_path / "log.jsonl").read_bytes()
    assert made.manifest.training.steps == 6
    assert made.manifest.training.terms == {k: v for line in lines for k, v in line["terms"].items()}
    assert checkpoint.read_directions(made).vectors.shape[1:] == checkpoint.load(made).latent


def test_a_run_ends_with_curved_sliders_where_it_is_asked_to_and_something_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(curve, "STEPS", 20)
    changes = {"data.source": "shapes", "data.limit": 500, "model.conditional": False, "train.lr": 1e-2, "train.sliders": "curved"}
    found = checkpoint.read_directions(finished(tiny("vae:tiny", 500, changes), tmp_path / "seen"))
    assert "curved" in found.methods
    assert found.curve is not None
    unread = tiny("vae:points", 4, {"data.source": "moons", "data.size": 0, "train.sliders": "curved"})
    nothing = checkpoint.read_directions(finished(unread, tmp_path / "points"))
    assert len(nothing) == 2
    assert nothing.curve is None


# Several processes


@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_a_batch_and_together_see_each_item_once(world):
    items = data.load(tiny("vae:tiny", 1).data, 0)
    one = data.Batches(items, 16, seed=3)
    parts = [data.Batches(items, 16, 3, rank, world) for rank in range(world)]
    for step in range(2 * one.steps_per_epoch):
        shares = [p.places(step).tolist() for p in parts]
        assert all(len(s) == 16 // world for s in shares)
        assert sorted(itertools.chain(*shares)) == sorted(one.places(step).tolist())
    epoch = [i for step in range(one.steps_per_epoch) for p in parts for i in p.places(step).tolist()]
    assert len(set(epoch)) == len(epoch) == 96


WATCHED = """
import hashlib, os, sys
from aigc_demo import cli, trainer

made = []

class Watched(trainer.Trainer):
    def __init__(self, *given):
        super().__init__(*given)
        made.append(self)

trainer.Trainer = Watched
try:
    cli.main()
finally:
    weights = b"".join(p.detach().numpy().tobytes() for p in made[0].model.parameters())
    with open(os.path.join(os.environ["AIGC_HOME"], "weights-" + os.environ["RANK"]), "w") as f:
        f.write(hashlib.sha256(weights).hexdigest())
"""


HASTY = """
import os, time

if os.environ["RANK"] == "1":
    began, real = time.monotonic(), time.monotonic
    time.monotonic = lambda: began + 1.5 * (real() - began)
"""


@pytest.mark.timeout(900)
def test_processes_whose_clocks_differ_end_together(home, tmp_path):
    run = tiny("vae:tiny", 1, {"train.unit": "minutes", "train.budget": 0.05, "train.patience": 50, "train.marks": 500, "name": "two"})
    (tmp_path / "watched.py").write_text(HASTY + WATCHED)
    root = os.path.dirname(os.path.dirname(os.path.abspath(trainer.__file__)))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(tmp_path / "watched.py")]
    words = [*shlex.split(checkpoint.command(run))[1:], "--quiet"]
    done = subprocess.run([*launch, *words], capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": root})
    assert done.returncode == 0, done.stderr
    weights = [(home / f"weights-{rank}").read_text() for rank in range(2)]
    assert weights[0] == weights[1]
    assert log(home / "runs" / "two")[-1]["done"] == 1


@pytest.mark.timeout(900)
def test_two_processes_learn_what_one_does(home, tmp_path):
    run = tiny("vae:tiny", 60, {"train.marks": 1, "name": "two"})
    *_, one = record(run, tmp_path)
    (tmp_path / "watched.py").write_text(WATCHED)  # `aigc`, whose processes leave a hash of their weights when they end
    words = shlex.split(checkpoint.command(run))[1:]
    root = os.path.dirname(os.path.dirname(os.path.abspath(trainer.__file__)))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(tmp_path / "watched.py")]
    done = subprocess.run([*launch, *words, "--json"], capture_output=True, text=True, timeout=800, env={**os.environ, "PYTHONPATH": root})
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("[Gloo]")]  # torch 2.8's own words
    ends = [two for two in map(json.loads, lines) if two["end"]]
    assert [(two["end"], two["step"]) for two in ends] == [("done", 60)], "one process speaks"
    name = "held-out loss"
    assert ends[0]["terms"][name] == pytest.approx(one.terms[name], rel=0.02)
    assert ends[0]["terms"][name] < 0.7 * 184  # where it began
    assert ends[0]["terms"][name] != one.terms[name], "each process drew its own noise"
    weights = [(home / f"weights-{rank}").read_text() for rank in range(2)]
    assert weights[0] == weights[1], "gradients were shared, so both have the same weights"
    made = checkpoint.read(home / "runs" / "two" / "checkpoint")
    assert (made.manifest.training.steps, made.manifest.training.items) == (60, 960)
    checkpoint.load(made)
