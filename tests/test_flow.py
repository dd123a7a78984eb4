"""Flow matching and mean velocities, against flows that are known."""

import itertools

import pytest
import torch
from test_contracts import items_of, shake, untrained
from toys import tiny

from aigc_demo import samplers, trainer
from aigc_demo.config import specs
from aigc_demo.modalities.image import Modality as Image
from aigc_demo.model import Batch, draw_latents, generator
from aigc_demo.models import flow

MEAN, SPREAD = -0.4, 0.2  # of pixels that are drawn independently from N(MEAN, SPREAD^2)


def gaussian(changes=None):
    """A flow of flat Gaussian noise whose velocity is the true one."""
    built = untrained("flow:tiny", Image(8, 1), 0, changes).eval()

    def velocity(x, t, r, y):
        t = torch.as_tensor(t).view(-1, 1, 1, 1)
        return MEAN + (t * SPREAD**2 - (1 - t)) / ((1 - t) ** 2 + (t * SPREAD) ** 2) * (x - t * MEAN)

    built.average = velocity
    return built


@pytest.mark.parametrize(("size", "side"), [(28, 7), (32, 8), (64, 8), (100, 5), (16, 4), (31, 1), (3, 1)])
def test_a_patch_is_a_quarter_of_the_picture_where_none_is_asked_for(size, side):
    assert flow.quarter(size) == side
    if size > 3:
        built = untrained("flow:tiny", Image(size, 1), 0, {"model.patch": 0})
        assert built.network.patch == side


@pytest.mark.parametrize("y", [None, [0, 0, 1, 1, 1]], ids=str)
def test_noise_and_data_are_paired_at_the_least_distance_within_a_class(y):
    x_0, x_1 = torch.randn(2, 5, 1, 2, 2, generator=generator(3))
    labels = None if y is None else torch.tensor(y)
    found = flow.paired(x_0, x_1, labels)
    allowed = [p for p in itertools.permutations(range(5)) if y is None or all(y[a] == y[b] for a, b in enumerate(p))]
    least = min((x_0[list(p)] - x_1).square().sum().item() for p in allowed)
    assert (found - x_1).square().sum().item() == pytest.approx(least, rel=1e-5)
    assert torch.equal(found.flatten(1).sum(1).sort().values, x_0.flatten(1).sum(1).sort().values)


def test_transport_makes_ways_shorter_and_changes_nothing_else():
    batch = items_of(Image(16, 1), 32, 3)
    losses = [
        untrained("flow:tiny", Image(16, 1), 3, {"model.transport": on}).loss("model", batch, generator(0))[0] for on in (False, True)
    ]
    assert losses[1] < losses[0]  # of a velocity of 0: the mean square of x_1 - x_0


@pytest.mark.parametrize(("predicts", "early", "spread"), [("velocity", 0.0, 1.0), ("data", flow.EARLY, flow.SPREAD["velocity"])])
def test_the_loss_of_the_true_velocity_is_what_no_network_can_foresee(predicts, early, spread):
    built = gaussian({"model.predicts": predicts})
    x = MEAN + SPREAD * torch.randn(4000, 1, 8, 8, generator=generator(1))
    found = built.loss("model", Batch(x), generator(0))[0].item()
    t = (early + spread * torch.randn(100_000, generator=generator(2))).sigmoid()
    foreseen = (t * SPREAD**2 - (1 - t)).square() / ((1 - t) ** 2 + (t * SPREAD) ** 2)
    assert found == pytest.approx((1 + SPREAD**2 - foreseen).mean().item(), rel=0.02)


@pytest.mark.parametrize("predicts", ["velocity", "data"])
def test_samples_of_the_true_velocity_are_the_datas_and_there_is_a_way_back(predicts):
    built = gaussian({"model.predicts": predicts})
    z = draw_latents(built.latent, 0, range(8))
    expected = MEAN + SPREAD * z
    x = built.sample(z, built.Sampling(steps=100))
    torch.testing.assert_close(x, expected.clamp(-1, 1), atol=2e-3, rtol=0)
    torch.testing.assert_close(built.noise(expected), z, atol=0.2, rtol=0)


@pytest.mark.parametrize("sigma", [0.1, 0.5])
def test_denoising_gives_the_mean_of_what_the_picture_may_be(sigma):
    y = MEAN + 0.3 * torch.randn(3, 1, 8, 8, generator=generator(4))
    expected = MEAN + SPREAD**2 / (SPREAD**2 + sigma**2) * (y - MEAN)
    torch.testing.assert_close(gaussian().denoise(y, sigma), expected.clamp(-1, 1), atol=1e-5, rtol=0)


def test_the_likelihood_is_that_of_the_gaussian():
    x = MEAN + SPREAD * torch.randn(6, 1, 8, 8, generator=generator(5))
    exact = torch.distributions.Normal(MEAN, SPREAD).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(gaussian().log_density(x, generator(0), steps=200), exact, atol=0.1, rtol=0)


@torch.no_grad()
def test_a_network_s_likelihood_follows_from_its_arguments():
    built = untrained("flow:tiny", Image(16, 1), 3).eval()
    shake(built)
    batch = items_of(Image(16, 1), 2, 3)
    first, again, other = (built.log_density(batch.x, generator(k), batch.y, steps=4) for k in (0, 0, 1))
    assert torch.equal(first, again)
    assert first.isfinite().all()
    assert (first != other).all()
    exact = torch.zeros(2)  # the trace by all unit vectors, for which each probe is an estimate
    many = torch.stack([built.log_density(batch.x, generator(k), batch.y, steps=4) for k in range(50)])
    eye = torch.eye(256).view(256, 1, 16, 16)
    times = samplers.grid(1.0, 0.0, 4)
    for i in range(2):
        x, y = batch.x[i : i + 1], batch.y[i : i + 1]

        def trace(x, t, y=y):
            jacobian = torch.func.vmap(lambda e: torch.func.jvp(lambda x: built.average(x, t, t, y), (x,), (e[None],))[1][0])
            with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
                return (jacobian(eye) * eye).sum()

        for a, b in itertools.pairwise(times):
            v = built.average(x, a, a, y)
            there = x + (b - a) * v
            exact[i] += (b - a) / 2 * (trace(x, a) + trace(there, b))
            x = x + (b - a) / 2 * (v + built.average(there, b, b, y))
        exact[i] += torch.distributions.Normal(0, 1).log_prob(x).sum()
    assert ((many.mean(0) - exact).abs() < 5 * many.std(0) / 50**0.5 + 1e-2).all()


# In one step


def one_step(classes=0, changes=None):
    return untrained("flow:tiny", Image(8, 1), classes, {"model.objective": "average", "model.steps": 1, **(changes or {})}).eval()


def test_the_true_mean_velocities_have_no_error():
    built = one_step()
    built.average = lambda x, t, r, y: (MEAN - x) / (1 - t.view(-1, 1, 1, 1))  # all data is one picture: ways are straight
    _, terms = built.loss("model", Batch(torch.full((32, 1, 8, 8), MEAN)), generator(0))
    assert set(terms) == {"velocity", "average"}
    assert max(terms.values()) < 1e-6


def test_the_target_of_a_mean_velocity_holds_the_change_along_the_way():
    built = one_step().double()
    shake(built)
    x, v = torch.randn(2, 4, 1, 8, 8, generator=generator(1), dtype=torch.float64)
    t, r = torch.full((4,), 0.3, dtype=torch.float64), torch.full((4,), 0.8, dtype=torch.float64)
    found = built._ahead(v, x, t, r, None)
    h = 1e-6
    way = built.average(x, t, t, None).detach()
    change = (built.average(x + h * way, t + h, r, None) - built.average(x - h * way, t - h, r, None)) / (2 * h)
    torch.testing.assert_close(found, v + 0.5 * change, atol=1e-5, rtol=1e-4)
    assert change.abs().max() > 0.01


def test_a_batch_has_items_that_look_ahead_and_items_that_do_not():
    built = one_step()
    seen = []
    built.average = lambda x, t, r, y: seen.append((t, r)) or x * 0
    built.loss("model", Batch(torch.zeros(32, 1, 8, 8)), generator(0))
    t, r = seen[-1]
    assert (r >= t).all()
    assert (r > t).sum() == 12
    assert ((t > 0) & (r < 1))[:28].all(), "of these, the rest look all the way"
    assert (r[28:] == 1).all()


@pytest.mark.parametrize("n", range(1, 9))
def test_of_few_items_none_need_look_ahead(n):
    loss, terms = one_step().loss("model", Batch(torch.zeros(n, 1, 8, 8)), generator(0))
    assert loss.isfinite()
    assert ("average" in terms) == (n >= 3)


def test_a_quarter_of_those_that_look_all_the_way_begin_at_noise():
    built = one_step()
    seen = []
    built.average = lambda x, t, r, y: seen.append((t, r)) or x * 0
    built.loss("model", Batch(torch.zeros(8000, 1, 8, 8)), generator(0))
    t = seen[-1][0][7000:]
    assert (t == 0).float().mean().item() == pytest.approx(0.25, abs=0.05)
    assert t.max() < 0.95


def test_the_target_of_a_whole_way_is_made_of_its_two_parts():
    built = one_step()
    shake(built)
    x, v = torch.randn(2, 3, 1, 8, 8, generator=generator(1))
    t, r = torch.tensor([0.0, 0.4, 0.9]), torch.ones(3)
    found = built._split(v, x, t, r, None, generator(2))
    low, high = flow.SPLIT
    share = low + (high - low) * torch.rand(3, generator=generator(2))
    s = t + share * (1 - t)
    there = x + samplers.across(s - t, x) * built.average(x, t, s, None)
    end = there + samplers.across(1 - s, x) * built.average(there, s, r, None)
    torch.testing.assert_close(found[:2], ((end - x) / samplers.across(1 - t, x))[:2])
    assert torch.equal(found[2], v[2]), "so near the end the line is the way"


@pytest.mark.parametrize(("known", "counts"), [(0.0, False), (0.5, True)])
def test_a_network_is_taught_by_its_own_word_as_far_as_it_knows_the_lines(known, counts, monkeypatch):
    built, batch = one_step(), Batch(torch.full((32, 1, 8, 8), MEAN))
    built.average = lambda x, t, r, y: known * (MEAN - x) / (1 - t.view(-1, 1, 1, 1))
    loss, _ = built.loss("model", batch, generator(0))
    monkeypatch.setattr(flow, "TRUST", 0.0)
    assert torch.equal(loss, built.loss("model", batch, generator(0))[0]) != counts


def test_guidance_is_learnt_where_an_item_has_its_class():
    built = one_step(3, {"model.guidance": 3.0})
    x_t, v = torch.randn(2, 2, 1, 8, 8, generator=generator(1))
    t, y = torch.tensor([0.2, 0.7]), torch.tensor([1, 3])  # the second has none
    built.average = lambda x, t, r, y: x * 0 + (y == 3).view(-1, 1, 1, 1)
    found = built._target(v, x_t, t, y)
    torch.testing.assert_close(found[0], 1 + 3 * (v[0] - 1))
    assert torch.equal(found[1], v[1])


def test_one_step_is_one_look_and_takes_less_error_with_training():
    made = trainer.Trainer(tiny("flow:tiny", 160, {"model.objective": "average", "model.steps": 1, "data.limit": 256}))
    data = made.modality.encode(made.training.items)
    looks = []
    made.model.network.register_forward_hook(lambda module, inputs, output: looks.append(len(output)))

    def away():
        with made.averaged() as built:
            x = built.sample(draw_latents(built.latent, 1, range(200)), built.Sampling(), torch.arange(200) % built.classes)
        return [(f(x) - f(data)).square().mean().sqrt().item() for f in (lambda v: v.mean(0), lambda v: v.std(0))]

    before = away()
    assert looks == [200]
    *_, last = trainer.train(made)
    assert last.terms["held-out average"] > 0
    after = away()
    assert after[0] < 0.5 * before[0]
    assert after[1] < 0.9 * before[1]


# Guidance, and pictures of one's own


@pytest.mark.parametrize(("preset", "changes"), [("flow:tiny", {}), ("flow:tiny", {"model.objective": "average"}), ("diffusion:tiny", {})])
@pytest.mark.parametrize("classes", [0, 3])
def test_what_does_nothing_is_named(preset, changes, classes):
    built = untrained(preset, Image(16, 1), classes, changes).eval()
    shake(built)
    z, y = draw_latents(built.latent, 0, range(3)), torch.arange(3) if classes else None
    plain = built.sample(z, built.Sampling(steps=3), y)
    others = {"method": next(s for s in specs(built.Sampling) if s.name == "method").choices, "guidance": (3.0,), "truncation": (0.5,)}
    for name, values in others.items():
        moved = [not torch.equal(built.sample(z, built.Sampling(steps=3, **{name: value}), y), plain) for value in values]
        assert any(moved) is (name not in built.idle), name


def test_guidance_is_followed_by_many_steps_and_by_one():
    for changes in ({}, {"model.objective": "average", "model.steps": 1}):
        built = untrained("flow:tiny", Image(16, 1), 3, changes).eval()
        shake(built)
        z, y = draw_latents(built.latent, 0, range(3)), torch.arange(3)
        one = built.sample(z, built.Sampling(steps=1, method="euler"), y)
        none = built.sample(z, built.Sampling(steps=1, method="euler", guidance=0.0), y)
        both = built.sample(z, built.Sampling(steps=1, method="euler", guidance=2.0), y)
        v = [built.average(z, 0.0, 1.0 if changes else 0.0, c) for c in (y, torch.full_like(y, 3))]
        torch.testing.assert_close(one, (z + v[0]).clamp(-1, 1))
        torch.testing.assert_close(none, (z + v[1]).clamp(-1, 1))
        torch.testing.assert_close(both, (z + v[1] + 2 * (v[0] - v[1])).clamp(-1, 1))
    made = untrained("flow:tiny", Image(16, 1), 3, {"model.guidance": 2.0}).eval()
    shake(made)
    own, twice, half = (made.sample(z, made.Sampling(guidance=s), y) for s in (1.0, 2.0, 0.5))
    plain = untrained("flow:tiny", Image(16, 1), 3).eval()
    shake(plain)
    torch.testing.assert_close(own, plain.sample(z, plain.Sampling(guidance=2.0), y))
    torch.testing.assert_close(half, plain.sample(z, plain.Sampling(), y))
    assert (twice - own).abs().max() > 1e-3


def test_the_less_a_picture_is_noised_the_more_of_it_stays():
    built = untrained("flow:tiny", Image(16, 1), 0).eval()
    shake(built)
    x, z = items_of(Image(16, 1), 2).x, draw_latents(built.latent, 0, range(2))
    apart = [(built.edit(x, z, built.Sampling(), strength=s) - x).square().mean().item() for s in (0.01, 0.3, 1.0)]
    assert apart[0] < 1e-3 < apart[1] < apart[2]
    torch.testing.assert_close(built.edit(x, z, built.Sampling()), built.sample(z, built.Sampling(steps=flow.EDIT_STEPS)))


def test_what_is_kept_of_a_picture_is_kept_and_the_rest_is_told_of_it():
    built = gaussian()
    x, z = torch.full((1, 1, 8, 8), 0.3), draw_latents(built.latent, 0, [0])
    keep = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    keep[..., :4] = True
    seen = []
    built.average = lambda now, t, r, y: seen.append((now, t)) or torch.zeros_like(now)
    found = built.edit(x, z, built.Sampling(method="euler"), keep=keep)
    assert torch.equal(found[..., :4], x[..., :4])
    torch.testing.assert_close(found[..., 4:], z[..., 4:].clamp(-1, 1))
    for now, t in seen:
        torch.testing.assert_close(now[..., :4], ((1 - t) * z + t * x)[..., :4])
