"""Are the families worth what their papers say?

Each row is measured as shared/PROTOCOLS.md has it, on the shipped checkpoints; nothing is trained but classifiers. For `flow`, on MNIST,
by mnist-flow-fine in its own eight steps, with the guidance that of 10,000 samples suits training pictures best, 1.6 for the 1-NN error
(of 1, 1.3, 1.6, 2 and 2.5) and 1, none, for the CNN (of 1, 1.3 and 1.6); mnist-flow, which needs one step, is laid beside it by the
feature distance, both without guidance:

- 1-NN error: that of the 10,000 real test pictures by the nearest of N samples, class-balanced, raw pixels, Euclidean; beside it the same
  with N real training pictures, and with N draws of one Gaussian a class of 60 principal components, which is what no learning gives.
- Classification accuracy score: the accuracy on the real test pictures of a CNN (that of benchmarks.minute) which is trained on N samples
  alone, beside the same CNN on N real ones; the mean of the seeds.
- Copy rate: the share of N samples whose nearest of 10,000 training pictures, by the features of the classifier on real data, is nearer
  than 99 % of the held-out pictures are to theirs; and the same against 10,000 held-out pictures. A copier is near the training set only.
- Feature distance: Frechet's, of the same features, between N samples and the 10,000 test pictures, in several numbers of steps; the floor
  is that of N training pictures. It is no FID: its features are those of this classifier, whose hash is printed.
- Bits per dimension of test pictures by the flow (50 Heun steps, one Hutchinson probe, uniform dequantisation).
- Training speed at 32 x 32 RGB, batch 64: images/s of the preset `cpu` in the trainer's own step, beside a plain loop of DDPM (Ho et al.
  2020) on this program's U-Net with 2.6 million weights; alternating, medians. What both have learnt after ten minutes: benchmarks.race.

How likely a `vae` finds test pictures is a question of its own: benchmarks.likelihood.

--quick takes a fiftieth of the samples, a twentieth of those whose distance is told, and one seed."""

from __future__ import annotations

import io
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aigc_demo import checkpoint, config, data, files, trainer
from aigc_demo.engine import Engine, Request
from aigc_demo.model import draw_latents, generator, plan
from aigc_demo.nets.unet import UNet

from . import report
from .minute import judge, probabilities, trained

Rows = list[dict[str, Any]]
STEPS = 1000  # of DDPM's noise
FINE, LIVE = "mnist-flow-fine", "mnist-flow"  # checkpoints
GUIDANCE = {"nearest": 1.6, "learnt": 1.0}  # of samples that a 1-NN looks among, and that a CNN learns from


def drawn(name: str, n: int, steps: int = 0, guidance: float = 1.0) -> tuple[Tensor, Tensor]:
    """`n` class-balanced samples of a checkpoint as items uint8, and their classes, by the engine's own seeds.

    They are drawn on a GPU where there is one, and kept in the cache, by the checkpoint's weights."""
    found = checkpoint.find(name)
    place = files.home() / "cache" / "benchmarks" / f"{name}-{found.digest[:16]}-{n}-{steps}-{guidance:g}.npz"
    if not place.exists():
        engine = Engine(device="cuda" if torch.cuda.is_available() else "cpu")
        requests = [Request(name, seed=1, index=i, sampling={"steps": steps, "guidance": guidance}) for i in range(n)]
        whole = io.BytesIO()
        np.savez_compressed(whole, items=torch.stack([s.item for s in engine.draw(requests, name=found)]).numpy())
        files.write_whole(place, whole.getvalue())
    classes = len(found.manifest.classes)
    return torch.from_numpy(np.load(place)["items"]), torch.arange(n) % classes


def nearest_error(items: Tensor, labels: Tensor, test: data.Dataset) -> float:
    """The percentage of `test` whose nearest of `items` is of another class."""
    known = items.flatten(1).float() / 255
    square = known.square().sum(1)
    wrong = 0
    for part, truth in zip(test.items.split(500), test.labels.split(500), strict=True):
        x = part.flatten(1).float() / 255
        wrong += int((labels[(square - 2 * x @ known.T).argmin(1)] != truth).sum())
    return 100 * wrong / len(test.items)


def gaussians(train: data.Dataset, n: int) -> tuple[Tensor, Tensor]:
    """`n` draws of one Gaussian a class, of 60 principal components, as items."""
    rng, items, labels = generator("gaussians"), [], []
    for k in range(len(train.classes)):
        x = train.items[train.labels == k].flatten(1).float()
        mean = x.mean(0)
        _, s, axes = torch.svd_lowrank(x - mean, 60, niter=4)
        z = torch.randn(n // len(train.classes), 60, generator=rng) * s / len(x) ** 0.5
        items.append((mean + z @ axes.T).round().clamp(0, 255).to(torch.uint8).view(-1, *train.items.shape[1:]))
        labels.append(torch.full((len(z),), k))
    return torch.cat(items), torch.cat(labels)


def features(net: nn.Sequential, items: Tensor) -> Tensor:
    """Items uint8 (N, 1, 28, 28) -> the classifier's last hidden layer (N, 128)."""
    with torch.inference_mode():
        return torch.cat([net[:-1](x / 127.5 - 1) for x in items.split(1000)])


def frechet(a: Tensor, b: Tensor) -> float:
    """|mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) of features (N, F) (Heusel et al. 2017, arXiv:1706.08500, equation 6)."""
    a, b = a.double(), b.double()
    cross = torch.linalg.eigvals(a.T.cov() @ b.T.cov()).real.clamp(min=0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + a.T.cov().trace() + b.T.cov().trace() - 2 * cross)


def useful(name: str, quick: bool) -> Rows:
    """What a classifier learns of a checkpoint's samples alone, and how near these are to what was trained on."""
    n = 1000 if quick else 50_000
    train, test = (data.load(config.Data(source="mnist"), part=part) for part in ("train", "test"))
    order = torch.randperm(len(train.items), generator=generator("order"))
    real = [(train.items[order[:n]], train.labels[order[:n]])]
    own, varied = (drawn(name, n, guidance=GUIDANCE[use]) for use in ("nearest", "learnt"))
    rows = [
        report.row(f"{name}: 1-NN error, {n:,} samples", nearest_error(*own, test), "%", "" if quick else "<= 2.98"),
        report.row(f"{name}: 1-NN error, {n:,} real pictures", nearest_error(*real[0], test), "%"),
        report.row(f"{name}: 1-NN error, {n:,} draws of Gaussians", nearest_error(*gaussians(train, n), test), "%"),
    ]
    for what, (items, labels), target in (("samples", varied, ">= 98.5"), ("real pictures", real[0], "")):
        right = []
        for seed in range(1 if quick else 3):
            mixed = torch.randperm(n, generator=generator("mixed", seed))
            net = trained(test.modality.encode(items[mixed]), labels[mixed], 5)
            right.append((probabilities(net, test.modality.encode(test.items)).argmax(1) == test.labels).float().mean().item())
        rows.append(report.row(f"{name}: accuracy of a CNN of {n:,} {what}", 100 * statistics.fmean(right), "%", target))
    net = judge(False, files.home() / "cache" / "mnist-classifier.safetensors")
    known, held, samples = (features(net, items[:10_000]) for items in (train.items[order], test.items, varied[0]))

    def near(a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([torch.cdist(part, b).amin(1) for part in a.split(1000)])

    bound = near(held, known).quantile(0.01)
    rows.append(report.row(f"{name}: copy rate", 100 * (near(samples, known) < bound).float().mean().item(), "%"))
    rows.append(report.row(f"{name}: the same to held-out pictures", 100 * (near(samples, held) < bound).float().mean().item(), "%"))
    return rows


def steps(quick: bool) -> Rows:
    """What is gained by more steps, and by one model of many steps over one that needs one."""
    n = 500 if quick else 10_000
    train, test = (data.load(config.Data(source="mnist"), part=part) for part in ("train", "test"))
    net = judge(False, files.home() / "cache" / "mnist-classifier.safetensors")
    truth, rows = features(net, test.items), []
    apart = {}
    for name, k in ((LIVE, 1), (LIVE, 2), (LIVE, 50), (FINE, 8), (FINE, 50)):
        apart[name, k] = frechet(features(net, drawn(name, n, k)[0]), truth)
        rows.append(report.row(f"{name}: feature distance in {k} step{'s' * (k > 1)}, {n:,} samples", apart[name, k], ""))
    order = torch.randperm(len(train.items), generator=generator("order"))[:n]
    rows.append(report.row(f"feature distance of {n:,} training pictures", frechet(features(net, train.items[order]), truth), ""))
    rows.append(report.row(f"{LIVE}: feature distance, 1 step / its own 50", apart[LIVE, 1] / apart[LIVE, 50], "times", "<= 1.5"))
    return [*rows, report.row(f"{LIVE} in 1 step / {FINE} in 50", apart[LIVE, 1] / apart[FINE, 50], "times", "<= 1.5")]


def bits(name: str, quick: bool) -> Rows:
    """How well a checkpoint foresees test pictures."""
    found = checkpoint.find(name)
    model = checkpoint.load(found)
    test = data.load(config.Data(source="mnist"), part="test")
    n = 20 if quick else 100
    rng = generator("bits")
    x = found.modality.encode(test.items[:n])
    x = x + (torch.rand(x.shape, generator=rng) - 0.5) / 127.5
    nats = torch.cat([model.log_density(a, rng, y) for a, y in zip(x.split(20), test.labels[:n].split(20), strict=True)])
    per = -nats / (x[0].numel() * math.log(2)) + math.log2(127.5)
    said = f"{name}: bits per dimension, {n} test pictures"
    return [report.row(said, per.mean().item(), "bits"), report.row(f"{said}: standard error", per.std().item() / n**0.5, "bits")]


class Ddpm:
    """The usual loop: the noise of DDPM's x_t by a U-Net, AdamW; one step a call, of pictures x (B, C, S, S) and their classes y (B,)."""

    def __init__(self, shape: tuple[int, int, int], classes: int = 0, rate: float = 2e-4):
        torch.manual_seed(0)
        self.net = UNet(shape, classes, 40, (1, 2, 2), 2)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), rate)
        self.kept = torch.linspace(1e-4, 0.02, STEPS).neg().add(1).cumprod(0)

    def step(self, x: Tensor, y: Tensor | None = None) -> None:
        noise, t = torch.randn_like(x), torch.randint(STEPS, (len(x),))
        kept = self.kept[t].view(-1, 1, 1, 1)
        found = self.net(kept.sqrt() * x + (1 - kept).sqrt() * noise, t[:, None] / STEPS, y)
        self.optimizer.zero_grad()
        nn.functional.mse_loss(found, noise).backward()
        self.optimizer.step()


def speed(quick: bool) -> Rows:
    """Training beside the usual U-Net."""
    with tempfile.TemporaryDirectory() as place:
        from PIL import Image

        for i in range(200):  # what is on them does not matter to the clock
            Image.effect_noise((32, 32), 80 + i % 40).convert("RGB").save(Path(place, f"{i}.png"))
        made = trainer.Trainer(plan("flow:cpu", {"data.source": place, "data.size": 32, "data.channels": 3, "device": "cpu"}))
    other, x = Ddpm((3, 32, 32)), draw_latents((3, 32, 32), 0, range(64)).clamp(-1, 1)
    weights = sum(p.numel() for p in other.net.parameters()) / 1e6
    sides: dict[str, tuple[Callable, int, list[float]]] = {
        "flow:cpu": (lambda: made.one_step(0.5), 10, []),
        f"DDPM, U-Net of {weights:.1f} million weights": (lambda: other.step(x), 1, []),
    }
    for turn in range(4 if quick else 7):
        for run, count, seen in sides.values():
            began = time.perf_counter()
            for _ in range(count):
                run()
            if turn:  # the first warms up
                seen.append(64 * count / (time.perf_counter() - began))
    rates = {name: statistics.median(seen) for name, (_, _, seen) in sides.items()}
    rows = [report.row(f"training at 32 x 32: {name}", rate, "images/s") for name, rate in rates.items()]
    ours, theirs = rates.values()
    return [*rows, report.row("training at 32 x 32: flow:cpu / DDPM", ours / theirs, "times", ">= 10")]


def flow(quick: bool) -> Rows:
    """The family flow."""
    report.needs_mnist()
    return [*speed(quick), *useful(FINE, quick), *steps(quick), *bits(FINE, quick)]


FAMILIES: tuple[Callable[[bool], Rows], ...] = (flow,)


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    rows = [row for family in FAMILIES for row in family(asked.quick)]
    report.finish("families", rows, asked)


if __name__ == "__main__":
    main()
