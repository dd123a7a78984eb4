"""How directions are found: each method takes what a look at a model tells, and gives vectors of length one, the foremost first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..model import Model, draw_latents, key

Measures = Callable[[Tensor], dict[str, Tensor]]  # x (N, *shape) -> {name: (N,)}, as a modality has them
SAMPLES = 2400  # that a look takes, about: the fewer axes, the more latents it looks around,
EXAMPLES = (12, 48)  # at least, one of each of ten classes and two, and at most; of a latent like a picture, which takes steps, at least
STEP = 0.5  # standard deviations: wide enough for what a slider shows, narrow enough for a derivative
TYPICAL = (800, 2400)  # samples that say how measures follow the latent: of one like a picture, which takes steps, and of others
MOST_AXES = 64  # along which a latent with the shape of a picture is looked at
PART = 250  # samples that are drawn at a time
ACTIVATIONS = 1024  # latents whose activations are analysed
FINEST = 0.06  # a measure that spreads less is hardly seen to: nearly a pixel of 28
DAMPING = 0.3  # of the mean square slope: the price of keeping the other measures still


@dataclass(frozen=True)
class Reading:
    """What is read off x, by name, and how it follows the latent: `slopes` (n, M) is the mean change a unit along each axis of a look, in
    `spread` (M,), each measure's standard deviation among samples of one class.

    For standard normal latents E[dm/dz] = E[m z] (Stein's lemma): measures m regressed on samples anywhere, within a class, have the mean
    slope for their coefficients, with less of an error than differences around a few."""

    measures: Measures
    names: tuple[str, ...]
    slopes: Tensor
    spread: Tensor


@dataclass(frozen=True)
class Look:
    """A model, and how x changes around a few of its latents along n orthonormal `axes` (n, *latent), in which directions are written:
    `effect` (n, n) is E_z[J^T J] / pixels, J the Jacobian of x, so that d^T effect d is the mean square change of x a unit along d.
    `readings` are by the method that goes by them."""

    model: Model
    seed: int
    axes: Tensor
    effect: Tensor
    readings: dict[str, Reading]


def device(model: Model) -> torch.device:
    """Where the part that samples is."""
    return next(list(model.phases().values())[-1].parameters()).device


def drawn(model: Model, seed: int, use: str, count: int) -> tuple[Tensor, Tensor | None]:
    """Latents (N, *latent) that follow from (seed, use), on the model's device, and classes (N,) in turn where it is conditional."""
    at = device(model)
    condition = torch.arange(count, device=at) % model.classes if model.classes else None
    return draw_latents(model.latent, key(seed, use), range(count)).to(at), condition


def samples(model: Model, z: Tensor, y: Tensor | None) -> Iterator[Tensor]:
    """x of the latents z (N, *latent) and classes y (N,), PART at a time, on the CPU."""
    for i in range(0, len(z), PART):
        of = None if y is None else y[i : i + PART]
        yield model.sample(z[i : i + PART], model.Sampling(**model.draft), of).float().cpu()


def axes(latent: Sequence[int]) -> Tensor:
    """Orthonormal axes (n, *latent) along which to look: each number of the latent, or, where it has the shape of a picture or of a sound
    (channels, ...) with more than MOST_AXES numbers, the lowest cosines (DCT-II) of each channel, which decide what is drawn where."""
    size = math.prod(latent)
    if len(latent) == 1 or size <= MOST_AXES:
        return torch.eye(size).view(size, *latent)
    channels, *sides = latent
    low = max(1, int((MOST_AXES / channels) ** (1 / len(sides))))
    waves = torch.ones(1, 1)  # (waves, numbers of a channel)
    for side in sides:
        wave = torch.cos(math.pi / side * torch.outer(torch.arange(min(low, side)), torch.arange(side) + 0.5))
        waves = torch.kron(waves, wave / wave.norm(dim=1, keepdim=True))
    return torch.kron(torch.eye(channels), waves).view(-1, *latent)


@torch.no_grad()
def look(model: Model, read: dict[str, Measures], seed: int = 0) -> Look:
    """Looks at x around a few latents, by steps of STEP along each axis, ahead and behind in turn; and at what `read` reads off samples."""
    sampling, along = model.Sampling(**model.draft), axes(model.latent)
    steps = len(model.latent) > 1
    examples = EXAMPLES[0] if steps else min(max(SAMPLES // len(along), EXAMPLES[0]), EXAMPLES[1])
    z, y = drawn(model, seed, "directions", examples)
    effect = torch.zeros(len(along), len(along), dtype=torch.float64)
    for i in range(examples):
        step = STEP if i % 2 == 0 else -STEP
        around = torch.cat([z[i : i + 1], z[i] + step * along.to(z.device)])
        x = model.sample(around, sampling, None if y is None else y[i].expand(len(around))).float().cpu()
        jacobian = ((x[1:] - x[:1]) / step).flatten(1).double()  # (n, pixels): row i is dx/dz_i
        effect += jacobian @ jacobian.T / (examples * jacobian.shape[1])
    return Look(model, seed, along, effect, _read(model, read, along, seed, TYPICAL[0 if steps else 1]) if read else {})


def _read(model: Model, read: dict[str, Measures], along: Tensor, seed: int, count: int) -> dict[str, Reading]:
    """How what `read` reads follows the latent along the axes `along`, from `count` samples."""
    z, y = drawn(model, seed, "typical", count)
    seen: dict[str, list[dict[str, Tensor]]] = {name: [] for name in read}
    for x in samples(model, z, y):
        for name, measures in read.items():
            seen[name].append(measures(x))
    places = within((z.flatten(1).cpu() @ along.flatten(1).T).double(), y)
    readings = {}
    for name, told in seen.items():
        values = within(torch.cat([columns(part) for part in told]), y)
        spread = values.std(0).clamp(min=FINEST)
        readings[name] = Reading(read[name], tuple(told[0]), torch.linalg.lstsq(places, values / spread).solution, spread)
    return readings


def columns(measures: dict[str, Tensor]) -> Tensor:
    """Measures as one tensor (N, M) of float64."""
    return torch.stack([v.double() for v in measures.values()], 1)


def within(values: Tensor, y: Tensor | None) -> Tensor:
    """Values (N, F) less the mean of their class y (N,)."""
    if y is None:
        return values - values.mean(0)
    member = nn.functional.one_hot(y.cpu()).to(values.dtype)
    return values - member @ (member.T @ values / member.sum(0)[:, None].clamp(min=1))


def jacobian(seen: Look, count: int) -> Tensor:
    """The orthonormal directions (K, n) along which x changes most: the leading eigenvectors of E_z[J^T J] (as in Ramesh et al. 2018,
    arXiv:1812.01161)."""
    return _leading(seen.effect, count)


def closed(seen: Look, count: int) -> Tensor:
    """The directions (K, n) that the first layer stretches most: the leading eigenvectors of A^T A, A the weights that meet z (SeFa: Shen
    and Zhou 2021, arXiv:2007.06600). A is what the layer gives at each axis less what it gives at 0, so scaling or joining z with
    anything else on its way is counted in."""
    first, _ = layers(seen.model, torch.cat([torch.zeros_like(seen.axes[:1]), seen.axes]))
    weights = (first[1:] - first[:1]).double()  # (n, features)
    return _leading(weights @ weights.T, count)


def pca(seen: Look, count: int) -> Tensor:
    """The directions (K, n) that move the activations after the first layer along their principal components (GANSpace: Härkönen et al.
    2020, arXiv:2004.02546), within a class where the model is conditional.

    The components' coordinates are regressed on the latents; the paper regresses latents on coordinates, which for standard normal latents
    has the same expectation, and needs more samples."""
    z, y = drawn(seen.model, seen.seed, "activations", ACTIVATIONS)
    activations = within(layers(seen.model, z, y)[1], y)
    values, vectors = torch.linalg.eigh((activations @ activations.T).double())  # as the samples are mostly fewer than the features
    order = values.argsort(descending=True)[: min(count, len(seen.axes))]
    coordinates = vectors[:, order] * values[order].clamp(min=0).sqrt()
    places = z.flatten(1).cpu() @ seen.axes.flatten(1).T  # (N, n)
    return _units(torch.linalg.lstsq(within(places.double(), y), coordinates).solution.T)


def steered(reading: Reading) -> Tensor:
    """One direction (M, n) a measure, along which it changes and the others as little as may be: the rows of the damped pseudo-inverse of
    the slopes (the conditional manipulation of InterFaceGAN, Shen et al. 2020, arXiv:1907.10786, for all attributes at once)."""
    slopes = reading.slopes.T  # (M, n)
    square = slopes @ slopes.T
    square.diagonal().add_(DAMPING * square.diagonal().mean() + 1e-12)
    return _units(torch.linalg.solve(square, slopes))


class _Seen(Exception):
    """Ends a pass that has gone as far as it is wanted."""


@torch.no_grad()
def layers(model: Model, latents: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What the first layer that the latents meet gives (N, features), and what the next one takes (N, features), on the CPU.

    A layer is a module with a matrix or a filter of weights; a model that has no two such layers is its own: both are then its x."""
    latents = latents.to(device(model))
    if model.classes and condition is None:
        condition = torch.zeros(len(latents), dtype=torch.int64, device=latents.device)
    met: list[Tensor] = []

    def varies(x: Tensor) -> bool:  # among samples of one class: what does not follow from z alone is no layer of ours
        same = slice(None) if condition is None else condition == condition[0]
        return len(x) == len(latents) and bool((x[same] != x[same][:1]).any())

    def before(module: nn.Module, inputs: tuple) -> None:
        if met and varies(inputs[0]):
            met.append(inputs[0])
            raise _Seen

    def after(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        if not met and varies(inputs[0]):
            met.append(output)

    inner = [m for m in model.modules() if m is not model and not isinstance(m, nn.Embedding)]
    weighted = [m for m in inner if isinstance(getattr(m, "weight", None), Tensor) and m.weight.dim() > 1]
    hooks = [h for m in weighted for h in (m.register_forward_pre_hook(before), m.register_forward_hook(after))]
    try:
        x = model.sample(latents, model.Sampling(**model.draft), condition)
        first, second = x, x
    except _Seen:
        first, second = met
    finally:
        for hook in hooks:
            hook.remove()
    return first.flatten(1).float().cpu(), second.flatten(1).float().cpu()


def _leading(square: Tensor, count: int) -> Tensor:
    values, vectors = torch.linalg.eigh(square)
    return vectors[:, values.argsort(descending=True)[:count]].T


def _units(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-12)
