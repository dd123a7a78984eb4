"""What is measured of a model while it trains, besides its losses: how near its samples come to the data, how varied they are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .model import Batch, Model, generator

ITEMS = 256  # held-out items, as many of those trained on, and samples at most, that a mark measures
FEWEST = 16  # held-out items that say more of the model than of themselves
KNOWN = 2048  # items of the data that samples are compared with
NUMBERS = 1 << 24  # in all x that are held at a time: fewer items where an item is large
BASIS, FEATURES = 512, 32  # items that the features are found from, and how many features
COORDINATES = 4096  # numbers of an x that the features see


class Eye:
    """A cheap way to look at x: the leading principal components of the data, in which near means alike.

    `data` holds items x (N, *shape), with their classes y (N,) where there are labels; `features` are the modality's. `accuracy` is the
    share of items whose nearest other item is of their own class, that is how far `classes` can be believed; None without labels."""

    def __init__(self, data: Batch, seed: int, features: Callable[[Tensor], Tensor]):
        self._seen = features
        size = features(data.x[:1]).shape[1]
        drawn = torch.randperm(size, generator=generator(seed, "coordinates"))[:COORDINATES].sort().values
        self.coordinates = drawn.to(data.x.device)
        flat = self._flat(data.x[:BASIS])
        self.mean = flat.mean(0)
        flat = flat - self.mean
        # of the (N, N) Gram matrix, as N is small and x may be large; on the CPU, as Apple's GPUs have no such function
        values, vectors = (v.to(flat.device) for v in torch.linalg.eigh((flat @ flat.T).cpu()))
        most = min(FEATURES, flat.shape[1])
        self.axes = flat.T @ vectors[:, -most:] / values[-most:].clamp(min=1e-6).sqrt()
        self.known, self.labels = self.features(data.x), data.y
        self.spread = spread(self.known)
        self.accuracy: float | None = None
        if data.y is not None:
            apart = torch.cdist(self.known, self.known).fill_diagonal_(torch.inf)
            self.accuracy = float((data.y[apart.argmin(1)] == data.y).float().mean())

    def _flat(self, x: Tensor) -> Tensor:
        return self._seen(x)[:, self.coordinates]

    def features(self, x: Tensor) -> Tensor:
        """x (N, *shape) -> (N, at most FEATURES)."""
        return (self._flat(x) - self.mean) @ self.axes

    def classes(self, features: Tensor) -> Tensor:
        """The class (N,) of the known item that is nearest to each of `features` (N, F)."""
        return self.labels[torch.cdist(features, self.known).argmin(1)]

    def distance(self, features: Tensor) -> float:
        """How far samples of `features` (N, F) are from the data: the energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Szekely and
        Rizzo 2013, doi 10.1016/j.jspi.2013.03.018), unbiased, over E|Y - Y'|. About 0 for items of the data, in one class or many."""
        return (2 * float(torch.cdist(features, self.known).mean()) - spread(features) - self.spread) / max(self.spread, 1e-8)


def spread(features: Tensor, groups: Tensor | None = None) -> float:
    """The mean distance between two of `features` (N, F), where there are `groups` (N,) between two of one group; 0 without a pair."""
    apart, count = torch.cdist(features, features), len(features)
    same = torch.ones_like(apart, dtype=torch.bool) if groups is None else groups[:, None] == groups
    return float(apart[same].sum() / max(1, int(same.sum()) - count))  # without the diagonal, which is 0


class Measures:
    """What the marks of a run measure of its model, beside the data that it learns from.

    `training` holds items that it trains on and `held` held-out ones, where there are any; `condition` is the class (N,) of each of the
    run's fixed samples, where it draws classes; `features` are the modality's. `even` says that the held-out items were
    drawn from the same as those trained on, so that a gap between the losses of the two is overfitting."""

    def __init__(
        self,
        training: Batch,
        held: Batch | None,
        condition: Tensor | None,
        seed: int,
        features: Callable[[Tensor], Tensor],
        even: bool = True,
    ):
        self.even = even
        self.eye, self.held, self.seed = Eye(training, seed, features), held, seed
        self.condition = None if condition is None else condition[:ITEMS]
        count = ITEMS if held is None else len(held.x)
        told = (None if known is None else known[:count] for known in (training.y, training.said))
        self.trained = Batch(training.x[:count].clone(), *told)
        self.varied = spread(self.eye.known, None if condition is None else self.eye.labels)

    @torch.no_grad()
    def of(self, model: Model, x: Tensor) -> dict[str, float]:
        """Of a model in eval mode that drew the fixed samples x (N, *shape), by name:

        "distance" of the samples from the data (Eye.distance); "diversity", their spread over the data's, within classes where the model
        draws classes; "classes", the share of the data's classes that they show, "right", the share that shows the class asked for, and
        "eye", how far these two can be believed; Model.signals, of held-out items where there are any; and, where there are FEWEST, of as
        many trained ones "trained", the loss that `monitor` names, with the draws of a validation."""
        x = x[:ITEMS]
        features = self.eye.features(x)
        found = {"distance": self.eye.distance(features), "diversity": spread(features, self.condition) / max(self.varied, 1e-8)}
        if self.eye.labels is not None:
            shown = self.eye.classes(features)
            found |= {"eye": self.eye.accuracy, "classes": len(shown.unique()) / len(self.eye.labels.unique())}
            if self.condition is not None:
                found["right"] = float((shown == self.condition).float().mean())
        enough = self.held is not None and len(self.held.x) >= FEWEST
        signals = model.signals(self.held or self.trained, Batch(x, self.condition), self.trained if enough else None)
        found |= {k: float(v) for k, v in signals.items()}
        if model.monitor and enough and self.even:
            terms: dict[str, Tensor] = {}
            for phase in model.phases():
                terms |= model.loss(phase, self.trained, generator(self.seed, "held-out"))[1]
            found["trained"] = float(terms[model.monitor])
        return found
