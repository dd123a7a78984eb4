"""The curves of a run for those who watch it: a log of any length as at most 500 buckets a chart, and of them only what is new."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import files, jobs

MOST_BUCKETS = 500  # of a chart, an even number: a full chart's buckets are merged two by two
HELD_OUT = "held-out "
DISTANCE = "distance"  # of the fixed samples from the data, measured at each mark, in every family
KEPT = 64  # runs whose curves stay in memory


@dataclass
class Bucket:
    """Neighbouring points of the log: how many, the sums of their steps and seconds, and for each term [how many, sum, least, largest]."""

    count: int = 0
    steps: float = 0.0
    seconds: float = 0.0
    terms: dict[str, list[float]] = field(default_factory=dict)

    def add(self, step: float, seconds: float, values: Mapping[str, float]) -> None:
        """Takes one point of the log in."""
        self.count += 1
        self.steps += step
        self.seconds += seconds
        for name, value in values.items():
            have = self.terms.get(name)
            if have is None:
                self.terms[name] = [1, value, value, value]
                continue
            have[0] += 1
            have[1] += value
            if value < have[2]:
                have[2] = value
            elif value > have[3]:
                have[3] = value

    def merged(self, other: Bucket) -> Bucket:
        """Both as one."""
        both = Bucket(self.count + other.count, self.steps + other.steps, self.seconds + other.seconds, dict(self.terms))
        for name, b in other.terms.items():
            a = both.terms.get(name)
            both.terms[name] = b if a is None else [a[0] + b[0], a[1] + b[1], min(a[2], b[2]), max(a[3], b[3])]
        return both

    def row(self, names: Iterable[str]) -> list[float | None]:
        """Mean step, mean seconds, and for each name the mean, the least and the largest value; None where the term is absent."""
        found: list[float | None] = [_short(self.steps / self.count), _short(self.seconds / self.count)]
        for name in names:
            count, total, low, high = self.terms.get(name, (0, 0, 0, 0))
            found += [_short(total / count), _short(low), _short(high)] if count else [None, None, None]
        return found


class Chart:
    """The terms of one chart. Bucket i holds the points i * 2**level up to (i + 1) * 2**level, so that a full one never changes until all
    are merged two by two."""

    def __init__(self) -> None:
        self.level, self.names = 0, {}
        self.buckets: list[Bucket] = []

    def add(self, step: float, seconds: float, values: Mapping[str, float]) -> None:
        """Takes one point of the log in."""
        if not self.buckets or self.buckets[-1].count == 1 << self.level:
            if len(self.buckets) == MOST_BUCKETS:
                self.buckets = [a.merged(b) for a, b in zip(self.buckets[::2], self.buckets[1::2], strict=True)]
                self.level += 1
            self.buckets.append(Bucket())
        self.buckets[-1].add(step, seconds, values)
        if not values.keys() <= self.names.keys():
            self.names |= dict.fromkeys(values)

    def since(self, have: Any) -> dict[str, Any] | None:
        """The rows from bucket `from` on, which are new to one who has `have` = [level, full buckets, names]; None where none are."""
        full = len(self.buckets) - (self.buckets[-1].count < 1 << self.level)
        start = 0
        if isinstance(have, list) and len(have) == 3 and have[::2] == [self.level, len(self.names)] and isinstance(have[1], int):
            start = min(max(0, have[1]), len(self.buckets))
        rows = [b.row(self.names) for b in self.buckets[start:]]
        return {"names": list(self.names), "level": self.level, "full": full, "from": start, "rows": rows} if rows else None


class Curves:
    """The charts of one run's log. A `version` of its own tells a page that what it has belongs to a log that was written anew since."""

    def __init__(self) -> None:
        self.charts: dict[str, Chart] = {}
        self.version, self.count, self.last = files.token()[:8], 0, None
        self.lowest: dict[str, tuple[float, int]] = {}  # of each held-out term, and of DISTANCE: the least value, and its step

    def take(self, points: tuple[dict[str, Any], ...]) -> bool:
        """Takes in what is new in `points`, the log's lines; False where they do not go on from what was taken before."""
        if self.count > len(points) or (self.count and points[self.count - 1] != self.last):
            return False
        for point in points[self.count :]:
            step, seconds = point["step"], point["seconds"]
            parts: dict[str, dict[str, float]] = {}
            for name, value in point["terms"].items():
                if not isinstance(value, (int, float)) or not math.isfinite(value):
                    continue
                held = name.startswith(HELD_OUT)
                parts.setdefault("held-out" if held else "training", {})[name] = value
                if held:
                    self._lowest(name, value, step)
            for part, values in parts.items():
                self.charts.setdefault(part, Chart()).add(step, seconds, values)
            if isinstance(near := (point.get("health") or {}).get(DISTANCE), (int, float)) and math.isfinite(near):
                self._lowest(DISTANCE, near, step)
        self.count, self.last = len(points), points[-1] if points else None
        return True

    def _lowest(self, name: str, value: float, step: int) -> None:
        if name not in self.lowest or value < self.lowest[name][0]:
            self.lowest[name] = (value, step)

    def since(self, have: Any) -> dict[str, Any]:
        """What is new to one who has `have` = {"version", "points", and for each chart [level, full buckets, names]}."""
        own = have if isinstance(have, dict) and have.get("version") == self.version else {}
        new = {}
        if own.get("points") != self.count:
            new = {part: found for part, chart in self.charts.items() if (found := chart.since(own.get(part)))}
        return {"version": self.version, "points": self.count, "charts": new}


_curves: OrderedDict[str, Curves] = OrderedDict()  # by run, for all watchers
_taking = threading.Lock()


def watch(id: str, have: Any = None) -> tuple[jobs.Seen, Curves, dict[str, Any]]:
    """Run `id` as it is now, its curves, and what is new in them to one who has `have` (all where it has nothing). Raises jobs.JobError.

    The news: {"version", "points": lines of the log, "charts": {"training" | "held-out": {"names", "level", "full", "from", "rows"}}}.
    A row is the mean step, the mean seconds, and for each name the mean, the least and the largest value of up to 2**level points. The
    rows from `from` on take the place of those that one has; the first `full` will not change until the level does."""
    with _taking:  # also over the reading: a watcher that is late with fewer points would look like a log that was cut
        seen = jobs.watch(id)
        found = _curves.get(seen.id) or Curves()
        if not found.take(seen.points):
            found = Curves()
            found.take(seen.points)
        _curves[seen.id] = found
        _curves.move_to_end(seen.id)
        while len(_curves) > KEPT:
            _curves.popitem(last=False)
        return seen, found, found.since(have)


def _short(value: float) -> float:
    return float(f"{value:.6g}")
