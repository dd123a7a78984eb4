"""The Train tab: a form made from the config, beside the view of a run."""

from __future__ import annotations

import functools
import hashlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from .. import checkpoint as checkpoints, config, data, files, jobs, model, sweep
from ..config import ConfigError, Run
from ..data import points
from ..engine import Engine
from . import run_api, runs, widgets, words

FIRST_SHOWN = ("model.latent", "train.batch", "train.lr", "seed")  # the few that matter; the rest is in a fold
SEEN = {1: "grey", 3: "colour", 4: "colour, in part transparent"}  # of pictures, by channels
# elsewhere in the form, or not the visitor's to choose
ASKED = ("family", "preset", "train.budget", "train.unit", "data.source", "device", "base", "codec", "train.tracker")
FIRST = ("vae:conv", "flow:points", "vae:sound")  # presets to begin with, of each kind where there is a choice
UPLOADS = [".zip", ".txt", ".csv", ".jsonl", ".points"]
MOST_DRAWN = 20_000  # points of a sketch
UPLOADS_KEPT = 4 << 30  # bytes of uploads on the disk, the oldest out first


class Train:
    """What the form and the named endpoints call; `extra` names folders that this server's owner lets visitors train on."""

    def __init__(self, extra: dict[str, str] | None = None):
        self.extra = extra or {}

    def sources(self) -> list[tuple[str, str]]:
        """(title, name) of each set that can be chosen."""
        return [(s.title, s.name) for s in data.sources()] + [(name, name) for name in self.extra]

    def place(self, source: str) -> str:
        """The config's source for what a visitor chose: a built-in set, an upload, or a folder of the server's owner; no other path."""
        if source in self.extra:
            return self.extra[source]
        if source.startswith("upload-"):
            name, dot, suffix = source.partition(".")
            path = _uploads() / source
            if not name.removeprefix("upload-").isalnum() or dot + suffix not in UPLOADS or not path.is_file():
                raise ConfigError("data: that upload is not here any more; drop the file again")
            return str(path)
        names = [s.name for s in data.sources()]
        if source not in names:
            raise ConfigError(config.unknown(f"data.source {source[:60]!r}", names))
        return source

    def kind(self, source: str) -> str:
        """The kind of items of what a visitor chose, from names alone. Raises ConfigError, DataError."""
        return data.foreseen(config.check(config.Data, {"source": self.place(source)}, "data.")).kind

    def fitting(self, preset: str, source: str) -> str:
        """The set to offer for a preset: the one chosen where it is of the preset's kind, and not another preset's own; else its own."""
        own = _owns()[preset]
        return own if source in _owns().values() or self.kind(source) != self.kind(own) else source

    def suited(self, source: str, preset: str) -> str:
        """The preset to offer for a set: the one chosen where it is of the set's kind, else one that is, best with this very set."""
        kind, owns = self.kind(source), _owns()
        if self.kind(owns[preset]) == kind:
            return preset
        alike = [p for p in owns if self.kind(owns[p]) == kind]
        own = [p for p in alike if owns[p] == source]
        return next(p for some in (own, alike) for p in (*FIRST, *some) if p in some)

    def keep(self, path: str) -> str:
        """Keeps an upload under the hash of its bytes; returns the source's name. Raises ConfigError."""
        suffix = Path(path).suffix.lower()
        if suffix not in UPLOADS:
            raise ConfigError(f"data: a file of {suffix or 'no'} suffix is not one of {', '.join(UPLOADS)}")
        with open(path, "rb") as f:
            digest = (
                hashlib.file_digest(f, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else hashlib.sha256(f.read()).hexdigest()
            )
        folder, name = _uploads(), f"upload-{digest[:24]}{suffix}"
        with files.said(folder):
            folder.mkdir(parents=True, exist_ok=True)
            target = folder / name
            if not target.exists():
                side = target.with_suffix(f".{files.token()}")
                shutil.copyfile(path, side)
                os.replace(side, target)
            kept = sorted((p for p in folder.glob("upload-*") if p != target and p.suffix in UPLOADS), key=lambda p: p.stat().st_mtime)
            while kept and sum(p.stat().st_size for p in kept) + target.stat().st_size > UPLOADS_KEPT:
                kept.pop(0).unlink(missing_ok=True)
        return name

    def sketch(self, asked: Any) -> dict[str, str]:
        """Keeps the points [[x, y], ...] that were drawn in the page, as `keep` does: {"name": of the source}. Raises ConfigError."""
        try:
            drawn = points.written([(float(x), float(y)) for x, y in asked[: points.MOST + 1]])
        except (TypeError, ValueError, KeyError, OverflowError):
            raise ConfigError("points: not a list of pairs of numbers") from None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"sketch{points.SUFFIX}")
            path.write_bytes(drawn)
            points.read(str(path))
            return {"name": self.keep(str(path))}

    def look(self, source: str) -> tuple[bytes, str]:
        """A sheet (PNG) of a set's items, and a sentence on what it holds and what was left out."""
        found = data.load(config.check(config.Data, {"source": self.place(source)}, "data."))
        says = [f"{found.ledger.summary()}."]
        if found.modality.kind == "audio":
            says = [f"{says[0]} {found.modality.extent}."]
        if found.modality.kind == "image":
            channels, height, width = found.modality.shape
            says = [f"{says[0]} {width} × {height} pixels, {SEEN[channels]}."]
        says += (
            [f"{len(found.classes)} classes: {', '.join(found.classes[:12])}{' …' if len(found.classes) > 12 else ''}."]
            if found.classes
            else []
        )
        says += [f"Left out: {e.name}: {e.reason}." for e in found.ledger.left_out[:5]]
        return found.preview(16), " ".join(says)

    def plan(self, source: str, preset: str, budget: float, unit: str, changes: dict[str, Any]) -> Run:
        """The run that the form describes. Raises ConfigError with a line for each field at fault."""
        if "device" in changes:
            raise ConfigError("device: is the server's own to choose; leave it out")
        for field, known in ((f, changes[f]) for f in ("base", "codec") if changes.get(f)):
            shipped = [c.name for c in checkpoints.shelf(files.shipped())]
            if known not in shipped:  # no path of the server, and nobody's run
                raise ConfigError(config.unknown(f"{field} {str(known)[:60]!r}", shipped))
        given = {"data.source": self.place(source), "train.budget": budget, "train.unit": unit}
        given |= {"train.tracker": "none"}  # what leaves this server is not a visitor's to choose
        return model.plan(preset, {**changes, **given})

    def start(
        self, source: str, preset: str, budget: float, unit: str, changes: dict[str, Any], visitor: str, spawn: bool = True
    ) -> tuple[str, str]:
        """Starts the run for a visitor; returns its id and its owner's token. Raises ConfigError, JobError."""
        run, limits = self.plan(source, preset, budget, unit, changes), jobs.Limits.told()
        needs = (model.memory(run, data.foreseen(run.data, model.size(run))) or 0) / 1e9
        if needs > limits.memory:
            smaller = "take a smaller train.batch, data.size or model"
            raise ConfigError(f"memory: such a run needs about {needs:.1f} GB, of {limits.memory:g} GB that this server grants; {smaller}")
        return jobs.start(run, visitor, limits, spawn)

    def grid(self, source: str, preset: str, budget: float, unit: str, changes: dict[str, Any], over: list[str]) -> sweep.Sweep:
        """The grid that the form describes. Raises ConfigError, sweep.SweepError."""
        given = {"data.source": self.place(source), "train.budget": budget, "train.unit": unit}
        return sweep.planned(preset, over, {k: v for k, v in changes.items() if k != "group"} | given)

    def start_each(
        self, source: str, preset: str, budget: float, unit: str, changes: dict[str, Any], over: list[str], visitor: str
    ) -> tuple[str, list[tuple[str, str]]]:
        """Starts a run for each combination of `over`, such as ["train.lr=1e-4,2e-4"]; returns their group, and an id and a token each.

        All are checked, and there must be room for all, before any starts."""
        grid = self.grid(source, preset, budget, unit, changes, over)
        every = sweep.Grid(grid, {}).all
        most = jobs.Limits.told().each
        if len(every) > most:
            raise ConfigError(f"over: {len(every)} runs at once are more than the {most} that a visitor may have waiting here")
        group = f"{grid.name}-{files.token()[:4]}"[:64]
        runs = [{**changes, **settings, "group": group} for settings in every]
        for each in runs:
            self.plan(source, preset, budget, unit, each)
        return group, [self.start(source, preset, budget, unit, each, visitor) for each in runs]


@functools.cache
def _owns() -> dict[str, str]:
    """The set of each preset."""
    return {p: model.plan(p).data.source for p in model.presets()}


def _uploads() -> Path:
    return files.home() / "uploads"


def tab(train: Train, t: gr.I18n, place: gr.Tab, engine: Engine, kept: gr.BrowserState, gpu: Callable | None = None) -> runs.View:
    """Lays out the tab in its `place`; returns the view of a run, which the page's load and the Explore tab need.

    `kept` is what the browser keeps of its runs."""
    presets = list(model.presets())
    changes = gr.State({})
    tell: dict[str, Any] = {}  # the event that writes the form's command; a State's own change does not fire for what gr.render changes

    with gr.Row(elem_classes="train"):
        with gr.Column(scale=4, min_width=300, elem_classes="asks"):
            source = gr.Dropdown(train.sources(), value="digits", label=t("train.data"), elem_id="train-data")
            with gr.Accordion(t("train.own"), open=False, elem_classes="fold"):
                upload = gr.File(label=t("train.zip"), file_types=UPLOADS, type="filepath", height=130, elem_id="train-upload")
                sketch = widgets.scripted(
                    (widgets.ASSETS / "sketch.html").read_text("utf-8"),
                    ["sketch.js"],
                    [train.sketch],
                    {"words": words.of("sketch"), "reach": points.REACH, "most": MOST_DRAWN},
                    elem_id="train-sketch",
                )
            preset = gr.Dropdown(
                [(f"{p}: {model.about(p)}", p) for p in presets], value=FIRST[0], label=t("train.preset"), elem_id="train-preset"
            )
            with gr.Row(elem_classes="tight"):
                budget = gr.Number(1, label=t("train.budget"), minimum=0, elem_id="train-budget", min_width=80)
                unit = gr.Dropdown(
                    [(t(f"train.unit.{u}"), u) for u in ("minutes", "epochs", "steps")],
                    value="minutes",
                    label=t("train.unit"),
                    min_width=100,
                )
            broken = gr.Dropdown(
                [(t("train.break.none"), "")], value="", label=t("train.break"), info=t("train.break.about"), elem_id="train-break"
            )
            begin = gr.Button(t("train.start"), variant="primary", elem_id="train-start")
            others = gr.Dropdown([], label=t("train.runs"), visible=False, elem_id="train-runs")
            with gr.Accordion(t("train.more"), open=False, elem_classes="fold"):

                @gr.render(inputs=[preset, broken])
                def rest(chosen: str, how: str):
                    _fields(chosen, model.breakages(chosen).get(how, {}), changes, t, tell)

                over = gr.Textbox("", label=t("train.over"), info=t("train.over.about"), lines=1, elem_id="train-over")

            with gr.Accordion(t("train.headless"), open=False, elem_classes="fold"):
                begins = _line(train)(source.value, preset.value, budget.value, unit.value, {}, "")
                command = gr.Code(
                    begins, language=None, show_label=False, interactive=False, elem_id="train-command", lines=1, wrap_lines=True
                )
            with gr.Accordion(t("train.same"), open=False, elem_classes="fold"):
                gr.Markdown(t("train.same.about"))
                prove = gr.Button(t("train.prove"), size="md", elem_id="train-prove")
                proof = gr.Markdown(elem_id="train-proof")
            granted = gr.Markdown(elem_id="train-limits")
        with gr.Column(scale=7, min_width=320, elem_classes="shows"):
            view = runs.View(t, engine, kept, gpu)

    def begin_run(source: str, preset: str, budget: float, unit: str, changes: dict, over: str, kept: dict, request: gr.Request):
        visitor = str(kept.get("visitor") or files.token())
        tried = (over or "").split()
        if tried and gpu:
            raise gr.Error("over: where a GPU is lent for one call, one run is started at a time", title="", print_exception=False)
        if tried:
            started = widgets.told(train.start_each, source, preset, budget, unit, changes, tried, visitor)[1]
        else:
            started = [widgets.told(train.start, source, preset, budget, unit, changes, visitor, not gpu)]
        owned, id = {**dict(list(kept.get("owned", {}).items())[-50:]), **dict(started)}, started[0][0]
        begun = {
            view.kept: {**kept, "owned": owned, "last": id, "visitor": visitor},
            view.line: {"run": id, "says": words.say(request, "train.begun"), "seen": ""},
            view.picture: {},
        }
        return begun | view.emptied | {view.following: id}

    def own(title: str, name: str) -> gr.Dropdown:
        """The sets that can be chosen, with a visitor's own one chosen."""
        widgets.told(train.kind, name)  # what is no zip is not chosen
        return gr.Dropdown([*train.sources(), (title, name)], value=name)

    def choose(path: str | None):
        """Keeps an upload and chooses it."""
        if not path:
            return gr.skip()
        return own(Path(path).name, widgets.told(train.keep, path))

    def drawn(sketched: dict, request: gr.Request):
        """Chooses the points that were drawn."""
        return own(words.say(request, "sketch.title"), str(sketched.get("name", "")))

    def leave(id: str, now: dict):
        """Takes a run that has ended out of view; a live one stays."""
        return "" if now["id"] == id and now["state"] in (*jobs.ENDED, "gone") else gr.skip()

    def look(source: str, id: str):
        """Shows the chosen set where no run is in view."""
        if id:
            return {view.line: gr.skip()}
        sheet, says = widgets.told(train.look, source or "")
        return {view.picture: widgets.inline(sheet, says, "image/png"), view.line: says} | view.emptied

    def arrive(id: str, kept: dict, request: gr.Request):
        """What this server grants, and the runs that the visitor may open."""
        limits = {name: f"{value:,.10g}" for name, value in jobs.Limits.told().model_dump().items()}
        found = [(runs.title(seen, request), seen.id) for seen in jobs.listed(str(kept.get("visitor") or ""))[:100]]
        shown = gr.Dropdown(found, value=id if id in [one for _, one in found] else None, visible=bool(found))
        return shown, words.say(request, "train.limits", **limits)

    def prove_it(preset: str, request: gr.Request):
        found = widgets.told(run_api.check, preset, 12, 5)
        says = words.say(request, "train.proof.same" if found["same"] else "train.proof.differ")
        return f"{says}\n\n`{found['straight']}`\n\n`{found['paused']}`"

    def settle(chosen: str, now: str, request: gr.Request):
        """What belongs to a preset that has been chosen: its own set, where it has one, and the ways to break it, none of them taken."""
        ways = [(words.say(request, f"train.break.{way or 'none'}"), way) for way in ("", *model.breakages(chosen))]
        return gr.Dropdown(ways, value=""), _moved(train.fitting(chosen, now), now), {}

    quiet = runs.QUIET
    check = {**quiet, "show_progress": "full", "show_progress_on": [proof], "concurrency_limit": 1, "concurrency_id": "check"}
    prove.click(prove_it, preset, proof, **check)
    waited: dict[str, Any] = {"show_progress_on": [view.picture], **quiet, "show_progress": "full"}
    uploaded = upload.upload(choose, upload, source, **waited)
    sketch.release(drawn, sketch, source, **quiet)
    show = {"fn": look, "inputs": [source, view.following], "outputs": [view.picture, view.line, *view.emptied], **waited}
    looked = source.change(leave, [view.following, view.known], view.following, **widgets.LIVE).then(**show)
    source.change(lambda chosen, now: _moved(widgets.told(train.suited, chosen or "", now), now), [source, preset], preset, **quiet)
    opened = place.select(**{**view.poll, "fn": view.follow_anew}, **widgets.LIVE).then(**show)
    place.select(arrive, [view.following, view.kept], [others, granted], **quiet)
    others.focus(arrive, [view.following, view.kept], [others, granted], **quiet)
    others.input(lambda id: id, others, view.following, **quiet).then(**{**view.poll, "fn": view.follow_anew}, **widgets.LIVE)
    begun = begin.click(
        begin_run,
        [source, preset, budget, unit, changes, over, view.kept],
        [view.kept, view.line, view.picture, *view.emptied, view.following],
        cancels=[uploaded, looked, opened],  # else a set that was still being read would take the run's place
        **quiet,
    )
    begun.success(None, view.kept, None, js="(runs) => { history.replaceState(null, '', `?run=${runs.last}`); }", **quiet).then(
        **view.poll, **widgets.LIVE
    )
    view.drive(begun)
    view.wire()
    form = [source, preset, budget, unit, changes, over]
    tell.update(fn=_line(train), inputs=form, outputs=command, **widgets.LIVE)
    gr.on([source.change, budget.change, unit.change, over.change], **tell)
    preset.change(settle, [preset, source], [broken, source, changes], **quiet).then(**tell)
    broken.input(lambda chosen, how: model.breakages(chosen).get(how, {}), [preset, broken], changes, **quiet).then(**tell)
    _endpoints(train)
    view.moments.endpoints()
    return view


def _moved(to: str, now: str):
    """A choice to make in a visitor's place; none where it is made already: what was chosen meanwhile stays."""
    return gr.skip() if to == now else to


def _fields(chosen: str, begun: dict[str, Any], changes: gr.State, t: gr.I18n, tell: dict[str, Any]) -> None:
    """The settings of a preset, those of `begun` with other values to begin with; a changed one goes into `changes`, one set back to the
    preset's value goes out, and then `tell` is run."""
    found = {s.name: s for s in model.settings(model.plan(chosen)) if s.name not in ASKED}

    def show(names: list[str]) -> None:
        with gr.Column(elem_classes="fields"):
            for name in names:
                shown = widgets.field(replace(found[name], default=begun.get(name, found[name].default)), name)

                def note(now: Any, noted: dict, name: str = name, preset_value: Any = found[name].default) -> dict:
                    return {k: v for k, v in noted.items() if k != name} | ({} if now == preset_value or now is None else {name: now})

                shown.change(note, [shown, changes], changes, show_progress="hidden", queue=False, api_visibility="private").then(**tell)

    show([n for n in FIRST_SHOWN if n in found])
    with gr.Accordion(t("train.all"), open=False, elem_classes="fold"):
        show([n for n in found if n not in FIRST_SHOWN])


def _line(train: Train):
    def line(source: str, preset: str, budget: float, unit: str, changes: dict, over: str) -> str:
        try:
            # a field that is being cleared or chosen anew comes as None
            source, preset, changes, tried = source or "", preset or "", changes or {}, (over or "").split()
            told = runs.again(train.plan(source, preset, budget, unit, changes))
            if tried:
                train.grid(source, preset, budget, unit, changes, tried)
                told = " ".join([told.replace("aigc train", "aigc sweep", 1), *(f"--over {shlex.quote(text)}" for text in tried)])
            return told
        except (ValueError, OSError) as error:
            return f"# {widgets.sentence(error)}".replace("\n", "\n# ")

    return line


def _settings(text: str) -> dict[str, Any]:
    return widgets.values(text, dict, "settings: not a JSON object of names and values")


def _visitor(told: str, request: gr.Request) -> str:
    return str(told or (request.client.host if request.client else "nowhere"))


def _endpoints(train: Train) -> None:
    """What gradio_client and MCP call for all that the tab does."""

    def train_presets() -> list[str]:
        """List the presets that can be trained, as family:preset."""
        return list(model.presets())

    def train_settings(preset: str) -> list[dict]:
        """List the settings of a preset with their values, limits and help.

        Args:
            preset: family:preset, as train_presets gives it.
        """
        return [vars(s) for s in model.settings(widgets.told(model.plan, preset)) if "." in s.name]

    def train_start(
        request: gr.Request,
        preset: str,
        data: str = "digits",
        budget: float = 1.0,
        unit: str = "minutes",
        settings: str = "{}",
        visitor: str = "",
    ) -> dict:
        """Start training; returns the run's id, which lets anyone watch it, and its owner's token, which alone may change it.

        Args:
            preset: family:preset, as train_presets gives it.
            data: a built-in set's name, as data_sources gives it, or what data_upload returned.
            budget: how long, in the unit.
            unit: epochs, steps or minutes.
            settings: a JSON object of changed settings, such as {"model.latent": 64}.
            visitor: a secret of the caller's own that is the same for all runs; turns go round among visitors. Without one, those at one
                address are one visitor.
        """
        visitor = _visitor(visitor, request)
        id, owner = widgets.told(train.start, data, preset, budget, unit, _settings(settings), visitor)
        return {"id": id, "owner": owner, "visitor": visitor}

    def train_sweep(
        request: gr.Request,
        preset: str,
        over: str,
        data: str = "digits",
        budget: float = 1.0,
        unit: str = "minutes",
        settings: str = "{}",
        visitor: str = "",
    ) -> dict:
        """Start a training for each combination of some values; returns their group in runs_list, and each run's id and owner.

        Args:
            preset: family:preset, as train_presets gives it.
            over: what to try, such as "train.lr=1e-4,2e-4 model.latent=16,64".
            data: a built-in set's name, as data_sources gives it, or what data_upload returned.
            budget: how long each, in the unit.
            unit: epochs, steps or minutes.
            settings: a JSON object of changed settings, the same for all.
            visitor: as train_start takes it.
        """
        visitor = _visitor(visitor, request)
        group, started = widgets.told(train.start_each, data, preset, budget, unit, _settings(settings), (over or "").split(), visitor)
        return {"group": group, "runs": [{"id": id, "owner": owner} for id, owner in started], "visitor": visitor}

    def data_sources() -> list[dict]:
        """List the sets that can be trained on."""
        return [{"name": s.name, "title": s.title, "licence": s.licence, "url": s.url} for s in data.sources()] + [
            {"name": n, "title": n} for n in train.extra
        ]

    def data_upload(zip: str) -> str:
        """Keep an uploaded zip of pictures, sounds or texts (subfolders are classes), or a text; returns the name that train_start takes as
        its data.

        Args:
            zip: the file: .zip, .txt, .csv or .jsonl.
        """
        return widgets.told(train.keep, zip)

    def data_points(points: str) -> str:
        """Keep points of the plane as a set; returns the name that train_start takes as its data.

        Args:
            points: a JSON list of [x, y], each within -5 to 5 to look best.
        """
        return widgets.told(train.sketch, widgets.values(points, list, "points: not a JSON list"))["name"]

    def data_look(source: str) -> str:
        """A sheet of the first pictures of a set.

        Args:
            source: a set's name.
        """
        return widgets.served(widgets.told(train.look, source)[0], "data.png")

    for function in (train_presets, train_settings, train_start, train_sweep, data_sources, data_points):
        gr.api(function, api_name=function.__name__, queue=False)
    run_api.endpoints()
    widgets.endpoint(data_look, gr.Image(visible=False))
    dropped = gr.File(visible=False, file_types=UPLOADS, type="filepath")
    gr.Button(visible=False).click(data_upload, dropped, gr.Textbox(visible=False), api_name="data_upload")
