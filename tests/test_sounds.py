"""Data that is heard: what the program draws has the pitch it says, folders of clips are read, and a run on them makes sounds."""

import dataclasses
import io
import json
import math
import zipfile

import numpy as np
import pytest
import safetensors.torch
import soundfile
import torch
from test_audio import file, loudest, sine
from toys import tiny

from aigc_demo import checkpoint, config, data, engine, modality, trainer
from aigc_demo.data import tones
from aigc_demo.data.sources import TONES
from aigc_demo.exploration import inversion, walks
from aigc_demo.modalities import audio
from aigc_demo.nets.vocoder import Vocoder
from aigc_demo.provenance import label
from benchmarks.sound import distance, pitch

CLIP = audio.Modality()


def load(source, seed=0, part="train", **spec):
    return data.load(config.Data(source=str(source), **spec), seed, part=part)


# Tones


def test_tones_follow_from_the_seed_and_each_from_its_number():
    some, more = load("tones", limit=20), load("tones", limit=30)
    assert some.items.shape == (20, 1, 64, 64)
    assert some.items.dtype == torch.uint8
    assert torch.equal(some.labels, more.labels[:20])
    drums = more.labels[:20] == tones.DRUM  # their noise is drawn for all at once
    assert (some.items[~drums].int() - more.items[:20][~drums].int()).abs().max() <= 1, "rounding alone"
    assert len({load("tones", seed, part, limit=8).digest for seed in (0, 1) for part in ("train", "test")}) == 4
    assert some.classes == TONES
    assert some.ledger.summary() == "20 clips read"


def test_a_note_has_its_pitch_and_a_chord_its_tones():
    known = tones.factors(300, 3)
    waves = torch.cat(list(tones.draw(known, 8000, 8000, 0)))
    assert waves.abs().amax(1).sub(1).abs().max() < 1e-5
    hertz = tones.hertz(known["pitch"])
    for i in range(300):
        what, fundamental = int(known["what"][i]), float(hertz[i])
        if what < tones.NOTES:
            assert 1200 * abs(math.log2(loudest(waves[i]) / fundamental)) < 8, "cents"
            assert abs(100 * (float(known["pitch"][i]) - 48 - what)) <= 5.01
        elif what in tones.CHORDS:
            power = np.abs(np.fft.rfft(waves[i].numpy(), 1 << 15))
            for step in tones.CHORDS[what]:
                at = round(fundamental * 2 ** (step / 12) * (1 << 15) / 8000)
                assert power[at - 4 : at + 5].max() > 0.2 * power.max()
    shares = torch.bincount(known["what"], minlength=len(TONES)) / 300
    assert shares[tones.DRUM] == pytest.approx(tones.SHARES[3], abs=0.06)
    assert shares[: tones.NOTES].sum() == pytest.approx(tones.SHARES[0], abs=0.08)


@pytest.mark.parametrize(("field", "value", "said"), [
    ("channels", 3, "data.channels: 3 means nothing for tones, which is of sounds"),
    ("mirror", True, "data.mirror: True means nothing for tones"),
    ("size", 300, "data.size: 300 is not a whole number of bands and moments from 16 to 256"),
])  # fmt: skip
def test_what_a_sound_cannot_have_is_refused_by_name(field, value, said):
    with pytest.raises(data.DataError, match=f"^{said}"):
        load("tones", limit=4, **{field: value})


def test_rate_and_length_are_settings():
    found = load("tones", limit=4, rate=16_000, seconds=0.5, size=32)
    assert found.modality == audio.Modality(16_000, 0.5, 32)
    assert found.items.shape == (4, 1, 32, 32)


def test_the_benchmark_hears_a_pitch_and_a_difference():
    known = tones.factors(60, 5)
    which = known["what"] < tones.NOTES
    waves = next(tones.draw({name: v[which][:20] for name, v in known.items()}, 8000, 8000, 0))
    for wave, hertz in zip(waves, tones.hertz(known["pitch"][which]), strict=False):
        assert 1200 * abs(math.log2(pitch(wave.numpy(), 8000) / hertz)) < 8, "cents"
    assert distance(CLIP, waves, waves) == 0
    assert distance(CLIP, waves, 0.5 * waves) == pytest.approx(0, abs=1e-3), "loudness aside"
    assert distance(CLIP, waves, waves.flip(0)) > 10


# Files


def spoken(folder, speakers=("ada", "bob"), takes=7):
    place = folder / "fsdd" / "recordings"
    place.mkdir(parents=True)
    for digit in range(10):
        for k, speaker in enumerate(speakers):
            for take in range(takes):
                (place / f"{digit}_{speaker}_{take}.wav").write_bytes(file(sine(200 + 60 * digit + 20 * k + take, 0.3)))
    return folder


def test_spoken_digits_have_the_official_split(tmp_path, monkeypatch):
    monkeypatch.setenv("AIGC_DATA", str(spoken(tmp_path)))
    train, test = load("spoken-digits"), load("spoken-digits", part="test")
    assert (len(train), len(test)) == (10 * 2 * 2, 10 * 2 * 5)
    assert torch.bincount(test.labels).tolist() == [10] * 10
    assert torch.bincount(train.factors["speaker"]).tolist() == [20, 20]
    heard = test.items[:, 0, :, 5:].float().mean(2).argmax(1)  # the lower the row, the higher the band
    assert heard[test.labels == 9].float().mean() < heard[test.labels == 0].float().mean()


def test_without_the_recordings_a_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("AIGC_DATA", str(tmp_path))
    with pytest.raises(
        data.DataError, match=r"^spoken-digits: not here: set AIGC_DATA to a folder that holds fsdd/recordings, or take `tones`"
    ):
        load("spoken-digits")


def clips(path):
    members = {
        "low/a.wav": file(sine(200)), "low/b.flac": file(sine(220), kind="FLAC"), "high/c.ogg": file(sine(900), kind="OGG"),
        "high/d.mp3": file(sine(950, rate=22_050), 22_050, "MP3"), "high/long.wav": file(sine(800, 3.0)),
        "high/silence.wav": file(np.zeros(4000)), "high/one.wav": file(np.array([0.5])), "high/words.wav": b"no sound at all",
        "high/nan.wav": file(np.full(900, np.nan), subtype="FLOAT"),
    }  # fmt: skip
    for name, content in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_or_zip_of_clips_is_read_and_what_is_none_is_named(tmp_path, packed):
    path = clips(tmp_path / "in")
    if packed:
        with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
            for one in sorted(path.rglob("*.*")):
                archive.write(one, one.relative_to(path))
        path = tmp_path / "in.zip"
    found = load(path)
    assert found.modality == audio.modality(8000, 1.0, 64)
    assert found.classes == ("high", "low")
    assert found.labels.tolist() == [0, 0, 0, 1, 1]
    left = dict(found.ledger.left_out)
    assert left["high/silence.wav"].startswith("silent")
    assert left["high/one.wav"] == "too short: 1 sample"
    assert left["high/words.wav"] == "not a sound: none of WAV, FLAC, OGG, MP3"
    assert left["high/nan.wav"] == "damaged: its samples are not all finite numbers"
    assert found.ledger.summary().startswith("5 clips read, 4 left out: ")
    assert "1 longer than 1 s: cut" in found.ledger.notes
    assert found.source.about == "Your own clips; their licence is yours to know."


# A modality's files travel with the checkpoint


def weights(bands=64, bins=257, width=8, depth=1):
    torch.manual_seed(0)
    return safetensors.torch.save({k: v.half() for k, v in Vocoder(bands, bins, width, depth).state_dict().items()})


@pytest.fixture
def heard(home):
    """A checkpoint of tones with a vocoder of its own."""
    run = tiny("flow:tiny", 4, {"data.source": "tones", "data.size": 64, "model.patch": 16, "name": "toy-tones"})
    made = trainer.Trainer(run)
    made.dataset = dataclasses.replace(made.dataset, modality=dataclasses.replace(CLIP, vocoder=weights()))
    made.modality = made.dataset.modality
    for _ in trainer.train(made):
        pass
    return trainer.finish(made, home / "runs" / "toy-tones")


def test_a_vocoder_travels_within_the_checkpoint_and_is_named_by_its_hash(heard):
    assert (heard.path / "vocoder.safetensors").read_bytes() == weights()
    assert len(heard.manifest.modality["vocoder"]) == 64
    assert heard.modality == dataclasses.replace(CLIP, vocoder=weights())
    item = load("tones", limit=2).items[:1]
    assert not torch.equal(heard.modality.sound(item)[0], CLIP.sound(item)[0])
    assert modality.files_of(CLIP) == {}


@pytest.mark.parametrize("harm", ["gone", "cut", "another"])
def test_a_vocoder_that_is_not_the_one_that_was_saved_is_refused(heard, harm):
    path = heard.path / "vocoder.safetensors"
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(weights()[:-4] if harm == "cut" else weights(width=16))
    with pytest.raises(checkpoint.CheckpointError, match=r"vocoder.safetensors is missing, or not the file that it was saved with"):
        checkpoint.read(heard.path)


@pytest.mark.parametrize("bad", [b"words", weights(bands=32), weights(bins=129), safetensors.torch.save({"a": torch.zeros(1)})])
def test_weights_that_are_no_vocoder_are_a_sentence(bad):
    with pytest.raises(modality.BadItem, match=r"^vocoder: not the weights of one for 64 bands and 257 frequencies$"):
        dataclasses.replace(CLIP, vocoder=bad).sound(torch.zeros(1, *CLIP.shape, dtype=torch.uint8))


def test_the_vocoder_that_ships_is_nearer_to_clips_it_has_not_seen_than_magnitudes_that_are_solved_for():
    waves = next(tones.draw(tones.factors(32, 99), CLIP.rate, CLIP.samples, 99))
    items, ours = CLIP.items(waves), audio.modality(8000, 1.0, 64)
    assert ours.vocoder
    assert audio.modality(16_000, 1.0, 64).vocoder == b""
    far, near = (distance(m, waves, m.sound(items)[0]) for m in (CLIP, ours))
    assert near < 0.9 * far


@pytest.mark.parametrize("name", ["../../secret", "", "nonsense"])
def test_a_manifest_cannot_make_it_read_another_file(name, tmp_path):
    stored = {**modality.to_json(CLIP), "vocoder": name}
    if name:
        with pytest.raises(ValueError, match=r"vocoder.safetensors is missing"):
            modality.from_json(stored, tmp_path)
    else:
        assert modality.from_json(stored, tmp_path) == CLIP


# A whole run, and what is made of it


def test_a_sample_is_a_labelled_wav_that_can_be_drawn_again(heard, aigc, tmp_path):
    assert aigc("sample", heard.path, "--n", 1, "--seed", 5, "--class", "A3", "-o", tmp_path / "x.wav")[0] == 0
    stored = (tmp_path / "x.wav").read_bytes()
    wave, rate = soundfile.read(io.BytesIO(stored))
    assert (rate, len(wave)) == (8000, 8000)
    assert label.read(stored).source_type == label.SOURCE_TYPE
    assert label.read(stored).recipe["label"] == TONES.index("A3")
    assert aigc("sample", "--recipe", tmp_path / "x.wav", "-o", tmp_path / "again.wav")[0] == 0
    np.testing.assert_allclose(soundfile.read(tmp_path / "again.wav")[0], wave, atol=2e-4)
    assert aigc("sample", heard.path, "--n", 3, "-o", tmp_path / "each")[0] == 0
    assert sorted(p.name for p in (tmp_path / "each").iterdir()) == [f"0-00000{i}.wav" for i in range(3)]
    code, _, err = aigc("sample", heard.path, "-o", tmp_path / "x.mp3")
    assert code == 2
    assert "x.mp3 is neither a .png nor a folder" in err


def test_a_walk_from_note_to_note_is_a_clip(heard, aigc, tmp_path):
    kind = engine.Engine()
    keys = [engine.Request(heard.name, 1, label=0), engine.Request(heard.name, 2, label=12)]
    wave, rate = walks.sound(kind, walks.walk(kind, keys, 5))
    assert (len(wave), rate) == (5 * 8000, 8000)
    film = walks.film(kind, keys, 5, 1, "wav")
    assert len(soundfile.read(io.BytesIO(film))[0]) == 5 * 8000
    assert label.read(film).recipe["frames"] == 5
    assert aigc("walk", heard.path, "--seeds", "1,2", "--class", "C3,G4", "--frames", 4, "-o", tmp_path / "walk.wav")[0] == 0
    told = label.read((tmp_path / "walk.wav").read_bytes()).recipe["walk"]
    assert [key["label"] for key in told] == [TONES.index("C3"), TONES.index("G4")]


def test_a_clip_finds_its_latent_and_a_bad_one_a_sentence(heard, aigc, tmp_path):
    (tmp_path / "a.wav").write_bytes(file(sine(262)))
    code, out, _ = aigc("invert", heard.path, tmp_path / "a.wav", "--class", "C4", "-o", tmp_path / "match.wav", "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["psnr"] > 5
    assert len(soundfile.read(tmp_path / "match.wav")[0]) == 8000
    (tmp_path / "silence.wav").write_bytes(file(np.zeros(8000)))
    code, _, err = aigc("invert", heard.path, tmp_path / "silence.wav")
    assert (code, err.strip()) == (2, "aigc: clip: silent: nothing in it can be heard")
    with pytest.raises(config.ConfigError, match=r"^clip: of shape"):
        inversion.invert(engine.Engine(), engine.Request(heard.name), torch.zeros(1, 8, 8, dtype=torch.uint8))


@pytest.mark.parametrize("preset", ["vae:sound", "flow:sound"])
def test_a_preset_of_sound_trains_on_the_programs_tones(preset):
    run = tiny(preset, 2, {"data.source": "tones", "data.size": 64, "train.batch": 4, "data.limit": 12})
    made = trainer.Trainer(run)
    assert made.modality.kind == "audio"
    *_, last = trainer.train(made)
    assert last.step == 2
    assert last.sheet.shape[2] == 3


def test_a_run_on_sounds_goes_on_bit_for_bit():
    found = trainer.resume_check(tiny("vae:tiny", 6, {"data.source": "tones"}), 3)
    assert found.straight == found.paused
