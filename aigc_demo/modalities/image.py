"""Pictures: grey or colour squares of uint8 pixels, seen by models as floats from -1 to 1."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError
from torch.nn import functional

from ..modality import BadItem

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
FEWEST, MOST = 4, 64_000_000  # pixels on a side, pixels in all
KEY = "aigc_demo"  # the PNG text chunk that holds the recipe
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # of PIL, by channels
MAT = (22, 24, 26)  # between the pictures of a sheet: the page mounts pictures on the same dark mat
CHUNK = 64_000_000  # values resized at a time
LEAST, WHOLE = 0.15, 0.3  # of the most that a pixel differs from the background: what begins to be of the shape, and what wholly is
FAINT = 0.5  # of a range of 2: a picture in which no pixel differs by more holds hardly a shape
FILMS = {"mp4": 60, "webp": 60, "gif": 50}  # pictures a second at most: a GIF's clock ticks in 1/100 s
FILM_SIDE = 256  # pixels at least: smaller pictures are enlarged by a whole factor


class FilmError(ValueError):
    """A film that cannot be written; the text says why in one sentence."""


@dataclass(frozen=True)
class Modality:
    """Square pictures of `size` pixels a side (1 to 512) in `channels` (1 is grey, 3 is colour, 4 is colour and opacity, white where
    nothing is seen). Raises ValueError for others."""

    size: int
    channels: int

    kind: ClassVar[str] = "image"
    thing: ClassVar[str] = "picture"
    many: ClassVar[int] = 0
    suffix: ClassVar[str] = "png"
    pictured: ClassVar[bool] = True
    palette: ClassVar[tuple[tuple[int, int, int], ...]] = ()

    def __post_init__(self) -> None:
        if type(self.size) is not int or not 1 <= self.size <= 512:
            raise ValueError(f"size: {self.size!r} is not a whole number of pixels from 1 to 512")
        if type(self.channels) is not int or self.channels not in (1, 3, 4):
            raise ValueError(f"channels: {self.channels!r} is not 1 (grey), 3 (colour) or 4 (colour and opacity)")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, size, size), of one item."""
        return self.channels, self.size, self.size

    @property
    def space(self) -> tuple[int, int, int]:
        """As `shape`: of one x."""
        return self.shape

    @property
    def extent(self) -> str:
        """Its side in pixels."""
        return f"{self.size} px"

    def sound(self, items: torch.Tensor) -> None:
        """None: pictures are silent."""

    def read(self, data: bytes) -> torch.Tensor:
        """One file's bytes -> uint8 (channels, size, size): upright, its centre square, its first frame, of less than four channels on
        white where it is transparent.

        Raises BadItem with the reason."""
        return self.look(data)[0]

    def look(self, data: bytes) -> tuple[torch.Tensor, tuple[str, ...]]:
        """`read`, with what was done to the picture that its owner may want to know. Raises BadItem with the reason."""
        if not data:
            raise BadItem("empty: 0 bytes")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return self._item(image)
        except BadItem:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise BadItem(f"too many pixels: at most {MOST // 10**6} million") from None
        except UnidentifiedImageError:
            if data.startswith(SIGNATURES):
                raise BadItem("damaged: its header cannot be read") from None
            raise BadItem(f"not an image: none of {', '.join(FORMATS)}") from None
        except Exception as error:  # decoders raise what their parsers meet: struct.error, KeyError, SyntaxError, zlib.error
            raise BadItem(f"damaged: {(str(error).splitlines() or [''])[0] or type(error).__name__}") from None

    def _item(self, image: Image.Image) -> tuple[torch.Tensor, tuple[str, ...]]:
        width, height = image.size
        if width * height > MOST:
            raise BadItem(f"{width} x {height} pixels are too many: at most {MOST // 10**6} million")
        if min(width, height) < FEWEST:
            raise BadItem(f"{width} x {height} pixels are too few: at least {FEWEST} x {FEWEST}")
        notes = ["of several frames: the first taken"] if getattr(image, "is_animated", False) else []
        image.draft(None, (4 * self.size, 4 * self.size))  # a JPEG is decoded at 1/2, 1/4 or 1/8 where that still leaves enough
        image.load()
        image = _upright(image)
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
        if image.mode.startswith(("I", "F")):
            image = _eight_bits(image)
            notes.append("deeper than 8 bits: scaled to 8")
        if image.has_transparency_data and self.channels < 4:
            paper = Image.new("RGBA", image.size, "white")
            paper.alpha_composite(image.convert("RGBA"))
            image = paper.convert("RGB")
            notes.append("transparent: laid on white")
        image = image.convert(MODES[self.channels])
        if side != self.size:
            # shrinking wants the sharp filter; growing by it would ring
            image = image.resize((self.size, self.size), Image.Resampling.LANCZOS if side > self.size else Image.Resampling.BICUBIC)
        pixels = torch.from_numpy(np.array(image)).view(self.size, self.size, self.channels)
        if self.channels == 4:
            pixels[pixels[..., 3] == 0] = torch.tensor((255, 255, 255, 0), dtype=torch.uint8)
        return pixels.permute(2, 0, 1).contiguous(), tuple(notes)

    def encode(self, items: torch.Tensor) -> torch.Tensor:
        """Items uint8 (N, C, H, W) -> x float32 (N, C, H, W): 0 is -1, 255 is 1."""
        return items.float().div_(127.5).sub_(1)

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """x (N, C, H, W) -> items uint8 (N, C, H, W), rounded and clipped; a NaN is mid-grey."""
        return torch.nan_to_num(x.float(), nan=0.0).add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)

    def write(self, item: torch.Tensor, recipe: dict[str, Any] | None = None) -> bytes:
        """One item uint8 (C, H, W) -> a PNG (W3C PNG, 3rd edition), the recipe as JSON in its tEXt chunk "aigc_demo" (11.3.3.2).

        Raises ValueError for a recipe that JSON cannot hold (NaN is one)."""
        text = PngImagePlugin.PngInfo()
        if recipe is not None:
            text.add_text(KEY, json.dumps(recipe, allow_nan=False))
        pixels = item.detach().cpu().permute(1, 2, 0).contiguous().numpy()
        file = io.BytesIO()
        Image.fromarray(pixels[:, :, 0] if self.channels == 1 else pixels).save(file, "PNG", pnginfo=text)
        return file.getvalue()

    @staticmethod
    def recipe_of(data: bytes) -> dict[str, Any] | None:
        """The recipe that `write` put into a PNG; None where there is none, or none that can be read. Decodes no pixels."""
        try:
            with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
                recipe = json.loads(image.info.get(KEY, "null"))
        except Exception:  # a stranger's file: whatever its header or its JSON does, it has no recipe
            return None
        return recipe if isinstance(recipe, dict) else None

    def sheet(self, items: torch.Tensor, columns: int) -> np.ndarray:
        """Items uint8 (N, C, H, W) -> uint8 (height, width, 3): rows of `columns` pictures with dark gutters of 1 or 2 pixels.

        Raises ValueError where there is no picture or no column."""
        if len(items) < 1 or columns < 1:
            raise ValueError(f"a sheet of {len(items)} pictures in {columns} columns cannot be drawn")
        columns = min(columns, len(items))
        rows = -(-len(items) // columns)
        step = self.size + (1 if self.size < 64 else 2)
        pixels = on_white(items.detach().cpu()).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
        sheet = np.full((rows * step, columns * step, 3), MAT, np.uint8)
        for place, picture in enumerate(pixels):
            top, left = place // columns * step, place % columns * step
            sheet[top : top + self.size, left : left + self.size] = picture
        return sheet[: rows * step - (step - self.size), : columns * step - (step - self.size)]

    @staticmethod
    def features(x: torch.Tensor) -> torch.Tensor:
        """x (N, *shape) -> its numbers (N, F)."""
        return x.flatten(1).float()

    @staticmethod
    def measures(x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Of x (N, C, H, W), and of the shape in it: what differs from the background, the border's median colour, by more than 15 % of the
        most that any of its pixels does, and wholly from 30 % on, whatever its shade; where nothing differs by a quarter of the range, of
        that. Places and lengths are in half sides.

        brightness: how light it is; thickness: its area over its outline; size: the side of a square of its area; aspect: the logarithm of
        how much wider than high it spreads; left-right, up-down: its middle; slant: its shear, above 0 leans to the right; top-heavy: how
        much wider its upper half spreads than its lower; and in colour, warmth: its red less its blue; background and background-warmth:
        the border's lightness, and its red less its blue. All as on white."""
        if x.shape[1] == 4:
            x = 1 - (1 - x[:, :3]) * (x[:, 3:] + 1) / 2
        border = torch.cat([x[..., 0, :], x[..., -1, :], x[..., 0], x[..., -1]], -1).median(-1).values  # (N, C)
        ink = (x - border[..., None, None]).abs().mean(1)  # (N, H, W)
        most = ink.amax((1, 2), keepdim=True).clamp(min=FAINT)
        # what is fainter is noise, of which a whole background outweighs a small shape
        shape = ((ink / most - LEAST) / (WHOLE - LEAST)).clamp(0, 1) + 1e-6
        down, across = (torch.linspace(a, -a, n, device=x.device) for a, n in ((1.0, x.shape[2]), (-1.0, x.shape[3])))
        down, across = down.view(1, -1, 1), across.view(1, 1, -1)

        def mean(of: torch.Tensor, over: torch.Tensor = shape) -> torch.Tensor:
            return (over * of).sum((1, 2)) / over.sum((1, 2))

        right, up = mean(across), mean(down)
        u, v = across - right.view(-1, 1, 1), down - up.view(-1, 1, 1)
        outline = ((shape[:, 1:, :-1] - shape[:, :-1, :-1]).square() + (shape[:, :-1, 1:] - shape[:, :-1, :-1]).square() + 1e-6).sqrt()
        tall = mean(v.square())
        found = {
            "brightness": mean(x.mean(1)),
            "thickness": shape.sum((1, 2)) / outline.sum((1, 2)),
            "size": 2 * shape.mean((1, 2)).sqrt(),
            "aspect": (mean(u.square()) / tall).log() / 2,
            "left-right": right,
            "up-down": up,
            "slant": mean(u * v) / tall,
            "top-heavy": mean(u.abs(), shape * (v > 0)) - mean(u.abs(), shape * (v < 0)),
        }
        if x.shape[1] == 3:
            found |= {"warmth": mean(x[:, 0] - x[:, 2]), "background": border.mean(1), "background-warmth": border[:, 0] - border[:, 2]}
        return found

    def film(self, items: torch.Tensor, fps: int, kind: str) -> bytes:
        """Items uint8 (N, C, H, W) -> a film of `fps` pictures a second: mp4 (H.264), or gif or webp (lossless), which go round.

        Each pixel becomes a square, so that no side is under FILM_SIDE. Raises FilmError for another kind, rate or no picture, and for an
        mp4 where PyAV is not installed."""
        if kind not in FILMS:
            raise FilmError(f"film: {kind!r:.40} is not one of {', '.join(FILMS)}")
        if not 1 <= fps <= FILMS[kind]:
            raise FilmError(f"film: a {kind} shows 1 to {FILMS[kind]} pictures a second, not {fps}")
        if not len(items):
            raise FilmError("film: there is no picture to show")
        factor = -(-FILM_SIDE // self.size)
        square = np.ones((factor, factor, 1), np.uint8)
        enlarged = (np.kron(pixels, square) for pixels in on_white(items.detach().cpu()).permute(0, 2, 3, 1).numpy())
        if kind == "mp4":
            return _mp4(enlarged, factor * self.size, fps)
        frames = [Image.fromarray(e[:, :, 0] if self.channels == 1 else e) for e in enlarged]
        tick = 10 if kind == "gif" else 1  # ms
        ends = [round((i + 1) * 1000 / fps / tick) * tick for i in range(len(frames))]
        file = io.BytesIO()
        settings = {"lossless": True, "method": 0} if kind == "webp" else {}
        durations = [after - before for before, after in itertools.pairwise([0, *ends])]
        frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=durations, loop=0, **settings)
        return file.getvalue()

    def resize(self, items: torch.Tensor) -> torch.Tensor:
        """Pictures uint8 (N, 1 or 3, h, w) -> items (N, channels, size, size): centre square, antialiased bicubic, grey by Rec. 601."""
        height, width = items.shape[2:]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        items = items[:, :, top : top + side, left : left + side]
        if items.shape[1] == 3 and self.channels == 1:
            red, green, blue = items.int().split(1, 1)
            items = (19595 * red + 38470 * green + 7471 * blue + 32768 >> 16).to(torch.uint8)  # as PIL rounds it
        if side != self.size:
            chunk = max(1, CHUNK // (items.shape[1] * max(side, self.size) ** 2))
            items = torch.cat([self._scaled(part) for part in items.split(chunk)]) if len(items) else items.new_empty(0, *self.shape)
        return self.opaque(items)

    def opaque(self, items: torch.Tensor) -> torch.Tensor:
        """Items uint8 (N, 1 or 3, H, W), nowhere transparent, in the channels of this modality."""
        if self.channels == 4:
            return torch.cat([items.expand(-1, 3, -1, -1), torch.full_like(items[:, :1], 255)], 1)
        return items.expand(-1, self.channels, -1, -1).contiguous()

    def _scaled(self, items: torch.Tensor) -> torch.Tensor:
        x = functional.interpolate(items.float(), (self.size, self.size), mode="bicubic", antialias=True)
        return x.round_().clamp_(0, 255).to(torch.uint8)


def _mp4(frames: Iterable[np.ndarray], side: int, fps: int) -> bytes:
    """Frames uint8 (side, side, 1 or 3) -> an MP4 of H.264 in 4:2:0, which every browser plays. Raises FilmError."""
    try:
        import av
    except ImportError:
        raise FilmError("film: an mp4 needs PyAV (pip install 'aigc-demo[film]'); a gif or a webp does not") from None
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "14", "preset": "veryfast"})
        stream.height = stream.width = side + side % 2  # 4:2:0 has a colour for every second pixel
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            even = np.pad(pixels, ((0, side % 2), (0, side % 2), (0, 0)), mode="edge")
            colour = np.ascontiguousarray(np.broadcast_to(even, (*even.shape[:2], 3)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(colour, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def on_white(items: torch.Tensor) -> torch.Tensor:
    """Items uint8 (N, C, H, W), of colour and opacity as they look on white paper, uint8 (N, 3, H, W); others as they are."""
    if items.shape[1] < 4:
        return items
    colour, opacity = items[:, :3].int(), items[:, 3:].int()
    return ((colour * opacity + 255 * (255 - opacity) + 127) // 255).to(torch.uint8)


def is_grey(items: torch.Tensor) -> bool:
    """Whether every picture of uint8 (N, C, H, W) has the same value in all its channels."""
    return bool((items[:, 1:] == items[:, :1]).all())


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # EXIF that cannot be parsed says nothing about the picture, whose pixels are read already
        return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits -> grey of 8 bits. White is 65535, or 1 or 255 for floats that stay below; values beyond are stretched."""
    values = np.asarray(image).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite((low, high)).all():
        raise BadItem("damaged: its values are not all finite numbers")
    white = next((w for w in (1, 255) if high <= w), 65535) if image.mode == "F" else 65535
    black, white = (low, high) if low < 0 or high > white else (0, white)
    return Image.fromarray(((values - black) * (255 / (white - black))).round().astype(np.uint8))
