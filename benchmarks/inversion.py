"""Does a real digit land on its digit?

The first test pictures of MNIST, which no model was trained on, are handed to the search of `aigc invert` with the class unknown. Both
checkpoints are conditional, so every class is tried and the search chooses one: "class right" is where that is the picture's label. A
class that is chosen rightly may still be drawn wrongly, so what is drawn is also named by the classifier of benchmarks.minute (at least
99 % of the 10,000 test pictures right): "drawn as its digit" is where that agrees with the label. PSNR and RMSE are between the picture
and the match, pixels of 0 to 255; seconds are for one search, alone on the machine.

Beside it stand the trivial floor (the best of as many random samples as the search begins with, never descended) and the classifier on
the pictures themselves, the ceiling of what it can agree with."""

from __future__ import annotations

import statistics

import torch

from aigc_demo import checkpoint, config, data, files
from aigc_demo.engine import Engine, Request
from aigc_demo.exploration import inversion

from . import report
from .minute import judge, probabilities

PICTURES = 200


def measure(name: str, test: data.Dataset, net: torch.nn.Module, count: int) -> list[dict]:
    """The rows of one checkpoint."""
    report.say(f"{name}: {count} pictures")
    found, engine = checkpoint.find(name), Engine()
    matches = [inversion.invert(engine, Request(name), item, name=found) for item in test.items[:count]]
    labels = test.labels[:count]
    chosen = torch.tensor([m.request.label for m in matches])
    drawn = probabilities(net, found.modality.encode(torch.stack([m.item for m in matches]))).argmax(1)
    start = "encoder" if matches[0].encoded else "random latents"
    pool = engine.draw([Request(name, seed=1, index=i) for i in range(320)])
    samples = torch.stack([s.item for s in pool]).flatten(1).float()
    nearest = torch.cdist(test.items[:count].flatten(1).float(), samples).argmin(1)
    floor = (nearest % 10 == labels).float().mean().item()  # the engine cycles through the classes by index
    return [
        report.row(f"{name} ({start}): class right", 100 * (chosen == labels).float().mean().item(), "%", ">= 90"),
        report.row(f"{name}: drawn as its digit", 100 * (drawn == labels).float().mean().item(), "%", ">= 90"),
        report.row(f"{name}: PSNR, mean", statistics.fmean(m.psnr for m in matches), "dB"),
        report.row(f"{name}: RMSE, median", statistics.median(m.rmse for m in matches), "of 255"),
        report.row(f"{name}: seconds a picture, mean", statistics.fmean(m.seconds for m in matches), "s"),
        report.row(f"{name}: seconds a picture, most", max(m.seconds for m in matches), "s", "<= 10"),
        report.row(f"{name}: floor, class of the nearest of 320 samples right", 100 * floor, "%"),
    ]


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    report.needs_mnist()
    net = judge(asked.quick, files.home() / "cache" / "mnist-classifier.safetensors")
    test = data.load(config.Data(source="mnist"), part="test")
    count = 20 if asked.quick else PICTURES
    real = probabilities(net, test.modality.encode(test.items[:count])).argmax(1)
    rows = [report.row("the pictures themselves, named rightly", 100 * (real == test.labels[:count]).float().mean().item(), "%")]
    for name in ("mnist-vae", "mnist-dcgan"):
        rows += measure(name, test, net, count)
    report.finish("inversion", rows, asked)


if __name__ == "__main__":
    main()
