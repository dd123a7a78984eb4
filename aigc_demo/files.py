"""Where the program keeps its files, and how it writes them: whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO


class StorageError(OSError):
    """The disk said no; the text says what could not be written, where, and why."""

    def __str__(self) -> str:
        return str(self.strerror)  # without the number that OSError puts before it


def home() -> Path:
    """`$AIGC_HOME`, else a writable mount at /data (a Space's volume), else the current folder."""
    if told := os.environ.get("AIGC_HOME"):
        return Path(told).expanduser().absolute()
    data = Path("/data")
    return data if data.is_mount() and os.access(data, os.W_OK) else Path.cwd()


def runs() -> Path:
    """The folder of runs."""
    return home() / "runs"


def shipped() -> Path:
    """The checkpoints that came with the program: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).parent
    beside = package.parent / "checkpoints"
    return beside if beside.is_dir() and (package.parent / "pyproject.toml").exists() else package / "checkpoints"


def named(name: str) -> str:
    """`name`, if it can name a folder and nothing else. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise ValueError(f"{name[:80]!r} is not a name: letters, digits, '.', '_' and '-', at most 64")
    return name


@contextlib.contextmanager
def said(path: Path) -> Iterator[None]:
    """Turns an OSError about `path` into a StorageError of one sentence."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        reasons = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up", errno.EROFS: "the disk is read-only"}
        reason = reasons.get(error.errno or 0, (error.strerror or str(error)).lower())
        raise StorageError(error.errno, f"{path} could not be written: {reason}") from None


def write_whole(path: Path, data: bytes) -> None:
    """Writes `data` to a side file, syncs it and renames it to `path`: a reader or a crash finds the old file or the new one.

    Raises StorageError."""
    with said(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, side = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as f:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
            os.chmod(side, 0o644)
            os.replace(side, path)
        except BaseException:
            Path(side).unlink(missing_ok=True)
            raise
        sync(path.parent)


def sync(folder: Path) -> None:
    """Makes renames inside `folder` survive a power cut, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def exchange(a: Path, b: Path) -> bool:
    """Makes two folders change places in one instant, in which both are there; False where this system cannot."""
    if sys.platform != "linux":
        return False
    import ctypes

    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # Linux 3.15, glibc 2.28
    here, swapped = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return swap is not None and swap(here, os.fsencode(a), here, os.fsencode(b), swapped) == 0


def append(path: Path, line: str) -> None:
    """Adds one line to a log in a single write. Raises StorageError."""
    with said(path), open(path, "ab") as f:
        f.write(line.encode() + b"\n")


def new_folder(parent: Path, name: str) -> Path:
    """Makes and returns `parent/name`, or `parent/name-2` and so on where that is taken. Raises StorageError."""
    with said(parent):
        parent.mkdir(parents=True, exist_ok=True)
        for n in range(1, 10_000):
            with contextlib.suppress(FileExistsError):
                path = parent / (name if n == 1 else f"{name[:58]}-{n}")
                path.mkdir()
                return path
    raise StorageError(errno.EEXIST, f"{parent / name} exists ten thousand times")


def taken(folders: Iterable[Path]) -> int:
    """Bytes that the files in `folders` take on the disk, a file of several names once; what vanishes meanwhile takes nothing."""
    found: dict[tuple[int, int], int] = {}
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                with contextlib.suppress(OSError):
                    status = os.lstat(os.path.join(place, name))
                    found[status.st_dev, status.st_ino] = status.st_size
    return sum(found.values())


def token() -> str:
    """128 bits that nobody can guess, as 32 hexadecimal digits."""
    return secrets.token_hex(16)


def lock(handle: IO[bytes]) -> bool:
    """Takes the file's lock for this process without waiting; it ends with the process. False where another holds it."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        with contextlib.suppress(OSError):
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
            return True
        return False
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def held(path: Path) -> bool:
    """Whether a process holds the lock of the file at `path`. Two who ask at once do not see each other."""
    try:
        handle = open(path, "rb")  # noqa: SIM115
    except OSError:
        return False
    with handle:
        try:
            import fcntl
        except ImportError:  # Windows
            return not lock(handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Holds the lock of the file at `path`, made where it is not there, waiting for whoever holds it: for moments only.

    Raises StorageError."""
    with said(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = open(path, "ab")  # noqa: SIM115
    with handle:
        while not lock(handle):
            time.sleep(0.01)
        yield
