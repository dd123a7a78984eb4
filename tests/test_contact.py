"""Contact sheets show what they say, at the size that they say, and directions by any method come from what there is."""

import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from toys import finished, tiny

from aigc_demo import checkpoint, latent
from aigc_demo.config import ConfigError
from aigc_demo.engine import Engine, Request
from aigc_demo.exploration import contact
from aigc_demo.provenance import label

PX = 72 / 25.4  # in a mm, at the fewest dots


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A run whose class is not chosen, on data whose factors are known."""
    plain = {"data.source": "shapes", "data.limit": 300, "model.conditional": False, "model.beta": 0.1, "name": "plain"}
    return finished(tiny("vae:tiny", 300, plain), tmp_path_factory.mktemp("shapes"))


def page(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_a_sheet_of_directions_shows_each_at_each_amount(made, engine):
    found = contact.directions(engine, made)
    data = contact.sheet(engine, made, found, (5,), 3, dpi=72)
    image = Image.open(io.BytesIO(data))
    assert image.size in ((595, 842), (842, 595))
    assert image.info["dpi"] == pytest.approx((72, 72), abs=0.1)
    pixels, size = page(data), made.modality.size
    dark = (pixels == 255).all(2) == 0
    columns = len(contact.AMOUNTS)
    for row, way in ((0, 0), (len(found) - 1, len(found) - 1)):
        for column, amount in ((0, -3.0), (columns - 1, 3.0)):
            sliders = [0.0] * len(found)
            sliders[way] = amount
            item = engine.draw([Request(made.name, 5, sliders=tuple(sliders), label=3)], name=made)[0].item
            left, top, side = places(image.size, columns, len(found))
            x, y = round((left + (column + 0.5) * side) * PX), round((top + (row + 0.5) * side) * PX)
            expected = item.float().mean(0)[size // 2 - 1 : size // 2 + 1, size // 2 - 1 : size // 2 + 1].mean()
            assert dark[y, x] or expected > 200, "a picture that is not white itself stands there"
            assert abs(pixels[y - 1 : y + 1, x - 1 : x + 1].mean() - expected) < 60, (row, column)
    said = label.read(data).recipe
    assert (said["checkpoint"], said["digest"], said["seeds"], said["label"]) == (made.name, made.digest, [5], 3)
    assert said["directions"] == contact.told(found)


def places(size, columns, rows):
    """Where the pictures begin, and their pitch, in mm."""
    width, height = (mm / PX for mm in size)
    side = min((width - 2 * contact.MARGIN - contact.SIDE) / columns, (height - 2 * contact.MARGIN - contact.HEAD) / rows)
    return (width - contact.SIDE - columns * side) / 2 + contact.SIDE, contact.MARGIN + contact.HEAD, side


def test_a_sheet_of_seeds_has_a_row_for_each(made, engine):
    found = contact.directions(engine, made)
    few, many = (page(contact.sheet(engine, made, found, range(n), dpi=72)) for n in (2, 40))
    assert {few.shape[:2], many.shape[:2]} <= {(595, 842), (842, 595)}
    assert not np.array_equal(few, many)
    assert np.array_equal(few, page(contact.sheet(engine, made, found, range(2), dpi=72))), "the same again"


def test_words_that_are_too_long_are_cut(made, engine):
    found = contact.directions(engine, made)
    long = latent.Directions(found.vectors, found.effects, found.methods, ("m" * 64,) * len(found))
    pixels = page(contact.sheet(engine, made, long, (1,), dpi=72))
    left, top, side = places((pixels.shape[1], pixels.shape[0]), len(contact.AMOUNTS), len(found))
    before = pixels[round(top * PX) : round((top + len(found) * side) * PX), round((left - 1.5) * PX) : round(left * PX) - 1]
    assert (before == 255).all(), "no word runs into a picture"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"seeds": ()}, "seeds: 0 of them; a sheet has 1 to 40"),
        ({"seeds": range(41)}, "seeds: 41 of them"),
        ({"seeds": (-1,)}, "seed: -1 is not a whole number"),
        ({"dpi": 71}, "dpi: 71 is not"),
        ({"dpi": 10**9}, "dpi: 1000000000 is not"),
        ({"chosen": 10}, "label: 10 is not a class"),
    ],
)
def test_a_sheet_that_cannot_be_drawn_is_refused(made, engine, arguments, says):
    with pytest.raises(ConfigError, match=says):
        contact.sheet(engine, made, contact.directions(engine, made), **arguments)


def test_a_search_does_not_get_in_the_way_of_who_draws(made, engine):
    wanted = engine.draw([Request(made.name, 1, label=2)], name=made)[0].item
    with engine.turn, ThreadPoolExecutor(1) as thread:  # as if a picture were being drawn all the while
        found = thread.submit(contact.directions, engine, made, "pca").result(60)
    assert set(found.methods) == {"pca"}
    hooked = [m for m in engine.warm(made).model.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert not hooked
    assert torch.equal(engine.draw([Request(made.name, 1, label=2)], name=made)[0].item, wanted)


@pytest.mark.parametrize("method", ["best", "pca", "closed", "jacobian"])
def test_directions_are_found_anew(made, engine, method):
    found = contact.directions(engine, made, method, count=3)
    assert 1 <= len(found) <= 3
    if method != "best":
        assert set(found.methods) == {method}
    stored = contact.directions(engine, made)
    assert torch.equal(stored.vectors, checkpoint.read_directions(made).vectors), "and change nothing"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"method": "magic"}, "'magic' is not one of stored, best, labels, measured, pca, closed, jacobian, curved"),
        ({"count": 0}, "count: 0"),
        ({"count": 41}, "count: 41"),
        ({"between": ("0", "1")}, "goes with the directions `labels`"),
        ({"method": "labels", "between": ("0",)}, "takes two names"),
        ({"method": "labels", "between": ("0", "eleven")}, "between: 'eleven' is not one of 0, 1, 2"),
    ],
)
def test_what_cannot_be_found_is_refused_in_a_sentence(made, engine, arguments, says):
    with pytest.raises((ConfigError, latent.DirectionsError), match=says):
        contact.directions(engine, made, **arguments)


def test_labels_follow_the_data_where_the_class_is_not_chosen(shapes, engine):
    assert "labels" in contact.directions(engine, shapes).methods, "a run's own sliders follow what its data knows"
    found = contact.directions(engine, shapes, "labels")
    assert set(found.methods) == {"labels"}
    known = {"circle", "square", "triangle", "star", "cross", "heart", "radius", "x", "y", "rotation"}
    assert found.names
    assert set(found.names) <= known
    way = contact.directions(engine, shapes, "labels", between=("x", "y"))
    assert (way.names, way.vectors.shape) == (("x → y",), (1, 4))


def test_without_labels_there_is_nothing_to_follow(shapes, engine, tmp_path):
    folder = tmp_path / "nameless"
    folder.mkdir()
    for k in range(20):
        Image.new("L", (16, 16), 10 * k).save(folder / f"{k}.png")
    run = json.loads((shapes.path / "config.json").read_text())
    run["run"]["data"]["source"] = str(folder)
    (shapes.path / "config.json").write_text(json.dumps(run))
    with pytest.raises(latent.DirectionsError, match="has no labels to follow"):
        contact.directions(engine, checkpoint.read(shapes.path), "labels")
