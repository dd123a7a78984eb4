"""The one bridge between the program's values and the page: config fields and components, samples and pictures, errors and sentences."""

from __future__ import annotations

import base64
import inspect
import logging
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from .. import files
from ..config import Spec

LIVE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
MOST_POINTS = 500  # a line of a chart
# Okabe and Ito's colours, told apart by people of every colour vision; raw values take them at a third of the opacity
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
PALE = "55"

log = logging.getLogger(__package__)


def pixels(item: Any) -> dict[str, Any]:
    """An item uint8 (C, H, W) as the page's canvas takes it: raw bytes, row by row, channels last."""
    channels, height, width = item.shape
    return {
        "raw": base64.b64encode(item.permute(1, 2, 0).contiguous().numpy().tobytes()).decode(),
        "width": width,
        "height": height,
        "channels": channels,
    }


def picture(**settings: Any) -> gr.HTML:
    """A component that shows what `inline` makes: no file on the server's disk and no second request, unlike gr.Image."""
    script = """const image = element.querySelector('img');
const show = () => { const { src, alt } = props.value || {}; image.hidden = !src; if (src) { image.src = src; image.alt = alt; } };
show(); watch('value', show);"""
    return gr.HTML({}, html_template="<img hidden>", js_on_load=script, apply_default_css=False, **settings)


def inline(data: bytes, alt: str, kind: str = "image/webp") -> dict[str, str]:
    """A picture's bytes, and what it shows in words, as the value of `picture`."""
    return {"src": f"data:{kind};base64,{base64.b64encode(data).decode()}", "alt": alt}


def served(data: bytes, name: str) -> str:
    """A file in Gradio's own folder, for an endpoint to give back."""
    folder = Path(os.environ.get("GRADIO_TEMP_DIR", tempfile.gettempdir()), "aigc")
    folder.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(dir=folder), name)
    path.write_bytes(data)
    return str(path)


def plain(text: str) -> str:
    """`text` without this server's folders: a visitor reads names of files, not where they lie."""
    for folder in (files.home(), files.shipped().parent):
        text = text.replace(f"{folder}{os.sep}", "")
    return text


def text(words: str) -> str:
    """`words` as Markdown that shows them letter by letter: names of a stranger's files are no markup."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", words)  # CommonMark 2.4: any ASCII punctuation may be escaped


def sentence(error: Exception) -> str:
    """What a person is told of an error: our own words where it is one of ours; any other is logged, and told without its details."""
    if type(error).__module__.startswith("aigc_demo"):
        return plain(str(error))
    log.error("unexpected", exc_info=error)
    return "Something went wrong on the server; it has been written to its log."


def told(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, with our errors as gr.Error."""
    try:
        return function(*arguments)
    except (ValueError, OSError, RuntimeError, AttributeError, TypeError) as error:
        raise gr.Error(sentence(error), title="", print_exception=False) from None


def endpoint(function: Callable[..., Any], output: gr.components.Component) -> None:
    """Makes `function` a public, queued endpoint of its own name, whose file comes back through `output`."""
    kinds = {"int": gr.Number, "float": gr.Number, "str": gr.Textbox}
    inputs = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind = str(parameter.annotation)
        settings = {"precision": 0} if kind == "int" else {}
        value = {"str": ""}.get(kind, 0) if parameter.default is parameter.empty else parameter.default
        inputs.append(kinds[kind](value=value, label=name, visible=False, **settings))
    gr.Button(visible=False).click(function, inputs, output, api_name=function.__name__, api_description=inspect.getdoc(function))


def field(spec: Spec, label: str) -> gr.components.Component:
    """The component that a person changes one setting with."""
    info = f"{spec.help} ({spec.limits})" if spec.limits and not spec.choices else spec.help
    # said to be interactive: in a gr.render Gradio takes a field with a value for one that only shows it
    if spec.kind == "bool":
        return gr.Checkbox(spec.default, label=label, info=spec.help, interactive=True)
    if spec.kind == "choice":
        return gr.Dropdown([(str(c), c) for c in spec.choices], value=spec.default, label=label, info=spec.help, interactive=True)
    if spec.kind == "str":
        return gr.Textbox(spec.default, label=label, info=spec.help, interactive=True)
    # limits are not given to the component: the config's own sentence says more than a silently clipped number
    return gr.Number(spec.default, label=label, info=info, precision=0 if spec.kind == "int" else None, interactive=True)


def curves(points: tuple[dict[str, Any], ...], held_out: bool) -> tuple[pd.DataFrame, dict[str, str]]:
    """Loss curves as a long table (step, value, term) and a colour for each term.

    Each of the log's training terms comes raw and pale, and smoothed over a fiftieth of the run; held-out terms come as they are. At most
    MOST_POINTS a line: means of neighbouring points."""
    names = list(dict.fromkeys(k for p in points for k in p["terms"] if k.startswith("held-out ") == held_out))
    rows, colours = [], {}
    for i, name in enumerate(names):
        line = pd.DataFrame([(p["step"], p["terms"][name]) for p in points if name in p["terms"]], columns=["step", "value"])
        if len(line) > MOST_POINTS:
            line = line.groupby(line.index * MOST_POINTS // len(line)).mean()
        shown = name.removeprefix("held-out ")
        if held_out:
            rows.append(line.assign(term=shown))
        else:
            rows.append(line.assign(term=f"{shown}, each"))
            rows.append(line.assign(value=line["value"].ewm(span=max(2, len(line) / 50)).mean(), term=shown))
            colours[f"{shown}, each"] = COLOURS[i % len(COLOURS)] + PALE
        colours[shown] = COLOURS[i % len(COLOURS)]
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame({"step": [], "value": [], "term": []})
    return table.round({"step": 1, "value": 5}), colours
