"""Sound: files of every kind become clips, what cannot be one is named in a sentence, and a spectrogram can be heard again."""

import io
import itertools
import math

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from aigc_demo import modality
from aigc_demo.modalities import image
from aigc_demo.modalities.audio import Modality, coloured

CLIP = Modality()


def sine(hertz=440.0, seconds=0.6, rate=8000, channels=1, size=0.5):
    wave = size * np.sin(2 * math.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.stack([wave * (1 - 0.3 * c) for c in range(channels)], 1)


def file(wave, rate=8000, kind="WAV", subtype=None):
    soundfile.write(out := io.BytesIO(), wave, rate, subtype, format=kind)
    return out.getvalue()


def loudest(wave, rate=8000):
    """The frequency in Hz of the largest peak of a wave, to a fraction of a bin."""
    size = 1 << 16
    power = np.abs(np.fft.rfft(np.asarray(wave) * np.hanning(len(wave)), size))
    return power.argmax() * rate / size


# The value


@pytest.mark.parametrize(
    "wrong",
    [
        *({"rate": rate} for rate in (3999, 8000.0, True)),
        *({"seconds": seconds} for seconds in (0, float("nan"), "1")),
        *({"size": size} for size in (15, 64.0)),
        {"seconds": 0.1, "size": 128},
    ],
)
def test_a_number_that_cannot_be_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=rf"^{list(wrong)[-1]}: "):
        Modality(**wrong)


def test_it_travels_as_json():
    assert modality.to_json(CLIP) == {"kind": "audio", "rate": 8000, "seconds": 1.0, "size": 64, "vocoder": ""}
    assert modality.from_json(modality.to_json(CLIP)) == CLIP
    assert "audio" in modality.kinds()


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100])
@pytest.mark.parametrize("seconds", [0.5, 1.0, 3.0])
def test_a_clip_is_a_square_of_bands_and_moments_at_any_rate_and_length(rate, seconds):
    clip = Modality(rate, seconds, 32)
    assert clip.shape == (1, 32, 32)
    assert clip.samples == pytest.approx(rate * seconds, abs=16)
    assert clip.window >= 3 * clip.hop
    item = clip.read(file(sine(500, 0.4, rate), rate))
    assert item.shape == clip.shape
    assert item.dtype == torch.uint8
    assert item.max() > 240, "a clip is as loud as can be"


# Files


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_of_any_kind_rate_and_channels_keeps_its_pitch(kind, rate, channels):
    wave, notes = CLIP.clip(file(sine(440, 0.6, rate, channels), rate, kind))
    assert wave.shape == (CLIP.samples,)
    assert wave.abs().max() == pytest.approx(1)
    assert loudest(wave) == pytest.approx(440, abs=0.5)
    assert notes == ()


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
def test_samples_of_every_depth_are_read(subtype):
    assert loudest(CLIP.clip(file(sine(300), subtype=subtype))[0]) == pytest.approx(300, abs=0.5)


def test_silence_before_and_behind_is_cut_off_and_the_rest_filled_up():
    quiet = 0.0005 * np.random.default_rng(0).standard_normal(6000)
    wave, _ = CLIP.clip(file(np.concatenate([quiet, sine(seconds=0.25)[:, 0], quiet])))
    heard = np.flatnonzero(wave.abs() > 0.01)
    assert heard[0] / 8000 == pytest.approx(0.02, abs=0.011)
    assert heard[-1] / 8000 == pytest.approx(0.27, abs=0.011)


def test_a_longer_clip_is_cut_softly_and_said_to_be():
    wave, notes = CLIP.clip(file(sine(seconds=1.7)))
    assert notes == ("longer than 1 s: cut",)
    assert wave[:160].abs().max() == 0
    assert wave[-1].abs() < 0.02 < wave[-200:-100].abs().max()
    assert CLIP.look(file(sine(seconds=1.7)))[1] == notes


def test_loudness_of_a_file_does_not_matter():
    loud, soft = (CLIP.read(file(sine(size=size), subtype="FLOAT")) for size in (0.9, 0.01))
    assert (loud.int() - soft.int()).abs().max() <= 2


def hour(kind):
    """An hour of a hum, at a rate that keeps the test short."""
    return file(np.tile(sine(100, 1.0, 1000), (3600, 1)), 1000, kind)


def bad(wave, value):
    wave = wave.copy()
    wave[100] = value
    return file(wave, subtype="FLOAT")


BAD = {
    "empty": (lambda: b"", "^empty: 0 bytes$"),
    "a text": (lambda: b"hello, this is a text", "^not a sound: none of WAV, FLAC, OGG, MP3$"),
    "a picture": (lambda: image.Modality(8, 1).write(torch.zeros(1, 8, 8, dtype=torch.uint8)), "^not a sound"),
    "an AIFF": (lambda: file(sine(), kind="AIFF"), "^not a sound that is read here: AIFF"),
    "silence": (lambda: file(np.zeros(8000)), "^silent: "),
    "a steady voltage": (lambda: file(np.full(8000, 0.5)), "^silent: "),
    "no sample": (lambda: file(np.zeros(0)), "^too short: 0 samples$"),
    "one sample": (lambda: file(np.array([0.7])), "^too short: 1 sample$"),
    "a click": (lambda: file(np.array([0.7, -0.7, 0.5])), "^too short: "),
    "not a number": (lambda: bad(sine(), float("nan")), "^damaged: its samples are not all finite numbers$"),
    "infinity": (lambda: bad(sine(), float("inf")), "^damaged: its samples are not all finite numbers$"),
    "an hour": (lambda: hour("FLAC"), "^longer than 10 minutes: "),
    "a header alone": (lambda: file(sine())[:30], "^(damaged|too short): "),
    "a FLAC cut short": (lambda: file(sine(), kind="FLAC")[:60], "^(damaged|too short): "),
    "a strange rate": (lambda: file(sine(), rate=500), "^500 samples a second: from 1,000 to 384,000 are read$"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_a_clip_is_a_sentence(name):
    data, sentence = BAD[name]
    with pytest.raises(modality.BadItem, match=sentence):
        CLIP.read(data())


def test_a_file_cut_anywhere_or_with_a_bit_changed_is_an_item_or_a_sentence():
    rng = np.random.default_rng(3)
    for kind, _ in itertools.product(["WAV", "FLAC", "OGG", "MP3"], range(12)):
        hurt = bytearray(file(sine(seconds=0.3), kind=kind))
        hurt = hurt[: rng.integers(1, len(hurt))]
        hurt[rng.integers(0, len(hurt))] ^= 1 << rng.integers(8)
        try:
            said = str(CLIP.read(bytes(hurt)).shape)
        except modality.BadItem as reason:
            said = str(reason)
        assert said
        assert "\n" not in said


# The spectrogram


@pytest.mark.parametrize("hertz", [200, 1000, 3000])
def test_a_sine_is_a_line_at_its_band_and_of_its_level(hertz):
    full, half, quarter = (
        CLIP.levels(torch.from_numpy(sine(hertz, 1.0, size=size)[:, 0]).float()[None])[0, 0, :, 20:40].mean(1) for size in (1.0, 0.5, 0.25)
    )
    mel = 2595 * math.log10(1 + hertz / 700) / (2595 * math.log10(1 + 4000 / 700)) * 65 - 1  # its band, counted from the lowest
    assert 63 - half.argmax() == pytest.approx(mel, abs=1)
    assert full.max() == pytest.approx(1, abs=2 * 3 / 80), "within 3 dB: it may lie between two bands"
    assert (half.max() - quarter.max()) * 40 == pytest.approx(20 * math.log10(2), abs=0.1)


def test_waves_and_spectra_go_round():
    waves = torch.randn(2, CLIP.samples, generator=torch.Generator().manual_seed(0))
    waves[:, -CLIP.hop :] = 0
    back = CLIP.wave(CLIP.spectrum(waves))
    torch.testing.assert_close(back[:, : -CLIP.window // 2], waves[:, : -CLIP.window // 2], atol=1e-4, rtol=0)


def test_encoding_goes_round_and_decoding_stays_in_range():
    items = torch.arange(256).repeat(16).view(1, 1, 64, 64).to(torch.uint8)
    assert CLIP.encode(items).abs().max() == 1
    assert torch.equal(CLIP.decode(CLIP.encode(items)), items)
    wild = torch.tensor([float("nan"), float("inf"), -9.0])
    assert CLIP.decode(wild).tolist() == [0, 255, 0]


@pytest.mark.parametrize("hertz", [220.0, 880.0])
def test_what_is_heard_of_an_item_has_its_pitch_and_its_spectrogram(hertz):
    item = CLIP.read(file(sine(hertz)))
    wave, rate = CLIP.sound(item[None])
    assert rate == 8000
    assert wave.shape == (1, CLIP.samples)
    assert wave.abs().max() <= 1
    assert 1200 * abs(math.log2(loudest(wave[0]) / hertz)) < 60, "cents: a band is half a tone wide"
    again = CLIP.items(wave)[0]
    loud = item > 128
    assert (again.float() - item.float())[loud].abs().mean() * 80 / 255 < 6, "decibels"
    assert torch.equal(CLIP.sound(item[None])[0], wave)


def test_silence_sounds_like_silence():
    assert CLIP.sound(torch.zeros(1, *CLIP.shape, dtype=torch.uint8))[0].abs().max() == 0


# Files written, sheets, films


def test_a_clip_is_written_as_a_wav_with_its_recipe():
    item = CLIP.read(file(sine()))
    data = CLIP.write(item, {"seed": 3, "checkpoint": "中"})
    wave, rate = soundfile.read(io.BytesIO(data))
    assert (rate, wave.shape) == (8000, (CLIP.samples,))
    np.testing.assert_allclose(wave, CLIP.sound(item[None])[0][0], atol=1e-4)
    assert modality.recipe_of(data) == {"seed": 3, "checkpoint": "中"}
    assert modality.recipe_of(CLIP.write(item)) is None
    with pytest.raises(ValueError):
        CLIP.write(item, {"seed": float("nan")})


@pytest.mark.parametrize("comment", [b"", b"hello", b"[1]", b'{"aigc_demo": 7}', b"[" * 100_000, b"\xff\xfe"])
def test_a_strangers_comment_is_no_recipe(comment):
    data = CLIP.write(CLIP.read(file(sine())), {"seed": 1})
    at = data.index(b"ICMT")
    hurt = data[:at] + b"ICMT" + len(comment).to_bytes(4, "little") + comment
    hurt = hurt.replace(data[data.index(b"LIST") : data.index(b"INFO")], b"LIST" + (8 + 4 + len(comment)).to_bytes(4, "little"))
    assert modality.recipe_of(hurt) is None


def test_a_sheet_shows_spectrograms_that_get_lighter_as_they_get_louder():
    items = torch.stack([torch.full(CLIP.shape, level, dtype=torch.uint8) for level in (0, 255)])
    sheet = CLIP.sheet(items, 2)
    assert sheet.shape[2] == 3
    assert sheet[5, 5].tolist() == list(CLIP.palette[0])
    assert sheet[5, -5].tolist() == list(CLIP.palette[255])
    light = np.array(CLIP.palette) @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(light) > -1).all(), "told apart in grey as well"
    assert coloured(items).shape == (2, 3, 64, 64)


def test_a_film_is_the_clips_one_after_another_or_their_spectrograms():
    items = torch.stack([CLIP.read(file(sine(hertz))) for hertz in (300, 900)])
    wave, _ = soundfile.read(io.BytesIO(CLIP.film(items, 1, "wav")))
    assert len(wave) == 2 * CLIP.samples
    assert loudest(wave[:8000]) < 400 < 800 < loudest(wave[8000:])
    assert Image.open(io.BytesIO(CLIP.film(items, 5, "webp"))).n_frames == 2
    with pytest.raises(image.FilmError, match="no clip"):
        CLIP.film(items[:0], 5, "wav")


def test_measures_follow_what_they_are_named_after():
    short, long, low, high = (
        CLIP.encode(CLIP.read(file(sine(hertz, seconds)))[None]) for hertz, seconds in ((500, 0.2), (500, 0.9), (200, 0.5), (2500, 0.5))
    )
    found = {name: values.tolist() for name, values in CLIP.measures(torch.cat([short, long, low, high])).items()}
    assert found["length"][0] < 0.35 < 0.8 < found["length"][1]
    assert found["loudness"][0] < found["loudness"][1]
    assert found["tone"][2] < found["tone"][3]
    assert found["late"][0] < found["late"][1]
