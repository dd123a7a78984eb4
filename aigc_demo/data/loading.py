"""Any source as one tensor of items, and the batches of a run, each of which follows from the seed and the step alone."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from PIL import Image

from .. import config
from ..modalities import audio, latents, points as plane, text
from ..modalities.image import Modality, is_grey
from . import captions, copies, files, points, scenes, shapes, texts, tones
from .cleaning import DataError, Ledger, duplicates, shown
from .sources import PARTS, TILES, Source, fetch, folder_of, own_folder, sources

PREVIEW = 64  # items of a set that one looks at first
HELD = 10  # of so many names of emoji, or of tiles, one is kept for the test part


@dataclass(frozen=True, eq=False)
class Dataset:
    """Items (N, *shape), uint8 (N, C, H, W) of pictures, with what is known of each: labels int64 (N,) into `classes`, captions, factors
    {name: (N,)}."""

    items: torch.Tensor
    labels: torch.Tensor | None
    classes: tuple[str, ...]
    captions: tuple[str, ...] | None
    factors: dict[str, torch.Tensor] | None
    modality: Modality | audio.Modality | plane.Modality | text.Modality
    source: Source
    ledger: Ledger

    stride: ClassVar[int] = 1  # an epoch shows every item, or where it is more, every so many-th: those between overlap these

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of the items' shape, the items, the labels, and of what turns the items into latents."""
        said = hashlib.sha256(repr(tuple(self.items.shape)).encode())
        said.update(self.items.contiguous().numpy())
        if self.labels is not None:
            said.update(self.labels.contiguous().numpy())
        if isinstance(self.modality, latents.Modality):
            said.update(self.modality.codec)
        return said.hexdigest()

    def through(self, codec: bytes) -> Dataset:
        """The same pictures, seen by models as latents of the codec whose weights (safetensors) these are. Raises DataError."""
        if type(self.modality) is not Modality:
            raise DataError(f"codec: it turns pictures into latents, and these are {self.modality.thing}s")
        try:
            return replace(self, modality=latents.Modality(self.modality.size, self.modality.channels, codec))
        except ValueError as error:
            raise DataError(str(error)) from None

    def take(self, index: torch.Tensor) -> Dataset:
        """The items at `index` int64 (n,), in that order, with all that is known of them."""
        return replace(
            self,
            items=self.items[index],
            labels=None if self.labels is None else self.labels[index],
            captions=None if self.captions is None else tuple(self.captions[i] for i in index.tolist()),
            factors=None if self.factors is None else {name: values[index] for name, values in self.factors.items()},
        )

    @property
    def told(self) -> tuple[str, ...] | None:
        """What is said of each item: its caption, else the name of its class; None where nothing is known."""
        if self.captions is not None or self.labels is None:
            return self.captions
        return tuple(self.classes[k] for k in self.labels.tolist())

    def targets(self) -> dict[str, torch.Tensor]:
        """What is known of each item as numbers, each (N,): for each class 1 or 0, and the factors that are measured rather than named."""
        classes = {} if self.labels is None else {name: (self.labels == k).float() for k, name in enumerate(self.classes)}
        return classes | {name: values for name, values in (self.factors or {}).items() if values.is_floating_point()}

    def preview(self, columns: int = 8) -> bytes:
        """The first items, in rows, as a PNG."""
        out = io.BytesIO()
        Image.fromarray(self.modality.sheet(self.some(self.modality.many or PREVIEW), columns)).save(out, "PNG")
        return out.getvalue()

    def limit(self, count: int, seed: int) -> Dataset:
        """At most `count` items, drawn by `seed`, in their old order; 0 is all."""
        return self.take(_drawn(len(self), count, seed)) if 0 < count < len(self) else self

    def split(self, validation: float, seed: int) -> tuple[Dataset, Dataset | None]:
        """The items to train on and the share `validation` of them held out, drawn by `seed`: at least one each, None for a share of 0.

        Items of one picture stay together."""
        if validation <= 0:
            return self, None
        picture = self.pictures()
        count = int(picture.max()) + 1
        held = torch.randperm(count, generator=_rng(seed, "split"))[: min(max(1, round(count * validation)), count - 1)]
        apart = torch.isin(picture, held)
        return self.take((~apart).nonzero()[:, 0]), self.take(apart.nonzero()[:, 0])

    def pictures(self) -> torch.Tensor:
        """Which picture each item is of, int64 (N,) from 0 on: its own, but where one is told in several ways (factor "picture")."""
        known = (self.factors or {}).get("picture")
        return torch.arange(len(self)) if known is None else known.unique(return_inverse=True)[1]

    def trace(self) -> dict[str, torch.Tensor] | None:
        """None: of other items than texts nothing is kept."""
        return None

    def some(self, count: int) -> torch.Tensor:
        """At most `count` items that stand for all, the same each time."""
        return self.items[:count]


@dataclass(frozen=True, eq=False)
class Corpus(Dataset):
    """One long text as a data set: `tokens` (T,), of which item i is the window of context + 1 from token i on.

    An epoch shows windows that lie side by side, from a first one that the seed draws anew, so that each token is foretold once."""

    tokens: torch.Tensor

    @classmethod
    def of(cls, tokens: torch.Tensor, modality: text.Modality, source: Source, ledger: Ledger) -> Corpus:
        """The corpus of tokens (T,); its windows share their memory."""
        return cls(tokens.unfold(0, modality.context + 1, 1), None, (), None, None, modality, source, ledger, tokens)

    @property
    def stride(self) -> int:
        """The context."""
        return self.modality.context

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of the text's bytes as its tokens have them."""
        return hashlib.sha256(repr((self.modality.context, self.modality.pieces)).encode() + self.tokens.numpy().tobytes()).hexdigest()

    def take(self, index: torch.Tensor) -> Dataset:
        """The windows at `index` int64 (n,), as a set of their own."""
        return Dataset(self.items[index], None, (), None, None, self.modality, self.source, self.ledger)

    def limit(self, count: int, seed: int) -> Dataset:
        """At most `count` windows, drawn by `seed`, in their old order; 0 is all."""
        return self.take(_drawn(len(self), count, seed)) if 0 < count < len(self) else self

    def split(self, validation: float, seed: int) -> tuple[Corpus, Corpus | None]:
        """The text to train on and the share `validation` at its end held out: at least one window each, None for a share of 0."""
        if validation <= 0:
            return self, None
        fewest = self.modality.context + 1
        held = min(max(fewest, len(self.tokens) - int(len(self.tokens) * (1 - validation))), len(self.tokens) - fewest)
        parts = self.tokens[:-held], self.tokens[-held:]
        return tuple(Corpus.of(part, self.modality, self.source, self.ledger) for part in parts)

    def trace(self) -> dict[str, torch.Tensor] | None:
        """What is kept of the text, to know its runs again (copies.trace)."""
        return copies.trace(self.modality.text(self.tokens))

    def some(self, count: int) -> torch.Tensor:
        """At most `count` windows, evenly over the text."""
        return self.items[torch.linspace(0, len(self) - 1, min(count, -(-len(self) // self.stride))).long()]


class Batches:
    """The batches of a run, stateless: `at(step)` follows from (seed, step) alone, so a run goes on where it stopped.

    A batch is `batch` items over all `world` processes, of which this one, `rank`, gets every world-th. An epoch shows each item at most
    once, and of overlapping ones (Dataset.stride) those that lie side by side; its last, incomplete batch is dropped, unless the whole
    set is smaller than a batch and is the batch. With `mirror`, each picture is mirrored half of the time. Raises ValueError where a
    process would get nothing."""

    def __init__(self, dataset: Dataset, batch: int, seed: int, rank: int = 0, world: int = 1, mirror: bool = False) -> None:
        self._apart = min(dataset.stride, len(dataset))
        self._rows = len(dataset) // self._apart
        self.batch = min(batch, self._rows)
        if not 0 <= rank < world <= self.batch:
            raise ValueError(f"{self.batch} items a step cannot be shared by {world} processes (this is number {rank})")
        self.dataset, self.seed, self.rank, self.world, self.mirror = dataset, seed, rank, world, mirror
        self.steps_per_epoch = self._rows // self.batch
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def at(self, step: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """This process's share of batch `step`, counted from 0 over all epochs: items (b, *shape) and labels int64 (b,) or None."""
        index = self.places(step)
        # numpy copies rows in this thread; torch would wake a pool for it, which on a busy machine costs more than the copy
        items = self.dataset.items.numpy()
        items = items.take(index.numpy(), axis=0) if self._apart == 1 else items[index.numpy()]  # take copies overlaps apart
        if self.mirror:
            flip = torch.rand(self.batch, generator=_rng(self.seed, "mirror", step))[self.rank :: self.world].numpy() < 0.5
            items[flip] = items[flip][..., ::-1]
        labels = self.dataset.labels
        return torch.from_numpy(items), None if labels is None else labels.index_select(0, index)

    def places(self, step: int) -> torch.Tensor:
        """Where in the dataset the items of `at(step)` lie: int64 (b,)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order, self._epoch = torch.randperm(self._rows, generator=_rng(self.seed, "epoch", epoch)), epoch
            if self._apart > 1:
                spare = len(self.dataset) - (self._rows - 1) * self._apart
                self._order = self._order * self._apart + torch.randint(spare, (), generator=_rng(self.seed, "first", epoch))
        return self._order[place * self.batch + self.rank : (place + 1) * self.batch : self.world]


def load(
    spec: config.Data,
    seed: int = 0,
    default_size: int = 32,
    on_progress: Callable[[int, int], None] | None = None,
    part: str = "train",
    given: text.Modality | None = None,
) -> Dataset:
    """The items that `spec` describes, at its size and channels, or the source's own, or `default_size` pixels and grey where all are grey.

    A text comes as a Corpus, in the tokens of `given` where there is one, else in its own, `default_size` of them at once. `part` is
    "train" or "test", the latter for built-in sets alone; of a text the end is held out instead (Corpus.split). `on_progress` is called
    with (files done, files in all). Raises DataError."""
    name = spec.source
    if part not in PARTS:
        raise ValueError(f"part: {part!r} is not one of {', '.join(PARTS)}")
    source, path = _found(name)
    kind = _kind(source, path)
    if kind == "text":
        return _text(source, path, spec, seed, default_size, given)
    if path:
        if part != "train":
            raise DataError(f"{shown(name)}: only built-in sets have a {part} part")
        dataset = _own_points(path, spec, seed) if kind == "points" else _from_files(path, spec, seed, default_size, on_progress)
    elif kind == "points":
        dataset = _points(source, spec, seed, part)
    elif kind == "audio":
        dataset = CLIPS[name](source, _clips(spec, name), spec.limit, seed, part)
    else:
        draw = PICTURES.get(name, _real)
        dataset = draw(source, _pictures(spec, source, default_size), spec.limit, seed, part)
    if len(dataset) < 2:
        raise DataError(f"{shown(name)}: at least 2 {dataset.ledger.thing}s are needed: {dataset.ledger.summary()}")
    if twice := duplicates(dataset.items) - (len(dataset) - 1 - int(dataset.pictures().max())):
        notes = (*dataset.ledger.notes, f"{twice:,} exact duplicates kept")
        dataset = replace(dataset, ledger=replace(dataset.ledger, notes=notes))
    return dataset


def foreseen(spec: config.Data, default_size: int = 32) -> Modality | audio.Modality | plane.Modality | text.Modality:
    """The modality of what `spec` describes, as names alone tell it: own pictures count as coloured, a text as one of bytes.

    Raises DataError."""
    source, path = _found(spec.source)
    kind = _kind(source, path)
    if kind is None:
        with files.opened(path) as found:
            kind = "audio" if files.sounds(found) else "image"
    if kind == "text":
        return text.Modality(spec.size or default_size)
    if kind == "points":
        return plane.Modality(points.REACH)
    return _clips(spec, spec.source) if kind == "audio" else _pictures(spec, source, default_size)


def _kind(source: Source | None, path: str | None) -> str | None:
    """The kind of a set's items; None of a path that may hold pictures or sounds."""
    if path is None:
        return source.kind
    if texts.is_text(path):
        return "text"
    return "points" if path.lower().endswith(points.SUFFIX) else None


def _pictures(spec: config.Data, source: Source | None, default_size: int) -> Modality:
    own = (source.size, source.channels) if source else (None, None)
    return Modality(spec.size or own[0] or default_size, spec.channels or own[1] or 3)


def _text(source: Source | None, path: str | None, spec: config.Data, seed: int, default_size: int, given: text.Modality | None) -> Corpus:
    for field in ("channels", "mirror"):
        if value := getattr(spec, field):
            raise DataError(f"data.{field}: {value} means nothing for a text, only for pictures")
    where = shown(spec.source)
    if path:
        whole, ledger = texts.from_files(path, spec, _key(seed, "order"))
        title = shown(os.path.basename(os.path.abspath(path)))
        source = Source(title, title, "", "", None, None, (), None, "Texts of your own; their licence is yours to know.")
    else:
        whole, ledger = texts.built_in(source.name, folder_of(source)), Ledger(1, thing="text")
    tokens, modality, notes = texts.prepared(whole, where, spec, given.context if given else spec.size or default_size, given)
    return Corpus.of(tokens, modality, source, replace(ledger, notes=(*ledger.notes, *notes)))


def _found(name: str) -> tuple[Source | None, str | None]:
    """The built-in set of that name, or the path that it is. Raises DataError."""
    known = {source.name: source for source in sources()}
    return (known[name], None) if name in known else (None, _path(name, list(known)))


def _path(name: str, known: list[str]) -> str:
    if "\0" in name:
        raise DataError(f"{shown(name)}: no file's name holds a NUL")
    path = os.path.expanduser(name)
    if os.path.exists(path):
        return path
    if path.lower().endswith(texts.SUFFIXES):
        raise DataError(f"{shown(name)}: there is no such file")
    if os.sep in path or "/" in path or path.startswith((".", "~")) or path.lower().endswith(".zip"):
        raise DataError(f"{shown(name)}: there is no such folder or zip")
    raise DataError(f"{config.unknown(shown(name), known)}; data is one of {', '.join(known)}, or the path of a folder, a zip or a text")


def _from_files(path: str, spec: config.Data, seed: int, default_size: int, on_progress: Callable[[int, int], None] | None) -> Dataset:
    with files.opened(path) as found:
        heard = files.sounds(found)
        modality = _clips(spec, path) if heard else _pictures(spec, None, default_size)
        found, said = (found, {}) if heard else captions.told(found)
        items, names, ledger = files.read(found, modality, spec.limit, _key(seed, "limit"), on_progress)
    if not (heard or spec.channels) and is_grey(items):
        modality = replace(modality, channels=1)
        items = items[:, :1].contiguous()
    labels, classes, note = files.classes_of(names)
    title = shown(os.path.basename(os.path.abspath(path)))
    source = Source(title, title, "", "", None, None, classes, len(items), f"Your own {modality.thing}s; their licence is yours to know.")
    told = tuple(said.get(name, "") for name in names) if said else None
    notes = [note] if note else []
    if told:
        without = told.count("")
        notes.append(f"{len(told) - without:,} have a caption" + (f", {without:,} have none" if without else ""))
    ledger = replace(ledger, notes=(*ledger.notes, *notes))
    return Dataset(items, None if labels is None else torch.tensor(labels), classes, told, None, modality, source, ledger)


def _real(source: Source, modality: Modality, limit: int, seed: int, part: str) -> Dataset:
    pictures, labels = fetch(source, part)
    if 0 < limit < len(pictures):
        index = _drawn(len(pictures), limit, seed)
        pictures, labels = pictures[index], labels[index]
    files.bounded(len(pictures), modality)
    items = modality.resize(pictures)
    return Dataset(items, labels, source.classes, None, None, modality, source, Ledger(len(items)))


def _drawn_shapes(source: Source, modality: Modality, limit: int, seed: int, part: str) -> Dataset:
    count = limit or source.count or 0
    files.bounded(count, replace(modality, channels=3))
    known = shapes.factors(count, _key(seed, "shapes", part))
    items = modality.resize(shapes.draw(known, modality.size))
    said = shapes.captions(known, colour=modality.channels >= 3)
    return Dataset(items, known["shape"].clone(), source.classes, said, known, modality, source, Ledger(count))


def _drawn_scenes(source: Source, modality: Modality, limit: int, seed: int, part: str) -> Dataset:
    """The parts differ in what stands together (scenes.held), so that the test part asks for what was never seen."""
    count = limit or source.count or 0
    if modality.channels != 3:
        raise DataError("data.channels: scenes are in colour, of which their captions tell, and hide nothing; set it to 0 or 3")
    files.bounded(count, modality)
    known = scenes.factors(count, _key(seed, "scenes", part), part)
    told = {name: values for name, values in known.items() if values.dim() == 1}
    for name in ("number", "size", "colour", "shape"):
        told |= {f"{name} {k + 1}": values for k, values in enumerate(known[name].unbind(1))}
    return Dataset(scenes.draw(known, modality.size), None, (), scenes.captions(known), told, modality, source, Ledger(count))


def _own_points(path: str, spec: config.Data, seed: int) -> Dataset:
    title = shown(os.path.basename(os.path.abspath(path)))
    _of_points(spec, title)
    items, reach, ledger = points.read(path)
    source = Source(title, title, "", "", None, None, (), len(items), "Your own points; their licence is yours to know.", "points")
    found = Dataset(items, None, (), None, None, plane.Modality(reach), source, ledger)
    return found.limit(spec.limit, _key(seed, "limit"))


def _of_points(spec: config.Data, name: str) -> None:
    for field in ("size", "channels", "mirror"):
        if value := getattr(spec, field):
            raise DataError(f"data.{field}: {value} means nothing for {name}, which is of points, not of pictures")


def _points(source: Source, spec: config.Data, seed: int, part: str) -> Dataset:
    _of_points(spec, source.name)
    items, drawn_from = points.draw(source.name, spec.limit or source.count or 0, _rng(seed, source.name, part))
    return Dataset(
        items, None, (), None, {"part": drawn_from}, plane.Modality(points.REACH), source, Ledger(len(items), thing=plane.Modality.thing)
    )


def _clips(spec: config.Data, name: str) -> audio.Modality:
    """The modality of sounds that `spec` describes. Raises DataError."""
    for field in ("channels", "mirror"):
        if value := getattr(spec, field):
            raise DataError(f"data.{field}: {value} means nothing for {shown(name)}, which is of sounds, not of pictures")
    try:
        return audio.modality(spec.rate, spec.seconds, spec.size or audio.Modality.size)
    except ValueError as error:
        raise DataError(f"data.{error}") from None


def _tones(source: Source, modality: audio.Modality, limit: int, seed: int, part: str) -> Dataset:
    count = limit or source.count or 0
    files.bounded(count, modality)
    known, noise = tones.factors(count, _key(seed, "tones", part)), _key(seed, "tones", part, "noise")
    items = torch.cat([modality.items(waves) for waves in tones.draw(known, modality.rate, modality.samples, noise)])
    labels, ledger = known.pop("what"), Ledger(count, thing=modality.thing)
    return Dataset(items, labels, source.classes, None, known, modality, source, ledger)


def _spoken(source: Source, modality: audio.Modality, limit: int, seed: int, part: str) -> Dataset:
    """The official split: of each speaker's fifty recordings of a digit, those numbered 0 to 4 are the test part."""
    with files.opened(str(own_folder(source))) as found:
        kept = [f for f in found.files if files.sounds(files.Found([f])) and (int(f.name.rpartition("_")[2][:-4]) < 5) == (part == "test")]
        items, names, ledger = files.read(replace(found, files=kept), modality, limit, _key(seed, "limit"), None)
    said = [name.split("_") for name in names]
    speakers = sorted({speaker for _, speaker, _ in said})
    known = {"speaker": torch.tensor([speakers.index(speaker) for _, speaker, _ in said])}
    return Dataset(items, torch.tensor([int(digit) for digit, _, _ in said]), source.classes, None, known, modality, source, ledger)


CLIPS = {"tones": _tones, "spoken-digits": _spoken}


def _stacked(source: Source, modality: Modality, limit: int, seed: int, part: str) -> Dataset:
    """Three digits an item, of both parts of MNIST (70,000), the factors red, green and blue saying which; the parts of this set differ in
    their draws alone. No labels: 1,000 of them would tell a model what it is to find out."""
    count = limit or source.count or 0
    files.bounded(count, replace(modality, channels=3))
    mnist = next(s for s in sources() if s.name == "mnist")
    pictures, digits = (torch.cat(both) for both in zip(*(fetch(mnist, p) for p in PARTS), strict=True))
    index = torch.randint(len(pictures), (3, count), generator=_rng(seed, "stacked", part))
    items = modality.resize(torch.cat([pictures[i] for i in index], 1))
    known = {name: digits[i] for name, i in zip(("red", "green", "blue"), index, strict=True)}
    return Dataset(items, None, source.classes, None, known, modality, source, Ledger(count))


def _emoji(source: Source, modality: Modality, limit: int, seed: int, part: str) -> Dataset:
    """Two items a picture, told in English and in Chinese, without variants by skin tone.

    One name in HELD is kept for the test part, whatever the seed."""
    with files.opened(str(own_folder(source))) as found:
        table = [row for file in found.files if file.name == "captions.jsonl" for row in captions.rows(file)]
        own = [row for row in table if row["skin_tone"] is None and (_key("emoji", row["name"]) % HELD == 0) == (part == "test")]
        known = {row["file"]: row for row in own}
        found = replace(found, files=[file for file in found.files if file.name in known])
        pictures, names, ledger = files.read(found, modality, 0, 0, None)
    said = [(i, known[name][language], known[name]["group"]) for i, name in enumerate(names) for language in ("name", "name_zh")]
    which, told, groups = zip(*said, strict=True)
    labels = torch.tensor([source.classes.index(group or source.classes[-1]) for group in groups])
    picture, ledger = torch.tensor(which), replace(ledger, thing="emoji", read=len(names))
    made = Dataset(pictures[picture], labels, source.classes, told, {"picture": picture}, modality, source, ledger)
    return made.limit(limit, _key(seed, "limit"))


def _tiles(source: Source, modality: Modality, limit: int, seed: int, part: str) -> Dataset:
    """A class a folder. One file's name in HELD is kept for the test part, whatever the seed."""
    with files.opened(str(own_folder(source))) as found:
        kept = [f for f in found.files if f.name.endswith(".png") and (_key("tile", f.name) % HELD == 0) == (part == "test")]
        items, names, ledger = files.read(replace(found, files=kept), modality, limit, _key(seed, "limit"), None)
    labels = torch.tensor([list(TILES).index(name.split("/")[0]) for name in names])
    return Dataset(items, labels, source.classes, None, None, modality, source, ledger)


PICTURES = {"shapes": _drawn_shapes, "scenes": _drawn_scenes, "stacked-mnist": _stacked, "noto-emoji": _emoji, "crawl-tiles": _tiles}


def _drawn(count: int, most: int, seed: int) -> torch.Tensor:
    return torch.randperm(count, generator=_rng(seed, "limit"))[:most].sort().values


def _rng(*parts: object) -> torch.Generator:
    return torch.Generator().manual_seed(_key(*parts))


def _key(*parts: object) -> int:
    """63 bits that follow from the parts alone, on every machine and in every process."""
    return int.from_bytes(hashlib.blake2b("\x1f".join(map(repr, parts)).encode(), digest_size=8).digest(), "big") >> 1
