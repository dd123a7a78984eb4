"""The sets that come with the program or can be had by name, each with its licence and where it comes from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .cleaning import DataError, shown

if TYPE_CHECKING:
    import torch

PARTS = ("train", "test")
DIGITS_TRAIN = 1500  # of the 1797; the last 297 are the test part


@dataclass(frozen=True)
class Source:
    """Where items come from. `size` and `channels` are the set's own, None where any will do; `count` is of the train part, and `kind` is
    that of the items' modality.

    `licence` "" is unknown: the user's own to know."""

    name: str
    title: str
    licence: str
    url: str
    size: int | None
    channels: int | None
    classes: tuple[str, ...]
    count: int | None
    about: str
    kind: str = "image"
    examples: tuple[str, ...] = ()  # captions, to try as prompts


_TEN = tuple("0123456789")
_SCALE = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
TONES = (*(f"{name}{octave}" for octave in (3, 4) for name in _SCALE), "major chord", "minor chord", "drum")
TILES = {  # what the folders of crawl-tiles are called
    "dngn": "dungeon",
    "effect": "effect",
    "gui": "interface",
    "item": "item",
    "misc": "mark",
    "mon": "monster",
    "player": "player",
    "UNUSED": "unused",
}
EMOJI = ("Activities", "Animals & Nature", "Component", "Flags", "Food & Drink", "Objects", "People & Body", "Smileys & Emotion", "Symbols")
_BUILT_IN = (
    Source(
        "digits",
        "Handwritten digits, 8 x 8",
        "CC BY 4.0",
        "https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        28,
        1,
        _TEN,
        DIGITS_TRAIN,
        "1,797 real handwritten digits of 8 x 8 pixels that come with scikit-learn, smoothly enlarged; 1,500 to train on, 297 to test.",
    ),
    Source(
        "shapes",
        "Coloured shapes",
        "CC0-1.0",
        "",
        None,
        3,
        ("circle", "square", "triangle", "star", "cross", "heart"),
        5000,
        "Shapes drawn by this program with a caption each, every factor known: shape, colour, size, place, tilt and background.",
    ),
    Source(
        "scenes",
        "Scenes and what is said of them",
        "CC0-1.0",
        "",
        None,
        3,
        (),
        50_000,
        "One or two groups of shapes drawn by this program, told in English or Chinese: number, size, colour, shape and where they stand.",
        examples=(
            "two small red circles left of a big blue square",
            "大蓝方块左边有两个小红圆",
            "three big yellow triangles",
        ),
    ),
    Source(
        "mnist",
        "MNIST handwritten digits",
        "CC BY-SA 3.0 (as usually cited)",
        "http://yann.lecun.com/exdb/mnist/",
        28,
        1,
        _TEN,
        60_000,
        "60,000 handwritten digits of 28 x 28 pixels to train on, 10,000 to test.",
    ),
    Source(
        "fashion-mnist",
        "Fashion-MNIST",
        "MIT",
        "https://github.com/zalandoresearch/fashion-mnist",
        28,
        1,
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        60_000,
        "60,000 grey pictures of Zalando's clothes, 28 x 28 pixels, to train on, 10,000 to test.",
    ),
    Source(
        "cifar10",
        "CIFAR-10",
        "no licence stated; its authors ask to be cited",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        32,
        3,
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        50_000,
        "50,000 colour photographs of 32 x 32 pixels to train on, 10,000 to test.",
    ),
    Source(
        "crawl-tiles",
        "Tiles of Dungeon Crawl Stone Soup",
        "CC0-1.0",
        "https://github.com/crawl/tiles",
        32,
        3,
        tuple(TILES.values()),
        3_900,
        "Pixel art of 32 x 32 pixels in eight classes, on white: about 3,900 tiles to train on, 430 to test.",
    ),
    Source(
        "noto-emoji",
        "Noto Emoji with their names",
        "Apache-2.0; the names MIT and Unicode terms",
        "https://github.com/googlefonts/noto-emoji",
        None,
        3,
        (*EMOJI, "Travel & Places", "other"),
        3_000,
        "1,674 emoji, none a variant by skin tone, on white, each told in English and in Chinese; the names of a tenth are kept to test.",
        examples=("red heart", "笑脸", "cat face", "green apple"),
    ),
    Source(
        "grid25",
        "25 Gaussians",
        "CC0-1.0",
        "",
        None,
        None,
        (),
        100_000,
        "Points of the plane from 25 narrow Gaussians in a grid: each one that a model drops can be counted.",
        "points",
    ),
    Source(
        "ring",
        "8 Gaussians in a ring",
        "CC0-1.0",
        "",
        None,
        None,
        (),
        100_000,
        "Points of the plane from 8 Gaussians on a circle.",
        "points",
    ),
    Source(
        "moons", "Two moons", "CC0-1.0", "", None, None, (), 100_000, "Points of the plane along two half circles that interlock.", "points"
    ),
    Source(
        "tones",
        "Notes, chords and drums",
        "CC0-1.0",
        "",
        None,
        None,
        TONES,
        2000,
        "Sounds drawn by this program, pitch and timbre known: 24 notes, held or plucked, major and minor chords, drums.",
        "audio",
    ),
    Source(
        "spoken-digits",
        "Free Spoken Digit Dataset",
        "CC BY-SA 4.0",
        "https://github.com/Jakobovski/free-spoken-digit-dataset",
        None,
        None,
        _TEN,
        2700,
        "English digits in the voices of six volunteers, which a model imitates: 2,700 clips to train on, 300 to test.",
        "audio",
    ),
    Source(
        "stacked-mnist",
        "Stacked MNIST",
        "CC BY-SA 3.0 (as usually cited)",
        "http://yann.lecun.com/exdb/mnist/",
        28,
        3,
        (),
        128_000,
        "Three MNIST digits drawn by the seed, in red, green and blue, 28 x 28 pixels: 1,000 combinations, of which a model may drop some.",
    ),
    Source(
        "tinyshakespeare",
        "Tiny Shakespeare",
        "public domain",
        "https://github.com/karpathy/char-rnn/tree/master/data/tinyshakespeare",
        None,
        None,
        (),
        None,
        "1,115,394 characters from Shakespeare's plays; comes with the program.",
        "text",
    ),
    Source(
        "tang",
        "Regular Tang poems",
        "poems in the public domain, the collection MIT",
        "https://github.com/chinese-poetry/chinese-poetry",
        None,
        None,
        (),
        None,
        "About 21,000 Tang poems of four regular forms (五绝, 七绝, 五律, 七律) in simplified characters, each under its title and form.",
        "text",
    ),
)
_FILES = {  # torchvision's class, and the folder it reads
    "mnist": ("MNIST", "MNIST/raw"),
    "fashion-mnist": ("FashionMNIST", "FashionMNIST/raw"),
    "cifar10": ("CIFAR10", "cifar-10-batches-py"),
    "stacked-mnist": ("MNIST", "MNIST/raw"),
    # these are not downloaded
    "spoken-digits": ("", "fsdd/recordings"),
    "crawl-tiles": ("", "crawl-tiles"),
    "noto-emoji": ("", "noto-emoji"),
    "tang": ("", "chinese-poetry"),
}


def sources() -> tuple[Source, ...]:
    """The sets that can be named. Imports nothing heavy, opens no file."""
    return _BUILT_IN


def present(source: Source) -> bool:
    """Whether a built-in set can be read without downloading it."""
    return source.name not in _FILES or _root(source.name) is not None


def folder_of(source: Source) -> Path | None:
    """The folder under which a built-in text that does not come with the program lies, None where it does. Raises DataError."""
    if source.name not in _FILES:
        return None
    root = _root(source.name)
    if root is None:
        folder = _FILES[source.name][1]
        raise DataError(f"{source.name}: is not here: set AIGC_DATA to a folder that holds {folder}/tang_regular_simplified.txt")
    return root


def fetch(source: Source, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A built-in set of real pictures as it comes: uint8 (N, C, h, w) and labels int64 (N,).

    Files are looked for in $AIGC_DATA, then in the cache ($AIGC_HOME/data or ~/.cache/aigc_demo), then downloaded there.
    Raises DataError."""
    pictures, labels = _digits(part) if source.name == "digits" else _downloaded(source, part)
    if len(pictures) != len(labels) or not set(labels.unique().tolist()) <= set(range(len(source.classes))):
        raise DataError(f"{source.name}: the files' {len(pictures):,} pictures and {len(labels):,} labels do not fit together")
    return pictures, labels


def own_folder(source: Source) -> Path:
    """The folder that holds the files of a built-in set that is not downloaded. Raises DataError where there is none."""
    root, (_, folder) = _root(source.name), _FILES[source.name]
    if root is None:
        other = "tones" if source.kind == "audio" else "shapes"
        raise DataError(f"{source.name}: not here: set AIGC_DATA to a folder that holds {folder}, or take `{other}`, which needs no files")
    return root / folder


def _digits(part: str) -> tuple[torch.Tensor, torch.Tensor]:
    import torch
    from torch.nn import functional

    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError("digits: come with scikit-learn, which is not installed: pip install scikit-learn") from None
    found = load_digits()
    which = slice(None, DIGITS_TRAIN) if part == "train" else slice(DIGITS_TRAIN, None)
    pictures = torch.from_numpy(found.images[which]).mul(255 / 16).round().to(torch.uint8).unsqueeze(1)
    # ink touches the edge of the 8 x 8; one pixel of paper around it leaves room to enlarge smoothly
    return functional.pad(pictures, (1, 1, 1, 1)), torch.from_numpy(found.target[which]).long()


def _downloaded(source: Source, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    import torch
    from torchvision import datasets

    name, folder = _FILES[source.name]
    home, cache = os.environ.get("AIGC_DATA", ""), _cache()
    root = _root(source.name) or cache
    try:
        # CIFAR-10 comes as pickles: torchvision opens them only after their MD5 sums agree
        found = getattr(datasets, name)(root, train=part == "train", download=root == cache)
        pictures, labels = torch.as_tensor(found.data), torch.as_tensor(found.targets)
    except Exception as error:  # of the network, the disk or a damaged file, whichever torchvision's reader meets
        why = shown((str(error).strip().splitlines() or [type(error).__name__])[-1])
        if root != cache:
            raise DataError(f"{source.name}: the files in {shown(str(root / folder))} cannot be read ({why}): fetch them anew") from None
        at = f"not in AIGC_DATA ({shown(home)})" if home else "AIGC_DATA is not set"
        do = f"set AIGC_DATA to a folder that holds {folder}, or connect to the network"
        raise DataError(f"{source.name}: {at}, and the download failed ({why}): {do}") from None
    pictures = pictures.unsqueeze(1) if pictures.dim() == 3 else pictures.permute(0, 3, 1, 2)
    return pictures.contiguous(), labels.long()


def _root(name: str) -> Path | None:
    """The folder that holds a downloaded set's files: $AIGC_DATA, or the cache."""
    home, cache = os.environ.get("AIGC_DATA", ""), _cache()
    return next((r for r in (Path(home) if home else cache, cache) if (r / _FILES[name][1]).is_dir()), None)


def _cache() -> Path:
    home = os.environ.get("AIGC_HOME")
    return Path(home) / "data" if home else Path(os.path.expanduser("~")) / ".cache" / "aigc_demo"
