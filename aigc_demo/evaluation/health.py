"""The health of a run in one word, with what was measured: a pure function of the lines of its log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

MARKS = 3  # marks in a row that must speak for another word before it is said; a run that broke needs one
GOOD = ("warming up", "healthy", "plateaued")
ALARMS = ("diverging", "collapsing", "discriminator winning", "overfitting")


class Bound(NamedTuple):
    """Where a measured value stops being well, and why there."""

    value: float
    why: str


BOUNDS = {
    "warm": Bound(0.5, "half of an untrained model's distance from the data: samples are blurred, yet of the data's kind"),
    "near": Bound(
        0.1, "of the data's spread: where samples are as near, a few dozen of another seed may seem twice as far or not far at all"
    ),
    "stride": Bound(0.1, "of the weights' length in one step; Adam's first steps at a preset's rate take 0.005 to 0.05"),
    "apart": Bound(0.25, "of the averaged weights' length lies between them and the raw ones; presets stay under 0.2"),
    "climbed": Bound(0.5, "of all that training had gained is lost again"),
    "thrown": Bound(0.1, "of the weights' length in the longest step of the run, and the scores that it threw apart have stayed apart"),
    "exploded": Bound(1000.0, "nats between real and fake; a discriminator that is far ahead has 30 to 300"),
    "margin": Bound(25.0, "nats between real and fake: half to either side is where a 32-bit sigmoid has become exactly 0 or 1"),
    "sure": Bound(0.95, "of held-out items and of samples are told apart"),
    "fooled": Bound(0.1, "of the samples are known for fakes, though they are all alike"),
    "alike": Bound(0.1, "of the data's spread"),
    "fallen": Bound(0.5, "of the largest diversity that this run has had"),
    "farther": Bound(0.25, "of all that the samples had come nearer to the data is lost again"),
    "in use": Bound(0.0, "numbers of the latent that follow the item"),
    "information": Bound(0.05, "nats an item: the decoder learns nothing of which item it is"),
    "gap": Bound(0.08, "of what training has gained separates the loss of trained items from that of held-out ones"),
    "favours": Bound(0.75, "nats by which trained items seem realer than held-out ones; chance gives 0.4 with 75 of each"),
    "recognised": Bound(0.04, "more of the trained items than of the held-out ones are taken for real"),
    "still": Bound(0.005, "of all that training has gained, over the last third of the marks"),
}
FEWEST = 12  # marks before a run can be called plateaued


@dataclass(frozen=True)
class Evidence:
    """One measured `value` beside the `bound` that it was held against; `what` names the sentence that says so."""

    what: str
    value: float
    bound: float


@dataclass(frozen=True)
class Verdict:
    """`word` is one of GOOD and ALARMS, said since step `since`; `well` is the last step before what is wrong now began, None where
    nothing is wrong or all of the run was."""

    word: str
    since: int
    evidence: tuple[Evidence, ...]
    well: int | None = None

    @property
    def alarm(self) -> bool:
        return self.word in ALARMS


class Mark(NamedTuple):
    """What is known at a mark: its step, and each measure by name, the newest where some are taken between marks."""

    step: int
    known: dict[str, float]


def verdict(points: Iterable[Mapping[str, Any]]) -> Verdict:
    """The health of a run whose log holds `points`: at each mark a word is proposed, and MARKS of them in a row change what is said."""
    seen = marks(points)
    if not seen:
        return Verdict("warming up", 0, ())
    course = Course()
    proposed: list[tuple[str, tuple[Evidence, ...]]] = []
    word, since, well = "warming up", seen[0].step, None
    for i, mark in enumerate(seen):
        proposed.append(course.judge(mark))
        start = max(0, i + 1 - (1 if "broken" in mark.known else MARKS))
        last = [w for w, _ in proposed[start:]]
        if (i + 1 < MARKS and "broken" not in mark.known) or len({w in ALARMS for w in last}) > 1:
            continue  # too few marks, or not all of them alarms, or not none
        said = Counter(reversed(last)).most_common(1)[0][0]
        if said in ALARMS and word not in ALARMS:
            well = seen[start - 1].step if start else None
        if said != word:
            word, since = said, seen[start + last.index(said)].step
    evidence = next((e for w, e in reversed(proposed) if w == word), proposed[-1][1])
    return Verdict(word, since, evidence, well if word in ALARMS else None)


def word(points: Iterable[Mapping[str, Any]]) -> str:
    """The word alone, for a table of runs."""
    return verdict(points).word


def marks(points: Iterable[Mapping[str, Any]]) -> list[Mark]:
    """The measured lines of a log, each with the longest strides since the one before."""
    found: list[Mark] = []
    between: dict[str, float] = {}
    for p in points:
        health = p.get("health") or {}
        between |= {k: max(v, between.get(k, 0.0)) for k, v in health.items() if k.startswith("stride ")}
        if "distance" in health or "broken" in health:
            found.append(Mark(p["step"], {**between, **health}))
            between = {}
    return found


class Course:
    """The bests of a run so far, mark by mark; `judge` proposes a word for the next one."""

    def __init__(self) -> None:
        self.count = 0
        self.longest = 0.0  # step of the run, over the length of the weights
        self.series: dict[str, list[float]] = {}

    def judge(self, mark: Mark) -> tuple[str, tuple[Evidence, ...]]:
        """The word that this mark speaks for, with its evidence."""
        if "broken" in mark.known:
            return "diverging", (Evidence("broken", 1.0, 0.0),)
        self.count += 1
        self.longest = max([self.longest, *(v for k, v in mark.known.items() if k.startswith("stride "))])
        for name in ("distance", "diversity", "held out", "trained"):
            if name in mark.known:
                self.series.setdefault(name, []).append(mark.known[name])
        for word, rule in RULES:
            if found := rule(self, mark.known):
                return word, found
        near = max(BOUNDS["warm"].value * self.series["distance"][0], BOUNDS["near"].value)
        # unbiased, so that it may be below 0
        distance = Evidence("distance", max(0.0, mark.known["distance"]), near)
        shown = (distance, Evidence("diversity", mark.known["diversity"], BOUNDS["alike"].value))
        if self.best("distance") > near:
            return "warming up", shown
        still = self.still()
        return ("plateaued", still) if still else ("healthy", shown)

    def best(self, name: str) -> float:
        """The smallest value so far."""
        return min(self.series[name])

    def gained(self, name: str) -> float:
        """By how much the best value so far is below the first."""
        return self.series[name][0] - self.best(name)

    def lost(self, name: str) -> float:
        """The share of what was gained that is lost again now."""
        return (self.series[name][-1] - self.best(name)) / self.gained(name) if self.gained(name) > 0 else 0.0

    def still(self) -> tuple[Evidence, ...]:
        """Evidence that the last third of the marks brought nothing, where that is so."""
        name = "held out" if "held out" in self.series else "distance"
        line = self.series[name]
        third = len(line) // 3
        if len(line) < FEWEST or not self.gained(name):
            return ()
        share = (min(line[:-third]) - min(line)) / self.gained(name)
        return (Evidence(f"still {name}", share, BOUNDS["still"].value),) if share < BOUNDS["still"].value else ()


Rule = Callable[[Course, Mapping[str, float]], tuple[Evidence, ...]]


def explodes(course: Course, known: Mapping[str, float]) -> tuple[Evidence, ...]:
    """Steps as long as the weights, weights that wander, or scores without measure."""
    stride = max((v for k, v in known.items() if k.startswith("stride ")), default=0.0)
    margin = known.get("margin", 0.0)
    values = {"stride": stride, "apart": known.get("apart", 0.0), "exploded": margin}
    values["thrown"] = course.longest if margin > BOUNDS["margin"].value else 0.0
    return tuple(Evidence(k, v, BOUNDS[k].value) for k, v in values.items() if v > BOUNDS[k].value)


def climbs(course: Course, known: Mapping[str, float]) -> tuple[Evidence, ...]:
    """What was gained is lost again."""
    for name in ("held out", "distance"):
        line, bound = course.series.get(name, []), BOUNDS["climbed"].value
        if not line:
            continue
        if name == "distance" and (line[-1] <= BOUNDS["near"].value or course.best(name) > BOUNDS["warm"].value * line[0]):
            continue
        if course.lost(name) > bound:
            return (Evidence(f"climbed {name}", course.lost(name), bound),)
    return ()


def collapses(course: Course, known: Mapping[str, float]) -> tuple[Evidence, ...]:
    """Samples that are all alike, or a latent that nothing follows."""
    if known.get("in use", 1.0) <= BOUNDS["in use"].value and known["information"] < BOUNDS["information"].value:
        return (Evidence("information", known["information"], BOUNDS["information"].value),)
    diversity = known["diversity"]
    alike = Evidence("alike", diversity, BOUNDS["alike"].value)
    if diversity < alike.bound and known.get("fake", 1.0) < BOUNDS["fooled"].value:
        return alike, Evidence("fooled", known["fake"], BOUNDS["fooled"].value)
    fallen = BOUNDS["fallen"].value * max(course.series["diversity"])
    farther = Evidence("farther", course.lost("distance"), BOUNDS["farther"].value)
    if diversity < min(fallen, 2 * alike.bound) and farther.value > farther.bound and course.count > MARKS:
        return Evidence("fallen", diversity, fallen), farther
    return ()


def wins(course: Course, known: Mapping[str, float]) -> tuple[Evidence, ...]:
    """A discriminator that knows everything, so that the generator learns nothing from it."""
    sure, margin = BOUNDS["sure"].value, Evidence("margin", known.get("margin", 0.0), BOUNDS["margin"].value)
    if margin.value > margin.bound and known.get("real", 1.0) >= sure and known["fake"] >= sure:
        return margin, Evidence("sure", min(known.get("real", 1.0), known["fake"]), sure)
    return ()


def memorises(course: Course, known: Mapping[str, float]) -> tuple[Evidence, ...]:
    """What is trained on fares better than what is held out, and this no better than before: while it does, a few items' own luck is told
    from nothing else. What is held out may be harder by itself: as much as it was to the untrained model."""
    if "trained" in known and "held out" in known:
        if known["held out"] <= course.best("held out"):
            return ()
        began, untrained = course.series["held out"][0], course.series["trained"][0]
        as_hard = known["trained"] + max(0.0, known["trained"]) * (began / untrained - 1 if untrained > 0 else 0.0)
        gained = began - as_hard
        gap = Evidence("gap", (known["held out"] - as_hard) / gained if gained > 0 else 0.0, BOUNDS["gap"].value)
        return (gap,) if gap.value > gap.bound else ()
    if "trained margin" in known and "margin" in known:
        favours = Evidence("favours", known["trained margin"] - known["margin"], BOUNDS["favours"].value)
        more = Evidence("recognised", known["trained real"] - known["real"], BOUNDS["recognised"].value)
        if favours.value > favours.bound and more.value >= more.bound:
            return favours, more
    return ()


RULES: tuple[tuple[str, Rule], ...] = (  # the first that finds something is what the mark speaks for
    ("diverging", explodes),
    ("collapsing", collapses),
    ("diverging", climbs),
    ("discriminator winning", wins),
    ("overfitting", memorises),
)
