"""How long from `python app.py` to the first picture on the page, and what does the studio weigh at rest?

A new process each time (three; the median), with an empty AIGC_HOME and the checkpoints that came with the program. The clock runs from
the start of the process until a headless Chromium, already open and with nothing cached, shows pixels in the page's picture. Five seconds
later the resident memory of the server and of all processes that it started is read."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from . import page, report


def once(chromium: Any) -> tuple[float, float, int]:
    """Seconds until the server listens, seconds until the first picture, and resident bytes at rest."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, page.serve(Path(home), *page.APP) as server:
        listening = time.monotonic() - server.began
        visitor = page.visit(chromium, server.url)
        visitor.wait_for_function(page.DRAWN, polling=20)
        drawn = time.monotonic() - server.began
        time.sleep(5)
        resting = page.memory(server.pid)
        visitor.context.close()
    report.say(f"  listens after {listening:.1f} s, draws after {drawn:.1f} s, {resting / 1e9:.2f} GB")
    return listening, drawn, resting


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    with page.browser() as chromium:
        listening, drawn, resting = zip(*(once(chromium) for _ in range(1 if asked.quick else 3)), strict=True)
    rows = [
        report.row("python app.py until the server listens", statistics.median(listening), "s"),
        report.row("python app.py until the first picture", statistics.median(drawn), "s", "<= 12"),
        report.row("resident memory at rest, most of all starts", max(resting) / 1e9, "GB", "<= 1.2"),
    ]
    report.finish("start", rows, asked)


if __name__ == "__main__":
    main()
