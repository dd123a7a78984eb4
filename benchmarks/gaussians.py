"""Does a generator leave out part of its data? On the plane, where one can count.

25 Gaussians in a grid (data.points: means -4 to 4, sigma 0.05), 100,000 points to learn from; of 2,500 samples a high-quality one lies
within 3 sigma of the nearest mean, and a mode is there if a high-quality sample is. Ten trials with seeds of their own. `gan:points`
(pairs, R1 and R2), trained for as long as it is by itself, stands beside the plain game of the same networks for as many steps, and beside
the ceiling: the data drawn anew. Each trial takes one core, and all cores are taken. --quick takes two trials of 200 steps."""

from __future__ import annotations

import functools
import multiprocessing
import os
import statistics
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from torch import Tensor

from aigc_demo import trainer
from aigc_demo.data import points
from aigc_demo.model import draw_latents, plan

from . import report

TRIALS, SAMPLES = 10, 2500
GAMES = {"gan:points": {}, "the plain game": {"model.objective": "non-saturating", "model.r1": 0, "model.r2": 0}}


def quality(samples: Tensor) -> tuple[int, float]:
    """Of points (N, 2): how many of the 25 modes are there, and the percentage of high quality."""
    away, mode = torch.cdist(samples, torch.tensor(points.GRID)).min(1)
    good = away <= 3 * points.SIGMA["grid25"]
    return len(mode[good].unique()), 100 * good.float().mean().item()


def trial(changes: dict[str, Any], seed: int) -> tuple[int, float, float]:
    """Trains one; returns its modes, its percentage of high quality and the seconds that training took."""
    torch.set_num_threads(1)
    made = trainer.Trainer(plan("gan:points", {**changes, "train.marks": 1, "device": "cpu", "seed": seed}))
    *_, last = trainer.train(made)
    with made.averaged() as model:
        x = model.sample(draw_latents(model.latent, seed, range(SAMPLES)), model.Sampling())
    return *quality(made.modality.decode(x)), last.seconds


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    rows, seeds = [], range(2 if asked.quick else TRIALS)
    short = {"train.unit": "steps", "train.budget": 200} if asked.quick else {}
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for name, changes in GAMES.items():
            found = []
            for seed, one in zip(seeds, pool.map(functools.partial(trial, {**changes, **short}), seeds), strict=True):
                report.say("  {}, seed {}: {} modes, {:.1f} % of high quality, {:.0f} s".format(name, seed, *one))
                found.append(one)
            modes, good, seconds = zip(*found, strict=True)
            ours = name == "gan:points" and not asked.quick
            rows += [
                report.row(f"{name}: modes, mean of {len(found)} trials", statistics.mean(modes), "of 25", ">= 25" if ours else ""),
                report.row(f"{name}: high quality, mean", statistics.mean(good), "%", ">= 95" if ours else ""),
                report.row(f"{name}: high quality, least", min(good), "%"),
                report.row(f"{name}: training, median", statistics.median(seconds), "s"),
            ]
    real = points.draw("grid25", SAMPLES, torch.Generator().manual_seed(1))[0]
    rows.append(report.row("the data itself: high quality", quality(real)[1], "%"))
    report.finish("gaussians", rows, asked)


if __name__ == "__main__":
    main()
