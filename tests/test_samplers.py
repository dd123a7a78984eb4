"""Samplers against flows from one Gaussian to another, whose answers are known."""

import math

import pytest
import torch

from aigc_demo import samplers

MEAN, SPREAD = 0.7, 0.3  # of the data, N(MEAN, SPREAD^2) in each number; the noise is N(0, 1)


def velocity(x, t):
    """Of x_t = (1 - t) x_0 + t x_1, which goes from x_0 to MEAN + SPREAD x_0."""
    variance = (1 - t) ** 2 + (t * SPREAD) ** 2
    return MEAN + (t * SPREAD**2 - (1 - t)) / variance * (x - t * MEAN)


def denoiser(x, sigma):
    """The mean of x_0 given x = x_0 + sigma n."""
    return MEAN + SPREAD**2 / (SPREAD**2 + sigma**2) * (x - MEAN)


def noise(n, *shape, seed=0):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def grid(start, end, steps):
    return torch.linspace(start, end, steps + 1, dtype=torch.float64).tolist()


@pytest.mark.parametrize(("sampler", "order"), [(samplers.euler, 1), (samplers.heun, 2)])
def test_a_sampler_reaches_the_answer_at_the_rate_of_its_order(sampler, order):
    x_0 = noise(64, 1, 2, 2)
    errors = [(sampler(velocity, x_0, grid(0, 1, n)) - (MEAN + SPREAD * x_0)).abs().max().item() for n in (64, 128)]
    assert errors[1] < 0.05 / 64 ** (order - 1)
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.1)
    back = sampler(velocity, MEAN + SPREAD * x_0, grid(1, 0, 128))
    assert (back - x_0).abs().max() < 0.1


@pytest.mark.parametrize("t", [0.0, 0.5, 0.9])
def test_a_line_that_is_known_by_its_end_has_the_velocity_that_leads_there(t):
    x = noise(8, 1, 2, 2)
    times = torch.full((8,), t, dtype=torch.float64)
    end = x + (1 - t) * velocity(x, t)
    torch.testing.assert_close(samplers.straight(end, x, times, "data"), velocity(x, t))
    assert samplers.straight(end, x, times, "velocity") is end
    near = samplers.straight(end, x, torch.ones(8, dtype=torch.float64), "data")
    torch.testing.assert_close(near, (end - x) / samplers.NEAR)  # no division by what is left, which is nothing


@pytest.mark.parametrize("method", samplers.METHODS)
def test_lines_that_are_known_by_their_end_are_never_asked_for_a_velocity_there(method):
    asked = []

    def told(x, t):
        asked.append(t)
        return velocity(x, t)

    x_0 = noise(64, 1, 2, 2)
    x = samplers.solver(method, "data")(told, x_0, grid(0, 1, 64))
    assert max(asked) < 1
    assert (x - (MEAN + SPREAD * x_0)).abs().max() < 0.05
    samplers.solver(method, "velocity")(told, x_0, grid(0, 1, 64))
    assert (max(asked) == 1) == (method == "heun")


def test_a_denoiser_is_followed_down_to_no_noise():
    sigmas = [*torch.logspace(1, -2, 60, dtype=torch.float64).tolist(), 0.0]
    x = 10 * noise(200, 4)
    end = samplers.heun(lambda x, sigma: (x - denoiser(x, sigma)) / sigma, x, sigmas)
    torch.testing.assert_close(end, MEAN + SPREAD / math.hypot(SPREAD, 10) * (x - MEAN), atol=5e-3, rtol=0)


def test_hops_by_mean_velocities_make_no_error():
    def average(x, t, r):
        x_0 = (x - t * MEAN) / math.hypot(1 - t, t * SPREAD)  # the flow scales deviations with the spread
        return (r * MEAN + math.hypot(1 - r, r * SPREAD) * x_0 - x) / (r - t)

    x_0 = noise(16, 3)
    for steps in (1, 3):
        torch.testing.assert_close(samplers.hops(average, x_0, grid(0, 1, steps)), MEAN + SPREAD * x_0)


def test_ancestral_samples_have_the_datas_mean_and_spread():
    sigmas = [*torch.logspace(1, -2, 300, dtype=torch.float64).tolist(), 0.0]
    for added in (lambda i: noise(200, 400, seed=i + 1), samplers.shuffled(noise(200, 400))):
        x = samplers.ancestral(denoiser, 10 * noise(200, 400), sigmas, added)
        assert x.mean().item() == pytest.approx(MEAN, abs=0.01)
        assert x.std().item() == pytest.approx(SPREAD, abs=0.01)


def test_shuffled_noise_is_of_the_step_alone_and_uncorrelated():
    z = noise(500, 1, 16, 16)
    added = samplers.shuffled(z)
    assert torch.equal(added(3), added(3))
    assert torch.equal(samplers.shuffled(z[5:6])(3)[0], added(3)[5])
    parts = [z, *(added(i) for i in range(4))]
    for i, a in enumerate(parts):
        assert torch.equal(a.abs().flatten(1).sort().values, z.abs().flatten(1).sort().values)
        for b in parts[:i]:
            assert abs((a * b).mean().item()) < 0.03  # a number that a shuffle leaves in its place is 1/256


def test_guidance_goes_beyond_the_condition():
    one, none = (lambda x, t: x + t), (lambda x, t: x - t)
    x = noise(3, 2)
    assert samplers.guided(one, none, 1) is one
    torch.testing.assert_close(samplers.guided(one, none, 0)(x, 0.5), none(x, 0.5))
    torch.testing.assert_close(samplers.guided(one, none, 3)(x, 0.5), x + 2.5)


def test_each_step_is_told():
    for run in (
        lambda tell: samplers.euler(velocity, noise(1, 1), [0, 0.5, 1], tell),
        lambda tell: samplers.heun(velocity, noise(1, 1), [0, 0.5, 1], tell),
        lambda tell: samplers.hops(lambda x, t, r: x, noise(1, 1), [0, 0.5, 1], tell),
        lambda tell: samplers.ancestral(denoiser, noise(1, 1), [2, 1, 0], lambda i: 0.0, tell),
    ):
        seen = []
        run(seen.append)
        assert seen == [1, 2]


def test_the_likelihood_along_a_flow_is_that_of_the_gaussian():
    x = MEAN + SPREAD * noise(50, 3, 2)
    signs = torch.where(noise(50, 3, 2, seed=1) > 0, 1.0, -1.0).double()  # the trace of a diagonal map is exact whatever the signs
    exact = torch.distributions.Normal(MEAN, SPREAD).log_prob(x).flatten(1).sum(1)
    found = samplers.likelihood(velocity, x, grid(1, 0, 200), signs)
    torch.testing.assert_close(found.double(), exact, atol=2e-3, rtol=0)
    sigmas = torch.logspace(-3, 2, 200, dtype=torch.float64).tolist()
    found = samplers.likelihood(lambda x, sigma: (x - denoiser(x, sigma)) / sigma, x, sigmas, signs, 100.0)
    torch.testing.assert_close(found.double(), exact, atol=0.1, rtol=0)  # of 100.0 the data is a little


def test_the_trace_of_a_map_that_mixes_numbers_is_right_in_the_mean():
    mixing = noise(6, 6) / 6
    x = noise(1, 6).repeat(4000, 1)
    signs = torch.where(noise(4000, 6, seed=1) > 0, 1.0, -1.0).double()
    found = samplers.likelihood(lambda x, t: x @ mixing.T, x, grid(1, 0, 40), signs)
    exact = torch.distributions.Normal(0, 1).log_prob(torch.linalg.matrix_exp(-mixing) @ x[0]).sum() - mixing.trace()
    assert found.mean().item() == pytest.approx(exact.item(), abs=5 * found.std().item() / 4000**0.5 + 2e-3)
