"""A slider moves: how soon, how often and how surely does the picture follow, on the studio's page and on a plain Gradio page?

In a headless Chromium on this machine, on the page that `python app.py` serves, for checkpoints of 28 and 32 pixels:

- latency: an `input` event on the first slider, then the picture is read back at every animation frame until its pixels differ from those
  before; from the event to that frame (60 Hz: up to 17 ms of it is the wait for the frame). 60 events, the page at rest before each.
- a drag: the slider swept at every animation frame for 4 seconds, three times; pictures that were new on a frame, a second (the median).
- 100 short drags of random sliders (ten events in 100 ms and a last one): once the page is still (at most 3 seconds later), its picture
  must be the one that the engine draws here, in another process, for the values that the sliders show (no value off by more than 1 of
  255). As a control, how many would also have passed with the picture that the drag before ended on.

Beside it, in turn with it and on the same generator, "plain Gradio" (plain.py): gr.Slider.change to gr.Image with every default.
The checkpoint shapes32 is trained here for a minute, for want of one of 32 pixels among those that come with the program."""

from __future__ import annotations

import base64
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import page, report

SHIPPED = ("mnist-dcgan", "mnist-vae", "fashion-dcgan")
TRAINED = "shapes32"
SEED = 7  # what the studio opens with
ROUNDS = 3
LIMIT = 15_000  # ms to wait for any one picture
LATE = 3_000  # ms after a drag in which its last picture has to come
PROBE = """([picture, sliders]) => {
  const sheet = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const ranges = () => [...document.querySelectorAll(sliders)];
  const frame = () => new Promise(requestAnimationFrame);
  const rest = (ms) => new Promise((done) => setTimeout(done, ms));
  const move = (k, share) => {  // share 0 to 1 of the slider's way
    const range = ranges()[k];
    range.value = Number(range.min) + share * (range.max - range.min);
    range.dispatchEvent(new Event('input', { bubbles: true }));
    return range;
  };
  function pixels() {  // null while there is no picture, or while a new one is on its way into its <img>
    const shown = document.querySelector(picture);
    const width = shown && (shown.naturalWidth ?? shown.width), height = shown && (shown.naturalHeight ?? shown.height);
    if (!width || shown.complete === false) return null;
    Object.assign(sheet.canvas, { width, height });
    sheet.drawImage(shown, 0, 0);
    return sheet.getImageData(0, 0, width, height).data;
  }
  let last = 0;
  function hash() {
    const bytes = pixels();
    if (!bytes) return last;
    let sum = 2166136261;  // FNV-1a
    for (const byte of bytes) sum = Math.imul(sum ^ byte, 16777619);
    return last = sum;
  }
  async function still(ms, limit) {  // until the picture has not changed for so long
    const began = performance.now();
    let before = hash(), since = began;
    while (performance.now() - since < ms) {
      await frame();
      const now = hash();
      if (now !== before) { before = now; since = performance.now(); }
      if (performance.now() - began > limit) throw new Error('the picture does not come to rest');
    }
    return since;
  }
  async function latency(shares, limit) {
    const times = [];
    for (const share of shares) {
      await still(150, limit);
      await rest(17 * Math.random());  // anywhere between two frames
      const before = hash(), began = performance.now();
      move(0, share);
      do {
        await frame();
        if (performance.now() - began > limit) throw new Error(`no new picture at ${share} of the slider's way`);
      } while (hash() === before);
      times.push(performance.now() - began);
    }
    return times;
  }
  async function sweep(seconds, limit) {  // up and down again
    await still(150, limit);
    const began = performance.now();
    let before = hash(), pictures = 0, frames = 0, share = 0;
    while ((share = (performance.now() - began) / (1000 * seconds)) < 1) {
      move(0, 1 - Math.abs(2 * share - 1));
      await frame();
      frames++;
      const now = hash();
      if (now !== before) { before = now; pictures++; }
    }
    const took = (performance.now() - began) / 1000;
    return { pictures: pictures / took, frames: frames / took };
  }
  async function drags(walks, late, limit) {
    const ends = [];
    for (const { which, shares } of walks) {
      const k = Math.floor(which * ranges().length);
      let range;
      for (const share of shares) { range = move(k, share); await rest(10); }
      const let_go = performance.now(), values = () => ranges().map((r) => Number(r.value));
      range.dispatchEvent(new Event('change', { bubbles: true }));
      const drawn = () => JSON.parse(document.querySelector('.pad').dataset.drawn);
      let settled = await still(300, limit);
      while (String(drawn().sliders) !== String(values()) && performance.now() - let_go < late) settled = await still(100, limit);
      ends.push({ pixels: btoa(String.fromCharCode(...pixels())), state: drawn(), sliders: values(), ms: Math.max(0, settled - let_go) });
    }
    return ends;
  }
  window.probe = { hash, latency, sweep, drags };
}"""
OURS = (".pad canvas.hero", '.pad input[type="range"][data-slider]')
PLAIN = ("#picture img", 'input[type="range"]')


def train_shapes(home: Path, quick: bool) -> None:
    """A generator of 32 x 32 colour pictures, as a run of the command line that nobody owns."""
    words = ["train", "gan:dcgan-rgb", "--data", "shapes", "--name", TRAINED, "--quiet", "--device", "cpu"]
    words += [
        "--set",
        "data.size=32",
        "--set",
        "data.limit=2000",
        "--set",
        "train.batch=32",
        *(("--steps", "20") if quick else ("--minutes", "1")),
    ]
    env = {**os.environ, "AIGC_HOME": str(home)}
    subprocess.run([sys.executable, "-m", "aigc_demo", *words], cwd=report.ROOT, env=env, check=True, timeout=600)


def open_studio(visitor: Any, name: str) -> None:
    """Chooses checkpoint `name` on the studio's page, and waits for its picture."""
    visitor.wait_for_function(page.DRAWN, polling=20)
    visitor.select_option(".pad select[name=checkpoint]", name)
    visitor.wait_for_function(
        "(name) => JSON.parse(document.querySelector('.pad').dataset.drawn).checkpoint === name", arg=name, polling=20
    )
    visitor.evaluate(PROBE, list(OURS))


def open_plain(visitor: Any) -> None:
    """Waits for the plain page's first picture."""
    visitor.wait_for_selector(PLAIN[0])
    visitor.wait_for_function(
        "(picture) => { const i = document.querySelector(picture); return i && i.complete && i.naturalWidth > 0; }", arg=PLAIN[0]
    )
    visitor.evaluate(PROBE, list(PLAIN))


def events(count: int, rng: random.Random) -> list[float]:
    """Distinct places of a slider, each at least a twelfth of its way from the one before, so that every event changes the picture."""
    places = [0.5]
    while len(places) <= count:
        place = round(rng.random(), 3)
        if abs(place - places[-1]) > 1 / 12 and place not in places:
            places.append(place)
    return places[1:]


def walks(count: int, rng: random.Random) -> list[dict[str, Any]]:
    """Drags of a random slider: ten steps of a random walk, then a last place that is anywhere."""
    found = []
    for _ in range(count):
        shares = [rng.random()]
        while len(shares) < 10:
            shares.append(min(1.0, max(0.0, shares[-1] + rng.uniform(-0.15, 0.15))))
        found.append({"which": rng.random(), "shares": [*shares, rng.random()]})
    return found


def exact(ends: list[dict[str, Any]]) -> tuple[int, int]:
    """How many drags ended on the picture of the values that the sliders show, as the engine draws it in this process; and the control."""
    import torch

    from aigc_demo.engine import Engine, Request

    def same(end: dict[str, Any], want: torch.Tensor) -> bool:
        side = want.shape[-1]  # want is (C, H, W), the canvas (H, W, 4)
        pixels = torch.frombuffer(bytearray(base64.b64decode(end["pixels"])), dtype=torch.uint8)
        if pixels.numel() != 4 * side * side:
            return False
        return bool((pixels.view(side, side, 4)[:, :, :3].permute(2, 0, 1).int() - want.int()).abs().max() <= 1)

    engine = Engine()
    wanted = [engine.draw([Request.of({**end["state"], "sliders": end["sliders"]})])[0].item for end in ends]
    for end, want in zip(ends, wanted, strict=True):
        if not same(end, want):
            report.say(f"  wrong: the sliders say {end['sliders']}, the page {end['state']}")
    return sum(map(same, ends, wanted)), sum(map(same, ends[1:], wanted))


def measure(name: str, studio: Any, plain: Any, quick: bool) -> list[dict[str, Any]]:
    """The rows of one checkpoint, the two pages in turn."""
    rng = random.Random(name)
    pages = {"ours": studio, "plain Gradio": plain}
    times: dict[str, list[float]] = {side: [] for side in pages}
    rates: dict[str, list[float]] = {side: [] for side in pages}
    for number in range(1 if quick else ROUNDS):
        shares = events(10 if quick else 20, rng)
        for side, visitor in pages.items():
            visitor.bring_to_front()
            took = visitor.evaluate("([shares, limit]) => probe.latency(shares, limit)", [shares, LIMIT])
            swept = visitor.evaluate("([seconds, limit]) => probe.sweep(seconds, limit)", [2 if quick else 4, LIMIT])
            times[side] += took
            rates[side].append(swept["pictures"])
            median = statistics.median(took)
            report.say(
                f"  round {number + 1}, {side}: {median:.0f} ms, {swept['pictures']:.0f} pictures/s at {swept['frames']:.0f} frames/s"
            )
    studio.bring_to_front()
    drags = 20 if quick else 100
    ends = studio.evaluate("([walks, late, limit]) => probe.drags(walks, late, limit)", [walks(drags, rng), LATE, LIMIT])
    right, control = exact(ends)
    latency = {side: statistics.median(took) for side, took in times.items()}
    rate = {side: statistics.median(found) for side, found in rates.items()}
    slowest = statistics.quantiles(times["ours"], n=20)[-1]
    return [
        report.row(f"{name}: event to picture, median", latency["ours"], "ms", "<= 30"),
        report.row(f"{name}: event to picture, 95th percentile", slowest, "ms", "<= 80"),
        report.row(f"{name}: pictures in a drag", rate["ours"], "a second", ">= 25"),
        report.row(f"{name}: drags that end on the right picture", right, f"of {drags}", f">= {drags}"),
        report.row(f"{name}: longest wait for it after a drag", max(end["ms"] for end in ends), "ms"),
        report.row(f"{name}: control, drags right with the picture before", control, f"of {drags - 1}"),
        report.row(f"{name}: plain Gradio, event to picture, median", latency["plain Gradio"], "ms"),
        report.row(f"{name}: plain Gradio, pictures in a drag", rate["plain Gradio"], "a second"),
        report.row(f"{name}: latency, plain Gradio / ours", latency["plain Gradio"] / latency["ours"], "times", ">= 2"),
        report.row(f"{name}: pictures in a drag, ours / plain Gradio", rate["ours"] / rate["plain Gradio"], "times", ">= 2"),
    ]


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    from aigc_demo import checkpoint, files

    have = {c.name for c in checkpoint.shelf(files.shipped())}
    if (missing := [name for name in SHIPPED if name not in have]) and not asked.quick:
        report.give_up(f"these checkpoints have to come with the program and do not: {', '.join(missing)}")
    rows = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, page.browser() as chromium:
        home = Path(folder)
        os.environ["AIGC_HOME"] = folder  # where the engine of this process, too, finds shapes32
        report.say(f"training {TRAINED}")
        train_shapes(home, asked.quick)
        with page.serve(home, *page.APP) as server:
            visitor = page.visit(chromium, server.url)
            for name in [*(name for name in SHIPPED if name in have), TRAINED]:
                report.say(name)
                open_studio(visitor, name)
                with page.serve(home, "-m", "benchmarks.plain", name) as other:
                    beside = page.visit(chromium, other.url)
                    open_plain(beside)
                    rows += measure(name, visitor, beside, asked.quick)
                    beside.context.close()
    report.finish("explore", rows, asked)


if __name__ == "__main__":
    main()
