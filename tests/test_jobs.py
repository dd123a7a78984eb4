"""A run is a child process and a folder: it outlives who started it, is watched from its files, stopped by its owner alone, and goes on."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image
from toys import tiny, wait_for

from aigc_demo import checkpoint, files, history, jobs
from aigc_demo.jobs import JobError, Limits

FOREVER = 10_000_000
ROOT = os.path.dirname(os.path.dirname(jobs.__file__))
pytestmark = pytest.mark.timeout(900)  # seconds on an idle machine; a child yields to all else on a busy one


@pytest.fixture(autouse=True)
def _no_child_is_left():
    """Ends what a test started and did not end, by its own handles."""
    known = set(jobs._children)
    yield
    for child in [c for c in jobs._children if c not in known]:
        if child.poll() is None:
            child.kill()
        child.wait(30)
        jobs._children.remove(child)


def until(id, *states):
    """What a watcher sees once the run is in one of `states`."""

    def seen():
        found = jobs.watch(id)
        if found.state == "failed" and "failed" not in states:
            raise AssertionError(found.says + (files.runs() / id / jobs.OUTPUT).read_text())
        return found if found.state in states else None

    return wait_for(seen)


def steps(id):
    """The steps of the points seen, once there is one past step 0."""
    return wait_for(lambda: [s for p in jobs.watch(id).points if (s := p["step"]) > 0])


# The whole life of runs


def test_a_run_is_watched_from_its_first_step_to_its_checkpoint():
    id, owner = jobs.start(tiny("vae:tiny", 30, {"train.marks": 4}))
    assert jobs.watch(id).state in ("starting", "waiting", "running")
    done = until(id, "done")
    assert done.run == tiny("vae:tiny", 30, {"train.marks": 4})
    assert (done.points[0]["step"], done.points[-1]["step"]) == (0, 30)
    assert done.points[-1]["terms"]["held-out loss"] < done.points[0]["terms"]["held-out loss"]
    assert done.marks[0] == 0
    assert done.marks[-1] == 30
    for step in done.marks:
        with Image.open(io.BytesIO(jobs.mark(id, step))) as image:
            assert image.format == "WEBP"
    assert done.checkpoint
    assert checkpoint.load(checkpoint.find(id))
    assert (files.runs() / id / jobs.OUTPUT).read_text() == "", "no warning, no traceback"
    assert owner.encode() not in b"".join(p.read_bytes() for p in (files.runs() / id).iterdir() if p.is_file()), "only a hash is kept"
    jobs.stop(id, owner)  # too late, and harmless
    assert jobs.watch(id).state == "done"


def test_one_runs_and_the_next_waits_until_its_owner_stops_the_first():
    first, owner = jobs.start(tiny("vae:tiny", FOREVER))
    until(first, "running")
    second, other = jobs.start(tiny("gan:tiny", 10))
    assert "Another run is training" in until(second, "waiting").says
    for stranger in ("", "0" * 32, other, second, owner[:-1], "é"):
        with pytest.raises(JobError, match="only the browser that started this run"):
            jobs.stop(first, stranger)
    learnt = steps(first)[-1]
    assert jobs.watch(second).state == "waiting"
    jobs.stop(first, owner)
    stopped = until(first, "stopped")
    assert stopped.checkpoint
    assert checkpoint.find(first).manifest.training.steps >= learnt
    assert "kept" in stopped.says
    assert until(second, "done").points[-1]["step"] == 10


def test_a_killed_run_is_said_to_have_failed_and_goes_on_from_its_last_save(monkeypatch):
    id, _ = jobs.start(tiny("vae:tiny", FOREVER, {"train.save_seconds": 0.2}))
    state = files.runs() / id / "state.safetensors"
    wait_for(lambda: state.exists() and len(until(id, "running").points) > 3)
    (child,) = jobs._children
    child.send_signal(signal.SIGKILL)
    with monkeypatch.context() as hasty:
        hasty.setattr(jobs, "STALE_SECONDS", 0.5)  # a status that old asks whether the process is there
        failed = until(id, "failed")
    assert "the run can go on" in failed.says
    assert not failed.checkpoint
    reached = failed.points[-1]["step"]
    jobs.spawn(files.runs() / id, Limits())
    assert jobs.watch(id).state == "starting"
    wait_for(lambda: until(id, "running").points[-1]["step"] > reached)
    jobs.end_all()  # as a server does when it ends
    stopped = until(id, "stopped")
    assert checkpoint.find(id).manifest.training.steps > reached
    logged = [p["step"] for p in stopped.points]
    assert logged == sorted(set(logged)), "no step is told twice"


# What a server grants


def waiting(n):
    for i in range(n):
        folder = jobs.create(tiny("vae:tiny", 1), id=f"waiting-{i}")
        jobs.report(folder, "waiting", "Another run is training.")


def test_more_runs_than_may_wait_are_refused():
    waiting(2)
    before = set(os.listdir(files.runs()))
    with pytest.raises(JobError, match="2 runs are waiting already"):
        jobs.start(tiny("vae:tiny", 1), Limits(waiting=2))
    assert set(os.listdir(files.runs())) == before
    jobs.report(files.runs() / "waiting-0", "done", "Done.")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    died = {"state": "waiting", "says": "", "pid": ended.pid, "at": time.time() - 60}
    (files.runs() / "waiting-1" / jobs.STATUS).write_text(json.dumps(died))
    id, _ = jobs.start(tiny("vae:tiny", 1), Limits(waiting=1))
    assert jobs.watch(id).state == "starting"
    status = json.loads((files.runs() / id / jobs.STATUS).read_text())
    assert status["pid"] != os.getpid(), "who starts a run does not answer for it"


def test_the_limits_come_from_the_environment(monkeypatch):
    assert Limits.told() == Limits(1, 8, 120)
    monkeypatch.setenv("AIGC_SLOTS", "3")
    monkeypatch.setenv("AIGC_WAITING", "5")
    monkeypatch.setenv("AIGC_MINUTES", "2.5")
    assert Limits.told() == Limits(3, 5, 2.5)


def test_places_to_train_are_as_many_as_granted(home):
    folders = [jobs.create(tiny("vae:tiny", 1), id=f"run-{i}") for i in range(3)]
    with jobs.slot(2, folders[0], lambda: False) as a, jobs.slot(2, folders[1], lambda: False) as b:
        assert a
        assert b
        with jobs.slot(2, folders[2], lambda: True) as c:
            assert not c, "stopped while it waited"
    with jobs.slot(2, folders[2], lambda: True) as c:
        assert c


def test_a_run_is_trained_by_one_process_at_a_time(monkeypatch):
    folder = jobs.create(tiny("vae:tiny", 1), id="run")
    with monkeypatch.context() as hasty, jobs.own(folder):
        hasty.setattr(jobs, "OWN_SECONDS", 0.2)
        with pytest.raises(JobError, match="run run is being trained by another process"), jobs.own(folder):
            pass
    with jobs.own(folder):
        pass


def test_who_goes_on_with_a_run_waits_until_its_former_process_is_cleared_away():
    folder = jobs.create(tiny("vae:tiny", 1), id="run")
    hold = "import time, pathlib; from aigc_demo import jobs\nwith jobs.own(pathlib.Path('.')): print(flush=True); time.sleep(1)"
    former = subprocess.Popen([sys.executable, "-c", hold], cwd=folder, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": ROOT})
    assert former.stdout.readline() == b"\n"
    with jobs.own(folder):
        assert former.wait(30) == 0
    former.stdout.close()


# Names and broken folders

ADDRESSES = ["../..", "..", ".", "", "/etc", "a/b", "a\\b", "\0", ".slots", "x" * 65, "x" * 5000, "run\n", "🙂", "C:"]


@pytest.mark.parametrize("id", ADDRESSES)
def test_an_address_that_is_a_path_is_refused(id, home):
    (home / "runs").mkdir(parents=True)
    (home / "config.json").write_text(tiny("vae:tiny", 1).model_dump_json())
    for ask in (jobs.find, jobs.watch, lambda i: jobs.stop(i, "x"), lambda i: jobs.mark(i, 0)):
        with pytest.raises(JobError, match="that is not a run's address"):
            ask(id)


def test_a_run_that_is_not_there_is_said_in_a_sentence():
    with pytest.raises(JobError, match="there is no run nobody here"):
        jobs.watch("nobody")
    folder = jobs.create(tiny("vae:tiny", 1), id="run")
    for step in (5, -1, 10**30, "five", "../../x"):
        with pytest.raises(JobError, match="the run has no picture of step"):
            jobs.mark("run", step)
    (folder / jobs.CONFIG).write_text("{}")
    with pytest.raises(JobError, match="not the description of a run"):
        jobs.watch("run")


STATUSES = [b"", b"{", b"[]", b"5", b"\xff", b'{"state": "running"}', b'{"at": "now"}', b'{"at": 0, "pid": []}', b'{"at": 0, "pid": 1e99}']


@pytest.mark.parametrize("content", STATUSES)
def test_a_broken_status_is_a_run_that_failed(content):
    folder = jobs.create(tiny("vae:tiny", 1), id="run")
    (folder / jobs.STATUS).write_bytes(content)
    seen = jobs.watch("run")
    assert seen.state == "failed"
    assert (seen.points, seen.marks, seen.checkpoint) == ((), (), False)


def test_a_child_that_never_spoke_is_not_taken_for_its_parent(monkeypatch):
    folder = jobs.create(tiny("vae:tiny", 1), id="run")
    jobs.report(folder, "starting", "The run is being set up.", begun=False)
    assert jobs.watch("run").state == "starting"
    monkeypatch.setattr(jobs, "STALE_SECONDS", 0.0)
    assert jobs.watch("run").state == "failed"


def test_another_process_with_the_number_of_a_dead_run_is_not_taken_for_it(monkeypatch):
    folder = jobs.create(tiny("vae:tiny", 1), id="run")
    init = {"state": "running", "says": "", "pid": 1, "at": time.time() - 60}
    (folder / jobs.STATUS).write_text(json.dumps(init))
    if os.path.isdir("/proc/1"):
        assert jobs.watch("run").state == "failed"


def test_a_log_is_read_as_it_grows_and_anew_when_it_was_rewound():
    folder = jobs.create(tiny("vae:tiny", 1), id="run")
    log = folder / history.LOG

    def line(step):
        return json.dumps({"step": step}).encode()

    def seen():
        return [p["step"] for p in jobs.watch("run").points]

    assert seen() == []
    log.write_bytes(line(0) + b"\n" + line(1)[:4])
    assert seen() == [0], "the line that is being written is not read"
    with open(log, "ab") as f:
        f.write(line(1)[4:] + b"\n\n{torn\n" + line(2) + b"\n")
    assert seen() == [0, 1, 2]
    assert seen() == [0, 1, 2]
    files.write_whole(log, line(0) + b"\n" + line(9) + b"\n" + line(10) + b"\n" + line(11) + b"\n" + line(12) + b"\n" + line(13) + b"\n")
    assert seen() == [0, 9, 10, 11, 12, 13]


def test_runs_of_one_name_each_have_a_folder_that_can_be_found():
    run = tiny("vae:tiny", 1, {"name": "n" * 64})
    folders = [jobs.create(run) for _ in range(12)]
    assert len(set(folders)) == 12
    for folder in folders:
        assert jobs.find(folder.name) == folder
        assert jobs.read(folder) == run
    assert jobs.create(tiny("vae:tiny", 1)).name == "digits-tiny"
    assert jobs.create(tiny("gan:tiny", 1, {"data.source": "/some/where"})).name == "gan-tiny"


def test_a_full_disk_is_said_when_a_run_starts(monkeypatch):
    def full(handle):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(files.StorageError, match=r"could not be written: the disk is full$"):
        jobs.start(tiny("vae:tiny", 1))
    assert jobs._children == []
    with contextlib.suppress(FileNotFoundError):
        assert [p for p in files.runs().rglob("*") if p.is_file()] == []
