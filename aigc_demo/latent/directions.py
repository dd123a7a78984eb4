"""Directions in a latent space: found by what they change, with their effects, methods and names."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..model import Model
from .curve import Bent, Curve, fit
from .methods import Look, Measures, Reading, closed, jacobian, look, pca, steered
from .names import Word, words
from .points import moved
from .truth import DirectionsError, Known, reader

UNSUPERVISED = {"pca": pca, "closed": closed, "jacobian": jacobian}
SUPERVISED = ("labels", "measured")  # by what is known of the data, by what can be read off a picture
CURVED = "curved"  # by what can be read off a picture, along a curve
METHODS = ("best", *SUPERVISED, *UNSUPERVISED, CURVED)
FAINT = 0.1  # of the strongest direction's effect: what does less is no slider
LEFT = 0.3  # of a direction's length: what must be left of it once it leaves alone what others do
SAME = 0.5  # of a direction's squared effect: what others may do as well before it is left out


@dataclass(frozen=True, eq=False)
class Directions:
    """The sliders of a checkpoint, of the largest effect first.

    `vectors` (K, *latent) are of length one, `effects` (K,) the root mean square change of x a unit; `methods` says how each was found,
    and `names` what it changes: the key of a word that the page translates, a text as it is, or "" where nothing was found to say. With a
    `curve` they are straight in its coordinates."""

    vectors: Tensor
    effects: Tensor
    methods: tuple[str, ...]
    names: tuple[str, ...]
    curve: Curve | None = None

    def __len__(self) -> int:
        return len(self.effects)

    def to(self, device: torch.device | str) -> Directions:
        """The same, to move latents on a device."""
        curve = None if self.curve is None else copy.deepcopy(self.curve).to(device)  # a module moves in its place
        return replace(self, vectors=self.vectors.to(device), curve=curve)

    def first(self, count: int) -> Directions:
        """At most `count` of them."""
        return Directions(self.vectors[:count], self.effects[:count], self.methods[:count], self.names[:count], self.curve)

    def moved(self, latents: Tensor, amounts: Tensor) -> Tensor:
        """Latents (N, *latent) moved by amounts (N, K), in standard deviations."""
        return moved(latents, self.vectors, amounts, self.curve)


def directions(
    model: Model,
    method: str = "best",
    measures: Measures | None = None,
    known: Known | None = None,
    seed: int = 0,
    count: int = 10,
) -> Directions:
    """At most `count` directions by one of METHODS, of the largest effect first.

    `measures` (a modality's) says what can be read off x: by it "measured" finds directions, and those of every method get their names.
    `known` is what "labels" learns from. "best" takes what "labels" found, where `known` is given, and "measured", as far as each does what
    it is named after; then the strongest of the other methods, turned so that they leave that alone; each time without what is done
    already. "curved" bends the space until what "measured" found runs straight, each a number of its own, and adds the strongest of the
    other methods there (14 s to minutes). A model that is not smooth has none. Raises DirectionsError for a method that is not
    there, or that finds nothing."""
    if method not in METHODS:
        raise DirectionsError(f"directions: {method!r} is not one of {', '.join(METHODS)}")
    if not model.smooth:
        return Directions(torch.zeros(0, *model.latent), torch.zeros(0), (), ())
    read: dict[str, Measures] = {} if measures is None else {"measured": measures}
    if known is not None and method in ("labels", "best") and (follow := reader(model, known)):
        read["labels"] = follow
    if (method in SUPERVISED and method not in read) or (method == CURVED and measures is None):
        raise DirectionsError(f"{method}: there is nothing about what this model makes that can be read off it and followed")
    seen, curve = look(model, read, seed), None
    kept = _merged(seen, [f for n in SUPERVISED if n in read and method in (n, "best", CURVED) for f in _confirmed(seen, n)], count)
    if method == CURVED and kept and len(seen.axes) > 1:
        names = [f.name for f in kept]
        curve = fit(model, measures, names, seed)
        seen = look(Bent(model, curve), read, seed)
        kept = _straightened(seen, names)
    if method == "best" or curve is not None:
        kept = _merged(seen, kept + _rest(seen, kept, count), count)
    if method in UNSUPERVISED or (method == "best" and not kept):  # of a model that always makes the same nothing is kept
        plain = method if method in UNSUPERVISED else "jacobian"
        kept = [_Found(v, _effect(seen, v), plain) for v in UNSUPERVISED[plain](seen, count)]
    if not kept:
        raise DirectionsError(f"{method}: no direction was found that changes one thing more than all else")
    kept = sorted(_named(seen, kept), key=lambda f: -f.effect)
    return Directions(
        torch.einsum("kn,n...->k...", torch.stack([f.vector for f in kept]).float(), seen.axes),
        torch.tensor([f.effect for f in kept]),
        tuple(f.method for f in kept),
        tuple(f.name for f in kept),
        curve,
    )


@dataclass(frozen=True)
class _Found:
    vector: Tensor  # (n,), in the axes of the look
    effect: float
    method: str
    name: str = ""


def _effect(seen: Look, vector: Tensor) -> float:
    return float((vector @ seen.effect @ vector).clamp(min=0).sqrt())


def _confirmed(seen: Look, method: str) -> list[_Found]:
    """The directions of a supervised method that do, on samples held out, what they are named after; the strongest first."""
    reading = seen.readings[method]
    vectors = steered(reading)
    said = enumerate(zip(vectors, words(seen, reading, vectors), strict=True))
    found = [_Found(w.sign * v, _effect(seen, v), method, reading.names[k]) for k, (v, w) in said if w.measure == k]
    return sorted(found, key=lambda f: -f.effect)


def _straightened(seen: Look, names: Sequence[str]) -> list[_Found]:
    """The numbers of a curve's coordinates that were fitted to what is named, each with its name where it does that on samples held out."""
    vectors, measured = torch.eye(len(seen.effect), dtype=torch.float64)[: len(names)], seen.readings["measured"]
    said = words(seen, measured, vectors)
    does = [w.measure == measured.names.index(name) and w.sign > 0 for w, name in zip(said, names, strict=True)]
    return [_Found(v, _effect(seen, v), CURVED, name if so else "") for v, name, so in zip(vectors, names, does, strict=True)]


def _rest(seen: Look, kept: list[_Found], count: int) -> list[_Found]:
    """Directions of the other methods, the strongest first, that leave alone what those of `kept` are named after: square to the slopes
    of these measures, which in a curve's coordinates are the vectors themselves."""
    slopes = [f.vector if f.method == CURVED else _slope(seen.readings[f.method], f.name) for f in kept]
    flat = torch.eye(len(seen.effect), dtype=torch.float64)
    if slopes:
        across = torch.linalg.qr(torch.stack(slopes, 1)).Q
        flat = flat - across @ across.T
    left = replace(seen, effect=flat @ seen.effect @ flat)
    found = []
    for method, find in UNSUPERVISED.items():
        for vector in find(left, count) @ flat:
            if vector.norm() > LEFT:
                found.append(_Found(vector / vector.norm(), _effect(seen, vector / vector.norm()), method))
    return sorted(found, key=lambda f: -f.effect)


def _slope(reading: Reading, name: str) -> Tensor:
    return reading.slopes[:, reading.names.index(name)]


def _merged(seen: Look, found: list[_Found], count: int) -> list[_Found]:
    """The first `count` that are not FAINT, of which each does most of its work alone: at least 1 - SAME of its squared effect is not what
    a mix of those before it does as well, with E_z[J^T J] as the inner product."""
    strongest = max((f.effect for f in found), default=0.0)
    kept: list[_Found] = []
    basis = torch.zeros(0, len(seen.effect), dtype=torch.float64)  # orthonormal in that product
    for f in found:
        rest = f.vector - basis.T @ (basis @ seen.effect @ f.vector)
        own = float(rest @ seen.effect @ rest)
        if f.effect > FAINT * strongest and own >= (1 - SAME) * f.effect**2:
            kept.append(f)
            basis = torch.cat([basis, (rest / own**0.5)[None]])
    return kept[:count]


def _named(seen: Look, found: list[_Found]) -> list[_Found]:
    """With the names that can be given to those without one, each name once; a sign that every machine agrees on."""
    reading = seen.readings.get("measured")
    plain = [f for f in found if not f.name]
    said = words(seen, reading, torch.stack([f.vector for f in plain])) if reading and plain else [Word(-1, 1.0)] * len(plain)
    taken = {f.name for f in found}
    named = [f for f in found if f.name]
    for f, word in zip(plain, said, strict=True):
        name = reading.names[word.measure] if reading and word.measure >= 0 else ""
        largest = float(f.vector[f.vector.abs().argmax()])
        sign = word.sign if name else (-1.0 if largest < 0 else 1.0)
        named.append(replace(f, vector=sign * f.vector, name="" if name in taken else name))
        taken.add(name)
    return named
