"""Explore for texts: a prompt, the text as it is written token by token, and how well a pasted one is foretold."""

from __future__ import annotations

import secrets
import shlex
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import gradio as gr

from ..config import ConfigError, specs
from ..data import poems
from ..engine import Request
from ..evaluation import texts
from . import widgets, words
from .explore import Explore, title

AT_ONCE = 0.08  # seconds of writing that one answer brings
MOST_OPEN = 64  # texts that are being written at a time; the oldest is given up


class Writing:
    """What the page's part for texts and its named endpoints call; one for a server."""

    def __init__(self, explore: Explore):
        self.explore, self.engine = explore, explore.engine
        self._open: OrderedDict[str, tuple[Request, Iterator[texts.Piece], list[str]]] = OrderedDict()

    def about(self, name: str) -> dict[str, Any]:
        """What the page needs to show the controls of a checkpoint that writes. Raises ConfigError and CheckpointError."""
        warm = self.engine.warm(str(name))
        c = warm.checkpoint
        if c.modality.kind != "text":
            raise ConfigError(f"checkpoint {c.name}: it writes no text, it draws {c.modality.kind}s")
        source = c.manifest.source
        numbers = [s for s in specs(warm.model.Sampling) if s.kind in ("int", "float")]
        verse = poems.SAMPLING if source.name == "tang" else {}
        return {
            "name": c.name,
            "title": title(c),
            "settings": [
                {**{k: getattr(s, k) for k in ("name", "help", "low", "high", "kind")}, "default": verse.get(s.name, s.default)}
                for s in numbers
            ],
            "context": c.modality.context,
            "forms": list(poems.FORMS) if verse else [],
            "data": source.title or source.name,
            "licence": source.licence,
        }

    def request(self, asked: Any) -> Request:
        """The engine's request that the page's fields mean; those of a poem become its prompt. Raises ConfigError and PoemError."""
        if not isinstance(asked, dict) or not isinstance(asked.get("sampling") or {}, dict):
            raise ConfigError("the request is not one that this page sends")
        sampling = dict(asked.get("sampling") or {})
        if asked.get("form"):
            prompt = poems.prompt(str(asked.get("title", "")), str(asked["form"]), str(asked.get("line", "")))
            sampling = {**poems.SAMPLING, **sampling, "prompt": prompt}
        return Request.of({"checkpoint": asked.get("checkpoint"), "seed": asked.get("seed", 0), "sampling": sampling})

    def begin(self, asked: Any) -> dict[str, Any]:
        """Begins a text; gives the name under which `more` goes on with it, what it begins with, and the command that repeats it."""
        request = self.request(asked)
        written = texts.pieces(self.engine, request)
        first = next(written, None)  # what cannot be written is said now
        id = secrets.token_urlsafe(12)
        self._open[id] = request, _from(first, written), []
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        return {"id": id, "prompt": request.sampling.get("prompt", ""), "command": command(request)}

    def more(self, id: Any) -> dict[str, Any]:
        """The next pieces of a text, each with its probability and the likeliest ones; at its end how much of it was copied."""
        _, written, so_far = self._being_written(id)
        until, pieces = time.monotonic() + AT_ONCE, []
        while time.monotonic() < until:
            piece = next(written, None)
            if piece is None:
                return {"pieces": pieces, "over": True, **self.leave(id)}
            so_far.append(piece.text)
            pieces.append([piece.text, round(piece.p, 4), [[text, round(p, 4)] for text, p in piece.likeliest]])
        return {"pieces": pieces, "over": False}

    def leave(self, id: Any) -> dict[str, Any]:
        """Gives up a text that is being written, and says how much of what there is of it was copied."""
        request, _, so_far = self._being_written(id)
        self._open.pop(str(id), None)
        return self.copied(request, "".join(so_far))

    def _being_written(self, id: Any) -> tuple[Request, Iterator[texts.Piece], list[str]]:
        found = self._open.get(str(id))
        if found is None:
            raise ConfigError("this text is not being written any more: write it anew")
        return found

    def copied(self, request: Request, text: str) -> dict[str, Any]:
        """The share of the runs of `window` characters of a text that were copied; None of both where that cannot be told."""
        found = texts.copied(self.engine.warm(request.checkpoint), text)
        return {"copied": found and found[0], "window": found and found[1]}

    def pasted(self, asked: Any) -> dict[str, Any]:
        """How well the checkpoint foretells asked["text"]: nats a character, beside those of counting the `before` tokens before alone,
        where the model keeps counts; the perplexity, and each token with its probability."""
        if not isinstance(asked, dict):
            raise ConfigError("the request is not one that this page sends")
        self.about(str(asked.get("checkpoint")))
        warm = self.engine.warm(str(asked.get("checkpoint")))
        score, shown = texts.pasted(self.engine, warm, str(asked.get("text", "")))
        pieces = [[text, round(p, 4), []] for text, p in shown]
        facts = {k: getattr(score, k) for k in ("nats", "perplexity", "characters", "counted", "before")}
        return {**facts, "pieces": pieces}


def _from(first: texts.Piece | None, rest: Iterator[texts.Piece]) -> Iterator[texts.Piece]:
    if first is not None:
        yield first
        yield from rest


def command(request: Request) -> str:
    """The command line that writes the text again."""
    prompt = request.sampling.get("prompt", "").replace("\n", "\\n")
    line = ["aigc", "write", request.checkpoint, "--seed", str(request.seed), *(("--prompt", prompt) if prompt else ())]
    for name, value in request.sampling.items():
        if name != "prompt":
            line += ["--set", f"{name}={value}"]
    return shlex.join(line)


def part(explore: Explore) -> None:
    """Lays out the part of the tab, which shows itself once a checkpoint that writes is chosen, and its named endpoints."""
    writing = Writing(explore)
    widgets.scripted(
        (widgets.ASSETS / "write" / "write.html").read_text("utf-8"),
        ["pad.js", "write/write.js"],
        [explore.shelf, writing.about, writing.begin, writing.more, writing.leave, writing.pasted],
        {"words": words.of("write")},
        elem_id="write",
    )

    def write_text(checkpoint: str, prompt: str = "", seed: int = 0, settings: str = "{}") -> Iterator[dict]:
        """Write a text (`aigc write`): {"text", "copied", "window"} as it grows, the prompt first. With the last comes the share of its
        runs of `window` characters that were in the text that the model was trained on, where that can be told.

        Args:
            checkpoint: the name of one that writes, as explore_list gives it.
            prompt: what the text begins with.
            seed: the same seed writes the same text.
            settings: a JSON object: temperature, top_k, top_p, min_p, penalty, length, until.
        """
        sampling = widgets.values(settings, dict, f"settings: {settings[:60]!r} is not a JSON object")
        asked = {"checkpoint": checkpoint, "seed": seed, "sampling": {**sampling, "prompt": prompt}}
        yield from _grown(writing, widgets.told(writing.request, asked))

    def write_poem(checkpoint: str, title: str, form: str = "五绝", line: str = "", seed: int = 0) -> Iterator[dict]:
        """Write a Tang poem: {"text", "copied", "window"} as it grows, its heading first; with the last comes what was copied, as of
        write_text.

        Args:
            checkpoint: the name of one that learnt from Tang poems, such as tang-gpt.
            title: the poem's.
            form: 五绝, 七绝, 五律 or 七律: 4 or 8 verses of 5 or 7 characters.
            line: the first line, or its beginning.
            seed: the same seed writes the same poem.
        """

        asked = {"checkpoint": checkpoint, "seed": seed, "title": title, "form": form, "line": line}
        yield from _grown(writing, widgets.told(writing.request, asked))

    def write_perplexity(checkpoint: str, text: str) -> dict:
        """How well a model foretells a text (`aigc perplexity`): nats a character, beside those of counting alone where it keeps counts,
        the perplexity, and each token with its probability.

        Args:
            checkpoint: the name of one that writes.
            text: at least 2 characters, at most 20,000.
        """
        return widgets.told(writing.pasted, {"checkpoint": checkpoint, "text": text})

    for function in (write_text, write_poem, write_perplexity):
        gr.api(function, api_name=function.__name__)


def _grown(writing: Writing, request: Request) -> Iterator[dict[str, Any]]:
    """The text of a request with what begins it, as it grows, and at its end how much of what was written is copied."""
    written = texts.pieces(writing.engine, request)
    piece = widgets.told(next, written, None)  # what cannot be written is said before anything is shown
    begun, text = request.sampling.get("prompt", ""), ""
    nothing = {"copied": None, "window": None}
    yield {"text": begun, **nothing}
    while piece is not None:
        text += piece.text
        yield {"text": begun + text, **nothing}
        piece = widgets.told(next, written, None)
    yield {"text": begun + text, **widgets.told(writing.copied, request, text)}
