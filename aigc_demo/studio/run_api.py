"""What programs call for a run that is there: named endpoints, which MCP serves as tools too."""

from __future__ import annotations

from typing import Any

import gradio as gr

from .. import jobs, model
from ..config import ConfigError, specs, unknown
from ..evaluation.health import verdict as judge
from ..provenance import label
from . import health, runs, widgets

CHECKED = 100  # steps that a check of the exact resume takes at most


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
        return runs.ended(run)

    def train_pause(run: str, owner: str) -> str:
        """Pause a run: its whole state is saved, and train_go_on continues it as if it had never been paused.

        Args:
            run: the run's id.
            owner: the token that train_start returned with it.
        """
        widgets.told(jobs.pause, run, owner)
        return runs.ended(run)

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
        widgets.told(runs.extend, run, owner, amount, unit)
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
        return widgets.told(runs.rewind, run, owner, rate)

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


def facts(seen: jobs.Seen) -> dict[str, Any]:
    """A run as a program reads it."""
    every = -(-len(seen.points) // widgets.MOST_POINTS) or 1
    return {
        "id": seen.id,
        "state": seen.state,
        "says": widgets.plain(seen.says),
        "marks": list(seen.marks),
        "checkpoint": seen.id if seen.checkpoint else None,
        "saved": seen.saved,
        "place": seen.place._asdict() if seen.place else None,
        "name": seen.run.name,
        "command": runs.again(seen.run),
        "resume": f"aigc train --resume {seen.id}",
        "points": [*seen.points[:-1:every], *seen.points[-1:]],
    }


def check(preset: str, steps: int, at: int) -> dict[str, Any]:
    """Whether a paused run ends as a straight one. Raises ConfigError, JobError."""
    if preset not in model.presets():
        raise ConfigError(unknown(str(preset), model.presets()))
    if not (isinstance(steps, int) and isinstance(at, int) and 1 <= at < steps <= CHECKED):
        raise ConfigError(f"steps: a pause after a step from 1 on, before the last of at most {CHECKED} steps")
    return jobs.resume_check(preset, steps, at)
