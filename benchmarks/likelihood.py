"""How likely does a VAE find digits that it has not seen?

The mean of -log p(x) over MNIST's 10,000 test pictures, dynamic binarisation (each pixel white with the probability of its grey, one draw a
picture), by importance sampling (Burda et al. 2015): every picture with 50 latents, 200 of them with 5,000 as well, and the mean difference
that these make is taken off the rest. Beside it the standard error for another such test set, that of the difference, and what independent
pixels find, each with its mean in the training set (205.8 in the literature). Of a conditional model p is given the picture's class, which
it is told: without it -log p(x) is at most log 10 = 2.30 nats higher.

Measured are the VAEs that ship; benchmarks.papers measures networks that papers report, by the same.

--quick takes 500 pictures, 20 of them with 5,000 latents."""

from __future__ import annotations

from typing import Any

from aigc_demo import checkpoint, config, data, files
from aigc_demo.engine import Engine
from aigc_demo.evaluation import likelihood

from . import report

SAMPLES = 5000
BEST = "<= 80"  # nats


def measure(vaes: list[tuple[checkpoint.Checkpoint, str]], quick: bool) -> list[dict[str, Any]]:
    """The rows of each checkpoint, with the target that it has; it is not for one that is told the class."""
    report.needs_mnist()
    test, train = (data.load(config.Data(source="mnist"), part=part) for part in ("test", "train"))
    test, whole = (test.limit(500, 0), 20) if quick else (test, 200)
    found, engine = [], Engine()
    for one, target in vaes:
        seen = likelihood.likelihood(engine, engine.warm(one), test, train, SAMPLES, whole)
        given = " given its class" if engine.warm(one).model.classes else ""
        found += [
            report.row(f"{one.name}: -log p(x{given}), {seen.items:,} test pictures", seen.nats, "nats", "" if given else target),
            report.row(f"{one.name}: standard error", seen.error, "nats"),
            report.row(f"{one.name}: that of sparing all but {whole} pictures {SAMPLES:,} latents", seen.short, "nats"),
            report.row("independent pixels", seen.trivial, "nats"),
        ]
    return list({r["name"]: r for r in found}.values())  # the baseline is the same for all


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__)
    shelf = checkpoint.shelf(files.shipped())
    vaes = [(c, BEST) for c in shelf if c.manifest.run.family == "vae" and c.manifest.source.name == "mnist"]
    report.finish("likelihood", measure(vaes, asked.quick), asked)


if __name__ == "__main__":
    main()
