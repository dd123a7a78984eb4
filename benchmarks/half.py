"""Where does bf16 pay on a CPU that multiplies its matrices in tiles (Intel's AMX)?

The trainer's own step of a preset in fp32 and in bf16, in turn, medians of the rounds; then the loss of held-out items after as many steps
of each, which bf16 must not spoil. `train.precision=auto` takes bf16 for what `Model.halves` names, and this is where it has that from. On
a CPU without AMX bf16 is slower, and auto leaves it alone. --quick takes fewer rounds of two presets."""

from __future__ import annotations

import statistics
import time
from typing import Any

from aigc_demo.model import plan
from aigc_demo.trainer import Trainer, amx, precision

from . import report
from .train import in_turn, ratio

MNIST = {"data.source": "mnist"}
RUNS: dict[str, dict[str, Any]] = {
    "gpt:shakespeare": {},
    "gpt:tang": {},
    "gpt:gpu": {"train.batch": 8},
    "vae:mlp": MNIST,
    "vae:conv": MNIST,
    "vae:hierarchical": MNIST,
    "vae:grid": {"data.source": "noto-emoji", "data.size": 64},
    "vae:sound": {"data.source": "spoken-digits"},
    "autoencoder:denoising": MNIST,
    "gan:mlp": MNIST,
    "gan:dcgan": MNIST,
    "gan:modern": MNIST,
    "flow:cpu": MNIST,
    "flow:one-step": MNIST,
    "flow:sound": {"data.source": "spoken-digits"},
    "diffusion:cpu": MNIST,
    "text_to_image:cpu": {"data.source": "scenes"},
}
QUICK = ("gpt:shakespeare", "vae:conv")
ROUND = 4.0  # seconds of one precision


def both(preset: str, changes: dict[str, Any], rounds: int) -> list[dict[str, Any]]:
    """The rows of one preset."""
    own = {**changes, "device": "cpu", "train.patience": 0, "train.decay": "none", "data.validation": 0.1}
    runs = {name: Trainer(plan(preset, {**own, "train.precision": name})) for name in ("fp32", "bf16")}

    def side(trainer: Trainer) -> Any:
        def go(steps: int) -> int:
            for _ in range(steps):
                trainer.one_step(0.0)
            return steps * trainer.run.train.batch

        return go

    sides = {name: side(trainer) for name, trainer in runs.items()}
    sides["fp32"](3), sides["bf16"](3)
    began = time.perf_counter()
    sides["fp32"](3), sides["bf16"](3)
    rates = in_turn(sides, max(3, round(6 * ROUND / (time.perf_counter() - began))), rounds)
    takes = precision(plan(preset, own)) == "bf16"
    gain = ratio(rates["bf16"], rates["fp32"])
    rows = [
        report.row(f"{preset}: fp32", statistics.median(rates["fp32"]), "items/s"),
        report.row(f"{preset}: bf16 / fp32" + (", which auto takes" if takes else ""), gain, "times", ">= 1" if takes else ""),
    ]
    if (term := f"held-out {runs['fp32'].model.monitor}") in (held := {k: t.validate() for k, t in runs.items()})["fp32"]:
        change = 100 * (held["bf16"][term] / held["fp32"][term] - 1)
        rows.append(report.row(f"{preset}: {term} after {runs['fp32'].step:,} steps, change by bf16", change, "%", "<= 1" if takes else ""))
    return rows


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__, runs="the presets to measure; all where none is named")
    report.needs_mnist()
    if not amx():
        report.give_up("this benchmark needs a CPU with AMX")
    if unknown := set(asked.runs) - set(RUNS):
        report.give_up(f"none of {', '.join(RUNS)}: {', '.join(sorted(unknown))}")
    rows = []
    for preset in asked.runs or (QUICK if asked.quick else RUNS):
        report.say(preset)
        rows += both(preset, RUNS[preset], 2 if asked.quick else 5)
    report.finish("half", rows, asked)


if __name__ == "__main__":
    main()
