"""What do the marks of a run cost?

At each mark a run measures its health and keeps what it drew, at some of them the weights too; now and then it keeps a state to rewind to,
and twice a second it writes a line of its log. Each of these is timed by itself (the median of several), and all that fall into one minute
of training with the marks of the preset are laid against that minute."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from aigc_demo import files, history, model
from aigc_demo.config import Run
from aigc_demo.trainer import LOG_SECONDS, REWINDS, Trainer, keep_mark

from . import report

PRESETS = ("gan:mlp", "gan:dcgan", "vae:conv")
ROUNDS, QUICK_ROUNDS = 9, 3
SEED = 301


def cost(run: Run, rounds: int) -> float:
    """What measuring and keeping takes of one minute's training with the default marks, in percent."""
    trainer = Trainer(run)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(3):
            trainer.one_step(0.0)
        began = time.perf_counter()
        trainer.look()
        once = time.perf_counter() - began

        def took(what: Callable[[], Any]) -> float:
            times = []
            for _ in range(rounds):
                began = time.perf_counter()
                what()
                times.append(time.perf_counter() - began)
            return statistics.median(times)

        step = took(lambda: trainer.one_step(0.0))
        line = took(lambda: trainer.one_step(0.0, {})) - step
        mark = took(lambda: trainer.one_step(0.0, {}, True)) - step + took(trainer.look) - took(trainer.draw)
        keep = took(lambda: keep_mark(trainer, Path(folder)))
        state = took(lambda: files.write_whole(Path(folder) / history.STATE, trainer.state()))
    t, lines = trainer.run.train, min(60 / LOG_SECONDS, 60 / step)
    return 100 * (once + t.marks * mark + t.kept_marks * keep + REWINDS * state + lines * max(0.0, line)) / 60


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    torch.set_num_threads(1)
    rounds, rows = QUICK_ROUNDS if asked.quick else ROUNDS, []
    for preset in PRESETS:
        share = cost(model.plan(preset, {"device": "cpu", "seed": SEED}), rounds)
        rows.append(report.row(f"{preset}: measuring and keeping, of one minute's training", share, "%", "<= 3"))
    report.finish("marks", rows, asked)


if __name__ == "__main__":
    main()
