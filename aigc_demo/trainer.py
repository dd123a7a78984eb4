"""The one training loop, for every family: a generator of Progress, with averaged weights, phases and exact resume."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn

from . import checkpoint, data, files, history, latent, tracking
from .config import ConfigError, Run, check
from .measures import ITEMS, KNOWN, NUMBERS, Measures
from .model import Batch, Model, build, draw_latents, family, generator, key, size
from .replay import Replay

LOG_SECONDS = 0.25
WARM = 3  # steps before one is recorded: what is made at the first use is there then
ADAMW, MUON = ("step", "exp_avg", "exp_avg_sq"), ("momentum_buffer",)  # what an optimizer knows of a parameter
TOLERANCE = 2.0  # on a GPU: how much farther a pause may move the end of a run than training it again does
REWINDS = 6  # states that are saved at marks over a run, to rewind it to; the clock of train.save_seconds saves others


class TrainingError(RuntimeError):
    """Training that cannot go on; the text says where and why, and what to try."""


@dataclass(frozen=True)
class Progress:
    """What is known after a step. `terms` are means since the last Progress; `left` is in seconds, None while unknown.

    `health` holds what was measured besides the losses: "gradient <phase>", the norm of the gradient; after a mark "stride <phase>", the
    length of a step over that of the weights; at a mark what Measures.of finds, "held out", the held-out loss that falls with quality
    where the family has one, and "apart", the distance of the raw weights from the averaged ones over the length of these; and "broken",
    1, where the run ends with numbers that are none."""

    step: int
    epoch: float
    items: int
    seconds: float
    done: float
    rate: float = 0.0  # items per second
    left: float | None = None
    terms: dict[str, float] = field(default_factory=dict)
    health: dict[str, float] = field(default_factory=dict)
    sheet: Any = None  # at a mark: uint8 (H, W, 3), the same latents each time
    says: str = ""
    end: str = ""  # at the last one: "done", or what `stop` said


class Trainer:
    """One run's model, optimizers, averages and data, on one process of possibly several.

    Raises ConfigError or data.DataError where the run cannot start."""

    def __init__(self, run: Run, on_data: Callable[[int, int], None] | None = None):
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        kind = family(run.family)
        if run.train.patience and kind.monitor is None:
            raise ConfigError(f"train.patience: no loss of a {run.family} falls with quality, so there is nothing to wait for; set it to 0")
        if run.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("device: there is no CUDA GPU here; take auto or cpu")
        if run.device == "mps" and not torch.backends.mps.is_available():
            raise ConfigError("device: there is no Apple GPU here; take auto or cpu")
        if run.train.optimizer == "muon" and not hasattr(torch.optim, "Muon"):
            raise ConfigError(f"train.optimizer: muon comes with torch 2.9, and this is {torch.__version__}; take adamw")
        self.run, t = run, run.train
        AcceleratorState._reset_state(
            reset_partial_state=True
        )  # it would hold every run of a process to the first one's device and precision
        self.accelerator = Accelerator(cpu=run.device == "cpu", mixed_precision=precision(run))
        self.rank, self.world = self.accelerator.process_index, self.accelerator.num_processes
        self.device = self.accelerator.device
        if t.batch % self.world:
            raise ConfigError(f"train.batch: {t.batch} does not divide among {self.world} processes")
        base = checkpoint.find(run.base, anywhere=True) if run.base else None
        self.dataset = data.load(run.data, run.seed, size(run), on_data, given=base and base.modality)
        if run.codec:
            self.dataset = self.dataset.through(_codec(run.codec))
        self.training, self.held = self.dataset.split(run.data.validation, run.seed)
        self.modality = self.dataset.modality
        try:
            self.model: Model = build(run, self.modality, len(self.dataset.classes))
        except ConfigError:
            raise
        except ValueError as error:  # a size that the networks cannot be scaled to
            raise ConfigError(str(error)) from None
        self.phases = self.model.phases()
        self.part = list(self.phases.values())[-1]
        self.first: Batch | None = None  # of a run that goes on from a checkpoint: held-out items of what that one learnt from
        if base:
            self._go_on(base)
        else:
            self.model.prepare(self.training.items)
        # channels-last convolutions: 1.2 to 1.3 times as fast on a CPU, more on a GPU (benchmarks/train.py)
        self.layout = torch.channels_last if len(self.modality.space) == 3 else torch.contiguous_format
        if t.optimizer == "muon" and not self.model.matrices():
            raise ConfigError(f"train.optimizer: muon is for the matrices of a gpt, and a {run.family} has none of them; take adamw")
        self.model.to(self.device, memory_format=self.layout)
        for layer in self.model.modules():  # of stride 1 a transposed convolution is 1.15 times as slow in it
            if isinstance(layer, nn.ConvTranspose2d) and layer.stride == (1, 1):
                layer.to(memory_format=torch.contiguous_format)
        # walking modules costs more than a small step: the parameters, and the tensors that are averaged, are listed once
        self.parameters = {name: list(phase.parameters()) for name, phase in self.phases.items()}
        self.live = {k: v for k, v in self.part.state_dict().items() if v.is_floating_point()}
        self.averages = {k: v.detach().clone() for k, v in self.live.items()} if t.ema else {}
        self.rates = {name: t.lr * self.model.rates().get(name, 1.0) for name in self.phases}
        self.optimizers = {name: self._optimizers(name, self.rates[name]) for name in self.phases}
        if len(self.training) < self.world:
            raise ConfigError(f"data: {len(self.training)} items to train on cannot be shared by {self.world} processes")
        self.said = self._read(self.training)
        if self.said is not None and self.dataset.captions and run.data.mirror:
            raise ConfigError("data.mirror: a mirrored picture is not what its caption says, and this model reads captions; set it to no")
        self.batches = data.Batches(self.training, t.batch, run.seed, self.rank, self.world, run.data.mirror)
        self.step, self.seconds, self.wait = 0, 0.0, 0
        # a GPU repeats a recorded step, after a few that find their way: 3 to 7 times as fast for small networks (benchmarks/gpu.py)
        # (a recorded step of Muon's would keep the rate that it was recorded with)
        self.replays = t.replay and self.device.type == "cuda" and self.world == 1 and self.model.steady and t.optimizer == "adamw"
        self.replay: Replay | None = None
        self.asked = 0
        self.best: float | None = None
        self.kept: dict[str, Tensor] = {}  # the averages at the best validation, where patience is set
        shown = self._read(self.dataset if self.held is None else self.held)
        self.columns, latents, condition = marks(self.model, run.seed, self.modality.many, shown)
        self.latents, self.condition = latents.to(self.device), None if condition is None else condition.to(self.device)

    def _go_on(self, base: checkpoint.Checkpoint) -> None:
        """Takes the weights of `base`, and what of its data shows whether they are forgotten. Raises ConfigError."""
        known, own = base.manifest.run, self.run
        if (known.family, known.model, base.modality) != (own.family, own.model, self.modality):
            raise ConfigError(
                f"base: {base.name} is a {base.preset} with settings or items of its own: `aigc train --from {base.name}` takes them over"
            )
        self.part.load_state_dict(list(checkpoint.load(base).phases().values())[-1].state_dict())
        with contextlib.suppress(data.DataError):  # what it learnt from need not be here any more
            before = data.load(known.data, known.seed, given=base.modality)
            _, held = before.split(known.data.validation, known.seed)
            if held is not None and before.digest == base.manifest.source.digest:
                self.first = self.some(held, ITEMS)

    def _read(self, dataset: data.Dataset) -> Tensor | None:
        """What is said of the items of a set, where the model reads and there is something to read."""
        return None if dataset.told is None else self.model.read(dataset.told)

    def _optimizers(self, phase: str, lr: float) -> list[torch.optim.Optimizer]:
        """AdamW, and Muon after it where it is asked for (Jordan et al. 2024, kellerjordan.github.io/posts/muon), whose steps are scaled to
        be as long as AdamW's (Liu et al. 2025, arXiv:2502.16982, equation 4), so that one rate does for both."""
        t, gpu = self.run.train, self.device.type == "cuda"
        asked = {id(p) for p in self.model.matrices()} if t.optimizer == "muon" else set()
        matrices, others = ([p for p in self.parameters[phase] if (id(p) in asked) is wide] for wide in (True, False))
        adamw = torch.optim.AdamW(
            others,
            lr=torch.tensor(lr, device=self.device) if gpu else lr,
            betas=(t.beta1, t.beta2),
            weight_decay=t.weight_decay,
            fused=gpu or self.device.type == "cpu",
            capturable=gpu,
        )
        if not matrices:
            return [adamw]
        return [adamw, torch.optim.Muon(matrices, lr, weight_decay=t.weight_decay, adjust_lr_fn="match_rms_adamw")]

    @property
    def total(self) -> int | None:
        """Steps of the whole budget; None where it counts minutes."""
        t = self.run.train
        return {"steps": math.ceil(t.budget), "epochs": max(1, round(t.budget * self.batches.steps_per_epoch)), "minutes": None}[t.unit]

    def done(self, seconds: float) -> float:
        """Share of the budget that is used, 0 to 1, after `seconds` of training."""
        spent = seconds / (60 * self.run.train.budget) if self.total is None else self.step / self.total
        return min(1.0, spent)

    def one_step(self, done: float, notes: dict[str, Tensor] | None = None, stride: bool = False) -> dict[str, Tensor]:
        """Trains each phase once on the next batch; returns the terms of their losses.

        `notes` is given each phase's gradient norm, and with `stride` the length of its step, as Progress.health says."""
        run, t = self.run, self.run.train
        items, y = self.batches.at(self.step)
        x = self.modality.encode(items.to(self.device)).contiguous(memory_format=self.layout)
        places = self.batches.places(self.step)
        said = None if self.said is None else self.said[places].to(self.device)
        batch = Batch(x, None if y is None else y.to(self.device), said, places.to(self.device))
        # every draw of a step follows from (seed, step, rank), so a resumed run needs no stored random state
        seed = key(run.seed, "step", self.step, self.rank)
        torch.default_generator.manual_seed(seed)  # dropout; torch.manual_seed would cost 0.2 ms
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
            rng = torch.cuda.default_generators[torch.cuda.current_device()]  # that of the device: nothing waits for the CPU's draws
        else:
            rng = torch.Generator().manual_seed(seed)
            if self.device.type == "mps":
                torch.mps.manual_seed(seed)
        if t.warmup or t.decay != "none":
            fall = {"none": 1, "linear": 1 - done, "cosine": 0.5 + 0.5 * math.cos(math.pi * done)}[t.decay]
            for name, optimizers in self.optimizers.items():
                rate = self.rates[name] * fall * min(1.0, (self.step + 1) / max(1, t.warmup))
                for group in (optimizer.param_groups[0] for optimizer in optimizers):
                    if isinstance(group["lr"], Tensor):
                        group["lr"].fill_(rate)  # where a recorded step reads it
                    else:
                        group["lr"] = rate
        if notes is not None or not self.replays:
            terms = self._learn(batch, rng, notes, stride)
        elif self.asked < WARM:
            self.asked, terms = self.asked + 1, self._learn(batch, rng)
        else:
            terms = self._repeat(batch, rng)
        self.step += 1
        if self.averages:
            self._average(min(t.ema, (1 + self.step) / (10 + self.step)))
        return terms

    def _learn(self, batch: Batch, rng: torch.Generator, notes: dict[str, Tensor] | None = None, stride: bool = False) -> dict[str, Tensor]:
        """The work of one_step on a batch that lies on the device."""
        t, terms = self.run.train, {}
        for name in self.phases:
            if len(self.phases) > 1:
                for other, parameters in self.parameters.items():
                    for p in parameters:
                        p.requires_grad_(other == name)
            with self.accelerator.autocast():
                loss, found = self.model.loss(name, batch, rng)
            self.accelerator.backward(loss)
            if self.world > 1:
                self._share(self.parameters[name])
            if notes is not None:
                notes[f"gradient {name}"] = _norm([p.grad for p in self.parameters[name] if p.grad is not None])
            if t.clip:
                torch.nn.utils.clip_grad_norm_(self.parameters[name], t.clip)
            before = [p.detach().clone() for p in self.parameters[name]] if stride else []
            for optimizer in self.optimizers[name]:
                optimizer.step()
            if notes is not None and stride:
                moved = torch._foreach_sub([p.detach() for p in self.parameters[name]], before)
                notes[f"stride {name}"] = _norm(moved) / _norm(before).clamp(min=1e-12)
            for optimizer in self.optimizers[name]:
                optimizer.zero_grad()
            terms |= {k: v.detach() for k, v in found.items()}
        return terms

    def _repeat(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        """`_learn`, recorded at the first call; as ever where the GPU cannot record it."""
        if self.replay is None:
            try:
                self.replay = Replay(lambda *parts: self._learn(Batch(*parts), rng), batch)
            except RuntimeError:
                self.replays = False
                for p in self.model.parameters():
                    p.grad = None
                return self._learn(batch, rng)
        return self.replay(*batch)

    def _share(self, parameters: list[nn.Parameter]) -> None:
        """Means the gradients over all processes, in one reduction."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.accelerator.reduce(torch.cat([g.flatten() for g in gradients]), "mean")
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        torch._foreach_lerp_(list(self.averages.values()), list(self.live.values()), 1 - decay)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[Model]:
        """The model in eval mode with its averaged weights, for as long as the context lasts; gradients are off."""
        raw = {k: self.live[k].clone() for k in self.averages}
        with torch.no_grad():
            self.model.eval()
            for k, v in self.averages.items():
                self.live[k].copy_(v)
            try:
                yield self.model
            finally:
                for k, v in raw.items():
                    self.live[k].copy_(v)
                self.model.train()

    def some(self, dataset: data.Dataset, count: int) -> Batch:
        """At most `count` items of a set (Dataset.some), fewer where an item is large, as the model sees them."""
        count = max(1, min(count, NUMBERS // math.prod(self.modality.shape)))
        items, labels, said = dataset.some(count), dataset.labels, self._read(dataset)
        x = self.modality.encode(items.to(self.device))
        return Batch(x, *(None if known is None else known[:count].to(self.device) for known in (labels, said)))

    @cached_property
    def held_out(self) -> Batch | None:
        """The items that marks validate on."""
        return None if self.held is None or not len(self.held) else self.some(self.held, ITEMS)

    @cached_property
    def measures(self) -> Measures:
        """What marks compare the samples with: items that are trained on, drawn by the seed."""
        drawn = torch.randperm(len(self.training), generator=generator(self.run.seed, "measured"))[:KNOWN]
        known, even = self.some(self.training.take(drawn), KNOWN), self.training.stride == 1  # the end of a text is another text
        classes = self.condition if self.model.classes else None
        return Measures(known, self.held_out, classes, self.run.seed, self.modality.features, even)

    def look(self) -> tuple[Any, dict[str, float]]:
        """The sheet of the run's fixed latents, drawn with the averaged weights, uint8 (H, W, 3); and what a mark measures."""
        with self.averaged() as model:
            x = model.sample(self.latents, model.Sampling(), self.condition)
            found, sheet = self.measures.of(model, x), self._sheet(model, x)
        if self.averages:
            own = list(self.averages.values())
            found["apart"] = float(_norm(torch._foreach_sub([self.live[k] for k in self.averages], own)) / _norm(own).clamp(min=1e-12))
        return sheet, found

    def draw(self) -> Any:
        """The sheet alone."""
        with self.averaged() as model:
            return self._sheet(model, model.sample(self.latents, model.Sampling(), self.condition))

    def _sheet(self, model: Model, x: Tensor) -> Any:
        """The sheet of samples x (N, *shape); of points it also shows the data, and what the model holds of every place."""
        items = self.modality.decode(x.float().cpu())
        if self.modality.kind != "points":
            return self.modality.sheet(items, self.columns)
        levels = model.surface(self.modality.plane().to(self.device))
        return self.modality.beside(items, self.training.items[: len(items)], None if levels is None else levels.cpu())

    def validate(self) -> dict[str, float]:
        """The terms of each phase's loss on held-out items, with the averaged weights and the same draws each time."""
        terms: dict[str, float] = {}
        if self.held_out is None:
            return terms
        with self.averaged() as model:
            for name in self.phases:
                found = model.loss(name, self.held_out, generator(self.run.seed, "held-out"))[1]
                terms |= {f"held-out {k}": float(v) for k, v in found.items()}
                if self.first is not None and self.model.monitor in found:
                    before = model.loss(name, self.first, generator(self.run.seed, "held-out"))[1]
                    terms[f"first {self.model.monitor}"] = float(before[self.model.monitor])
        return terms

    def judge(self, terms: dict[str, float]) -> bool:
        """Notes a validation; True when `patience` of them have passed without a better one."""
        value = terms.get(f"held-out {self.model.monitor}")
        if value is None or not self.run.train.patience:
            return False
        if self.best is None or value < self.best:
            self.best, self.wait = value, 0
            self.kept = {k: v.clone() for k, v in self.weights().items() if v.is_floating_point()}
        else:
            self.wait += 1
        return self.wait >= self.run.train.patience

    def weights(self) -> dict[str, Tensor]:
        """What a checkpoint keeps: the last phase's state, averaged."""
        return {k: self.averages.get(k, v) for k, v in self.part.state_dict().items()}

    def whole(self) -> bool:
        """Whether every weight, and every running mean of a normalisation, is a finite number."""
        return all(bool(v.isfinite().all()) for v in self.model.state_dict().values())

    def state(self) -> bytes:
        """All that a later process needs to go on bit for bit."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"averages.{k}": v for k, v in self.averages.items()} | {f"kept.{k}": v for k, v in self.kept.items()}
        for name, optimizers in self.optimizers.items():
            known = (optimizer.state.get(p, {}) for optimizer in optimizers for p in optimizer.param_groups[0]["params"])
            tensors |= {f"optimizer.{name}.{i}.{slot}": v for i, slots in enumerate(known) for slot, v in slots.items()}
        facts = {"step": self.step, "seconds": self.seconds, "best": self.best, "wait": self.wait, "data": self.dataset.digest}
        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}  # plain, unshared rows
        return safetensors.torch.save(tensors, {"facts": json.dumps(facts)})

    def restore(self, path: Path) -> None:
        """Goes back to the state in `path`. Raises TrainingError where it is broken or belongs to other data or another model."""
        try:
            with safetensors.safe_open(path, "pt") as f:
                facts = json.loads(f.metadata()["facts"])
                tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118  (not a dict)
            step, seconds, wait = int(facts["step"]), float(facts["seconds"]), int(facts["wait"])
            best, digest = None if facts["best"] is None else float(facts["best"]), facts["data"]
        except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError):
            raise TrainingError(f"{path}: not a state that a run can go on from: cut short or changed") from None
        if digest != self.dataset.digest:
            raise TrainingError(f"{path}: was made with other data than {self.run.data.source} holds now, so the run cannot go on from it")
        pick = {
            p: {k[len(p) + 1 :]: v for k, v in tensors.items() if k.startswith(f"{p}.")} for p in ("model", "averages", "kept", "optimizer")
        }
        try:
            self.model.load_state_dict(pick["model"])
            for name, optimizers in self.optimizers.items():
                number = itertools.count()  # over the parameters of all of them
                for optimizer, kept in zip(optimizers, (ADAMW, MUON), strict=False):
                    slots, own = {}, optimizer.param_groups[0]["params"]
                    for i, p in enumerate(own if step else ()):
                        place = f"{name}.{next(number)}"
                        slots[i] = {slot: pick["optimizer"][f"{place}.{slot}"] for slot in kept}
                        for slot in set(kept) - {"step"}:
                            if slots[i][slot].shape != p.shape:
                                raise ValueError
                            # in the memory layout of p: the fused step walks p and its moments side by side
                            slots[i][slot] = torch.empty_like(p).copy_(slots[i][slot])
                    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
            with torch.no_grad():
                for k, v in self.averages.items():
                    v.copy_(pick["averages"][k])
        except (RuntimeError, ValueError, KeyError):
            raise TrainingError(f"{path}: does not fit the model that the run describes") from None
        self.kept = {k: v.to(self.device) for k, v in pick["kept"].items()}
        self.step, self.seconds, self.best, self.wait = step, seconds, best, wait

    def agree(self, flag: bool) -> bool:
        """`flag` of any process, the same in all."""
        return self._sum(float(flag)) > 0

    def clock(self, seconds: float) -> float:
        """The first process's `seconds`, the same in all: each has a clock of its own."""
        return self._sum(seconds if self.rank == 0 else 0.0)

    def _sum(self, value: float) -> float:
        if self.world == 1:
            return value
        return float(self.accelerator.reduce(torch.tensor(value, device=self.device, dtype=torch.float32), "sum"))


def precision(run: Run) -> str:
    """What a step of `run` is taken in on this machine: "bf16", or "no" for fp32, as accelerate names it."""
    if run.train.precision != "auto":
        return "bf16" if run.train.precision == "bf16" else "no"
    if run.device != "cpu" and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    if not amx() or (run.device != "cpu" and torch.backends.mps.is_available()):
        return "no"
    kind = family(run.family)
    return "bf16" if kind.halves(check(kind.Config, run.model, "model.")) else "no"


def amx() -> bool:
    """Whether this CPU multiplies matrices of bf16 in tiles (Intel's AMX), eight times as fast as those of fp32."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())  # not a promise of PyTorch's


def marks(model: Model, seed: int, many: int, said: Tensor | None = None) -> tuple[int, Tensor, Tensor | None]:
    """What every mark of a run draws, a few rows of it or about `many` in all: columns, latents (N, *latent), and a column each classes
    (N,) where the model is conditional, or what is `said` (n, L) of the first items where it reads."""
    columns = min(model.classes, 10) or 8
    rows = max(6 if model.classes else 8, many // columns)
    if 0 < many < columns:
        columns, rows = many, 1
    condition = torch.arange(columns).repeat(rows) if model.classes else None
    if said is not None:
        condition = said[torch.arange(rows * columns) % min(columns, len(said))]
    return columns, draw_latents(model.latent, key(seed, "marks"), range(rows * columns)), condition


def train(trainer: Trainer, stop: Callable[[], str] = lambda: "", save: Callable[[bytes], None] | None = None) -> Iterator[Progress]:
    """Trains until the budget is used, patience ends or `stop()` names another end, yielding about four times a second and at every mark.

    `save` is given the resumable state every `train.save_seconds`, at REWINDS marks and at the end, from the first process.
    Raises TrainingError."""
    t, total = trainer.run.train, trainer.total
    began, before = time.monotonic(), trainer.seconds
    logged, saved, marked = (began, trainer.step), began, math.floor(trainer.done(before) * t.marks) if trainer.step else -1
    sums: dict[str, Tensor] = {}
    notes: dict[str, Tensor] = {}
    spotted = math.floor(trainer.done(before) * REWINDS) if trainer.step else -1
    end = ""
    while True:
        now = time.monotonic()
        # several processes decide together, every tenth step, by the clock of the first; one process at every step
        together = trainer.world == 1 or trainer.step % 10 == 0 or trainer.step == total
        if together:
            trainer.seconds = trainer.clock(before + now - began)
        done = trainer.done(trainer.seconds)
        if together:
            asked = stop()
            if done >= 1:
                end = "done"
            elif trainer.agree(bool(asked)):
                end = asked or "stopped"
        due = together and math.floor(done * t.marks) > marked
        # a run of a second draws less often than it is asked to; not where patience counts the marks, nor where processes would differ
        at_mark = end not in ("", history.AGAIN) or (due and (marked < 0 or trainer.world > 1 or t.patience > 0 or now - began >= 0.5))
        if now - logged[0] >= LOG_SECONDS or at_mark or end or (trainer.step == 1 and sums):
            count = trainer.step - logged[1]
            terms = {k: float(v) / count for k, v in sums.items()} if count else {}
            _finite(trainer, terms)
            rate = count * trainer.batches.batch / max(now - logged[0], 1e-9)
            left = None if trainer.step == 0 else trainer.seconds / max(done, 1e-9) * (1 - done)
            seen = Progress(
                trainer.step,
                trainer.step / trainer.batches.steps_per_epoch,
                trainer.step * trainer.batches.batch,
                trainer.seconds,
                done,
                rate,
                left,
                terms,
                {k: float(v) for k, v in notes.items()},
            )
            sums, notes, logged = {}, {}, (now, trainer.step)
            if at_mark:
                marked = math.floor(done * t.marks)
                held = trainer.validate()
                _finite(trainer, held)
                # a mark that is due is judged also where the run ends: when it goes on, that mark is not due again (but step 0 is)
                judged = due and (trainer.step or not end)
                if judged and trainer.agree(trainer.judge(held)) and end != "done":
                    end = "done"
                    seen = replace(
                        seen,
                        says=f"no better held-out {trainer.model.monitor} for {t.patience} validations: kept the best, {trainer.best:.4g}",
                    )
                sheet, found = trainer.look()
                if (monitored := f"held-out {trainer.model.monitor}") in held:
                    found["held out"] = held[monitored]
                seen = replace(seen, terms=seen.terms | held, health=seen.health | found, sheet=sheet)
            spot = math.floor(done * REWINDS) if t.rewind_mb and at_mark else spotted
            save_now = save and (end or spot > spotted or time.monotonic() - saved >= t.save_seconds)
            spotted = max(spot, spotted)
            if save_now and trainer.rank == 0:
                if not trainer.whole():
                    raise TrainingError(
                        f"after step {trainer.step} some weights are not numbers any more; a lower train.lr than {t.lr:g} may help"
                    )
                save(trainer.state())
                saved = time.monotonic()
            yield replace(seen, end=end, health={k: v for k, v in seen.health.items() if math.isfinite(v)})
            if end:
                return
        # the step after a line of the log is measured, the step after a mark more closely
        for k, v in trainer.one_step(done, None if notes else notes, at_mark and not notes).items():
            sums[k] = sums[k] + v if k in sums else v
        if total is None and trainer.step > 100_000_000:
            return


def _norm(tensors: list[Tensor]) -> Tensor:
    """The length of all the tensors' numbers as one vector."""
    return torch.stack(torch._foreach_norm(tensors)).norm()


def _finite(trainer: Trainer, terms: dict[str, float]) -> None:
    if bad := [k for k, v in terms.items() if not math.isfinite(v)]:
        lower = f"a lower train.lr than {trainer.run.train.lr:g}, or train.clip=1, may help"
        raise TrainingError(f"after step {trainer.step} the term {bad[0]!r} is not a number any more; {lower}")


def record(
    run: Run, folder: Path, stop: Callable[[], str] = lambda: "", on_data: Callable[[int, int], None] | None = None
) -> Iterator[Progress]:
    """Trains `run` in its folder, going on from the state there: writes what the room `history` lists, and at the end checkpoint/.

    A run that breaks keeps its last whole state, and the checkpoint that follows from it. Raises what Trainer and train raise."""
    tracking.check(run)
    trainer = Trainer(run, on_data)
    main = trainer.rank == 0
    state = folder / history.STATE
    if state.exists():
        trainer.restore(state)
    tracker = tracking.Tracker(trainer.accelerator, run, folder) if main and run.train.tracker != "none" else None
    if main:
        history.cut(folder, trainer.step or -1)  # step 0 is shown again
    kept = -1  # how many marks' weights are due, evenly over the budget; the first mark and the end come on top

    def save(whole: bytes) -> None:
        files.write_whole(state, whole)
        history.keep_state(folder, trainer.step, run.train.rewind_mb * 1e6)

    try:
        for seen in train(trainer, stop, save):
            if main:
                due = math.floor(seen.done * (run.train.kept_marks - 1))
                if seen.sheet is not None and run.train.kept_marks and (seen.end or due > kept):
                    keep_mark(trainer, folder)
                    kept = due
                _note(folder, seen)
                if tracker:
                    tracker.log(seen.step, {**seen.terms, "epoch": seen.epoch, "rate": seen.rate})
                if seen.end not in ("", history.AGAIN):
                    finish(trainer, folder)
            yield seen
    except TrainingError as error:
        if main:
            epoch, items = trainer.step / trainer.batches.steps_per_epoch, trainer.step * trainer.batches.batch
            facts = {"health": {"broken": 1.0}, "says": str(error)}
            _note(folder, Progress(trainer.step, epoch, items, trainer.seconds, trainer.done(trainer.seconds), **facts))
            if state.exists():
                trainer.restore(state)
                finish(trainer, folder)
        raise
    finally:
        if tracker:
            tracker.end()


def _note(folder: Path, seen: Progress) -> None:
    line = {k: v for k, v in asdict(replace(seen, sheet=None)).items() if k not in ("sheet", "end")}
    history.note(folder, line, None if seen.sheet is None else picture(seen.sheet))


def keep_mark(trainer: Trainer, folder: Path) -> None:
    """Keeps what the run draws with now as a checkpoint of half precision among its marks, and thins these. Raises files.StorageError."""
    half = trainer.run.model_copy(update={"train": trainer.run.train.model_copy(update={"weights": "float16"})})
    made = _checkpoint(trainer, folder, history.place(folder, history.MARKS, trainer.step), half, {})
    # no directions: finding some takes seconds, and they would differ from mark to mark
    checkpoint.write_directions(made, latent.Directions(torch.zeros(0, *trainer.model.latent), torch.zeros(0), (), ()))
    history.thin(folder, history.MARKS, trainer.run.train.kept_marks)


def finish(trainer: Trainer, folder: Path) -> checkpoint.Checkpoint:
    """Writes the checkpoint of what the trainer has learnt to `folder`/checkpoint, with its directions. Raises files.StorageError."""
    trainer.averages |= trainer.kept  # the best ones, where patience is set
    log = (folder / history.LOG).read_bytes() if (folder / history.LOG).exists() else b""
    terms: dict[str, float] = {}
    for line in log.splitlines():
        with contextlib.suppress(ValueError):
            terms |= json.loads(line)["terms"]
    extra = {checkpoint.SAMPLES: picture(trainer.draw()), checkpoint.LOG: log}
    if (trace := trainer.training.trace()) is not None:
        extra[checkpoint.TRACE] = safetensors.torch.save(trace)
    made = _checkpoint(trainer, folder, folder / "checkpoint", trainer.run, terms, extra)
    with trainer.averaged() as model:
        measures, own, seed = trainer.modality.measures, known(trainer), trainer.run.seed
        try:
            found = latent.directions(model, trainer.run.train.sliders, measures, own, seed)
        except latent.DirectionsError:  # nothing that could run straight can be read off what it makes
            found = latent.directions(model, "best", measures, own, seed)
        checkpoint.write_directions(made, found)
    return made


def _checkpoint(
    trainer: Trainer, folder: Path, place: Path, run: Run, terms: dict[str, float], extra: dict[str, bytes] | None = None
) -> checkpoint.Checkpoint:
    run, source, batches, first = checkpoint.shown(run), trainer.dataset.source, trainer.batches, None
    if (folder / history.FIRST).exists():
        first = checkpoint.shown(Run.model_validate_json((folder / history.FIRST).read_bytes()))
    return checkpoint.save(
        place,
        trainer.weights(),
        run,
        trainer.modality,
        trainer.dataset.classes,
        checkpoint.Source(
            name=source.name,
            title=source.title,
            licence=source.licence,
            url=source.url,
            about=source.about,
            items=len(trainer.training.items),
            digest=trainer.dataset.digest,
        ),
        checkpoint.Training(
            command=checkpoint.command(run, first),
            steps=trainer.step,
            epochs=trainer.step / batches.steps_per_epoch,
            items=trainer.step * batches.batch,
            seconds=trainer.seconds,
            machine=checkpoint.machine(),
            date=time.strftime("%Y-%m-%d"),
            terms=terms,
        ),
        extra,
    )


def _codec(name: str) -> bytes:
    """The weights (safetensors) of the codec that a checkpoint is, or learnt through. Raises ConfigError."""
    found = checkpoint.find(name, anywhere=True)
    if found.modality.kind == "latents":
        return found.modality.codec
    codec = checkpoint.load(found).codec
    if codec is None:
        raise ConfigError(f"codec: {found.name} is a {found.preset}, which has none: train a vae:grid on the same pictures")
    return safetensors.torch.save({k: v.contiguous() for k, v in codec.state_dict().items()})


def known(trainer: Trainer) -> Any:
    """What is known of the data and cannot be chosen when the model draws, so that directions may follow it (latent.Known), or None."""
    some = trainer.training.limit(latent.MOST, trainer.run.seed)
    targets = {} if trainer.model.classes else some.targets()
    return latent.Known(trainer.modality.encode(some.items), targets) if targets else None


def picture(sheet: Any) -> bytes:
    """A sheet (H, W, 3) as lossless WebP."""
    out = io.BytesIO()
    Image.fromarray(sheet).save(out, "WEBP", lossless=True, method=2)
    return out.getvalue()


class Resumed(NamedTuple):
    """A straight run beside one that was paused: the digests of the states that they end with; how far these lie `apart`, as `apart` has
    it, and how far they may: on a CPU not at all."""

    straight: str
    paused: str
    apart: float
    allowed: float

    @property
    def same(self) -> bool:
        """Whether a pause changes nothing, as far as that can be told on the device."""
        return self.apart <= self.allowed


def resume_check(run: Run, at: int) -> Resumed:
    """Trains `run` straight, and again with a pause after step `at`.

    On a CPU the two end the same. A GPU sums in no fixed order, so that two straight runs differ too: a third is trained there, straight
    again, and a pause may move the end TOLERANCE times as far as that one lies from the first."""
    import itertools
    import tempfile

    on: set[str] = set()

    def ends(*pauses: int) -> bytes:
        with tempfile.TemporaryDirectory() as place:
            path = Path(place, history.STATE)
            for steps in pauses:
                trainer, count = Trainer(run), itertools.count()
                on.add(trainer.device.type)
                if path.exists():
                    trainer.restore(path)
                for _ in train(trainer, lambda: "paused" if next(count) >= steps else "", path.write_bytes):  # noqa: B023
                    pass
            return path.read_bytes()

    straight, paused = ends(run.train.budget), ends(at, run.train.budget)
    allowed = 0.0 if on == {"cpu"} else TOLERANCE * apart(straight, ends(run.train.budget))
    return Resumed(digest(straight), digest(paused), apart(straight, paused), allowed)


def apart(a: bytes, b: bytes) -> float:
    """How far the state b is from a: the length of the difference of all their numbers as a share of a's length; infinite where one lacks
    a tensor of the other's shape, and where whole numbers differ."""
    one, other = safetensors.torch.load(a), safetensors.torch.load(b)
    if {k: v.shape for k, v in one.items()} != {k: v.shape for k, v in other.items()}:
        return math.inf
    squares = length = 0.0
    for name, v in one.items():
        if v.is_floating_point():
            squares += float((v.double() - other[name].double()).square().sum())
            length += float(v.double().square().sum())
        elif not torch.equal(v, other[name]):
            return math.inf
    return math.sqrt(squares / length) if squares else 0.0


def digest(state: bytes) -> str:
    """SHA-256 over all tensors of a state: the weights, their averages, what the optimizers keep."""
    tensors = safetensors.torch.load(state)
    made = hashlib.sha256()
    for name in sorted(tensors):
        made.update(name.encode() + tensors[name].contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return made.hexdigest()
