"""How the vocoder that comes with the program was made: `python -m benchmarks.vocoder -o aigc_demo/modalities/vocoder.safetensors`.

It learns the magnitudes of all frequencies from mel bands, on the train part of spoken-digits and on the program's own tones, each clip
played up to a fourth slower or faster, so that it knows voices and strings between those it was shown. No figure is measured here:
benchmarks.sound compares it with Griffin and Lim's algorithm alone on clips that it has not seen."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from aigc_demo import files
from aigc_demo.data import tones
from aigc_demo.data.sources import own_folder, sources
from aigc_demo.modalities.audio import SPAN, Modality
from aigc_demo.nets.vocoder import Vocoder

from . import report

CLIP = Modality()
SPOKEN = next(s for s in sources() if s.name == "spoken-digits")
BATCH, RATE, TONES = 24, 3e-3, 1500
FASTEST = 1.25


def clips(part: str) -> Tensor:
    """The waves (N, samples) of spoken-digits' train or test part."""
    found = [p for p in sorted(own_folder(SPOKEN).glob("*.wav")) if (int(p.stem.rpartition("_")[2]) < 5) == (part == "test")]
    return torch.stack([CLIP.clip(p.read_bytes())[0] for p in found])


def played(waves: Tensor, faster: float) -> Tensor:
    """Waves (N, samples), each so many times as fast, cut or filled up to their length."""
    changed = functional.interpolate(waves[:, None], scale_factor=1 / faster, mode="linear")[:, 0]
    return functional.pad(changed, (0, max(0, CLIP.samples - changed.shape[1])))[:, : CLIP.samples]


def pair(waves: Tensor) -> tuple[Tensor, Tensor]:
    """Waves -> what the vocoder is shown, rounded as items are, and what it is to tell: levels from -1, the floor, to 1."""
    shown = CLIP.encode(CLIP.items(waves))[:, 0].flip(1)
    decibels = 20 * CLIP.spectrum(waves).abs().clamp(min=1e-9).log10()
    return shown, (1 + 2 * decibels / SPAN).clamp(min=-1)


def trained(waves: Tensor, minutes: float, seed: int = 0) -> Vocoder:
    """A vocoder after so many minutes on waves (N, samples)."""
    torch.manual_seed(seed)
    network = Vocoder(CLIP.size, CLIP.window // 2 + 1)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    began, step, done, sum_ = time.monotonic(), 0, 0.0, 0.0
    while done < 1:
        done = (time.monotonic() - began) / (60 * minutes)
        optimizer.param_groups[0]["lr"] = RATE * min(1, (step + 1) / 100) * max(0.0, 1 - done)
        shown, told = pair(played(waves[torch.randint(len(waves), (BATCH,))], FASTEST ** (2 * torch.rand(()).item() - 1)))
        loss = (network(shown) - told).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step, sum_ = step + 1, sum_ + loss.item()
        if step % 200 == 0:
            report.say(f"step {step}, {done:.0%}: {sum_ / 200 * SPAN / 2:.2f} dB off")
            sum_ = 0.0
    return network.eval()


def main() -> None:
    """Trains, and writes the weights in half precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("-o", "--out", type=Path, required=True)
    asked = parser.parse_args()
    drawn = torch.cat(list(tones.draw(tones.factors(TONES, 1), CLIP.rate, CLIP.samples, 1)))
    waves = torch.cat([clips("train"), drawn])
    report.say(f"{len(waves):,} clips")
    network = trained(waves, asked.minutes)
    files.write_whole(asked.out, safetensors.torch.save({k: v.half().contiguous() for k, v in network.state_dict().items()}))
    report.say(f"{asked.out}: {asked.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
