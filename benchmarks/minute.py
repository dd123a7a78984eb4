"""What does one minute of training give?

A run is started as the page starts it (`jobs.start`, a child process) on MNIST, on this machine, with a budget of one minute. The clock
starts at that call, so reading the data and importing PyTorch count; at 60 seconds the run is asked to stop and to keep what it learnt.
Then 1,000 samples of the checkpoint are drawn through the engine and named by a convolutional classifier, which this benchmark trains on
MNIST's train part (once; it lies in the cache) and which names at least 99 % of the 10,000 test pictures rightly. A sample is "named"
where the classifier gives one digit a probability of 0.9 or more; a digit "appears" where 1 % of the samples are named as it.

Beside it stand the ceiling (1,000 real test pictures) and the trivial floor (the same generator untrained). A share named is not a
likeness: a clear digit of an odd hand counts, and so does anything else that the classifier is sure of."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from aigc_demo import checkpoint, config, data, files, jobs
from aigc_demo.config import Run
from aigc_demo.engine import Engine, Request
from aigc_demo.model import build, draw_latents, plan

from . import report

SAMPLES = 1000
SURE = 0.9  # a probability
ACCURACY = 0.99  # of the classifier, at least


def classifier() -> nn.Sequential:
    """x (N, 1, 28, 28) -> logits (N, 10)."""
    return nn.Sequential(
        nn.Conv2d(1, 24, 5, padding=2), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(24, 48, 5, padding=2), nn.BatchNorm2d(48), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(48 * 7 * 7, 128), nn.ReLU(), nn.Dropout(0.4), nn.Linear(128, 10),
    )  # fmt: skip


def fitted(
    what: str, net: nn.Sequential, count: int, loss: Callable[[Tensor], Tensor], epochs: int, batch: int = 128, decay: float = 0.01
) -> nn.Sequential:
    """`net` after so many passes over `count` items, where loss(index) is that of the items at index (batch,); `what` it is, to be said."""
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * (count // batch))
    for epoch in range(epochs):
        for index in torch.randperm(count).split(batch)[: count // batch]:
            optimizer.zero_grad()
            loss(index).backward()
            optimizer.step()
            schedule.step()
        report.say(f"  {what}: epoch {epoch + 1} of {epochs}")
    return net.eval()


def trained(x: Tensor, y: Tensor, epochs: int) -> nn.Sequential:
    """A classifier of x (N, 1, 28, 28) with labels y (N,)."""
    torch.manual_seed(0)
    net = classifier()
    return fitted("classifier", net, len(x), lambda index: nn.functional.cross_entropy(net(x[index]), y[index]), epochs)


def judge(quick: bool, cache: Path) -> nn.Sequential:
    """The classifier, from the cache or trained now; its accuracy on the official test part is measured each time."""
    train, test = (data.load(config.Data(source="mnist"), part=part) for part in ("train", "test"))
    if quick:
        net = trained(train.modality.encode(train.items[:6000]), train.labels[:6000], 1)
    else:
        if not cache.exists():
            net = trained(train.modality.encode(train.items), train.labels, 5)
            files.write_whole(cache, safetensors.torch.save(net.state_dict()))
        net = classifier().eval()
        net.load_state_dict(safetensors.torch.load_file(cache))
        report.say(f"  classifier: sha256 {hashlib.sha256(cache.read_bytes()).hexdigest()}")
    right = (probabilities(net, test.modality.encode(test.items)).argmax(1) == test.labels).float().mean().item()
    report.say(f"  classifier: {right:.2%} of the {len(test):,} test pictures named rightly")
    if not quick and right < ACCURACY:
        raise RuntimeError(
            f"the classifier names {right:.2%} of the test pictures rightly, and {ACCURACY:.0%} are needed: delete {cache} and run again"
        )
    return net


@torch.inference_mode()
def probabilities(net: nn.Module, x: Tensor) -> Tensor:
    """x (N, 1, 28, 28) -> (N, 10)."""
    return torch.cat([net(part).softmax(1) for part in x.split(500)])


def named(p: Tensor) -> tuple[float, int]:
    """Of probabilities (N, 10): the percentage named, and how many digits appear."""
    most, digit = p.max(1)
    counts = torch.bincount(digit[most >= SURE], minlength=10)
    return 100 * counts.sum().item() / len(p), int((counts >= 0.01 * len(p)).sum())


def one_run(run: Run, seconds: float) -> tuple[checkpoint.Checkpoint, float, float]:
    """Trains `run` in a child for `seconds` from now; returns what it learnt, and when its last picture and its checkpoint were there."""
    began = time.monotonic()
    id, owner = jobs.start(run)
    marks: dict[int, float] = {}  # step -> when its picture was there
    asked = False
    while True:
        seen, now = jobs.watch(id), time.monotonic() - began
        for step in seen.marks:
            marks.setdefault(step, now)
        if seen.state in jobs.ENDED:
            break
        if now >= seconds and not asked:
            jobs.stop(id, owner)
            asked = True
        if now > seconds + 120:
            raise RuntimeError(f"the run has not stopped two minutes after it was asked to: {seen.says}")
        time.sleep(0.1)
    if seen.state == "failed" or not seen.checkpoint:
        raise RuntimeError(f"the run failed: {seen.says}")
    found = checkpoint.find(id)
    report.say(f"  {found.manifest.training.steps:,} steps; pictures at {', '.join(f'{t:.0f}' for t in marks.values())} s")
    return found, min(marks.values(), key=lambda t: abs(t - seconds)), now


def measure(preset: str, seconds: float, net: nn.Module) -> list[dict[str, Any]]:
    """The rows of one preset."""
    report.say(f"{preset}: {seconds:g} s of training")
    run = plan(preset, {"data.source": "mnist", "train.unit": "minutes", "train.budget": seconds / 60, "device": "cpu"})
    found, picture, ready = one_run(run, seconds)
    samples = Engine().draw([Request(found.name, seed=1, index=i) for i in range(SAMPLES)], name=found)
    encode = found.modality.encode
    p = probabilities(net, encode(torch.stack([s.item for s in samples])))
    share, digits = named(p)
    model = build(run, found.modality, len(found.manifest.classes)).eval()
    labels = torch.arange(SAMPLES) % model.classes if model.classes else None
    with torch.inference_mode():
        untrained = found.modality.decode(model.sample(draw_latents(model.latent, 1, range(SAMPLES)), model.Sampling(), labels))
    rows = [
        report.row(f"{preset}: from the start to the grid nearest {seconds:g} s", picture, "s"),
        report.row(f"{preset}: from the start to a checkpoint that samples", ready, "s"),
        report.row(f"{preset}: samples named", share, "%"),
        report.row(f"{preset}: digits that appear", digits, "of 10"),
    ]
    if labels is not None:  # the engine cycles through the classes by index
        right = (p.gather(1, labels[:, None]) >= SURE).float().mean().item()
        rows.append(report.row(f"{preset}: samples named as the digit asked for", 100 * right, "%"))
    share, digits = named(probabilities(net, encode(untrained)))
    rows.append(report.row(f"{preset}: untrained, samples named", share, "%"))
    rows.append(report.row(f"{preset}: untrained, digits that appear", digits, "of 10"))
    return rows


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    report.needs_mnist()
    net = judge(asked.quick, files.home() / "cache" / "mnist-classifier.safetensors")
    test = data.load(config.Data(source="mnist"), part="test")
    share, digits = named(probabilities(net, test.modality.encode(test.items[:SAMPLES])))
    rows = [report.row("real test pictures named", share, "%"), report.row("real test pictures: digits that appear", digits, "of 10")]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        os.environ["AIGC_HOME"] = home
        for preset in ("vae:conv",) if asked.quick else ("vae:conv", "gan:dcgan"):
            rows += measure(preset, 20 if asked.quick else 60, net)
    report.finish("minute", rows, asked)


if __name__ == "__main__":
    main()
