"""Scenes, what is said of them, and the checker that reads them back."""

import dataclasses

import pytest
import torch

from aigc_demo import config, data
from aigc_demo.data import scenes
from aigc_demo.data.scenes import Group, Scene
from aigc_demo.evaluation import scenes as checker


def load(part="train", **settings):
    return data.load(config.Data(source="scenes", **settings), settings.pop("seed", 0), part=part)


def scene(*groups, relation=None):
    """Groups such as (2, "small", "red", "circle")."""
    found = [
        Group(n, scenes.SIZES.index(size), scenes.COLOURS.index(colour), scenes.SHAPES.index(shape)) for n, size, colour, shape in groups
    ]
    return Scene(tuple(found), None if relation is None else scenes.RELATIONS.index(relation))


TWO = scene((2, "small", "red", "circle"), (1, "big", "blue", "square"), relation="left of")


def test_the_test_part_asks_for_each_relation_alike_and_the_train_part_mostly_from_the_left_or_above():
    for part, forward in (("train", scenes.FORWARD), ("test", 0.5)):
        relation = scenes.factors(4000, 3, part)["relation"]
        counts = torch.bincount(relation[relation >= 0], minlength=4) / (relation >= 0).sum()
        wanted = torch.tensor([forward, 1 - forward, forward, 1 - forward]) / 2
        assert (counts - wanted).abs().max() < 0.03, part


def test_a_scene_is_said_in_english_and_in_chinese():
    assert TWO.said("en") == "two small red circles left of a big blue square"
    assert TWO.said("zh") == "大蓝方块左边有两个小红圆"
    other = scene((1, "big", "black", "triangle"), (3, "small", "yellow", "square"), relation="below")
    assert other.said("en") == "a big black triangle below three small yellow squares"
    assert other.said("zh") == "三个小黄方块下面有一个大黑三角"
    assert scene((1, "big", "green", "circle")).said("zh") == "一个大绿圆"


def test_a_scene_does_not_depend_on_how_many_there_are():
    few, many = load(limit=20), load(limit=60)
    assert torch.equal(few.items, many.items[:20])
    assert few.captions == many.captions[:20]
    assert few.digest == load(limit=20).digest
    other = data.load(config.Data(source="scenes", limit=20), 1)
    assert few.digest != other.digest != load(limit=20, part="test").digest


def test_what_is_held_out_stands_together_in_the_test_part_alone():
    for part in ("train", "test"):
        known = scenes.factors(3000, 1, part)
        drawn = scenes.scenes(known)
        assert all(scenes.held(*(g.kind for g in one.groups)) == (part == "test") for one in drawn)
        assert all(len({g.kind for g in one.groups}) == len(one.groups) for one in drawn)
        single = sum(len(one.groups) == 1 for one in drawn) / 3000
        assert single == pytest.approx(scenes.ALONE, abs=0.03)
        # each kind by itself is seen in both parts, beside others
        assert {g.kind for one in drawn for g in one.groups} == {(c, s) for c in range(6) for s in range(3)}
        assert set(known["language"].tolist()) == {0, 1}
    assert scenes.held((0, 1), (4, 2)) == scenes.held((4, 2), (0, 1))


def test_things_of_a_scene_do_not_touch_and_stand_where_it_says():
    known = scenes.factors(500, 2, "train")
    for i, one in enumerate(scenes.scenes(known)):
        places = [(k, n) for k, g in enumerate(one.groups) for n in range(g.count)]
        x, y, radius = (torch.stack([known[name][i, k, n] for k, n in places]) for name in ("x", "y", "radius"))
        assert (torch.stack([x, y, 1 - x, 1 - y]) - radius).min() > 0.018
        apart = torch.hypot(x[:, None] - x, y[:, None] - y) - radius[:, None] - radius
        assert apart.fill_diagonal_(1).min() > 0.01
        if len(one.groups) == 2:
            first = torch.tensor([k == 0 for k, _ in places])
            line, sign = (x, y)[one.relation // 2], (1, -1)[one.relation % 2]
            assert (sign * line[first]).max() < (sign * line[~first]).min()


def test_grey_scenes_are_refused_as_their_captions_name_colours():
    with pytest.raises(data.DataError, match=r"data\.channels: scenes are in colour"):
        load(limit=10, channels=1)


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_checker_reads_true_scenes(part):
    known = scenes.factors(1000, 3, part)
    pictures, asked = scenes.draw(known, 32), scenes.scenes(known)
    assert min(checker.shares(pictures, asked).values()) >= 0.995
    # and says no to pictures of other scenes
    others = checker.shares(pictures.roll(1, 0), asked)
    assert others["colour"] < 0.2
    assert max(others[name] for name in ("shape", "count", "size", "relation", "all")) < 0.1


def drawn(*groups, relation=None):
    """A scene and its picture, the first of so many that has these groups."""
    wanted = scene(*groups, relation=relation)
    known = scenes.factors(1, 5, "train")
    for name in ("number", "size", "colour", "shape"):
        values = [getattr(g, {"number": "count"}.get(name, name)) for g in wanted.groups]
        known[name] = torch.tensor([[*values, 0][:2]])
    middle = torch.tensor([0.25, 0.75] if relation in ("left of", "above") else [0.75, 0.25]).view(1, 2, 1).expand(1, 2, 3)
    row = torch.tensor([1 / 6, 1 / 2, 5 / 6]).view(1, 1, 3).expand(1, 2, 3)
    upright = relation in ("left of", "right of")
    known["x"], known["y"] = (middle, row) if upright else (row, middle)
    known["radius"] = torch.tensor([scenes.RADII[g.size][0] for g in [*wanted.groups, wanted.groups[-1]][:2]]).view(1, 2, 1).expand(1, 2, 3)
    return wanted, scenes.draw(known, 32)[0]


CHANGES = {
    "colour": ((2, "small", "yellow", "circle"), "left of"),
    "shape": ((2, "small", "red", "triangle"), "left of"),
    "count": ((3, "small", "red", "circle"), "left of"),
    "size": ((2, "big", "red", "circle"), "left of"),
    "relation": ((2, "small", "red", "circle"), "right of"),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_each_property_is_read_by_itself(changed):
    first, relation = CHANGES[changed]
    _, picture = drawn(first, (1, "big", "blue", "square"), relation=relation)
    found = checker.shown(checker.things(picture[None])[0], TWO)
    lost = {"colour": set(checker.PROPERTIES), "shape": set(checker.PROPERTIES) - {"colour"}}.get(changed, {changed})
    assert {name for name, right in found.items() if not right} == lost
    right, own = drawn((2, "small", "red", "circle"), (1, "big", "blue", "square"), relation="left of")
    assert right == TWO
    assert all(checker.shown(checker.things(own[None])[0], TWO).values())


def test_colours_that_changed_places_are_no_match():
    _, picture = drawn((2, "small", "blue", "circle"), (1, "big", "red", "square"), relation="left of")
    found = checker.shown(checker.things(picture[None])[0], TWO)
    assert found == {"colour": True, "shape": False, "count": False, "size": False, "relation": False}


def test_noise_and_smears_are_no_shapes():
    rng = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (4, 3, 32, 32), generator=rng, dtype=torch.uint8)
    assert not any(any(checker.shown(found, TWO).values()) for found in checker.things(noise))
    _, picture = drawn((1, "big", "red", "circle"))
    smear = picture.clone()
    smear[:, 10:12] = torch.tensor(data.shapes.COLOURS["blue"], dtype=torch.uint8).view(3, 1, 1)
    found = checker.things(smear[None])[0]
    assert [thing.shape for thing in found if scenes.COLOURS[thing.colour] == "blue"] == [None]
    assert not checker.shown(found, scene((1, "big", "red", "circle")))["shape"]


def test_a_property_that_no_scene_has_has_no_share():
    one, picture = drawn((3, "small", "green", "square"))
    found = checker.shares(torch.stack([picture, picture]), [one, dataclasses.replace(one)])
    assert found["all"] == 1
    assert found["relation"] != found["relation"]
