"""Curves of any length: every point is in one bucket, a page that appends shows what one that asks for all shows, and nothing shifts."""

import json
import random

import pytest

from aigc_demo import curves, files, history, jobs, model


def point(step, **terms):
    return {"step": step, "seconds": step / 10, "terms": terms}


def log(count, seed=0):
    rng = random.Random(seed)
    return tuple(point(i, loss=rng.gauss(1, 0.3), **({"held-out loss": rng.random()} if i % 7 == 0 else {})) for i in range(count))


def apply(page, news):
    """What a page makes of the news: the cursor that it sends next, and the rows that it shows."""
    if page.get("version") != news["version"]:
        page.clear()
    page |= {"version": news["version"], "points": news["points"]}
    shown = page.setdefault("shown", {})
    for part, chart in news["charts"].items():
        shown[part] = shown.get(part, [])[: chart["from"]] + chart["rows"]
        page[part] = [chart["level"], chart["full"], len(chart["names"])]
    return page


@pytest.mark.parametrize("count", [1, 2, 499, 500, 501, 1000, 1001, 5000])
def test_every_point_is_in_one_bucket(count):
    points = log(count)
    own = curves.Curves()
    assert own.take(points)
    chart = own.charts["training"]
    assert sum(b.count for b in chart.buckets) == sum(b.terms["loss"][0] for b in chart.buckets) == count
    assert len(chart.buckets) <= curves.MOST_BUCKETS
    assert all(b.count == 1 << chart.level for b in chart.buckets[:-1])
    for i, b in enumerate(chart.buckets):
        values = [p["terms"]["loss"] for p in points[i << chart.level : (i + 1) << chart.level]]
        assert b.terms["loss"] == pytest.approx([len(values), sum(values), min(values), max(values)])
    held = [p["terms"]["held-out loss"] for p in points if "held-out loss" in p["terms"]]
    assert own.lowest["held-out loss"][0] == min(held)


def test_a_page_that_appends_shows_what_a_page_that_asks_for_all_shows():
    points, rng, own, page = log(3000), random.Random(1), curves.Curves(), {}
    at = sent = merges = 0
    while at < len(points):
        at = min(len(points), at + rng.randint(0, 40))
        assert own.take(points[:at])
        before, level = {k: list(v) for k, v in page.get("shown", {}).items()}, page.get("training", [0])[0]
        news = own.since(page or None)
        if sent and news["charts"].get("training", {}).get("level", level) == level:
            assert sum(len(c["rows"]) for c in news["charts"].values()) <= 2 * 42  # what is new, not what there is
        apply(page, news)
        sent += 1
        if page.get("training", [0])[0] == level:
            for part, rows in before.items():  # a refresh moves none of the full buckets
                assert page["shown"][part][: len(rows) - 1] == rows[:-1]
        else:
            merges += 1
        assert page["shown"] == {part: c["rows"] for part, c in own.since(None)["charts"].items()}
    assert merges == 3
    assert own.since(page)["charts"] == {}


def test_a_term_that_comes_later_and_one_that_is_no_number():
    own = curves.Curves()
    assert own.take((point(0, a=1.0), point(1, a=float("nan"), b=2.0), point(2, a=3.0, b=None)))
    page = apply({}, own.since(None))
    assert own.charts["training"].names.keys() == {"a", "b"}
    assert page["shown"]["training"] == [
        [0, 0, 1, 1, 1, None, None, None],
        [1, 0.1, None, None, None, 2, 2, 2],
        [2, 0.2, 3, 3, 3, None, None, None],
    ]


@pytest.mark.parametrize("have", [None, 7, [], {}, {"version": "x"}, {"version": None, "training": "x"}])
def test_junk_gets_the_whole(have):
    own = curves.Curves()
    own.take(log(40))
    assert own.since(have)["charts"]["training"]["from"] == 0
    for cursor in ([0, -5, 1], [0, 10**9, 1], [0, 1.5, 1], ["a", [], {}], [0, 3], None):
        chart = own.since({"version": own.version, "training": cursor})["charts"].get("training")
        assert chart is None or 0 <= chart["from"] <= 40


def test_a_log_that_was_written_anew_is_another_version(home):
    run = model.plan("vae:tiny", {"name": "mine"})
    folder = jobs.create(run)

    def write(points):
        files.write_whole(folder / history.LOG, b"".join(json.dumps(p).encode() + b"\n" for p in points))

    write(log(30))
    first = curves.watch("mine")[2]
    assert first["points"] == 30
    page = apply({}, first)
    with open(folder / history.LOG, "a") as f:
        f.write(json.dumps(point(30, loss=1.0)) + "\n")
    more = curves.watch("mine", page)[2]
    assert (more["version"], more["points"], more["charts"]["training"]["from"]) == (first["version"], 31, 30)
    write(log(20))  # a crash, and back to an earlier state
    again = curves.watch("mine", page)[2]
    assert again["version"] != first["version"]
    assert len(again["charts"]["training"]["rows"]) == 20
    with pytest.raises(jobs.JobError):
        curves.watch("nobody")
