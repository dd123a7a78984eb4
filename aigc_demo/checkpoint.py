"""Checkpoints: safetensors and JSON in the Hugging Face Hub's layout, written whole, never code; and the shelf that lists them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from pydantic import Field
from torch import Tensor

from . import __version__, files, history, modality as modalities
from .config import ConfigError, Fields, Run, check
from .latent import Curve, Directions
from .modality import Modality
from .model import Model, build, changed, family

CONFIG, WEIGHTS, CARD, LOG, SAMPLES, DIRECTIONS, TRACE = (
    "config.json",
    "model.safetensors",
    "README.md",
    "log.jsonl",
    "samples.webp",
    "directions.safetensors",
    "trace.safetensors",
)
TASKS = {"image": "unconditional-image-generation", "text": "text-generation"}  # the Hub's, where it has one
LARGEST_CONFIG, LARGEST_WEIGHTS = 1 << 20, 4 << 30  # bytes
LONGEST_NAME = 64  # characters of a direction's name


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the text says which and why in one sentence."""


class Source(Fields):
    """Where the data came from."""

    name: str
    title: str = ""
    licence: str = ""
    url: str = ""
    about: str = ""
    items: int = 0
    digest: str = ""


class Training(Fields):
    """How the checkpoint came to be."""

    command: str = ""
    steps: int = 0
    epochs: float = 0
    items: int = 0
    seconds: float = 0
    machine: str = ""
    date: str = ""
    terms: dict[str, float] = Field(default_factory=dict)


class Manifest(Fields):
    """What `config.json` of a checkpoint holds."""

    aigc_demo: str
    layout: Literal[1] = 1
    run: Run
    modality: dict[str, Any]
    classes: tuple[str, ...] = ()
    source: Source
    training: Training
    weights: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of model.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's place and manifest; the weights are read by `load` only."""

    path: Path
    manifest: Manifest
    digest: str  # SHA-256 of config.json, which names the weights': the content's hash

    @property
    def name(self) -> str:
        if self.path.parent.name == history.MARKS:
            return f"{self.path.parent.parent.name}@{int(self.path.name)}"
        own = self.path.parent if self.path.name == "checkpoint" else self.path
        return own.name

    @cached_property
    def modality(self) -> Modality:
        return modalities.from_json(self.manifest.modality, self.path)

    @property
    def preset(self) -> str:
        return f"{self.manifest.run.family}:{self.manifest.run.preset}"

    @cached_property
    def bytes(self) -> int:
        """Size of the weights on the disk."""
        return (self.path / WEIGHTS).stat().st_size


def machine() -> str:
    """The machine in a few words: processor, cores, GPU where there is one, torch."""
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), processor)
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{processor}, {cores} cores{gpu}, torch {torch.__version__.split('+')[0]}"


def command(run: Run, first: Run | None = None) -> str:
    """The line that repeats `run`; where its training was changed on its way, that of what it was at `first`, and below it a comment of
    what changed: one who trains so from the start comes to other weights."""
    import shlex

    now = run.train.model_dump(exclude={"weights"})
    if first and (later := [f"train.{f}={v}" for f, v in now.items() if v != getattr(first.train, f)]):
        return f"{command(first)}\n# changed on its way: {', '.join(later)}"
    flags = {"data.source": "--data", "name": "--name", "base": "--from", "seed": "--seed", "device": "--device"}
    words = ["aigc", "train", f"{run.family}:{run.preset}"]
    changes = changed(run)
    changes.setdefault("data.source", run.data.source)
    budget, unit = changes.pop("train.budget", None), changes.pop("train.unit", None)
    if budget is not None or unit is not None:
        words += [f"--{run.train.unit}", repr(run.train.budget).removesuffix(".0")]
    for path, value in changes.items():
        text = json.dumps(value) if isinstance(value, (bool, list, tuple)) else str(value)
        words += [flags[path], text] if path in flags else ["--set", f"{path}={text}"]
    return shlex.join(words)


def shown(run: Run) -> Run:
    """`run` as strangers may read it: what it learns and goes on from by their names, not by where they lie on this machine."""
    source, base, codec = (path.replace("\\", "/").rstrip("/").rpartition("/")[2] for path in (run.data.source, run.base, run.codec))
    return run.model_copy(update={"data": run.data.model_copy(update={"source": source or "data"}), "base": base, "codec": codec})


def save(
    folder: Path,
    weights: dict[str, Tensor],
    run: Run,
    modality: Modality,
    classes: Iterable[str],
    source: Source,
    training: Training,
    extra: dict[str, bytes] | None = None,
) -> Checkpoint:
    """Writes a checkpoint at `folder`, whole or not at all; one that stands there is replaced.

    `weights` is the state of the last of the model's phases, `extra` further files by name. Raises files.StorageError."""
    half = run.train.weights == "float16"
    # a number beyond float16's largest would be stored as infinity: its tensor stays as it is
    small = {k for k, v in weights.items() if half and v.is_floating_point() and v.abs().max() <= torch.finfo(torch.half).max}
    kept = {k: (v.half() if k in small else v).detach().cpu().contiguous() for k, v in weights.items()}
    data = safetensors.torch.save(kept, {"format": "pt"})
    manifest = Manifest(
        aigc_demo=__version__,
        run=run,
        modality=modalities.to_json(modality),
        classes=tuple(classes),
        source=source,
        training=training,
        weights=hashlib.sha256(data).hexdigest(),
    )
    contents = {
        WEIGHTS: data,
        CONFIG: manifest.model_dump_json(indent=1).encode(),
        CARD: card(manifest, len(data)).encode(),
        **modalities.files_of(modality),
        **(extra or {}),
    }
    with _replacing(folder) as side:
        side.mkdir(parents=True)
        for name, content in contents.items():
            files.write_whole(side / name, content)
    return read(folder)


@contextlib.contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Gives the place of a folder that takes the place of `folder` when the context ends well. Raises files.StorageError."""
    folder = folder.absolute()
    side, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    with files.said(folder):
        if old.exists() and not folder.exists():  # the process died between the two renames below
            os.replace(old, folder)
        for leftover in (side, old):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            yield side
            if not (folder.exists() and files.exchange(side, folder)):  # else `side` is now what stood there
                if folder.exists():
                    os.replace(folder, old)
                os.replace(side, folder)
        except BaseException:
            if old.exists() and not folder.exists():
                os.replace(old, folder)
            raise
        finally:
            shutil.rmtree(side, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
        files.sync(folder.parent)


def read(folder: Path) -> Checkpoint:
    """The checkpoint at `folder`, its weights unread. Raises CheckpointError."""
    path = folder / CONFIG
    try:
        if not path.is_file():
            raise OSError
        if path.stat().st_size > LARGEST_CONFIG:
            raise CheckpointError(f"{path}: over {LARGEST_CONFIG} bytes, too large for a checkpoint's description")
        data = path.read_bytes()
        values = json.loads(data)
    except OSError:
        raise CheckpointError(f"{folder}: not a checkpoint: it has no readable {CONFIG}") from None
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path}: not JSON, so it was cut short or is no checkpoint") from None
    if not isinstance(values, dict) or "aigc_demo" not in values:
        raise CheckpointError(f"{path}: not a checkpoint of this program (there is no field aigc_demo)")
    try:
        manifest = check(Manifest, values)
        modalities.from_json(manifest.modality, folder)
    except ValueError as error:
        raise CheckpointError(f"{path}: {str(error).splitlines()[0]}") from None
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"{folder}: not a checkpoint: it has no {WEIGHTS}")
    return Checkpoint(folder, manifest, hashlib.sha256(data).hexdigest())


def load(checkpoint: Checkpoint, device: str = "cpu") -> Model:
    """The model of a checkpoint, in eval mode; only the part that samples has weights.

    Raises CheckpointError for weights that are missing, cut short, of another shape, not finite, or not those that the manifest names."""
    path = checkpoint.path / WEIGHTS
    try:
        if path.stat().st_size > LARGEST_WEIGHTS:
            raise CheckpointError(f"{path}: over {LARGEST_WEIGHTS >> 30} GB, too large")
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    if hashlib.sha256(data).hexdigest() != checkpoint.manifest.weights:
        raise CheckpointError(f"{path}: not the weights that {CONFIG} names: cut short or changed since it was saved")
    manifest = checkpoint.manifest
    try:
        weights = safetensors.torch.load(data)
        with torch.device("meta"):  # a hostile description takes no memory: shapes are compared first
            model = build(manifest.run, checkpoint.modality, len(manifest.classes))
        part = list(model.phases().values())[-1]
        weights = {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}
        own = part.state_dict()  # load_state_dict compares shapes alone
        if any(v.is_floating_point() != own[k].is_floating_point() for k, v in weights.items() if k in own):
            raise TypeError
        part.load_state_dict(weights, assign=True)
    except safetensors.SafetensorError:  # whose own words can quote the file
        raise CheckpointError(f"{path}: not safetensors, or damaged") from None
    except (ConfigError, ValueError) as error:
        raise CheckpointError(f"{checkpoint.path}: {str(error).splitlines()[0]}") from None
    except (RuntimeError, TypeError, LookupError, AttributeError):  # the latter two: a kind of number that torch lacks
        raise CheckpointError(f"{path}: the weights do not fit the model that {CONFIG} describes") from None
    if not all(torch.isfinite(v).all() for v in weights.values() if v.is_floating_point()):
        raise CheckpointError(f"{path}: holds numbers that are not finite")
    part.to(device)
    return model.requires_grad_(False).eval()


def write_directions(checkpoint: Checkpoint, found: Directions) -> None:
    """Stores directions beside the weights that they were found for. Raises files.StorageError."""
    tensors = {"directions": found.vectors, "effects": found.effects}
    tensors |= {f"curve.{name}": value for name, value in (found.curve.state_dict() if found.curve else {}).items()}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    said = {"weights": checkpoint.manifest.weights, "methods": json.dumps(found.methods), "names": json.dumps(found.names)}
    files.write_whole(checkpoint.path / DIRECTIONS, safetensors.torch.save(tensors, said))


def read_directions(checkpoint: Checkpoint) -> Directions | None:
    """The directions that are stored for these weights, or None where there are none that can be used."""
    path = checkpoint.path / DIRECTIONS
    try:
        with safetensors.safe_open(path, "pt") as f:
            said = f.metadata() or {}
            if said.get("weights") != checkpoint.manifest.weights:
                return None
            vectors, effects = f.get_tensor("directions").float(), f.get_tensor("effects").float()
            bent = {name.removeprefix("curve."): f.get_tensor(name).float() for name in f.keys() if name.startswith("curve.")}  # noqa: SIM118
        # files of version 0.1.0 say neither: all of theirs were found by their Jacobian
        methods, names = (json.loads(said[k]) if k in said else [v] * len(effects) for k, v in (("methods", "jacobian"), ("names", "")))
        curve = Curve.stored(bent, vectors.shape[1:]) if bent else None
    except (OSError, safetensors.SafetensorError, ValueError, RecursionError, TypeError):
        return None
    fits = vectors.dim() >= 2 and effects.shape == vectors.shape[:1] and vectors.isfinite().all() and effects.isfinite().all()
    if not fits or not all(_words(texts, len(effects)) for texts in (methods, names)):
        return None
    return Directions(vectors, effects, tuple(methods), tuple(names), curve)


def read_trace(checkpoint: Checkpoint) -> dict[str, Tensor] | None:
    """What is kept of the text that the weights were trained on, to know its runs again (data.copies); None where nothing that can be
    used is."""
    try:
        with safetensors.safe_open(checkpoint.path / TRACE, "pt") as f:
            found = {k: f.get_tensor(k) for k in ("bits", "window")}
    except (OSError, safetensors.SafetensorError, ValueError):
        return None
    bits, window = found["bits"], found["window"]
    fits = bits.dtype == torch.uint8 and bits.dim() == 1 and len(bits).bit_count() == 1 and window.shape == (1,)
    return found if fits and not window.is_floating_point() and 1 <= int(window) <= 1000 else None


def _words(texts: Any, count: int) -> bool:
    return isinstance(texts, list) and len(texts) == count and all(isinstance(t, str) and len(t) <= LONGEST_NAME for t in texts)


def shelf(*folders: Path) -> list[Checkpoint]:
    """The checkpoints in `folders` (a checkpoint, or a folder of checkpoints or of runs), by name; what cannot be read is left out."""
    found = []
    for folder in folders:
        inner = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")) if folder.is_dir() else []
        for place in [folder, *inner]:
            for path in (place, place / "checkpoint"):
                with contextlib.suppress(CheckpointError):
                    found.append(read(path))
    return found


def card(manifest: Manifest, size: int) -> str:
    """The model card (README.md) of a checkpoint, with the Hub's front matter."""
    run, training, source = manifest.run, manifest.training, manifest.source
    kind, name = manifest.modality["kind"], run.name or "PATH"
    shape = ", ".join(f"{k} {v}" for k, v in manifest.modality.items() if isinstance(v, (int, float)))
    use = f"aigc write {name} --seed 7" if kind == "text" else f"aigc sample {name} --n 64 --seed 7 -o grid.png"
    limits = "it draws nothing else, and what it draws is invented, not a record of anything."
    copied = "Samples can resemble items of the data; no copy check was run on this checkpoint."
    if kind == "text":
        limits = "it writes nothing else, and what it writes is invented, not a record of anything."
        copied = (
            "`aigc write` says of every text how much of it was copied from what the model learnt from; "
            f"`aigc evaluate {name}` scores it on held-out text, beside counting alone (Kneser-Ney)."
        )
    made = {"audio": "sounds", "latents": "images in a latent space"}.get(kind, f"{kind}s")
    if kind == "audio":
        use = f"aigc sample {name} --n 1 --seed 7 -o sample.wav"
        limits = "it makes no other sound, and what is heard of it was never played or said by anybody, whoever it sounds like."
    reads = family(run.family).reads
    if reads:
        use = f"aigc draw {name} 'A CAPTION SUCH AS IT LEARNT FROM' --seed 7 -o drawn.png"
    terms = "\n".join(f"| {name} | {value:.4f} |" for name, value in training.terms.items() if math.isfinite(value))
    front = {
        "library_name": "aigc-demo",
        "tags": [run.family, manifest.modality["kind"], "aigc-demo"],
    }
    if reads or kind in TASKS:
        front["pipeline_tag"] = "text-to-image" if reads else TASKS[kind]
    if manifest.classes and run.model.get("conditional", False):
        front["tags"].append("class-conditional")
    return "\n".join(
        ["---", *(f"{k}: {json.dumps(v)}" for k, v in front.items()), "---", "", f"# {run.name or run.preset}", ""]
        + [f"A `{run.family}:{run.preset}` of {made} ({shape}), trained on {source.title or source.name}.", ""]
        + ([f"![samples]({SAMPLES})", ""])
        + ["## Data", "", f"- {source.items:,} items of {source.title or source.name}" + (f" ({source.url})" if source.url else "")]
        + ([f"- {source.about}"] if source.about else [])
        + [f"- Licence of the data: {source.licence or 'not stated; ask whoever gave it'}"]
        + ([f"- Classes: {', '.join(manifest.classes)}"] if manifest.classes else [])
        + ["", "## Training", "", "```", training.command, "```", ""]
        + [
            f"{training.steps:,} steps, {training.epochs:.1f} epochs, {training.items:,} items seen, {training.seconds:,.0f} s "
            f"on {training.machine}."
        ]
        + [f"Seed {run.seed}. {training.date}. Weights: {size / 1e6:.1f} MB, {run.train.weights}.", ""]
        + (
            [
                "Last terms (a loss is not a quality; `held-out` terms were taken on items that were not trained on):",
                "",
                "| term | value |",
                "|---|---|",
                terms,
                "",
            ]
            if terms
            else []
        )
        + [
            "## Limits",
            "",
            f"Small, and trained on one narrow set: {limits}",
            *(copied, "", "## Use", "", "```", use, "```", ""),
        ]
    )


def find(name: str, anywhere: bool = False) -> Checkpoint:
    """The checkpoint that `name` means: one that came with the program, or the one of a run; with `anywhere`, also the one at a path.

    `run@step` is the run as it was at a mark whose weights are kept: the newest one that is not after `step`.
    Raises CheckpointError, naming what there is."""
    if anywhere:
        with contextlib.suppress(OSError):  # a name too long for a path
            for folder in (Path(name) / "checkpoint", Path(name)):
                if (folder / CONFIG).is_file():
                    return read(folder)
    own, at, step = name.partition("@")
    try:
        plain = files.named(own)
    except ValueError as error:
        raise CheckpointError(f"checkpoint: {error}" if not anywhere else f"{name[:200]!r}: there is no checkpoint at this path") from None
    if at:
        return _mark(plain, step)
    for folder in (files.shipped() / plain, files.runs() / plain / "checkpoint"):
        if (folder / CONFIG).is_file():
            return read(folder)
    there = ", ".join(c.name for c in shelf(files.shipped()))
    raise CheckpointError(f"checkpoint {plain}: not here (any more); there are {there or 'none'}")


def marks(found: Checkpoint) -> list[str]:
    """The names of the marks whose weights are kept of the run that `found` is of, oldest first; one that was shipped has none."""
    run = found.name.partition("@")[0]
    return [f"{run}@{step}" for step in history.kept(files.runs() / run, history.MARKS)]


def _mark(run: str, step: str) -> Checkpoint:
    marks = [s for s in history.kept(files.runs() / run, history.MARKS) if step.isdecimal() and s <= int(step[:12])]
    if not marks:
        raise CheckpointError(f"checkpoint {run}@{step[:20]}: the run has kept no weights up to this step")
    return read(history.place(files.runs() / run, history.MARKS, marks[-1]))


def copy(checkpoint: Checkpoint, to: Path) -> Checkpoint:
    """Copies a checkpoint to the folder `to`, whole or not at all.

    Raises files.StorageError, and CheckpointError where `to` holds something else."""
    if to.exists() and not (to / CONFIG).is_file():
        raise CheckpointError(f"{to}: exists and is not a checkpoint")
    with _replacing(to) as side:
        shutil.copytree(checkpoint.path, side)
    return read(to)
