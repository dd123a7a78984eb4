"""The label of what a model made: an XMP packet (ISO 16684-1) put into the finished bytes of a PNG, WebP, GIF, MP4, WAV or a text, and
read back.

The packet says in a machine's words that the content is made by a trained model: IPTC's DigitalSourceType `trainedAlgorithmicMedia`, and
the implicit label of China's GB 45438-2025 (`TC260:AIGC`). The recipe is beside them. It is a statement, not a proof: whoever saves the
file again in another program may lose it, and anybody can write one. What the standards ask was read second-hand; no compliance is
claimed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple
from xml.etree import ElementTree
from xml.sax.saxutils import escape

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
RDF, IPTC, TC260, OWN = (
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "http://www.tc260.org.cn/ns/AIGC/1.0/",
    "urn:aigc-demo:1:",
)
PACKET = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="{IPTC}" xmlns:TC260="{TC260}" xmlns:aigc_demo="{OWN}">
<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>
<TC260:AIGC>%(aigc)s</TC260:AIGC>
<aigc_demo:Recipe>%(recipe)s</aigc_demo:Recipe>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""
LARGEST = 1 << 20  # bytes of a stranger's packet that are looked at


class LabelError(ValueError):
    """A label that cannot be written; the text says why in one sentence."""


class Label(NamedTuple):
    """What a file says of itself: IPTC's source type, China's implicit label, and the recipe; each None where it is not said."""

    source_type: str | None
    aigc: dict[str, Any] | None
    recipe: dict[str, Any] | None


def aigc(content: str) -> dict[str, str]:
    """The implicit label of GB 45438-2025, its keys in the standard's order; ProduceID follows from `content`.

    Who produced and who spreads the content is never invented: the environment says it (AIGC_PRODUCER and AIGC_PROPAGATOR, the codes that
    the standard gives to providers), else it stays empty. Raises LabelError for a code that the standard cannot hold."""
    codes = {name: os.environ.get(name, "") for name in ("AIGC_PRODUCER", "AIGC_PROPAGATOR")}
    for name, code in codes.items():
        if not re.fullmatch("[!-~]{0,64}", code) or set(code) & set('"\\<>&'):
            raise LabelError(f"{name}: {code[:80]!r} is not a provider's code: at most 64 printable ASCII characters, no space, no quote")
    return {
        "Label": "1",  # it is generated; "2" would be: may be
        "ContentProducer": codes["AIGC_PRODUCER"],
        "ProduceID": hashlib.blake2b(content.encode(), digest_size=16).hexdigest(),
        "ReservedCode1": "",
        "ContentPropagator": codes["AIGC_PROPAGATOR"],
        "PropagateID": "",
        "ReservedCode2": "",
    }


def xmp(recipe: dict[str, Any]) -> bytes:
    """The packet for what `recipe` made, the same for the same recipe. Raises LabelError, and ValueError where JSON cannot hold it."""
    text = json.dumps(recipe, allow_nan=False)
    return (PACKET % {"aigc": escape(json.dumps(aigc(text), separators=(",", ":"))), "recipe": escape(text)}).encode()


def put(data: bytes, packet: bytes) -> bytes:
    """The file `data` with the packet inside, in the place of one that it had. Its pixels, frames or samples are not touched.

    Raises LabelError where the file is no PNG, WebP, GIF, MP4 or WAV, nor a text of this program, or is cut short."""
    kind = _kind(data)
    if kind is None:
        raise LabelError("a label goes into a PNG, WebP, GIF, MP4 or WAV, and this is none of them")
    try:
        parts = [part for part in kind.split(data) if kind.unwrap(part) is None]
        parts.insert(len(parts) if kind.place is None else kind.place, kind.wrap(packet))
        return kind.join(parts)
    except (IndexError, struct.error):
        raise LabelError("the file is cut short or damaged: no label can be put into it") from None


def read(data: bytes) -> Label | None:
    """What the file says of itself; None where it has no packet that can be read. A stranger's file is safe to ask."""
    kind = _kind(data)
    if kind is None:
        return None
    with contextlib.suppress(IndexError, struct.error, ValueError, ElementTree.ParseError, RecursionError):
        for part in kind.split(data):
            packet = kind.unwrap(part)
            # a packet has no use for entities, and they can be made to fill the memory
            if packet is not None and len(packet) <= LARGEST and b"<!" not in packet:
                return _said(packet)
    return None


def _said(packet: bytes) -> Label:
    said = ElementTree.fromstring(packet.decode().strip("\ufeff\0 \n"))

    def value(space: str, name: str) -> str | None:
        for about in said.iter(f"{{{RDF}}}Description"):
            found = about.get(f"{{{space}}}{name}", about.findtext(f"{{{space}}}{name}"))
            if found is not None:
                return found
        return None

    def stored(text: str | None) -> dict[str, Any] | None:
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(text or "null")
            return found if isinstance(found, dict) else None
        return None

    return Label(value(IPTC, "DigitalSourceType"), stored(value(TC260, "AIGC")), stored(value(OWN, "Recipe")))


class _Container(NamedTuple):
    """How a kind of file is taken apart into parts that joined are the file again, and which of them holds a packet."""

    split: Callable[[bytes], Iterator[bytes]]
    wrap: Callable[[bytes], bytes]
    unwrap: Callable[[bytes], bytes | None]
    place: int | None  # of the packet among the parts; None is last
    join: Callable[[list[bytes]], bytes] = b"".join


def _kind(data: bytes) -> _Container | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if data.startswith(b"RIFF"):
        return {b"WEBP": WEBP, b"WAVE": WAV}.get(data[8:12])
    if data.startswith((b"GIF89a", b"GIF87a")):
        return GIF
    if data[4:8] == b"ftyp":
        return MP4
    return TEXT if TEXT_OWN in data else None


# -- PNG (W3C PNG, 3rd edition, 11.3.3.4): an uncompressed iTXt chunk after the header

ITXT = b"XML:com.adobe.xmp\0\0\0\0\0"  # keyword, not compressed, no language, no translation


def _png_split(data: bytes) -> Iterator[bytes]:
    yield data[:8]
    at = 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at : at + 12 + length]
        at += 12 + length


def _png_wrap(packet: bytes) -> bytes:
    body = b"iTXt" + ITXT + packet
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def _png_unwrap(part: bytes) -> bytes | None:
    return part[8 + len(ITXT) : -4] if part[4:].startswith(b"iTXt" + ITXT) else None


# -- RIFF, of which WebP and WAV are


def _riff_split(data: bytes) -> Iterator[bytes]:
    yield data[:12]
    at, end = 12, 8 + struct.unpack_from("<I", data, 4)[0]
    while at < end:
        (length,) = struct.unpack_from("<I", data, at + 4)
        yield data[at : at + 8 + length + length % 2]
        at += 8 + length + length % 2


def _riff_chunk(name: bytes, packet: bytes) -> bytes:
    return name + struct.pack("<I", len(packet)) + packet + b"\0" * (len(packet) % 2)


def _riff_body(name: bytes, part: bytes) -> bytes | None:
    return part[8 : 8 + struct.unpack_from("<I", part, 4)[0]] if part.startswith(name) else None


def _riff_join(parts: list[bytes]) -> bytes:
    body = parts[0][8:] + b"".join(parts[1:])
    return b"RIFF" + struct.pack("<I", len(body)) + body


# -- WebP (RFC 9649, 2.7): an "XMP " chunk at the end, which the VP8X chunk announces


def _webp_join(parts: list[bytes]) -> bytes:
    first = parts[1]
    if first.startswith(b"VP8X"):
        parts[1] = first[:8] + bytes([first[8] | 4]) + first[9:]
    else:  # the simple format: the canvas is the picture, whose size its own header has
        if first.startswith(b"VP8L"):
            (bits,) = struct.unpack_from("<I", first, 9)
            width, height, alpha = bits & 0x3FFF, bits >> 14 & 0x3FFF, bits >> 28 & 1
        else:
            width, height = (side - 1 & 0x3FFF for side in struct.unpack_from("<HH", first, 14))
            alpha = 0
        canvas = struct.pack("<I", width)[:3] + struct.pack("<I", height)[:3]
        parts.insert(1, b"VP8X" + struct.pack("<IB3x", 10, 4 | alpha << 4) + canvas)
    return _riff_join(parts)


# -- WAV (XMP specification part 3, 1.2.9): a "_PMX" chunk; and the implicit label in a chunk of its own, where GB 45438 has it in a WAV


def _wav_wrap(packet: bytes) -> bytes:
    return _riff_chunk(b"_PMX", packet) + _riff_chunk(b"AIGC", json.dumps(_said(packet).aigc, separators=(",", ":")).encode())


def _wav_unwrap(part: bytes) -> bytes | None:
    return _riff_body(b"_PMX", part) or _riff_body(b"AIGC", part)


# -- GIF (XMP specification part 3, 1.1.2): an application extension whose raw packet a trailer makes safe for readers of sub-blocks

GIF_XMP = b"\x21\xff\x0bXMP DataXMP"
GIF_TRAILER = b"\x01" + bytes(range(255, -1, -1)) + b"\0"


def _gif_split(data: bytes) -> Iterator[bytes]:
    def after_blocks(at: int) -> int:
        while data[at]:
            at += 1 + data[at]
        return at + 1

    def colours(flags: int) -> int:
        return 3 << (flags & 7) + 1 if flags & 0x80 else 0

    at = 13 + colours(data[10])
    yield b"GIF89a" + data[6:at]  # extensions came with 89a
    while data[at] != 0x3B:
        ends = after_blocks(at + 2) if data[at] == 0x21 else after_blocks(at + 11 + colours(data[at + 9]))
        yield data[at:ends]
        at = ends
    yield data[at:]


def _gif_wrap(packet: bytes) -> bytes:
    return GIF_XMP + packet + GIF_TRAILER


def _gif_unwrap(part: bytes) -> bytes | None:
    return part[len(GIF_XMP) : -len(GIF_TRAILER)] if part.startswith(GIF_XMP) else None


# -- MP4 (XMP specification part 3, 1.2.7): a uuid box at the end, so that no offset of the file moves

MP4_UUID = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")


def _mp4_split(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + 8)
        if length < 8:  # 0 is a box without an end: nothing can follow it
            raise IndexError
        yield data[at : at + length]
        at += length


def _mp4_wrap(packet: bytes) -> bytes:
    return struct.pack(">I", 24 + len(packet)) + b"uuid" + MP4_UUID + packet


def _mp4_unwrap(part: bytes) -> bytes | None:
    return part[24:] if part[4:].startswith(b"uuid" + MP4_UUID) else None


# -- a text that this program wrote (its recipe says so): the packet comes after it

TEXT_OWN = b"\n\n[made by aigc_demo: "
TEXT_PACKET = b"<?xpacket begin="


def _text_split(data: bytes) -> Iterator[bytes]:
    at = data.find(TEXT_PACKET, data.rindex(TEXT_OWN))
    yield from (data,) if at < 0 else (data[:at], data[at:])


def _text_unwrap(part: bytes) -> bytes | None:
    return part if part.startswith(TEXT_PACKET) else None


PNG = _Container(_png_split, _png_wrap, _png_unwrap, 2)
WEBP = _Container(_riff_split, partial(_riff_chunk, b"XMP "), partial(_riff_body, b"XMP "), None, _webp_join)
WAV = _Container(_riff_split, _wav_wrap, _wav_unwrap, None, _riff_join)
GIF = _Container(_gif_split, _gif_wrap, _gif_unwrap, 1)
TEXT = _Container(_text_split, bytes, _text_unwrap, None)
MP4 = _Container(_mp4_split, _mp4_wrap, _mp4_unwrap, None)
