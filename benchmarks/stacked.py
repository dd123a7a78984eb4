"""Does a generator leave out part of its data? On Stacked MNIST: three digits in red, green and blue, 1,000 combinations.

Trained on 128,000 pictures; of 26,000 samples each channel is named by the classifier of `benchmarks.minute` (at least 99 % right on
MNIST's test part); the distinct triples are counted, and KL = sum p ln(p / 0.001) in nats says how unequal their shares are. `gan:modern`
stands beside `gan:dcgan` after as many pictures, on one thread, and beside the floor: the data drawn anew. A run that is already there
(the home's runs/modes-*) is measured as it is, not trained again."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import torch
from torch import Tensor

from aigc_demo import checkpoint, config, data, files
from aigc_demo.model import draw_latents, plan

from . import minute, report
from .learnt import learnt

SAMPLES, PICTURES = 26_000, 640_000  # drawn, and seen in training
RUNS = {
    "gan:modern": {"data.source": "stacked-mnist", "data.size": 28, "device": "cpu"},
    "gan:dcgan": {"data.source": "stacked-mnist", "device": "cpu"},
}


def triples(net: torch.nn.Module, x: Tensor) -> Tensor:
    """Of x (N, 3, 28, 28): the number (N,) from 0 to 999 whose digits the three channels show."""
    digits = minute.probabilities(net, x.reshape(-1, 1, *x.shape[2:])).argmax(1).view(-1, 3)
    return digits @ torch.tensor([100, 10, 1])


def spread(numbers: Tensor) -> tuple[int, float]:
    """How many of the 1,000 modes there are, and the KL of their shares from equal ones in nats."""
    p = torch.bincount(numbers, minlength=1000).double() / len(numbers)
    p = p[p > 0]
    return len(p), float((p * (p * 1000).log()).sum())


def stacked(net: torch.nn.Module, quick: bool) -> list[dict[str, Any]]:
    """The rows of Stacked MNIST."""
    rows, count = [], 1000 if quick else SAMPLES
    for name, changes in RUNS.items():
        run = plan(name, {**changes, "data.limit": 4000 if quick else 0, "name": f"modes-{name.partition(':')[2]}", "train.unit": "steps"})
        train = run.train.model_copy(update={"budget": (2000 if quick else PICTURES) // run.train.batch})
        found = learnt(run.model_copy(update={"train": train}))
        model = checkpoint.load(found)
        with torch.inference_mode():
            parts = [draw_latents(model.latent, 1, range(i, min(i + 500, count))) for i in range(0, count, 500)]
            numbers = torch.cat([triples(net, _whole(found, model.sample(z, model.Sampling()))) for z in parts])
        modes, kl = spread(numbers)
        target = name == "gan:modern" and not quick
        trained = found.manifest.training
        rows += [
            report.row(f"{name}: modes", modes, "of 1,000", ">= 1000" if target else ""),
            report.row(f"{name}: KL", kl, "nats", "<= 0.035" if target else ""),
            report.row(f"{name}: training", trained.seconds / 60, "minutes"),
            report.row(f"{name}: pictures seen", trained.items / 1e6, "millions"),
        ]
    real = data.load(config.Data(source="stacked-mnist", limit=count), seed=1, part="test")
    modes, kl = spread(triples(net, real.modality.encode(real.items)))
    rows.append(report.row("the data itself: modes", modes, "of 1,000"))
    return [*rows, report.row("the data itself: KL", kl, "nats")]


def _whole(found: checkpoint.Checkpoint, x: Tensor) -> Tensor:
    """x as it is once stored in 8 bits, which is what a person is shown."""
    return found.modality.encode(found.modality.decode(x))


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    report.needs_mnist()
    torch.set_num_threads(1)
    net = minute.judge(asked.quick, files.home() / "cache" / "mnist-classifier.safetensors")
    if not asked.quick:
        report.finish("stacked", stacked(net, False), asked)
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        os.environ["AIGC_HOME"] = home
        report.finish("stacked", stacked(net, True), asked)


if __name__ == "__main__":
    main()
