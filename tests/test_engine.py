"""A request means one sample whoever else asks, few models stay warm, and the newest request of a session is the one answered."""

import json
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from toys import FAMILIES, curved, tiny, wait_for

from aigc_demo import checkpoint, engine as engines, latent, model, trainer
from aigc_demo.config import ConfigError
from aigc_demo.engine import Engine, Request, Superseded


def near(a, b):
    """Whether two items are the same but for rounding."""
    return (a.int() - b.int()).abs().max() <= 1


@pytest.fixture
def name(made):
    return made.name


# What a request means


def test_a_sample_follows_from_its_request_whatever_it_is_drawn_with(name):
    requests = [Request(name, seed=seed, index=index) for seed in (0, 9) for index in range(40)]  # more than one forward pass
    together = Engine().draw(requests)
    assert [s.request for s in together] == requests
    backwards = Engine().draw(requests[::-1])[::-1]
    alone = [s for r in requests[::13] for s in Engine().draw([r])]
    assert all(near(a.item, b.item) for a, b in zip(together, backwards, strict=True))
    assert all(near(a.item, b.item) for a, b in zip(together[::13], alone, strict=True))
    assert not near(together[0].item, together[1].item)
    assert not near(together[0].item, together[40].item)


def test_a_sample_is_what_the_model_draws(made, name):
    built = checkpoint.load(made)
    request = Request(name, seed=5, index=3, label=7, sampling={"truncation": 0.8})
    (drawn,) = Engine().draw([request])
    latents = model.draw_latents(built.latent, 5, [3])
    with torch.inference_mode():
        x = built.sample(latents, built.Sampling(truncation=0.8), torch.tensor([7]))
    assert near(drawn.item, made.modality.decode(x)[0])
    assert drawn.item.dtype == torch.uint8
    assert drawn.item.shape == made.modality.shape
    assert drawn.digest == made.digest


def test_without_a_label_the_classes_follow_each_other(name):
    engine = Engine()
    free = engine.draw([Request(name, index=i) for i in range(12)])
    told = engine.draw([Request(name, index=i, label=i % 10) for i in range(12)])
    assert all(near(a.item, b.item) for a, b in zip(free, told, strict=True))
    other = engine.draw([Request(name, index=i, label=(i + 1) % 10) for i in range(12)])
    assert not all(near(a.item, b.item) for a, b in zip(free, other, strict=True))


def test_sliders_move_along_the_directions_and_numbers_set_the_latent(made, name):
    engine = Engine()
    warm = engine.warm(name)
    amounts = (2.0, 0.0, -1.5)
    (drawn,) = engine.draw([Request(name, seed=1, label=4, sliders=amounts, numbers={2: 0.25})])
    z = model.draw_latents(warm.model.latent, 1, [0])
    z.flatten(1)[0, 2] = 0.25
    assert engine.latents(Request(name, seed=1, sliders=amounts, numbers={2: 0.25})) == pytest.approx(z.flatten().tolist())
    z = z + 2.0 * warm.directions.vectors[0] - 1.5 * warm.directions.vectors[2]
    with torch.inference_mode():
        expected = made.modality.decode(warm.model.sample(z, warm.model.Sampling(), torch.tensor([4])))[0]
    assert near(drawn.item, expected)
    (plain,) = engine.draw([Request(name, seed=1, label=4)])
    assert not near(plain.item, drawn.item)


def test_sliders_follow_a_curve_where_the_checkpoint_has_one(made, name):
    straight = Engine().warm(name)
    plain = Engine().draw([Request(name, seed=1, label=4)])[0]
    found = curved(straight.model.latent)
    checkpoint.write_directions(made, found)
    engine = Engine()
    warm = engine.warm(name)
    checkpoint.write_directions(made, replace(found, curve=None))
    assert len({straight.ways, warm.ways, Engine().warm(name).ways}) == 3, "amounts along a curve are others"
    z = model.draw_latents(warm.model.latent, 1, [0])
    amounts = (2.0, 0.0, -1.5)
    far = found.curve.moved(z, 2.0 * found.vectors[:1] - 1.5 * found.vectors[2:3])
    assert not torch.allclose(far, z + 2.0 * found.vectors[0] - 1.5 * found.vectors[2], atol=0.1)
    torch.testing.assert_close(engine.points([Request(name, seed=1, sliders=amounts)]), far, atol=1e-5, rtol=0)
    asked = [Request(name, seed=1, label=4, sliders=s) for s in ((), (0.0, 0.0), amounts)]
    first, second, moved = engine.draw(asked)
    assert near(first.item, plain.item)
    assert near(second.item, plain.item)
    assert not near(moved.item, plain.item)


def test_a_place_of_the_lattice_is_a_latent_and_any_latent_can_be_pinned(made, name):
    engine = Engine()
    warm = engine.warm(name)
    request = Request(name, seed=1, label=4, place=(0.5, -3.25), sliders=(1.5,), sampling={"truncation": 0.9})
    z = latent.on_lattice(warm.model.latent, 1, 0.5, -3.25)
    assert engine.latents(request) == pytest.approx(z.flatten().tolist())
    (point,) = engine.points([request])
    torch.testing.assert_close(point, z + 1.5 * warm.directions.vectors[0])
    pinned = request.pinned(point)
    assert (pinned.place, pinned.sliders, pinned.label, pinned.sampling) == (None, (), 4, {"truncation": 0.9})
    torch.testing.assert_close(engine.points([pinned])[0], point, atol=1e-5, rtol=0)
    drawn, again, other = engine.draw([request, pinned, Request(name, seed=1, label=4, sampling={"truncation": 0.9})])
    assert near(drawn.item, again.item)
    assert not near(drawn.item, other.item)
    assert max(map(abs, request.pinned(100 * point).numbers.values())) == 8.0


@pytest.mark.parametrize("place", [None, (0.5, -3.0)])
def test_the_recipe_of_a_sample_draws_it_again(name, place):
    engine = Engine()
    request = Request(name, seed=3, index=2, sliders=(1.0, -2.0), numbers={1: 0.5}, label=0, sampling={"truncation": 0.7}, place=place)
    (drawn,) = engine.draw([request])
    recipe = json.loads(json.dumps(drawn.request.recipe(drawn.digest)))
    assert recipe.pop("digest") == drawn.digest
    recipe["numbers"] = {int(k): v for k, v in recipe["numbers"].items()}
    again = Request(**{**recipe, "sliders": tuple(recipe["sliders"]), **({"place": tuple(recipe["place"])} if place else {})})
    assert again == request
    assert torch.equal(engine.draw([again])[0].item, drawn.item)


# What it refuses

BAD = {
    "seed": [-1, 2**31, 1.5, math.nan, "7", None],
    "index": [-1, 2**31, 0.5, math.inf],
    "sliders": [(math.nan,), (math.inf,), (8.1,), (-9,), ("1",), (None,)],
    "numbers": [{0: math.nan}, {0: 8.5}, {0: -math.inf}, {-1: 0.0}, {0.5: 0.0}, {"0": 1.0}, {0: "1"}],
    "label": [1.5, "3", math.nan],
    "place": [(1.0,), (0.0, math.nan), (0.0, 1e7), ("1", 0.0), (1.0, 2.0, 3.0)],
}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in BAD.items() for v in values], ids=str)
def test_a_request_with_an_impossible_value_cannot_be_made(field, value):
    with pytest.raises(ConfigError, match=f"^{field}: ") as error:
        Request("any", **{field: value})
    assert "\n" not in str(error.value)


UNFIT = {
    "a label beyond the classes": ({"label": 10}, "label: 10 is not a class; its classes are 0 to 9"),
    "a label below them": ({"label": -1}, "label: -1 is not a class"),
    "more sliders than directions": ({"sliders": (0.0,) * 1000}, "sliders: 1000 given, the checkpoint has"),
    "a number beyond the latent": ({"numbers": {5000: 1.0}}, "numbers: 5000 is not a position from 0 to"),
    "a setting that it lacks": ({"sampling": {"temper": 5}}, "sampling.temper: there is no such name"),
    "a setting out of range": ({"sampling": {"truncation": 2.5}}, "sampling.truncation: 2.5 is above 2"),
    "a setting that is not a number": ({"sampling": {"truncation": math.nan}}, "sampling.truncation: nan is not a finite number"),
    "a setting in words": ({"sampling": {"truncation": "much"}}, "sampling.truncation: 'much' is not a number"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_request_that_the_model_cannot_answer_is_refused_in_a_sentence(case, name):
    values, said = UNFIT[case]
    with pytest.raises(ConfigError) as error:
        Engine().draw([Request(name, **values)])
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


def test_the_requests_of_a_call_share_what_they_must(all_made):
    engine = Engine()
    a, b = (all_made[f].name for f in (FAMILIES[0], FAMILIES[-1]))
    for other in (Request(b), Request(a, sampling={"truncation": 0.5})):
        with pytest.raises(ConfigError, match=r"^requests: those of one call share"):
            engine.draw([Request(a), other])
    assert engine.draw([]) == []


def test_a_checkpoint_that_is_not_there_is_a_sentence():
    with pytest.raises(checkpoint.CheckpointError, match="checkpoint nobody: not here"):
        Engine().draw([Request("nobody")])
    with pytest.raises(checkpoint.CheckpointError):
        Engine().draw([Request("../../etc")])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_without_classes_draws_no_chosen_one(family, tmp_path):
    list(trainer.record(tiny(f"{family}:tiny", 1, {"model.conditional": False}), tmp_path))
    plain = checkpoint.read(tmp_path / "checkpoint")
    assert Engine().draw([Request("plain")], name=plain)
    with pytest.raises(ConfigError, match=r"^label: 0 is not a class; this checkpoint draws no chosen class"):
        Engine().draw([Request("plain", label=0)], name=plain)


# Many at once


def test_eight_threads_get_what_one_gets(all_made):
    names = [m.name for m in all_made.values()]
    jobs = [[Request(names[k % len(names)], seed=k // 2, index=i) for i in range(1 + k % 5)] for k in range(64)]
    alone = [[s.item for s in Engine().draw(job)] for job in jobs]
    busy = Engine(memory=1)  # so small that each loading drops the others: the hardest way
    with ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(lambda job: [s.item for s in busy.draw(job)], jobs))
    for one, many in zip(alone, at_once, strict=True):
        assert all(near(a, b) for a, b in zip(one, many, strict=True))


def test_a_model_that_several_ask_for_is_loaded_once(name):
    engine, start = Engine(), threading.Barrier(4)

    def ask(_):
        start.wait(30)
        return engine.warm(name)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))
    assert all(f is found[0] for f in found)


def test_the_least_recently_used_model_leaves_when_the_memory_is_full(all_made, tmp_path):
    first = all_made[FAMILIES[0]]
    others = [checkpoint.copy(first, tmp_path / n) for n in ("b", "c")]
    for i, other in enumerate(others):  # the same model under other content
        config = json.loads((other.path / "config.json").read_text())
        config["run"]["seed"] = 100 + i
        (other.path / "config.json").write_text(json.dumps(config))
    a, b, c = first, *(checkpoint.read(o.path) for o in others)
    size = Engine().warm(a).bytes
    assert size == sum(v.numel() * v.element_size() for v in list(checkpoint.load(a).phases().values())[-1].state_dict().values())
    engine = Engine(memory=2 * size)

    def kept():
        return [w.checkpoint.path.name for w in engine._warm.values()]

    kept_a = engine.warm(a)
    engine.warm(b)
    assert engine.warm(a) is kept_a, "warm already"
    engine.warm(c)
    assert kept() == [a.path.name, "c"], "b was asked for longest ago"
    assert engine.warm(a) is kept_a
    tight = Engine(memory=1)
    tight.warm(a)
    tight.warm(b)
    assert len(tight._warm) == 1, "one stays, however large"


# The newest wins


def asked(engine, name, session, answers):
    """Starts a thread that asks for a sample, and waits until the engine has taken note of it."""
    before = engine._newest.get(session)
    at = len(answers)
    answers.append(None)

    def ask():
        try:
            answers[at] = engine.draw([Request(name, seed=at)], session)[0].request.seed
        except Superseded:
            answers[at] = Superseded

    thread = threading.Thread(target=ask)
    thread.start()
    wait_for(lambda: session is None or engine._newest.get(session) != before)
    return thread


def test_of_a_session_only_the_newest_waiting_request_is_computed(name):
    engine, answers = Engine(), []
    engine.warm(name)
    with engine._compute:  # the machine is busy
        threads = [asked(engine, name, session, answers) for session in ("mine", "mine", "other", "mine", None, None, "other")]
        assert answers == [None] * 7
    for thread in threads:
        thread.join(30)
    assert answers == [Superseded, Superseded, Superseded, 3, 4, 5, 6]


def test_a_request_that_nobody_overtakes_is_answered(name):
    engine = Engine()
    for seed in range(3):
        (drawn,) = engine.draw([Request(name, seed=seed)], "mine")
        assert drawn.request.seed == seed


# Strips


def test_a_strip_is_the_travel_of_one_amount(name, monkeypatch):
    monkeypatch.setattr(engines, "STRIP_SECONDS", 60.0)  # on a busy machine too, and of a model that takes steps
    engine = Engine()
    here = Request(name, seed=4, label=2, sliders=(0.0, 1.5), numbers={1: -0.5})
    for axis, change in (
        ("sliders.0", lambda v: {"sliders": (v, 1.5)}),
        ("sliders.2", lambda v: {"sliders": (0.0, 1.5, v)}),
        ("numbers.3", lambda v: {"numbers": {1: -0.5, 3: v}}),
        ("sampling.truncation", lambda v: {"sampling": {"truncation": v}}),
    ):
        values = [0.5, 0.25, 1.0, 0.0, 2.0] * 5  # more than one pass
        strip = engine.strip(here, axis, values)
        assert [s.request for s in strip] == [replace(here, **change(v)) for v in values]
        alone = [engine.draw([s.request])[0] for s in strip[:5]]
        assert all(near(a.item, b.item) for a, b in zip(strip, alone, strict=False))
        assert not near(strip[3].item, strip[4].item)
        assert {s.digest for s in strip} == {alone[0].digest}


@pytest.mark.parametrize(
    "axis", ["", "sliders", "sliders.", "sliders.-1", "sliders.x", "sliders.²", "sliders.99999", "seed.1", "sampling."]
)
def test_an_axis_that_is_none_is_named(name, axis):
    with pytest.raises(ConfigError, match="axis"):
        Engine().strip(Request(name), axis, [0.0])


@pytest.mark.parametrize(
    ("axis", "value"), [("sliders.900", 1.0), ("numbers.900", 1.0), ("sliders.0", math.nan), ("sampling.nothing", 1.0)]
)
def test_a_strip_checks_what_it_is_asked(name, axis, value):
    with pytest.raises(ConfigError):
        Engine().strip(Request(name), axis, [value])


def test_a_slow_model_gives_the_part_of_a_strip_that_it_can(name, monkeypatch):
    engine = Engine()
    here = Request(name, label=0)
    engine.draw([here])
    model, draws = engine.warm(name).model, []

    def sample(latents, sampling, labels):
        draws.append(len(latents))
        time.sleep(0.03 * len(latents))
        return torch.zeros(len(latents), *engine.warm(name).checkpoint.modality.shape)

    monkeypatch.setattr(model, "sample", sample)
    engine.draw([here])  # its pace is known now
    assert 1 <= len(engine.strip(here, "sliders.0", [k / 10 for k in range(61)])) <= 8
    monkeypatch.setattr("aigc_demo.engine.STRIP_SECONDS", 0.01)
    draws.clear()
    assert engine.strip(here, "sliders.0", [0.0, 1.0]) == []
    assert draws == []


def test_a_strip_that_is_overtaken_is_dropped_before_it_is_computed(name):
    engine, answers = Engine(), [None] * 3
    here = Request(name, label=0)
    engine.draw([here])

    def ask(i, axis):
        try:
            answers[i] = len(engine.strip(here, axis, [0.0, 1.0], "mine"))
        except Superseded:
            answers[i] = Superseded

    with engine._compute:  # the model is busy
        threads = []
        for i in range(3):
            threads.append(threading.Thread(target=ask, args=(i, f"sliders.{i}")))
            threads[-1].start()
            wait_for(lambda i=i: engine._newest.get("mine", 0) >= i + 2)
    for thread in threads:
        thread.join(30)
    assert answers == [Superseded, Superseded, 2]


def test_sessions_are_forgotten_in_time(name):
    engine = Engine()
    for i in range(10_050):
        engine.draw([], f"session {i}")
    assert len(engine._newest) == 10_000
    assert engine.draw([Request(name)], "session 0")
