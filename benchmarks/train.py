"""How fast does our loop train, beside the loop that anybody would write?

Images a second on the CPU, ours and the peer's in turn, so that both meet the same machine: after a warm-up, rounds of equal steps, and of
each ratio the median over the rounds. Ours is all of `trainer.train`: batches, terms, averaged weights (EMA), progress, and a sample grid
at the end of each round; nothing is held out, so that both sides train on the same 60,000 pictures of MNIST.

gan:mlp against "the usual listing": torchvision's MNIST with ToTensor and Normalize, a shuffling DataLoader of its default settings
with batches of 32, the same two networks, two Adam optimizers, and the loop of every tutorial with its tensors of ones and zeros.

gan:dcgan and vae:conv against a plain loop of the same networks and losses at the same batch on a ready tensor of floats: AdamW as ours
(fused too), PyTorch's default memory layout, no averaged weights, no logging, every parameter's gradient kept as by default."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from aigc_demo import data
from aigc_demo.config import Run
from aigc_demo.model import Batch, build, generator, plan
from aigc_demo.trainer import Trainer, train

from . import report

Side = Callable[[int], int]  # trains so many steps; returns how many images they showed
STEPS = {"gan:mlp": 300, "gan:dcgan": 25, "vae:conv": 60}  # a round, some seconds


def planned(preset: str, **train_changes: Any) -> Run:
    """The preset on all of MNIST, on the CPU, for as long as anyone likes."""
    own = {"train.unit": "epochs", "train.budget": 1_000_000, "train.marks": 1, **{f"train.{k}": v for k, v in train_changes.items()}}
    own |= {"model.conditional": False} if preset == "gan:mlp" else {}  # the listing knows no classes
    return plan(preset, {"data.source": "mnist", "data.validation": 0, "device": "cpu", **own})


def ours(run: Run) -> Side:
    """Our trainer and its whole loop."""
    trainer = Trainer(run)

    def go(steps: int) -> int:
        last = trainer.step + steps
        for _ in train(trainer, stop=lambda: "stopped" if trainer.step >= last else ""):
            pass
        return steps * run.train.batch

    return go


def listing(run: Run, root: str) -> Side:
    """The loop of the usual tutorial of a GAN on MNIST, with the networks of `run`."""
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    to_tensor = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    loader = DataLoader(datasets.MNIST(root, train=True, transform=to_tensor, download=False), batch_size=run.train.batch, shuffle=True)
    model = build(run, data.load(run.data).modality, 0)
    G, D = model.generator, model.discriminator
    optimizer_g = torch.optim.Adam(G.parameters(), lr=run.train.lr, betas=(run.train.beta1, run.train.beta2))
    optimizer_d = torch.optim.Adam(D.parameters(), lr=run.train.lr, betas=(run.train.beta1, run.train.beta2))
    criterion = nn.BCEWithLogitsLoss()
    batches = forever(loader)

    def go(steps: int) -> int:
        images = 0
        for _ in range(steps):
            real, _ = next(batches)
            n = len(real)
            ones, zeros = torch.ones(n), torch.zeros(n)
            optimizer_d.zero_grad()
            fake = G(torch.randn(n, *model.latent))
            loss_d = criterion(D(real), ones) + criterion(D(fake.detach()), zeros)
            loss_d.backward()
            optimizer_d.step()
            optimizer_g.zero_grad()
            loss_g = criterion(D(fake), ones)
            loss_g.backward()
            optimizer_g.step()
            images += n
        return images

    return go


def forever(loader: Any) -> Iterator[Any]:
    """The loader's batches, epoch after epoch."""
    while True:
        yield from loader


def plain(run: Run, x: Tensor, y: Tensor, classes: int, modality: Any) -> Side:
    """A plain PyTorch loop of the networks and losses of `run` on x (N, C, S, S) with labels y (N,)."""
    model, t = build(run, modality, classes), run.train
    phases = model.phases()
    optimizers = {
        name: torch.optim.AdamW(part.parameters(), lr=t.lr, betas=(t.beta1, t.beta2), weight_decay=t.weight_decay, fused=True)
        for name, part in phases.items()
    }
    rng = generator(run.seed, "plain")
    batches = forever(Shuffled(x, y, t.batch))

    def go(steps: int) -> int:
        for _ in range(steps):
            batch = next(batches)
            for name, optimizer in optimizers.items():
                optimizer.zero_grad()
                loss, _ = model.loss(name, batch, rng)
                loss.backward()
                optimizer.step()
        return steps * t.batch

    return go


class Shuffled:
    """Whole batches of two tensors, in a new order each epoch."""

    def __init__(self, x: Tensor, y: Tensor, batch: int):
        self.x, self.y, self.batch = x, y, batch

    def __iter__(self) -> Iterator[Batch]:
        for index in torch.randperm(len(self.x)).split(self.batch):
            if len(index) == self.batch:
                yield Batch(self.x[index], self.y[index])


def in_turn(sides: dict[str, Side], steps: int, rounds: int) -> dict[str, list[float]]:
    """Images a second of each side in each round, the sides in turn; the first, short round warms up and is not counted."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            began = time.perf_counter()
            images = side(steps if number else max(3, steps // 5))
            if number:
                rates[name].append(images / (time.perf_counter() - began))
        if number:
            report.say(f"  round {number} of {rounds}, images/s: " + ", ".join(f"{name} {rate[-1]:,.0f}" for name, rate in rates.items()))
    return rates


def ratio(ours: list[float], peers: list[float]) -> float:
    """The median over the rounds of ours by the peer's."""
    return statistics.median(a / b for a, b in zip(ours, peers, strict=True))


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    root = report.needs_mnist()
    rounds = 3 if asked.quick else 9
    steps = {preset: max(3, count // 25) if asked.quick else count for preset, count in STEPS.items()}
    rows = []

    report.say("gan:mlp beside the usual listing")
    usual = planned("gan:mlp", batch=32)
    sides = {"ours": ours(usual), "listing": listing(usual, root), "ours at 128": ours(planned("gan:mlp", batch=128))}
    rates = in_turn(sides, steps["gan:mlp"], rounds)
    rows += [report.row(f"gan:mlp, {name}", statistics.median(rate), "images/s") for name, rate in rates.items()]
    rows.append(report.row("gan:mlp, ours / listing, batch 32 both", ratio(rates["ours"], rates["listing"]), "times", ">= 2"))
    rows.append(report.row("gan:mlp, ours at 128 / listing at its 32", ratio(rates["ours at 128"], rates["listing"]), "times", ">= 4"))

    for preset in ("gan:dcgan", "vae:conv"):
        run = planned(preset)
        report.say(f"{preset} beside a plain loop, batches of {run.train.batch}")
        mnist = data.load(run.data)
        peer = plain(run, mnist.modality.encode(mnist.items), mnist.labels, len(mnist.classes), mnist.modality)
        rates = in_turn({"ours": ours(run), "plain loop": peer}, steps[preset], rounds)
        rows += [report.row(f"{preset}, {name}", statistics.median(rate), "images/s") for name, rate in rates.items()]
        rows.append(report.row(f"{preset}, ours / plain loop", ratio(rates["ours"], rates["plain loop"]), "times", ">= 1"))
    report.finish("train", rows, asked)


if __name__ == "__main__":
    main()
