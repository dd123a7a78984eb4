"""A run is a child process and a folder: it outlives who started it, is watched from its files, changed by its owner alone, and goes on."""

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
from aigc_demo.config import ConfigError
from aigc_demo.jobs import HERE, JobError, Limits, child, folder as runs, turns

FOREVER = 1_000_000
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(jobs.__file__)))
pytestmark = pytest.mark.timeout(900)  # seconds on an idle machine; a child yields to all else on a busy one


@pytest.fixture(autouse=True)
def _no_child_is_left():
    """Ends what a test started and did not end, by its own handles, and takes back the signals that Orders took."""
    known = set(child._children)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for one in [c for c in child._children if c not in known]:
        if one.poll() is None:
            one.kill()
        one.wait(30)
        child._children.remove(one)


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


def python(code, **settings):
    """A process of its own that runs `code` in this test's home."""
    env = {**os.environ, "PYTHONPATH": ROOT}
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env, **settings)


# The whole life of runs


def test_a_run_is_watched_from_its_first_step_to_its_checkpoint():
    id, owner = jobs.start(tiny("vae:tiny", 30, {"train.marks": 4}))
    assert jobs.watch(id).state in ("starting", "waiting", "running")
    done = until(id, "done")
    assert done.run == tiny("vae:tiny", 30, {"train.marks": 4})
    assert (done.points[0]["step"], done.points[-1]["step"], done.saved) == (0, 30, 30)
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

    before = checkpoint.find(id).manifest.training.command
    longer = jobs.extend(id, owner, 10)
    assert longer.train.budget == 40
    assert json.loads((files.runs() / id / history.FIRST).read_text())["train"]["budget"] == 30
    jobs.go_on(id, owner)
    assert until(id, "done").points[-1]["step"] == 40
    told = checkpoint.find(id).manifest.training.command
    assert told == f"{before}\n# changed on its way: train.budget=40.0", "a straight run of 40 steps ends elsewhere"


def test_one_runs_and_the_next_waits_and_only_their_owners_change_them():
    first, owner = jobs.start(tiny("vae:tiny", FOREVER), "one")
    until(first, "running")
    second, other = jobs.start(tiny("gan:tiny", 10), "two")
    waits = until(second, "waiting")
    assert "Another run is training" in waits.says
    assert (waits.place.at, waits.place.of) == (1, 1)
    for stranger in ("", "0" * 32, other, second, owner[:-1], "\u00e9", "\ud800", None, True, object()):
        for act in (jobs.stop, jobs.pause, jobs.go_on, jobs.delete, lambda *a: jobs.extend(*a, 5), lambda *a: jobs.rename(*a, "mine")):
            with pytest.raises(JobError, match="only the browser that started this run may"):
                act(first, stranger)
        with pytest.raises(JobError, match="only the browser"):
            jobs.keep(first, stranger, True)
    learnt = steps(first)[-1]
    assert jobs.watch(second).state == "waiting"
    with pytest.raises(JobError, match="at work: stop it first"):
        jobs.delete(first, owner)
    with pytest.raises(JobError, match="at work already"):
        jobs.go_on(first, owner)
    jobs.pause(first, owner)
    paused = until(first, "paused")
    assert paused.checkpoint
    assert paused.saved == paused.points[-1]["step"] >= learnt
    assert until(second, "done").points[-1]["step"] == 10

    jobs.rename(first, owner, "my-run")
    jobs.go_on(first, owner)
    wait_for(lambda: until(first, "running").points[-1]["step"] > paused.saved)
    jobs.extend(first, owner, 5)  # at work: it goes on by the changed budget
    wait_for(lambda: not (files.runs() / first / jobs.STOP).exists())
    jobs.stop(first, owner)
    stopped = until(first, "stopped")
    assert checkpoint.find(first).manifest.run.train.budget == FOREVER + 5
    assert "kept" in stopped.says
    assert stopped.run.name == "my-run"
    logged = [p["step"] for p in stopped.points]
    assert logged == sorted(logged)
    jobs.delete(first, HERE)
    with pytest.raises(JobError, match="there is no run"):
        jobs.watch(first)
    assert [p for p in files.runs().iterdir() if p.name.startswith(".deleted")] == []


def test_a_killed_run_goes_on_from_its_last_save():
    id, owner = jobs.start(tiny("vae:tiny", FOREVER, {"train.save_seconds": 0.2}))
    wait_for(lambda: len(until(id, "running").points) > 3 and runs.saved(files.runs() / id))
    child._children[-1].send_signal(signal.SIGKILL)
    killed = until(id, "interrupted")
    assert f"up to step {killed.saved:,} is kept" in killed.says
    assert not killed.checkpoint
    jobs.go_on(id, owner)
    assert jobs.watch(id).state == "starting"
    wait_for(lambda: until(id, "running").points[-1]["step"] > killed.points[-1]["step"])
    child._children[-1].send_signal(signal.SIGTERM)  # as a machine that is shut down does
    told = until(id, "interrupted")
    assert checkpoint.find(id).manifest.training.steps == told.saved
    logged = [p["step"] for p in told.points]
    assert logged == sorted(set(logged)), "no step is told twice"


def test_a_run_ends_with_its_server_however_that_ends_unless_it_was_told_to_go_on():
    code = f"""import time
from aigc_demo import jobs
from aigc_demo.config import Run
a = jobs.start(Run.model_validate_json({tiny("vae:tiny", FOREVER).model_dump_json()!r}))
b = jobs.start(Run.model_validate_json({tiny("vae:tiny", 60).model_dump_json()!r}))
jobs.keep(*b, True)
print(*a, b[0], flush=True)
time.sleep(1000)"""
    with python(code) as server:
        first, owner, second = server.stdout.readline().split()
        steps(first)
        server.kill()
    ended = until(first, "interrupted")
    assert "server that had started this run ended" in ended.says
    assert ended.checkpoint
    assert ended.saved == ended.points[-1]["step"] > 0
    assert until(second, "done").points[-1]["step"] == 60
    jobs.go_on(first, owner)
    wait_for(lambda: until(first, "running").points[-1]["step"] > ended.saved)
    jobs.stop(first, owner)
    until(first, "stopped")


# Rewinding


@pytest.fixture
def saved():
    """A run of this test that has ended, with states of steps 2, 5 and 8 and a log to step 9; its token is "mine"."""
    folder = jobs.create(tiny("vae:tiny", 9), "mine", "run")
    for step in range(10):
        history.note(folder, {"step": step, "terms": {}}, b"sheet %d" % step)
        if step % 3 == 2:
            files.write_whole(folder / history.STATE, b"state %d" % step)
            history.keep_state(folder, step, 1000)
    jobs.report(folder, "stopped", "Stopped.")
    return folder


@pytest.mark.parametrize(("step", "back"), [(2, 2), (4, 2), (5, 5), (7, 5), (100, 8)])
def test_a_run_goes_back_to_the_newest_state_that_is_not_later(saved, step, back):
    assert jobs.rewind("run", "mine", step) == back
    assert (saved / history.STATE).read_bytes() == b"state %d" % back
    seen = jobs.watch("run")
    assert seen.points[-1]["step"] == seen.marks[-1] == back
    assert jobs.mark("run", back) == b"sheet %d" % back
    assert seen.run == tiny("vae:tiny", 9), "nothing of the run is changed"
    assert jobs.states("run", 100) == [s for s in (2, 5, 8) if s <= back]


def test_a_run_is_rewound_to_go_on_at_another_learning_rate(saved):
    before = jobs.read(saved)
    assert jobs.rewind("run", HERE, 6, before.train.lr / 2) == 5
    assert jobs.read(saved) == before.model_copy(update={"train": before.train.model_copy(update={"lr": before.train.lr / 2})})
    assert json.loads((saved / history.FIRST).read_text())["train"]["lr"] == before.train.lr


def test_what_cannot_be_rewound_is_said_and_left_as_it_is(saved):
    before = {p.name: p.read_bytes() for p in saved.iterdir() if p.is_file() and p.name != runs.LOCK}
    for owner in ("", "yours", None, 5):
        with pytest.raises(JobError, match="only the browser that started this run may rewind it"):
            jobs.rewind("run", owner, 5)
    with pytest.raises(JobError, match="no state of the run is kept from step 1 or before"):
        jobs.rewind("run", "mine", 1)
    for rate in (-1.0, 99.0):
        with pytest.raises(ConfigError, match=r"^train\.lr"):
            jobs.rewind("run", "mine", 5, rate)
    with child.own(saved), pytest.raises(JobError, match="at work"):
        jobs.rewind("run", "mine", 5)
    assert {name: (saved / name).read_bytes() for name in before} == before


# What a server grants


def waiting(n, visitor=""):
    """So many runs that wait, as far as anybody can see, until the context ends."""
    held = contextlib.ExitStack()
    for i in range(n):
        folder = jobs.create(tiny("vae:tiny", 1), id=f"waiting-{visitor}-{i}")
        turns.ask(folder, runs.hashed(visitor))
        held.enter_context(jobs.own(folder))
        jobs.report(folder, "waiting", "Another run is training.")
    return held


def test_more_runs_than_may_wait_are_refused():
    with waiting(2, "one"):
        before = set(os.listdir(files.runs()))
        with pytest.raises(JobError, match="2 runs are waiting already, which is all that this server takes"):
            jobs.start(tiny("vae:tiny", 1), "two", Limits(waiting=2))
        with pytest.raises(JobError, match="2 runs of yours are waiting already"):
            jobs.start(tiny("vae:tiny", 1), "one", Limits(each=2))
        assert set(os.listdir(files.runs())) == before
    id, _ = jobs.start(tiny("vae:tiny", 1), "one", Limits(waiting=1))  # who waited is gone, though the files do not say so
    assert jobs.watch(id).state == "starting"
    assert runs.status(files.runs() / id)["pid"] is None, "who starts a run does not answer for it"


def test_a_file_of_two_names_takes_its_place_on_the_disk_once(tmp_path):
    for at in ("a", "b/c"):
        (tmp_path / at).mkdir(parents=True)
    (tmp_path / "a" / "state").write_bytes(bytes(700))
    os.link(tmp_path / "a" / "state", tmp_path / "b" / "c" / "kept")
    (tmp_path / "b" / "log").write_bytes(bytes(50))
    assert files.taken([tmp_path / "a", tmp_path / "b"]) == 750
    assert files.taken([tmp_path / "gone"]) == 0


def test_a_visitor_is_granted_so_much_of_the_disk_and_a_run_so_long():
    folder = jobs.create(tiny("vae:tiny", 1), id="full")
    turns.ask(folder, runs.hashed("one"))
    (folder / "state.safetensors").write_bytes(bytes(2_000_000))
    with pytest.raises(JobError, match=r"your runs take 0\.0 GB, of 0\.001 GB .*: delete one first"):
        jobs.start(tiny("vae:tiny", 1), "one", Limits(disk=0.001))
    with pytest.raises(ConfigError, match=r"train\.budget: 1001 steps are more than the 1000 that this server grants"):
        jobs.start(tiny("vae:tiny", 1001), "two", Limits(steps=1000))
    with pytest.raises(ConfigError, match=r"train\.budget: 3 minutes are more than the 2 "):
        jobs.start(tiny("vae:tiny", 3, {"train.unit": "minutes"}), "two", Limits(minutes=2))
    assert [p.name for p in files.runs().glob("[!.]*")] == ["full"]


def test_the_limits_come_from_the_environment(monkeypatch):
    assert Limits.told() == Limits(slots=1, waiting=8, each=3, minutes=120, steps=1_000_000, disk=4, memory=4, lease=30)
    for name in Limits.model_fields:
        monkeypatch.setenv(f"AIGC_{name.upper()}", "2")
    assert set(Limits.told().model_dump().values()) == {2}
    assert Limits.told().environment()["AIGC_SLOTS"] == "2"
    monkeypatch.setenv("AIGC_SLOTS", "abc")
    monkeypatch.setenv("AIGC_MINUTES", "0")
    with pytest.raises(ConfigError) as error:
        Limits.told()
    assert str(error.value) == "AIGC_SLOTS: 'abc' is not a whole number\nAIGC_MINUTES: '0' is not above 0.0"


# Whose turn it is


def entries(*asked):
    """Entries of the line: (visitor, number) each, in no order."""
    return [(f"{v}{n}", {"visitor": v, "number": n}) for v, n in reversed(asked)]


@pytest.mark.parametrize(
    ("asked", "served", "order"),
    [
        ([("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5)], [], "a1 b4 c5 a2 a3"),
        ([("a", 2), ("a", 3), ("b", 4)], ["a"], "b4 a2 a3"),
        ([("a", 3), ("b", 4), ("b", 5)], ["a", "b"], "a3 b4 b5"),
        ([("a", 3), ("b", 4), ("c", 9)], ["b", "a"], "c9 b4 a3"),
        ([], ["a"], ""),
    ],
)
def test_turns_go_round_among_visitors(asked, served, order):
    assert " ".join(folder for folder, _ in turns.in_order(entries(*asked), served)) == order


def test_a_visitor_with_many_runs_does_not_hold_up_another():
    line, served, seen = entries(*[("a", n) for n in range(1, 6)], ("b", 6), ("b", 7)), [], []
    while line:
        folder, entry = turns.in_order(line, served)[0]
        seen.append(folder)
        served = [v for v in served if v != entry["visitor"]] + [entry["visitor"]]
        line = [e for e in line if e[0] != folder]
    assert seen == ["a1", "b6", "a2", "b7", "a3", "a4", "a5"]


@pytest.mark.parametrize(
    ("running", "slots", "ahead", "seconds"),
    [
        ([60.0], 1, [], 60),
        ([60.0], 1, [120.0], 180),
        ([None], 1, [], None),
        ([60.0], 1, [None], None),
        ([60.0, None], 2, [], 60),
        ([60.0, 30.0], 2, [100.0], 60),
        ([60.0, 30.0], 2, [None], 60),
        ([60.0], 2, [], 0),
    ],
)
def test_the_time_until_a_turn_is_told_where_it_can_be_known(running, slots, ahead, seconds):
    assert turns.wait(running, slots, ahead) == seconds


TURN = """import sys, time
from aigc_demo import files, jobs
name = sys.argv[1] if len(sys.argv) > 1 else {name!r}
folder = files.runs() / name
with jobs.own(folder), jobs.turn(folder, jobs.Orders(folder, jobs.Limits.told(), jobs.child.serve())) as end:
    files.append(files.home() / "turns.txt", "in " + name + end)
    time.sleep(0.5)
    files.append(files.home() / "turns.txt", "out " + name)
"""


def test_processes_of_several_servers_take_turns_and_a_clock_that_is_set_back_does_not_mix_them_up():
    names = ["a1", "a2", "b1", "c1"]
    with jobs.own(jobs.create(tiny("vae:tiny", 1), id="now")), contextlib.ExitStack() as held:
        now = files.runs() / "now"
        turns.ask(now, "z")
        with jobs.turn(now, jobs.Orders(now, Limits(), jobs.child.serve())) as end:
            assert end == ""
            jobs.report(now, "running", "Step 1.", left=90.0)
            for i, name in enumerate(names):
                folder = jobs.create(tiny("vae:tiny", 1, {"train.unit": "minutes"}), id=name)
                turns.ask(folder, name[0])
                os.utime(folder / jobs.CONFIG, (1e9 - i, 1e9 - i))  # the clock runs backwards
                held.enter_context(python(TURN.format(name=name)))
            wait_for(lambda: all(runs.status(files.runs() / n).get("state") == "waiting" for n in names))
            wait_for(lambda: [jobs.watch(n).place for n in names] == [(1, 4, 90.0), (4, 4, 270.0), (2, 4, 150.0), (3, 4, 210.0)])
        now = time.monotonic()
        wait_for(lambda: (files.home() / "turns.txt").exists() and (files.home() / "turns.txt").read_text().count("out") == 4)
        assert time.monotonic() - now < 60
    said = (files.home() / "turns.txt").read_text().split()
    assert said == [word for name in ("a1", "b1", "c1", "a2") for word in ("in", name, "out", name)], "one at a time"
    assert turns.waiting() == []


def test_who_dies_in_the_line_leaves_it():
    folder = jobs.create(tiny("vae:tiny", 1), id="died")
    turns.ask(folder, "a")
    entry = files.runs() / ".turns" / "waiting" / "died"
    files.write_whole(entry, json.dumps({"visitor": "a", "number": 1, "device": "cpu", "seconds": None}).encode())
    with jobs.own(folder):
        assert [f.name for f, _ in turns.waiting()] == ["died"]
    assert turns.waiting() == []
    assert not entry.exists()


@pytest.fixture
def waits():
    """A run that waits behind another, in this process: give its orders, get the state it ends in."""
    first, second = (jobs.create(tiny("vae:tiny", 1), id=name) for name in ("first", "second"))

    def end(limits, server=None):
        orders = jobs.Orders(second, limits, server or child.serve())
        with jobs.own(first), jobs.own(second), jobs.turn(first, jobs.Orders(first, Limits(), child.serve())):
            with jobs.turn(second, orders) as end:
                return end, orders.says

    return end


def test_a_run_that_is_stopped_or_abandoned_while_it_waits_ends(waits, monkeypatch):
    jobs.stop("second", HERE)
    assert waits(Limits())[0] == "stopped"
    jobs.pause("second", HERE)
    assert waits(Limits())[0] == "paused"
    (files.runs() / "second" / jobs.STOP).unlink()
    assert waits(Limits(), "nobody") == ("interrupted", "The server that had started this run ended; what it learnt is kept.")
    assert waits(Limits(lease=0.02)) == ("stopped", "Nobody watched for 0.02 minutes, so it stopped; what it learnt is kept.")


def test_a_lease_is_renewed_by_whoever_watches_and_does_not_run_while_the_machine_sleeps(monkeypatch):
    folder = jobs.create(tiny("vae:tiny", 1), id="run")
    now = [0.0]
    monkeypatch.setattr(child.time, "monotonic", lambda: now[0])
    orders = jobs.Orders(folder, Limits(lease=1), child.serve())

    def passes(seconds, step=1.0):
        for _ in range(int(seconds / step)):
            now[0] += step
            orders()
        return orders()

    assert passes(50) == ""
    jobs.attend("run")
    assert passes(50) == ""
    now[0] += 8 * 3600  # the lid was shut
    assert orders() == ""
    os.utime(folder / runs.LEASE, (0, 0))  # renewed, by a clock that was set back
    assert passes(55) == ""
    jobs.keep("run", HERE, True)
    assert passes(500) == ""
    jobs.keep("run", HERE, False)
    assert passes(20) == "stopped"
    assert "Nobody watched for 1 minutes" in orders.says


def test_a_run_is_trained_by_one_process_at_a_time(monkeypatch):
    folder = jobs.create(tiny("vae:tiny", 1), id="run")
    with monkeypatch.context() as hasty, jobs.own(folder):
        hasty.setattr(child, "OWN_SECONDS", 0.2)
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
    for ask in (jobs.find, jobs.watch, jobs.attend, lambda i: jobs.stop(i, "x"), lambda i: jobs.mark(i, 0), lambda i: jobs.delete(i, HERE)):
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
def test_a_broken_status_is_a_run_that_ended_without_a_word(content):
    folder = jobs.create(tiny("vae:tiny", 1), id="run")
    (folder / jobs.STATUS).write_bytes(content)
    seen = jobs.watch("run")
    assert (seen.state, seen.saved) == ("interrupted", None)
    assert "can begin again" in seen.says
    assert (seen.points, seen.marks, seen.checkpoint) == ((), (), False)


def test_a_child_that_never_spoke_is_not_taken_for_its_parent(monkeypatch):
    folder = jobs.create(tiny("vae:tiny", 1), id="run")
    jobs.report(folder, "starting", "The run is being set up.", begun=False)
    assert jobs.watch("run").state == "starting"
    said = runs.status(folder)
    for at in (said["at"] - 3600, said["at"] + 3600):  # or the clock was set back
        (folder / jobs.STATUS).write_text(json.dumps({**said, "at": at}))
        assert jobs.watch("run").state == "interrupted"


def test_a_run_is_at_work_while_its_process_lives_whatever_the_clock_says():
    folder = jobs.create(tiny("vae:tiny", 1), id="run")
    (folder / jobs.STATUS).write_text(json.dumps({"state": "running", "says": "", "pid": os.getpid(), "at": 0}))
    with jobs.own(folder):
        assert jobs.watch("run").state == "running"
    assert jobs.watch("run").state == "interrupted"


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


def test_the_runs_are_listed_and_a_visitor_sees_none_of_anothers():
    for i, (owner, visitor) in enumerate((("", ""), ("o", "one"), ("p", "two"))):
        folder = jobs.create(tiny("vae:tiny", 1), owner, f"run-{i}")
        turns.ask(folder, runs.hashed(visitor))
        os.utime(folder / jobs.CONFIG, (i, i))
        history.note(folder, {"step": 3})
        history.note(folder, {"step": 7 + i})
    (files.runs() / "no-run").mkdir()
    assert [s.id for s in jobs.listed()] == ["run-2", "run-1", "run-0"]
    assert [(s.id, [p["step"] for p in s.points]) for s in jobs.listed("two")] == [("run-2", [9]), ("run-0", [7])]
    assert [s.id for s in jobs.listed("")] == ["run-0"]


def test_a_full_disk_is_said_when_a_run_starts(monkeypatch):
    def full(handle):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(files.StorageError, match=r"could not be written: the disk is full$"):
        jobs.start(tiny("vae:tiny", 1))
    assert child._children == []
    with contextlib.suppress(FileNotFoundError):
        assert [p for p in files.runs().rglob("*") if p.is_file()] == []


def test_a_run_on_a_full_disk_can_still_say_so(monkeypatch):
    folder = jobs.create(tiny("vae:tiny", 1), id="run")
    jobs.report(folder, "running", "Step 5.")

    def full(handle):
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        jobs.report(folder, "failed", "log.jsonl could not be written: the disk is full")
        with pytest.raises(files.StorageError, match="the disk is full"):
            jobs.report(jobs.create(tiny("vae:tiny", 1), id="other"), "failed", "first words")
    assert jobs.watch("run").says == "log.jsonl could not be written: the disk is full"


def test_a_folder_that_cannot_be_written_is_said_and_its_run_can_still_be_watched():
    folder = jobs.create(tiny("vae:tiny", 1), id="run")
    history.note(folder, {"step": 3})
    (folder / runs.LOCK).mkdir()
    with pytest.raises(files.StorageError, match=r"run could not be written: "), jobs.own(folder):
        pass
    jobs.attend("run")
    assert [p["step"] for p in jobs.watch("run").points] == [3]
