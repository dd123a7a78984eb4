"""Trackers get each step of a run once, also when it was killed and goes on, and one that is not there is named in a sentence."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
from toys import tiny

from aigc_demo import tracking
from aigc_demo.config import ConfigError

# a run of 12 steps that stops at the sixth, loses its last save, and goes on; a tracker's own warnings are not ours to fail on
TRAIN = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from aigc_demo import history, trainer
from toys import tiny
trainer.LOG_SECONDS = 0
run, folder = tiny("vae:tiny", 12, {{"train.tracker": {tracker!r}, "train.save_seconds": 0, "name": "mine"}}), Path({folder!r})
walk = trainer.record(run, folder)
kept = b""
for seen in walk:
    if seen.step == 4 and not kept:
        kept = (folder / history.STATE).read_bytes()
    if seen.step == 6:
        break
walk.close()
(folder / history.STATE).write_bytes(kept)
for seen in trainer.record(run, folder):
    pass
print("ended at", seen.step)
"""
READ = {
    "tensorboard": """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = EventAccumulator({folder!r} + "/tensorboard/aigc-demo").Reload()
print(*(e.step for e in found.Scalars("loss")))
""",
    # its file is a LevelDB log: a header of 7 bytes, then blocks of 32 KiB of (checksum, length, full | first | middle | last) and data
    "wandb": """
import json
from pathlib import Path
from wandb.proto import wandb_internal_pb2
ids, steps = set(), []
for path in sorted(Path({folder!r}).glob("wandb/offline-run-*/*.wandb")):
    ids.add(path.stem)
    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole = (whole if kind in (3, 4) else b"") + data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            row = {{"/".join([i.key, *i.nested_key]).strip("/"): json.loads(i.value_json) for i in record.history.item}}
            if "loss" in row:
                steps.append(row["_step"] if "_step" in row else record.history.step.num)
assert len(ids) == 1, ids
print(*steps)
""",
    "trackio": """
from trackio.sqlite_storage import SQLiteStorage
(name,) = SQLiteStorage.get_runs("aigc-demo")
print(*(row["step"] for row in SQLiteStorage.get_logs("aigc-demo", name) if "loss" in row))
""",
}


@pytest.mark.parametrize("tracker", READ)
def test_each_step_is_told_once(tracker, tmp_path):
    if importlib.util.find_spec(tracker) is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{tracker} is not installed")
    here = os.path.dirname(__file__)
    folder = tmp_path / "run"
    folder.mkdir()
    env = {**os.environ, "WANDB_MODE": "offline", "TRACKIO_DIR": str(tmp_path / "trackio"), "PYTHONPATH": os.path.dirname(here)}

    def python(code):
        code = code.format(tracker=tracker, folder=str(folder), tests=here)
        done = subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "ended at 12\n" in python(TRAIN)
    steps = [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines() if "loss" in json.loads(line)["terms"]]
    assert steps == list(range(1, 13))
    assert [int(s) for s in python(READ[tracker]).split()] == steps


def test_a_tracker_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"train\.tracker: trackio is not installed here; pip install 'aigc-demo\[tracking\]'"):
        tracking.check(tiny("vae:tiny", 2, {"train.tracker": "trackio"}))
    tracking.check(tiny("vae:tiny", 2))
