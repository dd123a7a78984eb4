"""The README's benchmark tables, written from results.json between their two marks; `--check` only says whether they agree."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from .report import RESULTS, ROOT, say

README = ROOT / "README.md"
BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
TITLES = {
    "start": "From `python app.py` to the first picture",
    "explore": "A slider moves, the picture follows",
    "train": "Training throughput",
    "minute": "One minute of training",
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


def block(readme: str) -> str | None:
    """The block that `readme` has, marks and all; None where it has none."""
    start, end = readme.find(BEGIN), readme.find(END)
    return readme[start : end + len(END)] if 0 <= start < end else None


def main() -> int:
    """Writes or checks the README's block; 0 where it agrees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where the README differs")
    asked = parser.parse_args()
    readme = README.read_text(encoding="utf-8")
    have, want = block(readme), render(json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {})
    if have is None:
        say(f"README.md has no block between {BEGIN} and {END}")
        return 1
    if have == want:
        return 0
    if asked.check:
        say("README.md differs from benchmarks/results.json: python -m benchmarks.tables")
        return 1
    README.write_text(readme.replace(have, want), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
