"""A folder or a zip of pictures or sounds, read without trusting it: nothing is extracted, followed outside, or read past a limit."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import IO, NamedTuple

import torch

from ..modalities import audio, image
from ..modality import BadItem
from .cleaning import DataError, Entry, Ledger, shown

FILES = 1_000_000  # in a folder
MEMBERS = 100_000  # in a zip
MEMBER_BYTES = 64 * 2**20
TOTAL_BYTES = 4 * 2**30  # unpacked, of a zip; and of all items in memory
RATIO, RATIO_FROM = 200, 2**20  # a zip's member above so many bytes may not be packed tighter
ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")
DAMAGED = "a zip that is damaged or cut short"
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
HIDDEN = ("__MACOSX", "Thumbs.db", "desktop.ini")
FAULTS = (OSError, EOFError, RuntimeError, ValueError, struct.error, zipfile.BadZipFile, zlib.error)
THREADS, CHUNK = 2, 512  # files read at once, files queued at once


Modality = image.Modality | audio.Modality


class File(NamedTuple):
    """A candidate: its name with "/" between folders, and how to open it."""

    name: str
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True)
class Found:
    """What lies in a folder or a zip, before anything is read."""

    files: list[File] = field(default_factory=list)
    left_out: list[Entry] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)


class Read(NamedTuple):
    """Items uint8 (N, *shape), the name of each, and the ledger of the rest."""

    items: torch.Tensor
    names: list[str]
    ledger: Ledger


@contextlib.contextmanager
def opened(path: str) -> Iterator[Found]:
    """The candidates of the folder or zip at `path`, sorted by name, readable within the context. Raises DataError."""
    where = shown(path)
    try:
        if os.path.isdir(path):
            archive, found = contextlib.nullcontext(), _folder(path)
        elif not os.path.isfile(path):
            raise DataError(f"{where}: neither a folder nor a zip")
        elif zipfile.is_zipfile(path):
            archive = zipfile.ZipFile(path)
            found = _members(archive, where)
        else:
            with open(path, "rb") as file:
                damaged = file.read(4) == ARCHIVES[0]
            raise DataError(f"{where}: {DAMAGED if damaged else 'neither a folder nor a zip'}")
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{where}: cannot be opened: {error.strerror or error}") from None
    except (*FAULTS, IndexError):
        raise DataError(f"{where}: {DAMAGED}") from None
    with archive:
        yield found


def sounds(found: Found) -> bool:
    """Whether most of the candidates are sounds, by the ends of their names."""
    return 2 * sum(file.name.lower().endswith(SOUNDS) for file in found.files) > len(found.files)


def read(found: Found, modality: Modality, limit: int, seed: int, on_progress: Callable[[int, int], None] | None) -> Read:
    """Every candidate, or as many of them as give `limit` items (0 is all) in an order drawn by `seed`, as items of `modality`.

    `on_progress` is called with (files done, files in all). Raises DataError where the items would fill more memory than allowed."""
    files = found.files
    most = min(limit or len(files), len(files))
    bounded(most, modality)
    if most < len(files):
        files = [files[i] for i in torch.randperm(len(files), generator=torch.Generator().manual_seed(seed)).tolist()]
    items = torch.empty(most, *modality.shape, dtype=torch.uint8)
    names, left_out, notes, done = [], list(found.left_out), Counter(), 0
    with ThreadPoolExecutor(THREADS) as pool:
        while done < len(files) and len(names) < most:
            chunk = files[done : done + min(CHUNK, most - len(names))]
            for file, got in zip(chunk, pool.map(lambda f: _look(f, modality), chunk), strict=True):
                if isinstance(got, str):
                    left_out.append(Entry(shown(file.name), got))
                    continue
                items[len(names)] = got[0]
                names.append(file.name)
                notes.update(got[1])
            done += len(chunk)
            if on_progress:
                on_progress(done, len(files))
    said = [f"{n:,} {note}" for note, n in sorted(notes.items())]
    if done < len(files):
        said.append(f"{done:,} of {len(files):,} files drawn")
    order = sorted(range(len(names)), key=names.__getitem__)
    items = items[: len(names)] if order == list(range(len(names))) else items[order]
    hidden = tuple(map(shown, sorted(found.hidden)))
    return Read(items, sorted(names), Ledger(len(names), tuple(sorted(left_out)), hidden, tuple(said), modality.thing))


def bounded(count: int, modality: Modality) -> None:
    """Raises DataError where `count` items of `modality` would fill more memory than is allowed."""
    channels, height, width = modality.shape
    needed = count * channels * height * width
    if needed > TOTAL_BYTES:
        each = f"{count:,} {modality.thing}s of {height} x {width} x {channels}"
        raise DataError(f"{each} need {needed / 2**30:.1f} GB, at most {TOTAL_BYTES >> 30} GB: choose a smaller size or a limit")


def classes_of(names: list[str]) -> tuple[list[int] | None, tuple[str, ...], str]:
    """A label for each name, the classes, and a note: the class is the first folder in which names differ; None where there is none."""
    folders = [name.split("/")[:-1] for name in names]
    levels = zip(*folders, strict=False)  # as deep as the shallowest
    shared = next((depth for depth, level in enumerate(levels) if len(set(level)) > 1), min(map(len, folders), default=0))
    tops = [shown(folder[shared]) if len(folder) > shared else "" for folder in folders]
    if not any(tops):
        return None, (), ""
    beside = tops.count("")
    tops = [top or "(no folder)" for top in tops]
    classes = tuple(sorted(set(tops)))
    place = {name: label for label, name in enumerate(classes)}
    return [place[top] for top in tops], classes, f"{beside:,} beside the classes' folders" if beside else ""


def _look(file: File, modality: Modality) -> tuple[torch.Tensor, tuple[str, ...]] | str:
    try:
        with file.open() as stream:
            data = stream.read(MEMBER_BYTES + 1)  # what is there counts, not what a header says
        if len(data) > MEMBER_BYTES:
            return f"too large: at most {MEMBER_BYTES >> 20} MB"
        if data.startswith(ARCHIVES):
            return "an archive: unpack it first"
        return modality.look(data)
    except BadItem as reason:
        return str(reason)
    except FAULTS as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error or type(error).__name__}"


def _folder(path: str) -> Found:
    root, found = os.path.realpath(path), Found()
    os.scandir(root).close()  # os.walk would be silent about a folder that cannot be opened

    def refused(error: OSError) -> None:
        found.left_out.append(Entry(shown(os.path.relpath(error.filename, root)), f"cannot be opened: {error.strerror}"))

    for here, folders, files in os.walk(root, onerror=refused):
        inside = os.path.relpath(here, root)
        named = {f: (f if inside == "." else f"{inside}/{f}").replace(os.sep, "/") for f in (*folders, *files)}
        for name in folders:
            if _is_hidden(name):
                found.hidden.append(named[name] + "/")
            elif os.path.islink(os.path.join(here, name)):
                found.left_out.append(Entry(shown(named[name]), "a link to a folder: not followed"))
        folders[:] = [f for f in folders if not _is_hidden(f)]
        for name in files:
            full = os.path.join(here, name)
            if _is_hidden(name):
                found.hidden.append(named[name])
            elif reason := _no_file(full, root):
                found.left_out.append(Entry(shown(named[name]), reason))
            else:
                found.files.append(File(named[name], partial(open, full, "rb")))
        if len(found.files) > FILES:
            raise DataError(f"{shown(path)}: more than {FILES:,} files")
    found.files.sort(key=lambda file: file.name)
    return found


def _no_file(full: str, root: str) -> str | None:
    try:
        if os.path.islink(full) and os.path.commonpath((os.path.realpath(full), root)) != root:
            return "a link that leads out of the folder: not followed"
        about = os.stat(full)
    except (OSError, ValueError) as error:
        return f"cannot be opened: {getattr(error, 'strerror', None) or error}"
    if not stat.S_ISREG(about.st_mode):
        return "not a file: a pipe or a device"
    return f"too large: at most {MEMBER_BYTES >> 20} MB" if about.st_size > MEMBER_BYTES else None


def _members(archive: zipfile.ZipFile, where: str) -> Found:
    members = [m for m in archive.infolist() if not m.is_dir()]
    if len(members) > MEMBERS:
        raise DataError(f"{where}: {len(members):,} files in the zip, at most {MEMBERS:,}")
    if (total := sum(m.file_size for m in members)) > TOTAL_BYTES:
        raise DataError(f"{where}: {total / 2**30:.1f} GB unpacked, at most {TOTAL_BYTES >> 30} GB")
    found = Found()
    for member in members:
        if reason := _unsafe(member):
            found.left_out.append(Entry(shown(member.filename), reason))
        elif any(map(_is_hidden, member.filename.split("/"))):
            found.hidden.append(member.filename)
        elif reason := _unreadable(member):
            found.left_out.append(Entry(shown(member.filename), reason))
        else:
            found.files.append(File(member.filename.replace("\\", "/"), partial(archive.open, member)))
    found.files.sort(key=lambda file: file.name)
    return found


def _unsafe(member: zipfile.ZipInfo) -> str | None:
    name = member.filename
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        return "an absolute name: refused"
    if ".." in re.split(r"[/\\]", name):
        return "a name that leads out of the archive: refused"
    return "a link: not followed" if stat.S_ISLNK(member.external_attr >> 16) else None


def _unreadable(member: zipfile.ZipInfo) -> str | None:
    if member.flag_bits & 1:
        return "encrypted: unlock the archive first"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # zipfile unpacks the others without a bound
        return "packed by a method that is not read here: use deflate"
    if member.file_size > MEMBER_BYTES:
        return f"too large: at most {MEMBER_BYTES >> 20} MB"
    if member.file_size > RATIO_FROM and member.file_size > RATIO * member.compress_size:
        return f"a zip bomb: packed more than {RATIO} to 1"
    return None


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in HIDDEN
