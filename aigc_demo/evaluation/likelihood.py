"""How likely a model finds pictures that it was not trained on, in nats each, beside what no learning at all would find."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .. import data
from ..engine import Engine, Warm

TOGETHER = 20  # items whose latents are drawn in one pass
FEW = 50  # draws for those items that do not get all


class EvaluationError(ValueError):
    """What cannot be measured, and why, in one sentence."""


@dataclass(frozen=True)
class Likelihood:
    """The mean of -log p(x) in nats over `items` items, by importance sampling with `samples` latents for each of `whole` of them and FEW
    for the others, corrected by the mean difference that the others' latents make among the former.

    `error` is its standard error for another such test set; `short` that for this one, had every item had all its latents (0 where each
    had). `trivial` is the same for pixels that are independent, each as in the training set. `protocol` says what x and p are."""

    nats: float
    error: float
    short: float
    items: int
    whole: int
    samples: int
    trivial: float
    protocol: str


def likelihood(
    engine: Engine,
    warm: Warm,
    test: data.Dataset,
    train: data.Dataset,
    samples: int,
    whole: int,
    seed: int = 0,
    on_progress: Callable[[float], None] | None = None,
) -> Likelihood:
    """Of a model that `engine` holds on `test`, items of its size and channels; `train` is what it was trained on. The first `whole` items
    in an order drawn by the seed get all `samples` latents. Of a picture whose pixels are drawn first there is one draw, so that the
    difference which more latents make is that alone.

    Raises EvaluationError for a family that has no likelihood."""
    found, model = warm.checkpoint, warm.model
    modality = found.modality
    if not hasattr(model, "log_likelihood"):
        raise EvaluationError(f"evaluate: {found.name} is a {found.manifest.run.family}, which tells no likelihood; a vae does")
    if test.modality != modality:
        raise EvaluationError(f"evaluate: {found.name} knows items of {modality.shape}, and these are of {test.modality.shape}")
    rng = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(test), generator=rng)
    whole = len(test) if samples <= FEW else min(whole, len(test))
    passes = [(part, samples) for part in order[:whole].split(TOGETHER)]
    if whole < len(test):
        passes += [(part, FEW) for part in order.split(TOGETHER)]
    scores, cost, done = {samples: [], FEW: []}, sum(len(p) * k for p, k in passes), 0
    observed = model.observed(modality.encode(test.items), rng)
    for part, k in passes:
        x = observed[part].to(engine.device)
        y = test.labels[part].to(engine.device) if model.classes else None
        with engine.turn:
            scores[k].append(-model.log_likelihood(x, k, rng, y).cpu())
        done += len(part) * k
        if on_progress:
            on_progress(done / cost)
    best = torch.cat(scores[samples])
    if whole < len(test):
        rough = torch.cat(scores[FEW])
        gap = best - rough[:whole]
        nats, short = rough.mean() + gap.mean(), gap.std() / math.sqrt(whole)
        error = (rough.var() / len(rough) + short.square()).sqrt()
    else:
        nats, short, error = best.mean(), torch.zeros(()), best.std() / math.sqrt(whole)
    given = ", p given its class" if model.classes else ""
    drawn = {"bernoulli": "dynamic binarisation, one draw an item", "gaussian": "density of pixels from -1 to 1"}[model.likelihood]
    plain = trivial(modality.encode(train.items), modality.encode(test.items), model.likelihood)
    return Likelihood(float(nats), float(error), float(short), len(test), whole, samples, plain, f"{drawn}{given}")


def trivial(train: torch.Tensor, test: torch.Tensor, kind: str) -> float:
    """The mean of -log p(x) in nats of `test` (N, C, S, S), -1 to 1, under independent pixels, each with its mean in `train`; Gaussian
    ones also with its variance, at least that of one level in 255. Exact for Bernoulli: the mean over all binarisations."""
    if kind == "bernoulli":
        white = (((train + 1) / 2).double().sum(0) + 1) / (len(train) + 2)
        mean = ((test + 1) / 2).double().mean(0)
        return -float((mean * white.log() + (1 - mean) * (1 - white).log()).sum())
    mean, variance = train.double().mean(0), train.double().var(0).clamp(min=(2 / 255) ** 2)
    return float((0.5 * (test.double() - mean).square() / variance + 0.5 * (2 * math.pi * variance).log()).flatten(1).sum(1).mean())
