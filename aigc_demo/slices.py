"""Training where a GPU is lent for a minute at a time (ZeroGPU): the same trainer in slices, each going on from what the last one saved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from . import history, jobs, trainer

SECONDS = 60  # that a GPU is asked for at a time
MARGIN = 20  # of these, for reading the data, building the model and saving
LEFT = "The page that lent it a GPU was closed; what it learnt is kept."


def train(id: str, gpu: Callable[..., Any]) -> Iterator[str]:
    """Trains run `id` to its end in slices of a function that `gpu(duration=seconds)` decorates; yields "again" after each, then its end.

    Closing it leaves the run interrupted, to go on later. Raises what trainer.record raises, and JobError where another process has it."""
    folder, end = jobs.find(id), history.AGAIN
    lent = gpu(duration=SECONDS)(stretch)
    with jobs.own(folder):
        jobs.report(folder, "starting", "The data is being read.")
        try:
            while end == history.AGAIN:
                end = lent(id, SECONDS - MARGIN)
                yield end
        except (ValueError, RuntimeError, OSError) as error:
            jobs.report(folder, "failed", str(error))
            raise
        finally:
            if end == history.AGAIN and jobs.watch(id).state != "failed":
                jobs.report(folder, "interrupted", LEFT)


def stretch(id: str, seconds: float) -> str:
    """One slice: trains run `id` from its last save for `seconds` (a step at least), and saves; returns "again", or how the run ended."""
    folder, until, end = jobs.find(id), 0.0, ""
    orders = jobs.Orders(folder, jobs.Limits.told())

    def stop() -> str:
        nonlocal until
        if not until:  # first asked when the data is read
            until = time.monotonic() + seconds
            return orders()
        return orders() or (history.AGAIN if time.monotonic() > until else "")

    for seen in trainer.record(jobs.read(folder), folder, stop):
        end = seen.end
        jobs.report(folder, "running", f"Step {seen.step:,}, {seen.rate:,.0f} items a second.", left=seen.left)
    if end == history.AGAIN:
        orders.heed()
    else:
        jobs.report(folder, end, orders.says or "Done.")
    return end
