"""Which runs of characters of a text were in another: a trace of a text that holds none of its words."""

from __future__ import annotations

import numpy as np
import torch

WINDOW, WIDE = 50, 14  # characters of a run, and of one in Chinese, where a character says as much as a short word
BITS = 12  # of the trace a run, at least: one run in a thousand that was never there is taken for a known one
MARKS = 6  # bits that one run sets
LARGEST = 1 << 23  # runs of a text that is traced
FACTOR, SPREAD = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9  # odd numbers that mix well (splitmix64)


def _runs(text: str, window: int) -> np.ndarray:
    """A number of 64 bits for each run of `window` characters: (len(text) - window + 1,)."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    found = np.zeros(max(0, len(codes) - window + 1), np.uint64)
    for i in range(window):
        found = found * np.uint64(FACTOR) + codes[i : i + len(found)]
    found = (found ^ found >> np.uint64(31)) * np.uint64(SPREAD)
    return found ^ found >> np.uint64(29)


def _places(runs: np.ndarray, size: int) -> np.ndarray:
    """The bits (MARKS, n) of a trace of `size`, a power of 2, that each run sets (Kirsch and Mitzenmacher 2006)."""
    first, step = runs & np.uint64(0xFFFFFFFF), runs >> np.uint64(32) | np.uint64(1)
    return (first + np.arange(MARKS, dtype=np.uint64)[:, None] * step) & np.uint64(size - 1)


def trace(text: str) -> dict[str, torch.Tensor] | None:
    """The trace of a text: "bits", a Bloom filter (Bloom 1970) of its runs as uint8, and "window"; None of one that is too long."""
    window = WIDE if sum(c > "\u2e80" for c in text[:10_000]) > len(text[:10_000]) // 2 else WINDOW
    runs = _runs(text, window)
    if not 0 < len(runs) <= LARGEST:
        return None
    size = 1 << max(13, (BITS * len(runs) - 1).bit_length())
    bits = np.zeros(size, np.bool_)
    for places in _places(np.unique(runs), size):
        bits[places] = True
    return {"bits": torch.from_numpy(np.packbits(bits)), "window": torch.tensor([window])}


def copied(text: str, trace: dict[str, torch.Tensor]) -> np.ndarray:
    """Whether each run of the text was in what was traced: bool (n,), empty of a text that is shorter than a run."""
    bits = trace["bits"].numpy()
    places = _places(_runs(text, int(trace["window"])), 8 * len(bits))
    return (bits[places >> np.uint64(3)] >> (np.uint64(7) - (places & np.uint64(7))).astype(np.uint8) & 1).all(0)
