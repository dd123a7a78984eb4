"""Points of the plane: what is drawn is what is said, a sheet shows where they lie, and a run on them shows what the model holds."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from toys import FAMILIES, tiny

from aigc_demo import checkpoint, config, data, engine, modality, model, trainer
from aigc_demo.data import points
from aigc_demo.modalities.points import DATA, PAPER, SAMPLES, SIDE, Modality

PLANE = Modality(5.0)
SETS = tuple(points.SIGMA)


def load(source, seed=0, part="train", **spec):
    return data.load(config.Data(source=source, **spec), seed, part=part)


# The sets


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_drawn_by_its_seed_within_the_square(name):
    found = load(name, limit=2000)
    assert found.items.shape == (2000, 2)
    assert found.items.dtype == torch.float32
    assert found.items.abs().max() <= 5
    assert found.modality == PLANE
    assert found.labels is None
    assert found.digest == load(name, limit=2000).digest
    assert len({load(name, seed, part, limit=2000).digest for seed in (0, 1) for part in ("train", "test")}) == 4


@pytest.mark.parametrize(("name", "means"), [("grid25", points.GRID), ("ring", points.RING)])
def test_gaussians_have_their_means_their_deviation_and_equal_shares(name, means):
    found, sigma = load(name), points.SIGMA[name]
    assert len(found) == 100_000
    part = found.factors["part"]
    away = found.items - torch.tensor(means)[part]
    assert away.mean().abs() < 0.01 * sigma * 3
    assert away.std().item() == pytest.approx(sigma, rel=0.01)
    shares = torch.bincount(part, minlength=len(means)) / len(part)
    assert shares.tolist() == pytest.approx([1 / len(means)] * len(means), rel=0.08)
    inside = (away.norm(dim=1) <= 3 * sigma).float().mean().item()
    assert inside == pytest.approx(1 - math.exp(-4.5), abs=0.002)  # the protocol's ceiling, 98.9 %


def test_points_of_ones_own_are_read_from_a_file(tmp_path):
    own = tmp_path / "own.points"
    own.write_bytes(points.written([(0.5, -1), (2, 3.25), (-8, 0)] * 10))
    found = load(str(own))
    assert found.items[:3].tolist() == [[0.5, -1.0], [2.0, 3.25], [-8.0, 0.0]]
    assert (len(found), found.modality, found.ledger.summary()) == (30, Modality(8.0), "30 points read; 27 exact duplicates kept")
    assert (found.source.title, len(load(str(own), limit=7))) == ("own.points", 7)
    assert data.foreseen(config.Data(source=str(own))).kind == "points"
    own.write_text("1,2\n3,4\n\n5 , 6\n")
    assert load(str(own)).items.tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not two numbers a line"),
        ("1 2\nx y\n", "not two numbers a line"),
        ("1 2 3\n", "not two numbers a line"),
        ("1 2\n3\n", "not two numbers a line"),
        ("1 nan\n2 3\n", "beyond 1000, or nowhere"),
        ("1 1e9\n2 3\n", "beyond 1000, or nowhere"),
        ("1 2\n", "at least 2 points are needed"),
        ("\x00\xff\n", "not two numbers a line"),
    ],
)
def test_a_file_of_no_points_gets_a_sentence(tmp_path, text, says):
    own = tmp_path / "own.points"
    own.write_bytes(text.encode("latin-1"))
    with pytest.raises(data.DataError, match=f"own.points: .*{says}") as error:
        load(str(own))
    assert "\n" not in str(error.value)


def test_moons_lie_along_two_half_circles():
    found = load("moons", limit=5000)
    middles = torch.tensor([[-1.5, -0.75], [1.5, 0.75]])[found.factors["part"]]
    reach = (found.items - middles).norm(dim=1)
    assert reach.mean().item() == pytest.approx(3, abs=0.02)
    assert reach.std().item() == pytest.approx(0.15, rel=0.05)
    upper = found.factors["part"] == 0
    assert ((found.items - middles)[upper, 1] > -0.6).all()
    assert ((found.items - middles)[~upper, 1] < 0.6).all()


@pytest.mark.parametrize(("field", "value"), [("size", 28), ("channels", 3), ("mirror", True)])
def test_what_only_pictures_have_is_refused_by_name(field, value):
    with pytest.raises(data.DataError, match=rf"^data\.{field}: {value} means nothing for ring, which is of points"):
        load("ring", **{field: value})


# The modality


@pytest.mark.parametrize("reach", [0, -1.0, 1001, "5", float("nan"), True])
def test_a_reach_that_cannot_be_is_refused(reach):
    with pytest.raises(ValueError, match="reach"):
        Modality(reach)


def test_it_travels_as_json():
    assert modality.from_json(modality.to_json(PLANE)) == PLANE
    assert modality.to_json(PLANE) == {"kind": "points", "reach": 5.0}


def test_encoding_goes_round_and_decoding_stays_in_the_square():
    items = load("moons", limit=100).items
    assert PLANE.encode(items).abs().max() <= 1
    torch.testing.assert_close(PLANE.decode(PLANE.encode(items)), items)
    wild = torch.tensor([[float("nan"), 3.0], [float("inf"), -float("inf")]])
    assert PLANE.decode(wild).tolist() == [[0.0, 5.0], [5.0, -5.0]]


def brightest(sheet):
    """(row, column) of the middle of what differs most from the ground."""
    away = np.abs(sheet.astype(int) - PAPER).sum(2)
    return np.argwhere(away == away.max()).mean(0)


@pytest.mark.parametrize(("x", "y"), [(4.0, 4.0), (-4.0, 2.0), (0.0, -3.0)])
def test_a_dot_is_where_its_point_is_with_y_upwards(x, y):
    item = torch.tensor([x, y])
    row, column = brightest(PLANE.sheet(item[None], 8))
    assert column == pytest.approx((x / 5 + 1) * SIDE / 2, abs=1)
    assert row == pytest.approx((1 - y / 5) * SIDE / 2, abs=1)
    file = PLANE.write(item, {"seed": 3})
    assert np.array_equal(np.array(Image.open(io.BytesIO(file))), PLANE.sheet(item[None], 8))
    assert modality.recipe_of(file) == {"seed": 3}
    at = PLANE.plane().view(SIDE, SIDE, 2)[round(row), round(column)]
    torch.testing.assert_close(at, item / 5, atol=2 / SIDE, rtol=0)


def test_a_sheet_of_a_run_has_data_samples_and_what_the_model_holds():
    known, samples = torch.full((50, 2), 2.0), torch.full((50, 2), -2.0)
    levels = PLANE.plane()[:, 0]  # higher to the right
    sheet = PLANE.beside(samples, known, levels)
    assert sheet.dtype == np.uint8
    assert sheet.shape[0] == SIDE
    left, middle, right = (sheet[:, i * (SIDE + 4) : i * (SIDE + 4) + SIDE] for i in range(3))
    assert right.shape == (SIDE, SIDE, 3)
    assert brightest(left)[1] > SIDE / 2 > brightest(middle)[1]
    assert left.max((0, 1)).tolist() == pytest.approx(DATA, abs=2)
    assert middle.max((0, 1)).tolist() == pytest.approx(SAMPLES, abs=2)
    row = right[10].astype(int).sum(1)
    assert (np.diff(row) >= 0).all()
    assert row[-1] > row[0] + 500
    assert PLANE.beside(samples, known, None).shape[1] == 2 * SIDE + 4


def test_a_file_of_a_stranger_is_no_point():
    with pytest.raises(modality.BadItem, match="points are drawn by this program"):
        PLANE.read(b"1,2")


def test_a_film_shows_the_dot_move():
    film = PLANE.film(torch.tensor([[-3.0, 0.0], [3.0, 0.0]]), 5, "webp")
    frames = Image.open(io.BytesIO(film))
    assert frames.n_frames == 2
    columns = []
    for i in range(2):
        frames.seek(i)
        columns.append(brightest(np.array(frames.convert("RGB")))[1] / frames.width)
    assert columns == pytest.approx([0.2, 0.8], abs=0.02)


# A whole run


def test_a_run_on_points_trains_shows_and_is_sampled(home):
    changes = {"data.source": "ring", "data.size": 0, "data.limit": 2000, "name": "ring-toy", "model.hidden": [32, 32], "train.ema": 0.9}
    run = tiny("gan:points", 150, changes)
    made = trainer.Trainer(run)
    before = made.look()[1]["distance"]
    seen = list(trainer.record(run, home / "runs" / "ring-toy"))
    sheets = [p.sheet for p in seen if p.sheet is not None]
    assert sheets[-1].shape == (SIDE, 3 * SIDE + 8, 3)
    assert not np.array_equal(sheets[0][:, -SIDE:], sheets[-1][:, -SIDE:]), "the surface moves"
    assert seen[-1].health["distance"] < 0.5 * before
    found = checkpoint.find("ring-toy")
    assert found.modality == PLANE
    drawing = engine.Engine(device="cpu")
    requests = [engine.Request("ring-toy", seed=1, index=i) for i in range(20)]
    samples = drawing.draw(requests)
    assert torch.stack([s.item for s in samples]).abs().max() <= 5
    assert Image.open(io.BytesIO(drawing.sheet(samples))).size == (SIDE, SIDE)
    again = drawing.draw([engine.Request.of(modality.recipe_of(drawing.file(samples[3])))])[0]
    torch.testing.assert_close(again.item, samples[3].item, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", [f for f in FAMILIES if "points" in model.family(f).modalities])
def test_every_family_draws_near_the_points_it_learns_from(family):
    sizes = {"model.hidden": [64, 64]} if "hidden" in model.family(family).Config.model_fields else {"model.width": 32, "model.depth": 2}
    changes = {"data.source": "moons", "data.size": 0, "data.limit": 4000, "train.batch": 256, "train.lr": 4e-3, "train.ema": 0.9, **sizes}
    made = trainer.Trainer(tiny(f"{family}:points", 100, changes))
    sheet, before = made.look()
    for progress in trainer.train(made):
        assert all(map(math.isfinite, progress.terms.values()))
    after, found = made.look()
    assert found["distance"] < 0.5 * before["distance"]
    assert after.shape == sheet.shape == (SIDE, 3 * SIDE + 8, 3)
    assert not np.array_equal(sheet[:, -SIDE:], after[:, -SIDE:]), "the surface moves"


@pytest.mark.parametrize("preset", ["flow:cpu", "diffusion:cpu", "vae:conv", "autoencoder:plain", "gan:dcgan"])
def test_a_network_for_pictures_refuses_points_and_names_the_one_that_takes_them(preset):
    with pytest.raises(ValueError, match="mlp"):
        model.build(model.plan(preset, {"data.source": "ring"}), PLANE, 0)


def test_a_run_on_points_goes_on_bit_for_bit():
    found = trainer.resume_check(tiny("gan:points", 6, {"data.source": "grid25", "data.size": 0, "model.hidden": [8, 8]}), 3)
    assert found.straight == found.paused
