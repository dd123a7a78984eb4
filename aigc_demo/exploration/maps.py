"""Flat maps of a latent space: each place (x, y) of a map is one request, so that a dragged point is an ordinary picture."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .. import data, latent
from ..checkpoint import Checkpoint
from ..config import ConfigError
from ..engine import FAR, SPAN, Engine, Request

ITEMS = 1000  # of the test set that are encoded
WARM = 16  # planes kept in memory
SIDE = 64  # pixels of a picture on a map

Place = tuple[float, float]


def seeds(here: Request, places: Sequence[Place]) -> list[Request]:
    """The seed lattice: endless, every place a latent of its own (latent.on_lattice); sliders, class and settings are those of `here`."""
    return [replace(here, numbers={}, index=0, place=(_near(x), _near(y))) for x, y in places]


def sliders(here: Request, axes: tuple[int, int], places: Sequence[Place]) -> list[Request]:
    """The plane through `here` along two of the checkpoint's directions: x and y are their amounts. Raises ConfigError."""
    if len(set(axes)) != 2 or not all(0 <= k < 1024 for k in axes):
        raise ConfigError(f"axes: {axes} are not the numbers of two sliders")
    x_axis, y_axis = (f"sliders.{k}" for k in axes)
    return [here.at(x_axis, _reach(x)).at(y_axis, _reach(y)) for x, y in places]


def plane(engine: Engine, corners: Sequence[Request], places: Sequence[Place], name: Checkpoint | None = None) -> list[Request]:
    """The plane through three requests, at (0, 0), (1, 0) and (0, 1), bent to the radius at which they lie (latent.mixed).

    Class and settings are the first one's. Raises ConfigError and as Engine.draw."""
    if len(corners) != 3:
        raise ConfigError(f"corners: a plane goes through three pictures, not {len(corners)}")
    points = engine.points([replace(c, sampling=corners[0].sampling) for c in corners], name)
    weights = torch.tensor([(1 - x - y, x, y) for x, y in places])
    return [corners[0].pinned(z) for z in latent.mixed(points, weights)]


def tile(engine: Engine, requests: Sequence[Request], columns: int) -> Tensor:
    """The requests' pictures, row by row without gaps: uint8 (C, rows * s, columns * s), s at most SIDE. Raises as Engine.draw."""
    items = thumbnails(engine, requests)
    count, channels, side, _ = items.shape
    return items.view(count // columns, columns, channels, side, side).permute(2, 0, 3, 1, 4).reshape(channels, -1, columns * side)


def thumbnails(engine: Engine, requests: Sequence[Request], side: int = SIDE) -> Tensor:
    """The requests' pictures, at most `side` pixels a side: uint8 (N, C, s, s). Raises as Engine.draw."""
    items = torch.stack([s.item for s in engine.draw(requests)])
    modality = engine.warm(requests[0].checkpoint).checkpoint.modality
    return replace(modality, size=side).resize(items) if modality.size > side else items


@dataclass(frozen=True, eq=False)
class Embedding:
    """Where an encoder puts a test set: a plane of latents, mean + x axes[0] + y axes[1], and its items' places on it.

    `places` (N, 2) and `labels` (N,) or None; `kept` is the share of the means' variance that the plane has; `axes` (2, *latent) are
    orthonormal: the two directions in which the encoder's means vary most (PCA). An autoencoder's latents are its codes standardised, which
    vary alike in all directions: there the codes are what is looked at, and `axes` the latents that stand for their two directions."""

    mean: Tensor
    axes: Tensor
    places: Tensor
    labels: Tensor | None
    classes: tuple[str, ...]
    kept: float
    title: str

    def at(self, here: Request, places: Sequence[Place]) -> list[Request]:
        """The latents at places of the plane, with the class and the settings of `here`."""
        points = self.mean + torch.einsum("nk,k...->n...", torch.tensor(places, dtype=torch.float32), self.axes)
        return [here.pinned(z) for z in points]


class Atlas:
    """The embeddings and the principal planes of an engine's checkpoints, each made once and kept while it is among the last asked for."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self._made: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def why_not(self, found: Checkpoint) -> str:
        """Why a checkpoint has no embedding, in a sentence; "" where it has one."""
        if not hasattr(self.engine.warm(found).model, "encode"):
            return "this family has no encoder"
        return no_test_set(found)

    def embedding(self, found: Checkpoint) -> Embedding:
        """Raises ConfigError where there is none, and DataError."""
        if why := self.why_not(found):
            raise ConfigError(f"map: {why}")
        return self._kept(f"data {found.digest}", lambda: _embed(self.engine, found))

    def principal(self, here: Request, places: Sequence[Place]) -> list[Request]:
        """The plane through the seed's own latent along the two principal components of the activations (latent.methods.pca): x and y are
        standard deviations. Class and settings are those of `here`. Raises as Engine.draw, and ConfigError for a latent of one number."""
        warm = self.engine.warm(here.checkpoint)

        def made() -> Tensor:
            with self.engine.turn:
                return latent.directions(warm.model, "pca", seed=warm.checkpoint.manifest.run.seed, count=2).vectors

        axes = self._kept(f"pca {warm.checkpoint.digest}", made)
        if len(axes) < 2:
            raise ConfigError("map: a latent of one number has no plane")
        seen = replace(here, sliders=(), numbers={}, place=None)
        (middle,) = self.engine.points([seen])
        amounts = torch.tensor([(_reach(x), _reach(y)) for x, y in places], dtype=torch.float32)
        return [seen.pinned(z) for z in middle + torch.einsum("nk,k...->n...", amounts, axes)]

    def _kept(self, key: str, make: Callable[[], Any]) -> Any:
        with self._lock:  # one is made at a time; who waited finds it made
            if key not in self._made:
                self._made[key] = make()
                while len(self._made) > WARM:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            return self._made[key]


def _embed(engine: Engine, found: Checkpoint) -> Embedding:
    run, model = found.manifest.run, engine.warm(found).model
    shape = {"size": found.modality.size, "channels": found.modality.channels, "limit": ITEMS}
    test = data.load(run.data.model_copy(update=shape), run.seed, part="test")
    labels = test.labels if model.classes else None
    coded = hasattr(model, "code") and not model.classes
    means = []
    for part in torch.arange(len(test)).split(100):
        with engine.turn, torch.inference_mode():
            x = found.modality.encode(test.items[part]).to(engine.device)
            y = None if labels is None else labels[part].to(engine.device)
            means.append((model.code(x) if coded else model.encode(x, y)[0]).cpu())
    means = torch.cat(means).clone()
    flat = means.flatten(1)
    mean = flat.mean(0)
    _, spread, axes = torch.linalg.svd(flat - mean, full_matrices=False)
    axes = axes[:2] * torch.where(axes[:2].gather(1, axes[:2].abs().argmax(1, keepdim=True)) < 0, -1.0, 1.0)
    kept, places = (spread[:2].square().sum() / spread.square().sum()).item(), (flat - mean) @ axes.T
    if coded:
        mean, *ends = model.standard(torch.cat([mean[None], mean + axes]).to(engine.device)).cpu()
        axes = torch.stack(ends) - mean
    return Embedding(mean.view(model.latent), axes.view(2, *model.latent), places, test.labels, test.classes, kept, test.source.title)


def no_test_set(found: Checkpoint) -> str:
    """Why the test set of a checkpoint's data cannot be read, in a sentence; "" where it can."""
    source = next((s for s in data.sources() if s.name == found.manifest.run.data.source), None)
    if source is None:
        return "the data it was trained on is not a built-in set"
    return "" if data.present(source) else f"the test set of {source.title} is not on this machine"


def _reach(value: float) -> float:
    return max(-SPAN, min(SPAN, round(value, 4)))


def _near(value: float) -> float:
    return max(-FAR, min(FAR, round(value, 4)))
