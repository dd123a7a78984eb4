"""The program that draws in the visitor's browser: one pinned release of onnxruntime-web, whose files are fetched when they are needed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from .. import files
from .graph import ExportError

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"  # MIT, (c) Microsoft Corporation
SCRIPT, BINARY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
SHA512 = {  # in base64, as npm writes them
    SCRIPT: "1KcF8CWAZeqtTcvLgKPtOMXIbkWeh++LDCQpDhQ5ARVxHAL1VNL5rr0OI+MxTbmNIANldE/A/q+O4gSKgSMjWQ==",
    BINARY: "Gt7e1iIDIZ/PXEhM/OVleqWHVom0kEI/hs8cod0crXcV9jDGM39B23HuQnlOOgDOC3x4k5pxIgtdgzaL9up3MA==",
}
SECONDS = 300  # that fetching the package may take


def read(folder: Path | None = None) -> dict[str, bytes]:
    """The runtime's files by name: from `folder` (the package's, or its dist), else from the cache under the home folder, into which npm
    fetches the package the first time.

    Raises ExportError where they cannot be had or are not the pinned release's."""
    if folder is not None:
        return _read(folder)
    cache = files.home() / "cache" / f"{PACKAGE}-{VERSION}"
    with contextlib.suppress(ExportError):
        return _read(cache)
    found = _fetched(f"or put {' and '.join(SHA512)} of {PACKAGE} {VERSION} into {cache}")
    for name, data in found.items():
        files.write_whole(cache / name, data)
    return found


def _read(folder: Path) -> dict[str, bytes]:
    found = {}
    for name, digest in SHA512.items():
        path = next((p for p in (folder / name, folder / "dist" / name) if p.is_file()), None)
        if path is None:
            raise ExportError(f"{folder}: holds no {name} of {PACKAGE} {VERSION}")
        found[name] = path.read_bytes()
        if hashlib.sha512(found[name]).digest() != base64.b64decode(digest):
            raise ExportError(f"{path}: not the file of {PACKAGE} {VERSION}")
    return found


def _fetched(instead: str) -> dict[str, bytes]:
    """The files out of the package that npm fetches from the registry that it is set to."""
    npm = shutil.which("npm")
    if npm is None:
        raise ExportError(f"npm is needed to fetch {PACKAGE} {VERSION} the first time: install it, {instead}")
    with tempfile.TemporaryDirectory() as folder:
        words = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--pack-destination", folder]
        try:
            subprocess.run(words, cwd=folder, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS)
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as package:
                for name in SHA512:
                    (Path(folder) / name).write_bytes(package.extractfile(f"package/dist/{name}").read())
        except (OSError, subprocess.SubprocessError, tarfile.TarError, StopIteration, KeyError, AttributeError):
            raise ExportError(f"npm could not fetch {PACKAGE} {VERSION}: try again, {instead}") from None
        return _read(Path(folder))
