"""What does an NVIDIA GPU make of a training step, told kernel by kernel, and recorded once and repeated (aigc_demo/replay.py)?

The trainer's own step on MNIST, or on a preset's own texts or scenes, alternating between both ways, medians of the rounds; and how far
apart the two states lie at the end, as a share of their length: both ways ask the same work. --quick takes fewer rounds of the small
presets."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch

from aigc_demo import trainer
from aigc_demo.model import plan

from . import report

MNIST = {"data.source": "mnist", "data.limit": 20_000}
RUNS: dict[str, dict[str, Any]] = {
    "vae:conv": MNIST,
    "vae:hierarchical": MNIST,
    "vae:hierarchical-gpu": MNIST,
    "flow:cpu": MNIST,
    "flow:one-step": MNIST,
    "flow:gpu": MNIST,
    "diffusion:gpu": MNIST,
    "gan:dcgan": MNIST,
    "gan:modern": MNIST,
    "autoencoder:gpu": MNIST,
    "gpt:shakespeare": {},
    "gpt:gpu": {},
    "text_to_image:cpu": {"data.limit": 5000},
    "text_to_image:gpu": {"data.limit": 5000},
}
SMALL = ("vae:conv", "gan:dcgan")


def both(preset: str, changes: dict[str, Any], rounds: int, steps: int) -> tuple[dict[bool, float], float]:
    """Seconds a step without and with replay; and how far apart both end."""
    runs = {on: trainer.Trainer(plan(preset, {**changes, "device": "cuda", "train.replay": on})) for on in (False, True)}
    times: dict[bool, list[float]] = {False: [], True: []}

    def go(t: trainer.Trainer, count: int) -> float:
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(count):
            t.one_step(0.0)
        torch.cuda.synchronize()
        return (time.perf_counter() - began) / count

    for t in runs.values():
        go(t, trainer.WARM + 3)
    for _ in range(rounds):
        for on, t in runs.items():
            times[on].append(go(t, steps))
    return {on: statistics.median(seen) for on, seen in times.items()}, trainer.apart(*(t.state() for t in runs.values()))


def rows(quick: bool, names: list[str]) -> list[dict[str, Any]]:
    """All figures, or those of some runs."""
    found = []
    for name in names or (SMALL if quick else RUNS):
        changes = RUNS[name]
        took, apart = both(name, changes, 2 if quick else 5, 20)
        batch = plan(name, changes).train.batch
        found += [
            report.row(f"{name}: told kernel by kernel", batch / took[False], "items/s"),
            report.row(f"{name}: recorded and repeated", batch / took[True], "items/s"),
            report.row(f"{name}: repeated / told", took[False] / took[True], "times"),
            report.row(f"{name}: states apart", apart, "of their length"),
        ]
    return found


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__, runs="the runs to measure; all where none is named")
    report.needs_mnist()
    if not torch.cuda.is_available():
        report.give_up("this benchmark needs an NVIDIA GPU")
    if unknown := set(asked.runs) - set(RUNS):
        report.give_up(f"none of {', '.join(RUNS)}: {', '.join(sorted(unknown))}")
    report.finish("gpu", rows(asked.quick, asked.runs), asked)


if __name__ == "__main__":
    main()
