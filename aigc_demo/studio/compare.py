"""The Compare tab: the runs that a visitor may see in a table, their curves over each other, and two at equal steps or seconds."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from .. import compare, jobs
from ..config import ConfigError
from ..evaluation import health
from . import widgets

MOST_OPENED = 200  # addresses that a page may ask about at once


def table(asked: Any) -> dict[str, Any]:
    """The runs that nobody owns, and those of {"opened": [id, ...]}, which are secrets; of one "group" alone where that is named."""
    asked = asked if isinstance(asked, dict) else {}
    opened, group = asked.get("opened"), str(asked.get("group") or "")[:64]
    ids = [str(id)[:64] for id in opened[:MOST_OPENED]] if isinstance(opened, list) else []
    return compare.table([*ids, *compare.shared()], group, health.word)


def pair(asked: Any) -> dict[str, Any]:
    """The pictures of {"runs": [id, id], "by": "steps" | "seconds", "at": number}, as the page shows them."""
    try:
        ids, by, at = [str(id) for id in asked["runs"]][:2], asked["by"], asked["at"]
    except (KeyError, TypeError):
        raise ConfigError("two runs are asked for by runs, by and at") from None
    found = compare.equal(ids, by, at)
    for one in found:
        if one["step"] is not None:
            one |= widgets.inline(jobs.mark(one["run"], one["step"]), "")
    return {"runs": found}


def tab() -> gr.HTML:
    """Lays out the tab; returns its component, whose value {"opened": [id, ...]} names the runs that this visitor knows of."""
    whole = widgets.table(table, pair)
    _endpoints()
    return whole


def _endpoints() -> None:
    def runs_list(opened: str = "[]", group: str = "") -> dict:
        """List runs side by side: settings that differ, steps, seconds, best held-out value and state.

        Args:
            opened: a JSON list of addresses of runs, beside those that nobody owns.
            group: only the runs of this group, such as a sweep's.
        """
        ids = widgets.values(opened, list, "opened: not a JSON list of runs' addresses")
        return widgets.told(table, {"opened": ids, "group": group})

    def runs_curves(run: str, have: str = "null") -> dict:
        """The curves of a run in at most 500 rows a chart: mean step, mean seconds, and mean, least and largest value of each name.

        Args:
            run: the run's id.
            have: null for all, or {"version", "points", chart: [level, full, names]} of an earlier answer for what is new since.
        """
        try:
            own = json.loads(have)
        except (ValueError, RecursionError):
            own = None
        return widgets.told(widgets.news, {"run": run, "have": own})

    def runs_pair(a: str, b: str, by: str = "steps", at: float = 0) -> list[dict]:
        """The marks of two runs at equal steps or seconds of training; train_mark gives the picture of each.

        Args:
            a: a run's id.
            b: another run's id.
            by: steps or seconds.
            at: so many of them.
        """
        return widgets.told(compare.equal, [a, b], by, at)

    for function in (runs_list, runs_curves, runs_pair):
        gr.api(function, api_name=function.__name__, queue=False)
