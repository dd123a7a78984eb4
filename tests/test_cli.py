"""The command line does what the page does, says one sentence where it cannot, and ends with the code that it promises."""

import io
import json
import os
import re
import signal
import subprocess
import sys

import pytest
import torch
from PIL import Image
from toys import FAMILIES, wait_for

import aigc_demo
from aigc_demo import checkpoint, data, files, history, jobs, model
from aigc_demo.engine import Engine
from aigc_demo.modalities.image import Modality

TINY = ["--data", "digits", "--set", "data.limit=96", "--set", "data.size=16", "--device", "cpu"]
ROOT = os.path.dirname(os.path.dirname(aigc_demo.__file__))


def env():
    return {**os.environ, "PYTHONPATH": ROOT}


def told(out):
    return [json.loads(line) for line in out.splitlines()]


# train


@pytest.mark.parametrize("family", FAMILIES)
def test_train_makes_a_run_and_a_checkpoint_and_says_how_to_go_on(family, aigc, home):
    code, out, err = aigc("train", f"{family}:tiny", *TINY, "--steps", 5, "--name", "mine", "--seed", 3, "--to", home / "kept")
    assert code == 0, err
    assert "aigc train --resume mine" in out
    seen = jobs.watch("mine")
    assert (seen.state, seen.says, seen.run.seed, seen.points[-1]["step"]) == ("done", "Done.", 3, 5)
    made = checkpoint.find("mine")
    assert checkpoint.read(home / "kept").digest == made.digest
    words = re.findall(r"aigc sample .*", out)[0].split()[1:]
    assert aigc(*words[:-1], home / "grid.png")[0] == 0
    with Image.open(home / "grid.png") as image:
        assert image.width > 100


def test_train_tells_json_a_line_and_nothing_else(aigc):
    code, out, err = aigc("train", "vae:tiny", *TINY, "--steps", 5, "--json")
    assert (code, err) == (0, "")
    lines = told(out)
    assert [line["step"] for line in lines][-1] == 5
    assert [line["end"] for line in lines] == [""] * (len(lines) - 1) + ["done"]
    assert lines[-1].keys() == {"step", "done", "seconds", "rate", "terms", "end"}


def test_train_quietly_says_nothing(aigc):
    assert aigc("train", "vae:tiny", *TINY, "--steps", 2, "--quiet") == (0, "", "")


def lengthen(folder, steps):
    run = json.loads((folder / "config.json").read_text())
    run["train"]["budget"] = steps
    (folder / "config.json").write_text(json.dumps(run))


def test_resume_goes_on_with_the_run_as_it_was(aigc, home):
    assert aigc("train", "vae:tiny", *TINY, "--steps", 3, "--name", "mine", "--quiet")[0] == 0
    first = checkpoint.find("mine")
    lengthen(home / "runs" / "mine", 6)
    (home / "runs" / "mine" / jobs.STOP).write_bytes(b"")  # asked for in its former life
    code, out, err = aigc("train", "--resume", "mine", "--json")
    assert code == 0, err
    assert [line["step"] for line in told(out)][-1] == 6
    assert checkpoint.find("mine").digest != first.digest
    for extra in (["vae:tiny"], ["--steps", 9], ["--seed", 0], ["--name", "x"], ["--set", "train.lr=1"], ["--data", "x"], ["--settings"]):
        code, out, err = aigc("train", "--resume", "mine", *extra)
        assert (code, out) == (2, "")
        assert err.startswith("aigc: --resume: goes on with the run as it was")


@pytest.mark.parametrize(("limit", "says"), [("MINUTES=0.01", "0.01 minutes"), ("STEPS=40", "40 steps")])
def test_a_run_of_the_page_ends_at_what_its_server_grants(limit, says, aigc, monkeypatch):
    monkeypatch.setattr(os, "nice", lambda n: None)
    monkeypatch.setenv(*f"AIGC_{limit}".split("="))
    run = model.plan("vae:tiny", {"data.limit": 96, "data.size": 16, "device": "cpu", "train.unit": "steps", "train.budget": 1_000_000})
    jobs.create(run, id="mine")
    code, out, _ = aigc("train", "--resume", "mine", "--server", jobs.child.serve(), "--json")
    assert (code, told(out)[-1]["end"]) == (0, "stopped")
    assert jobs.watch("mine").state == "stopped"
    assert says in jobs.watch("mine").says
    assert checkpoint.load(checkpoint.find("mine"))


def test_the_runs_are_listed_and_changed(aigc, home):
    assert aigc("runs")[1].startswith("no runs yet")
    assert aigc("train", "vae:tiny", *TINY, "--steps", 3, "--name", "mine", "--quiet")[0] == 0
    assert re.match(r"mine +vae:tiny +done +step +3  mine\n", aigc("runs")[1])
    code, out, _ = aigc("extend", "mine", 2)
    assert (code, out) == (0, "mine trains for 5 steps in all; go on: aigc train --resume mine\n")
    assert aigc("rename", "mine", "other") == (0, "", "")
    with jobs.own(home / "runs" / "mine"):
        assert aigc("pause", "mine") == (0, "", "")
        assert (home / "runs" / "mine" / jobs.STOP).read_text() == "paused"
        assert aigc("stop", "mine") == (0, "", "")
        assert aigc("delete", "mine") == (2, "", "aigc: the run is at work: stop it first\n")
    assert aigc("train", "--resume", "mine", "--quiet")[0] == 0
    (row,) = json.loads(aigc("runs", "--json")[1])
    assert (row["id"], row["name"], row["state"], row["step"], row["saved"]) == ("mine", "other", "done", 5, 5)
    assert aigc("delete", "mine") == (0, "", "")
    assert json.loads(aigc("runs", "--json")[1]) == []
    assert aigc("delete", "mine")[0] == 2


@pytest.mark.parametrize(("family", "at"), [(FAMILIES[0], 1), (FAMILIES[-1], 5)])
def test_a_paused_run_is_shown_to_be_the_straight_one(family, at, aigc):
    code, out, err = aigc("resume-check", f"{family}:tiny", "--steps", 9, "--at", at, "--json")
    assert code == 0, err
    found = told(out)[-1]
    assert found["straight"] == found["paused"]
    assert re.fullmatch("[0-9a-f]{64}", found["straight"])
    assert aigc("resume-check", f"{family}:tiny", "--steps", 9, "--at", 9)[2] == "aigc: --at: 9 is not before step 9, where the run ends\n"


def test_a_run_of_ones_own_pictures_goes_on_from_any_folder_and_its_card_does_not_say_where_they_lie(aigc, home, tmp_path, monkeypatch):
    place = tmp_path / "secret" / "pictures"
    for kind in ("a", "b"):
        (place / kind).mkdir(parents=True)
        for i in range(8):
            Image.new("RGB", (16, 16), (9 * i, 100, 200)).save(place / kind / f"{i}.png")
    monkeypatch.chdir(tmp_path / "secret")
    assert aigc("train", "vae:tiny", "--data", "pictures", "--device", "cpu", "--steps", 2, "--name", "own", "--quiet")[0] == 0
    monkeypatch.chdir("/")
    aigc("extend", "own", 2)
    assert aigc("train", "--resume", "own", "--quiet")[0] == 0
    made = checkpoint.find("own")
    assert made.manifest.training.steps == 4
    assert "--data pictures" in made.manifest.training.command
    assert not any(b"secret" in p.read_bytes() for p in made.path.iterdir())


def test_a_run_that_fails_leaves_its_reason_for_those_who_watch(aigc):
    code, out, err = aigc("train", "vae:tiny", "--data", "/nowhere/pictures", "--name", "mine", "--json")
    assert (code, out) == (2, "")
    seen = jobs.watch("mine")
    assert seen.state == "failed"
    assert err == f"aigc: {seen.says}\n"
    assert "/nowhere/pictures" in seen.says


def test_training_that_breaks_ends_with_1_and_keeps_the_last_whole_state(aigc):
    wild = ["--set", "train.lr=10", "--set", "train.save_seconds=0"]
    code, _, err = aigc("train", "vae:tiny", *TINY, *wild, "--steps", 5000, "--name", "mine")
    assert code == 1
    assert re.match(r"aigc: after step \d+ .* a lower train\.lr than 10", err.splitlines()[-1])
    assert jobs.watch("mine").state == "failed"
    assert checkpoint.load(checkpoint.find("mine"))


def test_a_full_disk_ends_with_1_and_a_sentence(aigc, monkeypatch):
    real = os.fsync

    def full(handle):
        if os.fstat(handle).st_size > 20_000:
            raise OSError(28, os.strerror(28))
        return real(handle)

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = aigc("train", "vae:tiny", *TINY, "--steps", 5, "--json")
    assert code == 1
    assert re.fullmatch(r"aigc: \S+ could not be written: the disk is full\n", err)


def test_to_takes_the_place_of_no_other_folder_and_says_so_before_training(aigc, tmp_path):
    (tmp_path / "mine").mkdir()
    code, out, err = aigc("train", "vae:tiny", *TINY, "--steps", 5, "--to", tmp_path / "mine")
    assert (code, out) == (2, "")
    assert err.endswith("exists and is not a checkpoint\n")


@pytest.mark.timeout(900)
def test_an_interrupt_keeps_what_was_learnt_and_ends_with_130(home):
    line = [sys.executable, "-m", "aigc_demo", "train", "vae:tiny", *TINY, "--steps", "10000000", "--name", "mine"]
    child = subprocess.Popen(line, env=env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        log = home / "runs" / "mine" / "log.jsonl"
        wait_for(lambda: child.poll() is not None or (log.exists() and len(log.read_bytes().splitlines()) > 2))
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=300)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 130, err
    assert "Traceback" not in err
    assert out.startswith("stopped: ")
    assert jobs.watch("mine").state == "stopped"
    assert checkpoint.find("mine").manifest.training.steps > 1


# sample


def test_sample_draws_the_same_each_time_and_a_class_by_its_name(made, aigc, tmp_path):
    name = made.name

    def drawn(*words):
        code, _, err = aigc("sample", name, "-o", tmp_path / "x.png", *words)
        assert code == 0, err
        with Image.open(tmp_path / "x.png") as image:
            return image.tobytes()

    one = drawn("--n", 1, "--seed", 4)
    assert drawn("--n", 1, "--seed", 4) == one
    assert drawn("--n", 1, "--seed", 5) != one
    assert drawn("--n", 1, "--seed", 4, "--class", "0") == one, "sample 0 is of class 0"
    assert drawn("--n", 1, "--seed", 4, "--class", "7") != one
    assert drawn("--n", 1, "--seed", 4, "--slider", "1=3") != one
    assert drawn("--n", 1, "--seed", 4, "--number", "2=-2") != one
    assert drawn("--n", 1, "--seed", 4, "--set", "truncation=0.2") != one
    assert drawn("--n", 1, "--seed", 4, "--index", 2) != one


def test_a_class_is_asked_for_by_its_name(made, aigc, tmp_path):
    path = made.path / "config.json"
    named = json.loads(path.read_text())
    named["classes"] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "3"]
    path.write_text(json.dumps(named))
    for label, number in (("seven", 7), ("7", 7), ("3", 9), ("0", 0)):
        assert aigc("sample", made.name, "--n", 1, "--class", label, "-o", tmp_path / "one.png")[0] == 0
        assert Modality.recipe_of((tmp_path / "one.png").read_bytes())["label"] == number
    code, _, err = aigc("sample", made.name, "--class", "ten", "-o", tmp_path / "one.png")
    assert code == 2
    assert err == f"aigc: --class: 'ten' is not one of {', '.join(named['classes'])}\n"


def test_one_png_carries_its_recipe_and_a_sheet_holds_them_all(made, aigc, tmp_path):
    words = ["--seed", 4, "--index", 6, "--slider", "2=-1.5", "--number", "1=0.5", "--set", "truncation=0.8"]
    assert aigc("sample", made.name, "--n", 1, *words, "-o", tmp_path / "one.png")[0] == 0
    content = (tmp_path / "one.png").read_bytes()
    recipe = Modality.recipe_of(content)
    assert recipe == {
        "checkpoint": made.name, "seed": 4, "index": 6, "sliders": [0.0, -1.5], "numbers": {"0": 0.5}, "sampling": {"truncation": 0.8},
        "digest": made.digest, "ways": Engine().warm(made).ways,
    }  # fmt: skip
    item = made.modality.read(content)
    code, out, _ = aigc("sample", made.name, "--n", 12, *words, "--columns", 4, "-o", tmp_path / "sheet.PNG", "--json")
    assert code == 0
    assert json.loads(out) == {"out": str(tmp_path / "sheet.PNG"), "n": 12, "seed": 4, "checkpoint": made.name, "digest": made.digest}
    with Image.open(tmp_path / "sheet.PNG") as sheet:
        assert sheet.size == (4 * 17 - 1, 3 * 17 - 1)
        first = made.modality.read(saved(sheet.crop((0, 0, 16, 16))))
    assert (first.int() - item.int()).abs().max() <= 1


def saved(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_a_folder_takes_a_file_a_sample(made, aigc, tmp_path):
    code, out, _ = aigc("sample", made.name, "--n", 5, "--seed", 2, "--index", 3, "-o", tmp_path / "many")
    assert code == 0
    assert str(tmp_path / "many") in out
    assert sorted(p.name for p in (tmp_path / "many").iterdir()) == [f"2-{i:06d}.png" for i in range(3, 8)]
    assert Modality.recipe_of((tmp_path / "many" / "2-000005.png").read_bytes())["index"] == 5


def test_a_checkpoint_is_found_by_its_folder_too(made, aigc, tmp_path):
    for place in (made.path, made.path.parent):
        assert aigc("sample", place, "--n", 1, "-o", tmp_path / "x.png")[0] == 0


def test_a_file_is_drawn_again_from_its_recipe(made, aigc, tmp_path):
    first, again, other = (tmp_path / f"{name}.png" for name in ("first", "again", "other"))
    assert aigc("sample", made.name, "--n", 1, "--seed", 4, "--slider", "1=2", "--class", "7", "-o", first)[0] == 0
    code, out, err = aigc("sample", "--recipe", first, "-o", again)
    assert code == 0, err
    assert "may differ" not in out
    assert again.read_bytes() == first.read_bytes()
    config = made.path / "config.json"
    config.write_text(config.read_text() + "\n")  # another content of the same name
    assert "may differ" in aigc("sample", "--recipe", first, "-o", again)[1]
    other.write_bytes(b"no picture")
    for words, told in (
        (("--recipe", other), "no recipe inside"),
        (("--recipe", tmp_path / "none.png"), "no such file"),
        ((), "checkpoint: name one"),
    ):
        code, _, err = aigc("sample", *words)
        assert code
        assert told in err


# explore


def test_explore_finds_directions_says_them_and_draws_a_sheet(made, aigc, home):
    name = made.path.parent.name
    code, out, err = aigc("explore", name, "--directions", "pca", "--class", "3", "--out", home / "sheet.png", "--dpi", 100)
    assert code == 0, err
    assert re.search(r"^  1 .* pca +0\.\d{3}$", out, re.MULTILINE)
    assert f"written: {home / 'sheet.png'}" in out
    with Image.open(home / "sheet.png") as image:
        assert sorted(image.size) == [827, 1169]
        assert image.info["dpi"] == pytest.approx((100, 100), abs=0.1)
    code, out, err = aigc("explore", name, "--json")
    assert code == 0, err
    (said,) = told(out)
    assert (said["checkpoint"], said["out"], said["saved"]) == (made.name, None, False)
    stored = checkpoint.read_directions(made)
    assert [(row["name"], row["method"]) for row in said["directions"]] == list(zip(stored.names, stored.methods, strict=True))


def test_explore_keeps_directions_only_where_it_is_asked_to(made, aigc, home):
    name, before = made.path.parent.name, checkpoint.read_directions(made)
    assert aigc("explore", name, "--directions", "closed", "--count", 2, "--seeds", 3, "-o", home / "s.png")[0] == 0
    assert checkpoint.read_directions(made).methods == before.methods
    code, out, _ = aigc("explore", name, "--directions", "closed", "--count", 2, "--save")
    assert code == 0
    assert str(made.path / "directions.safetensors") in out
    assert checkpoint.read_directions(made).methods == ("closed", "closed")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--directions", "magic"], "directions: 'magic' is not one of"),
        (["--out", "sheet.jpg"], "--out: sheet.jpg is not a .png"),
        (["--class", "nobody"], "--class: 'nobody' is not one of 0, 1"),
        (["--seeds", 41, "--out", "x.png"], "seeds: 41 of them"),
        (["--dpi", 9, "--out", "x.png"], "dpi: 9 is not"),
        (["--between", "0"], "between: takes two names"),
    ],
)
def test_explore_refuses_in_a_sentence(all_made, aigc, words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = aigc("explore", "vae-toy", *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"aigc: {says}"), err
    assert not list(tmp_path.glob("*.png"))


# list, data


def test_list_names_presets_and_checkpoints(all_made, aigc, home):
    assert [line.split()[0] for line in aigc("list", "--presets")[1].splitlines()] == list(model.presets())
    assert [r["preset"] for r in json.loads(aigc("list", "--presets", "--json")[1])] == list(model.presets())
    (all_made[FAMILIES[0]].path / "model.safetensors").unlink()
    code, out, err = aigc("list", "--json")
    assert (code, err) == (0, "")
    rows = {r["name"]: r for r in json.loads(out)}
    mine = {name for name in rows if name.endswith("-toy")}
    assert mine == {f"{f}-toy" for f in FAMILIES[1:]}
    for name in mine:
        found = checkpoint.find(name)
        assert (rows[name]["steps"], rows[name]["digest"], rows[name]["bytes"]) == (12, found.digest, found.bytes)
        assert name in aigc("list")[1]


def test_list_says_so_where_there_is_nothing(aigc, monkeypatch, tmp_path):
    monkeypatch.setattr(files, "shipped", lambda: tmp_path / "none")
    code, out, _ = aigc("list")
    assert code == 0
    assert out.startswith("no checkpoints yet: aigc train ")


def test_data_shows_what_a_set_holds(aigc, tmp_path):
    code, out, _ = aigc("data", "--json")
    assert (code, [s["name"] for s in json.loads(out)]) == (0, [s.name for s in data.sources()])
    code, out, err = aigc("data", "digits", "--size", 16, "--limit", 50, "-o", tmp_path / "sheet.png", "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert (facts["items"], facts["shape"], sum(facts["classes"].values())) == (50, [1, 16, 16], 50)
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.width > 100
    assert "50 items of 1 x 16 x 16" in aigc("data", "digits", "--size", 16, "--limit", 50)[1]


# help, and arguments that make no sense


def test_help_and_version_answer_without_anything_heavy():
    done = subprocess.run([sys.executable, "-X", "importtime", "-m", "aigc_demo", "--help"], capture_output=True, text=True, env=env())
    assert done.returncode == 0
    imported = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "typer" in imported, "the list of imports was read"
    assert not imported & {"torch", "torchvision", "gradio", "accelerate", "pydantic", "numpy", "PIL", "sklearn", "safetensors", "pandas"}
    for verb in ("train", "sample", "list", "data", "demo"):
        assert re.search(rf"^\s+{verb}\s", done.stdout, re.MULTILINE)


def test_the_page_with_a_limit_that_cannot_be_used_ends_with_a_sentence():
    line = [sys.executable, os.path.join(ROOT, "app.py")]
    done = subprocess.run(line, capture_output=True, text=True, env=env() | {"AIGC_SLOTS": "abc"}, timeout=120)
    assert (done.returncode, done.stderr) == (1, "app.py: AIGC_SLOTS: 'abc' is not a whole number\n")


def test_the_bare_name_helps(aigc):
    code, out, err = aigc()
    assert (code, err) == (0, "")
    assert out == aigc("--help")[1]
    assert aigc("--version") == (0, f"aigc {aigc_demo.__version__}\n", "")


HOSTILE = {
    "an unknown verb": ["trian"],
    "an unknown option": ["train", "vae:tiny", "--stpes", "5"],
    "an option without its value": ["train", "vae:tiny", "--steps"],
    "an argument too many": ["train", "vae:tiny", "gan:tiny"],
    "no preset": ["train"],
    "an unknown preset": ["train", "vae:tyni"],
    "an unknown family": ["train", "../../etc/passwd:tiny"],
    "a preset with a line break": ["train", "vae:ti\nny"],
    "a budget in words": ["train", "vae:tiny", "--steps", "many"],
    "a budget of nothing": ["train", "vae:tiny", "--steps", "0"],
    "a budget that is not a number": ["train", "vae:tiny", "--epochs", "nan"],
    "a budget without end": ["train", "vae:tiny", "--minutes", "inf"],
    "a budget below nothing": ["train", "vae:tiny", "--minutes", "-1"],
    "two budgets": ["train", "vae:tiny", "--steps", "5", "--epochs", "1"],
    "a setting without a value": ["train", "vae:tiny", "--set", "model.latent"],
    "a setting out of range": ["train", "vae:tiny", "--set", "model.latent=0"],
    "a setting of ten thousand digits": ["train", "vae:tiny", "--set", "model.latent=" + "9" * 10_000],
    "a setting nested without end": ["train", "vae:tiny", "--set", "model.hidden=" + "[" * 100_000],
    "a setting of another object": ["train", "vae:tiny", "--set", "__class__=x"],
    "a setting with an escape": ["train", "vae:tiny", "--set", "\x1b[2J=x"],
    "a seed beyond its range": ["train", "vae:tiny", "--seed", str(2**31)],
    "a seed in words": ["train", "vae:tiny", "--seed", "lucky"],
    "a name that is a path": ["train", "vae:tiny", "--name", "../../x"],
    "a name too long": ["train", "vae:tiny", "--name", "x" * 1000],
    "an unknown device": ["train", "vae:tiny", "--device", "tpu"],
    "data that is not there": ["train", "vae:tiny", "--data", "/nowhere"],
    "data whose name is nearly right": ["train", "vae:tiny", "--data", "digit"],
    "data with a NUL": ["train", "vae:tiny", "--data", "a\0b"],
    "patience for a gan": ["train", "gan:tiny", "--data", "digits", "--set", "train.patience=2"],
    "a run that is not there": ["train", "--resume", "nobody"],
    "a run that is a path": ["train", "--resume", "../../etc"],
    "a checkpoint that is not there": ["sample", "nobody"],
    "a checkpoint that is a path": ["sample", "../../etc/passwd"],
    "a checkpoint with a NUL": ["sample", "a\0b"],
    "a checkpoint of five thousand letters": ["sample", "a" * 5000],
    "no samples": ["sample", "vae-toy", "--n", "0"],
    "samples in words": ["sample", "vae-toy", "--n", "all"],
    "a seed below nothing": ["sample", "vae-toy", "--seed", "-1"],
    "a seed beyond": ["sample", "vae-toy", "--seed", str(2**31)],
    "an index beyond": ["sample", "vae-toy", "--index", str(2**31)],
    "a class that is not there": ["sample", "vae-toy", "--class", "cat"],
    "a class beyond": ["sample", "vae-toy", "--class", "10"],
    "a class of odd digits": ["sample", "vae-toy", "--class", "²"],
    "a class of ten thousand digits": ["sample", "vae-toy", "--class", "1" * 10_000],
    "a slider in words": ["sample", "vae-toy", "--slider", "one=2"],
    "a slider without an amount": ["sample", "vae-toy", "--slider", "1"],
    "a slider numbered 0": ["sample", "vae-toy", "--slider", "0=1"],
    "a slider that is not there": ["sample", "vae-toy", "--slider", "99=1"],
    "a slider beyond its range": ["sample", "vae-toy", "--slider", "1=8.5"],
    "a slider that is not a number": ["sample", "vae-toy", "--slider", "1=nan"],
    "a number that is not there": ["sample", "vae-toy", "--number", "1000=1"],
    "a number without end": ["sample", "vae-toy", "--number", "1=inf"],
    "an unknown sampling setting": ["sample", "vae-toy", "--set", "temperature=1"],
    "a sampling setting out of range": ["sample", "vae-toy", "--set", "truncation=3"],
    "a sampling setting alone": ["sample", "vae-toy", "--set", "truncation"],
    "a picture of another kind": ["sample", "vae-toy", "-o", "x.jpg"],
    "a device that nobody has": ["sample", "vae-toy", "--device", "tpu"],
    "a GPU that is not here to score on": ["evaluate", "vae-toy", "--device", "mps" if torch.cuda.is_available() else "cuda"],
    "no columns": ["sample", "vae-toy", "--columns", "0"],
    "a set that is not there": ["data", "mnits"],
    "a set that is a file": ["data", __file__],
    "a set of no such size": ["data", "digits", "--size", "513"],
    "a set of two channels": ["data", "digits", "--channels", "2"],
    "a verb with what it lacks": ["list", "everything"],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_an_argument_that_makes_no_sense_is_answered_in_one_line_with_2(case, all_made, aigc):
    assert "vae-toy" in {m.name for m in all_made.values()}
    code, out, err = aigc(*HOSTILE[case])
    assert (code, out) == (2, "")
    assert err.startswith("aigc: ")
    assert err.endswith("\n")
    assert err[:-1].isprintable(), "one line, and nothing that a terminal would obey"
    assert len(err) < 700


@pytest.mark.parametrize("words", [["sample", "vae-toy", "-o", "/proc/x.png"], ["data", "digits", "--limit", "9", "-o", "/proc/x.png"]])
@pytest.mark.skipif(not os.path.isdir("/proc/1"), reason="needs a folder that even root cannot write to")
def test_a_file_that_cannot_be_written_ends_with_1(words, all_made, aigc):
    code, out, err = aigc(*words)
    assert (code, out) == (1, "")
    assert re.fullmatch(r"aigc: /proc/x\.png could not be written: .+\n", err)


def test_a_run_that_is_ill_is_named_and_rewound(aigc, home):
    folder = jobs.create(model.plan("gan:tiny", {"data.source": "digits"}), id="run")
    well = {"distance": 0.2, "diversity": 0.5, "fake": 0.8, "real": 0.9, "margin": 3.0}
    health = [{"distance": 0.9, "diversity": 0.05}, well, well, well, *[{**well, "diversity": 0.03, "fake": 0.0}] * 3]
    for i, measured in enumerate(health):
        files.write_whole(folder / history.STATE, b"state %d" % i)
        history.keep_state(folder, 10 * i, 1000)
        history.note(folder, {"step": 10 * i, "terms": {}, "health": measured}, b"sheet")
    jobs.report(folder, "stopped", "Stopped.")
    code, out, _ = aigc("health", "run")
    assert (code, out.splitlines()[0]) == (0, "collapsing, since step 40; it was well at step 30")
    assert "alike 0.03, bound 0.1" in out
    assert json.loads(aigc("health", "run", "--json")[1])["well"] == 30
    code, _, err = aigc("rewind", "run", "--lr", "100")
    assert code == 2
    assert "train.lr: 100.0 is above 10" in err
    code, out, _ = aigc("rewind", "run", "--lr", "0.0001")
    assert (code, out.splitlines()) == (0, ["rewound to step 30", "go on: aigc train --resume run"])
    assert (folder / history.STATE).read_bytes() == b"state 3"
    assert jobs.read(folder).train.lr == 0.0001
    assert aigc("health", "run")[1].startswith("healthy, since step 10")
    code, _, err = aigc("rewind", "run")
    assert (code, "the run is healthy" in err) == (2, True)
    assert aigc("rewind", "run", "--step", "15")[1].startswith("rewound to step 10")
    assert aigc("health", "nobody")[0] == aigc("rewind", "nobody")[0] == 2
