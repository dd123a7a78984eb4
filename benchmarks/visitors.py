"""Many visitors at one server for five minutes: 40 explore and 10 train through the named endpoints, 5 explore in real browsers.

Every picture is drawn again here from its own seed and sliders and compared. Those who train start tiny runs, try to stop each other,
come back to their own as after a reload, and stop them; a point of a curve that was seen once must be seen again. For the first fifth
of the time nobody trains: what exploring takes then is its idle value. Visitors, browsers and server share the machine."""

from __future__ import annotations

import json
import os
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import page, report

SECONDS, QUICK = 300.0, 60.0
CHECKPOINT = "digits-mlp"
PAUSE = (2.0, 6.0)  # seconds between two pictures of one visitor
LIMITS = {"AIGC_WAITING": "20"}
SHOWN = """(want) => {
  const pad = document.querySelector('.pad'), state = pad?.dataset.drawn && JSON.parse(pad.dataset.drawn);
  if (!state || state.seed !== want) return null;
  const hero = pad.querySelector('canvas.hero');
  return { state, width: hero.width, data: [...hero.getContext('2d').getImageData(0, 0, hero.width, hero.height).data] };
}"""


@dataclass
class Day:
    """What all visitors share: when it ends, and what they met."""

    url: str
    folder: Path
    began: float
    seconds: float
    seen: Counter = field(default_factory=Counter)
    waits: list[tuple[float, float]] = field(default_factory=list)  # when a picture was asked for, and for how long
    runs: dict[str, str] = field(default_factory=dict)  # of those who train: id, owner
    faults: list[str] = field(default_factory=list)
    drawing: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        from aigc_demo import checkpoint
        from aigc_demo.engine import Engine

        self.engine, self.found = Engine(device="cpu"), checkpoint.find(CHECKPOINT)

    @property
    def over(self) -> bool:
        return time.monotonic() - self.began > self.seconds

    @property
    def quiet(self) -> float:
        """Seconds at the start in which nobody trains."""
        return max(24.0, self.seconds / 5)

    def right(self, state: dict[str, Any], pixels: Any) -> bool:
        """Whether pixels (H, W, C) are what this state draws, to one value of 255."""
        import numpy as np

        from aigc_demo.studio import explore

        with self.drawing:
            item = self.engine.draw([explore.request(state)], name=self.found)[0].item.permute(1, 2, 0).numpy()
        return bool(np.abs(np.broadcast_to(item, pixels.shape).astype(int) - pixels.astype(int)).max() <= 1)

    def fault(self, error: Exception) -> None:
        self.seen["faults"] += 1
        if len(self.faults) < 5:
            self.faults.append(f"{type(error).__name__}: {str(error)[:300]}")


def explores(day: Day, number: int) -> None:
    """A visitor who asks for one picture after another."""
    import numpy as np
    from gradio_client import Client
    from PIL import Image

    dice = random.Random(number)
    time.sleep(dice.uniform(0, day.seconds / 30))
    client = Client(day.url, verbose=False, download_files=day.folder / f"files-{number}")
    while not day.over:
        sliders = [round(dice.uniform(-3, 3), 2) for _ in range(3)]
        state = {"checkpoint": CHECKPOINT, "seed": dice.randrange(2**31), "sliders": sliders}
        try:
            asked = time.monotonic()
            made = client.predict(**{**state, "sliders": json.dumps(sliders)}, api_name="/explore_picture")
            day.waits.append((asked - day.began, time.monotonic() - asked))
            with Image.open(made) as image:
                pixels = np.asarray(image)
            day.seen["wrong"] += not day.right(state, pixels if pixels.ndim == 3 else pixels[..., None])
            day.seen["pictures"] += 1
            Path(made).unlink()
        except Exception as error:  # whatever goes wrong is the server's
            day.fault(error)
        time.sleep(dice.uniform(*PAUSE))


def trains(day: Day, number: int) -> None:
    """A visitor who starts runs, watches them, comes back to them and stops them, and tries to stop another's."""
    from gradio_client import Client
    from gradio_client.exceptions import AppError

    dice, visitor = random.Random(1000 + number), f"visitor {number}"
    time.sleep(day.quiet + dice.uniform(0, 5))
    client = Client(day.url, verbose=False)
    while not day.over:
        try:
            begun = client.predict("vae:tiny", "digits", 2, "minutes", "{}", visitor, api_name="/train_start")
            day.seen["runs"] += 1
            day.runs[begun["id"]] = begun["owner"]
            known: list[int] = []
            until = None
            while not day.over and (until is None or time.monotonic() < until):
                known = _watched(day, client, begun["id"], known)
                if known and until is None:
                    until = time.monotonic() + dice.uniform(4, 10)
                    client = Client(day.url, verbose=False)  # a reload
                time.sleep(2)
            foreign = [(id, owner) for id, owner in day.runs.items() if id != begun["id"]]
            for id, _ in dice.sample(foreign, min(2, len(foreign))):
                try:
                    client.predict(id, begun["owner"], api_name="/train_stop")
                    day.seen["foreign"] += 1
                except AppError:
                    day.seen["refused"] += 1
            client.predict(begun["id"], begun["owner"], api_name="/train_stop")
            _watched(day, client, begun["id"], known)
        except Exception as error:
            day.fault(error)
            time.sleep(2)


def _watched(day: Day, client: Any, id: str, known: list[int]) -> list[int]:
    """The steps of a run's curve now; those of `known` that are no longer there are counted."""
    points = [p["step"] for p in client.predict(id, api_name="/train_watch")["points"]]
    day.seen["lost"] += len(set(known) - set(points))
    day.seen["looks"] += 1
    return points


def browses(day: Day, count: int) -> None:
    """Visitors with real browsers, who type one seed after another."""
    import numpy as np

    dice = random.Random(2000)
    with page.browser() as chromium:
        pages = [page.visit(chromium, day.url) for _ in range(count)]
        for one in pages:
            one.wait_for_function(page.DRAWN)
            one.locator("[name=checkpoint]").select_option(CHECKPOINT)
        while not day.over:
            one, seed = dice.choice(pages), dice.randrange(2**20)
            try:
                one.locator("[name=seed]").fill(str(seed))
                one.keyboard.press("Enter")
                found = one.wait_for_function(SHOWN, arg=seed).json_value()
                pixels = np.array(found["data"], np.uint8).reshape(-1, found["width"], 4)[..., :3]
                day.seen["wrong"] += not day.right(found["state"], pixels)
                day.seen["browsed"] += 1
            except Exception as error:
                day.fault(error)
            time.sleep(0.5)


def memory(pid: int) -> int:
    """Resident bytes of the server alone."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def main() -> None:
    asked = report.options(__doc__)
    seconds, exploring, training, browsers = (QUICK, 8, 2, 1) if asked.quick else (SECONDS, 40, 10, 5)
    os.environ.update(LIMITS)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place, page.serve(Path(place), *page.APP) as server:
        import gradio_client  # noqa: F401  (once, before the clock runs)

        day = Day(server.url, Path(place), time.monotonic(), seconds)
        tasks = [(explores, n) for n in range(exploring)] + [(trains, n) for n in range(training)] + [(browses, browsers)]
        threads = [threading.Thread(target=task, args=(day, n)) for task, n in tasks]
        for thread in threads:
            thread.start()
        took = []
        while not day.over:
            took.append((time.monotonic() - day.began, memory(server.pid)))
            time.sleep(1)
        for thread in threads:
            thread.join(120)
        log = "".join(path.read_text(errors="replace") for path in Path(place).glob("server-*.txt"))
        logs = "".join(path.read_text(errors="replace") for path in Path(place).glob("runs/*/output.txt"))
    for fault in day.faults:
        report.say(f"  {fault}")
    report.finish("visitors", _rows(day, took, log + logs), asked)


def _rows(day: Day, took: list[tuple[float, int]], log: str) -> list[dict[str, Any]]:
    seen, fifth = day.seen, day.seconds / 5
    idle = 1000 * statistics.median(w for at, w in day.waits if day.quiet / 2 < at < day.quiet)
    busy = 1000 * statistics.median(w for at, w in day.waits if at > day.quiet + 15)
    early, late = (statistics.median(m for at, m in took if a < at < b) for a, b in ((fifth, 2 * fifth), (4 * fifth, 5 * fifth)))
    return [
        report.row("pictures through the endpoint", seen["pictures"], "pictures"),
        report.row("pictures in browsers", seen["browsed"], "pictures"),
        report.row("wrong pictures", seen["wrong"], "pictures", "<= 0"),
        report.row("runs started", seen["runs"], "runs"),
        report.row("foreign stops that were refused", seen["refused"], "stops"),
        report.row("foreign stops", seen["foreign"], "stops", "<= 0"),
        report.row("points lost from a curve", seen["lost"], f"points in {seen['looks']} looks", "<= 0"),
        report.row("tracebacks", log.count("Traceback"), "tracebacks", "<= 0"),
        report.row("calls that failed", seen["faults"], "calls", "<= 0"),
        report.row("a picture, median while nobody trains", idle, "ms"),
        report.row("a picture, median while a run trains", busy, "ms"),
        report.row("the second over the first", busy / idle, "x", "<= 3"),
        report.row("the server's memory, last fifth over the second", late / early, "x", "<= 1.05"),
        report.row("the server's memory at the end", late / 1e6, "MB"),
    ]


if __name__ == "__main__":
    main()
