"""The health light beside a run's curves: one word, and what was measured a click away."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..evaluation.health import Evidence, Verdict
from . import widgets, words

TONES = {"warming up": "wait", "healthy": "good", "plateaued": "good"}  # all others are "bad"
NATS = ("exploded", "margin", "information", "favours")  # measured in nats; all others are shares
TEMPLATE = """<details class="light" hidden>
<summary><span class="dot"></span><strong></strong><span class="since"></span></summary><ul></ul><p></p></details>"""


def light(**settings: Any) -> gr.HTML:
    """The component; its value is what `shown` makes of a verdict, or {} while there is none."""
    return gr.HTML(
        {},
        html_template=TEMPLATE,
        js_on_load=widgets.script("light.js"),
        apply_default_css=False,
        container=False,
        padding=False,
        **settings,
    )


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
    value, bound = (f"{v:.3g}" if evidence.what in NATS else f"{v:.0%}" if abs(v) >= 0.1 else f"{v:.1%}" for v in evidence[1:])
    return words.say(request, f"health.says.{evidence.what}", value=value, bound=bound)
