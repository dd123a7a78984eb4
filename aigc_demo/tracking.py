"""What a run tells besides its own files: its terms to TensorBoard, Weights & Biases or Trackio, through accelerate's trackers."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from pathlib import Path
from typing import Any

from . import files, history
from .config import ConfigError, Run

PROJECT = "aigc-demo"
TRACKED = "tracked.json"  # the tracked run's own id, so that a run that goes on is the same one there too
FLUSH_SECONDS = 5


def check(run: Run) -> None:
    """Raises ConfigError where the run's tracker is not installed."""
    name = run.train.tracker
    if name != "none" and importlib.util.find_spec(name) is None:
        raise ConfigError(f"train.tracker: {name} is not installed here; pip install 'aigc-demo[tracking]', or set it to none")


class Tracker:
    """The tracked run of the run in `folder`; made before the log is cut back, as what was told once is not told again.

    `accelerator` is the trainer's. A tracker that does not start, such as one that wants a login, raises ConfigError."""

    def __init__(self, accelerator: Any, run: Run, folder: Path):
        from accelerate.tracking import filter_trackers

        self.accelerator, self.told = accelerator, _last(folder)
        path = folder / TRACKED
        id = json.loads(path.read_bytes())["id"] if path.exists() else files.token()
        settings = {} if path.exists() else _flat(run)
        files.write_whole(path, json.dumps({"id": id}).encode())
        title = run.name or f"{run.family}:{run.preset}"  # not the folder's, which is the address of a run of the page
        starts: dict[str, dict[str, Any]] = {
            "tensorboard": {"flush_secs": FLUSH_SECONDS},
            "wandb": {"id": id, "name": title, "resume": "allow", "dir": str(folder), "settings": {"silent": True}},
            "trackio": {"name": f"{title} {id[:8]}", "resume": "allow"},
        }
        accelerator.project_configuration.set_directories(str(folder / run.train.tracker))
        accelerator.log_with = filter_trackers([run.train.tracker], accelerator.logging_dir)
        try:
            accelerator.init_trackers(PROJECT, settings or None, starts)
        except Exception as error:  # of a third party: whatever it is, it is one sentence here
            first = (str(error).splitlines() or [""])[0]
            raise ConfigError(f"train.tracker: {run.train.tracker} did not start: {first or type(error).__name__}") from None

    def log(self, step: int, values: dict[str, float]) -> None:
        """Tells the values of a step, unless a step so late was told before."""
        if step > self.told:
            self.accelerator.log(values, step)
            self.told = step

    def end(self) -> None:
        """Ends the tracked run; what was told is then on the disk, or sent."""
        self.accelerator.end_training()


def _last(folder: Path) -> int:
    """The last step of the log as the run's former process left it, all of which was told; -1 without one."""
    last = -1
    for line in (folder / history.LOG).read_bytes().splitlines() if (folder / history.LOG).exists() else ():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            last = max(last, json.loads(line)["step"])
    return last


def _flat(run: Run) -> dict[str, Any]:
    """The settings as trackers take them: one value each."""
    found = {}
    for name, value in run.model_dump(mode="json").items():
        parts = {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
        found |= {k: v if isinstance(v, (bool, int, float, str)) else json.dumps(v) for k, v in parts.items()}
    return found
