"""Texts: runs of tokens, each a character of a known alphabet or a piece of a text's bytes; the alphabet travels with the weights."""

from __future__ import annotations

import functools
import json
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ..modality import BadItem

LONGEST = 512  # tokens that are seen at once
LARGEST_ALPHABET, LARGEST_VOCABULARY = 20_000, 8192  # characters; pieces of bytes
CHUNK = 1 << 20  # characters that are looked up at a time
NOTHING = -1  # in the place of a token where a text has ended
RECIPE = "\n\n[made by aigc_demo: "  # begins the last line of a file, which holds the recipe
PANEL, LINES, PAPER, INK = (384, 192), 10, (22, 24, 26), (236, 236, 230)  # one text of a sheet: its pixels, lines and colours
FONTS = ("NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "msyh.ttc", "PingFang.ttc", "DejaVuSansMono.ttf")  # the first that there is


@dataclass(frozen=True)
class Modality:
    """Texts of which `context` tokens (8 to 512) are seen at once.

    A token is one character of `alphabet` (sorted, each once); or, where that is empty, a byte or several that the `merges` join, each
    written "left right" (byte-level BPE: Sennrich et al. 2016, arXiv:1508.07909, and Radford et al. 2019). An item is int64
    (context + 1,): each token but the last has the next one as its answer; NOTHING stands after a text's end. x is the same.
    Raises ValueError for another context, alphabet or merge."""

    context: int
    alphabet: str = ""
    merges: tuple[str, ...] = ()

    kind: ClassVar[str] = "text"
    thing: ClassVar[str] = "text"
    many: ClassVar[int] = 4
    suffix: ClassVar[str] = "txt"
    nothing: ClassVar[int] = NOTHING
    pictured: ClassVar[bool] = False
    palette: ClassVar[tuple[tuple[int, int, int], ...]] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "merges", tuple(self.merges))
        if type(self.context) is not int or not 8 <= self.context <= LONGEST:
            raise ValueError(f"context: {self.context!r} is not a whole number of tokens from 8 to {LONGEST}")
        if type(self.alphabet) is not str or len(self.alphabet) > LARGEST_ALPHABET or sorted(set(self.alphabet)) != list(self.alphabet):
            raise ValueError(f"alphabet: not at most {LARGEST_ALPHABET:,} characters, each once, in order")
        if self.alphabet and self.merges:
            raise ValueError("merges: an alphabet of characters has none")
        if len(self.merges) + 256 > LARGEST_VOCABULARY:
            raise ValueError(f"merges: {len(self.merges):,} are too many, at most {LARGEST_VOCABULARY - 256:,}")
        known = set(_letters())
        for merge in self.merges:
            pair = merge.split(" ") if type(merge) is str else ()
            if len(pair) != 2 or not known.issuperset(pair):
                raise ValueError(f"merges: {merge!r:.60} does not join two tokens that come before it")
            known.add("".join(pair))

    @property
    def shape(self) -> tuple[int]:
        """(context + 1,), of one item."""
        return (self.context + 1,)

    @property
    def space(self) -> tuple[int]:
        """As `shape`: of one x."""
        return self.shape

    @property
    def extent(self) -> str:
        """The context."""
        return f"{self.context} tokens"

    def sound(self, items: torch.Tensor) -> None:
        """None: texts are silent."""

    @property
    def size(self) -> int:
        """The context: what `data.size` means for a text."""
        return self.context

    @functools.cached_property
    def pieces(self) -> tuple[bytes, ...]:
        """What each token stands for, in UTF-8; a piece of bytes may be a part of a character."""
        if self.alphabet:
            return tuple(c.encode("utf-8", "surrogatepass") for c in self.alphabet)
        byte = {letter: bytes([b]) for b, letter in enumerate(_letters())}
        return tuple(b"".join(map(byte.__getitem__, word)) for word in _words(self.merges))

    @property
    def start(self) -> str:
        """What a text without a beginning goes on from: a new line, or the first character there is."""
        return "\n" if not self.alphabet or "\n" in self.alphabet else self.alphabet[0]

    @functools.cached_property
    def characters(self) -> torch.Tensor:
        """How many characters begin in each token, float32 (tokens,): nats a character are nats a token over the mean of these."""
        begun = [float(sum(b & 0xC0 != 0x80 for b in piece)) for piece in self.pieces]
        return torch.tensor(begun, device="cpu")  # a checkpoint's shapes are compared on tensors without numbers

    def tokens(self, text: str, where: str = "text") -> torch.Tensor:
        """A text -> its tokens int64 (n,). Raises BadItem, naming them after `where`, for characters that the alphabet lacks."""
        if not self.alphabet:
            # where a line begins with a letter no merge can reach across, and many short texts are merged faster than a long one
            parts = re.split(r"(?<=\n)(?=\S)", text)
            groups = ["".join(parts[i : i + 64]) for i in range(0, len(parts), 64)]
            return torch.tensor([i for found in _bpe(self.merges).encode_batch(groups) for i in found.ids], dtype=torch.int64)
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        place, known = self._places(codes)
        if not known.all():
            unknown = dict.fromkeys(map(chr, codes[~known].tolist()))
            shown = ", ".join(map(repr, list(unknown)[:8])) + (f" and {len(unknown) - 8} more" if len(unknown) > 8 else "")
            raise BadItem(f"{where}: the model never saw {shown}; it knows {len(self.alphabet):,} characters")
        return torch.from_numpy(place)

    def known(self, text: str) -> str:
        """`text` without the characters that the alphabet lacks."""
        if not self.alphabet:
            return text
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        return codes[self._places(codes)[1]].tobytes().decode("utf-32-le", "surrogatepass")

    def _places(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        letters = np.frombuffer(self.alphabet.encode("utf-32-le", "surrogatepass"), np.uint32)
        place, known = np.empty(len(codes), np.int64), np.empty(len(codes), np.bool_)
        for part in (slice(i, i + CHUNK) for i in range(0, len(codes), CHUNK)):
            place[part] = np.searchsorted(letters, codes[part]).clip(max=len(letters) - 1)
            known[part] = letters[place[part]] == codes[part]
        return place, known

    def text(self, tokens: torch.Tensor | Sequence[int]) -> str:
        """Tokens (n,) -> the text, up to the first NOTHING; half a character at an end is shown as U+FFFD."""
        ids = tokens.tolist() if isinstance(tokens, torch.Tensor) else list(tokens)
        ids = ids[: ids.index(NOTHING)] if NOTHING in ids else ids
        return b"".join(self.pieces[i] for i in ids).decode("utf-8", "replace")

    def read(self, data: bytes) -> torch.Tensor:
        """The beginning of a text file in UTF-8 -> one item. Raises BadItem with the reason."""
        if not data:
            raise BadItem("empty: 0 bytes")
        try:
            found = self.tokens(data.decode("utf-8-sig"))[: self.context + 1]
        except UnicodeDecodeError as error:
            raise BadItem(f"not UTF-8: byte {data[error.start]:#04x} at {error.start:,}") from None
        item = torch.full(self.shape, NOTHING)
        item[: len(found)] = found
        return item

    def encode(self, items: torch.Tensor) -> torch.Tensor:
        """Items (N, n) of any whole numbers -> x int64 (N, n)."""
        return items.long()

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """x (N, n) -> items int64 (N, n), NOTHING for what is no token."""
        x = torch.nan_to_num(x, nan=NOTHING).long()
        return torch.where((x >= 0) & (x < len(self.pieces)), x, NOTHING)

    def write(self, item: torch.Tensor, recipe: dict[str, Any] | None = None) -> bytes:
        """One item (n,) -> the text in UTF-8, the recipe as JSON in brackets at its end. Raises ValueError for what JSON cannot hold."""
        made = "" if recipe is None else f"{RECIPE}{json.dumps(recipe, allow_nan=False)}]\n"
        return (self.text(item) + made).encode("utf-8", "replace")

    @staticmethod
    def recipe_of(data: bytes) -> dict[str, Any] | None:
        """The recipe that `write` put into a file; None where there is none that can be read."""
        _, found, rest = data.rpartition(RECIPE.encode())
        try:
            recipe = json.loads(rest.partition(b"\n")[0].removesuffix(b"]")) if found else None
        except (ValueError, RecursionError):
            return None
        return recipe if isinstance(recipe, dict) else None

    def film(self, items: torch.Tensor, fps: int, kind: str) -> bytes:
        """Raises BadItem: nothing lies between two texts."""
        raise BadItem("a text is no film: nothing lies between two texts")

    def sheet(self, items: torch.Tensor, columns: int) -> np.ndarray:
        """Items (N, n) -> uint8 (height, width, 3): the beginning of each text, in rows of at most 2."""
        columns = min(columns, len(items), 2)
        rows, (width, height) = -(-len(items) // columns), PANEL
        page = Image.new("RGB", (columns * width, rows * height), PAPER)
        draw, font = ImageDraw.Draw(page), _font()
        step = (height - 16) / LINES
        for place, item in enumerate(items):
            left, top = place % columns * width + 10, place // columns * height + 8
            lines = [part for line in self.text(item).split("\n") for part in _wrapped(line, font, width - 20)]
            for i, line in enumerate(lines[:LINES]):
                draw.text((left, top + i * step), line, INK, font)
        return np.asarray(page)

    @staticmethod
    def features(x: torch.Tensor) -> torch.Tensor:
        """x (N, n) -> the shares of the first 512 tokens in each, float32 (N, 512): by them texts are compared with the data's."""
        return torch.nn.functional.one_hot(x.clamp(0, 511), 512).float().mean(1)

    @staticmethod
    def measures(x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Nothing: a slider cannot move a text a little."""
        return {}


def trained(text: str, vocabulary: int) -> tuple[str, ...]:
    """The merges of a byte-level BPE of so many tokens in all, learnt from `text`."""
    from tokenizers import trainers

    model = _empty([], [])
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=_letters(), show_progress=False)
    model.train_from_iterator((text[i : i + 100_000] for i in range(0, len(text), 100_000)), trainer)
    found = json.loads(model.to_str())["model"]["merges"]
    return tuple(pair if isinstance(pair, str) else " ".join(pair) for pair in found)


def _empty(words: Sequence[str], merges: Sequence[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    model = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, [tuple(m.split(" ")) for m in merges]))
    model.pre_tokenizer, model.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return model


@functools.lru_cache(8)
def _bpe(merges: tuple[str, ...]) -> Any:
    return _empty(_words(merges), merges)


def _words(merges: Sequence[str]) -> list[str]:
    """Every token in the letters that stand for bytes; two merges may make the same one."""
    return list(dict.fromkeys([*_letters(), *(merge.replace(" ", "") for merge in merges)]))


@functools.lru_cache(1)
def _letters() -> list[str]:
    """The letter that stands for each byte in a merge (Radford et al. 2019): itself, or where that cannot be seen one from 256 on."""
    seen = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(b) if b in seen else chr(next(others)) for b in range(256)]


@functools.lru_cache(1)
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    for name in FONTS:
        try:
            return ImageFont.truetype(name, 13)
        except OSError:
            continue
    return ImageFont.load_default()


def _wrapped(line: str, font: Any, width: int) -> list[str]:
    most = max(8, int(width / max(font.getlength("字" if any(c > "⺀" for c in line) else "n"), 1)))
    return textwrap.wrap(line, most) or [""]
