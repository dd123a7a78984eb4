"""What the Train tab shows of a run to whoever has its link, and what its owner may do to it."""

from __future__ import annotations

import time
from typing import Any

import gradio as gr

from .. import checkpoint as checkpoints, jobs
from . import widgets, words

REFRESH_SECONDS = 0.8
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


class View:
    """The components that show one run; made where they are to stand."""

    def __init__(self, t: gr.I18n):
        self.kept = gr.BrowserState({"owned": {}, "last": ""}, storage_key="aigc_runs", secret="runs of this browser")
        # two states, so that an answer that was under way when a run began cannot write its older id over the new one
        self.following = gr.State("")  # the id of the run in view
        self.known = gr.State({"id": "", "state": "", "points": -1, "marks": 0})  # what the view shows of it
        self.timer = gr.Timer(REFRESH_SECONDS, active=False)
        with gr.Row(elem_classes="tight", equal_height=True):
            self.line = gr.Markdown(t("train.nothing"), elem_id="train-status")
            self.stop = gr.Button(t("train.stop"), visible=False, elem_id="train-stop", scale=0, min_width=240, size="md")
            look = {"variant": "primary", "visible": False, "scale": 0, "min_width": 180, "size": "md"}
            self.explore = gr.Button(t("train.explore"), elem_id="train-explore", **look)
        self.picture = widgets.picture(elem_id="train-picture")
        self.when = gr.Slider(0, 1, value=0, step=1, label=t("train.when"), visible=False, elem_id="train-when", buttons=[])
        self.charts = widgets.charts(elem_id="train-curves")
        shared = {"visible": False, "interactive": False, "max_lines": 1}
        self.link = gr.Textbox(label=t("train.link"), buttons=["copy"], elem_id="train-link", **shared)
        self.command = gr.Textbox(label=t("train.again"), buttons=["copy"], elem_id="train-again", **shared)

    @property
    def parts(self) -> list[Any]:
        """What `follow` fills, in its order."""
        return [self.line, self.picture, self.when, self.charts, self.stop, self.explore, self.link, self.command, self.known, self.timer]

    @property
    def emptied(self) -> dict[Any, Any]:
        """The parts that a run fills, by component, as they are where none is in view."""
        hidden = [self.stop, self.explore, self.link, self.command]
        return {self.charts: {}, self.when: gr.Slider(value=0, visible=False), **{part: type(part)(visible=False) for part in hidden}}

    @property
    def poll(self) -> dict[str, Any]:
        """The event that shows the run in view as it is now."""
        return {"fn": follow, "inputs": [self.following, self.known, self.kept, self.when], "outputs": self.parts}

    def wire(self) -> None:
        """What the view does by itself."""
        self.timer.tick(**self.poll, **{**widgets.LIVE, "trigger_mode": "once"})
        self.when.input(scrub, [self.following, self.when], self.picture, **widgets.LIVE)
        self.stop.click(end, [self.following, self.kept], [self.line, self.stop], **QUIET)


def follow(id: str, now: dict, runs: dict, at: float, request: gr.Request):
    """What the view shows of run `id`, of which it knows `now`; parts that did not change are skipped."""
    parts = 10
    if not id:
        return [gr.skip()] * parts
    try:
        seen = jobs.watch(id)
    except jobs.JobError as error:
        gone = {"id": id, "state": jobs.ENDED[-1], "points": -1, "marks": 0}
        return [widgets.text(widgets.sentence(error)), *[gr.skip()] * (parts - 3), gone, gr.Timer(active=False)]
    live, fresh = seen.state not in jobs.ENDED, now["points"] < 0 or now["id"] != id
    changed = fresh or seen.state != now["state"]
    points, count = len(seen.points), len(seen.marks)
    more_marks = count != now["marks"] or fresh
    at_end = fresh or at >= now["marks"] - 1
    shown = gr.skip()
    if count and more_marks and at_end:
        shown = widgets.inline(jobs.mark(seen.id, seen.marks[-1]), words.say(request, "train.picture"))
    curves = {"run": seen.id, "points": points} if changed or points != now["points"] else gr.skip()
    when = gr.skip()
    if more_marks:
        when = gr.Slider(maximum=max(1, count - 1), visible=count > 1, **({"value": max(0, count - 1)} if at_end else {}))
    mine = seen.id in runs.get("owned", {})
    rest = [gr.skip()] * 4
    if changed:
        again = widgets.plain(checkpoints.command(seen.run))
        rest = [gr.Button(visible=live and mine), gr.Button(visible=seen.checkpoint and not live)]
        rest += [gr.Textbox(link(seen.id, request), visible=True), gr.Textbox(again, visible=True)]
    now = {"id": seen.id, "state": seen.state, "points": points, "marks": count}
    return [status(seen, request), shown, when, curves, *rest, now, gr.Timer(active=live)]


def follow_anew(id: str, now: dict, runs: dict, at: float, request: gr.Request):
    """The whole view, for a tab that has just been opened: while it was hidden it had no components to update."""
    return follow(id, {**now, "id": ""}, runs, at, request)


def scrub(id: str, at: float, request: gr.Request):
    """The picture of mark number `at`."""
    try:
        marks = jobs.watch(id).marks
        if not marks:
            return gr.skip()
        return widgets.inline(jobs.mark(id, marks[min(int(at), len(marks) - 1)]), words.say(request, "train.picture"))
    except jobs.JobError:
        return gr.skip()


def end(id: str, runs: dict, request: gr.Request):
    """Stops the run in view."""
    widgets.told(jobs.stop, id, runs.get("owned", {}).get(id, ""))
    return words.say(request, "train.stopping"), gr.Button(visible=False)


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
    if seen.state in ("failed", "waiting") or (last and last["says"]):
        said = last["says"] if last and last["says"] and seen.state != "failed" else widgets.plain(seen.says)
        parts.append(widgets.text(said))
    return " · ".join(parts)


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
        "command": widgets.plain(checkpoints.command(seen.run)),
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
        return facts(widgets.told(jobs.watch, run))

    def train_mark(run: str, step: int) -> str:
        """The picture of a run's fixed latents at one of the steps that train_watch lists as marks.

        Args:
            run: the run's id.
            step: the step.
        """
        return widgets.served(widgets.told(jobs.mark, run, step), f"{step}.webp")

    def train_stop(run: str, owner: str) -> str:
        """Stop a run and keep what it learnt.

        Args:
            run: the run's id.
            owner: the token that train_start returned with it.
        """
        widgets.told(jobs.stop, run, owner)
        return ended(run)

    gr.api(train_watch, api_name="train_watch", queue=False)
    gr.api(train_stop, api_name="train_stop")
    widgets.endpoint(train_mark, gr.Image(visible=False))


def ended(id: str) -> str:
    """The state of a run that was asked to end, once it has."""
    deadline = time.monotonic() + 30
    while (state := jobs.watch(id).state) not in jobs.ENDED and time.monotonic() < deadline:
        time.sleep(0.2)
    return state
