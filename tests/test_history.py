"""A run's log and the sheets of its marks: what was written is read back, and both are cut back to one step, whatever a crash left."""

import itertools
import json

import pytest

from aigc_demo import files, history


def lines(folder):
    return [json.loads(line) for line in (folder / history.LOG).read_bytes().splitlines()]


@pytest.fixture
def three(tmp_path):
    """Three marks, and a line without one."""
    history.note(tmp_path, {"step": 0}, b"first")
    history.note(tmp_path, {"step": 3})
    history.note(tmp_path, {"step": 5}, b"second one")
    history.note(tmp_path, {"step": 9}, b"third")
    return tmp_path


def test_each_sheet_is_found_by_its_line(three):
    found = lines(three)
    assert [(line["step"], line["mark"] and history.sheet(three, line["mark"])) for line in found] == [
        (0, b"first"), (3, None), (5, b"second one"), (9, b"third"),
    ]  # fmt: skip
    assert {p.name for p in three.iterdir()} == {history.LOG, history.SHEETS}


@pytest.mark.parametrize(("step", "left"), [(-1, []), (0, [0]), (4, [0, 3]), (5, [0, 3, 5]), (8, [0, 3, 5]), (9, [0, 3, 5, 9])])
def test_a_cut_leaves_what_was_written_up_to_a_step_and_the_next_sheet_follows_it(three, step, left):
    history.cut(three, step)
    assert [line["step"] for line in lines(three)] == left
    history.note(three, {"step": 20}, b"anew")
    found = [line["mark"] for line in lines(three) if line["mark"]]
    assert b"".join(history.sheet(three, m) for m in found) == (three / history.SHEETS).read_bytes()
    assert history.sheet(three, found[-1]) == b"anew"


def test_what_a_crash_tore_is_dropped_and_the_rest_stands(three):
    whole = lines(three)
    with open(three / history.LOG, "ab") as log:
        log.write(b'{"step": 9, "te')
    with open(three / history.SHEETS, "ab") as pack:
        pack.write(b"half a sh")
    history.cut(three, 100)
    assert lines(three) == whole
    assert (three / history.SHEETS).read_bytes() == b"firstsecond onethird"


def test_a_line_whose_sheet_a_power_cut_took_stays_without_it(three):
    (three / history.SHEETS).write_bytes(b"firstsecond onet")
    with pytest.raises(ValueError, match="cut short"):
        history.sheet(three, lines(three)[-1]["mark"])
    history.cut(three, 100)
    assert [line["step"] for line in lines(three) if line["mark"]] == [0, 5]
    assert len(lines(three)) == 4
    assert (three / history.SHEETS).read_bytes() == b"firstsecond one"


@pytest.mark.parametrize("mark", [{}, {"at": 0}, {"at": "x", "bytes": 1}, [], {"at": -5, "bytes": 2}, {"at": 99, "bytes": 2}])
def test_a_mark_that_points_nowhere_is_an_error_of_one_kind(three, mark):
    with pytest.raises(ValueError):
        history.sheet(three, mark)


def test_a_run_that_wrote_nothing_is_cut_to_nothing(tmp_path):
    history.cut(tmp_path, 5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("most", [1, 2, 3, 5, 12])
def test_what_is_kept_of_a_long_run_is_spread_over_it_with_its_first_and_its_newest(most):
    left = []
    for step in range(0, 4000, 10):
        left.append(step)
        gone = history.surplus(left, most)
        left = [s for s in left if s not in gone]
        assert len(left) <= most
        assert left[-1] == step
        assert left[0] == (0 if most > 1 else step)
        if most > 2 and step > 10 * most:
            gaps = [b - a for a, b in itertools.pairwise(left[:-1])]  # the newest has just come
            assert max(gaps) <= 3 * min(gaps)


def save(folder, content, step, most):
    files.write_whole(folder / history.STATE, content)
    history.keep_state(folder, step, most)


def test_states_are_kept_within_their_bytes_and_one_is_put_back(three):
    for step in (1, 3, 5, 7, 9):
        save(three, b"state %d" % step, step, 24)  # three of eight bytes
    assert history.kept(three, history.STATES) == [1, 5, 9]
    save(three, b"state 5 anew", 5, 100)
    history.place(three, history.MARKS, 9).mkdir(parents=True)
    history.place(three, history.MARKS, 5).mkdir()
    history.put_back(three, 5)
    assert (three / history.STATE).read_bytes() == b"state 5 anew"
    assert [line["step"] for line in lines(three)] == [0, 3, 5]
    assert history.kept(three, history.MARKS) == [5]
    assert max(history.kept(three, history.STATES)) == 5
    save(three, b"state 6", 6, 100)
    assert history.place(three, history.STATES, 5).read_bytes() == b"state 5 anew", "what is saved next does not change it"


def test_no_state_is_kept_where_none_fits(three):
    save(three, b"state 1", 1, 100)
    save(three, b"state 2", 2, 3)
    assert history.kept(three, history.STATES) == []
    assert (three / history.STATE).read_bytes() == b"state 2"


def test_a_disk_without_second_names_gets_copies(three, monkeypatch):
    def none(*_):
        raise OSError("this disk has no links")

    monkeypatch.setattr("os.link", none)
    save(three, b"state 1", 1, 100)
    save(three, b"state 2", 2, 100)
    history.put_back(three, 1)
    assert (three / history.STATE).read_bytes() == b"state 1"


def test_other_names_beside_what_is_kept_are_left_alone(three):
    (three / history.MARKS).mkdir()
    for name in (".000000005.new", "notes", "000000007"):
        (three / history.MARKS / name).mkdir()
    assert history.kept(three, history.MARKS) == [7]
    history.cut(three, 7)
    assert {p.name for p in (three / history.MARKS).iterdir()} == {"notes", "000000007"}, "what is half written goes"
