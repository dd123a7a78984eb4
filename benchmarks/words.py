"""Does a picture show what its caption asks for?

shapes-t2i draws captions of the test part of `scenes`: of kinds (a colour and a shape) that never stood together in what it learnt from. An
exact checker (aigc_demo/evaluation/scenes.py) reads each picture: pixels of one ink that touch, compared with every outline of their area.

- The checker's floor: the same on the pictures that the program itself draws of these captions.
- By chance: on pictures that belong to other captions of the test part.
- In English and in Chinese, one picture a caption, each with a latent of its own: the share that shows these colours and no other; these
  shapes, each in its colour, and nothing else; and, where the shapes are right, as many of each, in the size asked for, and standing so
  from each other. A picture whose shapes are wrong counts as wrong in all that follows.
- Beside it, captions of the train part's kinds in both languages: how much is lost on what was never seen together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aigc_demo import checkpoint
from aigc_demo.config import ConfigError
from aigc_demo.data import scenes
from aigc_demo.engine import Engine, Request
from aigc_demo.evaluation.scenes import shares

from . import report

NAME = "shapes-t2i"
CAPTIONS, SIDE, SEED = 1000, 32, 20_261
TARGETS = {"colour": ">= 95", "shape": ">= 95", "count": ">= 85", "size": "", "relation": ">= 85", "all": ""}
LANGUAGES = {"en": "English", "zh": "Chinese"}


def rows(what: str, pictures: Tensor, asked: list[scenes.Scene], targets: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """A row a property."""
    found = shares(pictures, asked)
    return [report.row(f"{what}: {name}", 100 * share, "%", (targets or {}).get(name, "")) for name, share in found.items()]


def drawn(engine: Engine, said: list[str]) -> Tensor:
    """What the checkpoint draws of each caption (N, 3, S, S)."""
    asked = [Request(NAME, SEED, i, sampling={"prompt": text}) for i, text in enumerate(said)]
    return torch.stack([engine.draw([one])[0].item for one in asked])


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
    except (checkpoint.CheckpointError, ConfigError) as error:
        report.give_up(str(error))
    found.append(report.row(f"{NAME}: weights", size / 1e6, "MB", "<= 10"))
    report.finish("words", found, asked)


if __name__ == "__main__":
    main()
