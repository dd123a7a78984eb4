"""How well a model foretells a text, beside counting it; and how much of a text was copied from what the model learnt from."""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..data import copies
from ..engine import Checkpoint, Engine, Request, Warm
from ..nets.ngrams import Ngrams

BEFORE = 5  # tokens that the baseline counts with, where the model has no counts of its own
CROPS, BATCH = 200, 64  # of nanoGPT's way of scoring
AT_ONCE = 16  # windows in one pass
LONGEST = 20_000  # characters of a pasted text


class EvaluationError(ValueError):
    """A text that cannot be scored; the text says why in one sentence."""


@dataclass(frozen=True)
class Score:
    """Nats a character of a text with their standard error, over `characters`, by `protocol`; `counted` are those of counting alone, a
    Kneser-Ney of the `before` tokens before, None where there was nothing to count."""

    nats: float
    error: float
    characters: int
    protocol: str
    counted: float | None = None
    before: int = BEFORE

    @property
    def perplexity(self) -> float:
        """Among how many characters, all as likely, the next one is."""
        return math.exp(self.nats)


@torch.no_grad()
def surprise(engine: Engine, warm: Warm, tokens: Tensor, on_progress: Callable[[float], None] = lambda done: None) -> Tensor:
    """-log p (T - 1,) in nats of each of tokens (T,) but the first: by windows of the context that go on by half of it, so that each is
    foretold once, from at least half a context where the text has it."""
    context, found = warm.checkpoint.modality.context, []
    half = context // 2
    count = max(0, -(-(len(tokens) - 1 - context) // half)) + 1
    # no answer depends on what follows it
    padded = torch.nn.functional.pad(tokens.long(), (0, context + (count - 1) * half + 1 - len(tokens)))
    for part in padded.unfold(0, context + 1, half).split(AT_ONCE):
        x = part.to(engine.device)
        with engine.turn:
            logits = warm.model.logits(x[:, :-1])
        nats = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), x[:, 1:].flatten(), reduction="none").view(len(x), -1).cpu()
        found += [nats[0], nats[1:, context - half :].flatten()] if not found else [nats[:, context - half :].flatten()]
        on_progress(sum(map(len, found)) / len(padded))
    return torch.cat(found)[: len(tokens) - 1]


def score(engine: Engine, warm: Warm, tokens: Tensor, training: Tensor | None, on_progress: Callable[[float], None]) -> Score:
    """The score of a held-out text by one full pass, beside a Kneser-Ney counted from the tokens `training`. Raises EvaluationError."""
    nats = surprise(engine, warm, _text(warm, tokens), on_progress)
    characters = int(warm.checkpoint.modality.characters[tokens[1:].long()].sum())
    counted = None
    if training is not None:
        vocabulary = len(warm.checkpoint.modality.pieces)
        both = torch.cat([training[-BEFORE:], tokens]).long()
        counted = float(Ngrams(BEFORE, vocabulary).count(training).score(both)[BEFORE:].sum()) / characters
    # neighbours are alike: the error is that of means of windows
    means = torch.stack([part.mean() for part in nats.split(warm.checkpoint.modality.context)[:-1] or [nats]])
    error = float(means.std() / len(means) ** 0.5) if len(means) > 1 else 0.0
    half = warm.checkpoint.modality.context // 2
    return Score(float(nats.sum()) / characters, error, characters, f"every character once, after at least {half} tokens", counted)


@torch.no_grad()
def crops(engine: Engine, warm: Warm, tokens: Tensor, seed: int, batches: int = CROPS, size: int = BATCH) -> Score:
    """The score by nanoGPT's way: so many batches of windows drawn anywhere, each foretold from its own beginning."""
    context, rng = warm.checkpoint.modality.context, torch.Generator().manual_seed(seed)
    windows, losses = _text(warm, tokens).unfold(0, context + 1, 1), []
    share = float(warm.checkpoint.modality.characters[tokens.long()].mean())
    for _ in range(batches):
        x = windows[torch.randint(len(windows), (size,), generator=rng)].long().to(engine.device)
        with engine.turn:
            logits = warm.model.logits(x[:, :-1])
        losses.append(float(torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), x[:, 1:].flatten())) / share)
    nats = torch.tensor(losses)
    told = f"{batches} batches of {size} windows of {context} drawn at random"
    return Score(float(nats.mean()), float(nats.std() / batches**0.5), batches * size * context, told)


def pasted(engine: Engine, warm: Warm, text: str) -> tuple[Score, list[tuple[str, float]]]:
    """The score of a text of at most LONGEST characters, beside the counts that the model keeps, and each token but the first with its
    probability. Raises EvaluationError, and modality.BadItem for characters that the model never saw."""
    if len(text) > LONGEST:
        raise EvaluationError(f"text: {len(text):,} characters, at most {LONGEST:,}")
    modality = warm.checkpoint.modality
    tokens = modality.tokens(text)
    if len(tokens) < 2:
        raise EvaluationError("text: at least two characters are needed, as the first is foretold from nothing")
    nats = surprise(engine, warm, tokens)
    characters = max(float(modality.characters[tokens[1:]].sum()), 1.0)
    counted = warm.model.counting(tokens)
    beside = {} if counted is None else {"counted": float(counted.sum()) / characters, "before": warm.model.config.counts}
    shown = [(modality.text([t]), math.exp(-n)) for t, n in zip(tokens[1:].tolist(), nats.tolist(), strict=True)]
    return Score(float(nats.sum()) / characters, 0.0, int(characters), "every character once", **beside), shown


class Piece(NamedTuple):
    """A part of a text as it is written: what can be shown of it, its probability, and the likeliest parts there, each with its own."""

    text: str
    p: float
    likeliest: list[tuple[str, float]]


def pieces(engine: Engine, request: Request, name: Checkpoint | None = None) -> Iterator[Piece]:
    """What a request writes after its prompt, piece by piece: those of a character that is of several tokens come with its last.

    Raises ConfigError and CheckpointError."""
    modality = engine.warm(name or request.checkpoint).checkpoint.modality
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for token in engine.stream(request, name):
        likeliest = [(modality.text([t]), p) for t, p in token.likeliest]
        yield Piece(decoder.decode(modality.pieces[token.token]), token.p, likeliest)


def told(copied: tuple[float, int] | None) -> str:
    """What `copied` found, in a sentence."""
    if copied is None:
        return "How much was copied cannot be told: the text is short, or the checkpoint keeps no trace of what it learnt from."
    return f"{copied[0]:.1%} of its runs of {copied[1]} characters are in the text that the model was trained on."


def beside(score: Score, name: str) -> str:
    """What counting alone makes of the text that checkpoint `name` was scored on, in a sentence."""
    if score.counted is None:
        return f"{name} keeps no counts to stand beside it: `aigc evaluate {name}` counts its text, where that is here."
    return f"Counting alone (Kneser-Ney, {score.before} tokens before): {score.counted:.4f}."


def copied(warm: Warm, text: str) -> tuple[float, int] | None:
    """The share of a text's runs of so many characters that were in what the model was trained on; None where it left no trace, or where
    the text is shorter than one."""
    if warm.trace is None:
        return None
    found = copies.copied(text, warm.trace)
    return (float(found.mean()), int(warm.trace["window"])) if len(found) else None


def _text(warm: Warm, tokens: Tensor) -> Tensor:
    context = warm.checkpoint.modality.context
    if len(tokens) < context + 2:
        raise EvaluationError(f"text: {len(tokens):,} tokens are too few to score: at least {context + 2}")
    return tokens
