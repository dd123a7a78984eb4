"""The peer of curves.py: a plain Gradio page whose timer hands two gr.LinePlots the means of 500 stretches of a log, a line a term."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
import pandas as pd


def main() -> None:
    """Serves the log that the command line names."""
    path, points, read = Path(sys.argv[1]), [], 0

    def table(held_out: bool) -> pd.DataFrame:
        rows = [{"step": p["step"], **{k: v for k, v in p["terms"].items() if k.startswith("held-out") == held_out}} for p in points]
        wide = pd.DataFrame([r for r in rows if len(r) > 1])
        wide = wide.groupby(wide.index * 500 // len(wide)).mean()
        return wide.melt("step", var_name="term").dropna()

    def refresh() -> tuple[pd.DataFrame, pd.DataFrame]:
        nonlocal read
        with open(path, "rb") as log:
            log.seek(read)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]
        read += len(whole)
        points.extend(map(json.loads, whole.splitlines()))
        return table(False), table(True)

    with gr.Blocks() as demo:
        plots = [gr.LinePlot(x="step", y="value", color="term", elem_id=name) for name in ("learning", "held")]
        gr.Timer(0.8).tick(refresh, None, plots, queue=False, show_progress="hidden")
        demo.load(refresh, None, plots, queue=False)
    demo.launch()


if __name__ == "__main__":
    main()
