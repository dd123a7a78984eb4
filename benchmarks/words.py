"""Does a picture show what its caption asks for?

shapes-t2i draws captions of the test part of `scenes`: of kinds (a colour and a shape) that never stood together in what it learnt from. An
exact checker (aigc_demo/evaluation/scenes.py) reads each picture: pixels of one ink that touch, compared with every outline of their area.

- The checker's floor: the same on the pictures that the program itself draws of these captions.
- By chance: on pictures that belong to other captions of the test part.
- In English and in Chinese, one picture a caption, each with a latent of its own: the share that shows these colours and no other; these
  shapes, each in its colour, and nothing else; and, where the shapes are right, as many of each, in the size asked for, and standing so
  from each other. A picture whose shapes are wrong counts as wrong in all that follows.
- Beside it, captions of the train part's kinds in both languages: how much is lost on what was never seen together.

emoji-t2i draws names in both languages, of emoji that it learnt from and of the tenth that was held out, these as far as it knows their
words: a picture a name. No checker reads an emoji; what can be said is how often, of all held-out emoji (or as many learnt ones), the one
that is meant is the nearest to what was drawn, or among the nearest ten, by the mean squared difference of 8 x 8 pixels. Chance is stated,
and what the same says of the real pictures as they come back from the latent space."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from aigc_demo import checkpoint, data
from aigc_demo.config import ConfigError
from aigc_demo.data import scenes
from aigc_demo.engine import Engine, Request
from aigc_demo.evaluation.scenes import shares

from . import report

NAME, EMOJI = "shapes-t2i", "emoji-t2i"
NEAREST = 10
CAPTIONS, SIDE, SEED = 1000, 32, 20_261
TARGETS = {"colour": ">= 95", "shape": ">= 95", "count": ">= 85", "size": "", "relation": ">= 85", "all": ""}
LANGUAGES = {"en": "English", "zh": "Chinese"}


def rows(what: str, pictures: Tensor, asked: list[scenes.Scene], targets: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """A row a property."""
    found = shares(pictures, asked)
    return [report.row(f"{what}: {name}", 100 * share, "%", (targets or {}).get(name, "")) for name, share in found.items()]


def drawn(engine: Engine, said: list[str], name: str = NAME) -> Tensor:
    """What the checkpoint draws of each caption (N, 3, S, S)."""
    asked = [Request(name, SEED, i, sampling={"prompt": text}) for i, text in enumerate(said)]
    return torch.stack([engine.draw([one])[0].item for one in asked])


def ranks(pictures: Tensor, real: Tensor, meant: Tensor) -> Tensor:
    """How many of `real` (M, C, S, S) are nearer to each of `pictures` (N, C, S, S) than the one that is meant (N,): (N,)."""
    apart = torch.cdist(*(adaptive_avg_pool2d(items.float(), 8).flatten(1) for items in (pictures, real)))
    return (apart < apart.gather(1, meant[:, None])).sum(1)


def share(right: Tensor) -> float:
    """The percentage of bool (N,)."""
    return 100 * right.float().mean().item()


def emoji(engine: Engine, quick: bool) -> list[dict[str, Any]]:
    """How often the emoji that was meant is the nearest to what was drawn."""
    found = checkpoint.find(EMOJI)
    spec, model, table = found.manifest.run.data, engine.warm(found).model, []
    parts = {"test": data.load(spec, part="test"), "train": data.load(spec).split(spec.validation, found.manifest.run.seed)[0]}
    count = int(parts["test"].pictures().max()) + 1
    for part, what in (("test", "held-out names"), ("train", "learnt names")):
        whole = parts[part]
        which = whole.pictures()
        kept = torch.randperm(int(which.max()) + 1, generator=torch.Generator().manual_seed(SEED))[:count]  # as many of either part
        real = torch.stack([whole.items[which == i][0] for i in kept])
        names = [(text, place) for place, i in enumerate(kept) for text in (whole.captions[j] for j in (which == i).nonzero()[:, 0])]
        strange = [model.strange(text) for text, _ in names]
        told = [name for name, unknown in zip(names, strange, strict=True) if not unknown][: 40 if quick else None]
        seen = ranks(drawn(engine, [text for text, _ in told], EMOJI), real, torch.tensor([place for _, place in told]))
        back = ranks(found.modality.decode(found.modality.encode(real)), real, torch.arange(count))
        said = f"{EMOJI}: {len(told)} {what}"
        table += [
            report.row(f"{said}: the one meant is the nearest of {count}", share(seen < 1), "%"),
            report.row(f"{said}: among the nearest {NEAREST}, by chance {100 * NEAREST / count:.1f}", share(seen < NEAREST), "%"),
            report.row(f"{EMOJI}: {what}, real ones through the latent space: the nearest", share(back < 1), "%"),
        ]
        if part == "test":
            table.append(report.row(f"{EMOJI}: {what} of which it knows every word", share(torch.tensor([not s for s in strange])), "%"))
    size = sum(file.stat().st_size for file in found.path.glob("*.safetensors"))
    return [*table, report.row(f"{EMOJI}: weights, codec and sliders", size / 1e6, "MB", "<= 10")]


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    count = 200 if asked.quick else CAPTIONS
    known = scenes.factors(count, SEED, "test")
    wanted, real = scenes.scenes(known), scenes.draw(known, SIDE)
    found = rows("the checker on true pictures", real, wanted, dict.fromkeys(TARGETS, ">= 99.5"))
    found += rows("by chance", real.roll(1, 0), wanted)
    engine = Engine()
    try:
        size = checkpoint.find(NAME).bytes
        for language, name in LANGUAGES.items():
            found += rows(f"{name}, never seen together", drawn(engine, [one.said(language) for one in wanted]), wanted, TARGETS)
        seen = scenes.scenes(scenes.factors(count, SEED, "train"))
        found += rows("both languages, seen together", drawn(engine, [one.said(("en", "zh")[i % 2]) for i, one in enumerate(seen)]), seen)
        found += emoji(engine, asked.quick)
    except (checkpoint.CheckpointError, ConfigError, data.DataError) as error:
        report.give_up(str(error))
    found.append(report.row(f"{NAME}: weights", size / 1e6, "MB", "<= 10"))
    report.finish("words", found, asked)


if __name__ == "__main__":
    main()
