"""The Explore tab: one component holds the picture and every slider, and asks the engine once a picture."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import math
import shlex
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gradio as gr

from .. import checkpoint as checkpoints, data, files, jobs
from ..checkpoint import Checkpoint
from ..config import ConfigError, Spec, specs
from ..engine import REACH, Engine, Request, Superseded
from . import link as links, panels, widgets, words

ASSETS = Path(__file__).parent / "assets" / "explore"
SCRIPTS = (
    "core.js",
    "picture.js",
    "sound.js",
    "strips.js",
    "panels.js",
    "prompt.js",
    "sliders.js",
    "link.js",
    "present.js",
)  # after those that every pad begins with; then each panel's, then start.js
LATTICE = (9, 3)  # neighbours: columns along the first slider, rows along the second
SPACING = 0.75  # standard deviations between neighbours
LARGEST_SHEET = 256  # samples
STOPS = 61  # pictures of one slider's travel; fewer where they are large, but never fewer than FEWEST_STOPS
FEWEST_STOPS = 9
LARGEST_STRIP = 1 << 20  # bytes of pixels
NUMBERS = (-4.0, 4.0)  # how far the page lets a single number of the latent go
MOST_NUMBERS = 256  # of a latent that get a slider each on the page
GLIMPSES = 9  # small pictures that a direction's slider shows along its track
STATE_ARGS = """

Args:
    checkpoint: its name, as explore_list gives it.
    seed: the same seed draws the same picture.
    sliders: a JSON list of amounts along the checkpoint's directions, each from -3 to 3.
    label: the class's number, or -1 for none.
    truncation: below 1 is more typical, above 1 more unusual.
    numbers: a JSON object that sets single numbers of the latent, such as {"0": 1.5}.
"""


class Explore:
    """What the page's sliders and the named endpoints call; one for a server."""

    def __init__(self, engine: Engine):
        self.engine = engine

    # each takes and returns plain JSON; `said` turns our errors into {"error": sentence}

    def listed(self, opened: list[str]) -> list[dict[str, str]]:
        """What a visitor may choose from: the shipped checkpoints, runs that nobody owns, and those of `opened`, which are secrets."""
        found = checkpoints.shelf(files.shipped()) + [
            c for c in checkpoints.shelf(files.runs()) if not (c.path.parent / jobs.OWNER).exists()
        ]
        shown = {c.name: c for c in [*found, *_found(opened)] if c.modality.pictured or c.modality.kind == "text"}
        return [{"name": c.name, "title": title(c)} for c in shown.values()]

    def shelf(self, asked: Any) -> dict[str, Any]:
        """What a page may choose from that knows of the names in asked["opened"]."""
        opened = asked.get("opened") if isinstance(asked, dict) else None
        return {"shelf": self.listed(opened if isinstance(opened, list) else [])}

    def open(self, name: str) -> dict[str, Any]:
        """What the page needs to show a checkpoint's controls."""
        warm = self.engine.warm(str(name))
        c = warm.checkpoint
        if c.modality.kind == "text":  # the part for texts describes it
            return {"name": c.name, "title": title(c), "kind": "text"}
        if not c.modality.pictured:  # a point alone is nothing to look at
            raise ConfigError(f"checkpoint {c.name}: it draws {c.modality.kind}, which the Train tab shows; Explore is for pictures")
        silent = c.modality.kind == "image"
        source, training = c.manifest.source, c.manifest.training
        return {
            "name": c.name,
            "title": title(c),
            "preset": c.preset,
            "kind": c.modality.kind,
            "suffix": c.modality.suffix,
            "shape": list(c.modality.shape),
            "palette": c.modality.palette,
            "digest": c.digest,
            "ways": warm.ways,
            "classes": list(c.manifest.classes) if warm.model.classes else [],
            "latent": math.prod(warm.model.latent),
            "numbers": min(MOST_NUMBERS, math.prod(warm.model.latent)),
            "levels": len(warm.model.levels),
            "edits": silent and hasattr(warm.model, "edit"),
            "restores": silent and hasattr(warm.model, "restore"),
            "effects": [round(e, 5) for e in warm.directions.effects.tolist()],
            "methods": list(warm.directions.methods),
            "names": list(warm.directions.names),
            "reach": REACH,
            "sampling": [_spec(s) for s in specs(warm.model.Sampling) if s.name not in warm.model.idle],
            "reads": warm.model.reads,
            "examples": next((s.examples for s in data.sources() if s.name == source.name), ()),
            "data": source.title or source.name,
            "licence": source.licence,
            "items": source.items,
            "steps": training.steps,
            "seconds": training.seconds,
            "machine": training.machine,
        }

    def live(self, state: dict[str, Any]) -> dict[str, Any]:
        """The picture of a state, as raw pixels, and what is heard of it: one round trip, nothing kept on the disk."""
        sample = self.engine.draw([request(state)], session=_session(state))[0]
        return widgets.pixels(sample.item) | widgets.heard(self.engine.sound([sample.item], sample.request.checkpoint))

    def strip(self, state: dict[str, Any]) -> dict[str, Any]:
        """The travel of the state's amount along state["axis"] (see Request.at) as raw pixels, picture after picture from `low` to `high`.

        Of its `stops`, those nearest to state["value"] are drawn first: `count` of them from number `first` on, as time allows."""
        asked, axis, session = request(state), str(state.get("axis")), _session(state)
        warm = self.engine.warm(asked.checkpoint)
        low, high = self._travel(asked, axis)
        stops = min(STOPS, LARGEST_STRIP // math.prod(warm.checkpoint.modality.shape))
        values = [round(low + (high - low) * i / max(1, stops - 1), 6) for i in range(stops)]
        now = _number(state.get("value"), low, high)
        order = sorted(range(stops), key=lambda i: abs(values[i] - now)) if stops >= FEWEST_STOPS else []
        drawn = self.engine.strip(asked, axis, [values[i] for i in order], _of(session, "strip"))
        first = min(order[: len(drawn)], default=0)
        items = [s.item for _, s in sorted(zip(order, drawn, strict=False), key=lambda pair: pair[0])]
        return {"low": low, "high": high, "stops": stops, "first": first, "count": len(items), **widgets.film(items)}

    def travel(self, state: dict[str, Any]) -> bytes:
        """All stops of `strip` as one PNG, whatever time it takes."""
        asked, axis = request(state), str(state.get("axis"))
        low, high = self._travel(asked, axis)
        stops = [asked.at(axis, round(low + (high - low) * i / (STOPS - 1), 6)) for i in range(STOPS)]
        return self.engine.sheet([self.engine.draw([one])[0] for one in stops], STOPS)

    def _travel(self, asked: Request, axis: str) -> tuple[float, float]:
        """How far the page lets the amount along `axis` go."""
        asked.at(axis, 0.0)  # an axis that is none is named
        kind, _, key = axis.partition(".")
        if kind != "sampling":
            return (-REACH, REACH) if kind == "sliders" else NUMBERS
        for spec in specs(self.engine.warm(asked.checkpoint).model.Sampling):
            if spec.name == key and spec.kind == "float" and spec.low is not None and spec.high is not None:
                return spec.low, spec.high
        raise ConfigError(f"axis: {key[:40]!r} is not a sampling setting that a slider has")

    def travels(self, state: dict[str, Any]) -> dict[str, Any]:
        """A few small pictures along each direction from the state, as one sheet: a row a direction, as many rows as time allows."""
        asked, session = request(state), _session(state)
        count = len(self.engine.warm(asked.checkpoint).directions)
        values = [REACH * (2 * (i + 0.5) / GLIMPSES - 1) for i in range(GLIMPSES)]  # in the middle of its share of the track
        requests = [asked.at(f"sliders.{k}", v) for k in range(count) for v in values]
        drawn = self.engine.in_time(requests, _of(session, "travels"))
        rows = len(drawn) // GLIMPSES
        sheet = base64.b64encode(self.engine.sheet(drawn[: rows * GLIMPSES], GLIMPSES, "WEBP")).decode() if rows else ""
        return {"checkpoint": asked.checkpoint, "sheet": sheet, "rows": rows, "columns": GLIMPSES}

    def around(self, state: dict[str, Any]) -> list[Request]:
        """The state's neighbours: a lattice along state["axes"], else the first two directions, row by row, it in the middle."""
        columns, rows = LATTICE
        asked, axes = request(state), self._axes(state)
        base = {k: asked.sliders[k] if k < len(asked.sliders) else 0.0 for k in axes}
        found = []
        for r in range(rows):
            for c in range(columns):
                there = asked
                for k, step in zip(axes, (c - columns // 2, rows // 2 - r), strict=False):
                    there = there.at(f"sliders.{k}", _within(base[k] + SPACING * step))
                found.append(there)
        return found

    def _axes(self, state: dict[str, Any]) -> list[int]:
        count = len(self.engine.warm(request(state).checkpoint).directions)
        axes = state.get("axes")
        axes = axes if isinstance(axes, list) else [0, 1]
        return [k for k in dict.fromkeys(axes[:2]) if isinstance(k, int) and 0 <= k < count]

    def neighbours(self, state: dict[str, Any]) -> dict[str, Any]:
        """The pictures of `around`, and where each stands."""
        around, session = self.around(state), _session(state)
        samples = self.engine.draw(around, session=_of(session, "neighbours"))
        return {
            "items": [widgets.pixels(s.item) for s in samples],
            "sliders": [s.request.sliders for s in samples],
            "columns": LATTICE[0],
            "axes": self._axes(state),
        }

    def lattice(self, state: dict[str, Any]) -> bytes:
        """The pictures of `around` as one PNG."""
        return self.engine.sheet(self.engine.draw(self.around(state)), LATTICE[0])

    def numbers(self, state: dict[str, Any]) -> dict[str, Any]:
        """The numbers of the state's latent, before the sliders move it."""
        return {"numbers": [round(v, 4) for v in self.engine.latents(request(state))]}

    def file(self, state: dict[str, Any]) -> tuple[bytes, str]:
        """The sample of a state as a file (PNG, WAV) with its recipe and its label inside, and its file's name."""
        asked = request(state)
        sample = self.engine.draw([asked])[0]
        return self.engine.file(sample), f"{asked.checkpoint}-{asked.seed}.{self.engine.warm(asked.checkpoint).checkpoint.modality.suffix}"

    def picture(self, state: dict[str, Any]) -> bytes:
        """The sample of a state as a PNG: its file, or what a sheet shows of it."""
        sample = self.engine.draw([request(state)])[0]
        suffix = self.engine.warm(sample.request.checkpoint).checkpoint.modality.suffix
        return self.engine.file(sample) if suffix == "png" else self.engine.sheet([sample], 1)

    def clip(self, state: dict[str, Any]) -> bytes:
        """The WAV of `file`. Raises ConfigError where the checkpoint makes no sound."""
        data, name = self.file(state)
        if not name.endswith(".wav"):
            raise ConfigError(f"checkpoint {request(state).checkpoint}: it draws pictures and makes no sound")
        return data

    def link(self, state: dict[str, Any]) -> dict[str, str]:
        """The query of the address that brings the state's picture back, with the visitor's own names of directions and their order."""
        asked = request(state)
        self.engine.points([asked])  # a link to nothing is none
        warm = self.engine.warm(asked.checkpoint)
        names, kept = state.get("names"), state.get("kept")
        names = {int(k): str(v)[:40] for k, v in names.items() if str(k).isdecimal()} if isinstance(names, dict) else {}
        kept = tuple(k for k in kept if isinstance(k, int)) if isinstance(kept, list) else ()
        return {"query": links.query(links.Asked(asked, warm.checkpoint.digest, warm.ways, names, kept))}

    def arrive(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What a link asks for (asked["link"]), else a file (asked["file"], base64), as `arrived` gives it."""
        try:
            found = (
                links.of_file(base64.b64decode(str(asked["file"]), validate=True)) if "file" in asked else links.read(str(asked["link"]))
            )
        except (KeyError, TypeError, binascii.Error):
            raise ConfigError("this is neither a link nor a file") from None
        return self.arrived(found, asked.get("opened"))

    def arrived(self, found: links.Asked, opened: Any = None) -> dict[str, Any]:
        """The state of what is asked for, the names and the order of directions that came along, and what is to be said.

        `says` is None, or a key of the page's words and its values: the checkpoint is of another content than the one the link was made
        with, or has other directions. Raises CheckpointError where there is no such checkpoint, ConfigError where it cannot draw this."""
        r = found.request
        try:
            warm = self.engine.warm(r.checkpoint)
        except checkpoints.CheckpointError:  # it may stand here by another name
            known = [*checkpoints.shelf(files.shipped()), *_found(opened)]
            other = next((c for c in known if found.digest and c.digest.startswith(found.digest)), None)
            if other is None:
                raise
            warm = self.engine.warm(other)
        c = warm.checkpoint
        self.engine.points([replace(r, checkpoint=c.name)])  # what does not fit the checkpoint is said now
        says = None
        if not c.digest.startswith(found.digest):
            says = {"key": "link.other", "name": c.name, "there": found.digest[:8], "here": c.digest[:8]}
        elif any(r.sliders) and not warm.ways.startswith(found.ways):
            says = {"key": "link.ways", "name": c.name}
        state = state_of(replace(r, checkpoint=c.name))
        return {"state": state, "says": says, "names": {str(k): v for k, v in found.names.items()}, "kept": list(found.kept)}

    def save(self, state: dict[str, Any]) -> dict[str, str]:
        """The file of `file`, for the page's download button."""
        data, name = self.file(state)
        return {"file": base64.b64encode(data).decode(), "name": name}

    def sheet(self, name: str, n: int, seed: int, label: int | None = None) -> bytes:
        """`n` samples of a seed as one PNG."""
        if not 1 <= n <= LARGEST_SHEET:
            raise ConfigError(f"n: {n} is not a number from 1 to {LARGEST_SHEET}")
        return self.engine.sheet(self.engine.draw([Request(name, seed, i, label=label) for i in range(n)]))


def _found(opened: Any) -> list[Checkpoint]:
    """The checkpoints that a browser says it has opened before, as far as they are still there."""
    found = []
    for name in opened[:50] if isinstance(opened, list) else []:
        with contextlib.suppress(checkpoints.CheckpointError):
            found.append(checkpoints.find(str(name)))
    return found


def title(c: Checkpoint) -> str:
    """`mnist-dcgan: MNIST handwritten digits, gan:dcgan, 28 px`; a run of the page goes by its data, as its name is a secret."""
    source = c.manifest.source.title or c.manifest.source.name
    name = c.manifest.run.name or ("" if (c.path.parent / jobs.OWNER).exists() else c.name)
    return f"{name + ': ' if name else ''}{source}, {c.preset}, {c.modality.extent}"


def request(state: dict[str, Any]) -> Request:
    """The engine's request that the page's state means. Raises ConfigError: what comes from a browser is checked here again."""
    if not isinstance(state, dict):
        raise ConfigError("the state is not one that this page sends")
    return Request.of(state)


def state_of(asked: Request) -> dict[str, Any]:
    """The page's state that means `asked`, as JSON has it."""
    return {**asdict(asked), "numbers": {str(k): v for k, v in asked.numbers.items()}}


def command(state: dict[str, Any]) -> dict[str, str]:
    """The command line and the Python lines that draw the state's picture."""
    asked = request(state)
    words_ = ["aigc", "sample", asked.checkpoint, "--n", "1", "--seed", str(asked.seed)]
    words_ += ["--index", str(asked.index)] if asked.index else []
    words_ += ["--place", "{:.9g},{:.9g}".format(*asked.place)] if asked.place is not None else []
    words_ += ["--class", str(asked.label)] if asked.label is not None else []
    for k, v in enumerate(asked.sliders):
        words_ += ["--slider", f"{k + 1}={v:g}"] if v else []
    for k, v in asked.numbers.items():
        words_ += ["--number", f"{k + 1}={v:g}"]
    for k, v in asked.sampling.items():
        words_ += ["--set", f"{k}={v}"]
    shown = {k: v for k, v in asked.recipe("").items() if k not in ("checkpoint", "digest") and v not in ("", 0)}
    arguments = ", ".join([repr(asked.checkpoint), *(f"{k}={v!r}" for k, v in shown.items())])
    python = (
        "from aigc_demo.engine import Engine, Request\n"
        f"sample = Engine().draw([Request({arguments})])[0]\n"
        "sample.item  # uint8, (channels, height, width)"
    )
    out = f"sample.{suffix}" if (suffix := checkpoints.find(asked.checkpoint).modality.suffix) != "png" else "picture.png"
    return {"command": shlex.join([*words_, "-o", out]), "python": python}


def _spec(spec: Spec) -> dict[str, Any]:
    return {field: getattr(spec, field) for field in ("name", "help", "default", "low", "high", "kind", "choices")}


def _within(value: float) -> float:
    return max(-REACH, min(REACH, value))


def _session(state: dict[str, Any]) -> str | None:
    session = state.get("session")
    return str(session)[:64] if session else None


def said(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`function` as the page calls it: an error comes back as {"error": sentence}, a request that was overtaken as {"superseded": true}."""

    def answer(payload):
        try:
            return function(payload)
        except Superseded:
            return {"superseded": True}
        except Exception as error:  # whatever a stranger's payload meets, the page gets a sentence
            return {"error": widgets.sentence(error)}

    answer.__name__ = function.__name__
    return answer


def _page(others: Iterable[str]) -> tuple[str, str]:
    """The tab's markup and its script: the sliders' and those of the panels `others`, each script in a block of its own."""
    markup = "".join(
        f'<section class="panel" id="panel-{id}" data-panel="{id}" role="tabpanel" aria-labelledby="view-{id}" hidden>\n'
        f"{(ASSETS / 'panels' / f'{id}.html').read_text('utf-8')}</section>\n"
        for id in ("sliders", *others)
    )
    told = f"'use strict';\nconst words = {json.dumps(words.of('explore'))};"
    scripts = [widgets.script(told, "pad.js", *(f"explore/{name}" for name in SCRIPTS))]
    scripts += [f"{{\n{(ASSETS / 'panels' / f'{id}.js').read_text('utf-8')}}}\n" for id in others]
    scripts += [(ASSETS / "start.js").read_text("utf-8")]
    return (ASSETS / "explore.html").read_text("utf-8").replace("<!-- panels -->", markup), "".join(scripts)


def _of(session: str | None, part: str) -> str | None:
    """The session of one part of a page, whose requests overtake each other only."""
    return f"{session} {part}" if session else None


def _number(value: Any, low: float, high: float) -> float:
    """`value` within the limits; their middle where it is no number."""
    known = isinstance(value, (int, float)) and math.isfinite(value)
    return min(high, max(low, value)) if known else (low + high) / 2


def tab(explore: Explore, gpu: Callable | None = None) -> gr.HTML:
    """Lays out the tab; returns its component, whose value {"open": name} opens a checkpoint."""
    names = [c.name for c in _found([c["name"] for c in explore.listed([])]) if c.modality.pictured]
    first = next((n for n in ("mnist-dcgan", *names) if n in names), None)
    others = panels.found()
    own = (
        explore.shelf,
        explore.open,
        explore.live,
        explore.strip,
        explore.travels,
        explore.neighbours,
        explore.numbers,
        explore.link,
        explore.arrive,
        explore.save,
        command,
    )
    markup, script = _page(others)
    pad = gr.HTML(
        {"open": first},
        html_template=markup,
        js_on_load=script,
        apply_default_css=False,
        server_functions=[said(f) for f in (*own, *(f for panel in others.values() for f in panel.functions(explore)))],
        start=_start(explore, first),
        elem_id="explore",
        container=False,
        padding=False,
    )

    def explore_list() -> list[dict]:
        """List the checkpoints that can be explored."""
        return explore.listed([])

    def explore_open(checkpoint: str) -> dict:
        """Describe a checkpoint: its shape, classes, sliders and where it came from.

        Args:
            checkpoint: its name, as explore_list gives it.
        """
        return widgets.told(explore.open, checkpoint)

    def state(checkpoint: str, seed: int, sliders: str, label: int, truncation: float, numbers: str) -> dict[str, Any]:
        moved = {"sliders": _json("sliders", sliders, list), "numbers": _json("numbers", numbers, dict)}
        return {
            "checkpoint": checkpoint,
            "seed": seed,
            "label": None if label < 0 else label,
            "sampling": {"truncation": truncation},
            **moved,
        }

    def explore_picture(
        checkpoint: str, seed: int = 0, sliders: str = "[]", label: int = -1, truncation: float = 1.0, numbers: str = "{}"
    ) -> str:
        """Draw one picture; of a sound, its spectrogram."""
        asked = state(checkpoint, seed, sliders, label, truncation, numbers)
        return widgets.served(widgets.told(explore.picture, asked), f"{checkpoint}-{seed}.png")

    def explore_sound(
        checkpoint: str, seed: int = 0, sliders: str = "[]", label: int = -1, truncation: float = 1.0, numbers: str = "{}"
    ) -> str:
        """Make one sound, as a WAV."""
        asked = state(checkpoint, seed, sliders, label, truncation, numbers)
        return widgets.served(widgets.told(explore.clip, asked), f"{checkpoint}-{seed}.wav")

    def explore_neighbours(
        checkpoint: str, seed: int = 0, sliders: str = "[]", label: int = -1, truncation: float = 1.0, numbers: str = "{}"
    ) -> str:
        """Draw a picture's neighbours as one sheet: columns along slider 1, rows along slider 2, the picture in the middle."""
        asked = state(checkpoint, seed, sliders, label, truncation, numbers)
        return widgets.served(widgets.told(explore.lattice, asked), f"{checkpoint}-{seed}-neighbours.png")

    def explore_numbers(checkpoint: str, seed: int = 0) -> list[float]:
        """The numbers of the latent that a seed draws, before any slider moves it.

        Args:
            checkpoint: its name.
            seed: the seed.
        """
        return widgets.told(explore.numbers, {"checkpoint": checkpoint, "seed": seed})["numbers"]

    def explore_command(
        checkpoint: str, seed: int = 0, sliders: str = "[]", label: int = -1, truncation: float = 1.0, numbers: str = "{}"
    ) -> dict:
        """The command line, and the lines of Python, that draw a picture again."""
        return widgets.told(command, state(checkpoint, seed, sliders, label, truncation, numbers))

    def explore_strip(
        checkpoint: str,
        axis: str = "sliders.0",
        seed: int = 0,
        sliders: str = "[]",
        label: int = -1,
        truncation: float = 1.0,
        numbers: str = "{}",
    ) -> str:
        """Draw the travel of one slider as one sheet, from its one end to the other in 61 pictures.

        Args:
            axis: sliders.K or numbers.K, K from 0, or sampling.truncation.
        """
        asked = state(checkpoint, seed, sliders, label, truncation, numbers)
        return widgets.served(widgets.told(explore.travel, {**asked, "axis": axis}), f"{checkpoint}-{seed}-{axis}.png")

    def explore_link(
        checkpoint: str, seed: int = 0, sliders: str = "[]", label: int = -1, truncation: float = 1.0, numbers: str = "{}"
    ) -> str:
        """The query that, put behind the page's address and a question mark, opens it with this picture."""
        return widgets.told(explore.link, state(checkpoint, seed, sliders, label, truncation, numbers))["query"]

    def explore_arrive(link: str) -> dict:
        """What a link of this page asks for: the state that it brings back, and whether the checkpoint here is still the same.

        Args:
            link: the address, or its query.
        """
        return widgets.told(explore.arrive, {"link": link})

    def explore_recipe(file: str) -> dict:
        """What a file that this program wrote was drawn from: the state that draws it again.

        Args:
            file: a PNG of one picture, or a WAV.
        """

        def read():
            with open(file, "rb") as stored:
                return explore.arrived(links.of_file(stored.read(links.LARGEST_FILE + 1)))

        return widgets.told(read)

    def explore_sheet(checkpoint: str, n: int = 64, seed: int = 0, label: int = -1) -> str:
        """Draw a sheet of many pictures.

        Args:
            checkpoint: its name.
            n: how many, at most 256.
            seed: the same seed draws the same pictures.
            label: the class's number, or -1 for all in turn.
        """
        return widgets.served(
            widgets.told(explore.sheet, checkpoint, n, seed, None if label < 0 else label), f"{checkpoint}-{seed}-sheet.png"
        )

    gr.api(explore_list, api_name="explore_list", queue=False)
    for function in (explore_picture, explore_sound, explore_neighbours, explore_command, explore_link):
        function.__doc__ += STATE_ARGS
    explore_strip.__doc__ += STATE_ARGS.partition("Args:\n")[2]
    for function in (explore_open, explore_numbers, explore_command, explore_link, explore_arrive):
        gr.api(function, api_name=function.__name__)
    # ZeroGPU wants one function that asks for its GPU; the sheet is the largest call
    for function in (explore_picture, explore_neighbours, explore_strip, gpu(explore_sheet) if gpu else explore_sheet):
        widgets.endpoint(function, gr.Image(visible=False, format="png"))
    widgets.endpoint(explore_sound, gr.File(visible=False))
    dropped = gr.File(visible=False, type="filepath")
    gr.Button(visible=False).click(explore_recipe, dropped, gr.JSON(visible=False), api_name="explore_recipe")
    for panel in others.values():
        panel.endpoints(explore)
    return pad


def _json(name: str, text: str, kind: type) -> Any:
    wanted = "list of numbers" if kind is list else "object of positions and numbers"
    return widgets.values(text, kind, f"{name}: {text[:60]!r} is not a JSON {wanted}")


def _start(explore: Explore, name: str | None) -> dict[str, Any]:
    """What the page shows before it has asked for anything: the first checkpoint, described and drawn."""
    if name is None:
        return {}
    state = {"checkpoint": name, "seed": 7, "sliders": [], "sampling": {}}
    opened = explore.open(name)
    if opened["classes"]:
        state["label"] = 0
    return {
        "shelf": explore.listed([]),
        "open": opened,
        "picture": explore.live(state),
        "neighbours": explore.neighbours(state),
        "travels": explore.travels(state),
        "state": state,
    }
