"""The health light beside a run's curves: one word, and what was measured a click away."""

from __future__ import annotations

from typing import Any

import gradio as gr

from .. import jobs
from ..evaluation import health
from ..evaluation.health import Evidence, Verdict
from . import widgets, words

TONES = {"warming up": "wait", "healthy": "good", "plateaued": "good"}  # all others are "bad"
NATS = ("exploded", "margin", "information", "favours")  # measured in nats; all others are shares
TEMPLATE = """<details class="light" hidden>
<summary><span class="dot"></span><strong></strong><span class="since"></span></summary><ul></ul><p></p></details>"""


class Light:
    """The light, and under it what its owner may do when it is red: go back to where the run was well."""

    def __init__(self, t: gr.I18n):
        script = (widgets.ASSETS / "light.js").read_text("utf-8")
        bare = {"apply_default_css": False, "container": False, "padding": False}
        self.lamp = gr.HTML({}, html_template=TEMPLATE, js_on_load=script, elem_id="train-health", **bare)
        with gr.Row(elem_classes="tight rewind", equal_height=True, visible=False) as self.row:
            self.rewind = gr.Button(t("train.rewind"), elem_id="train-rewind", min_width=240, scale=0, size="md")
            self.rate = gr.Number(0, label=t("train.rewind.rate"), minimum=0, elem_id="train-rate", min_width=140)

    def shows(self, seen: jobs.Seen, mine: bool, request: gr.Request | None) -> dict[Any, Any]:
        """What the parts show of a run."""
        verdict = health.verdict(seen.points)
        back = mine and verdict.well is not None and bool(jobs.states(seen.id, verdict.well))
        rate = {"value": float(f"{seen.run.train.lr / 2:.3g}")} if back else {}
        return {self.lamp: shown(verdict, request), self.row: gr.Row(visible=back), self.rate: gr.Number(**rate)}


def shown(verdict: Verdict, request: gr.Request | None) -> dict[str, Any]:
    """A verdict in the visitor's language."""
    advice = words.say(request, f"health.do.{verdict.word}") if verdict.alarm else ""
    return {
        "word": word(verdict, request),
        "tone": TONES.get(verdict.word, "bad"),
        "since": words.say(request, "health.since", step=f"{verdict.since:,}"),
        "evidence": [sentence(e, request) for e in verdict.evidence],
        "advice": advice,
    }


def word(verdict: Verdict, request: gr.Request | None) -> str:
    """The one word."""
    return words.say(request, f"health.word.{verdict.word}")


def sentence(evidence: Evidence, request: gr.Request | None) -> str:
    """What was measured, its value and its bound."""
    value, bound = (shape(v, evidence.what in NATS) for v in (evidence.value, evidence.bound))
    return words.say(request, f"health.says.{evidence.what}", value=value, bound=bound)


def shape(value: float, nats: bool) -> str:
    """A measure as a person reads it: nats as they are, all others in percent."""
    return f"{value:.3g}" if nats else f"{value:.1%}" if 0 < abs(value) < 0.1 else f"{value:.0%}"
