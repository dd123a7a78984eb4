"""Pictures of one's own, changed by a model that draws step by step: redrawn in part or whole, in its manner, or freed of noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..checkpoint import Checkpoint
from ..config import ConfigError, check
from ..data import framing
from ..engine import Engine, Request
from ..modality import BadItem, Modality
from ..model import Model, draw_latents
from ..provenance import label
from .inversion import decibels

WHITE = 128  # of 255: a pixel of a mask that is at least so light is redrawn


@dataclass(frozen=True)
class Edit:
    """A picture `item` that a model made of `original`, both uint8 (*shape), and how: the recipe.

    `changed` is the share of the pixels that differ by more than a level, `psnr` the likeness in dB."""

    item: Tensor
    original: Tensor
    recipe: dict
    changed: float
    psnr: float


def read(found: Checkpoint, picture: bytes, mask: bytes | None = None) -> tuple[Tensor, Tensor | None, tuple[str, ...]]:
    """The files of a picture and of a mask -> an item of the checkpoint's shape, booleans (S, S), and what was done to the picture.

    Without a mask it is framed as the checkpoint's data is; with one both are only scaled, so that they lie on each other. Raises
    DataError, and ConfigError for a mask that cannot be read."""
    modality = found.modality
    if mask is None:
        item, notes = framing.framed(picture, modality, found.manifest.run.data.source)
        return item, None, notes
    item, notes = framing.framed(picture, modality, "")
    try:
        return item, replace(modality, channels=1).read(mask)[0] >= WHITE, notes
    except BadItem as error:
        raise ConfigError(f"mask: {error}") from None


def redraw(
    engine: Engine,
    request: Request,
    item: Tensor,
    strength: float = 1.0,
    mask: Tensor | None = None,
    name: Checkpoint | None = None,
) -> Edit:
    """`item` uint8 (*shape) noised `strength` of the way, above 0 to 1, and brought back by the checkpoint that `request` names, with its
    seed and index for the noise, its class and its settings.

    With a `mask`, booleans (S, S), only where that is true; each other pixel is the item's own to the bit. Raises ConfigError and as
    Engine.draw."""
    if not 0 < strength <= 1:  # a NaN is neither
        raise ConfigError(f"strength: {strength} is not above 0, at most 1")
    model, found = _model(engine, request, item, name)
    if mask is not None and (mask.shape != item.shape[1:] or not mask.any()):
        raise ConfigError(f"mask: {tuple(mask.shape)} with {int(mask.sum())} pixels to redraw; it needs {tuple(item.shape[1:])} and some")
    sampling = check(model.Sampling, request.sampling, "sampling.")
    x = found.modality.encode(item.unsqueeze(0)).to(engine.device)
    latents = draw_latents(model.latent, request.seed, [request.index]).to(engine.device)
    keep = None if mask is None else ~mask[None, None].to(engine.device)
    with engine.turn, torch.inference_mode():
        drawn = found.modality.decode(model.edit(x, latents, sampling, _class(model, request, engine), strength, keep).float().cpu())[0]
    made = drawn if mask is None else torch.where(mask, drawn, item)
    return _edit(made, item, {"edit": "redraw", "strength": strength, "masked": mask is not None, "by": request.recipe(found.digest)})


def denoise(engine: Engine, request: Request, item: Tensor, sigma: float, name: Checkpoint | None = None) -> Edit:
    """`item` uint8 (*shape) without the noise on it, whose deviation is `sigma` levels of 255, above 0: the mean of what it may have been.

    Raises as `redraw`."""
    if not 0 < sigma <= 1000:
        raise ConfigError(f"denoise: {sigma} is not a deviation above 0, at most 1,000 levels")
    model, found = _model(engine, request, item, name)
    x = found.modality.encode(item.unsqueeze(0)).to(engine.device)
    labels = _class(model, request, engine) if request.label is not None else None
    with engine.turn, torch.inference_mode():
        made = found.modality.decode(model.denoise(x, sigma / 127.5, labels).float().cpu())[0]
    return _edit(made, item, {"edit": "denoise", "sigma": sigma, "by": request.recipe(found.digest)})


def file(modality: Modality, edit: Edit) -> bytes:
    """The edit as a PNG with its label inside, which says how it was made. Raises LabelError for a provider's bad code."""
    return label.put(modality.write(edit.item), label.xmp(edit.recipe))


def _model(engine: Engine, request: Request, item: Tensor, name: Checkpoint | None) -> tuple[Model, Checkpoint]:
    engine.points([request], name)  # the class and the settings are checked
    warm = engine.warm(name or request.checkpoint)
    if not hasattr(warm.model, "edit"):
        raise ConfigError(f"{request.checkpoint}: a {warm.checkpoint.manifest.run.family} cannot edit; take a flow or a diffusion")
    if len(warm.model.latent) != 3:
        raise ConfigError(f"{request.checkpoint}: it draws {warm.checkpoint.modality.kind}, and only pictures are edited")
    if item.shape != warm.checkpoint.modality.shape:
        raise ConfigError(f"picture: of shape {tuple(item.shape)}, and the model draws {tuple(warm.checkpoint.modality.shape)}")
    return warm.model, warm.checkpoint


def _class(model: Model, request: Request, engine: Engine) -> Tensor | None:
    """The class (1,) to draw; none chosen is the model's own none, `classes`."""
    if not model.classes:
        return None
    return torch.tensor([model.classes if request.label is None else request.label], device=engine.device)


def _edit(made: Tensor, original: Tensor, recipe: dict) -> Edit:
    apart = (made.int() - original.int()).abs()
    return Edit(made, original, recipe, (apart > 1).float().mean().item(), decibels(apart.float().square().mean().sqrt().item()))
