"""Models that a benchmark measures and that do not ship: trained once, in a run of the home."""

from __future__ import annotations

from aigc_demo import checkpoint, files, trainer
from aigc_demo.config import Run

from . import report


def learnt(run: Run) -> checkpoint.Checkpoint:
    """The checkpoint of a run, trained now unless one of its name is there: that is measured as it is."""
    folder = files.runs() / run.name
    if not (folder / "checkpoint" / checkpoint.CONFIG).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        for seen in trainer.record(run, folder):
            if seen.sheet is not None:
                report.say(f"  {run.name}: step {seen.step:,}, {seen.seconds / 60:.1f} min, {seen.health}")
    return checkpoint.read(folder / "checkpoint")
