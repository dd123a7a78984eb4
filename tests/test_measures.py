"""What marks measure: real items look like themselves, noise and copies do not, and what a family's parts know is what it says."""

import json

import pytest
import torch
from toys import FAMILIES, tiny

from aigc_demo import data, model
from aigc_demo.config import Data
from aigc_demo.measures import FEWEST, Eye, Measures, spread
from aigc_demo.modalities.image import Modality as Image
from aigc_demo.model import Batch
from aigc_demo.trainer import Trainer, record


@pytest.fixture(scope="module")
def digits():
    """Digits as a model sees them, in a random order."""
    found = data.load(Data(source="digits", size=16))
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(1))
    return Batch(found.modality.encode(found.items[order]), found.labels[order])


@pytest.fixture(scope="module")
def eye(digits):
    return Eye(Batch(digits.x[:1000], digits.y[:1000]), 0, Image.features)


def test_real_items_lie_at_no_distance_and_everything_else_at_some(eye, digits):
    rng = torch.Generator().manual_seed(0)
    real = [eye.distance(eye.features(digits.x[i : i + 60])) for i in range(1000, 1420, 60)]
    assert max(map(abs, real)) < 0.05
    assert abs(sum(real) / len(real)) < 0.02, "unbiased"
    x = digits.x[1000:1060]
    others = {
        "noise": torch.randn(x.shape, generator=rng),
        "grey": torch.zeros_like(x),
        "one item again and again": x[:1].expand_as(x),
        "one class": digits.x[1000:][digits.y[1000:] == 3][:40],
        "the mean": x.mean(0, keepdim=True).expand_as(x),
        "negatives": -x,
    }
    assert {k: eye.distance(eye.features(v)) > 0.15 for k, v in others.items()} == dict.fromkeys(others, True)


def test_the_nearest_item_tells_the_class_as_well_as_is_said(eye, digits):
    right = (eye.classes(eye.features(digits.x[1000:])) == digits.y[1000:]).float().mean()
    assert 0.9 < eye.accuracy <= 1
    assert right == pytest.approx(eye.accuracy, abs=0.04)


def test_the_features_are_the_principal_components(eye, digits):
    torch.testing.assert_close(eye.axes.T @ eye.axes, torch.eye(eye.axes.shape[1]), atol=1e-3, rtol=0)
    flat = digits.x[:512].flatten(1)
    flat = flat - flat.mean(0)
    total = torch.linalg.svdvals(flat).square()
    torch.testing.assert_close((flat @ eye.axes).square().sum(), total[: eye.axes.shape[1]].sum(), rtol=1e-3, atol=0)


def test_the_spread_is_the_mean_distance_of_pairs_within_groups():
    points = torch.tensor([[0.0], [1.0], [10.0], [13.0]])
    assert spread(points) == pytest.approx((1 + 10 + 13 + 9 + 12 + 3) / 6)
    assert spread(points, torch.tensor([0, 0, 1, 1])) == pytest.approx(2)
    assert spread(points[:1]) == 0
    assert spread(points, torch.arange(4)) == 0


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 64, 64), (1, 4, 4)])
@pytest.mark.parametrize("count", [2, 3, 40])
def test_any_shape_and_few_items_are_looked_at(shape, count):
    x = torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))
    found = Eye(Batch(x), 0, Image.features)
    assert found.accuracy is None
    assert torch.tensor(found.distance(found.features(x))).isfinite()


def measured(family, changes=None):
    made = Trainer(tiny(f"{family}:tiny", 4, changes))
    made.one_step(0.0)
    return made, made.look()[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mark_measures_what_the_family_has(family):
    made, found = measured(family, {"data.limit": 0, "data.validation": 0.1})
    assert {"distance", "diversity", "eye", "classes", "right", "apart"} <= found.keys()
    with made.averaged() as averaged:
        nothing = Batch(made.latents.new_zeros(len(made.latents), *made.modality.shape), made.condition)
        own = averaged.signals(made.held_out, nothing, made.held_out)
    assert own.keys() <= found.keys()
    assert ("trained" in found) == bool(made.model.monitor)
    assert all(torch.tensor(v).isfinite() for v in found.values())
    assert made.look()[1] == found, "nothing was drawn, nothing was changed"


@pytest.mark.parametrize("family", FAMILIES)
def test_trained_items_are_not_compared_with_too_few_held_out_ones(family):
    few = {"data.limit": 2 * FEWEST - 2, "data.validation": 0.5}
    made, found = measured(family, few)
    assert len(made.held_out.x) == FEWEST - 1
    assert not [k for k in found if k.startswith("trained")]
    _, found = measured(family, {**few, "data.limit": 2 * FEWEST})
    assert [k for k in found if k.startswith("trained")]
    made, found = measured(family, {"data.validation": 0})
    assert made.held_out is None
    assert made.model.signals(made.measures.trained, Batch(made.measures.trained.x, made.measures.trained.y)).keys() <= found.keys()


def test_the_loss_on_trained_items_is_taken_as_the_validation_takes_the_held_out_one():
    made = Trainer(tiny("vae:tiny", 4, {"data.limit": 100, "data.validation": 0.5}))
    again = Measures(made.held_out, made.held_out, made.condition, made.run.seed, Image.features)
    with made.averaged() as averaged:
        x = averaged.sample(made.latents, averaged.Sampling(), made.condition)
        assert again.of(averaged, x)["trained"] == pytest.approx(made.validate()["held-out loss"], rel=1e-6)


def test_a_discriminator_that_knows_the_data_says_so():
    made = Trainer(tiny("gan:tiny", 4))
    real, noise = made.held_out, Batch(torch.randn_like(made.held_out.x), made.held_out.y)
    for known, fakes in ((1.0, noise), (0.0, real)):

        class Knows(torch.nn.Module):
            def forward(self, x, y=None, known=known):
                return torch.where(x.abs().flatten(1).amax(1) <= 1, 3.0, -3.0)

        made.model.discriminator = Knows()
        found = made.model.signals(real, fakes)
        assert "trained real" not in found
        assert (float(found["real"]), float(found["fake"]), float(found["margin"])) == (1.0, known, 6.0 * known)


def test_a_posterior_that_is_the_prior_carries_nothing():
    made = Trainer(tiny("vae:tiny", 4))
    with torch.no_grad():
        made.model.posterior.weight.zero_()
        made.model.posterior.bias.zero_()
        found = made.model.signals(made.held_out, made.held_out)
    assert {k: float(v) for k, v in found.items()} == {"information": 0.0, "in use": 0.0}


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_and_strides_are_what_a_step_did(family):
    made = Trainer(tiny(f"{family}:tiny", 9, {"train.ema": 0.0}))
    name = list(made.phases)[-1]  # its weights no other phase changes
    before = torch.cat([p.detach().flatten().clone() for p in made.parameters[name]])
    notes = {}
    made.one_step(0.0, notes, stride=True)
    after = torch.cat([p.detach().flatten() for p in made.parameters[name]])
    assert notes.keys() == {f"{what} {phase}" for what in ("gradient", "stride") for phase in made.phases}
    assert float(notes[f"stride {name}"]) == pytest.approx(float((after - before).norm() / before.norm()), rel=1e-4)
    assert all(float(v) > 0 for v in notes.values())
    plain = Trainer(made.run)
    plain.one_step(0.0)
    assert all(torch.equal(v, plain.model.state_dict()[k]) for k, v in made.model.state_dict().items()), "measuring changes nothing"


@pytest.mark.parametrize("family", model.families())
def test_what_is_measured_stands_in_the_log_beside_the_losses(family, tmp_path):
    list(record(tiny(f"{family}:tiny", 6), tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_bytes().splitlines()]
    marks = [line for line in lines if line["mark"]]
    assert all("distance" in line["health"] for line in marks)
    assert not {k for line in lines for k in line["terms"]} & {k for line in lines for k in line["health"]}
    assert any(k.startswith("stride") for line in lines for k in line["health"])
