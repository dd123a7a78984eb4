"""What do ten minutes of two cores teach a flow, and what the usual diffusion?

`flow:cpu` beside a plain loop of DDPM (Ho et al. 2020) on this program's U-Net with 2.6 million weights, both told the digit, on MNIST at
32 x 32, in batches of 64, for as long on the clock of the process, one after the other on one thread. DDPM has AdamW at its usual rate,
2e-4, and, as a short training wants a higher one, at 1e-3 too. Its pictures are drawn by DDIM (Song et al. 2020, arXiv:2010.02502) in 10
and in 25 steps, those of the flow in 1 to 8 (euler).

Feature distance: Frechet's, of the classifier of benchmarks.minute, between 1,000 samples of all classes and the 10,000 test pictures; both
are brought from 32 to 28 pixels in the same way. The floor is that of 1,000 training pictures. Drawing 16 pictures is timed for DDPM in the
fewest steps that come within 5 % of its best, and for the flow in the fewest that come as near as that; the median of several.

--quick trains for twenty seconds each, and draws a fifth of the samples."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from aigc_demo import config, data, files, trainer
from aigc_demo.model import draw_latents, generator, plan

from . import minute, report
from .families import STEPS, Ddpm, features, frechet

MINUTES, QUICK_MINUTES = 10, 1 / 3
SAMPLES, QUICK_SAMPLES, PART, DRAWN = 1000, 200, 250, 16
RATES = (2e-4, 1e-3)
DDIM, FLOW = (10, 25), (1, 2, 4, 8)  # steps of a sample
ROUNDS = 5
SAME = 1.05  # times a distance: as good
SIZE = 32

Draw = Callable[[Tensor, Tensor, int], Tensor]  # noise (N, 1, 32, 32), digits (N,) and steps -> pictures


def taught(step: Callable[[float], Any], minutes: float) -> int:
    """Calls `step` with the share of the time that is over until all of it is; returns how often."""
    began, count = time.process_time(), 0
    while (done := (time.process_time() - began) / (60 * minutes)) < 1:
        step(done)
        count += 1
    return count


def ddim(side: Ddpm, noise: Tensor, y: Tensor, steps: int) -> Tensor:
    """Pictures of DDPM's network from noise (N, 1, S, S) and digits y (N,): equation 12 of DDIM with sigma = 0."""
    x, times = noise, torch.linspace(STEPS - 1, 0, steps).round().long().tolist()
    for t, then in zip(times, [*times[1:], None], strict=True):
        kept, next_ = side.kept[t], side.kept[then] if then is not None else torch.tensor(1.0)
        found = side.net(x, torch.full((len(x), 1), t / STEPS), y)
        end = ((x - (1 - kept).sqrt() * found) / kept.sqrt()).clamp(-1, 1)
        x = next_.sqrt() * end + (1 - next_).sqrt() * (x - kept.sqrt() * end) / (1 - kept).sqrt()
    return x


class Judge:
    """The classifier, and the features of the test pictures, which it lays so many samples beside."""

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self.net = minute.judge(False, files.home() / "cache" / "mnist-classifier.safetensors")
        self.train, test = (data.load(config.Data(source="mnist", size=SIZE), part=part) for part in ("train", "test"))
        self.truth = self.seen(test.items)

    def seen(self, items: Tensor) -> Tensor:
        """Items uint8 (N, 1, 32, 32) -> features (N, 128)."""
        small = torch.nn.functional.interpolate(items.float(), 28, mode="bilinear", antialias=True)
        return features(self.net, small.round().to(torch.uint8))

    def distance(self, items: Tensor) -> float:
        """The feature distance of items uint8 (N, 1, 32, 32)."""
        return frechet(self.seen(items), self.truth)


def measured(judge: Judge, draw: Draw, steps: tuple[int, ...]) -> dict[str, dict[str, float]]:
    """By the number of steps: the distance of samples, and the seconds that DRAWN of them take."""
    noise, y = draw_latents((1, SIZE, SIZE), 1, range(judge.samples)), torch.arange(judge.samples) % 10
    found = {}
    for k in steps:
        x = torch.cat([draw(z, c, k) for z, c in zip(noise.split(PART), y.split(PART), strict=True)])
        spent = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            draw(noise[:DRAWN], y[:DRAWN], k)
            spent.append(time.perf_counter() - began)
        apart = judge.distance(judge.train.modality.decode(x))
        found[str(k)] = {"distance": apart, "seconds": statistics.median(spent)}
        report.say(f"    in {k} steps: distance {apart:.1f}, {DRAWN} pictures in {found[str(k)]['seconds']:.3f} s")
    return found


def ours(judge: Judge, minutes: float) -> dict[str, Any]:
    """The flow, taught and measured."""
    made = trainer.Trainer(plan("flow:cpu", {"data.source": "mnist", "data.size": SIZE, "device": "cpu"}))
    seen = taught(made.one_step, minutes) * made.run.train.batch
    with made.averaged() as model:
        sampling = {k: model.Sampling(steps=k, method="euler") for k in FLOW}
        return {"pictures": seen, "steps": measured(judge, lambda z, y, k: model.sample(z, sampling[k], y), FLOW)}


def theirs(judge: Judge, minutes: float, rate: float) -> dict[str, Any]:
    """DDPM, taught and measured."""
    items, labels, rng = judge.train.items, judge.train.labels, generator("batches")
    side = Ddpm((1, SIZE, SIZE), 10, rate)

    def step(done: float) -> None:
        index = torch.randint(len(items), (64,), generator=rng)
        side.step(judge.train.modality.encode(items[index]), labels[index])

    seen = taught(step, minutes) * 64
    side.net.eval()
    with torch.inference_mode():
        return {"pictures": seen, "steps": measured(judge, lambda z, y, k: ddim(side, z, y, k), DDIM)}


def rows(quick: bool) -> list[dict[str, Any]]:
    """All rows."""
    report.needs_mnist()
    seeing, minutes = Judge(QUICK_SAMPLES if quick else SAMPLES), QUICK_MINUTES if quick else MINUTES
    report.say("  flow:cpu")
    flow = ours(seeing, minutes)
    others = {}
    for rate in RATES:
        report.say(f"  DDPM at {rate:g}")
        others[rate] = theirs(seeing, minutes, rate)
    found = [report.row(f"flow:cpu: pictures seen in {minutes:.3g} min", flow["pictures"], "")]
    found += [report.row(f"flow:cpu: feature distance in {k} step{'s' * (k != '1')}", v["distance"], "") for k, v in flow["steps"].items()]
    for rate, side in others.items():
        found.append(report.row(f"DDPM at {rate:g}: pictures seen", side["pictures"], ""))
        found += [report.row(f"DDPM at {rate:g}: feature distance in {k} steps", v["distance"], "") for k, v in side["steps"].items()]
    order = torch.randperm(len(seeing.train.items), generator=generator("order"))[: seeing.samples]
    found.append(report.row(f"feature distance of {seeing.samples:,} training pictures", seeing.distance(seeing.train.items[order]), ""))
    tried = [v for side in others.values() for v in side["steps"].values()]
    best, least = (min(v["distance"] for v in some) for some in (tried, flow["steps"].values()))
    found.append(report.row("feature distance: the best of DDPM / the best of flow:cpu", best / least, "times", ">= 1"))
    usual = min((v for v in tried if v["distance"] <= SAME * best), key=lambda v: v["seconds"])
    found.append(report.row(f"DDPM, within 5 % of its best: {DRAWN} pictures", usual["seconds"], "s"))
    near = next((v for v in flow["steps"].values() if v["distance"] <= usual["distance"]), None)
    if near is not None:
        found.append(report.row(f"flow:cpu, as near or nearer: {DRAWN} pictures", near["seconds"], "s"))
        found.append(report.row(f"{DRAWN} pictures: DDPM / flow:cpu", usual["seconds"] / near["seconds"], "times", ">= 10"))
    return found


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    torch.set_num_threads(1)
    report.finish("race", rows(asked.quick), asked)


if __name__ == "__main__":
    main()
