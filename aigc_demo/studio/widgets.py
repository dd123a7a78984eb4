"""The one bridge between the program's values and the page: config fields and components, samples and pictures, errors and sentences."""

from __future__ import annotations

import base64
import inspect
import json
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from .. import curves, files
from ..config import ConfigError, Spec
from . import words

LIVE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
MOST_POINTS = 500  # of a run, for a program that asks how it goes
VENDOR = "gradio_api/vendor"  # where the page finds the libraries of assets/vendor

ASSETS = Path(__file__).parent / "assets"

log = logging.getLogger(__package__)


def pixels(item: Any) -> dict[str, Any]:
    """An item uint8 (C, H, W) as the page's canvas takes it: raw bytes, row by row, channels last."""
    return film([item])


def heard(sound: tuple[Any, int] | None) -> dict[str, Any]:
    """A wave (samples,) within -1 to 1 and its rate as the page's player takes it: samples of 16 bits, the low byte first; {} of none."""
    if sound is None:
        return {}
    wave, rate = sound
    raw = (wave.clamp(-1, 1) * 32767).round().short().numpy().astype("<i2").tobytes()
    return {"wave": base64.b64encode(raw).decode(), "rate": rate}


def film(items: Sequence[Any]) -> dict[str, Any]:
    """Items uint8 (C, H, W) as `pixels` has one, the bytes of all of them joined; an empty film where there is none."""
    raw = b"".join(item.permute(1, 2, 0).contiguous().numpy().tobytes() for item in items)
    channels, height, width = items[0].shape if items else (1, 1, 1)
    return {"raw": base64.b64encode(raw).decode(), "width": width, "height": height, "channels": channels}


def picture(**settings: Any) -> gr.HTML:
    """A component that shows what `inline` makes: no file on the server's disk and no second request, unlike gr.Image."""
    script = """const image = element.querySelector('img');
const show = () => { const { src, alt } = props.value || {}; image.hidden = !src; if (src) { image.src = src; image.alt = alt; } };
show(); watch('value', show);"""
    return gr.HTML({}, html_template="<img hidden>", js_on_load=script, apply_default_css=False, **settings)


def answering(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`function` for a component's own script: whatever a stranger's payload meets, the answer is JSON, {"error": sentence} at worst."""

    def answer(payload):
        try:
            return function(payload)
        except Exception as error:
            return {"error": sentence(error)}

    answer.__name__ = function.__name__
    return answer


def news(asked: Any) -> dict[str, Any]:
    """What is new in the curves of {"run": id} to a page that says what it has."""
    if not isinstance(asked, dict):
        raise ConfigError("curves are asked for by a run's id")
    return curves.watch(str(asked.get("run", "")), asked.get("have"))[2]


def charts(**settings: Any) -> gr.HTML:
    """The charts of the run that the value {"run": id, ...} names; another value makes the page look for what is new."""
    return _drawn("curves", ["curves.js", "train-curves.js"], [news], ["curves"], **settings)


def status(look: Callable[[Any], Any], every: float, **settings: Any) -> gr.HTML:
    """The line of a run: a text, or {"run": id, "says": text, "seen": what is shown of the run}. Of the latter the page asks `look`, every
    so many seconds, for {"says", "points", "seen"}, and triggers `release` when "seen" is another."""
    said = {key: words.of("train")[key] for key in ("nothing", "lost")}
    return scripted("<p></p>", ["status.js"], [look], {"words": said, "every": 1000 * every}, "", **settings)


def table(*functions: Callable[[Any], Any]) -> gr.HTML:
    """The table of runs, their curves over each other, and two side by side; `functions` answer it."""
    return _drawn("compare", ["curves.js", "compare.js"], [*functions, news], ["curves", "compare", "train", "health"], elem_id="compare")


def script(constants: str, *names: str) -> str:
    """A component's script: its constants, how it says its words, then the files of these names.

    Constants stand in the script, not among the component's properties: Gradio's page copies those at every event, and an update before
    the tab was first shown takes them away."""
    return "\n".join([constants, *((ASSETS / name).read_text("utf-8") for name in ("say.js", *names))])


def scripted(
    html: str,
    scripts: Sequence[str],
    functions: Sequence[Callable[[Any], Any]],
    constants: dict[str, Any],
    value: Any = None,
    **settings: Any,
) -> gr.HTML:
    """A component of our own: markup, the files of its script with the `constants` that they know, and the functions that answer it."""
    told = "".join(f"const {name} = {json.dumps(constant)};" for name, constant in constants.items())
    return gr.HTML(
        {} if value is None else value,
        html_template=html,
        js_on_load=script(told, *scripts),
        apply_default_css=False,
        server_functions=[answering(f) for f in functions],
        container=False,
        padding=False,
        **settings,
    )


def values(text: str, kind: type, what: str) -> Any:
    """The value of a JSON text that a program sent; where that is of another kind, `what` is told."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise gr.Error(what, title="", print_exception=False)
    return value


def _drawn(name: str, scripts: list[str], functions: list[Callable[[Any], Any]], parts: list[str], **settings: Any) -> gr.HTML:
    said = {f"{part}.{key}": word for part in parts for key, word in words.of(part).items()}
    return scripted(f'<div class="{name}"></div>', scripts, functions, {"words": said, "vendor": VENDOR}, **settings)


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
