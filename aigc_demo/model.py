"""The promise of a model family, how families are found, and how a preset and a few changes become one whole run."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from . import config
from .config import ConfigError, Fields, Run, Spec
from .modality import Modality


class Batch(NamedTuple):
    """What one step learns from: x (B, *shape) in the modality's space, labels y (B,) of int64 where the data has them, where the
    model reads captions what was `said` of each x, int64 (B, L) as Model.read gives it, and in training the `places` (B,) of int64 that
    the items have in what `prepare` was given."""

    x: Tensor
    y: Tensor | None = None
    said: Tensor | None = None
    places: Tensor | None = None


class Model(nn.Module):
    """What a family's file defines, as a class named `Model`.

    `Config` and `Sampling` are its settings before and after training, `presets` maps a name to {"about": a few words, "model": ...,
    "train": ..., "size": ...} with the published values (`tiny` takes seconds on a CPU, in fp32: so small a network is slower in bf16),
    `latent` is the shape of one latent. `breakages` are ways to break a training on purpose that only this family has, by name, as the
    changes that `plan` takes.
    `monitor` names the loss term that falls with quality on held-out items, or is None where no loss does (a GAN's). `draft` holds sampling
    settings that are good enough where directions are sought among a thousand samples, and `idle` names those that change nothing here.
    `levels` are the sizes of the parts of a flat latent whose layers enter the network one after another, coarse first; () where it enters
    at once.
    `smooth` says whether a small move of a latent is a small change of what is drawn: without it there are no directions. `reads` says
    whether it draws what the setting `prompt` of its Sampling says, and learns from captions (`read`)."""

    Config: ClassVar[type[Fields]]
    Sampling: ClassVar[type[Fields]]
    modalities: ClassVar[tuple[str, ...]]
    presets: ClassVar[dict[str, dict[str, Any]]]
    monitor: ClassVar[str | None] = None
    breakages: ClassVar[dict[str, dict[str, Any]]] = {}
    draft: Mapping[str, Any] = {}
    idle: tuple[str, ...] = ()
    smooth: ClassVar[bool] = True
    reads: ClassVar[bool] = False

    config: Fields
    latent: tuple[int, ...]
    levels: tuple[int, ...] = ()
    classes: int

    def phases(self) -> dict[str, nn.Module]:
        """The parts that are trained in turn at each step; the last is the one that samples, and the one a checkpoint keeps."""
        return {"model": self}

    @property
    def steady(self) -> bool:
        """Whether `loss` asks the same work of a GPU whatever the numbers are, and waits for none of them: such work can be repeated."""
        return True

    @property
    def codec(self) -> nn.Module | None:
        """What turns items into latents that are small pictures, and back, for a model of another family to learn in (nets.codec.Codec);
        None of most."""
        return None

    @classmethod
    def halves(cls, config: Fields) -> bool:
        """Whether a CPU that multiplies matrices of bf16 (AMX) trains a network of these settings faster in bf16 (benchmarks/half.py):
        one of convolutions, or of attention, but none of a few dense layers."""
        return getattr(config, "network", "") != "mlp"

    def matrices(self) -> list[nn.Parameter]:
        """Weights (out, in) that train.optimizer=muon is for: those within the network, not those that read items or write them."""
        return []

    def rates(self) -> dict[str, float]:
        """The learning rate of a phase as a multiple of train.lr, where it is not 1."""
        return {}

    def prepare(self, items: Tensor) -> None:
        """Takes from the items (N, *shape) to be trained on what can be known before the first step; most families take nothing."""

    def read(self, captions: Sequence[str]) -> Tensor | None:
        """Captions as numbers int64 (N, L), 0 for nothing; None of a model that does not read."""
        return None

    def loss(self, phase: str, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar that `phase` minimises, and its terms by name."""
        raise NotImplementedError

    def signals(self, batch: Batch, own: Batch, trained: Batch | None = None) -> dict[str, Tensor]:
        """What the parts of the model know, a scalar each, under names that whoever judges a run understands, whatever the family.

        `batch` holds items of the data, `own` the run's fixed samples. A discriminator has "real" and "fake", the shares of `batch` that it
        takes for real and of `own` for fakes, and "margin", by how many nats of log-odds it holds `batch` for realer than `own`; with items
        that were `trained` on also "trained real" and "trained margin". A posterior has "information", its divergence from the prior in
        nats an item, and "in use", the share of the latent's numbers whose mean differs from item to item (a variance above 0.01: Burda et
        al. 2015, arXiv:1509.00519, section 5)."""
        return {}

    def surface(self, x: Tensor) -> Tensor | None:
        """What the model holds of each x (N, *shape), (N,): higher where it expects data. None where it holds nothing that can be shown."""
        return None

    def sample(
        self, latents: Tensor, sampling: Fields, condition: Tensor | None = None, on_step: Callable[[int], None] | None = None
    ) -> Tensor:
        """Latents (N, *latent), and class numbers (N,) where conditional or what is said (N, L) of each where it reads -> x (N, *shape)."""
        raise NotImplementedError


def key(*parts: Any) -> int:
    """A seed of 63 bits that depends on each part: key(seed, index) seeds sample `index` of `seed`."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*parts: Any, device: str = "cpu") -> torch.Generator:
    """A torch.Generator seeded with `key(*parts)`."""
    return torch.Generator(device).manual_seed(key(*parts))


def draw_latents(shape: Sequence[int], seed: int, indices: Sequence[int]) -> Tensor:
    """z (N, *shape), standard normal: row i follows from (seed, indices[i]) alone, on the CPU, whatever the batch."""
    if not indices:
        return torch.empty(0, *shape)
    return torch.stack([torch.randn(*shape, generator=generator(seed, i)) for i in indices])


def families() -> tuple[str, ...]:
    """The families there are: one file each in the room `models`."""
    from . import models

    return tuple(sorted(m.name for m in pkgutil.iter_modules(models.__path__)))


def family(name: str) -> type[Model]:
    """The model class of a family. Raises ConfigError with the nearest name."""
    if name not in families():
        near = difflib.get_close_matches(name[:60], families(), 1, 0.3)
        raise ConfigError(f"family: {name[:60]!r} is not one of {', '.join(families())}" + (f"; did you mean {near[0]}?" if near else ""))
    return importlib.import_module(f"{__package__}.models.{name}").Model


def presets() -> tuple[str, ...]:
    """Every preset, as `family:preset`."""
    return tuple(f"{f}:{p}" for f in families() for p in family(f).presets)


def about(preset: str) -> str:
    """The few words that tell a person what `family:preset` is for."""
    name, _, chosen = preset.partition(":")
    return family(name).presets[chosen].get("about", "")


def breakages(preset: str) -> dict[str, dict[str, Any]]:
    """Ways to break a training of `family:preset` on purpose, by name: for each the changes that `plan` takes. Raises as `plan`."""
    run = plan(preset)
    usual = {
        "learning rate too high": {"train.lr": min(10.0, 50 * run.train.lr)},
        "fifty items": {"data.limit": 100, "data.validation": 0.5},
    }
    return usual | family(run.family).breakages


def plan(preset: str, changes: Mapping[str, Any] | None = None) -> Run:
    """The run that `family:preset` describes, with `changes` such as {"model.latent": 64, "train.batch": "128", "data.source": "mnist"}.

    Values may be texts (of a command line or a form). Raises ConfigError with a line for each name or value at fault."""
    name, _, chosen = preset.partition(":")
    kind = family(name)
    if chosen not in kind.presets:
        near = difflib.get_close_matches(chosen[:60], kind.presets, 1, 0.3)
        wrong = f"preset: {chosen[:60]!r} is not one of {name}'s: {', '.join(kind.presets)}"
        raise ConfigError(wrong + (f"; did you mean {name}:{near[0]}?" if near else ""))
    parts: dict[str, dict[str, Any]] = {"data": {}, "model": {}, "train": {}, "": {}}
    for part in ("data", "model", "train"):
        parts[part].update(kind.presets[chosen].get(part, {}))
    groups: dict[str, type[Fields]] = {"data": config.Data, "model": kind.Config, "train": config.Train, "": Run}
    known = [f"{part}.{f}" if part else f for part, g in groups.items() for f in g.model_fields if part or f not in groups]
    faults = []
    for path, value in (changes or {}).items():
        part, _, field = path.rpartition(".")
        if path not in known or path in ("family", "preset"):
            faults.append(config.unknown(path, known))
            continue
        try:
            parts[part][field] = config.parse(groups[part], field, value, f"{part}." if part else "") if isinstance(value, str) else value
        except ConfigError as error:
            faults.append(str(error))
    built = {}
    for part in ("data", "model", "train"):
        try:
            built[part] = config.check(groups[part], parts[part], f"{part}.")
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))
    whole = {
        **parts[""],
        "family": name,
        "preset": chosen,
        "data": built["data"],
        "model": built["model"].model_dump(mode="json"),
        "train": built["train"],
    }
    return config.check(Run, whole)


def settings(run: Run) -> list[Spec]:
    """Every setting of `run` that holds one value, under the name that `plan` takes, with the run's value as its default."""
    groups = (
        ("data.", config.Data, run.data.model_dump()),
        ("model.", family(run.family).Config, run.model),
        ("train.", config.Train, run.train.model_dump()),
        ("", Run, run.model_dump()),
    )
    return [replace(s, default=values[s.name.removeprefix(at)]) for at, group, values in groups for s in config.specs(group, at)]


def changed(run: Run) -> dict[str, Any]:
    """What of `run` differs from its preset, as the `changes` that `plan` takes."""
    base = plan(f"{run.family}:{run.preset}").model_dump()
    own = run.model_dump()
    found = {f: own[f] for f in own if f not in ("data", "model", "train", "family", "preset") and own[f] != base[f]}
    for part in ("data", "model", "train"):
        found |= {f"{part}.{f}": v for f, v in own[part].items() if v != base[part].get(f)}
    return found


def build(run: Run, modality: Modality, classes: int) -> Model:
    """The untrained model of `run` for x of `modality` and `classes` classes (0: the data has no labels).

    Weights follow from run.seed. Raises ConfigError where the family cannot take this modality or size."""
    kind = family(run.family)
    if modality.kind not in kind.modalities:
        raise ConfigError(f"family: {run.family} works on {', '.join(kind.modalities)}, not on {modality.kind}")
    settings = config.check(kind.Config, run.model, "model.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(run.seed, "weights"))
        return kind(settings, modality, classes)


def size(run: Run) -> int:
    """The size that items of `run` get where neither it nor its data has one: that of its preset."""
    return family(run.family).presets.get(run.preset, {}).get("size", 32)


def memory(run: Run, of: Modality) -> int | None:
    """About how many bytes `run` takes while it trains on items `of` a modality, its data aside; None where that cannot be told beforehand.

    A step is taken on tensors that have shapes and no memory, and what it keeps for its gradients is counted. Raises ConfigError."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        if not isinstance(x, nn.Parameter):
            kept[x.untyped_storage()._cdata] = x.numel() * x.element_size()
        return x

    most, owned = 0, 0
    of = replace(of)  # what it keeps for later is to have no memory either
    try:
        with FakeTensorMode(), torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            model = build(run, of, 10)
            owned = sum(p.numel() * p.element_size() for p in model.parameters())
            items = torch.zeros(run.train.batch, *of.shape, dtype=torch.int64)
            batch = Batch(of.encode(items), torch.zeros(run.train.batch, dtype=torch.int64))
            for phase in model.phases():
                kept.clear()
                model.loss(phase, batch, torch.Generator().manual_seed(0))
                most = max(most, sum(kept.values()))
    except ConfigError:
        raise
    except (RuntimeError, NotImplementedError):  # a step whose shapes depend on numbers
        return None
    except ValueError as error:
        raise ConfigError(str(error)) from None
    copies = 4 + (run.train.ema > 0)  # the weights, their gradients, Adam's two moments, the averages
    return copies * owned + 2 * most  # and as much again passes through the backward step
