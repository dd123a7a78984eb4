"""What the Train tab shows of a run to whoever has its link, and what its owner may do to it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import gradio as gr

from .. import checkpoint as checkpoints, jobs, slices
from ..config import ConfigError, Run
from ..engine import Engine
from ..evaluation.health import verdict as judge
from . import health, moments, widgets, words

REFRESH_SECONDS = 0.8
UNKNOWN: dict[str, Any] = {"id": "", "state": "", "points": -1, "marks": 0}
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def remembered() -> gr.BrowserState:
    """What this browser keeps of its runs. It stands outside the tabs: one in a tab that was not opened yet is not read, and the first
    answer that writes it takes the owner's tokens away."""
    return gr.BrowserState({"owned": {}, "last": "", "visitor": ""}, storage_key="aigc_runs", secret="runs of this browser")


class View:
    """The components that show one run; made where they are to stand."""

    def __init__(self, t: gr.I18n, engine: Engine, kept: gr.BrowserState, gpu: Callable | None = None):
        self.kept = kept
        self.gpu = gpu  # lends a GPU for one call, where there is such a thing: runs are then trained in slices of this process
        # two states, so that an answer that was under way when a run began cannot write its older id over the new one
        self.following = gr.State("")  # the id of the run in view
        self.known = gr.State(UNKNOWN)  # what the view shows of it
        hidden = {"visible": False, "size": "md", "scale": 0}
        self.line = widgets.status(look, REFRESH_SECONDS, elem_id="train-status")
        with gr.Row(elem_classes="tight acts"):
            self.go_on = gr.Button(variant="primary", elem_id="train-go-on", min_width=240, **hidden)
            self.pause = gr.Button(t("train.pause"), elem_id="train-pause", min_width=120, **hidden)
            self.stop = gr.Button(t("train.stop"), elem_id="train-stop", min_width=290, **hidden)
            self.explore = gr.Button(t("train.explore"), variant="primary", elem_id="train-explore", min_width=180, **hidden)
        self.light = health.Light(t)
        self.moments = moments.Moments(engine)
        with gr.Row(elem_classes="then"):
            self.picture = widgets.picture(elem_id="train-picture", min_width=280)
            self.moment = self.moments.pad(elem_id="train-moment", min_width=200)
        self.when = gr.Slider(0, 1, value=0, step=1, label=t("train.when"), visible=False, elem_id="train-when", buttons=[])
        self.charts = widgets.charts(elem_id="train-curves")
        with gr.Accordion(t("train.owner"), open=False, visible=False, elem_classes="fold", elem_id="train-owner") as self.owner:
            self.alone = gr.Checkbox(label=t("train.alone"), info=t("train.alone.about"), elem_id="train-alone")
            with gr.Row(elem_classes="tight ends"):
                self.amount = gr.Number(200, label=t("train.extend.by"), minimum=0, min_width=80, elem_id="train-amount")
                units = [(t(f"train.unit.{u}"), u) for u in ("steps", "epochs", "minutes")]
                self.unit = gr.Dropdown(units, value="steps", label=t("train.unit"), min_width=100)
                self.extend = gr.Button(t("train.extend"), elem_id="train-extend", min_width=160, scale=0, size="md")
            with gr.Row(elem_classes="tight ends"):
                self.name = gr.Textbox(label=t("train.name"), max_lines=1, elem_id="train-name", min_width=180)
                self.rename = gr.Button(t("train.rename"), elem_id="train-rename", min_width=160, scale=0, size="md")
            with gr.Row(elem_classes="tight"):
                self.delete = gr.Button(t("train.delete"), elem_id="train-delete", min_width=160, scale=0, size="md")
                self.sure = gr.Button(t("train.sure"), variant="stop", elem_id="train-sure", min_width=300, **hidden)
        shared = {"visible": False, "interactive": False, "max_lines": 1, "buttons": ["copy"]}
        self.link = gr.Textbox(label=t("train.link"), elem_id="train-link", **shared)
        self.resume = gr.Textbox(label=t("train.resume"), elem_id="train-resume", **shared)
        self.command = gr.Textbox(label=t("train.again"), elem_id="train-again", **shared)

    @property
    def emptied(self) -> dict[Any, Any]:
        """The parts that a run fills, by component, as they are where none is in view."""
        hidden = [self.go_on, self.pause, self.stop, self.explore, self.owner]
        hidden += [self.link, self.resume, self.command, self.sure, self.light.row]
        empty = {self.charts: {}, self.light.lamp: {}, self.moment: {}}
        return {**empty, self.when: gr.Slider(value=0, visible=False), **{part: type(part)(visible=False) for part in hidden}}

    @property
    def poll(self) -> dict[str, Any]:
        """The event that shows the run in view as it is now."""
        parts = [self.line, self.picture, *self.emptied, self.light.rate, self.delete, self.alone, self.name, self.unit, self.amount]
        parts += [self.known]
        return {"fn": self.follow, "inputs": [self.following, self.known, self.kept, self.when], "outputs": parts}

    def wire(self) -> None:
        """What the view does by itself."""
        self.line.release(**self.poll, **widgets.LIVE)
        self.when.input(self.scrub, [self.following, self.when], [self.picture, self.moment], **widgets.LIVE)
        mine = [self.following, self.kept]
        ends = {"outputs": [self.line, self.pause, self.stop], **QUIET}
        self.stop.click(self._ask(jobs.stop, "train.stopping"), mine, **ends)
        self.pause.click(self._ask(jobs.pause, "train.pausing"), mine, **ends)
        # a run at work takes seconds to end: said first, since what is said after the run is followed again ends the following
        rewinding = self.light.rewind.click(_say("train.rewinding"), None, self.line, **QUIET)
        for asked, act, more in (
            (self.go_on.click, self.resumed, []),
            (self.extend.click, self.extended, [self.amount, self.unit]),
            (rewinding.success, self.rewound, [self.light.rate]),
        ):
            done = asked(_mine(act), [*mine, *more], None, **QUIET)
            done.then(**{**self.poll, "fn": self.follow_anew}, **widgets.LIVE)  # also where it was refused
            self.drive(done)
        named = self.rename.click(_mine(jobs.rename), [*mine, self.name], None, **QUIET)
        # the command alone: the whole view would take back what is being typed beside it
        named.success(lambda id: again(jobs.watch(id).run), self.following, self.command, **widgets.LIVE)
        self.alone.input(_mine(jobs.keep), [*mine, self.alone], None, **QUIET)
        self.delete.click(lambda: gr.Button(visible=True), None, self.sure, **QUIET)
        gone = [self.following, self.line, self.picture, *self.emptied]
        self.sure.click(self._delete, mine, gone, **QUIET)

    def drive(self, begun: Any) -> None:
        """After the event that `begun` a run, trains it where GPUs are lent for one call; elsewhere a child process does."""
        if self.gpu:
            begun.success(self._slices, self.following, None, concurrency_limit=jobs.Limits.told().slots, **QUIET)

    def _slices(self, id: str):
        try:
            for _ in slices.train(id, self.gpu):
                yield
        except (ValueError, RuntimeError, OSError) as error:  # its sentence is in the run's status
            raise gr.Error(widgets.sentence(error), title="", print_exception=False) from None

    def resumed(self, id: str, owner: str) -> None:
        """Goes on with a run that has ended."""
        jobs.go_on(id, owner, spawn=not self.gpu)

    def rewound(self, id: str, owner: str, rate: float) -> None:
        """Goes back to the run's last healthy state, and on from there."""
        rewind(id, owner, rate, spawn=not self.gpu)

    def extended(self, id: str, owner: str, amount: float, unit: str) -> None:
        """Adds to a run's budget; one that has ended goes on by it."""
        extend(id, owner, amount, unit, spawn=not self.gpu)

    def _ask(self, act: Any, word: str) -> Any:
        """A handler that asks the run in view to end."""

        def handle(id: str, kept: dict, request: gr.Request) -> dict[Any, Any]:
            widgets.told(act, id, _token(id, kept))
            line = {"run": id, "says": words.say(request, word), "seen": ""}
            return {self.line: line, self.stop: gr.Button(visible=False), self.pause: gr.Button(visible=False)}

        return handle

    def _delete(self, id: str, kept: dict, request: gr.Request) -> dict[Any, Any]:
        widgets.told(jobs.delete, id, _token(id, kept))
        return {self.following: "", self.line: words.say(request, "train.deleted"), self.picture: {}} | self.emptied

    def follow(self, id: str, now: dict, kept: dict, at: float, request: gr.Request) -> dict[Any, Any]:
        """What the view shows of run `id`, of which it knows `now`; parts that did not change are left out."""
        if not id:
            return {self.line: gr.skip()}
        try:
            seen = jobs.watch(id)
            jobs.attend(id)
        except jobs.JobError as error:
            gone = {**UNKNOWN, "id": id, "state": "gone"}
            return {self.line: widgets.sentence(error), self.known: gone}
        live, fresh = seen.state not in jobs.ENDED, now["points"] < 0 or now["id"] != id
        changed = fresh or seen.state != now["state"]
        points, count = len(seen.points), len(seen.marks)
        more_marks = count != now["marks"] or fresh
        at_end = fresh or at >= now["marks"] - 1
        known = {"id": seen.id, "state": seen.state, "points": points, "marks": count}
        may_go_on = live or seen.state in ("paused", "interrupted")  # by another page, or by the command line
        says = status(seen, request)
        shown = {self.line: {"run": id, "says": says, "seen": stage(seen)} if may_go_on else says, self.known: known}
        if count and more_marks and at_end:
            shown |= self._at(seen.id, seen.marks[-1], request)
        if changed or points != now["points"]:
            shown[self.charts] = {"run": seen.id, "points": points}
        if more_marks:
            top = {"value": max(0, count - 1)} if at_end else {}
            shown[self.when] = gr.Slider(maximum=max(1, count - 1), visible=count > 1, **top)
        mine = bool(_token(id, kept))
        if more_marks or changed:
            shown |= self.light.shows(seen, mine, request)
        return shown | (self._acts(seen, live, mine, request) if changed else {})

    def _at(self, id: str, step: int, request: gr.Request) -> dict[Any, Any]:
        """The marked step `step`: the picture of the fixed latents, and the one latent beside it."""
        picture = widgets.inline(jobs.mark(id, step), words.say(request, "train.picture"))
        return {self.picture: picture, self.moment: {"run": id, "step": step}}

    def scrub(self, id: str, at: float, request: gr.Request) -> dict[Any, Any]:
        """What the view shows of mark number `at`."""
        with contextlib.suppress(jobs.JobError):
            if marks := jobs.watch(id).marks:
                return self._at(id, marks[min(int(at), len(marks) - 1)], request)
        return {self.picture: gr.skip()}

    def follow_anew(self, id: str, now: dict, kept: dict, at: float, request: gr.Request) -> dict[Any, Any]:
        """The whole view, for a tab that has just been opened: while it was hidden it had no components to update."""
        return self.follow(id, UNKNOWN, kept, at, request)

    def _acts(self, seen: jobs.Seen, live: bool, mine: bool, request: gr.Request) -> dict[Any, Any]:
        """What may be done with a run in this state, by its owner or by anyone."""
        on = words.say(request, "train.go_on", step=f"{seen.saved:,}") if seen.saved else words.say(request, "train.begin_again")
        return {
            self.go_on: gr.Button(on, visible=mine and not live and seen.state != "done"),
            self.pause: gr.Button(visible=live and mine),
            self.stop: gr.Button(visible=live and mine),
            self.explore: gr.Button(visible=seen.checkpoint and not live),
            self.owner: gr.Accordion(visible=mine),
            self.delete: gr.Button(interactive=not live),
            self.sure: gr.Button(visible=False),
            self.alone: seen.kept,
            self.name: seen.run.name,
            self.unit: seen.run.train.unit,
            self.amount: {"steps": 200}.get(seen.run.train.unit, 1),
            self.link: gr.Textbox(link(seen.id, request), visible=True),
            self.resume: gr.Textbox(f"aigc train --resume {seen.id}", visible=not live),
            self.command: gr.Textbox(again(seen.run), visible=True),
        }


def _token(id: str, kept: dict) -> str:
    return str(kept.get("owned", {}).get(id) or "")


def _say(word: str) -> Any:
    """A handler that says a word."""

    def handle(request: gr.Request) -> str:
        return words.say(request, word)

    return handle


def _mine(act: Any) -> Any:
    """A handler that lets the owner of the run in view `act` on it; then it is followed."""

    def handle(id: str, kept: dict, *more: Any) -> None:
        widgets.told(act, id, _token(id, kept), *more)

    return handle


def extend(id: str, owner: str, amount: float, unit: str = "", spawn: bool = True) -> None:
    """Adds to a run's budget; one that has ended goes on by it. Raises what jobs.extend and jobs.go_on raise."""
    jobs.extend(id, owner, amount, unit, jobs.Limits.told())
    if not jobs.live(jobs.find(id)):
        jobs.go_on(id, owner, spawn=spawn)


def rewind(id: str, owner: object, rate: float = 0.0, spawn: bool = True) -> int:
    """Ends the run where it is at work, goes back to its last healthy state, and on from there at the learning rate `rate` (0: as it was).

    Returns the step. Raises jobs.JobError where nothing is wrong or nothing is kept of then, and what jobs.rewind and jobs.go_on raise."""
    verdict = judge(jobs.watch(id).points)
    if verdict.well is None:
        raise jobs.JobError(f"the run is {verdict.word}: there is no healthier state before it")
    if jobs.live(jobs.find(id)):
        jobs.stop(id, owner)
        ended(id)
    step = jobs.rewind(id, owner, verdict.well, rate)
    jobs.go_on(id, owner, spawn=spawn)
    return step


def again(run: Run) -> str:
    """The command that repeats a run, without this server's folders."""
    return checkpoints.command(checkpoints.shown(run))


def look(asked: Any) -> dict[str, Any]:
    """What of the run in {"run": id, "lang": language} moves all the time. Raises jobs.JobError, ConfigError."""
    if not isinstance(asked, dict):
        raise ConfigError("a run is looked at by its id")
    id = str(asked.get("run", ""))
    seen = jobs.watch(id)
    jobs.attend(id)
    return {"says": status(seen, str(asked.get("lang"))), "points": len(seen.points), "seen": stage(seen)}


def stage(seen: jobs.Seen) -> str:
    """What the rest of the view follows from: another one calls for it."""
    return f"{seen.state} {len(seen.marks)}"


def status(seen: jobs.Seen, request: gr.Request | str | None) -> str:
    """What happens now, in one line of the visitor's language, the state between asterisks."""
    last = seen.points[-1] if seen.points else None
    parts = [f"**{words.say(request, f'train.state.{seen.state}')}**"]
    if last:
        parts.append(words.say(request, "train.step", step=f"{last['step']:,}", epoch=f"{last['epoch']:.1f}"))
    if last and seen.state == "running":
        rate = next((p["rate"] for p in reversed(seen.points) if p["rate"]), 0)
        parts.append(words.say(request, "train.rate", rate=f"{rate:,.0f}"))
        if last["left"] is not None:
            parts.append(words.say(request, "train.left", time=clock(last["left"])))
    elif last:
        parts.append(words.say(request, "train.took", time=clock(last["seconds"])))
    if seen.state == "waiting" and seen.place:
        parts.append(words.say(request, "train.place", at=seen.place.at, of=seen.place.of))
        if seen.place.seconds is None:
            parts.append(words.say(request, "train.unknown"))
        else:
            parts.append(words.say(request, "train.until", time=clock(seen.place.seconds)))
    elif seen.state in ("failed", "interrupted") or (seen.state == "stopped" and seen.says != jobs.STOPPED):
        parts.append(widgets.plain(seen.says))
    elif last and last["says"]:
        parts.append(last["says"])
    return " · ".join(parts)


def title(seen: jobs.Seen, request: gr.Request | None) -> str:
    """A run in a list."""
    step = seen.points[-1]["step"] if seen.points else 0
    name = seen.run.name or f"{seen.run.family}:{seen.run.preset}"
    return f"{name} · {words.say(request, f'train.state.{seen.state}')} · {words.say(request, 'train.at', step=f'{step:,}')}"


def clock(seconds: float) -> str:
    """A duration as h:mm:ss, or m:ss under an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def link(id: str, request: gr.Request | None) -> str:
    """The address that shows a run to anyone."""
    root = request.headers.get("origin") or f"{request.url.scheme}://{request.url.netloc}" if request else ""
    return f"{root}/?run={id}"


def ended(id: str) -> str:
    """The state of a run that was asked to end, once it has."""
    deadline = time.monotonic() + 30
    while (state := jobs.watch(id).state) not in jobs.ENDED and time.monotonic() < deadline:
        time.sleep(0.2)
    return state
