"""Does it say what it was asked to, and does it sound like the clip it was given?

The judge is a convolutional classifier of log-mel spectrograms, trained on the train part of spoken-digits (once; it lies in the cache)
and held to at least 97 % of the 300 real clips of the official test part. All that it judges was heard first: an item is turned into a wave
and the wave into a spectrogram again, so that what the vocoder spoils counts.

- The vocoder, and Griffin and Lim's algorithm on magnitudes that are solved for: log-spectral distance on the test clips, the root mean
  square over frequencies of the difference in dB (floor -80) averaged over moments that sound, and the digits named rightly.
- 1,000 samples of digits-speech, each digit a hundred times, named as the digit asked for; and their copy rate (PROTOCOLS.md), by
  distances between spectrograms.
- The 300 test clips through digits-speech and back: encoded as each of the ten digits, decoded from the latent's mean as the one that its
  bound finds likeliest, named as the digit that was said. It is not told the digit.
- Notes: vae:sound is trained on the program's own tones for three minutes, then asked for each of 24 notes ten times; the pitch of what is
  heard is found by the sum of its partials, and compared with what was asked. Beside it the same of real tones through the vocoder.
- Latency: on the page in a headless Chromium, from the input event of a slider to a clip that is ready to play."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from aigc_demo import checkpoint, config, data, files, trainer
from aigc_demo.config import ConfigError
from aigc_demo.data import tones
from aigc_demo.engine import Engine, Request
from aigc_demo.modalities.audio import SPAN, Modality
from aigc_demo.model import plan

from . import page, report
from .minute import fitted
from .vocoder import clips

SAMPLES = 1000
ACCURACY = 0.97  # of the classifier, at least
EPOCHS = 16
SHIFT = 6  # moments and bands by which a clip is moved while the classifier learns: moments, a third of it bands
PER_NOTE, MINUTES = 10, 3.0
LOUD = -50.0  # dB: a moment whose loudest frequency is below is not compared
SPEECH = "digits-speech"
SLIDE = """async (count) => {  // ms from a slider's input event to the clip that follows from it
  const pad = document.querySelector('.pad'), found = [];
  for (let i = 0; i < count; i++) {
    const range = pad.querySelectorAll('[data-slider]')[i % 3], before = pad.dataset.heard, began = performance.now();
    range.value = 4 * Math.random() - 2;
    range.dispatchEvent(new Event('input', { bubbles: true }));
    while (pad.dataset.heard === before) {
      if (performance.now() - began > 20000) throw new Error('no sound comes');
      await new Promise((done) => setTimeout(done, 1));
    }
    found.push(performance.now() - began);
    await new Promise((done) => setTimeout(done, 300));
  }
  return found;
}"""


def classifier() -> nn.Sequential:
    """x (N, 1, 64, 64) -> logits (N, 10)."""
    widths = (1, 24, 48, 64, 96)
    blocks = [m for a, b in itertools.pairwise(widths) for m in (nn.Conv2d(a, b, 3, 1, 1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2))]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d((1, 4)), nn.Flatten(), nn.Dropout(0.4), nn.Linear(96 * 4, 10))


def shifted(x: Tensor) -> Tensor:
    """x moved by some moments and bands, what comes in silent, and made louder or softer."""
    moved = torch.full_like(x, -1)
    for i, item in enumerate(x):
        a, b = int(torch.randint(-SHIFT // 3, SHIFT // 3 + 1, ())), int(torch.randint(-SHIFT, 2 * SHIFT + 1, ()))
        rolled = torch.roll(item, (a, b), (1, 2))
        rolled[:, :, :b] = -1 if b > 0 else rolled[:, :, :b]
        if b < 0:
            rolled[:, :, b:] = -1
        moved[i] = rolled
    return (moved + 0.15 * torch.randn(len(x), 1, 1, 1) * (moved > -1)).clamp(-1, 1)


def judge(cache: Path) -> nn.Sequential:
    """The classifier, from the cache or trained now; its accuracy on the official test part is measured each time."""
    test = data.load(config.Data(source="spoken-digits"), part="test")
    if not cache.exists():
        train = data.load(config.Data(source="spoken-digits"))
        x, y = train.modality.encode(train.items), train.labels
        torch.manual_seed(0)
        net = classifier()

        def loss(index: Tensor) -> Tensor:
            return nn.functional.cross_entropy(net(shifted(x[index])), y[index], label_smoothing=0.05)

        fitted("classifier", net, len(x), loss, EPOCHS, batch=64, decay=0.05)
        files.write_whole(cache, safetensors.torch.save(net.state_dict()))
    net = classifier().eval()
    net.load_state_dict(safetensors.torch.load_file(cache))
    report.say(f"  classifier: sha256 {hashlib.sha256(cache.read_bytes()).hexdigest()}")
    right = named(net, test.items, test.labels)
    if right < 100 * ACCURACY:
        raise RuntimeError(
            f"the classifier names {right:.1f} % of the test clips rightly, not {ACCURACY:.0%}: delete {cache} and run again"
        )
    return net


@torch.inference_mode()
def named(net: nn.Module, items: Tensor, labels: Tensor) -> float:
    """The percentage of items (N, 1, 64, 64) that the classifier names as `labels`."""
    found = torch.cat([net(Modality().encode(part)).argmax(1) for part in items.split(200)])
    return 100 * (found == labels).float().mean().item()


def heard(modality: Modality, items: Tensor) -> tuple[Tensor, Tensor]:
    """The waves of items, and the items of these waves."""
    waves = torch.cat([modality.sound(part)[0] for part in items.split(50)])
    loudest = waves.abs().amax(1, keepdim=True).clamp(min=1e-6)
    return waves, modality.items(waves / loudest)


def distance(modality: Modality, waves: Tensor, others: Tensor) -> float:
    """The log-spectral distance in dB between waves (N, samples) and others, of the same loudest sample."""
    found = []
    for a, b in zip(waves.split(50), others.split(50), strict=True):
        a, b = (
            20 * modality.spectrum(w / w.abs().amax(1, keepdim=True).clamp(min=1e-6)).abs().clamp(min=10 ** (-SPAN / 20)).log10()
            for w in (a, b)
        )
        found.append((a - b).square().mean(1).sqrt()[a.amax(1) > LOUD])
    return torch.cat(found).mean().item()


def vocoders(net: nn.Module, modality: Modality) -> list[dict[str, Any]]:
    """The rows of the vocoder beside Griffin and Lim's algorithm alone."""
    waves, labels = clips("test"), data.load(config.Data(source="spoken-digits"), part="test").labels
    items, plain = modality.items(waves), Modality()
    ours, ours_items = heard(modality, items)
    theirs, their_items = heard(plain, items)
    other = distance(modality, waves, theirs), named(net, their_items, labels)
    floor = math.floor(10 * other[1]) / 10  # 299 of 300 clips beside 299 is no less
    return [
        report.row("real test clips named", named(net, items, labels), "%", ">= 97"),
        report.row("Griffin-Lim alone: log-spectral distance", other[0], "dB"),
        report.row("vocoder: log-spectral distance", distance(modality, waves, ours), "dB", f"<= {round(other[0], 3)}"),
        report.row("Griffin-Lim alone: test clips named", other[1], "%"),
        report.row("vocoder: test clips named", named(net, ours_items, labels), "%", f">= {floor}"),
    ]


def nearest(items: Tensor, known: Tensor) -> Tensor:
    """The least distance (N,) of each of items to one of `known`, over spectrograms."""
    return torch.cdist(items.flatten(1).float(), known.flatten(1).float()).amin(1)


def spoken(net: nn.Module, count: int) -> list[dict[str, Any]]:
    """The rows of the samples of digits-speech."""
    found = checkpoint.find(SPEECH)
    samples = []
    for i in range(0, count, 100):
        samples += Engine().draw([Request(SPEECH, 1, j, label=j % 10) for j in range(i, i + 100)], name=found)
    items, labels = torch.stack([s.item for s in samples]), torch.arange(count) % 10
    _, again = heard(found.modality, items)
    train, test = (data.load(config.Data(source="spoken-digits"), part=part) for part in ("train", "test"))
    few = train.items[torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[: len(test)]]
    near, near_few = (nearest(test.items, known).quantile(0.01) for known in (train.items, few))
    copies = [
        (nearest(items, known) < apart).float().mean().item()
        for known, apart in ((train.items, near), (few, near_few), (test.items, near_few))
    ]
    return [
        report.row(f"{SPEECH}: {count:,} samples named as asked, by their spectrograms", named(net, items, labels), "%"),
        report.row(f"{SPEECH}: {count:,} samples named as asked, as heard", named(net, again, labels), "%", ">= 90"),
        report.row(f"{SPEECH}: copy rate, nearer to a train clip than 99 % of the test clips are", 100 * copies[0], "%"),
        report.row(f"{SPEECH}: copy rate, of as many train clips as there are test clips", 100 * copies[1], "%"),
        report.row(f"{SPEECH}: as near to one of the test clips", 100 * copies[2], "%"),
        report.row(f"{SPEECH}: weights and vocoder", sum(p.stat().st_size for p in found.path.glob("*.safetensors")) / 1e6, "MB", "<= 10"),
    ]


@torch.inference_mode()
def rebuilt(net: nn.Module) -> list[dict[str, Any]]:
    """The rows of the test clips that went through the VAE and back, each as the digit that it finds likeliest by its bound."""
    warm = Engine().warm(SPEECH)
    model, modality, test = warm.model, warm.checkpoint.modality, data.load(config.Data(source="spoken-digits"), part="test")
    x, tried = modality.encode(test.items), []
    for digit in range(10):
        y = torch.full((len(x),), digit)
        mu, logvar = model.encode(x, y)
        out = model.decode(mu, y)
        tried.append((model.log_p(x, out) - 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1), out))
    likeliest = torch.stack([bound for bound, _ in tried]).argmax(0)
    items = modality.decode(torch.stack([out for _, out in tried])[likeliest, torch.arange(len(x))])
    waves, again = heard(modality, items)
    return [
        report.row(f"{SPEECH}: test clips rebuilt and named, as heard", named(net, again, test.labels), "%", ">= 92"),
        report.row(f"{SPEECH}: test clips whose digit it finds likeliest", 100 * (likeliest == test.labels).float().mean().item(), "%"),
        report.row(f"{SPEECH}: log-spectral distance of the rebuilt", distance(modality, clips("test"), waves), "dB"),
    ]


def pitch(wave: np.ndarray, rate: int) -> float:
    """The fundamental in Hz, from 110 to 520, whose first five partials are loudest together, less what lies between them."""
    size = 1 << 16
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), size))
    at = 110 * 2 ** (np.arange(0, 2700) / 1200)  # a cent apart
    bins = at * size / rate
    score = sum(0.8**k * power[np.round(k * bins).astype(int)] for k in range(1, 6))
    between = sum(0.8**k * power[np.round((k + 0.5) * bins).astype(int)] for k in range(5))
    return float(at[(score - between).argmax()])


def cents(modality: Modality, items: Tensor, notes: Tensor) -> Tensor:
    """How far what is heard of items is from notes of MIDI (N,), in cents (N,)."""
    waves, _ = heard(modality, items)
    found = torch.tensor([pitch(wave.numpy(), modality.rate) for wave in waves])
    return 1200 * (found / tones.hertz(notes)).log2()


def notes(minutes: float) -> list[dict[str, Any]]:
    """The rows of vae:sound on tones, trained for so many minutes."""
    run = plan("vae:sound", {"data.source": "tones", "train.unit": "minutes", "train.budget": minutes, "device": "cpu", "name": "tones"})
    for _ in trainer.record(run, files.runs() / "tones"):
        pass
    found, asked = checkpoint.find("tones"), torch.arange(tones.NOTES).repeat(PER_NOTE)
    samples = Engine().draw([Request("tones", 1, i, label=int(k)) for i, k in enumerate(asked)], name=found)
    off = cents(found.modality, torch.stack([s.item for s in samples]), (tones.LOWEST + asked).float()).abs()
    real = data.load(config.Data(source="tones", limit=300), part="test")
    which = real.labels < tones.NOTES
    floor = cents(found.modality, real.items[which], real.factors["pitch"][which]).abs()
    return [
        report.row("real notes through the vocoder: off, median", floor.median().item(), "cents"),
        report.row(f"notes asked for: off, median of {len(off)}", off.median().item(), "cents"),
        report.row("notes asked for: within half a semitone", 100 * (off < 50).float().mean().item(), "%"),
    ]


def latency(count: int) -> dict[str, Any]:
    """The row of the page."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
        page.serve(Path(home), *page.APP) as server,
        page.browser() as chromium,
    ):
        visitor = page.visit(chromium, f"{server.url}?model={SPEECH}")
        visitor.wait_for_function("() => Number(document.querySelector('.pad')?.dataset.heard) > 0")
        visitor.wait_for_timeout(1500)
        visitor.evaluate(SLIDE, 5)
        return report.row("from a slider to playable sound, median", statistics.median(visitor.evaluate(SLIDE, count)), "ms", "<= 150")


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    try:
        net = judge(files.home() / "cache" / "spoken-digit-classifier.safetensors")
    except data.DataError as error:
        report.give_up(str(error))
    try:
        modality = checkpoint.find(SPEECH).modality
    except (checkpoint.CheckpointError, ConfigError) as error:
        report.give_up(str(error))
    rows = vocoders(net, modality) + spoken(net, 200 if asked.quick else SAMPLES) + rebuilt(net)
    rows.append(latency(5 if asked.quick else 40))
    if not asked.quick:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
            os.environ["AIGC_HOME"] = home
            rows += notes(MINUTES)
    report.finish("sound", rows, asked)


if __name__ == "__main__":
    main()
