"""The benchmarks' figures: what is kept is whole, says the truth about its targets, and is what the README shows."""

from __future__ import annotations

import argparse
import base64
import json
import random
import sys

import numpy as np
import pytest
import torch

from aigc_demo.data import points, scenes
from benchmarks import directions, explore, gaussians, health, plain_gpt, race, report, stacked, tables, words

KEPT = json.loads(report.RESULTS.read_text("utf-8")) if report.RESULTS.exists() else {}
ROWS = [pytest.param(row, id=f"{name}: {row['name']}") for name, result in KEPT.items() for row in result["rows"]]


def test_readme_shows_what_is_kept():
    have = tables.block(tables.README.read_text("utf-8"))
    assert have is not None, f"README.md has no block between {tables.BEGIN} and {tables.END}"
    assert have == tables.render(KEPT), "python -m benchmarks.tables"


def test_readme_shows_what_ships():
    have = tables.block(tables.README.read_text("utf-8"), tables.SHELF_BEGIN, tables.SHELF_END)
    assert have == tables.shelf(), "python -m benchmarks.tables"


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_result_says_where_and_when(name):
    result = KEPT[name]
    assert set(result) == {"benchmark", "machine", "commit", "date", "rows"}  # "quick" would be one more
    assert result["benchmark"] == name
    assert (report.ROOT / "benchmarks" / f"{name}.py").is_file()
    names = [row["name"] for row in result["rows"]]
    assert names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("row", ROWS)
def test_a_kept_row_is_whole_and_true(row):
    assert tuple(row) == report.KEYS
    assert isinstance(row["value"], (int, float))
    assert row["holds"] is report.holds(row["value"], row["target"])


@pytest.mark.parametrize(
    ("value", "target", "holds"),
    [(2, ">= 2", True), (1.99, ">= 2", False), (30, "<= 30", True), (30.1, "<= 30", False), (7, "", None)],
)
def test_holds_follows_from_value_and_target(value, target, holds):
    assert report.row("what", value, "times", target) == {"name": "what", "value": value, "unit": "times", "target": target, "holds": holds}


def test_rounding_does_not_turn_a_miss_into_a_hit():
    row = report.row("what", 1.9996, "times", ">= 2")
    assert row["value"] < 2
    assert row["holds"] is False


def test_finish_ends_stdout_with_the_result_and_keeps_it_beside_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    for name, value in (("start", 9.5), ("explore", 20.25), ("start", 8.5)):
        report.finish(name, [report.row("seconds", value, "s", "<= 12")], argparse.Namespace(quick=False, save=True))
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    kept = json.loads((tmp_path / "results.json").read_text())
    assert set(kept) == {"start", "explore"}
    assert kept["start"] == last
    assert kept["start"]["rows"] == [{"name": "seconds", "value": 8.5, "unit": "s", "target": "<= 12", "holds": True}]


def test_quick_figures_are_not_kept(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmark", "--quick", "--save"])
    with pytest.raises(SystemExit) as ended:
        report.options("about")
    assert ended.value.code == 2
    assert "--quick" in capsys.readouterr().err


@pytest.mark.parametrize("told", [None, "", "/nowhere"])
def test_without_mnist_a_benchmark_says_what_to_set(told, monkeypatch, capsys):
    monkeypatch.delenv("AIGC_DATA", raising=False)
    if told is not None:
        monkeypatch.setenv("AIGC_DATA", told)
    with pytest.raises(SystemExit) as ended:
        report.needs_mnist()
    assert ended.value.code == 2
    assert "AIGC_DATA" in capsys.readouterr().err


def test_tables_write_the_block_and_nothing_else(tmp_path, monkeypatch):
    readme, results = tmp_path / "README.md", tmp_path / "results.json"
    readme.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n{tables.SHELF_BEGIN}\n{tables.SHELF_END}\n")
    rows = [report.row("a ratio", 2.5, "times", ">= 2"), report.row("a wait", 1234.5, "ms", "<= 30"), report.row("a size", 3, "GB")]
    results.write_text(
        json.dumps({"train": {"benchmark": "train", "machine": "M", "commit": "c0ffee", "date": "2026-01-01", "rows": rows}})
    )
    monkeypatch.setattr(tables, "README", readme)
    monkeypatch.setattr(tables, "RESULTS", results)
    monkeypatch.setattr(sys, "argv", ["tables", "--check"])
    assert tables.main() == 1
    assert "old" in readme.read_text()
    monkeypatch.setattr(sys, "argv", ["tables"])
    assert tables.main() == 0
    written = readme.read_text()
    assert written.startswith(f"before\n{tables.BEGIN}\n")
    assert f"{tables.END}\nafter\n{tables.SHELF_BEGIN}\n" in written
    assert "| a ratio | 2.5 | times | ≥ 2 | yes |" in written
    assert "| a wait | 1,234 | ms | ≤ 30 | **no** |" in written
    assert "| a size | 3 | GB |  |  |" in written
    assert "c0ffee on 2026-01-01: M." in written
    monkeypatch.setattr(sys, "argv", ["tables", "--check"])
    assert tables.main() == 0


def test_tables_do_not_touch_a_readme_without_marks(tmp_path, monkeypatch):
    readme = tmp_path / "README.md"
    readme.write_text("no marks\n")
    monkeypatch.setattr(tables, "README", readme)
    monkeypatch.setattr(sys, "argv", ["tables"])
    assert tables.main() == 1
    assert readme.read_text() == "no marks\n"


def test_slider_events_are_far_enough_apart_to_change_the_picture():
    places = explore.events(60, random.Random(0))
    assert len(set(places)) == 60
    assert all(0 <= place <= 1 for place in places)
    assert min(abs(a - b) for a, b in zip([0.5, *places], places, strict=False)) > 1 / 12


def test_a_drag_is_right_only_with_the_picture_of_its_last_values(tmp_path, monkeypatch):
    from aigc_demo import cli, engine

    monkeypatch.setenv("AIGC_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["aigc", "train", "gan:tiny", "--steps", "5", "--name", "toy", "--quiet", "--device", "cpu"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code

    def end(of, sliders):
        """What the page hands over where its canvas shows the values `of` and its sliders say `sliders`."""
        item = engine.Engine().draw([engine.Request("toy", 7, sliders=of)])[0].item
        canvas = torch.cat([item.expand(3, -1, -1), torch.full_like(item[:1], 255)]).permute(1, 2, 0).contiguous()
        state = {"checkpoint": "toy", "seed": 7, "sliders": list(of), "numbers": {}, "label": None, "sampling": {}}
        return {"pixels": base64.b64encode(canvas.numpy().tobytes()).decode(), "state": state, "sliders": list(sliders)}

    assert explore.exact([end((3.0, 0.0), (3.0, 0.0)), end((-3.0, 0.0), (-3.0, 0.0))]) == (2, 0)
    assert explore.exact([end((3.0, 0.0), (-3.0, 0.0))]) == (0, 0)  # a last value that was lost


def codes(count=2000, seed=0):
    """Three factors, one of them a class, and codes that each hold one of them, a fourth that holds nothing."""
    rng = np.random.default_rng(seed)
    known = {"x": rng.uniform(size=count), "y": rng.uniform(size=count), "kind": rng.integers(0, 4, count)}
    return np.stack([known["y"], known["kind"] + 0.1 * rng.normal(size=count), 3 * known["x"], rng.normal(size=count)], 1), known


@pytest.mark.parametrize("score", [directions.gap, directions.disentanglement])
def test_a_score_is_high_where_each_code_holds_one_factor_and_low_where_they_are_mixed(score):
    one_each, known = codes()
    turn = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2  # each in all, to the same extent
    mixed = (one_each - one_each.mean(0)) / one_each.std(0) @ turn
    assert score(one_each, known) > 0.75
    assert score(mixed, known) < 0.4
    nothing = np.random.default_rng(2).normal(size=one_each.shape)
    assert score(nothing, known) < 0.1


def test_amounts_along_directions_that_are_not_square_to_each_other():
    ways = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]])
    wanted = np.array([[2.0, -1.0], [0.0, 3.0]])
    np.testing.assert_allclose(directions.amounts(wanted @ ways + [0, 0, 5], ways), wanted, atol=1e-12)


def test_a_named_factor_becomes_the_place_of_its_classes():
    one_each, known = codes()
    found = directions.targets(one_each, known)
    assert torch.equal(found["x"], torch.from_numpy(known["x"]).float())
    places = [set(found["kind"][torch.from_numpy(known["kind"] == k)].tolist()) for k in range(4)]
    assert [len(p) for p in places] == [1] * 4
    order = [p.pop() for p in places]
    assert order in (sorted(order), sorted(order, reverse=True))


def test_a_mode_counts_once_a_sample_is_within_three_sigma():
    means = torch.tensor(points.GRID)
    assert gaussians.quality(means) == (25, 100.0)
    assert gaussians.quality(means[:5].repeat(4, 1)) == (5, 100.0)
    far = means.clone()
    far[:10, 0] += 0.16
    near = means.clone()
    near[:10, 0] += 0.14
    assert gaussians.quality(far) == (15, pytest.approx(60))
    assert gaussians.quality(near) == (25, 100.0)


def test_kl_is_nothing_for_equal_shares_and_the_log_of_what_is_missing():
    assert stacked.spread(torch.arange(1000).repeat(26)) == (1000, pytest.approx(0))
    assert stacked.spread(torch.arange(100).repeat(26)) == (100, pytest.approx(np.log(10)))
    drawn = torch.randint(1000, (26_000,), generator=torch.Generator().manual_seed(0))
    assert stacked.spread(drawn) == (1000, pytest.approx(0.0192, abs=0.002))  # (1000 - 1) / (2 * 26,000)


def test_what_pictures_show_is_told_by_property_beside_its_target():
    known = scenes.factors(40, 1, "test")
    asked, pictures = scenes.scenes(known), scenes.draw(known, words.SIDE)
    found = {row["name"]: row for row in words.rows("true", pictures, asked, words.TARGETS)}
    assert set(found) == {f"true: {name}" for name in words.TARGETS}
    assert all(row["value"] == 100 for row in found.values())
    assert found["true: count"]["target"] == ">= 85"
    assert found["true: size"]["holds"] is None
    pictures[:20] = pictures[20:]
    assert words.rows("half", pictures, asked, words.TARGETS)[0]["holds"] is False


def test_what_was_drawn_is_ranked_by_how_many_pictures_are_nearer_than_the_one_that_was_meant():
    real = torch.arange(5.0).mul(50).view(5, 1, 1, 1).expand(5, 3, 16, 16).to(torch.uint8)
    drawn = torch.stack([real[0], real[3], real[1]])
    assert words.ranks(drawn, real, torch.tensor([0, 3, 1])).tolist() == [0, 0, 0]
    assert words.ranks(drawn, real, torch.tensor([4, 1, 1])).tolist() == [4, 3, 0]


def test_what_a_long_benchmark_has_finished_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("AIGC_HOME", str(tmp_path))
    made = []

    def make(*asked):
        made.append(asked)
        return {"sum": sum(asked)}

    assert [report.kept(make, 1, 2), report.kept(make, 1, 2), report.kept(make, 2, 2)] == [{"sum": 3}, {"sum": 3}, {"sum": 4}]
    assert made == [(1, 2), (2, 2)]
    assert [report.kept(make, 1, 2, by=code)["sum"] for code in ("a", "a", "b")] == [3, 3, 3]
    assert made == [(1, 2), (2, 2), (1, 2), (1, 2)]


def test_the_plain_gpt_learns_at_the_rate_of_each_step():
    torch.manual_seed(0)
    text, rates = torch.arange(400) % 5, []

    def rate(step):
        rates.append(step)
        return 1e-2

    loop = plain_gpt.Loop(plain_gpt.GPT(5, 8, 16, 1, 2), text, 8, 4, rate)
    x, y = text[None, :8], text[1:9]

    def nats():
        return float(torch.nn.functional.cross_entropy(loop.model(x)[0], y).detach())

    first = nats()
    assert loop(60) == 60 * 4 * 8
    assert rates == [0, *range(60)]
    assert nats() < 0.5 * first


def test_a_kept_run_counts_until_its_code_changes(monkeypatch, tmp_path):
    trained = []

    def verdicts(run):
        trained.append(run.seed)
        return [(0, "warming up"), (10, "healthy")]

    monkeypatch.setattr(health, "RUNS", tmp_path / "runs.json")
    monkeypatch.setattr(health, "verdicts", verdicts)
    seeds = range(301, 303)
    assert health.Runs(True).of(health.SHIPPED, "vae:tiny", {}, seeds, False) == []  # neither kept nor to be trained
    assert len(health.Runs(True).of(health.SHIPPED, "vae:tiny", {}, seeds, True)) == 2
    assert trained == [301, 302]
    kept = health.Runs(False)
    assert [dict(said)[10] for said in kept.of(health.SHIPPED, "vae:tiny", {}, range(301, 304), False)] == ["healthy"] * 2
    assert kept.of(health.SHIPPED, "vae:tiny", {"train.lr": 1.0}, seeds, False) == []
    assert kept.of("broken", "vae:tiny", {}, seeds, False) == []
    assert trained == [301, 302]
    monkeypatch.setattr(health, "judged", lambda family: "of other code")
    assert health.Runs(False).of(health.SHIPPED, "vae:tiny", {}, seeds, False) == []


def test_directions_fitted_to_the_factors_read_them_off():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(2000, 6))
    mixed = codes @ rng.normal(size=(6, 3))
    named = (mixed[:, 0] > 0).astype(int)
    known = {"named": named, "one": mixed[:, 1], "other": mixed[:, 2]}
    found = directions.amounts(codes, directions.fitted(codes, known))
    likeness = np.corrcoef(np.c_[found, mixed].T)[:3, 3:]
    assert np.abs(np.diag(likeness)).min() > 0.95
    assert directions.gap(found, known) > 2 * directions.gap(codes, known)


@pytest.mark.parametrize("steps", [1, 4, 25])
def test_ddim_goes_to_the_only_picture_there_is(steps):
    picture = torch.rand(1, 1, 4, 4) * 2 - 1

    def noise_in(x, times, y):
        kept = side.kept[(times[0, 0] * race.STEPS).round().long()]
        return (x - kept.sqrt() * picture) / (1 - kept).sqrt()

    side = race.Ddpm((1, 4, 4))
    side.net = noise_in
    found = race.ddim(side, torch.randn(3, 1, 4, 4), torch.zeros(3).long(), steps)
    torch.testing.assert_close(found, picture.expand(3, -1, -1, -1), atol=1e-3, rtol=0)
