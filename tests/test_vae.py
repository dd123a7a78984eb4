"""The bounds and the likelihood of variational autoencoders, held against answers that are known; and a ladder's latent."""

import math

import pytest
import torch
from test_contracts import items_of, shake
from torch import distributions, nn

from aigc_demo import config, model, trainer
from aigc_demo.modalities.image import Modality as Image
from aigc_demo.model import Batch, build, draw_latents, generator

LADDER = {"model.network": "ladder", "model.depth": 2, "model.planes": 1}
SIZE, D, K = 8, 64, 3  # pixels a side, pixels, numbers in a latent


def built_as(changes, modality, classes=0):
    made = build(model.plan("vae:tiny", changes), modality, classes)
    shake(made)
    return made.eval()


def principal(widened=0.0, rows=8):
    """Probabilistic PCA as a VAE (Tipping and Bishop 1999): x = W z + b + sigma noise, whose posterior is linear in x and whose log p(x) is
    known. `widened` is added to the posterior's log-variance. Also some x that it drew, and their log p."""
    built = built_as({"model.network": "mlp", "model.latent": K, "model.likelihood": "gaussian"}, Image(SIZE, 1))
    rng = generator("principal")
    w, b, log_sigma = 0.3 * torch.randn(D, K, generator=rng), 0.1 * torch.randn(D, generator=rng), -0.5
    precision = torch.eye(K) + w.T @ w * math.exp(-2 * log_sigma)
    # p(z|x) = N(M^-1 W^T (x - b) / sigma^2, M^-1); a diagonal q can only be it where M is diagonal, so the axes are turned to M's
    turn = torch.linalg.eigh(precision).eigenvectors
    w = w @ turn
    spread = 1 / (1 + (w.square().sum(0)) * math.exp(-2 * log_sigma))
    read = spread[:, None] * w.T * math.exp(-2 * log_sigma)
    built.features, built.decoder = nn.Flatten(), nn.Sequential(nn.Linear(K, D), nn.Unflatten(1, (1, SIZE, SIZE)))
    built.posterior = nn.Linear(D, 2 * K)
    with torch.no_grad():
        built.log_sigma.fill_(log_sigma)
        built.decoder[0].weight.copy_(w), built.decoder[0].bias.copy_(b)
        built.posterior.weight.copy_(torch.cat([read, torch.zeros(K, D)]))
        built.posterior.bias.copy_(torch.cat([-read @ b, spread.log() + widened]))
    known = distributions.MultivariateNormal(b.double(), (w @ w.T).double() + math.exp(2 * log_sigma) * torch.eye(D).double())
    noise = torch.randn(rows, D, generator=rng)
    x = torch.randn(rows, K, generator=rng) @ w.T + b + math.exp(log_sigma) * noise
    return built, x.view(rows, 1, SIZE, SIZE), known.log_prob(x.double())


def test_with_the_true_posterior_one_draw_tells_the_likelihood_and_every_bound_is_it():
    built, x, known = principal()
    torch.testing.assert_close(built.log_likelihood(x, 1, generator(0)), known, rtol=0, atol=1e-3)
    for k in (1, 5):
        built.config = built.config.model_copy(update={"importance": k})
        losses = torch.stack([built.loss("model", Batch(x), generator(i))[0] for i in range(200 if k == 1 else 1)])
        assert losses.mean().item() == pytest.approx(-known.mean().item(), abs=0.3 if k == 1 else 1e-3)


def test_with_a_wrong_posterior_thousands_of_draws_tell_the_likelihood_and_few_stay_below():
    built, x, known = principal(widened=1.0)
    few = torch.stack([built.log_likelihood(x, 1, generator(i)) for i in range(100)]).mean(0)
    assert (few < known - 0.2).all()
    torch.testing.assert_close(built.log_likelihood(x, 20_000, generator(1)), known, rtol=0, atol=0.05)


def test_the_bound_rises_with_the_draws_and_does_not_pass_the_likelihood():
    built, x, known = principal(widened=1.0)
    bounds = []
    for k in (1, 2, 8, 64):
        built.config = built.config.model_copy(update={"importance": k})
        bounds.append(-torch.stack([built.loss("model", Batch(x), generator(i))[0] for i in range(100)]).mean().item())
    assert bounds == sorted(bounds)
    assert bounds[0] + 0.2 < bounds[-1] < known.mean().item() + 0.05


def test_the_gradient_of_the_importance_weighted_bound_weighs_each_draws_by_its_share():
    modality, k = Image(16, 1), 4
    built = built_as({**LADDER, "model.importance": k}, modality)
    x = torch.where(items_of(modality, 3).x > 0, 1.0, -1.0)  # which binarisation leaves as it is
    built.loss("model", Batch(x), generator(3))[0].backward()
    found = [p.grad.clone() for p in built.parameters()]
    rng = generator(3)
    built.observed(x, rng)
    noise = torch.randn(3 * k, *built.latent, generator=rng)
    h, z, mu, logvar = built.descend(noise, None, built.features(x).repeat_interleave(k, 0))
    p = distributions.Bernoulli(logits=built.decoder(h)).log_prob((x.repeat_interleave(k, 0) + 1) / 2).flatten(1).sum(1)
    prior, q = distributions.Normal(0.0, 1.0).log_prob(z).sum(1), distributions.Normal(mu, (logvar / 2).exp()).log_prob(z).sum(1)
    log_w = (p + prior - q).view(3, k)
    shares = log_w.softmax(1).detach()
    expected = torch.autograd.grad(-(shares * log_w).sum(1).mean(), list(built.parameters()))
    for have, want in zip(found, expected, strict=True):
        torch.testing.assert_close(have, want, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("classes", [0, 3])
def test_the_likelihood_is_the_same_in_one_pass_and_in_several(classes, monkeypatch):
    built = built_as(LADDER, Image(16, 3), classes)
    batch, rng = items_of(Image(16, 3), 3, classes), generator(1)
    parts = [built.log_likelihood(batch.x, k, rng, batch.y) + math.log(k) for k in (2, 2, 1)]
    monkeypatch.setattr("aigc_demo.models.vae.ROWS", 7)
    found = built.log_likelihood(batch.x, 5, generator(1), batch.y)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, torch.stack(parts).logsumexp(0) - math.log(5), rtol=0, atol=1e-3)


def test_free_bits_are_the_least_that_each_layer_is_charged():
    modality = Image(16, 1)
    built = built_as({**LADDER, "model.free_bits": 2.0}, modality)
    with torch.no_grad():  # a posterior that is the prior in the first layer
        built.posterior.weight.zero_(), built.posterior.bias.zero_()
    x = torch.where(items_of(modality, 6).x > 0, 1.0, -1.0)
    _, terms = built.loss("model", Batch(x), generator(1))
    rng = generator(1)
    built.observed(x, rng)
    _, _, mu, logvar = built.descend(torch.randn(6, *built.latent, generator=rng), None, built.features(x))
    q, p = distributions.Normal(mu, (logvar / 2).exp()), distributions.Normal(torch.zeros_like(mu), 1.0)
    layers = [kl.sum(1).mean().item() for kl in distributions.kl_divergence(q, p).split(built.sizes, 1)]
    assert layers[0] == 0
    assert max(layers) > 2
    assert terms["kl"].item() == pytest.approx(sum(layers), rel=1e-4)
    charged = (terms["loss"] - terms["reconstruction"]).item()
    assert charged == pytest.approx(sum(max(2.0, kl) for kl in layers), abs=1e-3)


def test_free_bits_with_more_draws_are_refused_in_a_sentence():
    with pytest.raises(config.ConfigError, match=r"^model\.free_bits: 0\.5 needs model\.importance 1"):
        trainer.Trainer(model.plan("vae:tiny", {"data.source": "digits", "data.limit": 10, "model.free_bits": 0.5, "model.importance": 2}))


@pytest.mark.parametrize(("size", "channels", "planes"), [(28, 1, 1), (16, 3, 2), (64, 3, 1), (8, 1, 1)])
def test_every_layer_of_a_ladder_is_drawn_from_and_encoded_to(size, channels, planes):
    built = built_as({**LADDER, "model.planes": planes}, Image(size, channels))
    base = {28: 7, 16: 4, 64: 4, 8: 4}[size]
    assert built.sizes == [4, planes * base * base, planes * base * base]
    assert built.latent == (sum(built.sizes),)
    z = draw_latents(built.latent, 0, range(2))
    first = built.sample(z, built.Sampling())
    for place in (0, built.sizes[0], built.latent[0] - 1):  # a number of each layer
        moved = z.clone()
        moved[:, place] += 2
        assert (built.sample(moved, built.Sampling()) - first).abs().max() > 1e-4
    mu, logvar = built.encode(items_of(Image(size, channels), 2).x)
    assert mu.shape == logvar.shape == z.shape
    assert all(part.abs().max() > 0 for part in mu.split(built.sizes, 1))


@pytest.mark.parametrize("depth", [2, 10, 32])
def test_a_ladder_of_any_depth_starts_with_a_loss_that_is_a_number(depth):
    torch.manual_seed(0)
    made = build(model.plan("vae:hierarchical-gpu", {"model.depth": depth, "model.width": 64}), Image(28, 1), 0)
    loss, terms = made.loss("model", items_of(Image(28, 1), 8), generator(0))
    assert loss < 2 * 28 * 28 * math.log(2), "no worse than twice what independent coins cost"
    assert terms["kl"] < 100


def test_a_size_that_a_ladder_cannot_halve_names_the_field():
    for size in (4, 36):
        with pytest.raises(ValueError, match=rf"^data\.size: {size} "):
            build(model.plan("vae:hierarchical"), Image(size, 1), 0)


@pytest.mark.parametrize("preset", ["paper", "iwae"])
def test_the_small_network_is_that_of_the_paper(preset):
    built = build(model.plan(f"vae:{preset}"), Image(28, 1), 10)
    assert [(m.in_features, m.out_features) for m in built.features.modules() if isinstance(m, nn.Linear)] == [(784, 200), (200, 200)]
    assert (built.posterior.in_features, built.posterior.out_features) == (200, 100)
    decoder = [m for m in built.decoder.modules() if isinstance(m, (nn.Linear, nn.Tanh, nn.ReLU))]
    assert [type(m) for m in decoder] == [nn.Linear, nn.Tanh, nn.Linear, nn.Tanh, nn.Linear]
    assert [(m.in_features, m.out_features) for m in decoder[::2]] == [(50, 200), (200, 200), (200, 784)]
    assert built.classes == 0
    assert built.config.importance == (50 if preset == "iwae" else 1)


@pytest.mark.parametrize("preset", ["mlp", "paper"])
@pytest.mark.parametrize("channels", [1, 3])
def test_dense_layers_begin_with_the_mean_item_and_take_a_background_for_nothing(preset, channels):
    built = build(model.plan(f"vae:{preset}"), Image(28, channels), 0)
    items = torch.randint(0, 256, (1200, channels, 28, 28), generator=generator("mean"), dtype=torch.uint8)
    items[:, :, :9] = 0
    built.prepare(items)
    drawn = built.decode(torch.zeros(1, *built.latent))
    shares = drawn.sigmoid() if channels == 1 else (drawn + 1) / 2
    assert torch.allclose(shares[0], items.float().mean(0) / 255, atol=2e-3)
    assert not built.features(torch.full((1, channels, 28, 28), -1.0)).any()
    assert built.features(built.modality.encode(items[:1])).any()
