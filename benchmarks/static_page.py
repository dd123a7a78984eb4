"""A page that needs no server: how much does a visitor load, how soon is it there, and does it draw what the engine draws, fast enough?

Every image checkpoint that comes with the program and that the page's Export tab makes a page of (no prompt, few steps) is exported
(`aigc export NAME --format page`), and its folder served by Python's own http.server on this machine, which compresses nothing; a headless
Chromium opens it with an empty cache:

- first load: bytes of the bodies that the visitor gets until the first picture is drawn in the browser, and seconds until then. (The same
  with everything that compresses sent as brotli, for hosts that do that.)
- a drag: the first slider swept at every animation frame for 4 seconds, three times; pictures that were new on a frame, a second (the
  median). An event: from it to the frame that shows its picture (60 Hz).
- equality: 60 random states (seed, index, class, truncation, every slider), the canvas against the engine in this process: the share of
  values that are at most 1 of 255 off.
- 100 short drags of random sliders that end anywhere: the picture at rest must be that of the values that the sliders show."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import explore, page, report

STATES = 60
VISIT = """async (states) => {
  const pad = document.querySelector('.pad'), hero = document.querySelector('canvas.hero');
  const set = (input, value) => { input.value = value; input.dispatchEvent(new Event('input')); input.dispatchEvent(new Event('change')); };
  const found = [];
  for (const { seed, index, label, truncation, sliders } of states) {
    set(document.querySelector('[name=seed]'), seed);
    document.querySelectorAll('.grid button')[index].click();
    if (label !== null) document.querySelectorAll('.chips button')[label].click();
    set(document.querySelector('[data-sampling=truncation]'), truncation);
    document.querySelectorAll('[data-slider]').forEach((range, k) => set(range, sliders[k]));
    const there = () => {
      const now = JSON.parse(pad.dataset.drawn);
      return now.seed === seed && now.index === index && now.label === label && String(now.sliders) === String(sliders.map(Number));
    };
    const began = performance.now();
    while (!there()) {
      if (performance.now() - began > 15000) throw new Error('the state is not drawn');
      await new Promise(requestAnimationFrame);
    }
    const { data } = hero.getContext('2d').getImageData(0, 0, hero.width, hero.height);
    found.push({ state: JSON.parse(pad.dataset.drawn), pixels: btoa(String.fromCharCode(...data)) });
  }
  return found;
}"""


class Folder(http.server.SimpleHTTPRequestHandler):
    """A folder of static files, served without a word."""

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextlib.contextmanager
def hosted(folder: Path) -> Iterator[str]:
    """The address at which the folder is served."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Folder, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def first_load(chromium: Any, url: str) -> tuple[Any, set[str], float]:
    """A new visitor's page, the files that it asked for until its first picture was drawn, and the seconds until then."""
    visitor = chromium.new_context(viewport={"width": 1280, "height": 800}).new_page()
    visitor.set_default_timeout(60_000)
    asked: set[str] = set()
    visitor.on(
        "request", lambda request: request.url.startswith(url) and asked.add(request.url[len(url) :].partition("?")[0] or "index.html")
    )
    began = time.perf_counter()
    visitor.goto(url, wait_until="commit")
    visitor.wait_for_function("() => Number(document.querySelector('.pad')?.dataset.count) > 0", polling=10)
    return visitor, asked, time.perf_counter() - began


def states(count: int, sliders: int, classes: int, rng: random.Random) -> list[dict[str, Any]]:
    """Random states of a page."""
    return [
        {
            "seed": rng.randrange(2**31),
            "index": rng.randrange(24),
            "label": rng.randrange(classes) if classes else None,
            "truncation": round(rng.uniform(0, 2), 2),
            "sliders": [round(rng.uniform(-3, 3), 2) for _ in range(sliders)],
        }
        for _ in range(count)
    ]


def equality(found: list[dict[str, Any]], name: str) -> float:
    """The share, in percent, of all values that are at most 1 of 255 off what the engine draws."""
    import torch

    from aigc_demo.engine import Engine, Request

    engine, near, of = Engine(), 0, 0
    for one in found:
        s = one["state"]
        want = engine.draw([Request(name, s["seed"], s["index"], tuple(s["sliders"]), {}, s["label"], s["sampling"])])[0].item
        side = want.shape[-1]
        have = torch.frombuffer(bytearray(base64.b64decode(one["pixels"])), dtype=torch.uint8).view(side, side, 4)[..., :3]
        off = (have.permute(2, 0, 1).int() - want.int()).abs()
        near, of = near + int((off <= 1).sum()), of + off.numel()
    return 100 * near / of


def measure(chromium: Any, name: str, quick: bool) -> list[dict[str, Any]]:
    """The rows of one checkpoint."""
    import brotli

    from aigc_demo import checkpoint
    from aigc_demo.engine import Engine
    from aigc_demo.publish import static_page

    found = checkpoint.find(name)
    rng = random.Random(name)
    began = time.perf_counter()
    made = static_page.make(Engine(), found)
    seconds = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder, hosted(Path(folder)) as url:
        static_page.write(Path(folder), made)
        loads = [first_load(chromium, url) for _ in range(1 if quick else 3)]
        for visitor, _, _ in loads[1:]:
            visitor.context.close()
        visitor, asked, _ = loads[0]
        visitor.evaluate(explore.PROBE, list(explore.OURS))
        rates, times = [], []
        for _ in range(1 if quick else explore.ROUNDS):
            swept = visitor.evaluate("([seconds, limit]) => probe.sweep(seconds, limit)", [2 if quick else 4, explore.LIMIT])
            rates.append(swept["pictures"])
            shares = explore.events(10 if quick else 20, rng)
            times += visitor.evaluate("([shares, limit]) => probe.latency(shares, limit)", [shares, explore.LIMIT])
        drags = 20 if quick else 100
        walks = explore.walks(drags, rng)
        ends = visitor.evaluate("([walks, late, limit]) => probe.drags(walks, late, limit)", [walks, explore.LATE, explore.LIMIT])
        for end in ends:
            end["state"]["checkpoint"] = name
        right, _ = explore.exact(ends)
        sliders, classes = (visitor.locator(part).count() for part in ("[data-slider]", ".chips button"))
        share = equality(visitor.evaluate(VISIT, states(10 if quick else STATES, sliders, classes, rng)), name)
        visitor.context.close()
    sent = sum(len(made.files[file]) for file in asked)
    small = sum(
        len(made.files[file]) if file.endswith((".gz", ".png")) else len(brotli.compress(made.files[file], quality=9)) for file in asked
    )
    return [
        report.row(f"{name}: static page, weights of the checkpoint", found.bytes / 1e6, "MB"),
        report.row(f"{name}: static page, first load", sent / 1e6, "MB", "<= 8"),
        report.row(f"{name}: static page, first load from a host that sends brotli", small / 1e6, "MB", "<= 8"),
        report.row(f"{name}: static page, first picture after", statistics.median(took for _, _, took in loads), "s"),
        report.row(f"{name}: static page, values within 1 of 255 of the engine's", share, "%", ">= 99.9"),
        report.row(f"{name}: static page, pictures in a drag", statistics.median(rates), "a second", ">= 50"),
        report.row(f"{name}: static page, event to picture, median", statistics.median(times), "ms"),
        report.row(f"{name}: static page, drags that end on the right picture", right, f"of {drags}", f">= {drags}"),
        report.row(f"{name}: export, largest difference of the graph to torch", 1e6 * made.difference, "millionths", "<= 100"),
        report.row(f"{name}: export of the page", seconds, "s"),
    ]


def rows(chromium: Any, quick: bool) -> list[dict[str, Any]]:
    """The rows of every checkpoint that comes with the program and has a page."""
    from aigc_demo import checkpoint, files
    from aigc_demo.config import ConfigError
    from aigc_demo.publish.graph import ExportError
    from aigc_demo.studio.panels import export

    found = []
    for c in checkpoint.shelf(files.shipped()):
        if c.manifest.modality["kind"] != "image":
            continue
        try:
            export.check(c)
        except (ConfigError, ExportError) as error:
            report.say(f"{c.name}: none: {error}")
            continue
        report.say(f"{c.name}: static page")
        found += measure(chromium, c.name, quick)
    return found


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    with page.browser() as chromium:
        report.finish("static_page", rows(chromium, asked.quick), asked)


if __name__ == "__main__":
    main()
