"""Labels: what is written into a file is read back, by us and by a second reader, and the file shows what it showed before."""

import io
import json
import struct
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image, ImageSequence

from aigc_demo import engine
from aigc_demo.modalities.audio import Modality as Clip
from aigc_demo.provenance import label

RECIPE = {"checkpoint": "toy", "seed": 7, "caption": "<b>&\"' é 中", "sliders": [0.5, -1.0]}
KEYS = ["Label", "ContentProducer", "ProduceID", "ReservedCode1", "ContentPropagator", "PropagateID", "ReservedCode2"]


def frames(mode="RGB"):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 29, 30, 3), np.uint8)
    return [Image.fromarray(p).convert(mode) for p in pixels]


def saved(kind, mode="RGB", **settings):
    first, *rest = frames(mode)
    if settings.pop("moving", False):
        settings |= {"save_all": True, "append_images": rest, "duration": 40}
    first.save(file := io.BytesIO(), kind, **settings)
    return file.getvalue()


def box(kind, body=b"", wide=False):
    return (struct.pack(">I4sQ", 1, kind, 16 + len(body)) if wide else struct.pack(">I4s", 8 + len(body), kind)) + body


FILES = {
    "colour.png": saved("PNG"),
    "grey.png": saved("PNG", "L"),
    "lossy.webp": saved("WEBP"),
    "lossless.webp": saved("WEBP", lossless=True),
    "seen through.webp": saved("WEBP", "RGBA", lossless=True),
    "moving.webp": saved("WEBP", moving=True),
    "still.gif": saved("GIF"),
    "moving.gif": saved("GIF", moving=True, loop=0),
}
FILM = box(b"ftyp", b"isom\0\0\2\0isommp41") + box(b"mdat", b"\0\1\2" * 99, wide=True) + box(b"moov", box(b"mvhd", b"\0" * 100))


CLIP = Clip().write(torch.arange(64 * 64).remainder(256).to(torch.uint8).view(1, 64, 64))


def shows(data):
    with Image.open(io.BytesIO(data)) as image:
        return [np.array(frame.convert("RGBA")) for frame in ImageSequence.Iterator(image)]


@pytest.mark.parametrize("name", FILES)
def test_a_label_is_read_back_and_the_pictures_are_untouched(name):
    before, packet = FILES[name], label.xmp(RECIPE)
    after = label.put(before, packet)
    assert label.read(before) is None
    found = label.read(after)
    assert found.source_type.endswith("/trainedAlgorithmicMedia")
    assert found.recipe == RECIPE
    assert list(found.aigc) == KEYS
    assert found.aigc["Label"] == "1"
    assert found.aigc["ContentProducer"] == ""
    np.testing.assert_equal(shows(after), shows(before))
    if not name.endswith("gif"):  # PIL reads no packet from a GIF
        with Image.open(io.BytesIO(after)) as image:
            image.load()
            told = image.info["xmp"]
        assert ElementTree.fromstring(told.decode().strip("\ufeff\0")).tag == "{adobe:ns:meta/}xmpmeta"


def test_a_film_is_labelled_behind_its_last_box():
    after = label.put(FILM, label.xmp(RECIPE))
    assert after.startswith(FILM)  # no offset moved
    length, kind = struct.unpack_from(">I4s", after, len(FILM))
    assert (length, kind) == (len(after) - len(FILM), b"uuid")
    assert label.read(after).recipe == RECIPE


def test_a_clip_is_labelled_behind_its_samples_also_where_the_standard_looks_in_a_wav():
    after = label.put(CLIP, label.xmp(RECIPE))
    assert label.read(CLIP) is None
    assert label.read(after).recipe == RECIPE
    assert list(label.read(after).aigc) == KEYS
    np.testing.assert_array_equal(soundfile.read(io.BytesIO(after))[0], soundfile.read(io.BytesIO(CLIP))[0])
    assert struct.unpack_from("<I", after, 4) == (len(after) - 8,)
    at = after.rindex(b"AIGC")
    (length,) = struct.unpack_from("<I", after, at + 4)
    assert json.loads(after[at + 8 : at + 8 + length]) == label.read(after).aigc


@pytest.mark.parametrize("data", [*FILES.values(), FILM, CLIP])
def test_one_label_a_file(data):
    once = label.put(data, label.xmp({"seed": 1}))
    twice = label.put(once, label.xmp(RECIPE))
    assert twice == label.put(data, label.xmp(RECIPE))
    assert twice.count(b"<TC260:AIGC>") == 1


def test_the_same_recipe_gives_the_same_packet_and_another_another():
    assert label.xmp(RECIPE) == label.xmp(dict(RECIPE))
    assert label.aigc("a")["ProduceID"] != label.aigc("b")["ProduceID"]
    with pytest.raises(ValueError):
        label.xmp({"seed": float("nan")})


def test_the_provider_s_codes_are_settings(monkeypatch):
    monkeypatch.setenv("AIGC_PRODUCER", "001191110000MA00000000000001")
    monkeypatch.setenv("AIGC_PROPAGATOR", "a-b_c")
    found = label.read(label.put(FILES["colour.png"], label.xmp(RECIPE))).aigc
    assert (found["ContentProducer"], found["ContentPropagator"]) == ("001191110000MA00000000000001", "a-b_c")
    for wrong in ("with space", "中", 'quo"te', "<x>", "x" * 65):
        monkeypatch.setenv("AIGC_PRODUCER", wrong)
        with pytest.raises(label.LabelError, match="AIGC_PRODUCER"):
            label.xmp(RECIPE)


@pytest.mark.parametrize("data", [b"", b"text", b"\xff\xd8\xff\xe0 a JPEG", saved("BMP")])
def test_another_kind_of_file_takes_no_label(data):
    assert label.read(data) is None
    with pytest.raises(label.LabelError, match="none of them"):
        label.put(data, label.xmp(RECIPE))


@pytest.mark.parametrize("whole", [label.put(data, label.xmp(RECIPE)) for data in (*FILES.values(), FILM, CLIP)])
def test_a_damaged_file_is_a_sentence_or_nothing(whole):
    rng = np.random.default_rng(1)
    for _ in range(60):
        hurt = bytearray(whole[: rng.integers(12, len(whole))])
        hurt[rng.integers(8, len(hurt))] ^= 1 << rng.integers(8)
        found = label.read(bytes(hurt))
        assert found is None or isinstance(found, label.Label)
        try:
            label.put(bytes(hurt), label.xmp(RECIPE))
        except label.LabelError:
            continue


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&a;</x:xmpmeta>'


@pytest.mark.parametrize("packet", [b"", b"<x", b"\xff\xfe", BOMB, b"<a>" * 200_000, b"<a/>" + b" " * label.LARGEST])
def test_a_stranger_s_packet_does_no_harm(packet):
    assert label.read(label.put(FILES["colour.png"], packet)) is None


def test_a_stranger_s_packet_that_says_other_things():
    told = label.xmp(RECIPE).replace(b'{"checkpoint"', b'["checkpoint"').replace(b"<TC260:AIGC>{", b"<TC260:AIGC>7{")
    found = label.read(label.put(FILES["colour.png"], told))
    assert found.source_type == label.SOURCE_TYPE
    assert (found.aigc, found.recipe) == (None, None)


def test_what_the_engine_hands_out_is_labelled(all_made):
    kind = engine.Engine()
    name = all_made["vae"].name
    samples = kind.draw([engine.Request(name, 3, i, label=1) for i in range(5)])
    one = kind.file(samples[2])
    assert label.read(one).recipe == samples[2].request.recipe(samples[2].digest)
    assert all_made["vae"].modality.recipe_of(one) == label.read(one).recipe
    shared = label.read(kind.sheet(samples, 3)).recipe
    assert shared == {"checkpoint": name, "seed": 3, "label": 1, "digest": samples[0].digest, "samples": 5, "columns": 3}


def test_what_the_command_line_writes_is_labelled(aigc, all_made, tmp_path):
    for words, names in ((["--n", "1", "-o", "one.png"], ["one.png"]), (["--n", "4", "-o", "sheet.png"], ["sheet.png"]),
                         (["--n", "2", "-o", "each"], ["each/0-000000.png", "each/0-000001.png"])):  # fmt: skip
        out = tmp_path / words[-1]
        assert aigc("sample", all_made["gan"].name, *words[:-1], out)[0] == 0
        for name in names:
            found = label.read((tmp_path / name).read_bytes())
            assert found.source_type == label.SOURCE_TYPE
            assert json.loads(json.dumps(found.recipe))["digest"] == all_made["gan"].digest
