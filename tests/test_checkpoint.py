"""A checkpoint comes back as it was saved, is replaced whole or not at all, and nothing that a stranger puts in its place does harm."""

import errno
import hashlib
import json
import os
import pickle
import resource
import shutil
import sys
import threading
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from toys import FAMILIES, curved, same_bytes, tiny

from aigc_demo import checkpoint, files, model, trainer
from aigc_demo.checkpoint import CheckpointError


def sample(built, n=5):
    latents = model.draw_latents(built.latent, 3, range(n))
    with torch.inference_mode():
        return built.sample(latents, built.Sampling(), torch.arange(n) % built.classes if built.classes else None)


def saved_again(made, folder, changes=None, **others):
    """The checkpoint `made`, saved at `folder` with some of its run changed."""
    weights = safetensors.torch.load((made.path / "model.safetensors").read_bytes())
    run = model.plan(made.preset, {**model.changed(made.manifest.run), **(changes or {})})
    given = {"weights": weights, "classes": made.manifest.classes, **others}
    return checkpoint.save(folder, given["weights"], run, made.modality, given["classes"], made.manifest.source, made.manifest.training)


# Round trip


def test_a_checkpoint_comes_back_as_it_was_saved(made, tmp_path):
    again = saved_again(made, tmp_path / "again")
    assert again.manifest == made.manifest
    assert checkpoint.read(again.path) == again
    before, after = checkpoint.load(made), checkpoint.load(again)
    assert not after.training
    assert not any(p.requires_grad for p in after.parameters())
    assert torch.equal(sample(before), sample(after))
    assert after.classes == 10
    assert made.manifest.classes == tuple("0123456789")


def test_a_checkpoint_draws_what_the_trainers_averages_drew(home):
    for family in FAMILIES:
        folder = home / family
        folder.mkdir(parents=True)
        made = trainer.Trainer(tiny(f"{family}:tiny", 4))
        list(trainer.train(made))
        with made.averaged() as averaged:
            expected = sample(averaged)
        torch.testing.assert_close(sample(checkpoint.load(trainer.finish(made, folder))), expected, atol=1e-6, rtol=0)


def test_float16_halves_the_file_and_draws_nearly_the_same(made, tmp_path):
    half = saved_again(made, tmp_path / "half", {"train.weights": "float16"})
    assert 0.4 < half.bytes / made.bytes < 0.75
    stored = safetensors.torch.load((half.path / "model.safetensors").read_bytes())
    assert {v.dtype for v in stored.values() if v.is_floating_point()} == {torch.float16}
    built = checkpoint.load(half)
    assert {v.dtype for v in list(built.phases().values())[-1].state_dict().values() if v.is_floating_point()} == {torch.float32}
    assert (sample(built) - sample(checkpoint.load(made))).abs().max() < 0.02


def test_a_number_beyond_float16_is_not_stored_as_infinity(made, tmp_path):
    weights = safetensors.torch.load((made.path / "model.safetensors").read_bytes())
    name = next(k for k, v in sorted(weights.items()) if v.is_floating_point())
    weights[name] = weights[name] + 1e6
    loaded = checkpoint.load(saved_again(made, tmp_path / "half", {"train.weights": "float16"}, weights=weights))
    assert list(loaded.phases().values())[-1].state_dict()[name].max() > 9e5


def test_the_card_says_where_it_comes_from(made):
    card = (made.path / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: ")
    assert made.manifest.training.command in card
    assert "CC BY 4.0" in card
    assert f"aigc sample {made.manifest.run.name}" in card
    assert f"{made.manifest.training.items:,} items seen" in card
    draws = checkpoint.load(made).classes > 0 and made.manifest.run.family != "text_to_image"
    assert ("class-conditional" in card) == draws


def test_the_digest_is_of_the_content(made, tmp_path):
    assert made.digest == hashlib.sha256((made.path / "config.json").read_bytes()).hexdigest()
    assert made.manifest.weights == hashlib.sha256((made.path / "model.safetensors").read_bytes()).hexdigest()
    assert checkpoint.copy(made, tmp_path / "copy").digest == made.digest
    other = saved_again(made, tmp_path / "other", {"seed": 5})
    assert other.digest != made.digest


# Whole or not at all


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("way", ["save", "copy"])
@pytest.mark.parametrize("nth", range(1, 7))
def test_a_crash_at_any_rename_leaves_the_old_one_or_the_new_one(all_made, tmp_path, monkeypatch, way, nth):
    old, new = all_made[FAMILIES[0]], all_made[FAMILIES[-1]]
    folder = tmp_path / "there"
    checkpoint.copy(old, folder)
    before = contents(folder)
    real, calls = os.replace, []

    def crash(source, target):
        calls.append(target)
        if len(calls) == nth:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(source, target)

    said = ""
    with monkeypatch.context() as disk:
        disk.setattr(os, "replace", crash)
        try:
            saved_again(new, folder) if way == "save" else checkpoint.copy(new, folder)
        except files.StorageError as error:
            said = str(error)
    assert bool(said) == (len(calls) >= nth)
    if said:
        assert said.startswith(str(tmp_path))
        assert contents(folder) == before
        assert checkpoint.load(checkpoint.read(folder))
    else:
        assert checkpoint.read(folder).preset == new.preset
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".there")] == []


@pytest.mark.skipif(sys.platform != "linux", reason="two folders change places in one instant there alone")
def test_a_checkpoint_that_is_replaced_is_there_at_every_instant(made, tmp_path):
    folder = tmp_path / "there"
    checkpoint.copy(made, folder)
    looks, over = [], threading.Event()

    def look():
        while not over.is_set():
            looks.append((folder / "config.json").exists())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(20):
            checkpoint.copy(made, folder)
    finally:
        over.set()
        watcher.join()
    assert len(looks) > 100
    assert all(looks)


def test_a_process_that_died_between_the_renames_loses_nothing(made, tmp_path):
    folder = tmp_path / "there"
    checkpoint.copy(made, tmp_path / ".there.old")  # as kill -9 would leave it
    (tmp_path / ".there.new").mkdir()
    with pytest.raises(files.StorageError):
        checkpoint.save(folder, {}, made.manifest.run, made.modality, (), made.manifest.source, made.manifest.training, {"a" * 300: b""})
    assert checkpoint.read(folder).digest == made.digest


def test_a_full_disk_is_said_and_the_old_one_stays(made, tmp_path, monkeypatch):
    folder = tmp_path / "there"
    checkpoint.copy(made, folder)
    before = contents(folder)

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(files.StorageError, match="could not be written: the disk is full"):
            saved_again(made, folder, {"seed": 9})
    assert contents(folder) == before
    assert {p.name for p in tmp_path.iterdir()} == {"there", "home"}


def test_copy_takes_the_place_of_no_other_folder(made, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.png").write_bytes(b"dear to me")
    with pytest.raises(CheckpointError, match="exists and is not a checkpoint"):
        checkpoint.copy(made, tmp_path / "mine")
    assert os.listdir(tmp_path / "mine") == ["photo.png"]


# Strangers' checkpoints


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def write_weights(folder, data):
    """Puts `data` in the weights' place, with the hash in the manifest: a stranger who is careful."""
    (folder / "model.safetensors").write_bytes(data)
    edit(folder, lambda c: c.update(weights=hashlib.sha256(data).hexdigest()))


def edit(folder, change):
    path = folder / "config.json"
    values = json.loads(path.read_bytes())
    change(values)
    path.write_text(json.dumps(values))


def tensors(folder, change):
    write_weights(folder, safetensors.torch.save(change(safetensors.torch.load((folder / "model.safetensors").read_bytes()))))


def first(weights, change):
    """`weights` with the first tensor of floats changed."""
    name = next(k for k, v in sorted(weights.items()) if v.is_floating_point() and v.dim())
    return {**weights, name: change(weights[name]).contiguous()}


def cut(name, to):
    def harm(folder):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: to if to >= 0 else len(data) + to])

    return harm


def flip(folder):
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.safetensors").write_bytes(data)


def torch_pickle(folder):
    torch.save({"weights": Trap(folder.parent / "harm")}, folder / "model.safetensors")
    write_weights(folder, (folder / "model.safetensors").read_bytes())


def retyped(dtype):
    """The weights' names and shapes, as numbers of another kind; their bytes are zeros."""
    bits = {"C64": 64, "F4": 4}.get(dtype, 8)

    def harm(folder):
        header, at = {}, 0
        for name, tensor in safetensors.torch.load((folder / "model.safetensors").read_bytes()).items():
            size = tensor.numel() * bits // 8
            header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [at, at := at + size]}
        told = json.dumps(header).encode()
        write_weights(folder, len(told).to_bytes(8, "little") + told + bytes(at))

    return harm


def lying_header(folder):
    """A header that claims a tensor of 8 TB."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 20, 1 << 21], "data_offsets": [0, 1 << 43]}}).encode()
    write_weights(folder, len(header).to_bytes(8, "little") + header + b"\0" * 64)


def remove(name):
    return lambda folder: (folder / name).unlink()


def replaced_by_folder(name):
    def harm(folder):
        (folder / name).unlink()
        (folder / name).mkdir()

    return harm


def replaced_by_pipe(name):
    def harm(folder):
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return harm


def config(change):
    return lambda folder: edit(folder, change)


def text(content):
    return lambda folder: (folder / "config.json").write_bytes(content)


def run(**values):
    return config(lambda c: c["run"].update(values))


def huge(**values):
    """A picture of the largest size and a network that would fill hundreds of gigabytes."""
    return config(lambda c: (c["modality"].update(size=512, channels=3), c["run"]["model"].update(values)))


HOSTILE = {
    # what is not there, or not whole
    "no config": remove("config.json"),
    "no weights": remove("model.safetensors"),
    "a folder for a config": replaced_by_folder("config.json"),
    "a folder for weights": replaced_by_folder("model.safetensors"),
    "a pipe for a config": replaced_by_pipe("config.json"),
    "a pipe for weights": replaced_by_pipe("model.safetensors"),
    "an empty config": cut("config.json", 0),
    "a config cut short": cut("config.json", -2),
    "empty weights": cut("model.safetensors", 0),
    "weights cut by a byte": cut("model.safetensors", -1),
    "weights cut in the header": cut("model.safetensors", 40),
    "one bit of the weights": flip,
    # a config of something else
    "a list": text(b"[]"),
    "a word": text(b'"aigc_demo"'),
    "a number of a million digits": text(b'{"aigc_demo": ' + b"9" * 900_000 + b"}"),
    "a nesting of half a million": text(b'{"aigc_demo": ' + b"[" * 500_000),
    "not text": text(bytes(range(128, 256))),
    "a config of 2 MB": text(b'{"aigc_demo": "' + b" " * (2 << 20) + b'"}'),
    "a transformer of another library": text(b'{"model_type": "gpt2", "vocab_size": 50257}'),
    "a later layout": config(lambda c: c.update(layout=2)),
    "a field that nobody knows": config(lambda c: c.update({"auto_map": {"AutoModel": "modeling.Model"}})),
    "a field with a line break": config(lambda c: c.update({"a\nb": 1})),
    "no run": config(lambda c: c.pop("run")),
    "a hash that is none": config(lambda c: c.update(weights="../../etc/passwd")),
    "a hash of other weights": config(lambda c: c.update(weights="0" * 64)),
    "a step count that is not a number": config(lambda c: c["training"].update(steps=float("nan"))),
    # a model that does not exist, or does not fit
    "a family that is a path": run(family="../../../tmp/evil"),
    "a family that is a module": run(family="os"),
    "a family that is dotted": run(family="..data.files"),
    "a preset that does not exist": config(lambda c: c["run"]["model"].update(latent=-1)),
    "a setting that does not exist": config(lambda c: c["run"]["model"].update(__class__="os.system")),
    "a network that does not exist": config(lambda c: c["run"]["model"].update(network="__import__('os')")),
    "a latent of another width": config(lambda c: c["run"]["model"].update(latent=9)),
    "a modality that is a module": config(lambda c: c["modality"].update(kind="../../os")),
    "a modality that is a list": config(lambda c: c["modality"].update(kind=[])),
    "a modality without a size": config(lambda c: c["modality"].pop("size")),
    "a modality with a field too many": config(lambda c: c["modality"].update(rate=8000)),
    "a picture of a million pixels a side": config(lambda c: c["modality"].update(size=1_000_000)),
    "a picture of a size that cannot be halved": config(lambda c: c["modality"].update(size=29)),
    "a picture of another size": config(lambda c: c["modality"].update(size=512)),
    "no classes": config(lambda c: c.update(classes=[])),
    "a hundred thousand classes": config(lambda c: c.update(classes=["a"] * 100_000)),
    "classes that are numbers": config(lambda c: c.update(classes=[1, 2])),
    "the widest network there is": huge(width=512, latent=1024),
    "the widest dense network there is": huge(network="mlp", hidden=[8192] * 8),
    # weights that are something else, under a hash that agrees
    "a pickle": lambda f: write_weights(f, pickle.dumps({"a": Trap(f.parent / "harm")})),
    "a pickle of torch": torch_pickle,
    "noise": lambda f: write_weights(f, bytes(range(256)) * 64),
    "a header of 8 TB": lying_header,
    "a header longer than the file": lambda f: write_weights(f, (1 << 62).to_bytes(8, "little") + b"{}"),
    "no tensors": lambda f: tensors(f, lambda w: {}),
    "a tensor too few": lambda f: tensors(f, lambda w: dict(sorted(w.items())[1:])),
    "a tensor too many": lambda f: tensors(f, lambda w: {**w, "more": torch.zeros(2)}),
    "a tensor of another shape": lambda f: tensors(f, lambda w: first(w, lambda v: torch.cat([v, v]))),
    "a tensor of integers": lambda f: tensors(f, lambda w: first(w, lambda v: v.to(torch.int32))),
    "tensors of complex numbers": retyped("C64"),
    "tensors of eighths": retyped("F8_E8M0"),
    "tensors of halves of bytes": retyped("F4"),
    "tensors of nothing known": retyped("F3"),
    "tensors of an endless name with a line break": retyped("F\n" * 50_000),
    "a number that is not one": lambda f: tensors(f, lambda w: first(w, lambda v: v.where(v != v.flatten()[0], torch.nan))),
    "an infinite number": lambda f: tensors(f, lambda w: first(w, lambda v: v.where(v != v.flatten()[0], torch.inf))),
    "an infinite half": lambda f: tensors(f, lambda w: first(w, lambda v: (v + 1e6).half())),
}


@pytest.mark.parametrize("harm", HOSTILE)
@pytest.mark.filterwarnings("ignore:.*pickle.*")
def test_a_strangers_checkpoint_is_refused_in_a_sentence_and_nothing_happens(harm, made, tmp_path):
    folder = made.path
    HOSTILE[harm](folder)
    before = most_memory()
    with pytest.raises(CheckpointError) as error:
        checkpoint.load(checkpoint.read(folder))
    said = str(error.value)
    assert str(folder) in said
    assert said.isprintable()
    assert len(said) < len(str(folder)) + 300
    assert not (folder.parent / "harm").exists(), "something was unpickled"
    assert most_memory() - before < 200_000_000, "memory was taken before the shapes were compared"


def most_memory():
    """The most bytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def test_the_traps_would_work(tmp_path):
    pickle.loads(pickle.dumps(Trap(tmp_path / "harm"))).close()
    assert (tmp_path / "harm").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "optimizer.pkl", "modeling.py"])
def test_other_files_beside_a_checkpoint_are_not_opened(name, made):
    trap = pickle.dumps(Trap(made.path / "harm")) if not name.endswith(".py") else b"open('harm', 'w')"
    (made.path / name).write_bytes(trap)
    checkpoint.load(checkpoint.read(made.path))
    assert not (made.path / "harm").exists()


def test_directions_of_other_weights_or_broken_ones_are_not_used(made):
    found = checkpoint.read_directions(made)
    assert found.vectors.shape[1:] == checkpoint.load(made).latent
    path = made.path / "directions.safetensors"
    good = path.read_bytes()
    tensors = safetensors.torch.load(good)
    metadata = {"weights": made.manifest.weights}
    empty = [""] * len(found)
    bad = {
        "cut": good[:-1],
        "other weights": safetensors.torch.save(tensors, {"weights": "0" * 64}),
        "no word of weights": safetensors.torch.save(tensors),
        "too few effects": safetensors.torch.save({**tensors, "effects": tensors["effects"][1:].clone()}, metadata),
        "not finite": safetensors.torch.save({**tensors, "effects": tensors["effects"] / 0}, metadata),
        "flat": safetensors.torch.save({"directions": torch.zeros(3), "effects": torch.zeros(3)}, metadata),
        "missing": safetensors.torch.save({"directions": tensors["directions"]}, metadata),
        **{
            f"names {names!r:.20}": safetensors.torch.save(tensors, {**metadata, "names": names})
            for names in ("", "no JSON", "{}", "[1]", *map(json.dumps, (empty[1:], [*empty[1:], 7], [*empty[1:], "x" * 65])))
        },
        "deep": safetensors.torch.save(tensors, {**metadata, "methods": "[" * 100_000}),
    }
    for name, data in bad.items():
        path.write_bytes(data)
        assert checkpoint.read_directions(made) is None, name
    path.write_bytes(good)
    assert torch.equal(checkpoint.read_directions(made).vectors, found.vectors)


def test_directions_keep_their_methods_and_names_and_files_without_them_are_read(made):
    found = checkpoint.read_directions(made)
    named = replace(found, methods=("pca",) * len(found), names=("slant", *[""] * (len(found) - 2), "我的"))
    checkpoint.write_directions(made, named)
    again = checkpoint.read_directions(made)
    assert (again.methods, again.names) == (named.methods, named.names)
    assert torch.equal(again.effects, found.effects)
    path = made.path / "directions.safetensors"
    path.write_bytes(safetensors.torch.save(safetensors.torch.load_file(path), {"weights": made.manifest.weights}))
    old = checkpoint.read_directions(made)
    assert (set(old.methods), set(old.names)) == ({"jacobian"}, {""})
    assert torch.equal(old.vectors, found.vectors)


def test_a_curve_is_kept_with_its_directions_and_a_broken_one_is_not_used(made):
    found = curved(checkpoint.load(made).latent)
    checkpoint.write_directions(made, found)
    again = checkpoint.read_directions(made)
    assert torch.equal(again.vectors, found.vectors)
    assert again.curve.state_dict().keys() == found.curve.state_dict().keys()
    assert all(torch.equal(again.curve.state_dict()[k], v) for k, v in found.curve.state_dict().items())
    path = made.path / "directions.safetensors"
    good = path.read_bytes()
    checkpoint.write_directions(made, again)
    assert same_bytes(path.read_bytes(), good) == []
    tensors, metadata = safetensors.torch.load(good), {"weights": made.manifest.weights}
    size = len(tensors["curve.turn"])
    bad = {
        "no turn": {k: v for k, v in tensors.items() if k != "curve.turn"},
        "no last layer": {k: v for k, v in tensors.items() if not k.startswith("curve.layers.5.2")},
        "a number more": {**tensors, "curve.turn": torch.eye(size + 1)},
        "of another latent": tensors | {f"curve.{k}": v for k, v in curved((size + 1,)).curve.state_dict().items()},
        "of a single number": {**tensors, "curve.turn": torch.eye(1)},
        "immense": {**tensors, "curve.layers.0.0.weight": torch.zeros(1 << 20, size // 2)},
        "flat": {**tensors, "curve.turn": torch.tensor(1.0)},
        "not finite": {**tensors, "curve.turn": tensors["curve.turn"] / 0},
    }
    for name, changed in bad.items():
        path.write_bytes(safetensors.torch.save(changed, metadata))
        assert checkpoint.read_directions(made) is None, name


# The shelf, and names


def test_the_shelf_reads_no_weights_and_leaves_out_what_is_broken(all_made, home):
    for name, made in all_made.items():
        (made.path / "model.safetensors").write_bytes(b"never read")
        shutil.copytree(made.path, home / "runs" / f"broken-{name}" / "checkpoint")
        (home / "runs" / f"broken-{name}" / "checkpoint" / "config.json").write_text("{")
        shutil.copytree(made.path, home / "runs" / f"empty-{name}" / "checkpoint")
        (home / "runs" / f"empty-{name}" / "checkpoint" / "model.safetensors").unlink()
    (home / "runs" / "fresh").mkdir()
    (home / "runs" / "fresh" / "config.json").write_text(tiny("vae:tiny", 1).model_dump_json())
    (home / "runs" / "file").write_text("")
    found = checkpoint.shelf(home / "runs", home / "nowhere")
    assert [c.name for c in found] == [f"{f}-toy" for f in FAMILIES]
    assert [c.bytes for c in found] == [10] * len(FAMILIES)


def test_a_name_finds_a_runs_checkpoint_and_says_what_there_is(made):
    name = f"{made.manifest.run.family}-toy"
    assert checkpoint.find(name).digest == made.digest
    assert checkpoint.find(name).name == name
    with pytest.raises(CheckpointError, match="checkpoint nobody: not here"):
        checkpoint.find("nobody")


PATHS = ["../runs", "..", ".", "", "/", "a/b", "a\\b", "\0", "a\0b", "~", ".hidden", "-x", "a" * 65, "a" * 5000, "a b", "ä", "run\n", "%2e"]
NOWHERE = ["\0", "a\0b", "a" * 5000, "a/" * 5000, "/proc/self", "/dev/null", "nowhere/at all", "\ud800", "new\nline"]


@pytest.mark.parametrize("name", PATHS)
def test_a_name_that_is_a_path_is_no_name(name, made, home):
    shutil.copytree(made.path, home / "checkpoint")
    with pytest.raises(CheckpointError) as error:
        checkpoint.find(name)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("name", NOWHERE)
def test_a_path_that_leads_nowhere_is_a_sentence_too(name):
    with pytest.raises(CheckpointError) as error:
        checkpoint.find(name, anywhere=True)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 400


def test_an_absolute_path_and_one_up_are_paths_only_for_who_may(made, tmp_path, monkeypatch):
    checkpoint.copy(made, tmp_path / "elsewhere")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for path in (str(tmp_path / "elsewhere"), "../elsewhere"):
        assert checkpoint.find(path, anywhere=True).digest == made.digest
        with pytest.raises(CheckpointError):
            checkpoint.find(path)
    run = made.path.parent
    assert checkpoint.find(str(run), anywhere=True).digest == made.digest, "a run's folder is its checkpoint's"
    (tmp_path / "elsewhere" / "config.json").write_text('{"aigc_demo": "0", "run": 3}')
    with pytest.raises(CheckpointError, match="run: 3 is not a group of settings"):
        checkpoint.find("../elsewhere", anywhere=True)
