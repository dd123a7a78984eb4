"""What is said of the pictures of a folder, however it is written down, and the two sets of pictures that are told in words."""

import json

import pytest
import torch
from hostile import png, zipped
from test_data import coloured, folder, load, refusal

from aigc_demo import config, data, model
from aigc_demo.trainer import Trainer

PICTURES = {"a.png": coloured(40), "deep/b.png": coloured(90), "deep/c.png": coloured(140)}
SAID = {"a.png": "a red  field", "deep/b.png": "红 field, darker"}


def table(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


WRITTEN = {
    "lines of JSON, as ImageFolder has them": {"metadata.jsonl": table({"file_name": k, "text": v} for k, v in SAID.items())},
    "a CSV": {"metadata.csv": '\ufefffile_name,text\na.png,a red  field\ndeep/b.png,"红 field, darker"\n'.encode()},
    "other words for the fields": {"captions.jsonl": table({"file": f"./{k}", "caption": v, "more": 1} for k, v in SAID.items())},
    "a table in each folder": {
        "metadata.jsonl": table([{"file_name": "a.png", "text": SAID["a.png"]}]),
        "deep/metadata.jsonl": table([{"file_name": "b.png", "text": SAID["deep/b.png"]}]),
    },
    "a text beside each": {"a.txt": SAID["a.png"].encode(), "deep/b.txt": SAID["deep/b.png"].encode() + b"\n"},
}


@pytest.mark.parametrize("how", WRITTEN)
@pytest.mark.parametrize("zip_it", [False, True], ids=["folder", "zip"])
def test_captions_are_read_however_they_are_written(tmp_path, how, zip_it):
    members = PICTURES | WRITTEN[how]
    if zip_it:
        place = tmp_path / "pictures.zip"
        place.write_bytes(zipped(members))
    else:
        place = folder(tmp_path, members)
    found = load(place)
    assert found.captions == ("a red field", "红 field, darker", "")
    assert found.told == found.captions
    assert not found.ledger.left_out
    assert found.ledger.summary().endswith("2 have a caption, 1 have none")
    assert load(place, limit=2).captions in [found.captions[:2], found.captions[1:], found.captions[::2]]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("metadata.jsonl", b'{"file_name": "a.png", "text": "x"}\nnot JSON\n', "metadata.jsonl: line 2 is not a JSON object"),
        ("metadata.jsonl", b'["a.png", "x"]\n', "metadata.jsonl: line 1 is not a JSON object"),
        ("metadata.csv", b"picture,words\na.png,x\n", "metadata.csv: a row has no file_name and text (or file, and caption or name)"),
        ("metadata.csv", b'file_name,text\na.png,"open\n', "metadata.csv: cannot be read as CSV"),
        ("captions.jsonl", b'{"file": 7, "text": "x"}\n', "captions.jsonl: a row has no file_name and text"),
        ("a.txt", b"\xff\xfe\x00", "a.txt: captions are read as UTF-8, and this is not"),
    ],
)
def test_a_damaged_caption_is_told_by_its_file(tmp_path, name, content, said):
    assert refusal(folder(tmp_path, PICTURES | {name: content})).startswith(said)


def test_a_row_names_nothing_outside_the_folder(tmp_path):
    (tmp_path / "secret.png").write_bytes(png())
    rows = [{"file_name": name, "text": name} for name in ("../secret.png", "/etc/passwd", "a.png")]
    found = load(folder(tmp_path / "own", PICTURES | {"metadata.jsonl": table(rows)}))
    assert found.captions == ("a.png", "", "")


def test_a_model_learns_from_the_captions_of_a_folder(tmp_path):
    place = folder(tmp_path, PICTURES | WRITTEN["a text beside each"])
    trainer = Trainer(model.plan("text_to_image:tiny", {"data.source": str(place), "data.validation": 0.0, "device": "cpu"}))
    trainer.one_step(0.0)
    learnt = trainer.model.learnt
    assert all(learnt[word] for word in trainer.model.read(["a red field 红 darker"])[0])
    assert learnt.sum() == 1 + 5, "no word, and those five"


# Sets by name


def emoji(place, names=40):
    rows, members = [], {}
    for k in range(names):
        members[f"png/72/{k}.png"] = coloured(6 * k)
        tone = "light" if k % 10 == 9 else None
        said = {"name": f"thing {k}", "name_zh": f"东西 {k}", "group": [None, "Objects"][k % 2], "skin_tone": tone}
        rows.append({"file": f"png/72/{k}.png", **said})
    return folder(place / "noto-emoji", members | {"captions.jsonl": table(rows)})


def test_an_emoji_is_told_in_two_languages_and_some_names_are_kept(tmp_path, monkeypatch):
    emoji(tmp_path)
    monkeypatch.setenv("AIGC_DATA", str(tmp_path))
    train, test = load("noto-emoji"), load("noto-emoji", part="test")
    assert len(train) + len(test) == 2 * 36
    assert not set(train.captions) & set(test.captions)
    assert 2 <= len(test) < len(train)
    number = train.captions[0].split()[1]
    assert train.captions[:2] == (f"thing {number}", f"东西 {number}")
    assert torch.equal(train.items[0], train.items[1])
    assert train.classes[train.labels[0]] == "other" if int(number) % 2 == 0 else "Objects"
    assert "duplicates" not in train.ledger.summary()
    apart, held = train.split(0.3, 1)
    assert not {one.split()[1] for one in apart.captions} & {one.split()[1] for one in held.captions}
    assert len(held) % 2 == 0
    few = load("noto-emoji", limit=9)
    assert len(few) == 9
    apart, held = few.split(0.2, 1)
    assert len(apart) + len(held) == 9
    assert not set(apart.pictures().tolist()) - set(range(9))


def test_tiles_have_a_class_a_folder(tmp_path, monkeypatch):
    tops = ("UNUSED", "dngn", "effect", "gui", "item", "misc", "mon", "player")
    members = {f"{top}/some/{k}.png": coloured(20 * k) for top in tops for k in range(12)}
    folder(tmp_path / "crawl-tiles", members | {"README.md": b"about"})
    monkeypatch.setenv("AIGC_DATA", str(tmp_path))
    train, test = load("crawl-tiles"), load("crawl-tiles", part="test")
    assert len(train) + len(test) == len(members)
    assert len(test)
    assert train.classes[train.labels[0]] == "unused"
    assert set(train.told) == set(train.classes)


@pytest.mark.parametrize("name", ["noto-emoji", "crawl-tiles"])
def test_without_the_files_a_sentence_says_what_to_do(tmp_path, monkeypatch, name):
    monkeypatch.setenv("AIGC_DATA", str(tmp_path))
    monkeypatch.setenv("AIGC_HOME", str(tmp_path))
    assert refusal(name) == f"{name}: not here: set AIGC_DATA to a folder that holds {name}, or take `shapes`, which needs no files"
    assert data.foreseen(config.Data(source=name)).shape == (3, 32, 32)
