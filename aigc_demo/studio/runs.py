"""What the Train tab shows of a run to whoever has its link, and what its owner may do to it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import gradio as gr

from .. import checkpoint as checkpoints, jobs, model, slices
from ..config import ConfigError, Run, specs, unknown
from ..engine import Engine
from ..evaluation.health import verdict as judge
from ..provenance import label
from . import health, moments, widgets, words

REFRESH_SECONDS = 0.8
CHECKED = 100  # steps that a check of the exact resume takes at most
UNKNOWN: dict[str, Any] = {"id": "", "state": "", "points": -1, "marks": 0}
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


class View:
    """The components that show one run; made where they are to stand."""

    def __init__(self, t: gr.I18n, engine: Engine, gpu: Callable | None = None):
        self.gpu = gpu  # lends a GPU for one call, where there is such a thing: runs are then trained in slices of this process
        self.kept = gr.BrowserState({"owned": {}, "last": "", "visitor": ""}, storage_key="aigc_runs", secret="runs of this browser")
        # two states, so that an answer that was under way when a run began cannot write its older id over the new one
        self.following = gr.State("")  # the id of the run in view
        self.known = gr.State(UNKNOWN)  # what the view shows of it
        self.timer = gr.Timer(REFRESH_SECONDS, active=False)
        hidden = {"visible": False, "size": "md", "scale": 0}
        self.line = gr.Markdown(t("train.nothing"), elem_id="train-status")
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
        parts += [self.known, self.timer]
        return {"fn": self.follow, "inputs": [self.following, self.known, self.kept, self.when], "outputs": parts}

    def wire(self) -> None:
        """What the view does by itself."""
        self.timer.tick(**self.poll, **{**widgets.LIVE, "trigger_mode": "once"})
        self.when.input(self.scrub, [self.following, self.when], [self.picture, self.moment], **widgets.LIVE)
        mine = [self.following, self.kept]
        asked = {"outputs": [self.line, self.pause, self.stop], **QUIET}
        self.stop.click(self._ask(jobs.stop, "train.stopping"), mine, **asked)
        self.pause.click(self._ask(jobs.pause, "train.pausing"), mine, **asked)
        for button, act, more in (
            (self.go_on, self.resumed, []),
            (self.extend, self.extended, [self.amount, self.unit]),
            (self.rename, jobs.rename, [self.name]),
            (self.light.rewind, self.rewound, [self.light.rate]),
        ):
            done = button.click(_mine(act), [*mine, *more], self.timer, **QUIET)
            done.success(**{**self.poll, "fn": self.follow_anew}, **widgets.LIVE)
            if act != jobs.rename:
                self.drive(done)
        self.alone.input(_mine(jobs.keep), [*mine, self.alone], self.timer, **QUIET)
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
            return {self.line: words.say(request, word), self.stop: gr.Button(visible=False), self.pause: gr.Button(visible=False)}

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
            return {self.line: widgets.text(widgets.sentence(error)), self.known: gone, self.timer: gr.Timer(active=False)}
        live, fresh = seen.state not in jobs.ENDED, now["points"] < 0 or now["id"] != id
        changed = fresh or seen.state != now["state"]
        points, count = len(seen.points), len(seen.marks)
        more_marks = count != now["marks"] or fresh
        at_end = fresh or at >= now["marks"] - 1
        known = {"id": seen.id, "state": seen.state, "points": points, "marks": count}
        may_go_on = live or seen.state in ("paused", "interrupted")  # by another page, or by the command line
        shown = {self.line: status(seen, request), self.known: known, self.timer: gr.Timer(active=may_go_on)}
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


def _mine(act: Any) -> Any:
    """A handler that lets the owner of the run in view `act` on it; then it is followed."""

    def handle(id: str, kept: dict, *more: Any) -> gr.Timer:
        widgets.told(act, id, _token(id, kept), *more)
        return gr.Timer(active=True)

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


def status(seen: jobs.Seen, request: gr.Request | None) -> str:
    """What happens now, in one line of the visitor's language."""
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
        parts.append(widgets.text(widgets.plain(seen.says)))
    elif last and last["says"]:
        parts.append(widgets.text(last["says"]))
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


def facts(seen: jobs.Seen) -> dict[str, Any]:
    """A run as a program reads it."""
    return {
        "id": seen.id,
        "state": seen.state,
        "says": widgets.plain(seen.says),
        "marks": list(seen.marks),
        "checkpoint": seen.id if seen.checkpoint else None,
        "saved": seen.saved,
        "place": seen.place._asdict() if seen.place else None,
        "name": seen.run.name,
        "command": again(seen.run),
        "resume": f"aigc train --resume {seen.id}",
        "points": [*seen.points[:: max(1, len(seen.points) // widgets.MOST_POINTS)], *seen.points[-1:]],
    }


def link(id: str, request: gr.Request | None) -> str:
    """The address that shows a run to anyone."""
    root = request.headers.get("origin") or f"{request.url.scheme}://{request.url.netloc}" if request else ""
    return f"{root}/?run={id}"


def endpoints() -> None:
    """What gradio_client and MCP call for a run."""

    def train_watch(run: str) -> dict:
        """Say how a run goes: its state, its losses from step 0, the steps that have a picture, and its checkpoint once there is one.

        Args:
            run: the id that train_start returned.
        """
        seen = widgets.told(jobs.watch, run)
        widgets.told(jobs.attend, run)
        return facts(seen)

    def train_list(visitor: str = "") -> list[dict]:
        """List the runs of a visitor, and those of the command line, the newest first.

        Args:
            visitor: the token that train_start returned as "visitor".
        """
        return [{**facts(seen), "points": list(seen.points)} for seen in widgets.told(jobs.listed, str(visitor or ""))]

    def train_mark(run: str, step: int) -> str:
        """The picture of a run's fixed latents at one of the steps that train_watch lists as marks.

        Args:
            run: the run's id.
            step: the step.
        """
        sheet = label.put(widgets.told(jobs.mark, run, step), widgets.told(label.xmp, {"step": step}))
        return widgets.served(sheet, f"{step}.webp")

    def train_stop(run: str, owner: str) -> str:
        """Stop a run and keep what it learnt.

        Args:
            run: the run's id.
            owner: the token that train_start returned with it.
        """
        widgets.told(jobs.stop, run, owner)
        return ended(run)

    def train_pause(run: str, owner: str) -> str:
        """Pause a run: its whole state is saved, and train_go_on continues it as if it had never been paused.

        Args:
            run: the run's id.
            owner: the token that train_start returned with it.
        """
        widgets.told(jobs.pause, run, owner)
        return ended(run)

    def train_go_on(run: str, owner: str) -> dict:
        """Go on with a run that was paused, stopped or broken off, from its last save.

        Args:
            run: the run's id.
            owner: the token that train_start returned with it.
        """
        widgets.told(jobs.go_on, run, owner)
        return facts(jobs.watch(run))

    def train_extend(run: str, owner: str, amount: float, unit: str = "") -> dict:
        """Let a run train for longer; one that has ended goes on.

        Args:
            run: the run's id.
            owner: the token that train_start returned with it.
            amount: how much longer, in the unit.
            unit: epochs, steps or minutes; nothing is the unit of the run's budget.
        """
        widgets.told(extend, run, owner, amount, unit)
        return facts(jobs.watch(run))

    def train_health(run: str) -> dict:
        """Say how a run fares in one word, with what was measured, and the last step at which it was well where it is not.

        Args:
            run: the run's id.
        """
        verdict = judge(widgets.told(jobs.watch, run).points)
        said = {"word": verdict.word, "alarm": verdict.alarm, "since": verdict.since, "well": verdict.well}
        return {**said, "evidence": [{**vars(e), "says": health.sentence(e, None)} for e in verdict.evidence]}

    def train_rewind(run: str, owner: str, rate: float = 0.0) -> int:
        """Rewind a run to its last healthy state, from which it goes on; returns the step.

        Args:
            run: the run's id.
            owner: the token that train_start returned with it.
            rate: the learning rate from there on; 0 leaves it, and then a CPU does again what it did.
        """
        return widgets.told(rewind, run, owner, rate)

    def train_rename(run: str, owner: str, name: str) -> dict:
        """Give a run another name; its id and its link stay.

        Args:
            run: the run's id.
            owner: the token that train_start returned with it.
            name: letters, digits, '.', '_' and '-'.
        """
        widgets.told(jobs.rename, run, owner, name)
        return facts(jobs.watch(run))

    def train_keep(run: str, owner: str, keep: bool) -> bool:
        """Let a run go on though nobody watches it and its server ends, or no longer.

        Args:
            run: the run's id.
            owner: the token that train_start returned with it.
            keep: whether it goes on.
        """
        widgets.told(jobs.keep, run, owner, bool(keep))
        return jobs.watch(run).kept

    def train_delete(run: str, owner: str) -> str:
        """Delete a run that is not at work, with all that it learnt.

        Args:
            run: the run's id.
            owner: the token that train_start returned with it.
        """
        widgets.told(jobs.delete, run, owner)
        return "deleted"

    def train_limits() -> list[dict]:
        """List what this server grants its visitors, with a line on each limit."""
        granted = widgets.told(jobs.Limits.told).model_dump()
        return [{"name": s.name, "value": granted[s.name], "help": s.help} for s in specs(jobs.Limits)]

    for function in (
        train_watch,
        train_list,
        train_health,
        train_go_on,
        train_extend,
        train_rename,
        train_keep,
        train_delete,
        train_limits,
    ):
        gr.api(function, api_name=function.__name__, queue=False)

    def train_resume_check(preset: str, steps: int = 20, at: int = 7) -> dict:
        """Train straight, and again with a pause after one step, on this server's CPU; returns a digest of the weights, their averages and
        the optimizer that each ends with, and whether they are the same.

        Args:
            preset: family:preset, as train_presets gives it.
            steps: how many steps to train, 2 to 100.
            at: the step to pause after.
        """
        return widgets.told(check, preset, steps, at)

    for function in (train_stop, train_pause, train_rewind):
        gr.api(function, api_name=function.__name__)
    gr.api(train_resume_check, api_name="train_resume_check", concurrency_limit=1, concurrency_id="check")
    widgets.endpoint(train_mark, gr.Image(visible=False))


def check(preset: str, steps: int, at: int) -> dict[str, Any]:
    """Whether a paused run ends as a straight one. Raises ConfigError, JobError."""
    if preset not in model.presets():
        raise ConfigError(unknown(str(preset), model.presets()))
    if not (isinstance(steps, int) and isinstance(at, int) and 1 <= at < steps <= CHECKED):
        raise ConfigError(f"steps: a pause after a step from 1 on, before the last of at most {CHECKED} steps")
    return jobs.resume_check(preset, steps, at)


def ended(id: str) -> str:
    """The state of a run that was asked to end, once it has."""
    deadline = time.monotonic() + 30
    while (state := jobs.watch(id).state) not in jobs.ENDED and time.monotonic() < deadline:
        time.sleep(0.2)
    return state
