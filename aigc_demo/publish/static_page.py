"""A checkpoint as one folder of static files: a page that draws in the visitor's browser, wherever the folder is put."""

from __future__ import annotations

import base64
import contextlib
import functools
import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from .. import checkpoint as checkpoints, files as places
from ..checkpoint import Checkpoint
from ..engine import REACH, Engine, Request
from ..provenance import label
from . import graph, runtime
from .graph import ExportError

ASSETS = Path(__file__).parent / "page"
PAGE = "page.json"
COPIED = ("index.html", "app.js", "curve.js", "draw.js", "file.js", "style.css")
SEED = 7  # what the page opens with
LARGEST_CARD = 1 << 18  # bytes


class Page(NamedTuple):
    """A page's files by name, and how far its graph is off torch at most (see graph.Graph)."""

    files: dict[str, bytes]
    difference: float


def make(engine: Engine, found: Checkpoint, folder: Path | None = None, names: Mapping[int, str] | None = None) -> Page:
    """The page of a checkpoint; `folder` holds the browser's runtime where npm is not to fetch it, `names` calls directions (by number,
    from 0) otherwise than the checkpoint does.

    Raises ExportError, CheckpointError and LabelError, each in a sentence."""
    if found.modality.kind != "image":
        kind = found.modality.kind
        raise ExportError(f"{title(found)}: the page shows pictures, and this draws {kind}; export it as onnx")
    parts = runtime.read(folder)
    binary = _gzipped(parts[runtime.BINARY])
    warm = engine.warm(found)
    made = graph.export(found)
    name, card = title(found), _card(found)
    state = {"seed": SEED, "label": 0 if warm.model.classes else None}
    first = engine.draw([Request(name, **state)], name=found)[0]
    page = {
        "name": name,
        "digest": found.digest,
        "preset": found.preset,
        "about": _about(found),
        "shape": found.modality.shape,
        "latent": warm.model.latent,
        "classes": found.manifest.classes if warm.model.classes else [],
        "settings": [{"name": s.name, "help": s.help, "default": s.default, "low": s.low, "high": s.high} for s in made.settings],
        "directions": [[float(f"{v:.8g}") for v in d] for d in warm.directions.vectors.flatten(1).tolist()],
        "curve": warm.directions.curve and warm.directions.curve.told(warm.model.latent),
        "names": [(names or {}).get(k, own) for k, own in enumerate(warm.directions.names)],
        "ways": warm.ways,
        "reach": REACH,
        "start": state,
        "bytes": {"model.onnx": len(made.data), "runtime.wasm.gz": len(binary)},
        "packet": label.PACKET,
        "aigc": label.aigc(""),
        "card": card,
        "words": json.loads((ASSETS / "words.json").read_text("utf-8")),
    }
    made_files = {f: (ASSETS / f).read_bytes() for f in COPIED} | {
        PAGE: json.dumps(page, ensure_ascii=False, allow_nan=False, default=_packed).encode(),
        "model.onnx": made.data,
        "poster.png": engine.file(first),
        "runtime.mjs": parts[runtime.SCRIPT],
        "runtime.wasm.gz": binary,
        "runtime.LICENSE": (ASSETS / "runtime.LICENSE").read_bytes(),
        "README.md": _readme(name, found, card, made.difference).encode(),
    }
    with contextlib.suppress(OSError, label.LabelError):  # a checkpoint need not have samples
        made_files[checkpoints.SAMPLES] = label.put((found.path / checkpoints.SAMPLES).read_bytes(), label.xmp({"digest": found.digest}))
    return Page(made_files, made.difference)


def _packed(values: Tensor) -> str:
    """What the page reads of a tensor: little-endian float32 in base64, row by row."""
    return base64.b64encode(values.float().cpu().contiguous().numpy().astype("<f4").tobytes()).decode()


def check(folder: Path) -> None:
    """Raises ExportError where something else than a page stands at `folder`."""
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / PAGE).is_file())):
        raise ExportError(f"{folder}: exists and is not an exported page")


def write(folder: Path, page: Page) -> None:
    """Puts the page's files into `folder`, the one that says what they are last. Raises as `check`, and StorageError."""
    check(folder)
    for name in sorted(page.files, key=lambda name: name == PAGE):
        places.write_whole(folder / name, page.files[name])


def zipped(page: Page) -> bytes:
    """The page's files as one zip, to unpack or to push."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in page.files.items():
            archive.writestr(name, data)
    return file.getvalue()


def title(c: Checkpoint) -> str:
    """What a page calls a checkpoint: a run's own name may be the secret of whoever trained it."""
    return c.manifest.run.name or c.preset.replace(":", "-")


@functools.lru_cache(1)
def _gzipped(data: bytes) -> bytes:
    """The page inflates it itself, so that every host serves it as small."""
    return gzip.compress(data, 9, mtime=0)


def _about(c: Checkpoint) -> dict[str, Any]:
    source, training = c.manifest.source, c.manifest.training
    return {
        "data": source.title or source.name,
        "items": source.items,
        "licence": source.licence,
        "steps": training.steps,
        "seconds": training.seconds,
    }


def _card(c: Checkpoint) -> str:
    """The model card without its front matter: its file's text, which its owner may have changed, else what the manifest says."""
    path = c.path / checkpoints.CARD
    text = checkpoints.card(c.manifest, c.bytes)
    if path.is_file() and path.stat().st_size <= LARGEST_CARD:
        text = path.read_text("utf-8", errors="replace")
    if text.startswith("---\n"):
        text = text.partition("\n---\n")[2]
    return text.strip() + "\n"


def _readme(name: str, c: Checkpoint, card: str, difference: float) -> str:
    """The folder's README.md, with the front matter of a static Space."""
    front = {
        "title": name,
        "emoji": "\N{CONTROL KNOBS}\N{VARIATION SELECTOR-16}",
        "colorFrom": "green",
        "colorTo": "gray",
        "sdk": "static",
        "app_file": "index.html",
        "short_description": "Drag sliders; the model draws in your browser",
        "tags": ["aigc-demo", c.manifest.run.family, c.manifest.modality["kind"]],
    }
    head = "\n".join(f"{k}: {json.dumps(v, ensure_ascii=False)}" for k, v in front.items())
    return f"""---
{head}
---

{card}
## This folder

A page that needs no server: push the folder to a static Space or to any host of static files, or look at it here:

```
python -m http.server --directory .
```

`model.onnx` draws what the checkpoint {c.digest[:12]} draws: at most {difference:.1g} off torch on values from -1 to 1.
`runtime.*` is {runtime.PACKAGE} {runtime.VERSION} (MIT, Microsoft Corporation), the wasm gzipped.
Pictures that the page saves say in their metadata that a model made them.
"""
