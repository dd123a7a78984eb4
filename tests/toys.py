"""Toy-sized runs of every family, and small things that several tests ask."""

from __future__ import annotations

import time

import safetensors.torch
import torch

from aigc_demo import checkpoint, latent, model, trainer
from aigc_demo.latent import methods

TOLD = tuple(f for f in model.families() if model.family(f).reads)  # in words what to draw, not by a class
FAMILIES = tuple(f for f in model.families() if "image" in model.family(f).modalities and f not in TOLD)  # most of the page is for these
SOURCES = {"image": ("digits", 96), "text": ("tinyshakespeare", 4000)}  # what a modality is tested on: items, or characters


def tiny(preset, steps, changes=None):
    """The run of `preset` for so many steps on a few small items."""
    source, limit = SOURCES[model.family(preset.split(":")[0]).modalities[0]]
    base = {"data.source": source, "data.limit": limit, "data.size": 16, "device": "cpu", "train.budget": steps, "train.unit": "steps"}
    few = {"model.steps": 3} if preset == "diffusion:tiny" else {}  # to a sample: every mark draws some, an export unrolls them
    return model.plan(preset, {**base, **few, **(changes or {})})


def finished(run, folder):
    """The checkpoint of a whole run in `folder`."""
    for _ in trainer.record(run, folder):
        pass
    return checkpoint.read(folder / "checkpoint")


def curved(shape, seed=0):
    """A curve of latents (*shape) that bends them well, and directions (4, *shape) along it: nothing that was learnt."""
    rng = torch.Generator().manual_seed(seed)
    along = methods.axes(shape)
    curve = latent.Curve(len(along))
    curve.begin(rng)
    for layer in curve.layers:
        torch.nn.init.normal_(layer[-1].weight, 0, 0.1, generator=rng)
    curve.turn.copy_(torch.linalg.qr(torch.randn(len(along), len(along), generator=rng))[0])
    return latent.Directions(along[:4], torch.ones(4), ("curved",) * 4, ("",) * 4, curve.requires_grad_(False))


def same_bytes(a, b):
    """The names of the tensors that differ between two states or weights files, as bytes."""
    a, b = safetensors.torch.load(a), safetensors.torch.load(b)
    return [k for k in a.keys() | b.keys() if k not in a or k not in b or not torch.equal(_bytes(a[k]), _bytes(b[k]))]


def _bytes(tensor):
    return tensor.contiguous().flatten().view(torch.uint8) if tensor.numel() else tensor


def wait_for(what, seconds=400.0):
    """The first true value of `what()`; fails after `seconds`: children yield to all else, so on a busy machine they take their time."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"still nothing after {seconds:g} s"
        time.sleep(0.1)
    return found
