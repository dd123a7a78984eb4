"""Directions of a checkpoint by any method, and contact sheets of them at print size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont

from .. import data, latent
from ..checkpoint import Checkpoint, load
from ..config import ConfigError
from ..engine import Engine, Request
from ..latent import Directions
from ..provenance import label

STORED = "stored"  # the checkpoint's own sliders
METHODS = (STORED, *latent.METHODS)
AMOUNTS = tuple(float(a) for a in range(-3, 4))  # standard deviations, of the columns of a sheet of directions
ENDS = (-2.0, 2.0)  # of the columns of a sheet of seeds
MOST = 40  # seeds on a sheet, directions
A4 = (210.0, 297.0)  # mm
MARGIN, HEAD, SIDE, GAP = 10.0, 9.0, 30.0, 0.6  # mm: around the sheet, the line over the pictures, the words beside them, between pictures
PAPER, INK, FAINT = (255, 255, 255), (28, 27, 24), (111, 106, 96)
MM = 25.4  # in an inch


def directions(engine: Engine, checkpoint: Checkpoint, method: str = STORED, count: int = 10, between: Sequence[str] = ()) -> Directions:
    """At most `count` directions of a checkpoint: those stored with it, or found anew by one of latent.METHODS.

    "labels" goes by samples of each class where the model draws a chosen one, else by the data that it was trained on; with two names in
    `between`, it is the one direction from the first to the second. Raises ConfigError, latent.DirectionsError, data.DataError."""
    if method not in METHODS:
        raise ConfigError(f"directions: {method[:80]!r} is not one of {', '.join(METHODS)}")
    if not 1 <= count <= MOST:
        raise ConfigError(f"count: {count} is not a number from 1 to {MOST}")
    if between and (method != "labels" or len(between) != 2):
        raise ConfigError("between: takes two names, and goes with the directions `labels`")
    if method == STORED:
        return engine.warm(checkpoint).directions.first(count).to("cpu")
    model, seed = load(checkpoint, engine.device), checkpoint.manifest.run.seed  # its own: the search hooks into layers, while others draw
    known = None
    if method == "labels":
        known = latent.own(model, checkpoint.manifest.classes, seed) if model.classes else _of_data(checkpoint)
        known = known.between(*between) if between else known
    return latent.directions(model, method, checkpoint.modality.measures, known, seed, count)


def told(found: Directions) -> list[dict[str, Any]]:
    """Each direction in words and numbers, counted from 1 as sliders are."""
    ways = zip(found.names, found.methods, found.effects.tolist(), strict=True)
    return [{"number": k, "name": name, "method": method, "effect": round(effect, 5)} for k, (name, method, effect) in enumerate(ways, 1)]


def _of_data(checkpoint: Checkpoint) -> latent.Known:
    run = checkpoint.manifest.run
    some = data.load(run.data, run.seed, checkpoint.modality.shape[-1]).limit(latent.MOST, run.seed)
    if not some.targets():
        raise latent.DirectionsError(f"labels: {run.data.source} has no labels to follow")
    return latent.Known(checkpoint.modality.encode(some.items), some.targets())


def sheet(
    engine: Engine, checkpoint: Checkpoint, found: Directions, seeds: Sequence[int] = (0,), chosen: int | None = None, dpi: int = 300
) -> bytes:
    """An A4 page at `dpi` (72 to 600) as a labelled PNG that knows its size in print.

    Of one seed: a row for each direction, with its name, method and effect, and a column for each of AMOUNTS. Of several: a row for each
    seed, its own picture first, then for each direction the pictures at both ENDS. `chosen` is the class where the model is conditional.
    Raises ConfigError."""
    if not 1 <= len(seeds) <= MOST:
        raise ConfigError(f"seeds: {len(seeds)} of them; a sheet has 1 to {MOST}")
    if not 72 <= dpi <= 600:
        raise ConfigError(f"dpi: {dpi} is not a number from 72 to 600")
    classes = checkpoint.manifest.classes if engine.warm(checkpoint).model.classes else ()
    labels = [k % len(classes) if classes and chosen is None else chosen for k in range(len(seeds))]  # all in turn
    asked = [Request(checkpoint.name, seed, label=y) for seed, y in zip(seeds, labels, strict=True)]
    points = engine.points(asked, checkpoint)
    single = len(seeds) == 1
    moves = torch.kron(torch.eye(len(found)), torch.tensor(AMOUNTS if single else ENDS)[:, None])  # (columns, directions)
    moves = moves if single else torch.cat([torch.zeros(1, len(found)), moves])
    ends = [found.moved(z.expand(len(moves), *z.shape), moves) for z in points]
    samples = engine.draw([r.pinned(z) for r, places in zip(asked, ends, strict=True) for z in places], name=checkpoint)
    pictures = [Image.fromarray(checkpoint.modality.sheet(s.item[None], 1)) for s in samples]
    ways, words = told(found), [classes[y] if classes else "" for y in labels]
    if single:
        rows = [(f"{w['number']}  {w['name'] or w['method']}", f"{w['method']}, {w['effect']:.3f}") for w in ways]
        heads = [(f"{amount:+g}" if amount else "0", 1) for amount in AMOUNTS]
        said = f"seed {seeds[0]}" + (f", {words[0]}" if classes else "")
    else:
        rows = [(f"seed {seed}", word) for seed, word in zip(seeds, words, strict=True)]
        heads = [("", 1), *((f"{w['number']} {w['name'] or w['method']}", len(ENDS)) for w in ways)]
        said = f"each direction at {' and '.join(f'{end:+g}' for end in ENDS)}"
    foot = f"{checkpoint.name} ({checkpoint.digest[:12]}), {said}; amounts in standard deviations. Made by a model."
    out = io.BytesIO()
    _page(pictures, rows, heads, foot, dpi).save(out, "PNG", dpi=(dpi, dpi))
    recipe = {"checkpoint": checkpoint.name, "digest": checkpoint.digest, "seeds": list(seeds), "label": chosen, "directions": ways}
    return label.put(out.getvalue(), label.xmp(recipe))


def _page(
    pictures: Sequence[Image.Image], rows: Sequence[tuple[str, str]], heads: Sequence[tuple[str, int]], foot: str, dpi: int
) -> Image.Image:
    """An A4 page, upright or on its side as the pictures come out larger: rows of them beside their words, under heads (text, columns)."""
    columns = sum(span for _, span in heads)

    def cell(page: tuple[float, float]) -> float:
        return min((page[0] - 2 * MARGIN - SIDE) / columns, (page[1] - 2 * MARGIN - HEAD) / len(rows))

    width, height = max((A4, A4[::-1]), key=cell)
    side = cell((width, height))

    def px(mm: float) -> int:
        return round(mm * dpi / MM)

    page = Image.new("RGB", (px(width), px(height)), PAPER)
    pen = ImageDraw.Draw(page)
    plain, small = (ImageFont.load_default(px(size)) for size in (2.7, 2.2))
    left, top = (width - SIDE - columns * side) / 2 + SIDE, MARGIN + HEAD
    at = 0
    for text, span in heads:
        pen.text((px(left + (at + span / 2) * side), px(top - 1.5)), _fitted(text, small, px(span * side - GAP)), INK, small, "ms")
        at += span
    for k, (text, more) in enumerate(rows):
        middle = top + (k + 0.5) * side
        pen.text((px(left - SIDE), px(middle - (1.2 if more else 0))), _fitted(text, plain, px(SIDE - 2)), INK, plain, "lm")
        pen.text((px(left - SIDE), px(middle + 2.0)), _fitted(more, small, px(SIDE - 2)), FAINT, small, "lm")
    for k, picture in enumerate(pictures):
        row, column = divmod(k, columns)
        scale = px(side - GAP) / max(picture.size)
        shown = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), Image.Resampling.NEAREST)
        page.paste(shown, (px(left + column * side), px(top + row * side)))
    pen.text((px(left - SIDE), px(height - MARGIN / 2)), _fitted(foot, small, px(width - 2 * MARGIN)), FAINT, small, "lm")
    return page


def _fitted(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """`text`, its end cut where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    return next((f"{text[:n]}…" for n in range(len(text) - 1, 0, -1) if font.getlength(f"{text[:n]}…") <= width), "")
