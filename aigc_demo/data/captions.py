"""What is said of the pictures of a folder or a zip: in a table, as Hugging Face's ImageFolder has it, or in a text beside each picture."""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .cleaning import DataError, shown
from .files import FAULTS, MEMBER_BYTES, File, Found

TABLES = ("metadata.jsonl", "metadata.csv", "captions.jsonl", "captions.csv")
FILE, TEXT = ("file_name", "file"), ("text", "caption", "name")  # a row's fields, the first that is there
LONGEST = 1000  # characters of a caption that are kept


def told(found: Found) -> tuple[Found, dict[str, str]]:
    """The candidates without what tells of them, and the captions by the names of the files they are of. A table names a file from its own
    folder on; a text is of the file beside it that has its name, whatever their suffixes. Raises DataError for a table that is damaged."""
    captions: dict[str, str] = {}
    stems = {_stem(file.name) for file in found.files if not file.name.lower().endswith(".txt")}
    rest = []
    for file in found.files:
        folder, name = posixpath.split(file.name)
        if name.lower() in TABLES:
            for row in rows(file):
                of, text = (next((row[key] for key in keys if isinstance(row.get(key), str)), None) for keys in (FILE, TEXT))
                if of is None or text is None:
                    raise DataError(f"{shown(file.name)}: a row has no {FILE[0]} and {TEXT[0]} (or {FILE[1]}, and {' or '.join(TEXT[1:])})")
                captions[posixpath.normpath(posixpath.join(folder, of))] = _clean(text)
        elif name.lower().endswith(".txt") and _stem(file.name) in stems:
            captions[_stem(file.name)] = _clean(_text(file))
        else:
            rest.append(file)
    names = {file.name: captions.get(file.name, captions.get(_stem(file.name))) for file in rest}
    return replace(found, files=rest), {name: text for name, text in names.items() if text}


def rows(file: File) -> Iterator[dict[str, Any]]:
    """The rows of a table: lines of JSON, or a CSV with a heading. Raises DataError."""
    text = _text(file)
    if file.name.lower().endswith(".csv"):
        try:
            yield from csv.DictReader(io.StringIO(text, newline=""), strict=True)
        except csv.Error as error:
            raise DataError(f"{shown(file.name)}: cannot be read as CSV: {error}") from None
        return
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise DataError(f"{shown(file.name)}: line {number:,} is not a JSON object")
        if row:
            yield row


def _text(file: File) -> str:
    try:
        with file.open() as stream:
            data = stream.read(MEMBER_BYTES + 1)
        if len(data) > MEMBER_BYTES:
            raise DataError(f"{shown(file.name)}: too large: at most {MEMBER_BYTES >> 20} MB")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{shown(file.name)}: captions are read as UTF-8, and this is not") from None
    except DataError:
        raise
    except FAULTS as error:
        raise DataError(f"{shown(file.name)}: cannot be read: {error}") from None


def _clean(text: str) -> str:
    return " ".join(text.split())[:LONGEST]


def _stem(name: str) -> str:
    return posixpath.splitext(name)[0]
