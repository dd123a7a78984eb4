"""A run's log and the sheets of its marks: what was written is read back, and both are cut back to one step, whatever a crash left."""

import json

import pytest

from aigc_demo import history


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
