"""How likely does a VAE find digits that it has not seen?

The mean of -log p(x) over MNIST's 10,000 test pictures, dynamic binarisation (each pixel white with the probability of its grey, one draw a
picture), by importance sampling (Burda et al. 2015): every picture with 50 latents, 200 of them with 5,000 as well, and the mean difference
that these make is taken off the rest. Beside it the standard error for another such test set, that of the difference, and what independent
pixels find, each with its mean in the training set (205.8 in the literature). Of a conditional model p is given the picture's class, which
it is told: without it -log p(x) is at most log 10 = 2.30 nats higher.

Measured are the VAEs that ship, and, where they are named or their run is there (the home's runs/nats-*), two networks that papers report,
two hidden layers of 200 and a latent of 50: `vae:paper` on the usual bound (86.76 nats in Burda et al. 2015, table 1, after 3,280 epochs)
and `vae:iwae` on that of 50 draws (84.78), trained for as many epochs as a core does within an hour.

--quick takes 500 pictures, 20 of them with 5,000 latents."""

from __future__ import annotations

from typing import Any

from aigc_demo import checkpoint, config, data, files
from aigc_demo.engine import Engine
from aigc_demo.evaluation import likelihood
from aigc_demo.model import plan

from . import report
from .learnt import learnt

SAMPLES = 5000
BEST = "<= 80"  # nats
PAPERS = {"vae:paper": (1000, "<= 86.8"), "vae:iwae": (30, "<= 84.8")}  # epochs, nats


def measure(found: checkpoint.Checkpoint, test: data.Dataset, train: data.Dataset, whole: int, target: str) -> list[dict[str, Any]]:
    """The rows of one checkpoint, `whole` pictures with all latents; the target is not for one that is told the class."""
    engine = Engine()
    seen = likelihood.likelihood(engine, engine.warm(found), test, train, SAMPLES, whole)
    given = " given its class" if engine.warm(found).model.classes else ""
    return [
        report.row(f"{found.name}: -log p(x{given}), {seen.items:,} test pictures", seen.nats, "nats", "" if given else target),
        report.row(f"{found.name}: standard error", seen.error, "nats"),
        report.row(f"{found.name}: that of sparing all but {whole} pictures {SAMPLES:,} latents", seen.short, "nats"),
        report.row("independent pixels", seen.trivial, "nats"),
    ]


def rows(quick: bool, papers: list[str]) -> list[dict[str, Any]]:
    """Those of every shipped VAE of MNIST, and of the papers' networks that are named or there."""
    report.needs_mnist()
    test, train = (data.load(config.Data(source="mnist"), part=part) for part in ("test", "train"))
    shelf = checkpoint.shelf(files.shipped())
    vaes = [(c, BEST) for c in shelf if c.manifest.run.family == "vae" and c.manifest.source.name == "mnist"]
    for preset, (epochs, target) in PAPERS.items():
        name = f"nats-{preset.partition(':')[2]}"
        if preset in papers or (files.runs() / name).is_dir():
            changes = {"data.source": "mnist", "device": "cpu", "train.budget": epochs, "name": name}
            vaes.append((learnt(plan(preset, changes)), target))
    measured = [r for c, target in vaes for r in measure(c, test.limit(500, 0) if quick else test, train, 20 if quick else 200, target)]
    return list({r["name"]: r for r in measured}.values())  # the baseline is the same for all


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__, papers=f"networks to train, of {', '.join(PAPERS)}")
    if unknown := set(asked.papers) - set(PAPERS):
        report.give_up(f"none of {', '.join(PAPERS)}: {', '.join(sorted(unknown))}")
    found = rows(asked.quick, asked.papers)
    report.finish("likelihood", found, asked)


if __name__ == "__main__":
    main()
