"""Texts: an alphabet goes round, files of any kind are read within bounds and named where they cannot be, and a corpus is seen whole."""

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from aigc_demo import config, data, modality
from aigc_demo.data import copies, texts
from aigc_demo.modalities.text import NOTHING, Modality, trained
from aigc_demo.modality import BadItem

VERSE = "From fairest creatures we desire increase,\nThat thereby beauty's rose might never die,\n"
POEM = "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。\n"


def of(text, context=16):
    return Modality(context, "".join(sorted(set(text))))


def load(source, size=16, given=None, **spec):
    return data.load(config.Data(source=str(source), size=size, **spec), 0, given=given)


# The modality


@pytest.mark.parametrize("text", [VERSE, POEM, "a\u0301 \U0001f600 z"])
def test_characters_and_bytes_go_round(text):
    for kind in (of(text), Modality(16), Modality(16, "", trained(text * 20, 300))):
        tokens = kind.tokens(text)
        assert kind.text(tokens) == text
        assert kind.characters[tokens].sum() == len(text)
        again = modality.from_json(json.loads(json.dumps(modality.to_json(kind))))
        assert again == kind
        assert torch.equal(again.tokens(text), tokens)
    assert len(kind.tokens(text)) < len(Modality(16).tokens(text)), "bytes were merged"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"context": 7}, "context: 7 is not"),
        ({"context": True}, "context: True is not"),
        ({"context": 16, "alphabet": "ba"}, "alphabet: not at most"),
        ({"context": 16, "alphabet": "aab"}, "alphabet"),
        ({"context": 16, "alphabet": "ab", "merges": ("a b",)}, "merges: an alphabet"),
        ({"context": 16, "merges": ("a bc",)}, "merges: 'a bc' does not join"),
        ({"context": 16, "merges": (7,)}, "merges: 7 does not join"),
        ({"context": 16, "merges": ("a b",) * 8000}, "merges: 8,000 are too many"),
    ],
)
def test_a_text_that_cannot_be_is_refused(fields, says):
    with pytest.raises(ValueError, match=says):
        Modality(**fields)


def test_unknown_characters_are_named_not_dropped():
    with pytest.raises(BadItem, match=r"^prompt: the model never saw '中', 'Q'; it knows 25 characters"):
        of(VERSE).tokens("中Q中", "prompt")
    with pytest.raises(BadItem, match="and 2 more"):
        of(VERSE).tokens("0123456789")


def test_a_file_holds_the_text_and_its_recipe_and_a_stranger_is_safe_to_ask():
    kind = of(VERSE)
    item = torch.full((40,), NOTHING)
    item[:20] = kind.tokens(VERSE[:20])
    recipe = {"seed": 3, "sampling": {"prompt": "\n\n[made by aigc_demo: "}}
    file = kind.write(item, recipe)
    assert file.decode().startswith(VERSE[:20] + "\n\n[made by")
    assert modality.recipe_of(file) == recipe
    for stranger in (b"", b"\xff\n\n[made by aigc_demo: {", b"\n\n[made by aigc_demo: [[]]]", b"\n\n[made by aigc_demo: " + b"[" * 10**5):
        assert Modality.recipe_of(stranger) is None
    for bad, why in ((b"", "empty"), (b"From\xff", "not UTF-8: byte 0xff at 4"), ("中".encode(), "never saw")):
        with pytest.raises(BadItem, match=why):
            kind.read(bad)
    assert kind.text(kind.read(VERSE.encode())) == VERSE[:17]
    with pytest.raises(BadItem, match="no film"):
        kind.film(item[None], 5, "webp")


def test_a_sheet_shows_each_text():
    kind = of(VERSE)
    items = kind.tokens(VERSE)[:60].view(3, 20)
    sheet = kind.sheet(items, 8)
    assert sheet.dtype == np.uint8
    assert sheet.ndim == 3
    other = items.clone()
    other[2] = NOTHING
    changed = np.argwhere((sheet != kind.sheet(other, 8)).any(2))
    assert changed[:, 0].min() >= sheet.shape[0] // 2, "the third stands in the second row"


# Files


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_every_kind_of_file_gives_the_same_text(tmp_path):
    rows = [VERSE + str(i) for i in range(5)]
    plain = write(tmp_path, "a.txt", "\ufeff" + VERSE * 3)
    assert load(plain).modality.text(load(plain).tokens) == VERSE * 3
    lines = write(tmp_path, "b.jsonl", "\n".join(json.dumps({"id": i, "text": r}) for i, r in enumerate(rows)) + "\n{broken\n")
    table = write(tmp_path, "c.csv", "id,text\n" + "".join(f'{i},"{r}"\n' for i, r in enumerate(rows)))
    other = write(tmp_path, "d.jsonl", "\n".join(json.dumps({"id": i, "said": r}) for i, r in enumerate(rows)))
    folder = tmp_path / "folder"
    for i, row in enumerate([*rows, rows[0]]):
        write(folder, f"{i}.txt", row)
    write(folder, "x.txt", b"\x00\x01junk")
    write(folder, "y.bin", b"1")
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for i, row in enumerate(rows):
            archive.writestr(f"in/{i}.txt", row)
    found = [load(lines), load(table), load(other, column="said"), load(folder), load(packed)]
    for one in found:
        assert sorted(one.modality.text(one.tokens).strip().split("\n\n")) == sorted(rows)
    assert found[0].digest == found[1].digest == found[2].digest
    assert "1 rows without a text left out" in found[0].ledger.summary()
    assert Image.open(io.BytesIO(found[0].preview())).width > 100
    assert "6 texts read, 2 left out" in found[3].ledger.summary()
    assert "1 exact duplicates left out" in found[3].ledger.summary()


def test_a_text_beside_pictures_or_clips_is_about_them(tmp_path):
    write(tmp_path, "readme.txt", VERSE)
    assert texts.is_text(str(tmp_path))
    write(tmp_path, "cats/1.PNG", b"x")
    assert not texts.is_text(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "spec", "says"),
    [
        ("a.txt", b"", {}, "a.txt: empty: 0 bytes"),
        ("a.txt", b" \n ", {}, "empty: nothing but spaces"),
        ("a.txt", bytes(range(256)) * 9, {}, "not a text: binary data"),
        ("a.txt", b"\x01\x02\x03\x04" * 99, {}, "not a text: it holds control characters"),
        ("a.txt", (POEM * 9).encode("gb18030"), {}, "not utf-8: a byte .* it may be gb18030.*: set data.encoding=gb18030"),
        ("a.txt", VERSE * 9, {"encoding": "klingon"}, "data.encoding: 'klingon' is not an encoding"),
        ("a.txt", "short", {}, "5 tokens are too few: at least 36 at a context of 16"),
        ("a.csv", "x,y\n1,2\n", {}, "column of the texts is not clear.*: x, y"),
        ("a.csv", "x,y\n1,2\n", {"column": "z"}, "column of the texts is not clear"),
        ("a.jsonl", "[1]\n", {}, "none of these|no row that can be read|column"),
        ("a.txt", VERSE * 9, {"mirror": True}, "data.mirror: True means nothing for a text"),
        ("missing.txt", None, {}, "missing.txt: there is no such file"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, name, content, spec, says):
    path = tmp_path / name
    if content is not None:
        write(tmp_path, name, content)
    with pytest.raises(data.DataError, match=says) as told:
        load(path, **spec)
    assert "\n" not in str(told.value)


def test_another_encoding_is_read_where_it_is_named(tmp_path):
    path = write(tmp_path, "a.txt", (POEM * 9).encode("gb18030"))
    found = load(path, encoding="gb18030")
    assert found.modality.text(found.tokens) == POEM * 9


def test_of_a_large_file_a_bounded_part_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "LARGEST", 1 << 20)
    path = tmp_path / "large.txt"
    with open(path, "wb") as file:  # 2 GB that take no place on the disk
        file.write(("月" + VERSE).encode() * ((1 << 20) // 80))
        file.truncate(2 << 30)
    found = load(path)
    assert "the first 1 MB of 2,048 MB read" in found.ledger.summary()
    assert len(found.tokens) <= 1 << 20
    assert found.items.untyped_storage().nbytes() <= 1 << 20, "windows share their memory"


# Corpora


def test_the_built_in_corpus_needs_no_network(monkeypatch):
    monkeypatch.delenv("AIGC_DATA", raising=False)
    found = load("tinyshakespeare", 256)
    assert len(found.tokens) == 1_115_394
    assert len(found.modality.alphabet) == 65
    training, held = found.split(0.1, 0)
    assert len(training.tokens) == 1_003_854
    assert len(held.tokens) == 111_540
    with pytest.raises(data.DataError, match=r"^tang: is not here: set AIGC_DATA"):
        load("tang")


def test_an_epoch_shows_every_token_once_and_follows_from_the_seed():
    found = load("tinyshakespeare", 16, limit=1000)
    answers = []
    for seed in (0, 1):
        batches = data.Batches(found, 4, seed)
        for epoch in range(2):
            steps = range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)
            places = torch.cat([batches.places(s) for s in steps])
            seen = (places[:, None] + 1 + torch.arange(16)).flatten()
            assert len(seen.unique()) == len(seen) >= 1000 - 16 * 5
            answers.append(places.min().item() % 16)
            again = data.Batches(found, 4, seed)
            assert torch.equal(again.at(steps[-1])[0], batches.at(steps[-1])[0])
            items = batches.at(steps[0])[0]
            assert torch.equal(items, found.items[batches.places(steps[0])])
    assert len(set(answers)) > 1, "windows begin elsewhere in another epoch"


def test_a_known_alphabet_leaves_strangers_out_and_says_so(tmp_path):
    kind = of(VERSE)
    path = write(tmp_path, "a.txt", VERSE * 9 + "中" * 3)
    found = load(path, given=kind)
    assert found.modality == kind
    assert found.modality.text(found.tokens) == VERSE * 9
    assert "3 characters that the model never saw left out: '中'" in found.ledger.summary()
    with pytest.raises(data.DataError, match="none that the model knows"):
        load(write(tmp_path, "b.txt", POEM * 20), given=kind)


# Copies


LONG = ["".join(chr(97 + (i * i + i // 7) % 26) for i in range(3000)), POEM * 3 + "".join(map(chr, range(0x4E00, 0x5500)))]


@pytest.mark.parametrize("text", LONG)
def test_copied_runs_are_known_again_and_others_are_not(text):
    kept = copies.trace(text)
    window = int(kept["window"])
    assert copies.copied(text[100:300], kept).all()
    new = text[100:300][::-1]
    assert copies.copied(new, kept).mean() < 0.02
    half = copies.copied(text[100 : 100 + 2 * window] + new[: 2 * window], kept)
    assert half[: window + 1].all()
    assert half[-window:].mean() < 0.1
    assert len(copies.copied(text[: window - 1], kept)) == 0
    assert copies.trace("") is None
