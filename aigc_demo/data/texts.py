"""Texts of any kind of file as one run of characters, read without trusting them: bounded, and in an encoding that is checked."""

from __future__ import annotations

import bz2
import contextlib
import csv
import io
import itertools
import json
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import torch

from .. import config
from ..modalities.text import Modality, trained
from ..modality import BadItem
from . import files
from .cleaning import DataError, Entry, Ledger, shown

SUFFIXES = (".txt", ".md", ".jsonl", ".csv")
OTHERS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".wav", ".flac", ".ogg", ".mp3")  # beside which a text is about these
LOOKED_AT = 10_000  # names of a folder or a zip, to tell what it is of
LARGEST = 32 * 2**20  # bytes of a corpus that are read, the rest is said to be left
BETWEEN = "\n\n"  # two texts of a set
STRANGERS = 0.05  # share of a corpus's characters that a given alphabet may lack
GUESSES = ("gb18030", "big5", "shift_jis", "euc_kr", "cp1252")  # encodings that are named where a file is not UTF-8
CORPORA = Path(__file__).parent / "corpora"


def is_text(path: str) -> bool:
    """Whether `path` is one of texts: by its suffix, or by those of the files in the folder or zip."""
    names: Iterable[str] | None = None
    with contextlib.suppress(OSError, ValueError, zipfile.BadZipFile):  # whoever reads it says what is wrong with it
        if os.path.isdir(path):
            names = (name for _, _, inside in os.walk(path) for name in inside)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
    if names is not None:
        seen = {os.path.splitext(name.lower())[1] for name in itertools.islice(names, LOOKED_AT)}
        return bool(seen & set(SUFFIXES)) and not seen & set(OTHERS)
    return path.lower().endswith(SUFFIXES)


def built_in(name: str, root: Path | None) -> str:
    """The text of a built-in corpus, which lies within `root` where it does not come with the program."""
    if name == "tinyshakespeare":
        return bz2.decompress((CORPORA / "tinyshakespeare.txt.bz2").read_bytes()).decode()
    text = (root / "chinese-poetry" / "tang_regular_simplified.txt").read_text("utf-8")
    # a poem is told by its title and its form; who wrote it is left out
    return re.sub(r"^(《.*》).*·(五绝|七绝|五律|七律)$", r"\1\2", text, flags=re.MULTILINE)


def from_files(path: str, spec: config.Data, seed: int) -> tuple[str, Ledger]:
    """The text of a file, or of all files of a folder or a zip, with the account of what was left out.

    Several texts (of a folder, the lines of a .jsonl, the rows of a .csv) are joined in an order drawn by `seed`, each once. Raises
    DataError."""
    if not path.lower().endswith(SUFFIXES):
        return _of_folder(path, spec, seed)
    where, size = shown(path), os.path.getsize(path)
    with open(path, "rb") as stream:
        texts, notes = _texts(stream, path, where, spec)
    if size > LARGEST:
        notes = [f"the first {LARGEST >> 20} MB of {size / 2**20:,.0f} MB read", *notes]
    text, more = _joined(texts, seed)
    return text, Ledger(len(texts), notes=(*notes, *more), thing="text")


def _of_folder(path: str, spec: config.Data, seed: int) -> tuple[str, Ledger]:
    texts: list[str] = []
    left_out, notes, total = [], [], 0
    with files.opened(path) as found:
        left_out += found.left_out
        for file in found.files:
            name = shown(file.name)
            try:
                if not file.name.lower().endswith(SUFFIXES):
                    raise DataError(f"{name}: not a text: none of {', '.join(SUFFIXES)}")
                if total >= LARGEST:
                    raise DataError(f"{name}: beyond the first {LARGEST >> 20} MB of the folder")
                with file.open() as stream:
                    own, said = _texts(stream, file.name, name, spec)
                texts += own
                total += sum(map(len, own))
                notes += [f"{name}: {note}" for note in said]
            except DataError as reason:
                left_out.append(Entry(name, str(reason).removeprefix(f"{name}: ")))
            except files.FAULTS as error:
                left_out.append(Entry(name, f"cannot be read: {getattr(error, 'strerror', None) or error or type(error).__name__}"))
        hidden = tuple(map(shown, sorted(found.hidden)))
    if not texts:
        raise DataError(f"{shown(path)}: no text was read: {Ledger(0, tuple(left_out), thing='text').summary()}")
    text, more = _joined(texts, seed)
    return text, Ledger(len(texts), tuple(sorted(left_out)), hidden, (*notes, *more), "text")


def _joined(texts: list[str], seed: int) -> tuple[str, list[str]]:
    if len(texts) == 1:
        return texts[0], []
    once = list(dict.fromkeys(texts))
    order = torch.randperm(len(once), generator=torch.Generator().manual_seed(seed)).tolist()
    twice = len(texts) - len(once)
    return BETWEEN.join(once[i] for i in order) + BETWEEN, [f"{twice:,} exact duplicates left out"] if twice else []


def _texts(stream: IO[bytes], name: str, where: str, spec: config.Data) -> tuple[list[str], list[str]]:
    """The texts of one file, and notes on them. Raises DataError."""
    data = stream.read(LARGEST)
    if not data:
        raise DataError(f"{where}: empty: 0 bytes")
    text = _decoded(data, where, spec.encoding, cut=len(data) == LARGEST)
    suffix = name.lower().rpartition(".")[2]
    if suffix == "jsonl":
        return _fields(_rows_of_jsonl(text, cut=len(data) == LARGEST), where, spec.column)
    if suffix == "csv":
        return _fields(_rows_of_csv(text), where, spec.column)
    if not text.strip():
        raise DataError(f"{where}: empty: nothing but spaces")
    return [text.replace("\r\n", "\n")], []


def _decoded(data: bytes, where: str, encoding: str, cut: bool) -> str:
    try:
        text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding, "strict")
    except LookupError:
        raise DataError(f"data.encoding: {encoding[:40]!r} is not an encoding that is known here, such as utf-8 or gb18030") from None
    except UnicodeDecodeError as error:
        if cut and error.start >= len(data) - 4:  # within the last character that was read
            return _decoded(data[: error.start], where, encoding, False)
        if _binary(data):
            raise DataError(f"{where}: not a text: binary data, a byte {data[error.start]:#04x} at {error.start:,}") from None
        guess = [g for g in GUESSES if g != encoding and _likely(data[: 1 << 20], g)]
        looks = f"; it may be {' or '.join(guess[:2])}: set data.encoding={guess[0]}" if guess else ": set data.encoding"
        raise DataError(f"{where}: not {encoding}: a byte {data[error.start]:#04x} at {error.start:,}{looks}") from None
    if "\0" in text[: 1 << 20] or _junk(text[: 1 << 16]):
        raise DataError(f"{where}: not a text: it holds control characters")
    return text


def _binary(data: bytes) -> bool:
    head = data[: 1 << 16]
    return not head.startswith((b"\xff\xfe", b"\xfe\xff")) and (b"\0" in head or sum(b < 9 or 13 < b < 32 for b in head) > 0.02 * len(head))


def _junk(text: str) -> bool:
    return sum(c < " " and c not in "\t\n\r\f\x1b" for c in text) > 0.02 * len(text)


def _likely(data: bytes, encoding: str) -> bool:
    """Whether all but the end decodes, and what is beyond ASCII there is mostly letters."""
    try:
        beyond = [c for c in data[: len(data) // 2 * 2].decode(encoding) if c > "\x7f"]
    except UnicodeDecodeError as error:
        if error.start < len(data) - 4:
            return False
        beyond = [c for c in data[: error.start].decode(encoding) if c > "\x7f"]
    return sum(c.isalpha() for c in beyond) >= 0.7 * len(beyond)


def _rows_of_jsonl(text: str, cut: bool) -> Iterator[dict | None]:
    lines = text.splitlines()
    for line in lines[:-1] if cut else lines:
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            yield {"": row} if isinstance(row, str) else row if isinstance(row, dict) else None


def _rows_of_csv(text: str) -> Iterator[dict | None]:
    csv.field_size_limit(LARGEST)
    yield from csv.DictReader(io.StringIO(text, newline=""))


def _fields(rows: Iterator[dict | None], where: str, column: str) -> tuple[list[str], list[str]]:
    """The texts of one column: the one named, or "text", or the only one. Raises DataError."""
    try:
        first = next(rows, None)
        names = [name for name in first if isinstance(name, str)] if first else []
        chosen = column or ("text" if "text" in names else names[0] if len(names) == 1 else "")
        if first is None or (names and chosen not in names):
            have = ", ".join(map(shown, names)) or "no row that can be read"
            raise DataError(f"{where}: the column of the texts is not clear: set data.column to one of these: {have}")
        texts, bad = [], 0
        for row in itertools.chain([first], rows):
            value = row.get(chosen) if row else None
            bad += not (isinstance(value, str) and value.strip())
            texts += [value] if isinstance(value, str) and value.strip() else []
    except csv.Error as error:
        raise DataError(f"{where}: not a table of commas: {error}") from None
    if not texts:
        raise DataError(f"{where}: column {shown(chosen)!r} holds no text")
    return texts, [f"{bad:,} rows without a text left out"] if bad else []


def prepared(text: str, where: str, spec: config.Data, context: int, given: Modality | None) -> tuple[torch.Tensor, Modality, list[str]]:
    """A text -> its tokens, the modality that they are of, and what has to be said.

    The alphabet is `given`, or made from the text as `spec` says; what a given one lacks is left out, named and counted. Raises
    DataError."""
    notes = []
    if spec.limit and len(text) > spec.limit:
        text, notes = text[: spec.limit], [f"the first {spec.limit:,} of {len(text):,} characters"]
    if given is not None:
        modality, known = given, given.known(text)
        if len(known) < len(text):
            strangers = Counter(text) - Counter(known)
            lost, most = strangers.total(), ", ".join(repr(c) for c, _ in strangers.most_common(8))
            if lost > STRANGERS * len(text):
                raise DataError(f"{where}: {lost / len(text):.0%} of its characters are none that the model knows ({most})")
            notes.append(f"{lost:,} characters that the model never saw left out: {most}")
            text = known
    elif spec.tokens == "characters":
        try:
            modality = Modality(context, "".join(sorted(set(text))))
        except ValueError:
            raise DataError(f"{where}: {len(set(text)):,} different characters are too many: set data.tokens=bytes") from None
    else:
        modality = Modality(context, "", trained(text, spec.vocabulary))
    try:
        tokens = modality.tokens(text)
    except BadItem as reason:
        raise DataError(f"{where}: {reason}") from None
    if len(tokens) < 2 * context + 4:
        raise DataError(f"{where}: {len(tokens):,} tokens are too few: at least {2 * context + 4:,} at a context of {context} (data.size)")
    return tokens.to(torch.uint8 if len(modality.pieces) <= 256 else torch.int16), modality, notes
