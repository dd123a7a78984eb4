"""Makers of files as strangers send them: broken, odd, lying or meant to harm, each with what has to come of it."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
import zlib

import numpy as np
from PIL import Image, PngImagePlugin

# left half red, right half blue: told apart after any cropping, scaling or lossy coding
RED, BLUE, WHITE = (250, 10, 20), (20, 30, 240), (255, 255, 255)


def halves(width=16, height=16, left=RED, right=BLUE):
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = left, right
    return Image.fromarray(pixels)


def saved(image, kind="PNG", **how):
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def png(width=16, height=16, left=RED, right=BLUE):
    return saved(halves(width, height, left, right))


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(width, height, depth=8, colour=2, body=b""):
    """A PNG whose header says what it likes."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def ramp16(bits=np.uint16):
    """Left half 20% grey, right half 80% grey, in 16 bits: clipped to 8 bits both would be white."""
    values = np.empty((16, 16), bits)
    values[:, :8], values[:, 8:] = 13107, 52428
    return Image.fromarray(values)


def palette(transparent):
    image = Image.new("P", (16, 16), 0)
    image.putpalette([*RED, *BLUE, 0, 0, 0])
    image.paste(1, (8, 0, 16, 16))
    return saved(image, transparency=transparent)


def frames(kind):
    return saved(halves(), kind, save_all=True, append_images=[halves(left=BLUE, right=RED)], duration=50, lossless=True)


def turned():
    """Red on top as stored; EXIF orientation 6 says: turn by 90 degrees clockwise, so that red is on the right."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(halves().rotate(-90), "JPEG", exif=exif, quality=95)


def text_bomb():
    """2,000 chunks of text that each unpack to 500 kB, within a small picture."""
    body = b"key\0\0" + zlib.compress(b"a" * 500_000)
    whole = png()
    return whole[:33] + chunk(b"zTXt", body) * 2000 + whole[33:]


def wrong_sum():
    whole = bytearray(png())
    at = whole.index(b"IDAT") + 8
    whole[at] ^= 0xFF
    return bytes(whole)


def float_tiff(*values):
    image = np.full((16, 16), values[0], np.float32)
    image[:, 8:] = values[-1]
    return saved(Image.fromarray(image), "TIFF")


def jpeg(**how):
    return saved(halves(64, 64), "JPEG", quality=90, **how)


def rgba():
    image = halves().convert("RGBA")
    image.paste((*BLUE, 0), (8, 0, 16, 16))
    return image


def luma(colour):
    return round(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2])


def grey(value):
    return (value,) * 3


# name -> (bytes, (left colour, right colour) as read)
READ = {
    "plain.png": (png(), (RED, BLUE)),
    "wide.png": (png(40, 16), (RED, BLUE)),
    "tall-4-pixels.png": (png(4, 300), (RED, BLUE)),
    "jpeg named.png": (jpeg(), (RED, BLUE)),
    "no extension": (saved(halves(), "BMP"), (RED, BLUE)),
    "плюс-写真-🙂.png": (png(), (RED, BLUE)),
    "turned by exif 6.jpg": (turned(), (BLUE, RED)),
    "exif of rubbish.jpg": (jpeg(exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + b"\x99" * 40), (RED, BLUE)),
    "cmyk.jpg": (saved(halves(64, 64).convert("CMYK"), "JPEG", quality=95), (RED, BLUE)),
    "grey.jpg": (saved(halves(64, 64, WHITE, (0, 0, 0)).convert("L"), "JPEG", quality=95), (WHITE, (0, 0, 0))),
    "grey 16 bits.png": (saved(ramp16()), (grey(51), grey(204))),
    "grey 16 bits.tiff": (saved(ramp16(), "TIFF"), (grey(51), grey(204))),
    "grey 32 bits.tiff": (saved(ramp16(np.int32), "TIFF"), (grey(51), grey(204))),
    "colour 16 bits.png": (
        png_of(
            8, 8, 16, 2, (b"\0" + struct.pack(">3H", *(c * 257 for c in RED)) * 4 + struct.pack(">3H", *(c * 257 for c in BLUE)) * 4) * 8
        ),
        (RED, BLUE),
    ),
    "float 0 to 1.tiff": (float_tiff(0.2, 0.8), (grey(51), grey(204))),
    "float 0 to 255.tiff": (float_tiff(51, 204), (grey(51), grey(204))),
    "float below 0.tiff": (float_tiff(-3, 5), (grey(0), grey(255))),
    "1 bit.png": (saved(halves(16, 16, WHITE, (0, 0, 0)).convert("1")), (WHITE, (0, 0, 0))),
    "palette.png": (palette(2), (RED, BLUE)),
    "palette, one colour clear.png": (palette(1), (RED, WHITE)),
    "palette, half clear.png": (palette(b"\xff\x80\xff"), (RED, tuple(round(c * 128 / 255 + 127) for c in BLUE))),
    "rgba.png": (saved(rgba()), (RED, WHITE)),
    "rgba.webp": (saved(rgba(), "WEBP", lossless=True), (RED, WHITE)),
    "la.png": (saved(rgba().convert("LA")), (grey(luma(RED)), WHITE)),
    "one colour of rgb clear.png": (saved(halves(), transparency=BLUE), (RED, WHITE)),
    "animated.gif": (frames("GIF"), (RED, BLUE)),
    "animated.webp": (frames("WEBP"), (RED, BLUE)),
    "pages.tiff": (saved(halves(), "TIFF", save_all=True, append_images=[halves(left=BLUE)]), (RED, BLUE)),
    "end chunk missing.png": (png()[:-12], (RED, BLUE)),
    "rubbish after the end.png": (png() + b"<?php rubbish ?>" * 100, (RED, BLUE)),
    "binary.ppm": (saved(halves(), "PPM"), (RED, BLUE)),
}

_HTML = b"<!doctype html><html><body><h1>404 Not Found</h1></body></html>"
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16"><rect width="16" height="16" fill="red"/></svg>'

# name -> (bytes, what the reason says)
REFUSED = {
    "nothing.png": (b"", "empty: 0 bytes"),
    "one byte.png": (b"\x89", "not an image"),
    "text.png": (b"I am no picture\n", "not an image: none of PNG, JPEG"),
    "page.jpg": (_HTML, "not an image"),
    "drawing.jpg": (_SVG, "not an image"),
    "program.png": (b"\x7fELF" + bytes(4000), "not an image"),
    "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n", "not an image"),
    "icon.png": (saved(halves(), "ICO"), "not an image"),
    "signature alone.png": (png()[:8], "damaged"),
    "cut in the header.png": (png()[:20], "damaged"),
    "cut before the pixels.png": (png()[:37], "damaged"),
    "cut in the pixels.png": (png()[:60], "damaged"),
    "wrong checksum.png": (wrong_sum(), "damaged"),
    "no pixels.png": (png_of(16, 16), "damaged"),
    "cut in the header.jpg": (jpeg()[:100], "damaged"),
    "cut in the pixels.jpg": (jpeg()[: len(jpeg()) * 3 // 4], "damaged"),
    "cut.gif": (saved(halves(64, 64), "GIF")[:-40], "damaged"),
    "cut.webp": (saved(halves(64, 64), "WEBP")[:-20], "damaged"),
    "cut.bmp": (saved(halves(64, 64), "BMP")[:-300], "damaged"),
    "cut.tiff": (saved(halves(64, 64), "TIFF")[:-300], "damaged"),
    "1 x 1.png": (png(1, 1), "1 x 1 pixels are too few: at least 4 x 4"),
    "2 x 3.png": (png(2, 3), "2 x 3 pixels are too few: at least 4 x 4"),
    "1000 x 3.png": (png(1000, 3), "1000 x 3 pixels are too few"),
    "no width.png": (png_of(0, 16), "damaged"),
    "9000 x 9000 by its header.png": (png_of(9000, 9000), "9000 x 9000 pixels are too many: at most 64 million"),
    "10000 x 10000 by its header.png": (png_of(10_000, 10_000), "too many"),
    "2 billion a side by its header.png": (png_of(2**31 - 1, 2**31 - 1), "too many"),
    "65535 a side by its header.gif": (b"GIF89a\xff\xff\xff\xff\0\0\0" + saved(halves(), "GIF")[13:], "too many"),
    "text that unpacks to 1 GB.png": (text_bomb(), "damaged"),
    "not a number.tiff": (float_tiff(0.5, float("nan")), "not all finite"),
    "infinite.tiff": (float_tiff(0.5, float("inf")), "not all finite"),
    "picture in a zip.png": (b"PK\x03\x04" + bytes(200), "an archive: unpack it first"),
    "picture in a gzip.png": (b"\x1f\x8b\x08" + bytes(200), "an archive: unpack it first"),
}


def zipped(members, **how):
    """{name: bytes} -> the bytes of a zip."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", **how) as archive:
        warnings.simplefilter("ignore")  # of names written twice
        for name, data in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, data)
    return file.getvalue()


def patched(data, name, at_central, value):
    """A zip whose central directory says `value` (a struct format and a number) at `at_central` of the record of `name`."""
    data, at = bytearray(data), -1
    while (at := data.index(b"PK\x01\x02", at + 1)) >= 0:
        if data[at + 46 :].startswith(name.encode()):
            struct.pack_into(value[0], data, at + at_central, value[1])
            return bytes(data)
    raise AssertionError(name)


def recipe_png(key, text):
    info = PngImagePlugin.PngInfo()
    info.add_text(key, text)
    return saved(halves(), pnginfo=info)


DEEP = "[" * 100_000 + "]" * 100_000
NO_RECIPES = {
    "not a png": b"rubbish",
    "empty": b"",
    "no text": png(),
    "other key": recipe_png("parameters", json.dumps({"seed": 1})),
    "not json": recipe_png("aigc_demo", "{seed: 1"),
    "not an object": recipe_png("aigc_demo", "[1, 2]"),
    "too deep": recipe_png("aigc_demo", DEEP),
    "a jpeg": jpeg(),
    "a bomb of text": text_bomb(),
}
