"""The plain Gradio way, beside which explore.py measures ours: a slider whose change redraws a picture, with the framework's defaults.

`python -m benchmarks.plain CHECKPOINT` serves it; the generator and the engine are those of the studio."""

from __future__ import annotations

import sys

import gradio as gr

from aigc_demo.engine import Engine, Request

from .explore import SEED


def build(name: str) -> gr.Blocks:
    """The page: the first direction of checkpoint `name` under one slider."""
    engine = Engine()

    def draw(amount: float):
        item = engine.draw([Request(name, SEED, sliders=(amount,))])[0].item  # (C, H, W)
        return item.expand(3, -1, -1).permute(1, 2, 0).numpy()

    with gr.Blocks() as demo:
        slider = gr.Slider(-3, 3, 0, label="direction 1")
        image = gr.Image(elem_id="picture")
        slider.change(draw, slider, image)
        demo.load(draw, slider, image)
    return demo


if __name__ == "__main__":
    build(sys.argv[1]).queue().launch(ssr_mode=False)
