"""What do five minutes on two cores teach of tiny Shakespeare, with our preset and with nanoGPT's?

Three trainings, one after the other on the same machine: `gpt:shakespeare` as it is, which starts from counting; nanoGPT's recipe for a
CPU (4 layers of 128, context 64, batches of 12, 2,000 steps, 1e-3 falling to 1e-4 along a cosine after 100 steps of warming up); and the
same network for five minutes in batches of 16, at 4e-3 falling linearly to zero. Each in nats a character of the last tenth, by nanoGPT's
way (200 batches of 64 windows of its own context) and by one full pass, beside a Kneser-Ney of five characters. What is finished is kept:
a run that was cut goes on.

--quick trains for a few seconds each, and scores 5,000 characters."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace
from typing import Any

import torch

from aigc_demo import trainer
from aigc_demo.engine import Engine
from aigc_demo.evaluation import texts
from aigc_demo.model import plan

from . import plain_gpt, report

SIZE = {"width": 128, "depth": 4, "heads": 4}
CONTEXT = 64


def scored(network: Any, modality: Any, training: torch.Tensor, held: torch.Tensor, quick: bool) -> dict[str, Any]:
    """The score of tokens x (B, T) -> logits (B, T, tokens), as both ways have it, and counting alone."""
    warm, engine = SimpleNamespace(model=SimpleNamespace(logits=network), checkpoint=SimpleNamespace(modality=modality)), Engine()
    seen = texts.score(engine, warm, held[:5000] if quick else held, training, lambda done: None)
    crops = texts.crops(engine, warm, held, 0, 4 if quick else texts.CROPS, 16 if quick else texts.BATCH)
    return {"full": seen.nats, "error": seen.error, "counted": seen.counted, "crops": crops.nats}


def ours(quick: bool) -> dict[str, Any]:
    """Our preset, trained and scored."""
    changes = {"train.unit": "steps", "train.budget": 20} if quick else {}
    t = trainer.Trainer(plan("gpt:shakespeare", {**changes, "device": "cpu"}))
    for seen in trainer.train(t):
        if seen.sheet is not None:
            report.say(f"  ours: {seen.seconds:.0f} s, {seen.terms.get('held-out nats', math.nan):.3f} nats of some held-out text")
    with t.averaged() as model:
        return {**scored(model.logits, t.modality, t.training.tokens, t.held.tokens, quick), "seconds": t.seconds, "steps": t.step}


def theirs(minutes: float, steps: int, batch: int, quick: bool) -> dict[str, Any]:
    """nanoGPT's network, trained for so many minutes at 4e-3 falling linearly, or where there are none by its recipe of so many steps."""
    t = trainer.Trainer(plan("gpt:shakespeare", {"device": "cpu", "data.size": CONTEXT}))  # its text, cut as ours
    torch.manual_seed(0)
    began, modality = time.monotonic(), t.modality

    def rate(step: int) -> float:
        if minutes:
            return 4e-3 * max(0.0, 1 - (time.monotonic() - began) / (60 * minutes)) * min(1.0, (step + 1) / 50)
        return 1e-3 * (step + 1) / 100 if step < 100 else 1e-4 + 9e-4 * (0.5 + 0.5 * math.cos(math.pi * (step - 100) / (steps - 100)))

    loop = plain_gpt.Loop(plain_gpt.GPT(len(modality.pieces), CONTEXT, **SIZE), t.training.tokens, CONTEXT, batch, rate)
    while time.monotonic() - began < 60 * minutes if minutes else loop.step < steps:
        loop(10)
    spent = time.monotonic() - began
    return {**scored(loop.model.eval(), modality, t.training.tokens, t.held.tokens, quick), "seconds": spent, "steps": loop.step}


def rows(quick: bool) -> list[dict[str, Any]]:
    """All figures."""
    sides = {
        "gpt:shakespeare": (ours, quick),
        "nanoGPT's recipe for a CPU": (theirs, 0, 120 if quick else 2000, 12, quick),
        "nanoGPT's network, 4e-3 falling to zero, batch 16": (theirs, 0.1 if quick else 5, 0, 16, quick),
    }
    found, full = [], {}
    for name, (make, *arguments) in sides.items():
        report.say(name)
        seen = report.kept(make, *arguments)
        full[name] = seen["full"]
        found += [
            report.row(f"{name}: nats a character, full pass", seen["full"], "nats", "<= 1.56" if make is ours else ""),
            report.row(f"{name}: by nanoGPT's way", seen["crops"], "nats"),
            report.row(f"{name}: training", seen["seconds"], "s", "<= 301" if make is ours else ""),
            report.row(f"{name}: steps", seen["steps"], "steps"),
        ]
    best = min(v for name, v in full.items() if name != "gpt:shakespeare")
    return [
        *found,
        report.row("counting alone, Kneser-Ney of 5 characters", seen["counted"], "nats"),
        report.row("better than nanoGPT's network at its best by", best - full["gpt:shakespeare"], "nats", ">= 0"),
    ]


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    report.finish("shakespeare", rows(asked.quick), asked)


if __name__ == "__main__":
    main()
