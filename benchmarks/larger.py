"""What does `gpt:gpu`, a transformer of nanoGPT's size, learn of tiny Shakespeare?

Scores runs of it in nats a character of the last tenth, by nanoGPT's way (200 batches of 64 windows of 256 characters; its record there is
1.4697 after 5,000 steps of 64 windows on an A100) and by one full pass. The runs that are named were trained before, on a GPU at best:

    aigc train gpt:gpu --device cuda --name larger

That of the table learnt on one core of a CPU with AMX, on a twelfth of nanoGPT's characters:

    aigc train gpt:gpu --device cpu --steps 800 --name gpt-large --set train.optimizer=muon --set train.lr=2e-3 --set train.batch=32 \\
        --set model.dropout=0.3 --set train.marks=16 --set train.patience=16

--quick trains one of 10 steps of 2 windows itself, and scores 5,000 characters."""

from __future__ import annotations

from typing import Any

from aigc_demo import checkpoint, data
from aigc_demo.model import plan

from . import report
from .learnt import learnt
from .shakespeare import scored

QUICK = {"train.budget": 10, "train.batch": 2, "train.marks": 1, "device": "cpu", "name": "larger-quick"}


def measure(found: checkpoint.Checkpoint, quick: bool) -> list[dict[str, Any]]:
    """The rows of one run."""
    run, made = found.manifest.run, found.manifest.training
    training, held = data.load(run.data, run.seed, given=found.modality).split(run.data.validation, run.seed)
    seen = scored(checkpoint.load(found).logits, found.modality, training.tokens, held.tokens, quick)
    name = f"{found.name}, {run.train.optimizer}"
    return [
        report.row(f"{name}: nats a character by nanoGPT's way", seen["crops"], "nats", "<= 1.45"),
        report.row(f"{name}: full pass", seen["full"], "nats"),
        report.row(f"{name}: standard error of the full pass", seen["error"], "nats"),
        report.row(f"{name}: steps", made.steps, "steps"),
        report.row(f"{name}: characters a step", run.train.batch * found.modality.context, "characters"),
        report.row(f"{name}: training on {made.machine}", made.seconds / 60, "min"),
        report.row("counting alone, Kneser-Ney of 5 characters", seen["counted"], "nats"),
    ]


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__, runs="the runs of gpt:gpu to score, by name")
    try:
        runs = [learnt(plan("gpt:gpu", QUICK))] if asked.quick else [checkpoint.find(name) for name in asked.runs]
    except checkpoint.CheckpointError as error:
        report.give_up(str(error))
    if not runs:
        report.give_up("name a run of gpt:gpu that was trained, as this benchmark's --help says")
    rows = {row["name"]: row for found in runs for row in measure(found, asked.quick)}  # counting is the same for all
    report.finish("larger", list(rows.values()), asked)


if __name__ == "__main__":
    main()
