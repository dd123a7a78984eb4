"""Runs side by side: the table tells what differs, what was best and what is whose; pictures stand at equal steps or equal seconds."""

import json

import pytest

from aigc_demo import compare, files, history, jobs, model
from aigc_demo.config import ConfigError


def made(name, preset="vae:tiny", owner="", pace=1.0, state="done", **changes):
    """A run of 5 marks, every 10 steps of `pace` seconds, whose held-out loss is least at the fourth."""
    run = model.plan(preset, {"data.source": "digits", **changes} | ({} if owner else {"name": name}))
    folder = jobs.create(run, owner, name)
    for i, loss in enumerate((5.0, 3.0, 2.0, 1.5, 1.75)):
        terms, health = {"loss": loss - 0.1, "held-out loss": loss}, {"distance": 1 - i / 10, "diversity": 1.0}
        line = {"step": 10 * i, "seconds": 10 * i * pace, "terms": terms, "health": health}
        history.note(folder, line, f"{name} at {10 * i}".encode())
    jobs.report(folder, state, "Said.")
    return folder


def test_the_table_shows_what_differs_and_what_was_best(home):
    made("slow", **{"train.lr": 1e-4, "train.batch": 32, "group": "rates"})
    made("fast", pace=0.5, **{"train.lr": 4e-4, "train.batch": 32, "group": "rates"})
    table = compare.table(["slow", "fast", "fast", "nobody", "../etc"])
    assert table["columns"] == ["train.lr"]
    assert table["same"] == {"train.batch": 32}
    rows = {r["id"]: r for r in table["runs"]}
    assert rows.keys() == {"slow", "fast"}
    assert (rows["slow"]["settings"], rows["fast"]["settings"]) == ({"train.lr": 1e-4}, {"train.lr": 4e-4})
    assert (rows["slow"]["monitor"], rows["slow"]["best"], rows["slow"]["best_at"]) == ("loss", 1.5, 30)
    assert rows["slow"]["distance"] == 0.6
    assert (rows["fast"]["steps"], rows["fast"]["seconds"], rows["fast"]["preset"], rows["fast"]["group"]) == (40, 20, "vae:tiny", "rates")
    assert not rows["fast"]["live"]
    assert [r["id"] for r in compare.table(compare.shared(), "rates")["runs"]] == [r["id"] for r in table["runs"]]
    made("other", **{"model.latent": 3})
    assert compare.table(compare.shared(), "other") == {"runs": [], "columns": [], "same": {}, "groups": ["rates"]}
    assert compare.table(compare.shared(), "rates")["columns"] == ["train.lr"]
    json.dumps(table)
    assert {r["health"] for r in table["runs"]} == {""}
    judged = compare.table(["slow", "fast"], judge=lambda points: f"{len(points)} points")
    assert {r["health"] for r in judged["runs"]} == {"5 points"}


def test_a_family_without_a_falling_loss_has_no_best_and_other_settings_have_no_value(home):
    made("v", **{"model.latent": 7})
    made("g", "gan:tiny")
    rows = {r["id"]: r for r in compare.table(["v", "g"])["runs"]}
    assert (rows["g"]["monitor"], rows["g"]["best"]) == (None, None)
    assert rows["v"]["settings"]["model.latent"] == 7
    assert "model.latent" in rows["g"]["settings"]


def test_an_owned_run_is_for_those_who_know_its_address(home):
    secret = files.token()
    made(secret, owner="token")
    made("open")
    assert compare.shared() == ["open"]
    assert {r["id"] for r in compare.table([secret, *compare.shared()])["runs"]} == {"open", secret}
    assert compare.rows([secret])[0].title == f"vae:tiny {secret[:4]}"


def test_a_row_follows_its_run(home):
    folder = made("mine")
    assert compare.rows(["mine"])[0].steps == 40
    history.note(folder, {"step": 50, "seconds": 50.0, "terms": {"held-out loss": 0.5}})
    assert (compare.rows(["mine"])[0].steps, compare.rows(["mine"])[0].best) == (50, 0.5)
    history.cut(folder, 20)
    assert (compare.rows(["mine"])[0].steps, compare.rows(["mine"])[0].best) == (20, 2.0)
    (folder / jobs.CONFIG).write_text("{")
    assert compare.rows(["mine"]) == []


@pytest.mark.parametrize(
    ("by", "at", "steps"),
    [("steps", 0, (0, 0)), ("steps", 29.9, (20, 20)), ("steps", 1e9, (40, 40)), ("seconds", 15, (10, 30)), ("seconds", 0, (0, 0))],
)
def test_equal_steps_and_equal_seconds(home, by, at, steps):
    made("slow")
    made("fast", pace=0.5)
    found = compare.equal(["slow", "fast"], by, at)
    assert tuple(one["step"] for one in found) == steps
    assert jobs.mark("fast", found[1]["step"]) == f"fast at {steps[1]}".encode()


@pytest.mark.parametrize(("by", "at"), [("hours", 1), (None, 1), ("steps", -1), ("steps", float("nan")), ("steps", "7"), ("steps", None)])
def test_what_cannot_be_compared_is_a_sentence(home, by, at):
    made("mine")
    with pytest.raises(ConfigError):
        compare.equal(["mine"], by, at)
    with pytest.raises(jobs.JobError):
        compare.equal(["nobody"], "steps", 1)


def test_the_command_line_prints_the_table(aigc, home):
    assert aigc("compare")[:2] == (0, "no runs yet: aigc train vae:conv --data digits --minutes 1\n")
    made("slow", **{"train.lr": 1e-4})
    made("fast", **{"train.lr": 4e-4, "group": "rates"})
    code, out, err = aigc("compare", "slow", "fast")
    assert (code, err) == (0, "")
    head, *lines = out.splitlines()
    assert head.split("  ")[0] == "run"
    assert "train.lr" in head
    assert any("0.0001" in line and "slow" in line and "1.5" in line and line.endswith("warming up  done") for line in lines)
    assert json.loads(aigc("compare", "--json")[1])["columns"] == ["train.lr"]
    assert "slow" not in aigc("compare", "--group", "rates")[1]
    code, out, err = aigc("compare", "slow", "nobody")
    assert (code, out, err) == (2, "", "aigc: there is no run nobody here (any more)\n")
