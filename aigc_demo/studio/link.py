"""The link that brings a picture back: a request as the query of the page's address, and what a query, or a file's recipe, asks for."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import struct
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote

from ..config import ConfigError
from ..engine import Request, recall

LONGEST = 20_000  # characters of a query, enough for a latent of 1024 numbers beside all else
FEW = 8  # more numbers than these, if they are the first of the latent, are packed as float32
SHORT = 16  # hexadecimal digits of the content's hash
LARGEST_FILE = 16 << 20  # bytes


@dataclass(frozen=True)
class Asked:
    """What a link or a file asks for: the request, and what is told of the checkpoint that it was made with ("" where nothing is).

    `digest` is the content's hash, or its beginning; `ways` that of the directions (Warm.ways). `names` and `kept` are a visitor's own
    names of directions, by number, and the directions that stand first."""

    request: Request
    digest: str = ""
    ways: str = ""
    names: dict[int, str] = field(default_factory=dict)
    kept: tuple[int, ...] = ()


def query(asked: Asked) -> str:
    """`model=mnist-dcgan&hash=...&seed=7&sliders=1.5,0,-2`, without a question mark; what has its default is left out."""
    r = asked.request
    parts: dict[str, Any] = {"model": r.checkpoint, "hash": asked.digest[:SHORT], "seed": r.seed}
    if r.index:
        parts["index"] = r.index
    if r.label is not None:
        parts["class"] = r.label
    if r.place is not None:
        parts["place"] = _amounts(r.place)
    if any(r.sliders):
        parts |= {"sliders": _amounts(r.sliders[: max(k for k, v in enumerate(r.sliders) if v) + 1]), "ways": asked.ways}
    if len(r.numbers) > FEW and sorted(r.numbers) == list(range(len(r.numbers))):
        packed = struct.pack(f"<{len(r.numbers)}f", *(r.numbers[k] for k in range(len(r.numbers))))
        parts["latent"] = base64.urlsafe_b64encode(packed).decode().rstrip("=")
    elif r.numbers:
        parts["numbers"] = ",".join(f"{k}:{_amount(v)}" for k, v in r.numbers.items())
    parts |= {f"set.{k}": json.dumps(v, ensure_ascii=False) for k, v in r.sampling.items()}
    parts |= {f"name.{k}": name for k, name in asked.names.items()}
    if asked.kept:
        parts["keep"] = ",".join(map(str, asked.kept))
    return "&".join(f"{k}={quote(str(v), safe=',:')}" for k, v in parts.items() if v != "")


def read(link: str) -> Asked:
    """What a query, or an address that ends on one, asks for. Raises ConfigError, naming what in it cannot be read."""
    text = link.rpartition("?")[2].partition("#")[0]
    if len(text) > LONGEST:
        raise ConfigError(f"link: {len(text)} characters are too many: at most {LONGEST}")
    parts = {k: v[-1] for k, v in parse_qs(text).items()}
    if "model" not in parts:
        raise ConfigError("link: it names no model, so it brings back no picture")

    def part(name: str, kind: Any, otherwise: Any) -> Any:
        if name not in parts:
            return otherwise
        with contextlib.suppress(ValueError, OverflowError, RecursionError, struct.error):
            return kind(parts[name])
        raise ConfigError(f"link: {name}={parts[name][:40]} cannot be read")

    def mine(start: str) -> dict[str, str]:
        return {k.removeprefix(start): k for k in parts if k.startswith(start)}

    numbers = part("latent", _unpacked, {}) | part("numbers", _numbers, {})
    request = Request(
        parts["model"],
        part("seed", int, 0),
        part("index", int, 0),
        part("sliders", _floats, ()),
        numbers,
        part("class", int, None),
        {name: part(k, json.loads, None) for name, k in mine("set.").items()},
        part("place", _floats, None),
    )
    names = {int(k): parts[at][:40] for k, at in mine("name.").items() if k.isascii() and k.isdigit() and len(k) <= 4}
    kept = part("keep", lambda text: tuple(int(k) for k in text.split(",")), ())
    return Asked(request, parts.get("hash", ""), parts.get("ways", ""), names, kept)


def of_file(data: bytes) -> Asked:
    """What the recipe inside a file asks for. Raises ConfigError where there is none."""
    if len(data) > LARGEST_FILE:
        raise ConfigError(f"file: it is too large: at most {LARGEST_FILE >> 20} MB are looked at")
    request, told = recall(data)
    return Asked(request, told.get("digest", ""), told.get("ways", ""))


def _amount(value: float) -> str:
    return repr(float(value)).removesuffix(".0")


def _amounts(values: Any) -> str:
    return ",".join(map(_amount, values))


def _floats(text: str) -> tuple[float, ...]:
    return tuple(float(v or 0) for v in text.split(","))


def _numbers(text: str) -> dict[int, float]:
    pairs = [pair.split(":") for pair in text.split(",")]
    return {int(k): float(v) for k, v in pairs}


def _unpacked(text: str) -> dict[int, float]:
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    found = dict(enumerate(struct.unpack(f"<{len(data) // 4}f", data)))
    if not all(map(math.isfinite, found.values())):
        raise ValueError
    return found
