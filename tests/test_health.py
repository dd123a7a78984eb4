"""A run's health follows from its log alone: each word from what was measured, only after marks enough, and back when it is over."""

import pytest

from aigc_demo.evaluation import health
from aigc_demo.evaluation.health import ALARMS, BOUNDS, GOOD, MARKS, verdict

WELL = {"distance": 0.2, "diversity": 0.5}
GAN = {"real": 0.9, "fake": 0.8, "margin": 6.0, "trained real": 0.9, "trained margin": 6.1}
VAE = {"in use": 0.8, "information": 3.0}


def log(*marks):
    """The lines of a log: an untrained model's mark, then one each ten steps, each with a line of losses before it."""
    lines = []
    for i, mark in enumerate(({"distance": 0.9, "diversity": 0.05}, *marks)):
        lines.append({"step": 10 * i, "terms": {"loss": 1.0}, "health": {"gradient model": 2.0}})
        lines.append({"step": 10 * i, "terms": {"loss": 1.0}, "health": mark})
    return lines


def falling(start, end, count):
    return [start + (end - start) * i / (count - 1) for i in range(count)]


ILL = {
    "steps as long as the weights": ("diverging", {**WELL, "stride model": 0.4}),
    "weights that wander": ("diverging", {**WELL, "apart": 0.3}),
    "scores without measure": ("diverging", {**WELL, **GAN, "margin": 1800.0}),
    "what was gained is lost": ("diverging", {"distance": 0.8, "diversity": 0.5}),
    "the held-out loss climbs back": ("diverging", {**WELL, "held out": 480.0, "trained": 470.0}),
    "a latent that nothing follows": ("collapsing", {**WELL, "in use": 0.0, "information": 0.01}),
    "alike, and taken for real": ("collapsing", {**WELL, **GAN, "diversity": 0.04, "fake": 0.02}),
    "alike, and once not": ("collapsing", {**WELL, **GAN, "diversity": 0.12, "distance": 0.4}),
    "a discriminator that knows everything": ("discriminator winning", {**WELL, **GAN, "real": 1.0, "fake": 1.0, "margin": 40.0}),
    "trained items fare better": ("overfitting", {**WELL, "held out": 210.0, "trained": 170.0}),
    "trained items seem realer": ("overfitting", {**WELL, **GAN, "trained real": 1.0, "trained margin": 8.0}),
}


def well_before(ill):
    """Marks of the same family while it was well."""
    kind = GAN if "fake" in ill else VAE if "in use" in ill else {}
    losses = {"held out": 500.0, "trained": 499.0} if "trained" in ill else {}
    first, rest = {**WELL, **kind, **losses}, {**WELL, **kind, **({"held out": 200.0, "trained": 199.0} if losses else {})}
    return [first, *[rest] * 4]


@pytest.mark.parametrize("name", ILL)
def test_what_is_wrong_is_named_with_its_evidence_after_marks_enough(name):
    word, ill = ILL[name]
    before = well_before(ill)
    assert verdict(log(*before)).word == "healthy"
    for count in range(1, MARKS):
        assert verdict(log(*before, *[ill] * count)).word == "healthy", "one mark may be chance"
    found = verdict(log(*before, *[ill] * MARKS))
    assert (found.word, found.alarm) == (word, True)
    assert found.since == 10 * (len(before) + 1)
    assert found.well == 10 * len(before), "the last mark before it began"
    assert found.evidence
    assert all(e.value > e.bound or e.what in ("alike", "fooled", "fallen", "information", "sure", "recognised") for e in found.evidence)


@pytest.mark.parametrize("name", ILL)
def test_a_run_that_is_well_again_is_said_to_be(name):
    _, ill = ILL[name]
    before = well_before(ill)
    lines = log(*before, *[ill] * MARKS, *before[-1:] * MARKS)
    assert verdict(lines[:-2]).alarm
    found = verdict(lines)
    assert (found.word in GOOD, found.alarm, found.well) == (True, False, None)
    assert found.since == 10 * (len(before) + MARKS + 1)


def test_a_gap_is_no_overfitting_while_the_held_out_items_gain_too():
    losses = [{"held out": 500.0 - 30 * k, "trained": 500.0 - 36 * k} for k in range(8)]
    assert verdict(log(*({**WELL, **found} for found in losses))).word == "healthy"
    assert verdict(log(*({**WELL, **found} for found in losses), *[{**WELL, **losses[-2]}] * MARKS)).word == "overfitting"


def test_a_gap_is_no_overfitting_where_an_untrained_model_had_it_too():
    losses = [{"held out": 1.1 * loss, "trained": loss} for loss in (0.9, 0.8, 0.7, 0.6, 0.5)]  # a tenth harder, whatever is learnt
    known = [{**WELL, **found} for found in losses]
    assert verdict(log(*known, *[known[-2]] * 2 * MARKS)).word in GOOD
    assert verdict(log(*known, *[{**known[-2], "trained": 0.5}] * 2 * MARKS)).word == "overfitting"


def test_numbers_that_are_none_are_said_at_once():
    lines = log(WELL, WELL)
    broken = {"step": 23, "terms": {}, "health": {"broken": 1.0}}
    found = verdict([*lines, broken])
    assert (found.word, found.since, found.well) == ("diverging", 23, 20)
    assert verdict([broken]).word == "diverging"


def test_a_discriminator_that_one_long_step_threw_far_ahead_is_a_matter_of_the_rate():
    ahead = ILL["a discriminator that knows everything"][1]
    thrown = {**ahead, "stride discriminator": 0.2}
    found = verdict(log(thrown, ahead, ahead))
    assert (found.word, found.well) == ("diverging", 0)
    assert [(e.what, e.value) for e in found.evidence] == [("thrown", 0.2)]
    assert verdict(log(ahead, ahead, ahead)).word == "discriminator winning"
    assert verdict(log({**WELL, **GAN, "stride discriminator": 0.2}, *[{**WELL, **GAN}] * MARKS)).word == "healthy", "it came back"


def test_marks_that_name_different_ills_are_told_by_the_most_frequent():
    winning, exploding = ILL["a discriminator that knows everything"][1], ILL["scores without measure"][1]
    before = well_before(winning)
    assert verdict(log(*before, winning, exploding, winning)).word == "discriminator winning"
    assert verdict(log(*before, winning, exploding, exploding)).word == "diverging"


def test_a_run_warms_up_until_its_samples_are_of_the_datas_kind():
    far = {"distance": 0.7, "diversity": 0.1}
    assert verdict([]) == health.Verdict("warming up", 0, ())
    assert verdict(log()).word == "warming up"
    assert verdict(log(*[far] * 30)).word == "warming up"
    found = verdict(log(far, *[WELL] * MARKS))
    assert (found.word, found.since) == ("healthy", 20)


def test_a_distance_within_chance_is_neither_gained_nor_lost():
    """A model that starts from counting draws texts of the data's kind at once: what is measured then is which samples were drawn."""
    distances = (0.05, -0.04, 0.05, 0.03, 0.06, *[0.8] * MARKS)
    lines = [{"step": i, "terms": {}, "health": {"distance": d, "diversity": 0.9}} for i, d in enumerate(distances)]
    words = [verdict(lines[:n]).word for n in range(1, len(lines) + 1)]
    assert words == ["warming up"] * (MARKS - 1) + ["healthy"] * 5 + ["diverging"]
    assert verdict(lines[:5]).evidence[0].value == 0.06
    assert verdict(lines[:4]).evidence[0].value == 0.03


@pytest.mark.parametrize("measure", ["distance", "held out"])
def test_a_run_that_learns_no_more_has_plateaued(measure):
    def marks(values):
        own = {"held out": lambda v: {**WELL, "held out": v, "trained": v}, "distance": lambda v: {**WELL, "distance": v}}
        return [own[measure](v) for v in values]

    gains = falling(0.9, 0.1, 12)
    assert verdict(log(*marks(gains))).word == "healthy"
    assert verdict(log(*marks([*gains, *[0.1] * 12]))).word == "plateaued"
    assert not verdict(log(*marks([*gains, *[0.1] * 12]))).alarm
    assert verdict(log(*marks([*gains, *[0.1] * 12, *falling(0.09, 0.05, 6)]))).word == "healthy"


def test_no_bound_is_crossed_by_what_is_never_measured():
    """A family without a discriminator, a posterior, a held-out loss or labels has the signals that it has."""
    assert verdict(log(*[WELL] * 6)).word == "healthy"
    assert verdict(log(*[{**WELL, "margin": 3.0, "fake": 0.9}] * 6)).word == "healthy"


def test_the_verdict_of_a_part_of_the_log_does_not_depend_on_the_rest():
    _, ill = ILL["alike, and taken for real"]
    lines = log(*well_before(ill), *[ill] * 6)
    words = [verdict(lines[:n]).word for n in range(len(lines) + 1)]
    assert words[-1] == "collapsing"
    assert words.index("collapsing") == len(lines) - 2 * (6 - MARKS)
    assert verdict(lines) == verdict(tuple(lines))


def test_each_bound_gives_its_reason_and_each_word_is_of_one_kind():
    assert all(bound.why and isinstance(bound.value, float) for bound in BOUNDS.values())
    assert not set(GOOD) & set(ALARMS)
    assert {word for word, _ in health.RULES} == set(ALARMS)
