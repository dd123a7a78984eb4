"""What follows the last few tokens, by counting: interpolated Kneser-Ney (Kneser and Ney 1995; Chen and Goodman 1999, section 2.6)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

DISCOUNT = 0.75  # off each count, for what was never seen
DENSE = 256  # tokens up to which all answers of a context are kept side by side
FOLDS = 10  # stretches of the text that are left out in turn while a model learns from it
ROOM = 1 << 28  # numbers that all answers of all contexts may take; fewer folds, 2 at least, where they would take more
SENTENCE = 1 << 16  # positions that are scored at a time
TABLE = 1 << 20  # keys up to which the place of each is written down
NONE, BEYOND = 1 << 60, (1 << 63) - 1  # in the place of a token before the first, so that no context has its key; above any key


class Level(NamedTuple):
    """The grams of one length: `contexts`, sorted keys; `events`, sorted keys of a context and its answer, and how often each was seen;
    for each context all of these in `rows` where there are few tokens, their sum and their number. At the end of the contexts, and of these
    three, stands one never seen. `table` is the place of each key among the contexts, where there are few keys.

    Of length 0 there is one context for the whole text, and one for the text without each of its folds: all longer ones grow from these."""

    contexts: Tensor
    events: Tensor
    counts: Tensor
    rows: Tensor
    total: Tensor
    kinds: Tensor
    table: Tensor | None

    def place(self, older: Tensor, shorter: Tensor, vocabulary: int) -> Tensor:
        """Which context it is that has `older` before the one at the place `shorter` of the level before; the last one, never seen, where
        there is none."""
        key = torch.add(older, shorter, alpha=vocabulary)
        if self.table is not None:
            return self.table.take(key.clamp_(max=len(self.table) - 1))
        at = torch.searchsorted(self.contexts, key)
        return torch.where(self.contexts.take(at) == key, at, len(self.contexts) - 1)


class Ngrams(nn.Module):
    """The probability of each of `vocabulary` tokens after the `before` tokens before it:
        p(w | h) = max(c(h w) - D, 0) / c(h) + D n(h) / c(h) p(w | h'),  n(h) = how many w were seen after h,  h' = h without its oldest,
    where c counts occurrences of the longest, and of a shorter h w how many different tokens stand before it.

    `grams` (M, before + 1) and `counts` (M,) are what was counted: all else follows from them, at the first question. `folds` (M, K) is how
    many of them lie in each of K equal stretches of the text, for a model that is trained on the same text: what counting the others says
    of one it can trust as far as of a new text. To leave out each answer alone is not enough, as its neighbourhood speaks of the same: of
    tiny Shakespeare that costs 1.36 nats a character, without a tenth 1.45, and the held-out tenth costs 1.54."""

    def __init__(self, before: int, vocabulary: int):
        super().__init__()
        self.before, self.vocabulary = before, vocabulary
        self.register_buffer("grams", torch.zeros(0, before + 1, dtype=torch.uint8 if vocabulary <= 256 else torch.int16))
        self.register_buffer("counts", torch.zeros(0, dtype=torch.int32))
        self.folds = torch.zeros(0, 0, dtype=torch.int32)
        self.length = 0  # tokens of the text whose folds are known
        self._levels: list[Level] = []

    @torch.no_grad()
    def count(self, tokens: Tensor, folded: bool = False) -> Ngrams:
        """Counts a text of tokens (T,), in the place of what was counted before; `folded`, each of its folds as well."""
        wide = tokens.long().unfold(0, self.before + 1, 1)
        key = torch.zeros(len(wide), dtype=torch.int64)
        for column in wide.T:  # `unique` of rows is slow, and the digits of a whole gram may not fit into one number
            key = torch.unique(key * self.vocabulary + column, return_inverse=True)[1]
        counts = torch.bincount(key)
        first = torch.empty_like(counts).scatter_(0, key, torch.arange(len(key)))
        self.grams, self.counts = wide[first].to(self.grams.dtype), counts.to(torch.int32)
        folds = max(2, min(FOLDS, ROOM // (len(counts) * self.vocabulary) - 1)) if folded else 0
        self.folds, self.length, self._levels = self.counts.new_zeros(len(counts), folds), len(tokens), []
        if folds:
            fold = self._fold(torch.arange(self.before, len(tokens)))  # of each gram's last token, its answer
            self.folds.view(-1).scatter_add_(0, key * folds + fold, torch.ones_like(fold, dtype=torch.int32))
        return self

    def _fold(self, at: Tensor) -> Tensor:
        """Which fold of the text each place `at` of it is in."""
        return at * self.folds.shape[1] // self.length

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """How many grams there are is known only where they lie."""
        for name in ("grams", "counts"):
            if (kept := state.get(prefix + name)) is not None and kept.dim() == getattr(self, name).dim():
                known = getattr(self, name)
                if len(self.folds) and not (known.shape == kept.shape and torch.equal(known, kept.to(known))):  # of another text
                    self.folds = self.folds.new_zeros(0, 0)
                setattr(self, name, torch.empty_like(kept, device=known.device))
        self._levels = []
        super()._load_from_state_dict(state, prefix, *rest)

    @property
    def levels(self) -> list[Level]:
        """The tables of each length of context, from none to `before`."""
        if not self._levels:
            grams, counts, v = self.grams.long().clamp(0, self.vocabulary - 1), self.counts.long().clamp(min=1)[:, None], self.vocabulary
            if self.folds.numel():  # of the whole, and of the whole without each fold
                counts = torch.cat([counts, counts - self.folds.to(counts.device)], 1)
            root, gram = counts.T.nonzero().T
            grams, counts, word = grams[gram], counts[gram, root], grams[gram, -1]
            keys, places = [torch.arange(self.folds.shape[1] + 1, device=grams.device)], [root]
            for back in range(self.before):
                found, place = torch.unique(places[-1] * v + grams[:, -2 - back], return_inverse=True)
                keys.append(found)
                places.append(place)
            events = places[-1] * v + word
            order = events.argsort()
            events, counts = events[order], counts[order]
            sizes, levels, beyond = [len(found) + 1 for found in keys], [], torch.full((1,), BEYOND, device=grams.device)
            # those of all levels lie side by side in memory, for `last`; after a context never seen p is that after a shorter one
            self._starts = torch.tensor([0, *sizes[:-1]], device=grams.device).cumsum(0)[:, None]
            rows = torch.zeros(sum(sizes), v if v <= DENSE else 0, device=grams.device)
            self._joined = rows, torch.zeros(len(rows), device=grams.device), torch.zeros(len(rows), device=grams.device)
            parts = list(zip(*(part.split(sizes) for part in self._joined), strict=True))
            for length in reversed(range(self.before + 1)):
                context, (rows, total, kinds) = events // v, parts[length]
                kinds.scatter_add_(0, context, torch.ones(len(context), device=grams.device))
                total.scatter_add_(0, context, counts.float())
                never = total == 0  # such a context; and the rest of a text that is no longer than one fold
                total[never], kinds[never] = 1, 1 / DISCOUNT
                if v <= DENSE:
                    rows.view(-1)[events] = counts.float()
                levels.append(Level(torch.cat([keys[length], beyond]), events, counts, rows, total, kinds, _table(keys, length, v)))
                if length:
                    events, counts = torch.unique(keys[length][context] // v * v + events % v, return_counts=True)
            levels.reverse()
            self._levels = levels
        return self._levels

    def _places(self, tokens: Tensor, root: Tensor | None = None) -> list[Tensor]:
        """For each level, which context stands before the answer to each of tokens (B, T), itself the last of it; the last one, never seen,
        where there is none. `root` (B, T) is that of no tokens: 0, which is the whole text, without it."""
        place = torch.zeros_like(tokens) if root is None else root
        places = [place]
        for back, level in enumerate(self.levels[1:]):
            place = level.place(torch.nn.functional.pad(tokens, (back, 0), value=NONE)[:, : tokens.shape[1]], place, self.vocabulary)
            places.append(place)
        return places

    @torch.no_grad()
    def last(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) -> log p (B, vocabulary) of what follows them: the last of `forward`, faster."""
        if not len(self.grams):
            return self(tokens[:, -1:])[:, 0]
        levels, places = self.levels, [torch.zeros_like(tokens[:, 0])]
        for back, level in enumerate(levels[1:], 1):
            older = tokens[:, -back] if back <= tokens.shape[1] else torch.full_like(places[0], NONE)
            places.append(level.place(older, places[-1], self.vocabulary))
        at = (torch.stack(places) + self._starts).flatten()
        counts, total, kinds = (part.index_select(0, at).view(len(levels), len(tokens), -1) for part in self._joined)  # of all levels
        p = torch.full((1, 1), 1 / self.vocabulary, device=tokens.device)
        for kept, passed in zip((counts - DISCOUNT).clamp_(min=0) / total, DISCOUNT * kinds / total, strict=True):
            p = torch.addcmul(kept, passed, p)
        return p.log()

    @torch.no_grad()
    def forward(self, tokens: Tensor, at: Tensor | None = None) -> Tensor:
        """Tokens (B, T) -> log p (B, T, vocabulary) of what follows each; all alike before anything was counted.

        With `at` (B, T), where in the text that was counted by folds each answer stands, it is foretold as if its fold were missing."""
        p = torch.full((*tokens.shape, 1), 1 / self.vocabulary, device=tokens.device)
        if not len(self.grams):
            return p.log().expand(*tokens.shape, self.vocabulary)
        root = None if at is None or not self.folds.numel() else self._fold(at) + 1
        for level, place in zip(self.levels, self._places(tokens, root), strict=True):
            p = _mixed(level.rows[place], level.total[place][..., None], level.kinds[place][..., None], p)
        return p.log()

    @torch.no_grad()
    def score(self, tokens: Tensor) -> Tensor:
        """-log p (T - 1,) in nats of each of tokens (T,) but the first, after those before it."""
        found = []
        for start in range(0, len(tokens) - 1, SENTENCE):
            first = max(0, start - self.before)
            part = tokens[first : start + SENTENCE + 1].long()[None]
            word = part[:, 1:]
            p = torch.full(word.shape, 1 / self.vocabulary, device=word.device)
            for level, at in zip(self.levels, self._places(part[:, :-1]), strict=True):
                key = at * self.vocabulary + word
                event = torch.searchsorted(level.events, key).clamp(max=len(level.events) - 1)
                counts = torch.where(level.events[event] == key, level.counts[event], 0).float()
                p = _mixed(counts, level.total[at], level.kinds[at], p)
            found.append(-p.log()[0, start - first :])
        return torch.cat(found)


def _table(keys: list[Tensor], length: int, vocabulary: int) -> Tensor | None:
    """Level.table of contexts of so many tokens, of which `keys` are those of each length. Its last entry is for a key beyond all."""
    most = (len(keys[length - 1]) + 1) * vocabulary if length else len(keys[0])
    if most > TABLE:
        return None
    table = torch.full((most + 1,), len(keys[length]), device=keys[0].device)
    table[keys[length]] = torch.arange(len(keys[length]), device=table.device)
    return table


def _mixed(counts: Tensor, total: Tensor, kinds: Tensor, shorter: Tensor) -> Tensor:
    """p after a context, where it is `shorter` after one without its oldest token."""
    return ((counts - DISCOUNT).clamp(min=0) + DISCOUNT * kinds * shorter) / total
