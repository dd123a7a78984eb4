"""A hand comes to a slider: how soon is its film strip there, and how does the drag play from it, next door and 80 ms of network away?

In a headless Chromium on this machine, on the page that `python app.py` serves, without and with 80 ms of latency that the browser adds to
every request (DevTools' Network.emulateNetworkConditions):

- the strip: a new seed, the page at rest, then a press on a slider; until the strip of its travel is in the page. Its bytes are those of
  the pixels; a third more travel, as base64.
- latency and a drag: as in benchmarks.explore, on a slider whose strip is there, at a seed at which each of its stops has a picture of its
  own: where a picture stays the same (a tile that is black all over), none can be seen to be new.
- equality: every stop of the first slider, painted from the strip while nothing is heard of the server, against the engine in this process;
  and, for what it is worth, the places between two stops, where the page mixes their pictures until the hand rests.
- short drags as in benchmarks.explore, half of them at each latency: the picture at rest must be the one that the engine draws.

A model that does not draw a whole strip in the time that one may take has none to be dragged on: of it that alone is told."""

from __future__ import annotations

import base64
import random
import statistics
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from . import explore, page, report, static_page

AWAY = (0, 80)  # ms of latency
SEEDS = 50  # that are tried
STOPS = [round(0.1 * k - 3, 2) for k in range(61)]  # of a slider, as the page has them
TOUCH = """async (limit) => {  // until the strip of a slider that is pressed is there, after a new seed
  const pad = document.querySelector('.pad'), frame = () => new Promise(requestAnimationFrame), began = performance.now();
  const wait = async (there) => {
    while (!there()) { if (performance.now() - began > limit) throw new Error('no picture comes'); await frame(); }
  };
  const seed = JSON.parse(pad.dataset.drawn).seed, ranges = [...pad.querySelectorAll('[data-slider]')];
  document.querySelector('.dice').click();
  await wait(() => JSON.parse(pad.dataset.drawn).seed !== seed);
  await new Promise((done) => setTimeout(done, 500));
  delete pad.dataset.filmed;
  const range = pad.querySelectorAll('[data-slider]')[Math.floor(Math.random() * ranges.length)], touched = performance.now();
  range.dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }));
  while (!pad.dataset.filmed) {
    if (performance.now() - touched > limit) throw new Error('no strip comes');
    await new Promise((done) => setTimeout(done, 1));
  }
  const ms = performance.now() - touched;
  for (const kind of ['pointerup', 'pointerleave']) range.dispatchEvent(new PointerEvent(kind));  // else the next seed's comes unasked
  return { ms, bytes: JSON.parse(pad.dataset.filmed).bytes };
}"""
NEAR = """async (limit) => {  // the strip of the first slider
  const pad = document.querySelector('.pad'), range = pad.querySelector('[data-slider]'), began = performance.now();
  if (JSON.parse(pad.dataset.filmed || '{}').axis !== 'sliders.0') {
    delete pad.dataset.filmed;
    document.activeElement.blur();
    range.focus();
    while (!pad.dataset.filmed) {
      if (performance.now() - began > limit) throw new Error('no strip comes');
      await new Promise((done) => setTimeout(done, 5));
    }
  }
}"""
PLAY = """(values) => {  // what is painted at each value before anything is heard of the server
  const pad = document.querySelector('.pad'), hero = pad.querySelector('canvas.hero'), range = pad.querySelector('[data-slider]');
  const state = JSON.parse(pad.dataset.drawn), before = Number(pad.dataset.played || 0);
  const found = values.map((value) => {
    range.value = value;
    range.dispatchEvent(new Event('input', { bubbles: true }));
    const { data } = hero.getContext('2d').getImageData(0, 0, hero.width, hero.height);
    return { state: { ...state, sliders: state.sliders.map((v, k) => (k ? v : value)) }, pixels: btoa(String.fromCharCode(...data)) };
  });
  if (Number(pad.dataset.played) !== before + values.length) throw new Error('not all of it came from the strip');
  return found;
}"""


def near(visitor: Any) -> None:
    """The first slider's strip is there, and no two of its stops that are neighbours look alike: else of another seed."""
    for _ in range(SEEDS):
        visitor.evaluate(NEAR, explore.LIMIT)
        seen = [one["pixels"] for one in visitor.evaluate(PLAY, STOPS)]
        if all(a != b for a, b in pairwise(seen)):
            return
        visitor.evaluate(TOUCH, explore.LIMIT)
    raise RuntimeError(f"at {SEEDS} seeds in turn the first slider has stops that look alike")


def away(visitor: Any, ms: int) -> None:
    """From now on every request of the page takes `ms` longer."""
    session = visitor.context.new_cdp_session(visitor)
    session.send("Network.enable")
    settings = {"offline": False, "latency": ms, "downloadThroughput": -1, "uploadThroughput": -1}
    session.send("Network.emulateNetworkConditions", settings)


def off(found: list[dict[str, Any]], name: str) -> float:
    """The mean difference of all values, of 255, from what the engine draws."""
    import torch

    from aigc_demo.engine import Engine, Request

    engine, total = Engine(), 0.0
    for one in found:
        want = engine.draw([Request.of(one["state"])])[0].item
        side = want.shape[-1]
        have = torch.frombuffer(bytearray(base64.b64decode(one["pixels"])), dtype=torch.uint8).view(side, side, 4)[..., :3]
        total += float((have.permute(2, 0, 1).float() - want.float()).abs().mean())
    return total / len(found)


def reached(name: str) -> int:
    """How many stops of its first slider's travel a checkpoint draws in the time of a strip."""
    from aigc_demo.engine import Engine, Request

    return len(Engine().strip(Request(name), "sliders.0", STOPS))


def measure(name: str, visitor: Any, quick: bool) -> list[dict[str, Any]]:
    """The rows of one checkpoint."""
    rng = random.Random(name)
    explore.open_studio(visitor, name)
    rows, right, drags = [], 0, 5 if quick else 50
    for ms in AWAY:
        away(visitor, ms)
        where = f"{name}, {ms} ms away"
        touches = [visitor.evaluate(TOUCH, explore.LIMIT) for _ in range(3 if quick else 9)]
        near(visitor)
        times = visitor.evaluate(
            "([shares, limit]) => probe.latency(shares, limit)", [explore.events(5 if quick else 20, rng), explore.LIMIT]
        )
        swept = [
            visitor.evaluate("([seconds, limit]) => probe.sweep(seconds, limit)", [1 if quick else 4, explore.LIMIT]) for _ in range(2)
        ]
        rows += [
            report.row(f"{where}: strip there after, median", statistics.median(t["ms"] for t in touches), "ms", f"<= {120 + ms}"),
            report.row(f"{where}: event to picture, median", statistics.median(times), "ms", "<= 16"),
            report.row(f"{where}: pictures in a drag", statistics.mean(s["pictures"] for s in swept), "a second", ">= 55"),
        ]
        if not ms:
            rows.append(report.row(f"{name}: a strip", touches[0]["bytes"] / 1000, "kB"))
            share = static_page.equality(visitor.evaluate(PLAY, STOPS), name)
            rows.append(report.row(f"{name}: values of the strip within 1 of 255 of the engine's", share, "%", ">= 99.9"))
            between = off(visitor.evaluate(PLAY, [round(v + 0.05, 2) for v in STOPS[:-1]]), name)
            rows.append(report.row(f"{name}: between two stops, mean difference", between, "of 255"))
        walks = explore.walks(drags, rng)
        ends = visitor.evaluate("([walks, late, limit]) => probe.drags(walks, late, limit)", [walks, explore.LATE, explore.LIMIT])
        right += explore.exact(ends)[0]
    rows.append(report.row(f"{name}: drags that end on the right picture", right, f"of {2 * drags}", f">= {2 * drags}"))
    return rows


def main() -> None:
    """Measures, and says."""
    from aigc_demo import checkpoint, files

    asked = report.options(__doc__)
    names = [c.name for c in checkpoint.shelf(files.shipped()) if c.manifest.modality["kind"] == "image"]
    rows = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, page.browser() as chromium:
        with page.serve(Path(home), *page.APP) as server:
            for name in names:
                report.say(name)
                if (stops := reached(name)) < len(STOPS):
                    rows.append(report.row(f"{name}: stops drawn in the time of a strip", stops, f"of {len(STOPS)}"))
                    continue
                visitor = page.visit(chromium, server.url)
                rows += measure(name, visitor, asked.quick)
                visitor.context.close()
    report.finish("explorer", rows, asked)


if __name__ == "__main__":
    main()
