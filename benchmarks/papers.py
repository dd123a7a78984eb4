"""Does a small VAE come to the likelihood that papers report of it?

Two hidden layers of 200 and a latent of 50, on MNIST: `vae:paper` on the usual bound (86.76 nats in Burda et al. 2015, table 1, after 3,280
epochs), and where it is named `vae:iwae` on that of 50 draws (84.78). Each is trained as its preset says for as many epochs as a core does
within an hour, and measured as benchmarks.likelihood measures those that ship. A run of the home that is there, runs/nats-*, is taken.

--quick trains for a hundredth of the epochs, and takes 500 pictures, 20 of them with 5,000 latents."""

from __future__ import annotations

from aigc_demo.model import plan

from . import likelihood, report
from .learnt import learnt

PAPERS = {"vae:paper": (1000, "<= 86.8"), "vae:iwae": (30, "<= 84.8")}  # epochs, nats


def main() -> None:
    """Measures, and says."""
    asked = report.options(__doc__, presets=f"of {', '.join(PAPERS)}; the first, if none is named")
    if unknown := set(asked.presets) - set(PAPERS):
        report.give_up(f"none of {', '.join(PAPERS)}: {', '.join(sorted(unknown))}")
    report.needs_mnist()
    vaes = []
    for preset in asked.presets or list(PAPERS)[:1]:
        (epochs, target), name = PAPERS[preset], "nats-" + preset.partition(":")[2] + "-quick" * asked.quick
        changes = {"data.source": "mnist", "device": "cpu", "train.budget": epochs / (100 if asked.quick else 1), "name": name}
        vaes.append((learnt(plan(preset, changes)), target))
    rows = likelihood.measure(vaes, asked.quick)
    for found, _ in vaes:
        made, run = found.manifest.training, found.manifest.run
        rows += [
            report.row(f"{found.name}: epochs", run.train.budget, "epochs"),
            report.row(f"{found.name}: training on {made.machine}", made.seconds / 60, "min"),
        ]
    report.finish("papers", rows, asked)


if __name__ == "__main__":
    main()
