"""Pictures of several prompts, and the way from one prompt to another: each a request of the engine."""

from __future__ import annotations

from collections.abc import Sequence

from ..checkpoint import Checkpoint
from ..config import ConfigError
from ..engine import Engine, Request, Sample

MOST = 64  # prompts at once
STOPS = 9  # pictures on the way from one prompt to another
COLUMNS = 9  # of a sheet


def reads(engine: Engine, found: str | Checkpoint) -> None:
    """Raises ConfigError where the checkpoint draws no pictures from words."""
    warm = engine.warm(found)
    if not warm.model.reads:
        raise ConfigError(f"checkpoint {warm.checkpoint.name}: it takes no prompt that says what to draw")


def several(prompts: Sequence[str], request: Request) -> list[Request]:
    """The request for each prompt, all with its seed. Raises ConfigError for none, or too many."""
    if not 1 <= len(prompts) <= MOST:
        raise ConfigError(f"prompts: {len(prompts)} are given, 1 to {MOST} can be drawn at once")
    return [request.at("sampling.prompt", prompt) for prompt in prompts]


def between(request: Request, toward: str, stops: int = STOPS) -> list[Request]:
    """The request's prompt, and `stops` - 1 steps from it to the prompt `toward`, whose flows are mixed. Raises ConfigError."""
    if not 2 <= stops <= MOST:
        raise ConfigError(f"stops: {stops} is not a number from 2 to {MOST}")
    there = request.at("sampling.toward", toward)
    return [there.at("sampling.mix", round(i / (stops - 1), 4)) for i in range(stops)]


def drawn(engine: Engine, requests: Sequence[Request], session: str | None = None, name: Checkpoint | None = None) -> list[Sample | str]:
    """What each request draws, or in a sentence why it cannot be drawn: a word that was never learnt takes no other prompt with it."""
    reads(engine, name or requests[0].checkpoint)
    found: list[Sample | str] = []
    for request in requests:
        try:
            found += engine.draw([request], session, name)
        except ConfigError as error:
            found.append(str(error))
    return found


def sheet(
    engine: Engine, request: Request, prompts: Sequence[str], toward: str = "", stops: int = STOPS, name: Checkpoint | None = None
) -> bytes:
    """A PNG of what the prompts draw, or with `toward` of the way to it from the first: one picture with its recipe, else a sheet of all.

    Raises ConfigError and as Engine.draw."""
    reads(engine, name or request.checkpoint)
    requests = several(prompts, request)
    requests = between(requests[0], toward, stops) if toward else requests
    samples = [engine.draw([one], name=name)[0] for one in requests]
    return engine.file(samples[0]) if len(samples) == 1 else engine.sheet(samples, min(len(samples), COLUMNS))
