"""Data from any source: what is used is counted, what is not is named, and a batch follows from the seed and the step alone."""

import dataclasses
import os
import struct
import subprocess
import sys
import time
import zipfile

import pytest
import torch
from hostile import READ, REFUSED, halves, patched, png, saved, zipped

from aigc_demo import config, data
from aigc_demo.data import files, shapes


def load(source, seed=0, part="train", **spec):
    return data.load(config.Data(source=str(source), **spec), seed, part=part)


def folder(path, members):
    for name, content in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def coloured(level):
    return png(left=(level, 0, 0), right=(0, 0, level))


def refusal(source, **spec):
    with pytest.raises(data.DataError) as error:
        load(source, **spec)
    assert "\n" not in str(error.value)
    assert str(error.value).isprintable()
    return str(error.value)


def reasons(dataset):
    return dict(dataset.ledger.left_out)


# Sources


def test_the_list_of_sources_needs_no_torch():
    code = (
        "import sys; from aigc_demo.data import sources; print([s.name for s in sources()]);"
        "print([m for m in ('torch', 'torchvision', 'sklearn', 'numpy', 'PIL') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    names = ["digits", "shapes", "scenes", "mnist", "fashion-mnist", "cifar10", "crawl-tiles", "noto-emoji", "grid25", "ring", "moons"]
    names += ["tones", "spoken-digits", "stacked-mnist", "tinyshakespeare", "tang"]
    assert said.splitlines() == [str(names), "[]"]


def test_every_source_says_its_licence_and_what_it_is():
    for source in data.sources():
        assert source.licence
        assert source.title
        assert source.about
        assert len(source.classes) >= 6 or source.name in ("scenes", "stacked-mnist", "grid25", "ring", "moons", "tinyshakespeare", "tang")
    assert next(s for s in data.sources() if s.name == "shapes").classes == shapes.SHAPES


def test_digits_are_real_and_their_parts_are_apart():
    train, test = load("digits"), load("digits", part="test")
    assert train.items.shape == (1500, 1, 28, 28)
    assert test.items.shape == (297, 1, 28, 28)
    assert train.classes == tuple("0123456789")
    assert train.modality.shape == (1, 28, 28)
    assert torch.bincount(train.labels).min() > 140
    assert not {i.numpy().tobytes() for i in train.items} & {i.numpy().tobytes() for i in test.items}
    means = torch.stack([train.items[train.labels == k].float().mean(0) for k in range(10)]).flatten(1)
    nearest = torch.cdist(test.items.flatten(1).float(), means).argmin(1)
    assert (nearest == test.labels).float().mean() > 0.8  # the labels are of these pictures


def test_a_size_channels_and_a_limit_are_kept():
    small = load("digits", size=12, channels=3, limit=100)
    assert small.items.shape == (100, 3, 12, 12)
    assert small.modality.shape == (3, 12, 12)
    assert len(small.labels) == 100
    assert torch.equal(small.items, load("digits", size=12, channels=3, limit=100).items)
    assert not torch.equal(small.items, load("digits", seed=1, size=12, channels=3, limit=100).items)


def idx(raw):
    """Writes a set of 40 and 12 noise pictures as MNIST's four files; returns (pictures, labels) by part."""
    raw.mkdir(parents=True)
    made = {}
    for part, short, count in (("train", "train", 40), ("test", "t10k", 12)):
        pictures = torch.randint(256, (count, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(count))
        labels = torch.arange(count, dtype=torch.uint8) % 10
        (raw / f"{short}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, count, 28, 28) + pictures.numpy().tobytes())
        (raw / f"{short}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, count) + labels.numpy().tobytes())
        made[part] = pictures, labels
    return made


@pytest.mark.parametrize(("name", "where"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_a_known_set_is_read_from_its_files(tmp_path, monkeypatch, name, where):
    raw = tmp_path / where / "raw"
    made = idx(raw)
    monkeypatch.setenv("AIGC_DATA", str(tmp_path))
    for part, (pictures, labels) in made.items():
        got = load(name, part=part)
        assert torch.equal(got.items[:, 0], pictures)
        assert torch.equal(got.labels, labels.long())
    assert len(load(name, limit=7)) == 7
    (raw / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03rubbish")
    assert "cannot be read" in refusal(name)
    assert where in refusal(name)
    (raw / "train-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, 40, 28, 28) + made["train"][0].numpy().tobytes())
    (raw / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, 40) + b"\xc8" * 40)
    assert "do not fit together" in refusal(name)


def test_stacked_mnist_is_three_digits_of_either_part_drawn_by_the_seed(tmp_path, monkeypatch):
    made = idx(tmp_path / "MNIST" / "raw")
    monkeypatch.setenv("AIGC_DATA", str(tmp_path))
    pool = torch.cat([pictures for pictures, _ in made.values()])
    digits = torch.cat([labels for _, labels in made.values()])
    got = load("stacked-mnist", limit=200)
    assert got.items.shape == (200, 3, 28, 28)
    assert got.labels is None
    assert got.classes == ()
    used = set()
    for channel, name in enumerate(("red", "green", "blue")):
        same = (got.items[:, channel, None] == pool).all(-1).all(-1)  # (200, 52)
        assert (same.sum(1) == 1).all()
        place = same.int().argmax(1)
        assert torch.equal(got.factors[name], digits[place].long())
        used |= set(place.tolist())
    assert len(used) == 52, "both parts"
    assert not torch.equal(got.factors["red"], got.factors["green"])
    assert got.digest == load("stacked-mnist", limit=200).digest
    assert got.digest != load("stacked-mnist", seed=1, limit=200).digest
    assert got.digest != load("stacked-mnist", limit=200, part="test").digest
    assert load("stacked-mnist", limit=5, size=14, channels=1).items.shape == (5, 1, 14, 14)
    assert "GB" in refusal("stacked-mnist", size=512, limit=10_000_000)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10"])
@pytest.mark.parametrize("given", [True, False])
def test_no_files_and_no_network_says_what_to_do(tmp_path, monkeypatch, name, given):
    from torchvision import datasets

    for family in (datasets.MNIST, datasets.FashionMNIST):
        monkeypatch.setattr(family, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setattr(datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar")
    for proxy in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setenv("AIGC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AIGC_DATA", str(tmp_path)) if given else monkeypatch.delenv("AIGC_DATA", raising=False)
    said = refusal(name)
    assert said.startswith(f"{name}: ")
    assert "set AIGC_DATA to a folder that holds" in said
    assert "connect to the network" in said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("digit", "the nearest is digits"),
        ("fashon-mnist", "the nearest is fashion-mnist"),
        ("zzz", "data is one of digits, shapes"),
        ("./no/such/folder", "there is no such folder or zip"),
        ("pictures.zip", "there is no such folder or zip"),
        ("~nobody-of-that-name/pictures", "there is no such folder or zip"),
        ("digits\0.zip", "NUL"),
        ("/" + "long" * 1000, "there is no such folder or zip"),
        ("/dev/null", "neither a folder nor a zip"),
        ("\x1b[31mred\n", "there is no such name"),
    ],
)
def test_a_source_that_cannot_be_is_told_in_one_sentence(source, said):
    assert said in refusal(source)


def test_a_part_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ValueError, match="part"):
        load("digits", part="validation")
    assert "only built-in sets" in refusal(folder(tmp_path, {"a.png": png(), "b.png": png()}), part="test")


def test_what_does_not_fit_in_memory_is_refused_before_it_is_made(monkeypatch):
    started = time.monotonic()
    assert "GB" in refusal("shapes", size=512, limit=10_000_000)
    assert time.monotonic() - started < 1
    monkeypatch.setattr(files, "TOTAL_BYTES", 2**20)
    assert "choose a smaller size or a limit" in refusal("digits")


# Shapes


def test_a_shape_does_not_depend_on_how_many_there_are():
    few, many = load("shapes", limit=50), load("shapes", limit=200)
    assert torch.equal(few.items, many.items[:50])
    assert few.captions == many.captions[:50]
    assert few.digest != load("shapes", seed=1, limit=50).digest != load("shapes", limit=50, part="test").digest
    assert few.digest == load("shapes", limit=50).digest


def test_shapes_are_as_their_factors_and_captions_say():
    known = load("shapes", size=64, limit=400)
    assert all(len(values) == 400 for values in known.factors.values())
    assert torch.equal(known.labels, known.factors["shape"])
    colours = torch.tensor(list(shapes.COLOURS.values())).float()
    line = (torch.arange(64) + 0.5) / 64
    for i in range(400):
        factor = {name: values[i].item() for name, values in known.factors.items()}
        caption = known.captions[i]
        assert shapes.SHAPES[factor["shape"]] in caption
        assert list(shapes.COLOURS)[factor["colour"]] in caption
        assert list(shapes.SIZES)[factor["size"]] in caption
        assert caption.endswith(shapes.PLACES[factor["row"]][factor["column"]])
        x, y, radius = (factor[name] for name in ("x", "y", "radius"))
        centre = known.items[i, :, int(y * 64), int(x * 64)].float()
        assert (centre - colours[factor["colour"]]).abs().max() < 20
        ink = (known.items[i].float() - colours[factor["colour"]].view(3, 1, 1)).abs().amax(0) < 24
        assert abs((ink.sum(0) * line).sum() / ink.sum() - x) < 0.1 * radius + 0.01
        assert abs((ink.sum(1) * line).sum() / ink.sum() - y) < 0.2 * radius + 0.01
        assert 0.2 < ink.sum() / 64**2 / radius**2 < 3.2
        edge = torch.cat((ink[0], ink[-1], ink[:, 0], ink[:, -1]))
        assert not edge.any()


def test_every_word_of_a_caption_can_be_seen():
    known = load("shapes", size=8, limit=3000)
    for name, choices in (("shape", 6), ("colour", 8), ("size", 3), ("background", 5), ("row", 3), ("column", 3)):
        assert torch.bincount(known.factors[name], minlength=choices).min() > 3000 / choices * 0.75
    assert "a large red circle in the centre" in known.captions
    assert "an" not in {c.split()[0] for c in known.captions}
    assert not any("red" in c for c in load("shapes", size=8, channels=1, limit=20).captions)


# Folders and zips


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    """Every odd and every bad file in one folder and in one zip."""
    members = {f"all/{name}": content for name, (content, _) in (READ | REFUSED).items()}
    root = folder(tmp_path_factory.mktemp("strangers"), members)
    (root.parent / "strangers.zip").write_bytes(zipped(members, compression=zipfile.ZIP_STORED))
    return root, root.parent / "strangers.zip"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # PIL says so and reads on
@pytest.mark.parametrize("which", [0, 1])
def test_among_strangers_good_files_are_read_and_bad_ones_named(strangers, which):
    got = load(strangers[which], size=16)
    assert len(got) == got.ledger.read == len(READ)
    assert got.modality.shape == (3, 16, 16)
    told = reasons(got)
    assert set(told) == {f"all/{name}" for name in REFUSED}
    for name, (_, reason) in REFUSED.items():
        assert reason in told[f"all/{name}"]
    for item, name in zip(got.items, sorted(READ), strict=True):
        left, right = READ[name][1]
        assert (item[:, 8, 2] - torch.tensor(left)).abs().max() <= 12
        assert (item[:, 8, 13] - torch.tensor(right)).abs().max() <= 12
    said = got.ledger.summary()
    assert said.startswith(f"{len(READ)} pictures read, {len(REFUSED)} left out: ")
    assert "2 an archive" in said
    assert "3 too few pixels" in said
    assert "3 of several frames: the first taken" in said
    assert "exact duplicates kept" in said
    assert got.labels is None


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_the_first_folder_in_which_names_differ_is_the_class(tmp_path, kind):
    members = {f"set/pets/{name}/{deep}{i}.png": coloured(40 + i) for name, deep in (("dogs", "a/"), ("cats", "")) for i in range(3)}
    members |= {
        "__MACOSX/set/._x.png": b"",
        "set/.DS_Store": b"",
        "set/.git/config": b"",
        "set/pets/cats/Thumbs.db": b"x",
        "set/readme.md": b"hello",
    }
    path = folder(tmp_path / "in", members)
    if kind == "zip":
        path = tmp_path / "in.zip"
        path.write_bytes(zipped(members))
    got = load(path)
    assert got.classes == ("cats", "dogs")
    assert got.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert got.labels.dtype == torch.int64
    assert len(got.ledger.hidden) == 4
    assert reasons(got) == {"set/readme.md": "not an image: none of PNG, JPEG, WEBP, BMP, GIF, TIFF, PPM"}
    assert got.ledger.summary() == "6 pictures read, 1 left out: 1 not an image; 3 exact duplicates kept"
    assert got.source.licence == ""
    assert str(tmp_path) not in repr(got.source)


def test_pictures_beside_the_classes_folders_are_told(tmp_path):
    got = load(folder(tmp_path, {"a/1.png": coloured(50), "b/1.png": coloured(60), "stray.png": coloured(70)}))
    assert got.classes == ("(no folder)", "a", "b")
    assert got.labels.tolist() == [1, 2, 0]
    assert "1 beside the classes' folders" in got.ledger.summary()


def test_channels_and_size_are_as_the_pictures_are(tmp_path):
    grey = {f"{i}.png": saved(halves(20, 20, (i * 20,) * 3, (0, 0, 0))) for i in range(3)}
    assert load(folder(tmp_path, grey)).modality.shape == (1, 32, 32)
    assert load(tmp_path, channels=3, size=20).modality.shape == (3, 20, 20)
    assert load(folder(tmp_path, {"colour.png": png()})).modality.shape == (3, 32, 32)
    assert load(tmp_path, channels=1).modality.shape == (1, 32, 32)


def test_a_limit_reads_only_as_many_as_it_takes(tmp_path):
    members = {f"{i:02}.png": coloured(i + 1) for i in range(30)} | {f"bad{i}.png": b"x" for i in range(10)}
    calls = []
    path = folder(tmp_path, members)
    got = data.load(config.Data(source=str(path), limit=12, size=16), 0, on_progress=lambda done, of: calls.append((done, of)))
    assert len(got) == 12
    assert 12 <= calls[-1][0] < 40
    assert calls[-1][1] == 40
    assert calls[-1][0] == 12 + len(got.ledger.left_out)
    assert f"{calls[-1][0]} of 40 files drawn" in got.ledger.summary()
    levels = got.items[:, 0, 8, 2].tolist()
    assert levels == sorted(levels)
    assert len(set(levels)) == 12
    assert got.digest == load(path, limit=12, size=16).digest != load(path, seed=1, limit=12, size=16).digest
    assert len(load(path, limit=39, size=16)) == 30


def test_links_pipes_and_large_files_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MEMBER_BYTES", 2**20)
    outside = folder(tmp_path / "outside", {"secret.png": png()})
    inside = folder(tmp_path / "inside", {"a.png": coloured(50), "b/b.png": coloured(60), "huge.png": png() + bytes(2**20)})
    (inside / "leads out.png").symlink_to(outside / "secret.png")
    (inside / "stays in.png").symlink_to(inside / "a.png")
    (inside / "leads nowhere.png").symlink_to(inside / "none.png")
    (inside / "round.png").symlink_to(inside / "round.png")
    (inside / "folder out").symlink_to(outside)
    (inside / "folder round").symlink_to(inside)
    os.mkfifo(inside / "pipe.png")
    got = load(inside)
    assert len(got) == 3
    told = reasons(got)
    assert told["leads out.png"] == "a link that leads out of the folder: not followed"
    assert told["folder out"] == told["folder round"] == "a link to a folder: not followed"
    assert told["pipe.png"] == "not a file: a pipe or a device"
    assert told["huge.png"] == "too large: at most 1 MB"
    assert "cannot be opened" in told["leads nowhere.png"]
    assert "cannot be opened" in told["round.png"]
    assert len(told) == 7
    (tmp_path / "link").symlink_to(inside)  # the root itself may be one: it is what was asked for
    assert len(load(tmp_path / "link")) == 3


def test_a_name_in_no_encoding_is_told_in_one(tmp_path):
    for name in (b"caf\xe9.png", b"bell\x07\n.png"):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(b"no picture")
    folder(tmp_path, {"a.png": coloured(50), "b.png": coloured(60)})
    got = load(tmp_path)
    assert set(reasons(got)) == {"caf\\udce9.png", "bell\\x07\\n.png"}


def test_nothing_unpacked_from_a_zip_can_do_harm(tmp_path):
    members = [
        ("a.png", coloured(50)),
        ("b.png", coloured(60)),
        ("b.png", coloured(70)),  # a name twice
        ("win\\dows.png", coloured(80)),
        ("../up.png", png()),
        ("x/../../up.png", png()),
        ("..\\up.png", png()),
        ("/etc/passwd.png", png()),
        ("C:/boot.png", png()),
        ("bomb.png", bytes(20_000_000)),
        ("nested.zip", zipped({"c.png": png()})),
        ("locked.png", png()),
        ("lies.png", png() + bytes(3000)),
        ("corrupt.png", png()),
    ]
    whole = zipped(members, compression=zipfile.ZIP_DEFLATED)
    whole = patched(whole, "locked.png", 8, ("<H", 1))
    whole = patched(whole, "lies.png", 24, ("<I", 50))
    whole = patched(whole, "corrupt.png", 16, ("<I", 12345))
    path = tmp_path / "in.zip"
    path.write_bytes(whole)
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("tight.png", png(), compress_type=zipfile.ZIP_LZMA)
    before = set(tmp_path.rglob("*"))
    got = load(path)
    assert len(got) == 4
    assert set(tmp_path.rglob("*")) == before
    told = reasons(got)
    assert told["../up.png"] == told["x/../../up.png"] == told["..\\up.png"] == "a name that leads out of the archive: refused"
    assert told["/etc/passwd.png"] == told["C:/boot.png"] == "an absolute name: refused"
    assert told["bomb.png"] == "a zip bomb: packed more than 200 to 1"
    assert told["nested.zip"] == "an archive: unpack it first"
    assert told["locked.png"] == "encrypted: unlock the archive first"
    assert told["link.png"] == "a link: not followed"
    assert "cannot be read" in told["lies.png"]
    assert "cannot be read" in told["corrupt.png"]
    assert "packed by a method" in told["tight.png"]
    assert len(told) == 12


def test_a_zip_beyond_a_limit_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "in.zip"
    whole = zipped({f"{i}.png": coloured(i) for i in range(12)})
    path.write_bytes(patched(patched(whole, "1.png", 24, ("<I", 2**32 - 2)), "2.png", 24, ("<I", 2**32 - 2)))
    assert "8.0 GB unpacked, at most 4 GB" in refusal(path)
    path.write_bytes(whole)
    monkeypatch.setattr(files, "MEMBERS", 10)
    assert "12 files in the zip, at most 10" in refusal(path)
    monkeypatch.setattr(files, "MEMBERS", 100)
    monkeypatch.setattr(files, "MEMBER_BYTES", 60)
    assert "12 left out: 12 too large" in refusal(path)


def _whole():
    return zipped({"a.png": coloured(50), "b.png": coloured(60)})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "neither a folder nor a zip"),
        (b"words", "neither a folder nor a zip"),
        (png(), "neither a folder nor a zip"),
        (_whole()[:-30], "damaged or cut short"),
        (_whole()[:100], "damaged or cut short"),
        (_whole().replace(b"PK\x01\x02", b"PK\x09\x09"), "damaged or cut short"),
        (zipped({}), "at least 2 pictures are needed: 0 pictures read"),
        (zipped({".a.png": png(), "__MACOSX/b.png": png()}), "at least 2 pictures are needed: 0 pictures read"),
        (zipped({"a.png": png(), "b.txt": b"words"}), "at least 2 pictures are needed: 1 picture read, 1 left out: 1 not an image"),
    ],
)
def test_a_zip_without_pictures_is_told(tmp_path, content, said):
    path = tmp_path / "in.zip"
    path.write_bytes(content)
    assert said in refusal(path)


def test_an_empty_folder_is_told(tmp_path):
    assert "at least 2 pictures are needed: 0 pictures read" in refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root opens every folder")
def test_a_folder_that_cannot_be_opened_is_told(tmp_path):
    folder(tmp_path, {"shut/a.png": png()})
    (tmp_path / "shut").chmod(0)
    assert "cannot be opened: Permission denied" in refusal(tmp_path / "shut")


def test_what_goes_wrong_in_the_callers_hands_is_not_blamed_on_the_data(tmp_path):
    def stop(done, of):
        raise OSError("the page is gone")

    with pytest.raises(OSError, match="the page is gone"):
        data.load(config.Data(source=str(folder(tmp_path, {"a.png": png(), "b.png": png()}))), on_progress=stop)


# Datasets


def test_a_split_shares_the_items_out_once():
    whole = load("shapes", size=8, limit=101)
    train, held = whole.split(0.1, seed=3)
    assert len(train) == 91
    assert len(held) == 10
    rows = [{i.numpy().tobytes() for i in part.items} for part in (train, held)]
    assert not rows[0] & rows[1]
    assert rows[0] | rows[1] == {i.numpy().tobytes() for i in whole.items}
    for i in range(10):
        at = int((whole.items == held.items[i]).flatten(1).all(1).nonzero()[0])
        assert held.captions[i] == whole.captions[at]
        assert held.labels[i] == whole.labels[at]
        assert held.factors["x"][i] == whole.factors["x"][at]
    assert whole.split(0.1, seed=3)[1].digest == held.digest != whole.split(0.1, seed=4)[1].digest
    assert whole.split(0, seed=3) == (whole, None)
    assert [len(part) for part in whole.take(torch.arange(2)).split(0.01, 0)] == [1, 1]
    assert [len(part) for part in whole.take(torch.arange(2)).split(0.5, 0)] == [1, 1]


def test_the_digest_changes_with_any_pixel_or_label():
    whole = load("digits", limit=20)
    other = load("digits", limit=20)
    assert whole.digest == other.digest
    assert len(whole.digest) == 64
    other = load("digits", limit=20)
    other.items[7, 0, 3, 3] ^= 1
    assert other.digest != whole.digest
    other = load("digits", limit=20)
    other.labels[7] = (other.labels[7] + 1) % 10
    assert other.digest != whole.digest


def test_duplicates_are_kept_and_counted(tmp_path):
    got = load(
        folder(tmp_path, {"a.png": coloured(50), "b.png": coloured(50), "c.bmp": saved(halves(left=(50, 0, 0), right=(0, 0, 50)), "BMP")})
    )
    assert len(got) == 3
    assert "2 exact duplicates kept" in got.ledger.notes


# Batches


@pytest.fixture(scope="module")
def numbered():
    """103 pictures of which each says its number."""
    whole = load("digits", limit=103)
    whole.items[:] = torch.arange(103, dtype=torch.uint8).view(-1, 1, 1, 1)
    whole.items[:, :, :, :14] = 200
    whole.labels[:] = torch.arange(103)
    return whole


def test_an_epoch_shows_every_item_once(numbered):
    batches = data.Batches(numbered, 10, seed=5)
    assert batches.steps_per_epoch == 10
    seen = torch.cat([batches.at(step)[1] for step in range(10)])
    assert len(set(seen.tolist())) == 100
    items, labels = batches.at(3)
    assert items.dtype == torch.uint8
    assert items.shape == (10, 1, 28, 28)
    assert items[:, 0, 0, -1].tolist() == labels.tolist()
    again = torch.cat([batches.at(step)[1] for step in range(10, 20)])
    assert not torch.equal(seen, again)


def test_a_batch_follows_from_the_seed_and_the_step_alone(numbered):
    straight = data.Batches(numbered, 10, seed=5, mirror=True)
    wanted = [straight.at(step) for step in range(25)]
    jumping = data.Batches(numbered, 10, seed=5, mirror=True)
    for step in (24, 3, 17, 3, 0):
        assert all(map(torch.equal, jumping.at(step), wanted[step]))
    assert not torch.equal(data.Batches(numbered, 10, seed=6).at(0)[1], wanted[0][1])


@pytest.mark.parametrize("world", [2, 3, 10])
def test_processes_together_see_what_one_would(numbered, world):
    one = data.Batches(numbered, 10, seed=5, mirror=True)
    many = [data.Batches(numbered, 10, seed=5, rank=rank, world=world, mirror=True) for rank in range(world)]
    for step in (0, 7, 12):
        items, labels = one.at(step)
        for rank, batches in enumerate(many):
            assert torch.equal(batches.at(step)[0], items[rank::world])
            assert torch.equal(batches.at(step)[1], labels[rank::world])


def test_a_set_smaller_than_a_batch_is_the_batch(numbered):
    batches = data.Batches(numbered.take(torch.arange(7)), 64, seed=0)
    assert batches.steps_per_epoch == 1
    assert sorted(batches.at(0)[1].tolist()) == sorted(batches.at(9)[1].tolist()) == list(range(7))
    with pytest.raises(ValueError, match="7 items a step cannot be shared by 8 processes"):
        data.Batches(numbered.take(torch.arange(7)), 64, seed=0, rank=1, world=8)


def test_mirroring_turns_half_and_leaves_the_data_alone(numbered):
    before = numbered.digest
    batches = data.Batches(numbered, 100, seed=5, mirror=True)
    turned = sum(int((batches.at(step)[0][:, 0, 0, 0] != 200).sum()) for step in range(10))
    assert 400 < turned < 600
    patterns = {tuple((batches.at(step)[0][:, 0, 0, 0] != 200).tolist()) for step in range(10)}
    assert len(patterns) == 10
    items, labels = batches.at(0)
    flat = torch.where((items[:, :, :, :1] == 200), items, items.flip(-1))
    assert torch.equal(flat, numbered.items[labels])
    assert dataclasses.replace(numbered).digest == before  # a copy has cached none


def test_labels_may_be_missing(tmp_path):
    got = load(folder(tmp_path, {f"{i}.png": coloured(i) for i in range(4)}))
    assert data.Batches(got, 2, seed=0).at(0)[1] is None
