"""What a benchmark says: rows of a value beside its target, one JSON object on the last line, and the results that are kept."""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import operator
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).with_name("results.json")
KEYS = ("name", "value", "unit", "target", "holds")
# what benchmarks write themselves does not make the tree dirty
MADE = ("benchmarks/results.json", "benchmarks/health_runs.json", "README.md", "cache")
COMPARE = {">=": operator.ge, "<=": operator.le}


def options(about: str | None, **names: str) -> argparse.Namespace:
    """The command line that every benchmark has; `about` is its docstring, `names` are lists that this one takes, with their help."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that it works: its figures are worth nothing")
    parser.add_argument("--save", action="store_true", help="keep the figures in benchmarks/results.json")
    for name, told in names.items():
        parser.add_argument(name, nargs="*", help=told)
    asked = parser.parse_args()
    if asked.quick and asked.save:
        parser.error("--save: the figures of --quick are not worth keeping")
    return asked


def say(text: str) -> None:
    """A line for the person who waits."""
    print(text, file=sys.stderr, flush=True)


def give_up(sentence: str) -> NoReturn:
    """Ends a benchmark that cannot be taken here: exit 2."""
    say(sentence)
    sys.exit(2)


def needs_mnist() -> str:
    """The folder that holds the real MNIST; ends the benchmark where there is none."""
    root = os.environ.get("AIGC_DATA", "")
    if not root or not (Path(root) / "MNIST" / "raw").is_dir():
        give_up("this benchmark needs the real MNIST: set AIGC_DATA to a folder that holds MNIST/raw")
    return root


def row(name: str, value: float, unit: str, target: str = "") -> dict[str, Any]:
    """One figure, said on stderr too. `target` is such as ">= 2", or "" for a figure that promises nothing."""
    shown = round(value, 3) if abs(value) < 10 else round(value, 1) if abs(value) < 1000 else round(value)
    if holds(shown, target) is holds(value, target):  # rounding does not turn a miss into a hit
        value = shown
    found = {"name": name, "value": value, "unit": unit, "target": target, "holds": holds(value, target)}
    say(f"  {name}: {value:,} {unit}" + (f"  (target {target}: {'holds' if found['holds'] else 'FAILS'})" if target else ""))
    return found


def holds(value: float, target: str) -> bool | None:
    """Whether `value` meets `target`; None without a target."""
    if not target:
        return None
    sign, bound = target.split()
    return COMPARE[sign](value, float(bound))


def kept(make: Callable[..., Any], *arguments: Any, by: str = "") -> Any:
    """`make(*arguments)` as JSON, from the cache where the same code made it before: a benchmark of half an hour goes on where it was cut.

    `by` is the hash of that code; without it this commit's is told from another's."""
    from aigc_demo import files

    key = hashlib.sha256(f"{by or commit()} {make.__name__} {arguments}".encode()).hexdigest()[:24]
    cache = files.home() / "cache" / "benchmarks" / f"{key}.json"
    if not cache.exists():
        files.write_whole(cache, json.dumps(make(*arguments)).encode())
    return json.loads(cache.read_bytes())


def finish(benchmark: str, rows: list[dict[str, Any]], asked: argparse.Namespace) -> None:
    """Prints the result as the last line of stdout, and keeps it where --save asks for that."""
    from aigc_demo.checkpoint import machine

    if asked.quick:
        rows = [{**row, "name": f"quick: {row['name']}"} for row in rows]
    made = {"benchmark": benchmark, "machine": machine(), "commit": commit(), "date": datetime.date.today().isoformat(), "rows": rows}
    if asked.quick:
        made["quick"] = True
    if asked.save:
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(dict(sorted({**kept, benchmark: made}.items())), indent=1, ensure_ascii=False) + "\n")
        say(f"kept in {RESULTS.name}; python -m benchmarks.tables puts it into the README")
    print(json.dumps(made, ensure_ascii=False), flush=True)


def commit() -> str:
    """The commit that is measured, with "-dirty" where the tree differs from it; "unknown" outside a repository."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("--no-optional-locks", "status", "--porcelain", "--", ".", *(f":!{path}" for path in MADE))
        return git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
