"""What a GAN plays for and what holds its discriminator back, each against a closed form or a second way to compute it."""

import math

import pytest
import torch
from torch import nn
from toys import tiny

from aigc_demo import trainer
from aigc_demo.modalities.image import Modality as Image
from aigc_demo.model import Batch, build, draw_latents, generator, plan
from aigc_demo.models import gan

REAL, FAKE = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.2])
VARIANTS = {
    "hinge, spectral": {"model.objective": "hinge", "model.spectral": True},
    "wasserstein, slope of 1": {"model.objective": "wasserstein", "model.gradient_penalty": 10},
    "relativistic, slope of 0": {"model.objective": "relativistic", "model.r1": 0.1, "model.r2": 0.1},
    "residual": {"model.network": "residual", "model.objective": "relativistic", "model.r1": 0.1, "model.r2": 0.1, "model.widest": 8},
    "altered": {"model.augment": "color,translation,cutout"},
}


def toy(changes=None, size=16, channels=1, classes=0):
    return build(plan("gan:tiny", changes or {}), Image(size, channels), classes)


def pictures(n, size=16, channels=1):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


class Linear(nn.Module):
    """A discriminator whose slope is the same everywhere: w."""

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(w)

    def forward(self, x, y=None):
        return x.flatten(1) @ self.w


def soft(v):
    return math.log1p(math.exp(v))


# What the two play for


@pytest.mark.parametrize(
    ("objective", "discriminator", "generates"),
    [
        ("hinge", (0 + 0.5 + 0 + 1.2) / 2, 1.4),
        ("wasserstein", -1.4 - 1.25, 1.4),
        ("relativistic", (soft(-5) + soft(-0.3)) / 2, (soft(5) + soft(0.3)) / 2),
        ("non-saturating", (soft(-2) + soft(-0.5) + soft(-3) + soft(0.2)) / 2, (soft(3) + soft(-0.2)) / 2),
    ],
)
def test_each_objective_is_the_papers(objective, discriminator, generates):
    config = gan.Config(objective=objective)
    assert gan.discriminator_loss(config, REAL, FAKE).item() == pytest.approx(discriminator, rel=1e-5)
    assert gan.generator_loss(config, REAL, FAKE).item() == pytest.approx(generates, rel=1e-5)


def test_the_generator_of_pairs_sees_the_real_items():
    built = toy({"model.objective": "relativistic"}).eval()
    loss = [built.loss("generator", Batch(x), generator(0))[0].item() for x in (pictures(4), -pictures(4))]
    assert loss[0] != loss[1]
    plain = toy().eval()
    assert len({plain.loss("generator", Batch(x), generator(0))[0].item() for x in (pictures(4), -pictures(4))}) == 1


@pytest.mark.parametrize("objective", ["relativistic", "wasserstein"])
def test_scores_that_only_compare_are_judged_from_their_middle(objective):
    built = toy({"model.objective": objective}).eval()
    real, own, trained = Batch(pictures(8)), Batch(pictures(8).flip(0) * 0.1), Batch(pictures(8) * 0.9)
    with torch.no_grad():
        before = built.signals(real, own, trained)
        built.discriminator.register_forward_hook(lambda module, inputs, scores: scores + 50)
        after = built.signals(real, own, trained)
    assert ("margin" in before) is (objective == "relativistic")
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert value == pytest.approx(float(after[name]), abs=1e-4), name


# What holds the discriminator back


@pytest.mark.parametrize("pack", [1, 2])
def test_the_penalties_of_a_linear_discriminator_are_those_of_its_weights(pack):
    w = torch.randn(pack * 256, generator=torch.Generator().manual_seed(0)) * 0.1
    square = w.square().sum().item()
    batch = Batch(pictures(6))

    def loss(**changes):
        built = toy({"model.pack": pack, **{f"model.{k}": v for k, v in changes.items()}})
        built.discriminator = Linear(w)
        return built.loss("discriminator", batch, generator(0))

    plain = loss()[0].item()
    found, terms = loss(r1=3, r2=5)
    assert terms["slope at real"].item() == pytest.approx(square, rel=1e-5)
    assert terms["slope at fake"].item() == pytest.approx(square, rel=1e-5)
    assert terms["discriminator"].item() == pytest.approx(plain, rel=1e-5)
    assert found.item() == pytest.approx(plain + 4 * square, rel=1e-5)
    found, terms = loss(gradient_penalty=10)
    assert terms["penalty"].item() == pytest.approx((math.sqrt(square) - 1) ** 2, rel=1e-4)
    assert found.item() == pytest.approx(plain + 10 * (math.sqrt(square) - 1) ** 2, rel=1e-4)


@pytest.mark.parametrize("network", ["mlp", "dcgan", "dcgan-rgb", "residual"])
@pytest.mark.parametrize("classes", [0, 3])
def test_r1_and_its_gradient_are_what_functional_differentiation_finds(network, classes):
    """On a curved discriminator: a second implementation, by Jacobians item by item."""
    changes = {"model.network": network, "model.r1": 2.0, "model.hidden": [6, 5], "model.widest": 8}
    built = toy(changes, channels=3, classes=classes).double().eval()
    with torch.no_grad():
        for p in built.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    x, y = pictures(4, channels=3).double(), torch.arange(4) % classes if classes else None
    net, weights = built.discriminator, dict(built.discriminator.named_parameters())

    def half_slope(weights):
        def score(x, y):
            return torch.func.functional_call(net, weights, (x[None], None if y is None else y[None]))[0]

        slopes = [torch.func.grad(score)(x[i], None if y is None else y[i]).square().sum() for i in range(len(x))]
        return torch.stack(slopes).mean()

    scores, squares = built.sloped(x, y)
    torch.testing.assert_close(scores, net(x, y))
    torch.testing.assert_close(squares.mean(), half_slope(weights).float(), rtol=1e-5, atol=0)
    expected = torch.func.grad(half_slope)(weights)
    squares.mean().backward()
    for name, p in weights.items():
        given = torch.zeros_like(p) if p.grad is None else p.grad  # a bias after the last bend has none
        torch.testing.assert_close(given, expected[name], rtol=1e-4, atol=1e-8, msg=name)
    assert any(p.grad is not None and p.grad.any() for p in weights.values())


def test_the_slope_of_one_is_taken_between_real_and_fake():
    built = toy({"model.gradient_penalty": 1, "model.objective": "wasserstein"})
    at = []
    built.discriminator.register_forward_pre_hook(lambda module, inputs: at.append(inputs[0].detach()))
    built.loss("discriminator", Batch(pictures(6)), generator(2))
    (real, fake), between = at[0].chunk(2), at[1]
    share = ((between - real) * (fake - real)).flatten(1).sum(1) / (fake - real).flatten(1).square().sum(1)
    assert ((share > 0) & (share < 1)).all()
    assert share.std() > 0.05, "each pair has a place of its own"
    torch.testing.assert_close(between, real + share.view(-1, 1, 1, 1) * (fake - real))


def test_spectral_normalisation_bounds_every_layer_of_the_discriminator_alone():
    built = toy({"model.spectral": True}, classes=3)
    x, y = pictures(4), torch.arange(4) % 3
    with torch.no_grad():
        for p in built.discriminator.parameters():
            p.mul_(3)
        for _ in range(60):  # a pass is a power iteration
            built.discriminator(x, y)
    built.eval()
    layers = [m for m in built.discriminator.modules() if isinstance(m, (nn.Conv2d, nn.Linear, nn.Embedding))]
    assert len(layers) == 4
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)
    assert not any("parametrizations" in name for name, _ in built.generator.named_parameters())


def test_a_validation_without_gradients_takes_the_penalties_too():
    built = toy({"model.r1": 1, "model.r2": 1, "model.gradient_penalty": 1}).eval()
    with torch.no_grad():
        loss, terms = built.loss("discriminator", Batch(pictures(4)), generator(0))
    again, same = built.loss("discriminator", Batch(pictures(4)), generator(0))
    assert not loss.requires_grad
    assert not any(t.requires_grad for t in terms.values())
    torch.testing.assert_close(loss, again.detach())
    assert terms.keys() == same.keys() >= {"slope at real", "slope at fake", "penalty"}


# What the discriminator sees


def test_translation_moves_each_picture_by_at_most_an_eighth():
    x = torch.zeros(64, 1, 16, 16)
    x[:, :, 8, 8] = 1.0
    moved = gan.augmented(x, "translation", generator(0))
    places = moved.flatten(1).nonzero()
    assert len(places) == 64
    dy, dx = places[:, 1] // 16 - 8, places[:, 1] % 16 - 8
    assert set(dy.tolist()) == set(dx.tolist()) == {-2, -1, 0, 1, 2}
    corner = gan.augmented(torch.ones(64, 1, 16, 16), "translation", generator(0))
    torch.testing.assert_close(corner.sum((1, 2, 3)), ((16 - dy.abs()) * (16 - dx.abs())).float())


def test_cutout_blanks_a_square_of_half_a_side():
    cut = gan.augmented(torch.ones(400, 3, 16, 16), "cutout", generator(0)) == 0
    assert (cut.any(1) == cut.all(1)).all()
    rows, columns = cut[:, 0].any(2).sum(1), cut[:, 0].any(1).sum(1)
    assert torch.equal(cut[:, 0].sum((1, 2)), rows * columns)
    assert rows.max() == columns.max() == 8
    assert rows.min() == 4, "around the edge: half of it"


def test_colours_are_moved_and_structure_is_kept():
    x = pictures(200, 8, 3)
    seen = gan.augmented(x, "color", generator(3))
    light = seen.mean((1, 2, 3)) - x.mean((1, 2, 3))
    assert light.abs().max() <= 0.5
    assert light.std().item() == pytest.approx(1 / math.sqrt(12), abs=0.05)  # uniform over one unit
    grey = pictures(200, 8, 1).expand(-1, 3, -1, -1)
    contrast = gan.augmented(grey, "color", generator(3)).flatten(1).std(1) / grey.flatten(1).std(1)
    assert contrast.min() >= 0.5 - 1e-4
    assert contrast.max() <= 1.5 + 1e-4
    assert contrast.std() > 0.2


@pytest.mark.parametrize("policy", ["translation", "translation,cutout", "color,translation,cutout"])
def test_what_is_altered_is_altered_differentiably_by_the_given_draws(policy):
    x = pictures(4, 12, 3).double().requires_grad_()
    assert torch.equal(gan.augmented(x, policy, generator(1)), gan.augmented(x, policy, generator(1)))
    assert not torch.equal(gan.augmented(x, policy, generator(1)), gan.augmented(x, policy, generator(2)))
    assert torch.autograd.gradcheck(lambda v: gan.augmented(v, policy, generator(1)), x)


def test_both_players_judge_altered_pictures_real_and_fake_alike():
    built = toy({"model.augment": "translation,cutout"})
    at = []
    built.discriminator.register_forward_pre_hook(lambda module, inputs: at.append(inputs[0].detach()))
    x = pictures(16)
    built.loss("discriminator", Batch(x), generator(0))
    built.loss("generator", Batch(x), generator(0))
    for seen in (*at[0].chunk(2), at[1]):
        assert (seen.flatten(1) == 0).sum(1).min() >= 16
    assert len(at) == 2


# The residual networks


def test_modern_has_no_normalisation_and_its_blocks_begin_as_nothing():
    built = build(plan("gan:modern"), Image(28, 3), 0)
    kinds = {type(m).__name__ for m in built.modules()}
    assert not {k for k in kinds if "Norm" in k or "Dropout" in k}
    blocks = [m for m in built.modules() if isinstance(m, gan.Residual)]
    assert len(blocks) == 6
    h = torch.randn(2, 32, 7, 7)
    narrow = next(b for b in blocks if b.net[0].in_channels == 32)
    assert torch.equal(narrow(h), h)
    assert built.config.objective == "relativistic"
    assert built.config.r1 > 0 < built.config.r2


@pytest.mark.parametrize("size", [8, 28, 32, 40])
def test_a_residual_pair_keeps_the_scale_of_what_passes_through(size):
    built = build(plan("gan:modern"), Image(size, 1), 0).eval()
    with torch.no_grad():
        x = built.generator(draw_latents(built.latent, 0, range(64)))
        scores = built.discriminator(torch.randn(64, 1, size, size))
    assert x.shape == (64, 1, size, size)
    assert 0.3 < x.std() < 3
    assert 0.05 < scores.std() < 3


# Whole runs


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_variant_goes_on_from_its_state_bit_for_bit(changes):
    found = trainer.resume_check(tiny("gan:tiny", 6, changes), 3)
    assert found.straight == found.paused


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_variant_brings_samples_nearer_to_the_data(changes):
    made = trainer.Trainer(tiny("gan:tiny", 160, {"data.limit": 256, **changes}))
    before = made.look()[1]["distance"]
    *_, last = trainer.train(made)
    assert last.step == 160
    assert made.look()[1]["distance"] < 0.6 * before


# Other things than pictures


class Plane:
    kind, shape, space = "points", (2,), (2,)


@pytest.mark.parametrize(("pack", "waves"), [(1, 0), (2, 0), (2, 3)])
def test_the_dense_pair_works_on_points(pack, waves):
    built = gan.Model(gan.Config(network="mlp", latent=2, hidden=(8, 8), pack=pack, waves=waves, r1=0.1), Plane(), 3)
    batch = Batch(torch.randn(6, 2), torch.arange(6) % 3)
    for phase in built.phases():
        assert built.loss(phase, batch, generator(0))[0].isfinite()
    latents = draw_latents(built.latent, 0, range(5))
    assert built.sample(latents, built.Sampling(), torch.zeros(5, dtype=torch.long)).shape == (5, 2)


def test_waves_are_sines_and_cosines_of_octaves():
    seen = gan.Waves(2)(torch.tensor([[0.5, -0.25]]))
    half = math.sqrt(0.5)
    torch.testing.assert_close(seen, torch.tensor([[0.5, -0.25, 1.0, -half, 0.0, -1.0, 0.0, half, -1.0, 0.0]]), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("field", "value"), [("augment", "translation"), ("network", "residual"), ("network", "dcgan")])
def test_what_only_pictures_have_is_refused_by_name_on_points(field, value):
    config = gan.Config(**{"network": "mlp", field: value})
    with pytest.raises(ValueError, match=rf"^model\.{field}: {value} "):
        gan.Model(config, Plane(), 0)
