"""The view "Words": what is to be kept out, several prompts at once, and the way from one prompt to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from ...config import ConfigError
from ...engine import Request, Sample
from ...exploration import prompts as ways
from .. import widgets
from ..explore import Explore, request, state_of
from . import reading

ORDER = 0


def functions(explore: Explore) -> list[Callable[[Any], Any]]:
    engine = explore.engine

    def asked(payload: dict[str, Any], part: str) -> tuple[Request, str]:
        """The state's request, and the session that such requests overtake each other in."""
        with reading():
            here = request(payload["state"])
            return here, f"{str(payload['state'].get('session'))[:64]} {part}"

    def shown(found: Sequence[Sample | str]) -> list[dict[str, Any]]:
        return [
            {"error": one} if isinstance(one, str) else {"state": state_of(one.request), "picture": widgets.pixels(one.item)}
            for one in found
        ]

    def prompt_several(payload):
        """What each of the prompts draws with the state's seed, or why it draws nothing."""
        here, session = asked(payload, "several")
        with reading():
            wanted = ways.several([str(line) for line in payload["prompts"]], here)
        return {"items": shown(ways.drawn(engine, wanted, session))}

    def prompt_between(payload):
        """The pictures from the state's prompt to another."""
        here, session = asked(payload, "between")
        with reading():
            wanted = ways.between(here, str(payload["toward"]))
        found = ways.drawn(engine, wanted, session)
        if isinstance(found[-1], str):
            raise ConfigError(found[-1])
        return {"items": shown(found)}

    def prompt_stages(payload):
        """The state's picture as it appears, step by step from noise."""
        here, session = asked(payload, "stages")
        items = engine.stages(here, session)
        return {"items": [widgets.pixels(item) for item in items]}

    return [prompt_several, prompt_between, prompt_stages]


def endpoints(explore: Explore) -> None:
    def explore_prompts(
        checkpoint: str, prompts: str, seed: int = 0, guidance: float = 2.0, steps: int = 0, negative: str = "", toward: str = ""
    ) -> str:
        """Draw pictures from words, as one sheet: of each prompt, or on the way from one prompt to another.

        Args:
            checkpoint: its name; one that takes prompts.
            prompts: what is to be drawn, one a line, at most 64; of words that are in captions which the model learnt from.
            seed: the same seed draws the same pictures.
            guidance: how far beyond the prompt to go, from 0 to 8; 1 is what was learnt.
            steps: from noise to a picture; 0 is as the model was made for.
            negative: what is to be kept out.
            toward: a second prompt: the sheet then shows the way from the first one to it.
        """

        def sheet():
            sampling = {"guidance": guidance, "steps": steps, "negative": negative}
            return ways.sheet(explore.engine, Request(checkpoint, seed, sampling=sampling), prompts.splitlines(), toward)

        return widgets.served(widgets.told(sheet), f"{checkpoint}-{seed}-prompts.png")

    widgets.endpoint(explore_prompts, gr.Image(visible=False, format="png"))
