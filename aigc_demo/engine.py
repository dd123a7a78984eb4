"""The cache of generators: a Request in, a Sample out; few models warm, and the newest request of a session wins."""

from __future__ import annotations

import hashlib
import io
import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from . import checkpoint as checkpoints, latent, modality
from .checkpoint import Checkpoint, CheckpointError
from .config import ConfigError, Fields, check
from .model import Model, draw_latents
from .provenance import label

REACH = 3.0  # how far a slider of a page goes to either side, in standard deviations
SPAN = 8.0  # how far a slider or a latent's number may go, in standard deviations
FAR = 1_000_000  # how far a place on the lattice may lie from its middle
DIGITS = 5  # decimals of a pinned latent's numbers: far below what a pixel of 8 bits can show
AT_ONCE = 64  # samples in one forward pass
CHUNK = (16, 32)  # samples of a strip in one forward pass, the more where they take
PASS_SECONDS = 0.05  # at most: whoever waits for one picture waits no longer than these take
STRIP_SECONDS = 0.25  # of computing that one strip may take; what a slower model draws in that time is the strip


class Superseded(Exception):
    """A newer request of the same session came before this one was computed."""


@dataclass(frozen=True)
class Request:
    """One sample, fully described: the latent that (seed, index) draws, with single numbers of it set, then moved along the directions.

    With `place`, two numbers (x, y), the latent is the one at that place of the seed's lattice (latent.on_lattice) instead. `numbers` maps
    a latent's position to its value, `sliders` are amounts along the checkpoint's directions, both in standard deviations; `label` is the
    class where the model is conditional; `sampling` holds the family's sampling settings."""

    checkpoint: str
    seed: int = 0
    index: int = 0
    sliders: tuple[float, ...] = ()
    numbers: dict[int, float] = field(default_factory=dict)
    label: int | None = None
    sampling: dict[str, Any] = field(default_factory=dict)
    place: tuple[float, float] | None = None

    def __post_init__(self):
        for name, value in (("seed", self.seed), ("index", self.index), *(("numbers", at) for at in self.numbers)):
            if not isinstance(value, int) or not 0 <= value < 2**31:
                raise ConfigError(f"{name}: {value} is not a whole number from 0 to {2**31 - 1}")
        if self.label is not None and not isinstance(self.label, int):
            raise ConfigError(f"label: {self.label} is not the number of a class")
        for name, values in (("sliders", self.sliders), ("numbers", self.numbers.values())):
            for value in values:
                if not isinstance(value, (int, float)) or not abs(value) <= SPAN:  # a NaN is not
                    raise ConfigError(f"{name}: {value} is not a number from {-SPAN:g} to {SPAN:g}")
        if self.place is not None and not (len(self.place) == 2 and all(isinstance(v, (int, float)) and abs(v) <= FAR for v in self.place)):
            raise ConfigError(f"place: {self.place!r:.80} is not two numbers from {-FAR:,} to {FAR:,}")

    def pinned(self, z: Tensor) -> Request:
        """This request with every number of its latent set to those of z (*latent), within the span, and no slider moved."""
        numbers = {i: round(max(-SPAN, min(SPAN, v)), DIGITS) for i, v in enumerate(z.flatten().tolist())}
        return replace(self, numbers=numbers, sliders=(), place=None)

    def at(self, axis: str, value: float) -> Request:
        """This request with one of its amounts changed: axis is `sliders.K` or `numbers.K` (K from 0), or `sampling.NAME`.

        Raises ConfigError for another axis; whether the checkpoint has it is checked when it is drawn."""
        kind, _, key = axis.partition(".")
        if kind == "sampling" and key:
            return replace(self, sampling={**self.sampling, key: value})
        if kind not in ("sliders", "numbers") or not key.isascii() or not key.isdigit() or len(key) > 4:
            raise ConfigError(f"axis: {axis[:40]!r} is not one of sliders.K, numbers.K and sampling.NAME")
        k = int(key)
        if kind == "numbers":
            return replace(self, numbers={**self.numbers, k: value})
        amounts = [*self.sliders, *[0.0] * (k + 1 - len(self.sliders))]
        amounts[k] = value
        return replace(self, sliders=tuple(amounts))

    @classmethod
    def of(cls, values: dict[str, Any]) -> Request:
        """The request that JSON describes: a recipe, or what a page sends. Raises ConfigError for what cannot be one."""
        try:
            label, place = values.get("label"), values.get("place")
            return cls(
                str(values["checkpoint"]),
                int(values.get("seed", 0)),
                int(values.get("index", 0)),
                tuple(float(v) for v in values.get("sliders", ())),
                {int(k): float(v) for k, v in dict(values.get("numbers") or {}).items()},
                None if label is None else int(label),
                dict(values.get("sampling") or {}),
                None if place is None else tuple(float(v) for v in place),
            )
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(
                "this describes no sample: it needs checkpoint, and may have seed, index, place, sliders, numbers, label and sampling"
            ) from None

    def recipe(self, digest: str) -> dict[str, Any]:
        """What a file carries so that the sample can be drawn again."""
        return {**{k: v for k, v in asdict(self).items() if v not in ((), {}, None)}, "digest": digest}


@dataclass(frozen=True)
class Sample:
    """One output: the item, and how it was made."""

    item: Tensor
    request: Request
    digest: str


@dataclass(frozen=True)
class Warm:
    """A model in memory, and its sliders."""

    checkpoint: Checkpoint
    model: Model
    directions: latent.Directions

    @cached_property
    def ways(self) -> str:
        """The hash of the directions, to tell a slider's amount along them from one along others."""
        said, found = hashlib.sha256(), self.directions
        for part in (found.vectors, *(found.curve.state_dict().values() if found.curve else ())):
            said.update(part.float().cpu().contiguous().numpy().tobytes())
        return said.hexdigest()[:16]

    @cached_property
    def trace(self) -> dict[str, Tensor] | None:
        """What is kept of the text that the model was trained on, to know its runs again."""
        return checkpoints.read_trace(self.checkpoint)

    @property
    def bytes(self) -> int:
        return sum(p.numel() * p.element_size() for p in self.model.state_dict().values() if not p.is_meta)


def recall(data: bytes) -> tuple[Request, dict[str, str]]:
    """What a file that this program wrote was drawn from: the request, and the hashes that it names (digest, and ways: see Warm.ways).

    Raises ConfigError where the file has no recipe inside, or not that of one sample."""
    said = label.read(data)
    recipe = (said and said.recipe) or modality.recipe_of(data)
    if recipe is None:
        raise ConfigError("file: there is no recipe inside: this program did not write it, or another one saved it again")
    if "samples" in recipe:
        raise ConfigError(f"file: it shows {recipe['samples']} samples, not one")
    return Request.of(recipe), {k: recipe[k] for k in ("digest", "ways") if isinstance(recipe.get(k), str)}


class Engine:
    """Warm models by content hash, the least recently used out when `memory` bytes are passed. Safe to call from many threads.

    Raises ConfigError for a device that is not here."""

    def __init__(self, memory: int = 1 << 30, device: str = "cpu"):
        here = {"cpu": lambda: True, "cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
        if device not in here:
            raise ConfigError(f"device: {device!r} is not one of {', '.join(here)}")
        if not here[device]():
            raise ConfigError(f"device: there is no {device} GPU here; take cpu")
        self.memory, self.device = memory, device
        self._warm: OrderedDict[str, Warm] = OrderedDict()
        self._lock = threading.Lock()  # of the two maps
        self._loading = threading.Lock()
        self._compute = threading.Lock()  # a forward pass uses all cores: two at once only slow each other
        self._newest: OrderedDict[str, int] = OrderedDict()
        self._pace: dict[tuple[Any, ...], float] = {}  # by _work: seconds a sample took in the last pass
        self._count = itertools.count(1)

    def warm(self, name: str | Checkpoint) -> Warm:
        """The model of a checkpoint, loaded where it is not in memory. Raises CheckpointError."""
        found = checkpoints.find(name) if isinstance(name, str) else name
        if ready := self._take(found.digest):
            return ready
        with self._loading:  # one load at a time; who waited finds it warm
            if ready := self._take(found.digest):
                return ready
            model = checkpoints.load(found, self.device)
            stored = checkpoints.read_directions(found)
            if stored is None:
                with self._compute:
                    stored = latent.directions(model, measures=found.modality.measures, seed=found.manifest.run.seed)
            if stored.vectors.shape[1:] != model.latent:
                raise CheckpointError(f"{found.path / checkpoints.DIRECTIONS}: holds directions of another latent")
            made = Warm(found, model, stored.to(self.device))
            with self._lock:
                self._warm[found.digest] = made
                while len(self._warm) > 1 and sum(w.bytes for w in self._warm.values()) > self.memory:
                    self._warm.popitem(last=False)
            return made

    def _take(self, digest: str) -> Warm | None:
        with self._lock:
            if digest in self._warm:
                self._warm.move_to_end(digest)
                return self._warm[digest]
        return None

    def draw(self, requests: Sequence[Request], session: str | None = None, name: Checkpoint | None = None) -> list[Sample]:
        """One sample a request; all of one checkpoint (`name`, where it is not on the shelf).

        Requests with a `session` are dropped with Superseded when a newer call of that session arrives before they are computed. Raises
        CheckpointError, and ConfigError for a label, a slider or a setting that the model does not have."""
        ticket = self._ticket(session)
        if not requests:
            return []
        warm = self.warm(name or requests[0].checkpoint)
        latents, labels, sampling = self._inputs(warm, requests)
        items = []
        for i in range(0, len(requests), AT_ONCE):
            part = slice(i, i + AT_ONCE)
            items.append(self._forward(warm, latents[part], None if labels is None else labels[part], sampling, session, ticket)[0])
        return [Sample(item, r, warm.checkpoint.digest) for item, r in zip(torch.cat(items), requests, strict=True)]

    def stages(self, request: Request, session: str | None = None, name: Checkpoint | None = None) -> list[Tensor]:
        """The items that a request goes through step by step, from noise to what `draw` draws, where the model tells them (Model.stages).

        Raises as `draw`."""
        ticket, warm = self._ticket(session), self.warm(name or request.checkpoint)
        if not hasattr(warm.model, "stages"):
            raise ConfigError(f"checkpoint {warm.checkpoint.name}: it does not tell the steps in which it draws")
        latents, _, sampling = self._inputs(warm, [request])
        with self._in_turn(session, ticket), torch.inference_mode():
            return list(warm.checkpoint.modality.decode(warm.model.stages(latents, sampling)[:, 0].float().cpu()))

    def stream(self, request: Request, name: Checkpoint | None = None) -> Iterator[Any]:
        """What a request writes, token by token as it is drawn, where the model can; of `name`, where that is not on the shelf.

        Raises ConfigError and CheckpointError."""
        warm = self.warm(name or request.checkpoint)
        if not hasattr(warm.model, "stream"):
            raise ConfigError(f"checkpoint {warm.checkpoint.name}: it writes no text, it draws {warm.checkpoint.modality.kind}s")
        latents, _, sampling = self._inputs(warm, [request])
        written = warm.model.stream(latents[0], sampling)
        while True:
            with self._compute:  # one token at a time: whoever waits for a picture gets in between
                token = next(written, None)
            if token is None:
                return
            yield token

    def strip(self, request: Request, axis: str, values: Sequence[float], session: str | None = None) -> list[Sample]:
        """Samples of `request` with its amount along `axis` (see Request.at) at each of `values`, as `in_time` draws them."""
        return self.in_time([request.at(axis, v) for v in values], session)

    def in_time(self, requests: Sequence[Request], session: str | None = None) -> list[Sample]:
        """Samples of the first so many of `requests` as STRIP_SECONDS of computing allow: few, or none, of a model that takes its time.

        So give those that matter most first. Another visitor's picture gets in between two passes. A sample differs from one that is drawn
        alone by float rounding only (1 of 255 at most). Raises as `draw`; the requests may differ in their sampling settings."""
        ticket = self._ticket(session)
        if not requests:
            return []
        warm = self.warm(requests[0].checkpoint)
        first = self._inputs(warm, requests[:1])
        if (work := _work(warm, first[2])) not in self._pace:  # nothing was drawn yet: twice, as the first also warms up
            for _ in range(2):
                self._forward(warm, *first, session, ticket)
        pace, left = self._pace[work], STRIP_SECONDS
        drawn: list[Sample] = []
        while len(drawn) < len(requests) and left >= pace:
            chunk = max(CHUNK[0], min(CHUNK[1], int(PASS_SECONDS / pace)))
            rest = requests[len(drawn) : len(drawn) + min(chunk, int(left / pace))]
            alike = itertools.groupby(rest, key=lambda r: r.sampling)  # one pass shares its sampling settings
            asked = list(next(alike)[1])
            items, seconds = self._forward(warm, *self._inputs(warm, asked), session, ticket)
            drawn += [Sample(item, r, warm.checkpoint.digest) for item, r in zip(items, asked, strict=True)]
            left -= seconds
        return drawn

    def _ticket(self, session: str | None) -> int:
        """Notes that a call of `session` has come; a later one has a larger ticket."""
        ticket = next(self._count)
        if session is not None:
            with self._lock:
                self._newest[session] = max(ticket, self._newest.get(session, 0))
                self._newest.move_to_end(session)
                while len(self._newest) > 10_000:
                    self._newest.popitem(last=False)
        return ticket

    @contextmanager
    def _in_turn(self, session: str | None, ticket: int) -> Iterator[None]:
        """Waits to compute; Superseded where the session has a newer ticket by then."""
        with self._compute:
            if session is not None and self._newest.get(session, ticket) > ticket:
                raise Superseded
            yield

    def _forward(
        self, warm: Warm, latents: Tensor, labels: Tensor | None, sampling: Fields, session: str | None, ticket: int
    ) -> tuple[Tensor, float]:
        """The items of one forward pass and its seconds; Superseded where the session has a newer ticket by the time it is its turn."""
        with self._in_turn(session, ticket):
            began = time.perf_counter()
            with torch.inference_mode():
                items = warm.checkpoint.modality.decode(warm.model.sample(latents, sampling, labels).float().cpu())
            seconds = time.perf_counter() - began
            self._pace[_work(warm, sampling)] = seconds / len(latents)
        return items, seconds

    def file(self, sample: Sample) -> bytes:
        """The sample as a file, with its recipe and its label inside. Raises CheckpointError, and LabelError for a provider's bad code."""
        warm = self._of(sample)
        recipe = sample.request.recipe(sample.digest) | ({"ways": warm.ways} if any(sample.request.sliders) else {})
        return label.put(warm.checkpoint.modality.write(sample.item, recipe), label.xmp(recipe))

    def sound(self, items: Sequence[Tensor], name: str) -> tuple[Tensor, int] | None:
        """What is heard of items of the checkpoint `name` one after another: a wave float32 (samples,) and samples a second; None where
        they are silent."""
        modality = self.warm(name).checkpoint.modality
        with self._compute:
            heard = modality.sound(torch.stack(list(items)))
        return None if heard is None else (heard[0].flatten(), heard[1])

    def sheet(self, samples: Sequence[Sample], columns: int = 8, format: str = "PNG") -> bytes:
        """Samples of one checkpoint, in rows, as a labelled PNG, or WEBP, that says what their recipes share. Raises as `file`."""
        out = io.BytesIO()
        Image.fromarray(self._of(samples[0]).checkpoint.modality.sheet(torch.stack([s.item for s in samples]), columns)).save(out, format)
        recipes = [s.request.recipe(s.digest) for s in samples]
        shared = {k: v for k, v in recipes[0].items() if all(r.get(k) == v for r in recipes)}
        return label.put(out.getvalue(), label.xmp({**shared, "samples": len(samples), "columns": columns}))

    def _of(self, sample: Sample) -> Warm:
        return self._take(sample.digest) or self.warm(sample.request.checkpoint)

    def _inputs(self, warm: Warm, requests: Sequence[Request]) -> tuple[Tensor, Tensor | None, Fields]:
        """Latents (N, *latent), labels (N,) and the sampling settings of `requests`."""
        model, classes = warm.model, warm.checkpoint.manifest.classes
        sampling = check(model.Sampling, requests[0].sampling, "sampling.")
        drawn = {key: _drawn(model, *key) for key in {(r.seed, r.index, r.place) for r in requests}}
        latents = torch.stack([drawn[r.seed, r.index, r.place] for r in requests]).to(self.device)
        flat = latents.flatten(1)
        amounts = torch.zeros(len(requests), len(warm.directions), device=self.device)
        for i, r in enumerate(requests):
            if r.checkpoint != requests[0].checkpoint or r.sampling != requests[0].sampling:
                raise ConfigError("requests: those of one call share the checkpoint and the sampling settings")
            if len(r.sliders) > len(warm.directions):
                raise ConfigError(f"sliders: {len(r.sliders)} given, the checkpoint has {len(warm.directions)}")
            if r.numbers:
                if (last := max(r.numbers)) >= flat.shape[1]:
                    raise ConfigError(f"numbers: {last} is not a position from 0 to {flat.shape[1] - 1}")
                flat[i, list(r.numbers)] = torch.tensor(list(r.numbers.values()), dtype=flat.dtype, device=flat.device)
            if r.sliders:
                amounts[i, : len(r.sliders)] = torch.tensor(r.sliders)
            if r.label is not None and (not model.classes or not 0 <= r.label < model.classes):
                have = (
                    f"its classes are 0 to {model.classes - 1}: {', '.join(classes)}"
                    if model.classes
                    else "this checkpoint draws no chosen class"
                )
                raise ConfigError(f"label: {r.label} is not a class; {have}")
        if any(r.sliders for r in requests):
            latents = warm.directions.moved(latents, amounts)
        # without a label a conditional model cycles through its classes by index
        labels = (
            torch.tensor([r.index % model.classes if r.label is None else r.label for r in requests], device=self.device)
            if model.classes
            else None
        )
        return latents, labels, sampling

    def latents(self, request: Request) -> list[float]:
        """The numbers of the request's latent before any slider moves it, as the page's fold shows them."""
        return self.points([replace(request, sliders=())])[0].flatten().tolist()

    def points(self, requests: Sequence[Request], name: Checkpoint | None = None) -> Tensor:
        """The latents (N, *latent) that the requests draw from, on the CPU: moved by sliders, scaled by no setting. Raises as `draw`."""
        return self._inputs(self.warm(name or requests[0].checkpoint), requests)[0].cpu()

    @property
    def turn(self) -> AbstractContextManager:
        """Held by whoever computes: long work takes it for one step at a time, so that a visitor's picture gets in between."""
        return self._compute


def _work(warm: Warm, sampling: Fields) -> tuple[Any, ...]:
    """What samples take alike for: a checkpoint, and its settings that are whole numbers (steps)."""
    return warm.checkpoint.digest, *(value for _, value in sampling if type(value) is int)


def _drawn(model: Model, seed: int, index: int, place: tuple[float, float] | None) -> Tensor:
    return draw_latents(model.latent, seed, [index])[0] if place is None else latent.on_lattice(model.latent, seed, *place)
