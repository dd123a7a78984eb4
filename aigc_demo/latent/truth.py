"""What is known of a model's data, or of its own samples, as something that can be read off x."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..model import Model, generator
from .methods import Measures, columns, device, drawn, samples

LEARNT = 0.25  # of a target's variance among items held out: what must be read off them, a correlation of one half
RIDGE = 0.3  # of the mean variance of a feature
MOST = 2000  # items that are learnt from, a fifth of them held out


class DirectionsError(ValueError):
    """Directions that cannot be found; the text says why in one sentence."""


@dataclass(frozen=True, eq=False)
class Known:
    """Items of which something is known: x (N, *shape), and for each name of a class or of a factor its value (N,)."""

    x: Tensor
    targets: dict[str, Tensor]

    def between(self, a: str, b: str) -> Known:
        """The items of two classes, or ends of two factors, with one target that grows from `a` to `b`. Raises DirectionsError."""
        for name in (a, b):
            if name not in self.targets:
                raise DirectionsError(f"between: {name[:80]!r} is not one of {', '.join(self.targets)}")
        return Known(self.x, {f"{a} → {b}": self.targets[b] - self.targets[a]})


@torch.no_grad()
def own(model: Model, classes: Sequence[str], seed: int = 0, count: int = 1000) -> Known:
    """A conditional model's own samples, of which the class is known. Raises DirectionsError for a model that draws no chosen class."""
    if not model.classes:
        raise DirectionsError("labels: this model draws no chosen class, and nothing is known of its data")
    z, y = drawn(model, seed, "own", count)
    return Known(torch.cat(list(samples(model, z, y))), {name: (y.cpu() == k).float() for k, name in enumerate(classes)})


@torch.no_grad()
def reader(model: Model, known: Known) -> Measures | None:
    """What reads the targets, in their standard deviations, off x: ridge regression on the encoder's mean where the model has an encoder
    that needs no class, else on x.

    Targets that cannot be read off items held out are left out; None where none can."""
    encode = None if model.classes else getattr(model, "encode", None)

    def features(x: Tensor) -> Tensor:
        mean = x if encode is None else torch.cat([encode(part.to(device(model)))[0].float().cpu() for part in x.split(500)])
        return mean.flatten(1).double()

    f, t = features(known.x[:MOST]), columns(known.targets)[:MOST]
    t = t / t.std(0).clamp(min=1e-9)
    held = torch.randperm(len(f), generator=generator("held out")) % 5 == 0
    middle, level = f[~held].mean(0), t[~held].mean(0)
    centred = f[~held] - middle
    gram = centred @ centred.T
    gram.diagonal().add_(RIDGE * centred.square().mean() * len(centred))
    weights = centred.T @ torch.linalg.solve(gram, t[~held] - level)  # (features, targets)
    rest = t[held] - level - (f[held] - middle) @ weights
    read = 1 - rest.square().sum(0) / (t[held] - t[held].mean(0)).square().sum(0).clamp(min=1e-9)
    good = [k for k in range(len(known.targets)) if read[k] >= LEARNT]
    if not good:
        return None
    names = [list(known.targets)[k] for k in good]

    def measures(x: Tensor) -> dict[str, Tensor]:
        return dict(zip(names, ((features(x) - middle) @ weights[:, good]).unbind(1), strict=True))

    return measures
