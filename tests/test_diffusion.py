"""Diffusion: a network that gives 0 makes the preconditioned denoiser that of a Gaussian, which tests the rest."""

import pytest
import torch
from test_contracts import items_of, shake, untrained

from aigc_demo.modalities.image import Modality as Image
from aigc_demo.model import Batch, draw_latents, generator
from aigc_demo.models import diffusion

SPREAD = 0.3


def gaussian(classes=0):
    """The true denoiser of pixels from N(0, SPREAD^2): its network begins at 0."""
    return untrained("diffusion:tiny", Image(8, 1), classes, {"model.sigma_data": SPREAD}).eval()


def pixels(n, seed=1):
    return SPREAD * torch.randn(n, 1, 8, 8, generator=generator(seed))


def test_the_loss_of_the_true_denoiser_is_one():
    """E |D - x_0|^2 = sigma^2 s^2 / (sigma^2 + s^2), and lambda is one over it."""
    assert gaussian().loss("model", Batch(pixels(4000)), generator(0))[0].item() == pytest.approx(1, abs=0.02)


def test_what_the_network_takes_and_gives_has_variance_one():
    built, seen = gaussian(), []
    built.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    for sigma in (0.01, 0.3, 20.0):
        built.denoised(pixels(2000) + sigma * torch.randn(2000, 1, 8, 8, generator=generator(2)), sigma, None)
        assert seen[-1].std().item() == pytest.approx(1, abs=0.02)


def test_the_steps_go_from_the_highest_noise_to_none():
    sigmas = diffusion.spaced(80.0, 18)
    assert len(sigmas) == 19
    assert sigmas[0] == pytest.approx(80)
    assert sigmas[-2] == pytest.approx(0.002)
    assert sigmas[-1] == 0
    assert sigmas[:3] == pytest.approx([80, 57.586, 40.7856], rel=1e-4)  # as printed by the authors' program
    assert diffusion.spaced(80.0, 1) == pytest.approx([80, 0])


@pytest.mark.parametrize("method", ["euler", "heun", "ancestral"])
def test_samples_of_the_true_denoiser_are_the_datas(method):
    built = gaussian()
    z = draw_latents(built.latent, 0, range(200))
    x = built.sample(z, built.Sampling(steps=400 if method == "ancestral" else 100, method=method))
    assert x.std().item() == pytest.approx(SPREAD, rel=0.05)
    assert x.mean().item() == pytest.approx(0, abs=0.02)
    if method == "heun":
        torch.testing.assert_close(x, (SPREAD * z).clamp(-1, 1), atol=5e-3, rtol=0)
        inside = x.abs() < 0.99
        torch.testing.assert_close(built.noise(x)[inside], z[inside], atol=0.25, rtol=0)  # of numbers up to 3, in 18 steps


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_denoising_gives_the_mean_of_what_the_picture_may_be(sigma):
    y = pixels(3)
    torch.testing.assert_close(gaussian().denoise(y, sigma), SPREAD**2 / (SPREAD**2 + sigma**2) * y)


def test_the_likelihood_is_that_of_the_gaussian():
    x = pixels(6)
    exact = torch.distributions.Normal(0, SPREAD).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(gaussian().log_density(x, generator(0), steps=200), exact, atol=0.1, rtol=0)


def test_guidance_goes_beyond_the_class():
    built = untrained("diffusion:tiny", Image(16, 1), 3).eval()
    shake(built)
    z, y = draw_latents(built.latent, 0, range(3)), torch.arange(3)
    field = {s: built.sample(z, built.Sampling(steps=1, guidance=s), y) for s in (0.0, 1.0, 2.0)}
    clean = [built.denoised(80 * z, 80.0, c) for c in (torch.full_like(y, 3), y)]
    torch.testing.assert_close(field[0.0], clean[0].clamp(-1, 1), atol=1e-4, rtol=0)
    torch.testing.assert_close(field[1.0], clean[1].clamp(-1, 1), atol=1e-4, rtol=0)
    torch.testing.assert_close(field[2.0], (2 * clean[1] - clean[0]).clamp(-1, 1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("method", ["heun", "ancestral"])
def test_a_picture_is_brought_back_and_what_is_kept_stays(method):
    built = untrained("diffusion:tiny", Image(16, 1), 0).eval()
    shake(built)
    x, z = items_of(Image(16, 1), 2).x, draw_latents(built.latent, 0, range(2))
    apart = [(built.edit(x, z, built.Sampling(method=method), strength=s) - x).square().mean().item() for s in (0.05, 1.0)]
    assert apart[0] < 1e-3 < apart[1]
    keep = torch.zeros(2, 1, 16, 16, dtype=torch.bool)
    keep[..., :5] = True
    found = built.edit(x, z, built.Sampling(method=method), keep=keep)
    assert torch.equal(found[..., :5], x[..., :5])
    assert (found[..., 5:] - x[..., 5:]).abs().max() > 0.1


def test_a_u_net_denoises_too():
    built = untrained(
        "diffusion:tiny", Image(16, 3), 3, {"model.network": "unet", "model.width": 8, "model.scales": "[1, 2]", "model.depth": 1}
    )
    batch = items_of(Image(16, 3), 4, 3)
    built.loss("model", batch, generator(0))[0].backward()
    assert built.sample(draw_latents(built.latent, 0, range(2)), built.Sampling(), torch.arange(2)).shape == (2, 3, 16, 16)
