"""A run of 100,000 points and 6 terms that goes on: what does each refresh of its curves cost the page and the server?

In a headless Chromium on this machine, on the page that `python app.py` serves, over a log that this program lengthens by 5 points every
0.4 seconds while the page looks every 0.8:

- 30 refreshes from 63,900 points on, among them the one at which all buckets are merged two by two, and 30 that end at 100,000.
- main thread: what the page's thread worked (Chromium's TaskDuration) from one refresh to the next, all that Gradio does included.
- asking to drawn: from the page's request until the charts are drawn, the server's part and the line between them included.
- every point in a bucket: the points that the buckets count, against the lines of the log.

Beside it, on the same log, "gr.LinePlot": a plain Gradio page with a timer of 0.8 seconds that hands two line plots 500 means a term
(plain_curves.py), which is what this studio did before."""

from __future__ import annotations

import contextlib
import json
import math
import os
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import page, report

TERMS = ("discriminator", "generator", "penalty", "taken for real", "fooled", "drift")
MERGE, MOST = 64_000, 100_000  # points: 500 buckets of 128 are full, and the end
POINTS, EVERY = 5, 0.4  # a lengthening, seconds between two
LOOKS = "() => Number(document.querySelector('#train-curves .curves')?.dataset.looks || 0)"  # how often the page has looked
CLOCK = """() => {
  const box = document.querySelector('#train-curves .curves');
  window.looks = [];
  new MutationObserver(() => { window.looks.push([Number(box.dataset.asked), Number(box.dataset.drawn)]); })
    .observe(box, { attributes: true, attributeFilter: ['data-looks'] });
}"""


def line(i: int) -> bytes:
    """Point `i` of the log, with held-out terms as well at every hundredth."""
    terms = {name: round(1 + math.sin(i / 5000 + k) / 2 + math.sin(i * (k + 7)) / 5, 5) for k, name in enumerate(TERMS)}
    if i % 100 == 0:
        terms |= {f"held-out {name}": value for name, value in terms.items()}
    facts = {"step": i, "epoch": i / 900, "items": 64 * i, "seconds": i / 4, "done": i / 200_000, "rate": 4000.0, "left": 60.0}
    return json.dumps({**facts, "terms": terms, "says": "", "mark": None}).encode() + b"\n"


class Log:
    """A run's log that grows; `lengthen` adds points at once, `growing` little by little in a thread."""

    def __init__(self, path: Path):
        self.path, self.count = path, 0

    def lengthen(self, to: int) -> None:
        with open(self.path, "ab") as log:
            log.write(b"".join(map(line, range(self.count, to))))
        self.count = to

    @contextlib.contextmanager
    def growing(self, to: int) -> Iterator[None]:
        done = threading.Event()

        def grow():
            while self.count < to and not done.wait(EVERY):
                self.lengthen(min(to, self.count + POINTS))

        thread = threading.Thread(target=grow)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def worked(session: Any) -> float:
    """Milliseconds that the page's main thread has worked since it was opened."""
    found = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
    return 1000 * found["TaskDuration"]


def watched(visitor: Any, refreshes: int, count: str) -> list[float]:
    """The main thread's milliseconds of each of so many refreshes; `count` is a script that gives how many there were."""
    session = visitor.context.new_cdp_session(visitor)
    session.send("Performance.enable")
    found = []
    seen = visitor.evaluate(count)
    before = worked(session)
    while len(found) < refreshes:
        visitor.wait_for_function(f"(n) => ({count})() > n", arg=seen, polling=100)
        now, at = worked(session), visitor.evaluate(count)
        found.append((now - before) / (at - seen))
        before, seen = now, at
    return found


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20)[-1]


def window(visitor: Any, log: Log, to: int, refreshes: int) -> tuple[list[float], list[list[float]]]:
    """So many refreshes while the log grows `to` a count: the main thread's milliseconds, and [asking, drawing] of each."""
    visitor.wait_for_timeout(3000)  # a jump of the log is not a refresh
    visitor.evaluate("() => { window.looks.length = 0; }")
    with log.growing(to):
        busy = watched(visitor, refreshes, LOOKS)
    report.say(f"  up to {log.count:,} points: {statistics.median(busy):.0f} ms of the main thread a refresh")
    return busy, visitor.evaluate("() => window.looks")


def ours(server: page.Server, visitor: Any, log: Log, refreshes: int) -> list[dict[str, Any]]:
    """The rows of the studio's own page."""
    visitor.wait_for_function(f"({LOOKS})() > 0", polling=100)
    first = visitor.evaluate("() => ['asked', 'drawn'].map((k) => Number(document.querySelector('#train-curves .curves').dataset[k]))")
    visitor.evaluate(CLOCK)
    busy, looks = window(visitor, log, log.count + refreshes * 2 * POINTS, refreshes)
    log.lengthen(MOST - refreshes * 2 * POINTS)
    more_busy, more_looks = window(visitor, log, MOST, refreshes)
    busy, looks = busy + more_busy, looks + more_looks
    log.lengthen(MOST)
    return [
        report.row("first look at a long log: asking to drawn", sum(first), "ms"),
        report.row("a refresh: the page's main thread, median", statistics.median(busy), "ms", "<= 100"),
        report.row("a refresh: the page's main thread, 95th percentile", p95(busy), "ms", "<= 100"),
        report.row("a refresh: appending and drawing, median", statistics.median(drawn for _, drawn in looks), "ms"),
        report.row("a refresh: asking to drawn, median", statistics.median(map(sum, looks)), "ms", "<= 100"),
        report.row("a refresh: asking to drawn, 95th percentile", p95(list(map(sum, looks))), "ms", "<= 100"),
        *lost(server.url, log),
    ]


def lost(url: str, log: Log) -> list[dict[str, Any]]:
    """The row of points that no bucket counts, from what a page gets that asks for all."""
    from gradio_client import Client

    news = Client(url, verbose=False).predict(log.path.parent.name, api_name="/runs_curves")
    chart = news["charts"]["training"]
    last = len(chart["rows"]) - chart["full"]
    counted = chart["full"] << chart["level"]
    whole = news["points"] == log.count and 0 <= log.count - counted <= last << chart["level"]
    return [
        report.row("points of the log in no bucket", 0 if whole else log.count - counted, f"of {log.count:,}", "<= 0"),
        report.row("points of a line on the page", len(chart["rows"]), "", "<= 500"),
    ]


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    refreshes = 5 if asked.quick else 30
    from aigc_demo import history, jobs, model

    rows = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, page.browser() as chromium:
        home = Path(folder)
        os.environ["AIGC_HOME"] = folder
        run = jobs.create(model.plan("gan:dcgan", {"data.source": "digits", "name": "long"}))
        log = Log(run / history.LOG)
        report.say("writing the log")
        log.lengthen(MERGE - 100)
        with jobs.own(run):  # a run at work, for those who watch
            jobs.report(run, "running", "")
            with page.serve(home, *page.APP) as server:
                visitor = page.visit(chromium, f"{server.url}?run=long")
                rows += ours(server, visitor, log, refreshes)
                visitor.context.close()
            with page.serve(home, "-m", "benchmarks.plain_curves", str(log.path)) as other:
                beside = page.visit(chromium, other.url)
                beside.wait_for_selector("#learning svg, #learning canvas")
                asks = "() => performance.getEntriesByType('resource').filter((e) => e.name.includes('/run/')).length"
                with log.growing(MOST + refreshes * 2 * POINTS):
                    busy = watched(beside, refreshes, asks)
                rows.append(report.row("gr.LinePlot: the page's main thread, median", statistics.median(busy), "ms"))
                rows.append(report.row("gr.LinePlot: the page's main thread, 95th percentile", p95(busy), "ms"))
                ratio = rows[-2]["value"] / next(r["value"] for r in rows if r["name"].endswith("main thread, median"))
                rows.append(report.row("gr.LinePlot / ours, main thread, median", ratio, "times", ">= 2"))
    report.finish("curves", rows, asked)


if __name__ == "__main__":
    sys.exit(main())
