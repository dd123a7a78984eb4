"""Sound: clips of one length, stored and shown as log-mel spectrograms, and heard by turning these back into waves."""

from __future__ import annotations

import io
import json
import math
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import safetensors.torch
import torch

from ..modality import BadItem
from ..nets.vocoder import Vocoder
from . import image

FORMATS = {"WAV": "WAV", "WAVEX": "WAV", "FLAC": "FLAC", "OGG": "OGG", "MP3": "MP3", "MPEG": "MP3"}  # libsndfile's names, and a person's
SIGNATURES = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")
LONGEST = 600  # seconds of a file that is read
SHORTEST = 0.02  # seconds of sound
MOST = 1 << 26  # samples of a file, over all channels
RATES = (1000, 384_000)  # samples a second of a file
SILENT = 1e-4  # a clip that never gets louder, of 1, is silence
QUIET = 0.01  # of a clip's loudest 10 ms: what lies before and behind and stays below is cut off
LEAD, FADE = 0.02, 0.01  # seconds: silence before the sound begins, and how a clip that is cut ends
SPAN = 80.0  # decibels from an item's 0 to its 255, which is a sine of amplitude 1
ROUNDS, MOMENTUM = 32, 0.99  # of Griffin and Lim's algorithm
UNMIXING, FITTING = 24, 6  # rounds that turn mel bands back into frequencies, from nothing and from what the vocoder tells
COLOURS = ((22, 24, 26), (56, 32, 100), (138, 41, 129), (214, 69, 99), (251, 141, 60), (252, 253, 191))  # of levels, ever lighter
CLIP = b"WAVE"
VOCODER = Path(__file__).with_name("vocoder.safetensors")  # of the default rate, length and size; benchmarks/vocoder.py made it


def _palette() -> np.ndarray:
    at = np.linspace(0, len(COLOURS) - 1, 256)
    return np.stack([np.interp(at, np.arange(len(COLOURS)), c) for c in np.array(COLOURS).T], 1).round()


@dataclass(frozen=True)
class Modality:
    """Clips of about `seconds` (0.1 to 10) at `rate` samples a second (4,000 to 48,000), seen by models as a square of `size` (16 to 256)
    mel bands by as many moments, so that the networks of pictures serve.

    An item is uint8 (1, size, size): the highest band first, a level of 255 / SPAN a decibel, 255 the level of a sine of amplitude 1.
    `vocoder` holds the weights (safetensors) of the network that tells magnitudes from mel bands; without any, some that fit are solved
    for. Raises ValueError for other numbers."""

    rate: int = 8000
    seconds: float = 1.0
    size: int = 64
    vocoder: bytes = field(default=b"", repr=False)

    kind: ClassVar[str] = "audio"
    thing: ClassVar[str] = "clip"
    many: ClassVar[int] = 0
    suffix: ClassVar[str] = "wav"
    pictured: ClassVar[bool] = True
    palette: ClassVar[tuple[tuple[int, int, int], ...]] = tuple(tuple(map(int, colour)) for colour in _palette())

    def __post_init__(self) -> None:
        if type(self.rate) is not int or not 4000 <= self.rate <= 48_000:
            raise ValueError(f"rate: {self.rate!r} is not a whole number of samples a second from 4,000 to 48,000")
        if type(self.seconds) not in (int, float) or not 0.1 <= self.seconds <= 10:
            raise ValueError(f"seconds: {self.seconds!r} is not a number from 0.1 to 10")
        if type(self.size) is not int or not 16 <= self.size <= 256:
            raise ValueError(f"size: {self.size!r} is not a whole number of bands and moments from 16 to 256")
        if self.hop < 16:
            raise ValueError(f"size: {self.size} moments in {self.seconds:g} s at {self.rate:,} a second are under 16 samples apart")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(1, size, size), of one item."""
        return 1, self.size, self.size

    @property
    def space(self) -> tuple[int, int, int]:
        """As `shape`: of one x."""
        return self.shape

    @property
    def extent(self) -> str:
        """Its length and its rate."""
        return f"{self.seconds:g} s, {self.rate / 1000:g} kHz"

    @property
    def hop(self) -> int:
        """Samples from one moment to the next."""
        return round(self.rate * self.seconds / self.size)

    @property
    def samples(self) -> int:
        """Samples of a clip."""
        return self.hop * self.size

    @property
    def window(self) -> int:
        """Samples that one moment looks at: the least power of two that holds three hops."""
        return 1 << (3 * self.hop - 1).bit_length()

    def read(self, data: bytes) -> torch.Tensor:
        """One file's bytes -> one item. Raises BadItem with the reason."""
        return self.look(data)[0]

    def look(self, data: bytes) -> tuple[torch.Tensor, tuple[str, ...]]:
        """`read`, with what was done to the clip that its owner may want to know. Raises BadItem with the reason."""
        wave, notes = self.clip(data)
        return self.items(wave[None])[0], notes

    def clip(self, data: bytes) -> tuple[torch.Tensor, tuple[str, ...]]:
        """One file's bytes -> its wave float32 (samples,), and what was done to it: channels meant, resampled, silence before and behind
        cut off, as loud as can be, cut or filled up to the length. Raises BadItem with the reason."""
        wave, rate = _opened(data)
        wave = wave - wave.mean()
        if rate != self.rate:
            from scipy.signal import resample_poly

            common = math.gcd(rate, self.rate)
            wave = resample_poly(wave, self.rate // common, rate // common).astype(np.float32)
        wave = _trimmed(wave, self.rate)
        if len(wave) < SHORTEST * self.rate:
            raise BadItem(f"too short: {1000 * len(wave) / self.rate:.0f} ms of sound, at least {1000 * SHORTEST:.0f}")
        lead = round(LEAD * self.rate)
        notes = ()
        if lead + len(wave) > self.samples:
            notes = (f"longer than {self.samples / self.rate:g} s: cut",)
            wave = wave[: self.samples - lead].copy()
            fade = round(FADE * self.rate)
            wave[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
        whole = torch.zeros(self.samples)
        whole[lead : lead + len(wave)] = torch.from_numpy(wave / np.abs(wave).max())
        return whole, notes

    # -- waves and spectrograms

    def spectrum(self, waves: torch.Tensor) -> torch.Tensor:
        """Waves (N, samples) -> complex (N, window / 2 + 1, size); a sine of amplitude 1 has the magnitude 1 in its place."""
        window = torch.hann_window(self.window, device=waves.device)
        found = torch.stft(waves, self.window, self.hop, window=window, center=True, pad_mode="constant", return_complex=True)
        return found[..., : self.size] * (2 / window.sum())

    def wave(self, spectrum: torch.Tensor) -> torch.Tensor:
        """The waves (N, samples) whose `spectrum` is nearest to complex (N, window / 2 + 1, size)."""
        window = torch.hann_window(self.window, device=spectrum.device)
        return torch.istft(spectrum * (window.sum() / 2), self.window, self.hop, window=window, center=True, length=self.samples)

    def levels(self, waves: torch.Tensor) -> torch.Tensor:
        """Waves (N, samples) -> x float32 (N, 1, size, size), which no rounding has touched."""
        power = self.spectrum(waves).abs().square()
        decibels = 10 * (_bands(self.rate, self.window, self.size).to(waves.device) @ power).clamp(min=1e-12).log10()
        return (2 + 2 * decibels / SPAN).clamp(0, 2).sub(1).flip(1).unsqueeze(1)

    def items(self, waves: torch.Tensor) -> torch.Tensor:
        """Waves (N, samples) -> items."""
        return self.decode(self.levels(waves))

    def power(self, items: torch.Tensor) -> torch.Tensor:
        """Items -> the power of each mel band, the lowest first, float32 (N, size, size); what is not above the span is 0."""
        levels = items.squeeze(1).flip(1).float()
        return torch.where(levels > 0, 10 ** (SPAN / 10 * (levels / 255 - 1)), 0.0)

    def sound(self, items: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Items -> waves float32 (N, samples) within -1 to 1, the same for the same item, and the rate. Their phases come from the
        algorithm of Griffin and Lim (1984), doi 10.1109/TASSP.1984.1164317, in the fast form of Perraudin et al. (2013), doi
        10.1109/WASPAA.2013.6701851. Raises BadItem where the vocoder is none for such items."""
        waves = self.phased(self.magnitudes(items))
        return waves / waves.abs().amax(1, keepdim=True).clamp(min=1), self.rate

    def phased(self, size: torch.Tensor) -> torch.Tensor:
        """Magnitudes (N, window / 2 + 1, size) -> waves (N, samples) that nearly have them."""
        turn = 2 * math.pi * torch.rand(size.shape[1:], generator=torch.Generator().manual_seed(0))
        now, before = torch.polar(size, turn.expand_as(size).contiguous()), torch.zeros_like(size)
        for _ in range(ROUNDS):
            fitting = self.spectrum(self.wave(now))
            ahead = fitting + MOMENTUM * (fitting - before)
            now, before = size * ahead / ahead.abs().clamp(min=1e-9), fitting
        return self.wave(now)

    def magnitudes(self, items: torch.Tensor) -> torch.Tensor:
        """Items -> magnitudes (N, window / 2 + 1, size) that have the power of their mel bands (multiplied into place: Lee and Seung 2001).
        Many have: of these, some near to what the vocoder tells, else near to an even spread."""
        power, bands = self.power(items), _bands(self.rate, self.window, self.size)
        if self.vocoder:
            network, rounds = _network(self.vocoder, self.size, self.window // 2 + 1), FITTING
            found = 10 ** (SPAN / 20 * (network(self.encode(items)[:, 0].flip(1)).clamp(-1.2, 1.2) - 1))
        else:
            found, rounds = bands.T @ (power / bands.sum(1, keepdim=True)), UNMIXING
        for _ in range(rounds):
            found = found * (bands.T @ power) / (bands.T @ (bands @ found)).clamp(min=1e-12)
        return found.sqrt()

    # -- the promise

    def encode(self, items: torch.Tensor) -> torch.Tensor:
        """Items uint8 (N, 1, S, S) -> x float32 (N, 1, S, S): 0 is -1, 255 is 1."""
        return items.float().div_(127.5).sub_(1)

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """x (N, 1, S, S) -> items uint8 (N, 1, S, S), rounded and clipped; a NaN is silence."""
        return torch.nan_to_num(x.float(), nan=-1.0).add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)

    def write(self, item: torch.Tensor, recipe: dict[str, Any] | None = None) -> bytes:
        """One item -> a WAV of 16 bits, the recipe as JSON in the comment of its INFO list. Raises ValueError for a recipe that JSON cannot
        hold (NaN is one)."""
        return self._file(self.sound(item[None])[0][0], recipe)

    def _file(self, wave: torch.Tensor, recipe: dict[str, Any] | None = None) -> bytes:
        pcm = pcm16(wave)
        parts = [_chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, self.rate, 2 * self.rate, 2, 16)), _chunk(b"data", pcm)]
        if recipe is not None:
            said = json.dumps({"aigc_demo": recipe}, allow_nan=False).encode()
            parts.append(_chunk(b"LIST", b"INFO" + _chunk(b"ICMT", said + b"\0")))
        return _chunk(b"RIFF", CLIP + b"".join(parts))

    @staticmethod
    def recipe_of(data: bytes) -> dict[str, Any] | None:
        """The recipe that `write` put into a WAV; None where there is none, or none that can be read. Decodes no samples."""
        if not (data.startswith(b"RIFF") and data[8:12] == CLIP):
            return None
        try:
            for name, body in _chunks(data[12:]):
                if name == b"LIST" and body.startswith(b"INFO"):
                    for inner, said in _chunks(body[4:]):
                        if inner == b"ICMT":
                            recipe = json.loads(said.rstrip(b"\0")).get("aigc_demo")
                            return recipe if isinstance(recipe, dict) else None
        except (ValueError, AttributeError, RecursionError, struct.error):  # a stranger's comment
            pass
        return None

    def sheet(self, items: torch.Tensor, columns: int) -> np.ndarray:
        """Items -> their spectrograms in colour, in rows of `columns`, as pictures have it: uint8 (height, width, 3)."""
        return self._pictures().sheet(coloured(items), columns)

    def _pictures(self) -> image.Modality:
        return image.Modality(self.size, 3)

    def film(self, items: torch.Tensor, fps: int, kind: str) -> bytes:
        """Items -> a WAV of the clips one after another where `kind` is wav, `fps` aside; else their spectrograms as pictures make a film.
        Raises image.FilmError."""
        if kind != "wav":
            return self._pictures().film(coloured(items), fps, kind)
        if not len(items):
            raise image.FilmError("film: there is no clip to play")
        return self._file(self.sound(items)[0].flatten())

    @staticmethod
    def features(x: torch.Tensor) -> torch.Tensor:
        """x (N, *shape) -> its numbers (N, F)."""
        return x.flatten(1).float()

    @staticmethod
    def measures(x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Of x (N, 1, S, S): loudness, its mean level; length, the share of moments that sound; brightness of tone ("tone"), the middle of
        what sounds, from the lowest band, -1, to the highest, 1; and "late", the middle in time."""
        level = (x[:, 0] + 1).clamp(min=0)  # (N, bands from the highest, moments)
        bands = torch.linspace(1, -1, x.shape[2], device=x.device).view(1, -1, 1)
        times = torch.linspace(-1, 1, x.shape[3], device=x.device).view(1, 1, -1)
        weight = level.square() + 1e-6
        loud = level.amax(1)  # (N, moments)
        return {
            "loudness": level.mean((1, 2)),
            "length": (8 * (loud - 0.5 * loud.amax(1, keepdim=True))).sigmoid().mean(1),
            "tone": (weight * bands).sum((1, 2)) / weight.sum((1, 2)),
            "late": (weight * times).sum((1, 2)) / weight.sum((1, 2)),
        }


def modality(rate: int, seconds: float, size: int) -> Modality:
    """The value for clips of these numbers, with the vocoder that comes with the program where it is for such. Raises ValueError."""
    made = Modality(rate, seconds, size)
    return replace(made, vocoder=VOCODER.read_bytes()) if made == Modality() else made


def coloured(items: torch.Tensor) -> torch.Tensor:
    """Items uint8 (N, 1, S, S) -> uint8 (N, 3, S, S), dark where it is silent."""
    return torch.tensor(Modality.palette, dtype=torch.uint8)[items[:, 0].long()].permute(0, 3, 1, 2)


def pcm16(wave: torch.Tensor) -> bytes:
    """A wave (samples,) within -1 to 1 as samples of 16 bits, the low byte first."""
    return (wave.clamp(-1, 1) * 32767).round().to(torch.int16).numpy().astype("<i2").tobytes()


def _opened(data: bytes) -> tuple[np.ndarray, int]:
    """A file's wave float32 (n,), its channels' mean, and its rate. Raises BadItem."""
    import soundfile

    if not data:
        raise BadItem("empty: 0 bytes")
    try:
        with warnings.catch_warnings(), soundfile.SoundFile(io.BytesIO(data)) as file:
            warnings.simplefilter("ignore")
            if file.format not in FORMATS:
                raise BadItem(f"not a sound that is read here: {file.format}, not one of WAV, FLAC, OGG, MP3")
            rate, channels = file.samplerate, file.channels
            if not RATES[0] <= rate <= RATES[1]:
                raise BadItem(f"{rate:,} samples a second: from {RATES[0]:,} to {RATES[1]:,} are read")
            most = min(LONGEST * rate, MOST // channels)
            # one more than may be: what is there counts, not what a header says
            wave = file.read(most + 1, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        if data.startswith(SIGNATURES):
            raise BadItem(f"damaged: {str(error).rpartition(': ')[2].strip().rstrip('.').lower() or 'it cannot be read'}") from None
        raise BadItem("not a sound: none of WAV, FLAC, OGG, MP3") from None
    except (RuntimeError, OSError, MemoryError) as error:
        raise BadItem(f"damaged: {error or type(error).__name__}") from None
    if len(wave) > most:
        raise BadItem(f"longer than {most / rate / 60:.0f} minutes: cut out what is to be learnt")
    if not np.isfinite(wave).all():
        raise BadItem("damaged: its samples are not all finite numbers")
    if len(wave) < 2:
        raise BadItem(f"too short: {len(wave)} sample{'' if len(wave) == 1 else 's'}")
    wave = wave.mean(1)
    if np.abs(wave - wave.mean()).max() < SILENT:
        raise BadItem("silent: nothing in it can be heard")
    return wave, rate


def _trimmed(wave: np.ndarray, rate: int) -> np.ndarray:
    """The wave from the first to the last 10 ms that are louder than QUIET of its loudest."""
    step = max(1, rate // 100)
    padded = np.pad(wave, (0, -len(wave) % step)).reshape(-1, step)
    loud = np.sqrt(np.square(padded).mean(1))
    heard = np.flatnonzero(loud > QUIET * loud.max())
    return wave[heard[0] * step : (heard[-1] + 1) * step]


@lru_cache(maxsize=8)
def _bands(rate: int, window: int, count: int) -> torch.Tensor:
    """(count, window / 2 + 1): triangles evenly spaced in mel (O'Shaughnessy 1987), the lowest first, each at least two bins wide."""
    edges = 700 * (10 ** (torch.linspace(0, 2595 * math.log10(1 + rate / 1400), count + 2, dtype=torch.float64) / 2595) - 1)
    bins, bin = torch.linspace(0, rate / 2, window // 2 + 1, dtype=torch.float64), rate / window
    low, middle, high = (e.unsqueeze(1) for e in (edges[:-2], edges[1:-1], edges[2:]))
    rise, fall = (bins - middle) / (middle - low).clamp(min=bin), (middle - bins) / (high - middle).clamp(min=bin)
    return (1 + torch.where(bins < middle, rise, fall)).clamp(min=0).float()


@lru_cache(maxsize=4)
def _network(weights: bytes, bands: int, bins: int) -> Vocoder:
    """Raises BadItem where the weights are none of a vocoder for so many bands and bins."""
    try:
        tensors = safetensors.torch.load(weights)
        depth = sum(name.endswith("along.weight") for name in tensors)
        with torch.device("meta"):
            network = Vocoder(bands, bins, len(tensors["inward.bias"]), depth)
        network.load_state_dict({k: v.float() for k, v in tensors.items()}, assign=True)
    except (safetensors.SafetensorError, KeyError, RuntimeError, TypeError):
        raise BadItem(f"vocoder: not the weights of one for {bands} bands and {bins} frequencies") from None
    return network.requires_grad_(False).eval()


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
