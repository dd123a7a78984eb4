"""Sounds drawn by this program: notes of many timbres, chords and drums, with every factor known: a set whose truth can be measured."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import torch

from .sources import TONES

LOWEST = 48  # the first class's note in MIDI's numbers: C3, 130.8 Hz
NOTES = MAJOR = TONES.index("major chord")
MINOR, DRUM = TONES.index("minor chord"), TONES.index("drum")
CHORDS = {MAJOR: (0.0, 4.0, 7.0), MINOR: (0.0, 3.0, 7.0)}  # semitones above the root
SHARES = (0.8, 0.06, 0.06, 0.08)  # of the items: notes, major chords, minor chords, drums
DRAWS = 10  # uniform numbers an item takes, so that item i does not depend on how many there are
PARTIALS = 8
OUT_OF_TUNE = 5.0  # cents at most
FALL = 0.04  # seconds in which a drum's skin calms down
CHUNK = 32  # items drawn at a time: few enough for a processor's cache


def hertz(note: torch.Tensor) -> torch.Tensor:
    """The frequency of MIDI's note numbers, which need not be whole: 69 is 440 Hz."""
    return 440 * 2 ** ((note - 69) / 12)


def factors(count: int, seed: int) -> dict[str, torch.Tensor]:
    """What is drawn, by name, each (count,): `what` (int64, a place in TONES), `plucked` (int64, 1 for a string that is plucked, 0 for a
    tone that is held); `pitch` (MIDI's note of the note, of a chord's root, of a drum's skin), `bright` (0 to 1, how strong high partials
    are), `length` (seconds until it is gone) and `begins` (seconds), float32."""
    rng = random.Random(seed)  # Python promises that random() stays the same between versions
    u = torch.tensor([rng.random() for _ in range(count * DRAWS)], dtype=torch.float64).view(count, DRAWS).unbind(1)
    part = torch.bucketize(u[0].contiguous(), torch.tensor(SHARES, dtype=torch.float64).cumsum(0)[:-1], right=True)
    note = (u[1] * NOTES).long()
    pitch = LOWEST + note + OUT_OF_TUNE / 100 * (2 * u[2] - 1)
    pitch = torch.where(part == 3, 28 + 16 * u[1], pitch)
    length = torch.where(part == 3, 0.08 + 0.3 * u[4], 0.25 + 0.6 * u[4])
    return {
        "what": torch.where(part == 0, note, NOTES - 1 + part),
        "plucked": (u[5] < 0.5).long(),
        "pitch": pitch.float(),
        "bright": u[3].float(),
        "length": length.float(),
        "begins": (0.08 * u[6]).float(),
        "noise": torch.where(part == 3, 0.2 + 0.8 * u[7], 0.0).float(),
    }


def draw(known: dict[str, torch.Tensor], rate: int, samples: int, seed: int) -> Iterator[torch.Tensor]:
    """The waves of `factors`, some at a time: float32 (n, samples) within -1 to 1; `seed` draws the noise of drums."""
    rng = torch.Generator().manual_seed(seed)
    for i in range(0, len(known["what"]), CHUNK):
        yield _draw({name: values[i : i + CHUNK] for name, values in known.items()}, rate, samples, rng)


def _draw(known: dict[str, torch.Tensor], rate: int, samples: int, rng: torch.Generator) -> torch.Tensor:
    what, root = known["what"], known["pitch"]
    time = torch.arange(samples) / rate - known["begins"].unsqueeze(1)  # (n, samples)
    waves, after = torch.zeros_like(time), time.clamp(min=0)
    voices = [(what < NOTES, 0.0), *((what == chord, step) for chord, steps in CHORDS.items() for step in steps)]
    for which, step in voices:
        mine = [known[name][which].unsqueeze(1) for name in ("bright", "length", "plucked")]
        waves[which] += _voice(hertz(root[which] + step).unsqueeze(1), *mine, after[which], rate)
    drum = what == DRUM
    noise, length = (known[name][drum].unsqueeze(1) for name in ("noise", "length"))
    waves[drum] = _drum(hertz(root[drum]).unsqueeze(1), noise, length, after[drum], rng)
    waves *= time >= 0
    return waves / waves.abs().amax(1, keepdim=True).clamp(min=1e-6)


def _voice(
    pitch: torch.Tensor, bright: torch.Tensor, length: torch.Tensor, plucked: torch.Tensor, time: torch.Tensor, rate: int
) -> torch.Tensor:
    """One note (n, samples): partials below half the rate. A string's die away, the higher the sooner; a tone's are held, then let go."""
    turn = 2 * math.pi * pitch * time
    before, now, twice = torch.zeros_like(turn), turn.sin(), 2 * turn.cos()
    held = (time / 0.02).clamp(max=1) * ((length - time) / 0.06).clamp(0, 1)
    struck = (-3 * time / length).exp() * (time / 0.002).clamp(max=1)
    alive, sooner = torch.where(plucked > 0, struck, held), torch.where(plucked > 0, (-1.2 * time / length).exp(), 1.0)
    wave = torch.zeros_like(turn)
    for k in range(1, PARTIALS + 1):
        wave += k ** (-2.2 + 1.7 * bright) * (k * pitch < 0.48 * rate) * alive * now
        before, now, alive = now, twice * now - before, alive * sooner  # sin((k + 1) t) = 2 cos(t) sin(k t) - sin((k - 1) t)
    return wave


def _drum(pitch: torch.Tensor, noise: torch.Tensor, length: torch.Tensor, time: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """One stroke (n, samples): a skin whose pitch falls by an octave, and a rattle of noise."""
    turns = 2 * math.pi * pitch * (time + FALL * (1 - (-time / FALL).exp()))
    rattle = torch.randn(time.shape, generator=rng)
    return ((1 - noise) * turns.sin() + 0.5 * noise * rattle) * (-5 * time / length).exp()
