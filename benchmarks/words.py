"""Does a picture show what its caption asks for?

shapes-t2i draws captions of the test part of `scenes`: of kinds (a colour and a shape) that never stood together in what it learnt from. An
exact checker (aigc_demo/evaluation/scenes.py) reads each picture: pixels of one ink that touch, compared with every outline of their area.

- The checker's floor: the same on the pictures that the program itself draws of these captions.
- By chance: on pictures that belong to other captions of the test part.
- In English and in Chinese, one picture a caption, each with a latent of its own: the share that shows these colours and no other; these
  shapes, each in its colour, and nothing else; and, where the shapes are right, as many of each, in the size asked for, and standing so
  from each other. A picture whose shapes are wrong counts as wrong in all that follows.
- Beside it, captions of the train part's kinds in both languages: how much is lost on what was never seen together.

emoji-t2i draws emoji by their names, in English and in Chinese by turns: those that it learnt and those of the test part, which it never
saw, as far as it knows their words. Of NAMES real emoji of each part the one nearest to a picture, pixel by pixel, should be the one
asked for; chance is one in NAMES. (Learnt names show that it remembers, not that it understands.)"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aigc_demo import checkpoint, data
from aigc_demo.config import ConfigError, Data
from aigc_demo.data import scenes
from aigc_demo.engine import Engine, Request
from aigc_demo.evaluation.scenes import shares

from . import report

NAME, EMOJI = "shapes-t2i", "emoji-t2i"
NAMES, NEAR = 120, 10  # emoji of each part; the place up to which the right one counts as near
CAPTIONS, SIDE, SEED = 1000, 32, 20_261
TARGETS = {"colour": ">= 95", "shape": ">= 95", "count": ">= 85", "size": "", "relation": ">= 85", "all": ""}
LANGUAGES = {"en": "English", "zh": "Chinese"}


def rows(what: str, pictures: Tensor, asked: list[scenes.Scene], targets: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """A row a property."""
    found = shares(pictures, asked)
    return [report.row(f"{what}: {name}", 100 * share, "%", (targets or {}).get(name, "")) for name, share in found.items()]


def drawn(engine: Engine, said: list[str], name: str = NAME) -> Tensor:
    """What a checkpoint draws of each caption (N, 3, S, S)."""
    asked = [Request(name, SEED, i, sampling={"prompt": text}) for i, text in enumerate(said)]
    return torch.stack([engine.draw([one])[0].item for one in asked])


def emoji(engine: Engine, count: int) -> list[dict[str, Any]]:
    """Whether emoji are drawn that their names mean; nothing where the real ones are not here."""
    source = next(s for s in data.sources() if s.name == "noto-emoji")
    if not data.present(source):
        report.say("noto-emoji: not here, so that emoji-t2i is left out: set AIGC_DATA")
        return []
    warm, found = engine.warm(EMOJI), []
    for part, what in (("train", "names that it learnt"), ("test", "names that it never saw")):
        real = data.load(Data(source=source.name, size=warm.checkpoint.modality.size), part=part)
        known = [i for i, text in enumerate(real.captions) if all(warm.model.learnt[n] for n in warm.model.read([text])[0])]
        if part == "test":
            found.append(report.row(f"{EMOJI}, {what}: of known words alone", 100 * len(known) / len(real), "%"))
        order = torch.randperm(len(known), generator=torch.Generator().manual_seed(SEED)).tolist()
        chosen = list({int(real.pictures()[known[i]]): known[i] for i in order}.values())[:count]  # one name of each picture
        pictures = drawn(engine, [real.captions[i] for i in chosen], EMOJI)
        apart = torch.cdist(pictures.flatten(1).float(), real.items[chosen].flatten(1).float())
        place = (apart < apart.diagonal()[:, None]).sum(1)
        for name, most in (("nearest", 1), (f"{NEAR} nearest", NEAR)):
            share = 100 * float((place < most).float().mean())
            found.append(report.row(f"{EMOJI}, {what}: the real one is among the {name} of {len(chosen)}", share, "%"))
    return found


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
        found += emoji(engine, 20 if asked.quick else NAMES)
    except (checkpoint.CheckpointError, ConfigError) as error:
        report.give_up(str(error))
    found.append(report.row(f"{NAME}: weights", size / 1e6, "MB", "<= 10"))
    report.finish("words", [{**row, "name": f"quick: {row['name']}"} for row in found] if asked.quick else found, asked)


if __name__ == "__main__":
    main()
