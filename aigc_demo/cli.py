"""The command line: everything that the page does, over the same code.

Exit codes: 0 done, 1 failed while at work, 2 a setting or a name that cannot be used, 130 stopped by Ctrl-C with what was learnt kept."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from . import __version__

app = typer.Typer(name="aigc", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


UsageError = typer.BadParameter.__bases__[0]  # click's, wherever this typer keeps it


class Format(str, Enum):
    """What a checkpoint is exported as."""

    onnx = "onnx"
    page = "page"


def main() -> None:
    """Runs the command line; an error of ours is one sentence on stderr, never a traceback."""
    try:
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except UsageError as error:
        _fail(error.format_message(), 2)
    except typer.Abort:
        _fail("stopped", 130)
    except Exception as error:
        if not _ours(error):  # a defect of the program: show where
            raise
        _fail(str(error), 2 if isinstance(error, ValueError) else 1)


def _ours(error: Exception) -> bool:
    return type(error).__module__.startswith(__package__)


def _fail(sentence: str, code: int) -> None:
    lines = sentence.splitlines() or [""]
    typer.echo("\n".join(f"aigc: {line}" for line in lines), err=True)
    sys.exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aigc {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _all(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version and end.")] = False,
) -> None:
    """A studio for small generative models: train, explore and show them, in a browser (aigc demo) or right here."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def demo(
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 is open to the network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port.")] = 7860,
    data: Annotated[list[Path] | None, typer.Option(help="A folder or zip of pictures that visitors may train on; repeatable.")] = None,
    mcp: Annotated[bool, typer.Option("--mcp", help="Also serve the actions as MCP tools (needs the extra `mcp`).")] = False,
) -> None:
    """Open the studio in a browser."""
    from . import studio
    from .config import ConfigError

    for path in data or []:
        if not path.exists():
            raise ConfigError(f"--data: {path} does not exist")
    folders = {path.resolve().name: str(path.resolve()) for path in data or []}
    studio.launch(studio.build(folders=folders), server_name=host, server_port=port, mcp_server=mcp)


@app.command()
def train(
    preset: Annotated[str, typer.Argument(help="family:preset, such as gan:dcgan; `aigc list --presets` names them all.")] = "",
    data: Annotated[str, typer.Option(help="A built-in set's name, or a folder or zip of pictures or clips.")] = "",
    epochs: Annotated[float | None, typer.Option(min=0, help="Train for so many passes over the data.")] = None,
    steps: Annotated[float | None, typer.Option(min=0, help="Train for so many steps.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Train for so many minutes.")] = None,
    set: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a setting, such as model.latent=64; repeatable.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Every draw of the run follows from it.")] = None,
    name: Annotated[str, typer.Option(help="The run's name.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "",
    resume: Annotated[str, typer.Option(metavar="RUN", help="Go on with this run from its last save.")] = "",
    from_: Annotated[
        str, typer.Option("--from", metavar="CHECKPOINT", help="Fine-tune it on --data: its settings, a tenth of its rate, early stopping.")
    ] = "",
    to: Annotated[Path | None, typer.Option(help="Also put the finished checkpoint into this folder.")] = None,
    settings: Annotated[bool, typer.Option("--settings", help="Show the settings with their limits, and train nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a progress bar.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
    server: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Train a model; Ctrl-C stops it and keeps what it learnt."""
    from . import files, jobs
    from .config import ConfigError

    rank = int(os.environ.get("RANK", 0))
    if resume:
        if preset or set or from_ or data or name or device or settings or any(v is not None for v in (epochs, steps, minutes, seed)):
            raise ConfigError("--resume: goes on with the run as it was; leave out the preset and the settings")
        folder = jobs.find(resume)
    else:
        from . import model

        tuned = {}
        if from_:
            if preset:
                raise ConfigError("--from: goes on with the checkpoint's own preset; leave the preset out")
            preset, tuned = _tuned(from_)
        if not preset:
            raise ConfigError(f"name a preset: {', '.join(model.presets())}")
        given = {"data.source": data, "name": name or (to.name if to else ""), "device": device, "seed": seed}
        budgets = {"epochs": epochs, "steps": steps, "minutes": minutes}
        run = _placed(model.plan(preset, tuned | _changes(set or [], budgets, given)))
        if settings:
            return _settings(run)
        folder = jobs.create(run) if rank == 0 else files.runs() / f".rank-{rank}"
    if rank:
        _work(jobs.read(folder) if resume else run, folder, lambda: "", True, False)
        return
    if to and to.exists() and not (to / "config.json").is_file():
        raise ConfigError(f"--to: {to} exists and is not a checkpoint")
    orders = jobs.Orders(folder, jobs.Limits.told(), server)
    orders.listen()
    with jobs.own(folder):
        end = _train(folder, orders, quiet, as_json)
        made = folder / "checkpoint"
        if to and (made / "config.json").exists():
            from . import checkpoint

            made = checkpoint.copy(checkpoint.read(made), to).path
    if not (quiet or as_json):
        typer.echo(f"{end}: {made}\ngo on: aigc train --resume {folder.name}\nsample: aigc sample {folder.name} --n 64 -o grid.png")
    if orders.signalled:
        raise typer.Exit(130)


def _train(folder: Path, orders, quiet: bool, as_json: bool) -> str:
    """Trains the run in `folder`, which this process owns, until its budget or its orders end it; returns the state it ended in."""
    from . import jobs

    try:
        if orders.server:  # a run of the page: whoever explores comes first
            jobs.yield_to_others()
        else:  # a stop that the page asked for while its child was still starting counts; an older one does not
            (folder / jobs.STOP).unlink(missing_ok=True)
        with jobs.turn(folder, orders) if orders.server else contextlib.nullcontext("") as end:
            while not end:
                orders.begin()
                jobs.report(folder, "starting", "The data is being read.")
                end = _work(jobs.read(folder), folder, orders, quiet, as_json)
                if end == jobs.AGAIN:
                    orders.heed()
                    alone = int(os.environ.get("WORLD_SIZE", 1)) == 1
                    end = "" if alone else "paused"  # the other processes have ended
        jobs.report(folder, end, orders.says or "Done.")
    except (ValueError, RuntimeError, OSError) as error:
        with contextlib.suppress(OSError):
            jobs.report(folder, "failed", str(error) if _ours(error) else f"{type(error).__name__}: {error}")
        raise
    return end


@app.command(name="runs")
def runs_(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """List the runs, the newest first: those of the command line and those of the page."""
    from . import jobs

    rows = [
        {
            "id": seen.id,
            "name": seen.run.name,
            "preset": f"{seen.run.family}:{seen.run.preset}",
            "data": seen.run.data.source,
            "state": seen.state,
            "step": seen.points[-1]["step"] if seen.points else 0,
            "saved": seen.saved,
            "says": seen.says,
        }
        for seen in jobs.listed()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    elif not rows:
        typer.echo("no runs yet: aigc train vae:conv --data digits --minutes 1")
    for row in rows if not as_json else []:
        typer.echo(f"{row['id']:<32} {row['preset']:<14} {row['state']:<11} step {row['step']:>9,}  {row['name']}")


Id = Annotated[str, typer.Argument(metavar="RUN", help="The run's name or id; `aigc runs` lists them.")]


@app.command()
def stop(run: Id) -> None:
    """Ask a run at work to stop and keep what it learnt."""
    from . import jobs

    jobs.stop(run, jobs.HERE)


@app.command()
def pause(run: Id) -> None:
    """Ask a run at work to save its whole state and end; `aigc train --resume` goes on as if it had never been paused."""
    from . import jobs

    jobs.pause(run, jobs.HERE)


@app.command()
def extend(
    run: Id,
    amount: Annotated[float, typer.Argument(help="How much longer it trains.")],
    unit: Annotated[str, typer.Option(help="steps, epochs or minutes; the run's own when not said.")] = "",
) -> None:
    """Let a run train longer; one at work goes on by it."""
    from . import jobs

    longer = jobs.extend(run, jobs.HERE, amount, unit)
    on = "it goes on" if jobs.live(jobs.find(run)) else f"go on: aigc train --resume {run}"
    typer.echo(f"{run} trains for {longer.train.budget:g} {longer.train.unit} in all; {on}")


@app.command()
def rename(run: Id, name: Annotated[str, typer.Argument(help="Letters, digits, '.', '_' and '-'.")]) -> None:
    """Give a run another name; its id stays."""
    from . import jobs

    jobs.rename(run, jobs.HERE, name)


@app.command()
def delete(run: Id) -> None:
    """Delete a run that is not at work, with all that it learnt."""
    from . import jobs

    jobs.delete(run, jobs.HERE)


@app.command(name="resume-check")
def resume_check(
    preset: Annotated[str, typer.Argument(help="family:preset, such as gan:tiny.")],
    steps: Annotated[int, typer.Option(min=2, max=10_000, help="How many steps to train.")] = 20,
    at: Annotated[int, typer.Option(min=1, help="The step to pause after; within an epoch or at its end.")] = 7,
    data: Annotated[str, typer.Option(help="A built-in set's name, or a folder or zip; by default the preset's own.")] = "",
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    aside: Annotated[bool, typer.Option("--aside", hidden=True)] = False,
) -> None:
    """Train straight, and again with a pause, and show that both end with the same weights and optimizer, bit by bit.

    On a CPU they are the same for every family, at any step. A GPU sums in no fixed order: there any two runs differ in the last bits of a
    step, and training spreads them. So a second straight run is trained there, and a paused one may end twice as far from the first.

    Exit code 1 where they differ by more than that."""
    from . import jobs, model, trainer
    from .config import ConfigError

    if at >= steps:
        raise ConfigError(f"--at: {at} is not before step {steps}, where the run ends")
    if aside:
        jobs.yield_to_others()
    changes = {"data.limit": 5000, "device": device, "train.budget": steps, "train.unit": "steps"} | ({"data.source": data} if data else {})
    found = trainer.resume_check(model.plan(preset, changes), at)
    if as_json:
        typer.echo(json.dumps({"preset": preset, "steps": steps, "at": at, **found._asdict(), "same": found.same}))
    else:
        typer.echo(f"straight, {steps} steps:    {found.straight}\npaused after step {at}: {found.paused}")
        within = f", {found.apart:.2g} apart of their length, at most {found.allowed:.2g} here" if found.apart else ""
        typer.echo(f"{'the same' if found.same else 'NOT the same'}{within}")
    if not found.same:
        raise typer.Exit(1)


def _changes(settings: list[str], budgets: dict[str, float | None], given: dict[str, Any]) -> dict[str, Any]:
    """The changes to a preset that the flags ask for, as model.plan takes them. Raises ConfigError."""
    from .config import ConfigError

    changes: dict[str, Any] = {}
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting}: write it as NAME=VALUE, such as model.latent=64")
        changes[path.strip()] = value.strip()
    asked = {unit: value for unit, value in budgets.items() if value is not None}
    if len(asked) > 1:
        raise ConfigError(f"--{' and --'.join(asked)}: give one of them")
    for unit, value in asked.items():
        changes |= {"train.budget": value, "train.unit": unit}
    return changes | {k: v for k, v in given.items() if v not in ("", None)}


def _tuned(name: str) -> tuple[str, dict[str, Any]]:
    """The preset of a checkpoint, and the changes to it of a run that fine-tunes it. Raises CheckpointError."""
    from . import checkpoint as checkpoints

    found = checkpoints.find(name, anywhere=True)
    known = found.manifest.run
    learnt = {f"model.{k}": v for k, v in known.model.items()} | {"data.size": known.data.size}
    learnt |= {f"train.{k}": getattr(known.train, k) for k in ("batch", "ema", "clip", "weight_decay")}
    at = str(found.path.absolute()) if Path(name).exists() else name
    return found.preset, {**learnt, "base": at, "train.lr": known.train.lr / 10, "train.patience": 3, "train.marks": 20}


def _placed(run):
    """`run` with the folder or zip that it learns from as an absolute path, so that it goes on from any folder."""
    from . import data

    source = Path(run.data.source)
    if run.data.source in {s.name for s in data.sources()} or not source.exists():
        return run
    return run.model_copy(update={"data": run.data.model_copy(update={"source": str(source.absolute())})})


def _settings(run) -> None:
    from .model import settings

    for spec in settings(run):
        if "." in spec.name:  # the others have flags of their own
            typer.echo(f"{spec.name}={spec.default}  {spec.help}" + (f" ({spec.limits})" if spec.limits else ""))


def _work(run, folder: Path, stop: Callable[[], str], quiet: bool, as_json: bool) -> str:
    """Trains in `folder` and tells the screen and the watchers; returns how it ended."""
    import time

    from . import jobs, trainer

    main, told, end, last = int(os.environ.get("RANK", 0)) == 0, 0.0, "", ""
    before: dict[str, list[float]] = {}  # of a fine-tuned model, on what it knew first: at the start and now
    with _bar(quiet or as_json or not main) as show:
        for seen in trainer.record(run, folder, stop, lambda done, of: show(0, f"reading {done:,} of {of:,}")):
            end = seen.end
            for k, v in seen.terms.items():
                if k.startswith("first "):
                    before[k] = [before.get(k, [v])[0], v]
            if isinstance(stop, jobs.Orders):
                stop.reached(seen.step)
            terms = "  ".join(f"{k} {v:.4g}" for k, v in seen.terms.items() if not k.startswith("held-out"))
            show(seen.done, f"step {seen.step:,}  {seen.rate:,.0f} items/s  {terms}")
            last = f"{seen.says} " if seen.says else last
            if as_json and main:
                typer.echo(
                    json.dumps(
                        {
                            "step": seen.step,
                            "done": seen.done,
                            "seconds": seen.seconds,
                            "rate": seen.rate,
                            "terms": seen.terms,
                            "end": seen.end,
                        }
                    )
                )
            if main and (time.monotonic() - told > 1 or end):
                left = "" if seen.left is None else f", about {_span(seen.left)} left"
                jobs.report(folder, "running", f"{last}Step {seen.step:,}, {seen.rate:,.0f} items a second{left}.", left=seen.left)
                told = time.monotonic()
    for k, (first, now) in before.items() if main and not (quiet or as_json) else ():
        typer.echo(f"on held-out items of what it learnt first: {k.removeprefix('first ')} {first:.4f} before, {now:.4f} after")
    return end


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextlib.contextmanager
def _bar(hidden: bool) -> Iterator[Callable[[float, str], None]]:
    """Gives `show(share done, text)`: a progress bar on stderr where that is a terminal, or nothing."""
    if hidden or not sys.stderr.isatty():
        yield lambda done, text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda done, text: bar.update(task, completed=done, description=text)


@app.command()
def health(
    run: Annotated[str, typer.Argument(help="The run.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say how a run fares in one word, with what was measured."""
    from . import jobs
    from .evaluation.health import BOUNDS, verdict

    found = verdict(jobs.watch(run).points)
    if as_json:
        evidence = [vars(e) for e in found.evidence]
        typer.echo(json.dumps({"word": found.word, "since": found.since, "well": found.well, "evidence": evidence}))
        return
    typer.echo(f"{found.word}, since step {found.since:,}" + (f"; it was well at step {found.well:,}" if found.well is not None else ""))
    for e in found.evidence:
        why = f": {BOUNDS[e.what].why}" if e.what in BOUNDS else ""
        typer.echo(f"  {e.what} {e.value:.3g}, bound {e.bound:.3g}{why}")


@app.command()
def rewind(
    run: Annotated[str, typer.Argument(help="The run; it must not be at work.")],
    step: Annotated[int | None, typer.Option(min=0, help="Go back to the newest state up to this step instead.")] = None,
    lr: Annotated[float, typer.Option(min=0, help="The learning rate from there on; 0 leaves it.")] = 0.0,
) -> None:
    """Take a run back to its last healthy state; what came later is cut off."""
    from . import jobs
    from .evaluation.health import verdict

    if step is None:
        found = verdict(jobs.watch(run).points)
        if found.well is None:
            raise jobs.JobError(f"the run is {found.word}: there is no healthier state before it; name a step with --step")
        step = found.well
    typer.echo(f"rewound to step {jobs.rewind(run, jobs.HERE, step, lr):,}\ngo on: aigc train --resume {run}")


@app.command()
def sample(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint's name or folder, or a run's name; none where --recipe names it.")] = "",
    n: Annotated[int, typer.Option("--n", min=1, max=1_000_000, help="How many.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same samples.")] = 0,
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A picture that this program wrote: draws it again, and nothing else.")
    ] = None,
    index: Annotated[int, typer.Option(min=0, help="The first sample's number within the seed.")] = 0,
    out: Annotated[Path, typer.Option("-o", "--out", help="A .png for one sheet, else a folder for one file a sample.")] = Path("grid.png"),
    label: Annotated[str, typer.Option("--class", help="A class's name or number, where the model is conditional.")] = "",
    slider: Annotated[
        list[str] | None, typer.Option("--slider", metavar="K=AMOUNT", help="Move along direction K (from 1); repeatable.")
    ] = None,
    number: Annotated[
        list[str] | None, typer.Option("--number", metavar="K=VALUE", help="Set number K (from 1) of the latent; repeatable.")
    ] = None,
    place: Annotated[str, typer.Option(metavar="X,Y", help="The latent at this place of the seed's endless lattice.")] = "",
    set: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A sampling setting, such as truncation=0.7; repeatable.")
    ] = None,
    columns: Annotated[int, typer.Option(min=1, max=1000, help="Pictures in a row of the sheet.")] = 8,
    device: Annotated[str, typer.Option(help="cpu, cuda or mps; the last bits of a picture may differ from one to another.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Say what was made as JSON.")] = False,
) -> None:
    """Draw samples from a checkpoint."""
    from . import checkpoint as checkpoints, engine, files
    from .config import ConfigError

    if recipe is not None:
        _again(recipe, checkpoint, out, as_json)
        return
    if not checkpoint:
        raise ConfigError("checkpoint: name one (aigc list shows them), or a file with --recipe")
    found = checkpoints.find(checkpoint, anywhere=True)
    chosen = _label(found, label)
    own = f".{found.modality.suffix}"
    if out.suffix and out.suffix.lower() not in ((".png", own) if n == 1 else (".png",)):
        raise ConfigError(f"--out: {out} is neither a .png nor a folder" + (f", nor one {own} file" if own != ".png" else ""))
    moves = {k - 1: v for k, v in _pairs("--slider", slider)}
    where = tuple(_numbers("--place", place, float)) if place else None
    kind = engine.Engine(device=device)
    sampling = _sampling(kind, found, set)
    requests = [
        engine.Request(
            found.name,
            seed,
            index + i,
            tuple(moves.get(k, 0.0) for k in range(max(moves, default=-1) + 1)),
            {k - 1: v for k, v in _pairs("--number", number)},
            chosen,
            sampling,
            where,
        )
        for i in range(n)
    ]
    made = []
    with _bar(as_json or n <= 256) as show:
        for i in range(0, n, 256):
            made += kind.draw(requests[i : i + 256], name=found)
            show(len(made) / n, f"{len(made):,} of {n:,}")
    if out.suffix:
        files.write_whole(out, kind.file(made[0]) if n == 1 and out.suffix.lower() == own else kind.sheet(made, columns))
    else:
        for s in made:
            files.write_whole(out / f"{s.request.seed}-{s.request.index:06d}{own}", kind.file(s))
    typer.echo(
        json.dumps({"out": str(out), "n": n, "seed": seed, "checkpoint": found.name, "digest": found.digest})
        if as_json
        else f"{n} from {found.name}: {out}"
    )


@app.command()
def walk(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint's name or folder, or a run's name.")],
    seeds: Annotated[str, typer.Option(metavar="A,B,...", help="The seeds to walk through, in their order.")] = "1,2,3",
    key: Annotated[
        list[Path] | None, typer.Option(metavar="PICTURE", help="Instead walk through pictures of this checkpoint; repeatable.")
    ] = None,
    slider: Annotated[int, typer.Option(min=0, help="Instead walk along direction K (from 1) of the first, there and back.")] = 0,
    frames: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 60,
    fps: Annotated[int, typer.Option(min=1, help="Pictures a second, at most 60 (a gif: 50).")] = 30,
    way: Annotated[str, typer.Option(help="arc (at the radius of what the model was trained on) or line.")] = "arc",
    loop: Annotated[bool, typer.Option("--loop", help="Come back to the first.")] = False,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="A .mp4 (needs the extra `film`), .gif or .webp; of sounds also a .wav, clip after clip.")
    ] = Path("walk.webp"),
    label: Annotated[
        str, typer.Option("--class", help="A class's name or number, where the model is conditional; or one for each seed, with commas.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Say what was made as JSON.")] = False,
) -> None:
    """Write a walk through the latents of seeds, or of pictures, as a film."""
    from dataclasses import replace

    from . import checkpoint as checkpoints, engine, files
    from .config import ConfigError
    from .exploration import walks

    found = checkpoints.find(checkpoint, anywhere=True)
    labels = [_label(found, word) for word in label.split(",")]
    keys = [engine.Request(found.name, seed, label=labels[i % len(labels)]) for i, seed in enumerate(_numbers("--seeds", seeds, int))]
    if key:
        recalled = [(path, *_recalled(path)) for path in key]
        for path, _, told in recalled:
            if told.get("digest") != found.digest:
                raise ConfigError(f"--key {path}: was not drawn by {found.name} as it is now")
        keys = [replace(request, checkpoint=found.name) for _, request, _ in recalled]
    if slider:
        keys, way, loop = walks.along(keys[0], slider - 1), "line", True
    data = walks.film(engine.Engine(), keys, frames, fps, out.suffix.lower().removeprefix("."), way, loop, found)
    files.write_whole(out, data)
    said = {"out": str(out), "frames": frames, "fps": fps, "bytes": len(data), "checkpoint": found.name, "digest": found.digest}
    typer.echo(json.dumps(said) if as_json else f"{frames} pictures of {found.name}, {frames / fps:.1f} s: {out}")


@app.command()
def mix(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint whose latent has several layers: its name or folder, or a run's name.")],
    coarse: Annotated[str, typer.Option(metavar="A,B,...", help="The seeds of the rows, whose first layers are taken.")] = "1,2,3",
    fine: Annotated[str, typer.Option(metavar="A,B,...", help="The seeds of the columns, whose other layers are taken.")] = "4,5,6",
    level: Annotated[int, typer.Option(help="How many layers are the first ones.")] = 1,
    out: Annotated[Path, typer.Option("-o", "--out", help="The .png to write.")] = Path("mix.png"),
    label: Annotated[str, typer.Option("--class", help="A class's name or number, where the model is conditional.")] = "",
) -> None:
    """Write a table of mixtures: what is drawn at large of one seed, and how of another."""
    from . import checkpoint as checkpoints, engine, files
    from .exploration import walks

    found = checkpoints.find(checkpoint, anywhere=True)
    here = engine.Request(found.name, label=_label(found, label))
    sides = [_numbers(name, seeds, int) for name, seeds in (("--coarse", coarse), ("--fine", fine))]
    files.write_whole(out, walks.mixtures(engine.Engine(), here, *sides, level, found))
    typer.echo(f"{len(sides[0])} x {len(sides[1])} mixtures of {found.name}: {out}")


@app.command()
def edit(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint of a flow or a diffusion: its name or folder, or a run's name.")],
    picture: Annotated[Path, typer.Argument(help="A picture file.")],
    mask: Annotated[Path | None, typer.Option(metavar="FILE", help="Redraw only where this picture is white; the rest stays.")] = None,
    strength: Annotated[float, typer.Option(help="How far to noise it before it is brought back: above 0, at most 1.")] = 0.5,
    denoise: Annotated[float, typer.Option(min=0, help="Instead take off noise of this deviation, in levels of 255.")] = 0.0,
    out: Annotated[Path, typer.Option("-o", "--out", help="The .png to write.")] = Path("edited.png"),
    label: Annotated[str, typer.Option("--class", help="A class's name or number to redraw it as, where the model is conditional.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Say what was made as JSON.")] = False,
) -> None:
    """Redraw a picture, or the masked part of it, in a model's own manner; or take noise off it."""
    from . import checkpoint as checkpoints, engine, files
    from .config import ConfigError
    from .exploration import edits

    found = checkpoints.find(checkpoint, anywhere=True)
    read = [None if path is None else _bytes(path) for path in (picture, mask)]
    if mask is not None and denoise:
        raise ConfigError("--mask: noise is taken off the whole picture; leave out --mask or --denoise")
    item, where, notes = edits.read(found, *read)
    asked, kind = engine.Request(found.name, seed, label=_label(found, label)), engine.Engine()
    made = edits.denoise(kind, asked, item, denoise, found) if denoise else edits.redraw(kind, asked, item, strength, where, found)
    files.write_whole(out, edits.file(found.modality, made))
    said = {"out": str(out), "changed": made.changed, "psnr": made.psnr, "notes": notes, "checkpoint": found.name, "digest": found.digest}
    text = f"{picture.name} by {found.name}: {made.changed:.0%} of its pixels changed, {made.psnr:.1f} dB to what it was: {out}"
    typer.echo(json.dumps(said) if as_json else "\n".join([text, *(f"  {note}" for note in notes)]))


@app.command()
def invert(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint's name or folder, or a run's name.")],
    picture: Annotated[Path, typer.Argument(help="A picture file, or a sound of a model of sounds.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write the model's match to this file (match.png or .wav), which holds its recipe.")
    ] = None,
    label: Annotated[str, typer.Option("--class", help="A class's name or number; without it every class is tried.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Where the search begins, where there is no encoder.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Say what was found as JSON.")] = False,
) -> None:
    """Find the latent from which a checkpoint draws a given picture most nearly, or makes a given clip."""
    from . import checkpoint as checkpoints, engine, files
    from .exploration import inversion

    found = checkpoints.find(checkpoint, anywhere=True)
    item, notes = _picture(picture, found)
    kind = engine.Engine()
    with _bar(as_json) as show:
        asked = engine.Request(found.name, seed, label=_label(found, label))
        match = inversion.invert(kind, asked, item, lambda done, _: show(done, "descending"), found)
    out = out or Path(f"match.{found.modality.suffix}")
    files.write_whole(out, kind.file(engine.Sample(match.item, match.request, found.digest)))
    said = {"out": str(out), "rmse": match.rmse, "psnr": match.psnr, "seconds": match.seconds, "encoded": match.encoded, "notes": notes}
    classes = found.manifest.classes
    drawn = "" if match.request.label is None else f", drawn as {classes[match.request.label]}"
    typer.echo(
        json.dumps({**said, "request": match.request.recipe(found.digest)})
        if as_json
        else "\n".join([*notes, f"off by {match.rmse:.1f} of 255 levels ({match.psnr:.1f} dB){drawn}, {match.seconds:.1f} s: {out}"])
    )


@app.command()
def restore(
    checkpoint: Annotated[str, typer.Argument(help="The name or folder of an autoencoder's checkpoint, or of its run.")],
    pictures: Annotated[list[Path], typer.Argument(help="Picture files.")],
    noise: Annotated[str, typer.Option(help="gaussian, masking or salt-and-pepper; none where there is some already.")] = "gaussian",
    amount: Annotated[float, typer.Option(min=0, max=1, help="How much of it.")] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same noise.")] = 0,
    out: Annotated[Path, typer.Option("-o", "--out", help="A .png: the pictures, with the noise, and restored, a row each.")] = Path(
        "restored.png"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Say what was made as JSON.")] = False,
) -> None:
    """Put noise on pictures and take it off again with an autoencoder."""
    import statistics

    from . import checkpoint as checkpoints, engine, files
    from .config import ConfigError
    from .exploration import restoring

    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out: {out} is not a .png")
    found = checkpoints.find(checkpoint, anywhere=True)
    items = [_picture(path, found)[0] for path in pictures]
    made = restoring.restore(engine.Engine(), found, items, noise, amount, seed)
    files.write_whole(out, restoring.sheet(found, made, {"noise": noise, "amount": amount, "seed": seed, "restored": len(made)}))
    rows = [{"picture": str(path), "before": m.before, "after": m.after} for path, m in zip(pictures, made, strict=True)]
    if as_json:
        typer.echo(json.dumps({"out": str(out), "noise": noise, "amount": amount, "checkpoint": found.name, "psnr": rows}))
        return
    before, after = (statistics.fmean(row[k] for row in rows) for k in ("before", "after"))
    typer.echo(f"{len(rows)} pictures: {before:.1f} dB with the noise, {after:.1f} dB restored: {out}")


@app.command()
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint's name or folder, or a run's name.")],
    data: Annotated[str, typer.Option(help="A built-in set, whose test part is scored; the checkpoint's own where none is named.")] = "",
    samples: Annotated[int, typer.Option(min=1, max=1_000_000, help="Latents an item.")] = 5000,
    items: Annotated[int, typer.Option(min=2, help="Items that get all of them; the others get 50 and the mean difference.")] = 100,
    limit: Annotated[int, typer.Option(min=0, help="Score at most so many items, drawn by the seed; 0 is the whole test part.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Every draw follows from it.")] = 0,
    crops: Annotated[bool, typer.Option("--crops", help="Of a text: also nanoGPT's way of scoring, by 200 batches of 64 windows.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Tell how likely a model finds a test set (nats an item, by importance sampling), with its error and a trivial baseline.

    Of a text: nats a character of its held-out end, every character once, beside counting (a Kneser-Ney of the 5 characters before)."""
    from . import checkpoint as checkpoints, data as sets, engine
    from .config import Data, check
    from .evaluation import likelihood

    found, kind = checkpoints.find(checkpoint, anywhere=True), engine.Engine(device=device)
    if found.modality.kind == "text":
        _evaluate_text(found, kind, data, crops, seed, as_json)
        return
    source, modality = data or found.manifest.run.data.source, found.modality
    spec = check(Data, {"source": source, "size": modality.size, "channels": modality.channels}, "data.")
    test, train = sets.load(spec, seed, part="test").limit(limit, seed), sets.load(spec, seed)
    with _bar(as_json) as show:
        seen = likelihood.likelihood(kind, kind.warm(found), test, train, samples, items, seed, lambda done: show(done, "drawing"))
    if as_json:
        typer.echo(json.dumps({"checkpoint": found.name, "digest": found.digest, "data": source, **vars(seen)}))
        return
    part = "all of them" if seen.whole == seen.items else f"{seen.whole:,} of them (else 50, corrected: known to ± {seen.short:.2f})"
    typer.echo(f"-log p(x) = {seen.nats:.2f} ± {seen.error:.2f} nats: {seen.items:,} test items of {source}, {seen.protocol};")
    typer.echo(f"{seen.samples:,} importance samples for {part}; independent pixels: {seen.trivial:.2f} nats")


def _evaluate_text(found, kind, source: str, crops: bool, seed: int, as_json: bool) -> None:
    """Scores the held-out end of a text, the checkpoint's own where none is named, by the engine `kind`."""
    from . import data as sets
    from .evaluation import texts

    run = found.manifest.run
    spec = run.data.model_copy(update={"source": source}) if source else run.data
    warm = kind.warm(found)
    training, held = sets.load(spec, run.seed, given=found.modality).split(spec.validation or 0.1, run.seed)
    with _bar(as_json) as show:
        seen = texts.score(kind, warm, held.tokens, training.tokens, lambda done: show(done, "reading"))
        other = texts.crops(kind, warm, held.tokens, seed) if crops else None
    if as_json:
        facts = {"checkpoint": found.name, "digest": found.digest, "data": spec.source, **vars(seen)}
        typer.echo(json.dumps({**facts, "crops": other and vars(other)}))
        return
    typer.echo(f"{seen.nats:.4f} ± {seen.error:.4f} nats a character: {seen.characters:,} held-out ones of {spec.source}, {seen.protocol};")
    typer.echo(texts.beside(seen, found.name))
    if other:
        typer.echo(f"{other.nats:.4f} ± {other.error:.4f} nats a character by nanoGPT's way: {other.protocol}")


@app.command()
def write(
    checkpoint: Annotated[str, typer.Argument(help="A text model's checkpoint: its name or folder, or a run's name.")],
    prompt: Annotated[str, typer.Option(help="What the text begins with; \\n is a new line.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="The same seed writes the same text.")] = 0,
    index: Annotated[int, typer.Option(min=0, help="The text's number within the seed.")] = 0,
    set: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting, such as temperature=0.7 or length=500; repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Also write it to this .txt, with its recipe and its label.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say what was written as JSON.")] = False,
) -> None:
    """Write a text, token by token, and say how much of it was copied from what the model learnt from."""
    from . import checkpoint as checkpoints, engine, files
    from .evaluation import texts

    found, kind = checkpoints.find(checkpoint, anywhere=True), engine.Engine(device="cpu")
    sampling = {"prompt": prompt.replace("\\n", "\n"), **_sampling(kind, found, set)}
    request = engine.Request(found.name, seed, index, sampling=sampling)
    text = ""
    for piece in texts.pieces(kind, request, found):
        text += piece.text
        if not as_json:
            typer.echo(piece.text, nl=False)
    copied = texts.copied(kind.warm(found), text)
    if out:
        files.write_whole(out, kind.file(kind.draw([request], name=found)[0]))
    if as_json:
        facts = {"checkpoint": found.name, "digest": found.digest, "seed": seed, "sampling": sampling, "text": text}
        typer.echo(json.dumps({**facts, "copied": copied and copied[0], "window": copied and copied[1]}, ensure_ascii=False))
        return
    typer.echo("\n\n" + texts.told(copied))


@app.command()
def draw(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint that takes prompts: its name or folder, or a run's name.")],
    prompts: Annotated[list[str], typer.Argument(help="What is to be drawn; several make a sheet.")],
    toward: Annotated[str, typer.Option(help="A prompt to go to: draws the way to it from the first one.")] = "",
    stops: Annotated[int, typer.Option(min=2, help="With --toward: how many pictures.")] = 9,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same pictures.")] = 0,
    set: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting, such as guidance=3 or negative=red; repeatable.")
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The .png: of one picture, or a sheet.")] = Path("drawn.png"),
    as_json: Annotated[bool, typer.Option("--json", help="Say what was drawn as JSON.")] = False,
) -> None:
    """Draw pictures from words."""
    from . import checkpoint as checkpoints, engine, files
    from .config import ConfigError
    from .exploration import prompts as ways

    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out: {out} is not a .png")
    found, kind = checkpoints.find(checkpoint, anywhere=True), engine.Engine(device="cpu")
    ways.reads(kind, found)
    sampling = _sampling(kind, found, set)
    files.write_whole(out, ways.sheet(kind, engine.Request(found.name, seed, sampling=sampling), prompts, toward, stops, found))
    facts = {"out": str(out), "checkpoint": found.name, "digest": found.digest, "seed": seed, "prompts": prompts, "sampling": sampling}
    told = "; ".join(prompt or "no words" for prompt in prompts) + (f" → {toward}" if toward else "")
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else f"{told}: {out}")


@app.command()
def perplexity(
    checkpoint: Annotated[str, typer.Argument(help="A text model's checkpoint: its name or folder, or a run's name.")],
    text: Annotated[str, typer.Argument(help="The text, or - for what comes on the standard input.")] = "-",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Tell how well a model foretells a text, beside counting alone: nats a character, and among how many, all as likely, the next is."""
    from . import checkpoint as checkpoints, engine
    from .evaluation import texts

    found, kind = checkpoints.find(checkpoint, anywhere=True), engine.Engine(device="cpu")
    warm = kind.warm(found)
    seen, shown = texts.pasted(kind, warm, sys.stdin.read() if text == "-" else text)
    if as_json:
        facts = {"checkpoint": found.name, "digest": found.digest, **vars(seen), "perplexity": seen.perplexity, "tokens": shown}
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    typer.echo(f"{seen.nats:.4f} nats a character over {seen.characters:,}: as if the next one were among {seen.perplexity:.1f} alike.")
    typer.echo(texts.beside(seen, found.name))


def _sampling(kind, found, settings: list[str] | None) -> dict[str, Any]:
    """What --set says of a checkpoint's sampling, by the setting's name. Raises ConfigError."""
    from .config import parse

    pairs = (setting.partition("=") for setting in settings or [])
    return {field: parse(kind.warm(found).model.Sampling, field, value, "sampling.") for field, _, value in pairs}


def _picture(path: Path, found):
    """A file's item as the checkpoint's set frames its pictures, and what was done to it. Raises ConfigError and DataError."""
    from .data import framing

    return framing.framed(_bytes(path), found.modality, found.manifest.run.data.source)


def _again(recipe: Path, checkpoint: str, out: Path, as_json: bool) -> None:
    """Draws what the recipe inside a file asks for, from `checkpoint` where one is named. Raises ConfigError and CheckpointError."""
    from dataclasses import replace

    from . import checkpoint as checkpoints, engine, files

    request, told = _recalled(recipe)
    found = checkpoints.find(checkpoint or request.checkpoint, anywhere=bool(checkpoint))
    kind = engine.Engine()
    (made,) = kind.draw([replace(request, checkpoint=found.name)], name=found)
    files.write_whole(out, kind.file(made))
    same = told.get("digest") == found.digest and told.get("ways", kind.warm(found).ways) == kind.warm(found).ways
    text = f"1 from {found.name}: {out}" + ("" if same else f"\nnot from the {found.name} that the file was drawn with, so it may differ")
    shown = {"out": str(out), "n": 1, "seed": request.seed, "checkpoint": found.name, "digest": found.digest, "same": same}
    typer.echo(json.dumps(shown) if as_json else text)


def _recalled(path: Path):
    """The request and the hashes that the recipe inside a file names. Raises ConfigError."""
    from . import engine
    from .config import ConfigError

    try:
        return engine.recall(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {str(error).removeprefix('file: ')}") from None


def _bytes(path: Path) -> bytes:
    """What a file holds. Raises ConfigError."""
    from .config import ConfigError

    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None


def _numbers(flag: str, text: str, kind: type) -> list:
    """`1,2.5` as numbers. Raises ConfigError."""
    from .config import ConfigError

    try:
        return [kind(word) for word in text.split(",")]
    except ValueError:
        raise ConfigError(f"{flag} {text[:80]}: write it as numbers with commas between, such as 1,2") from None


@app.command()
def export(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint's name or folder, or a run's name.")],
    format: Annotated[Format, typer.Option(help="onnx is the model as one file, page a folder that any static host serves.")] = Format.page,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The file or the folder; by default in the current one.")] = None,
    runtime: Annotated[Path | None, typer.Option(help="A folder that holds onnxruntime-web; by default npm fetches it once.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say what was made as JSON.")] = False,
) -> None:
    """Export a checkpoint for other programs (ONNX), or as a page that needs no server."""
    from . import checkpoint as checkpoints, engine, files
    from .publish import graph, static_page

    found = checkpoints.find(checkpoint, anywhere=True)
    if format is Format.onnx:
        made = graph.export(found)
        out = out or Path(f"{static_page.title(found)}.onnx")
        files.write_whole(out, made.data)
        size, difference = len(made.data), made.difference
    else:
        out = out or Path(f"{static_page.title(found)}-page")
        static_page.check(out)
        page = static_page.make(engine.Engine(), found, runtime)
        static_page.write(out, page)
        size, difference = sum(map(len, page.files.values())), page.difference
    if as_json:
        typer.echo(json.dumps({"out": str(out), "format": format.value, "bytes": size, "difference": difference, "digest": found.digest}))
        return
    typer.echo(f"{found.name}: {out}, {size / 1e6:.1f} MB; at most {difference:.1g} off what torch draws")
    if format is Format.page:
        typer.echo(f"look at it: python -m http.server --directory {out}")


def _label(found, text: str) -> int | None:
    """The class that a name or a number means. Raises ConfigError."""
    from .config import ConfigError

    classes = found.manifest.classes
    if text and text not in classes and not re.fullmatch("[0-9]{1,9}", text):
        raise ConfigError(f"--class: {text[:80]!r} is not one of {', '.join(classes) or 'its classes: it has none'}")
    return (classes.index(text) if text in classes else int(text)) if text else None


def _pairs(flag: str, texts: list[str] | None) -> list[tuple[int, float]]:
    from .config import ConfigError

    pairs = []
    for text in texts or []:
        at, _, value = text.partition("=")
        try:
            pairs.append((int(at), float(value)))
        except ValueError:
            raise ConfigError(f"{flag} {text}: write it as NUMBER=AMOUNT, such as 1=2.5") from None
        if not 1 <= pairs[-1][0] <= 1024:
            raise ConfigError(f"{flag} {text}: {at} is not a position from 1 to 1024")
    return pairs


@app.command()
def explore(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint's name or folder, or a run's name.")],
    directions: Annotated[
        str,
        typer.Option(metavar="METHOD", help="stored (its sliders), or found anew: best, labels, measured, pca, closed, jacobian, curved."),
    ] = "stored",
    between: Annotated[list[str] | None, typer.Option(help="With labels: the way from one class to another; give it twice.")] = None,
    count: Annotated[int, typer.Option(min=1, help="At most so many directions.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the sheet's picture, or of its first.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="More than 1: a row for each seed instead of for each direction.")] = 1,
    label: Annotated[str, typer.Option("--class", help="A class's name or number, where the model is conditional.")] = "",
    dpi: Annotated[int, typer.Option(help="Dots in an inch of the page, which is A4.")] = 300,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Draw the contact sheet to this .png.")] = None,
    save: Annotated[bool, typer.Option("--save", help="Make these the checkpoint's sliders.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Find what a model's sliders may move along, say what each does, and draw a contact sheet of them."""
    from . import checkpoint as checkpoints, engine, files
    from .config import ConfigError
    from .exploration import contact

    if out and out.suffix.lower() != ".png":
        raise ConfigError(f"--out: {out} is not a .png")
    kind, found = engine.Engine(device="cpu"), checkpoints.find(checkpoint, anywhere=True)
    chosen = _label(found, label)
    ways = contact.directions(kind, found, directions, count, tuple(between or ()))
    if out:
        files.write_whole(out, contact.sheet(kind, found, ways, range(seed, seed + seeds), chosen, dpi))
    if save:
        checkpoints.write_directions(found, ways)
    rows = contact.told(ways)
    if as_json:
        facts = {"checkpoint": found.name, "digest": found.digest, "out": out and str(out), "saved": save, "directions": rows}
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    for row in rows:
        typer.echo(f"{row['number']:>3}  {row['name'] or '-':<16} {row['method']:<10} {row['effect']:.3f}")
    typer.echo("The last column is the effect: the root mean square change of a picture's values (-1 to 1) a standard deviation.")
    for done, where in ((out, out), (save, found.path / checkpoints.DIRECTIONS)):
        if done:
            typer.echo(f"written: {where}")


@app.command(name="list")
def list_(
    presets: Annotated[bool, typer.Option("--presets", help="The presets that can be trained.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the checkpoints: those that came with the program, and those of runs."""
    if presets:
        from . import model

        rows = [{"preset": p, "about": model.about(p)} for p in model.presets()]
        typer.echo(json.dumps(rows, indent=1) if as_json else "\n".join(f"{r['preset']:<16} {r['about']}" for r in rows))
        return
    from . import checkpoint, files

    rows = [
        {
            "name": c.name,
            "preset": c.preset,
            "data": c.manifest.source.name,
            "modality": c.manifest.modality,
            "classes": c.manifest.classes,
            "steps": c.manifest.training.steps,
            "seconds": round(c.manifest.training.seconds, 1),
            "bytes": c.bytes,
            "digest": c.digest,
            "path": str(c.path),
        }
        for c in checkpoint.shelf(files.shipped(), files.runs())
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    elif not rows:
        typer.echo("no checkpoints yet: aigc train vae:conv --data digits --minutes 1")
    for row in rows if not as_json else []:
        typer.echo(f"{row['name']:<24} {row['preset']:<14} {row['data']:<16} {row['steps']:>8,} steps  {row['bytes'] / 1e6:.1f} MB")


@app.command()
def compare(
    runs: Annotated[list[str] | None, typer.Argument(help="Names of runs; none are all runs here that nobody owns.")] = None,
    group: Annotated[str, typer.Option(help="Only the runs of this group, such as a sweep's name.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Put runs side by side: the settings that differ, steps, time, best held-out value, state."""
    from . import compare as comparing, jobs
    from .evaluation import health

    for name in runs or []:
        jobs.find(name)
    table = comparing.table(runs or comparing.shared(), group, health.word)
    if as_json:
        typer.echo(json.dumps(table, indent=1))
        return
    if not table["runs"]:
        typer.echo("no runs yet: aigc train vae:conv --data digits --minutes 1")
        return
    heads = ["run", "preset", "data", *table["columns"], "steps", "time", "best held-out", "distance", "health", "state"]
    lines = [
        [
            r["title"],
            r["preset"],
            r["data"],
            *(_value(r["settings"][c]) for c in table["columns"]),
            f"{r['steps']:,}",
            _span(r["seconds"]),
            "-" if r["best"] is None else f"{r['best']:.4g}",
            "-" if r["distance"] is None else f"{r['distance']:.4g}",
            r["health"] or "-",
            r["state"],
        ]
        for r in table["runs"]
    ]
    widths = [max(len(line[i]) for line in [heads, *lines]) for i in range(len(heads))]
    for line in [heads, *lines]:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if table["same"]:
        typer.echo(f"changed alike in all: {', '.join(f'{k}={_value(v)}' for k, v in table['same'].items())}")


def _value(value: Any) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


@app.command()
def sweep(
    preset: Annotated[str, typer.Argument(help="family:preset, such as gan:dcgan.")],
    over: Annotated[
        list[str],
        typer.Option("--over", metavar="NAME=VALUES", help="To try: train.lr=1e-4,2e-4 or train.lr=1e-5..1e-2; repeatable."),
    ],
    data: Annotated[str, typer.Option(help="A built-in set's name, or a folder or zip of pictures or clips.")] = "",
    epochs: Annotated[float | None, typer.Option(min=0, help="Train each for so many passes over the data.")] = None,
    steps: Annotated[float | None, typer.Option(min=0, help="Train each for so many steps.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Train each for so many minutes.")] = None,
    set: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a setting of all; repeatable.")] = None,
    seed: Annotated[int | None, typer.Option(help="Every draw of the runs follows from it.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "",
    trials: Annotated[int, typer.Option(help="Let Optuna choose so many times, instead of the whole grid.")] = 0,
    objective: Annotated[str, typer.Option(help="What to find the least of: val (held-out loss), or distance (samples to data).")] = "",
    name: Annotated[str, typer.Option(help="The sweep's name, under which its runs are compared.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, as a run begins and as it ends.")] = False,
) -> None:
    """Train one preset with many settings; the same command goes on where it was killed, and `aigc compare --group NAME` shows the runs."""
    from . import sweep as sweeps

    given = {"data.source": data, "device": device, "seed": seed}
    changes = _changes(set or [], {"epochs": epochs, "steps": steps, "minutes": minutes}, given)
    planned = sweeps.planned(preset, over, changes, trials, objective, name)
    if not as_json:
        typer.echo(f"sweep {planned.name}: aigc compare --group {planned.name}")
    for trial in sweeps.go(planned):
        if as_json:
            typer.echo(json.dumps(vars(trial)))
            continue
        told = " ".join(f"{k}={_value(v)}" for k, v in trial.settings.items())
        value = "" if trial.value is None else f", {planned.objective} {trial.value:.4g}"
        typer.echo(f"{trial.run} {trial.state}{value}  {told}")
    if not as_json:
        compare(None, planned.name, False)


@app.command(name="data")
def data_(
    source: Annotated[
        str, typer.Argument(help="A built-in set's name, or a folder or zip of pictures or clips; nothing lists the built-in ones.")
    ] = "",
    size: Annotated[int, typer.Option(min=0, max=512, help="Side in pixels; 0 is the set's own.")] = 0,
    channels: Annotated[int, typer.Option(min=0, max=4, help="1: grey, 3: colour, 4: what is transparent is kept, 0: as the data is.")] = 0,
    limit: Annotated[int, typer.Option(min=0, help="At most this many items.")] = 0,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write a sheet of the first items to this .png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show what a set holds, and what was left out of it and why."""
    from . import data, files
    from .config import Data, check

    if not source:
        rows = [
            {"name": s.name, "title": s.title, "size": s.size, "channels": s.channels, "count": s.count, "licence": s.licence, "url": s.url}
            for s in data.sources()
        ]
        typer.echo(json.dumps(rows, indent=1) if as_json else "\n".join(f"{r['name']:<16} {r['title']}  [{r['licence']}]" for r in rows))
        return
    with _bar(as_json) as show:
        found = data.load(
            check(Data, {"source": source, "size": size, "channels": channels, "limit": limit}, "data."),
            on_progress=lambda done, of: show(done / max(of, 1), f"{done:,} of {of:,}"),
        )
    counts = [int((found.labels == i).sum()) for i in range(len(found.classes))] if found.labels is not None else []
    left = [{"name": e.name, "reason": e.reason} for e in found.ledger.left_out]
    if out:
        files.write_whole(out, found.preview())
    if as_json:
        facts = {
            "source": source,
            "items": len(found.items),
            "shape": list(found.modality.shape),
            "classes": dict(zip(found.classes, counts, strict=True)),
        }
        typer.echo(
            json.dumps(
                {**facts, "licence": found.source.licence, "digest": found.digest, "left_out": left, "says": found.ledger.summary()},
                ensure_ascii=False,
            )
        )
        return
    typer.echo(
        f"{found.source.title or source}: {len(found.items):,} items of {' x '.join(map(str, found.modality.shape))}. "
        f"{found.ledger.summary()}"
    )
    for name, count in zip(found.classes, counts, strict=True):
        typer.echo(f"  {name:<24} {count:,}")
    for entry in left:
        typer.echo(f"  left out: {entry['name']}: {entry['reason']}")
