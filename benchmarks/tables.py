"""The README's tables, written between their marks from results.json and the shipped checkpoints; `--check` only says if they agree."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from aigc_demo import checkpoint

from .report import RESULTS, ROOT, say

README = ROOT / "README.md"
BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
SHELF_BEGIN, SHELF_END = "<!-- checkpoints:begin -->", "<!-- checkpoints:end -->"
TITLES = {
    "start": "From `python app.py` to the first picture",
    "explore": "A slider moves, the picture follows",
    "explorer": "A drag plays from the slider's film strip",
    "static_page": "A page that needs no server",
    "curves": "A curve of 100,000 points that goes on",
    "train": "Training throughput",
    "half": "bf16 on a CPU that multiplies it in tiles",
    "minute": "One minute of training",
    "crashes": "Runs that are killed, and go on",
    "visitors": "Fifty visitors and five browsers at one server",
    "health": "A run's health in one word: runs broken on purpose, and presets as shipped",
    "marks": "What the marks of a run cost",
    "directions": "Sliders that change one thing each",
    "gaussians": "25 Gaussians: does a generator leave some out?",
    "text": "Texts: foretold, written, in form",
    "shakespeare": "Tiny Shakespeare in five minutes, beside nanoGPT's recipe",
    "larger": "Tiny Shakespeare with a network of nanoGPT's size",
    "stacked": "Stacked MNIST: which of 1,000 combinations does a generator leave out?",
    "families": "A flow of digits: are its samples of use, and how soon does it learn?",
    "race": "Ten minutes of a flow beside ten of the usual diffusion",
    "likelihood": "How likely a VAE finds digits that it has not seen",
    "papers": "A small VAE beside the likelihood that papers report of it",
    "sound": "Does it say what it was asked to?",
    "words": "Does a picture show what its caption asks for?",
    "inversion": "Back from a picture: a real digit to its latent",
}


def render(results: dict[str, Any]) -> str:
    """The block between the marks, and the marks."""
    named = [name for name in TITLES if name in results] + sorted(set(results) - set(TITLES))
    return "\n".join([BEGIN, *(line for name in named for line in table(results[name])), END])


def table(result: dict[str, Any]) -> list[str]:
    """The lines of one benchmark: what, ours, unit, target, holds; and where and when it was measured."""
    name = result["benchmark"]
    lines = ["", f"**{TITLES.get(name, name)}**", "", "| what | ours | unit | target | holds |", "|---|--:|---|---|---|"]
    for row in result["rows"]:
        verdict = {True: "yes", False: "**no**", None: ""}[row["holds"]]
        target = row["target"].replace(">=", "≥").replace("<=", "≤")
        lines.append(f"| {row['name']} | {row['value']:,} | {row['unit']} | {target} | {verdict} |")
    return [*lines, "", f"`python -m benchmarks.{name}` at {result['commit']} on {result['date']}: {result['machine']}.", ""]


def shelf() -> str:
    """The block of the shipped checkpoints, and its marks."""
    lines = [SHELF_BEGIN, "", "| checkpoint | made by | on | steps | minutes | MB |", "|---|---|---|--:|--:|--:|"]
    for c in checkpoint.shelf(ROOT / "checkpoints"):
        training = c.manifest.training
        facts = f"{training.steps:,} | {training.seconds / 60:.0f} | {c.bytes / 1e6:.1f}"
        line, *changed = training.command.splitlines()
        made = f"`{line}`" + ", and trained on (its card)" * bool(changed)
        lines.append(f"| [{c.name}](checkpoints/{c.name}/README.md) | {made} | {c.manifest.source.title} | {facts} |")
    return "\n".join([*lines, "", SHELF_END])


def block(readme: str, begin: str = BEGIN, last: str = END) -> str | None:
    """The block that `readme` has, marks and all; None where it has none."""
    start, end = readme.find(begin), readme.find(last)
    return readme[start : end + len(last)] if 0 <= start < end else None


def main() -> int:
    """Writes or checks the README's block; 0 where it agrees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where the README differs")
    asked = parser.parse_args()
    readme = README.read_text(encoding="utf-8")
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    made = readme
    for have, want, mark in ((block(readme), render(results), BEGIN), (block(readme, SHELF_BEGIN, SHELF_END), shelf(), SHELF_BEGIN)):
        if have is None:
            say(f"README.md has no block that begins with {mark}")
            return 1
        made = made.replace(have, want)
    if made == readme:
        return 0
    if asked.check:
        say("README.md differs from benchmarks/results.json or checkpoints/: python -m benchmarks.tables")
        return 1
    README.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
