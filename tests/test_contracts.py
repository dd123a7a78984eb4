"""What every family promises, asked of each on every modality it can work on; then what the papers' own presets are made of."""

import itertools
import math

import pytest
import safetensors.torch
import torch
from torch import distributions, nn
from toys import FAMILIES, TOLD, tiny

from aigc_demo import model, trainer
from aigc_demo.modalities.audio import Modality as Audio
from aigc_demo.modalities.image import Modality as Image
from aigc_demo.modalities.latents import Modality as Latents
from aigc_demo.modalities.points import Modality as Points
from aigc_demo.modalities.text import Modality as Text
from aigc_demo.model import Batch, build, draw_latents, generator
from aigc_demo.nets.codec import Codec


def latents_of(channels, planes):
    torch.manual_seed(0)
    return Latents(32, channels, safetensors.torch.save(Codec.new(channels, planes, 8).state_dict()))


MODALITIES = {
    "image": [Image(size, channels) for size in (16, 28, 32) for channels in (1, 3)],
    "points": [Points(5.0)],
    "latents": [latents_of(3, 2), latents_of(1, 4)],
    "audio": [Audio(size=16)],
    "text": [Text(16, "\n abcd"), Text(9, "", ("a b", "ab c"))],
}
TINY = dict.fromkeys(MODALITIES, "tiny") | {"points": "points"}  # the preset that is small enough to test with
CASES = [
    (f, m, classes)
    for f in model.families()
    for kind in model.family(f).modalities
    for m in MODALITIES[kind]
    for classes in ((0,) if f in TOLD or kind == "text" else (0, 3))
]


def ids(case):
    family, modality, classes = case
    return f"{family}-{modality.kind}-{'x'.join(map(str, modality.shape))}-{'conditional' if classes else 'plain'}"


def untrained(preset, modality, classes, changes=None):
    return build(model.plan(preset, changes or {}), modality, classes)


def items_of(modality, n, classes=0):
    """Items with some order in them, and their labels."""
    rng = torch.Generator().manual_seed(5)
    if modality.kind == "text":
        return Batch(torch.randint(len(modality.pieces), (n, *modality.shape), generator=rng))
    x = torch.randn(n, *modality.space, generator=rng).cumsum(-1).tanh()
    said = torch.randint(9, (n, 5), generator=rng)
    return Batch(modality.encode(modality.decode(x)), torch.arange(n) % classes if classes else None, said)


def fitting(preset, size):
    """A modality that the preset is made for, of this size where it has one."""
    name, _, chosen = preset.partition(":")
    if chosen == "points":
        return Points(5.0)
    return Text(size, "\n abcd") if model.family(name).modalities == ("text",) else Image(size, 3)


def small_presets():
    return [(p, fitting(p, 16)) for p in model.presets()]


@pytest.mark.parametrize("preset", model.presets())
def test_every_way_to_break_a_preset_is_a_run(preset):
    ways = model.breakages(preset)
    assert {"learning rate too high", "fifty items"} <= set(ways)
    for changes in ways.values():
        broken = model.plan(preset, changes)
        assert model.changed(broken) == changes


# The promise


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_a_loss_is_a_finite_scalar_with_named_terms_and_follows_from_its_arguments(case):
    family, modality, classes = case
    built = untrained(f"{family}:{TINY[modality.kind]}", modality, classes).eval()
    shake(built)  # what an untrained autoencoder draws hardly follows from what it is shown
    batch = items_of(modality, 8, classes)
    for phase in built.phases():
        loss, terms = built.loss(phase, batch, generator(1))
        assert loss.shape == ()
        assert loss.isfinite()
        assert terms
        for name, term in terms.items():
            assert name == name.strip().lower()
            assert term.shape == ()
            assert term.isfinite()
        torch.manual_seed(99)  # what others drew is none of its business
        again, _ = built.loss(phase, batch, generator(1))
        other, _ = built.loss(phase, batch, generator(2))
        assert again == loss
        assert (other == loss) == (modality.kind == "text"), "the rng is used, but where nothing is drawn to learn"
    if built.monitor:
        assert any(built.monitor in built.loss(p, batch, generator(1))[1] for p in built.phases())


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_a_sample_has_the_modalitys_shape_and_range_and_does_not_depend_on_its_batch(case):
    family, modality, classes = case
    built = untrained(f"{family}:{TINY[modality.kind]}", modality, classes).eval()
    shake(built)
    n = 9
    latents = draw_latents(built.latent, 3, range(n))
    condition = torch.arange(n) % built.classes if built.classes else None
    assert bool(built.classes) == bool(classes)
    sampling = built.Sampling()
    order = torch.randperm(n, generator=generator(0))

    def drawn(which):
        with torch.inference_mode():
            return built.sample(latents[which], sampling, None if condition is None else condition[which])

    whole, mixed, alone = drawn(slice(None)), drawn(order), torch.cat([drawn(slice(i, i + 1)) for i in range(n)])
    assert whole.shape == (n, *modality.space)
    assert whole.isfinite().all()
    assert modality.kind == "text" or whole.abs().max() <= 1 + 1e-5
    assert torch.equal(modality.encode(modality.decode(whole)), whole) or modality.kind != "text"
    assert (whole - whole[:1]).abs().max() > 1e-3, "other latents draw other samples"
    for other, same in ((alone, whole), (mixed, whole[order])):
        torch.testing.assert_close(other, same, atol=1e-4, rtol=0)
        assert (modality.decode(other).int() - modality.decode(same).int()).abs().max() <= 1
    if built.classes:
        with torch.inference_mode():
            changed = built.sample(latents, sampling, (condition + 1) % built.classes)
        assert (changed - whole).abs().flatten(1).max(1).values.median() > 1e-4, "the class is drawn"  # of two numbers both may be clipped


def shake(built):
    """Moves weights and running means off their first values, as training does: a fresh batch norm divides by next to nothing."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, v in built.state_dict().items():
            if v.is_floating_point() and "running_var" not in name:
                v.add_(0.1 * torch.randn(v.shape, generator=rng))


def wake(built):
    """Draws the weights that begin as zeros, through which nothing passes back at the first step."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in built.parameters():
            if not p.any():
                p.normal_(std=0.01, generator=rng)


def test_a_latent_follows_from_its_seed_and_index_alone():
    shape = (3, 2)
    whole = draw_latents(shape, 7, range(5))
    assert torch.equal(draw_latents(shape, 7, [4, 0])[0], whole[4])
    assert not torch.equal(draw_latents(shape, 8, [0])[0], whole[0])
    assert draw_latents(shape, 7, []).shape == (0, 3, 2)
    assert abs(draw_latents((4000,), 1, [0]).std() - 1) < 0.05
    assert model.key(1, 23) != model.key(12, 3)


@pytest.mark.parametrize(("preset", "modality"), small_presets(), ids=lambda v: v if isinstance(v, str) else "")
@pytest.mark.parametrize("classes", [0, 3])
def test_a_gradient_reaches_every_parameter_of_its_phase_and_no_other(preset, modality, classes):
    built = untrained(preset, modality, classes)
    wake(built)
    phases = built.phases()
    batch = items_of(modality, 6, classes)
    built.prepare(modality.decode(batch.x))
    trained = [p for phase in phases.values() for p in phase.parameters()]
    assert sorted(map(id, trained)) == sorted(map(id, built.parameters())), "each parameter belongs to one phase"
    for name, phase in phases.items():
        for other in phases.values():
            other.requires_grad_(other is phase)  # as the trainer does
        built.zero_grad(set_to_none=True)
        torch.manual_seed(0)
        built.loss(name, batch, generator(1))[0].backward()
        own = dict(phase.named_parameters())
        assert [n for n, p in own.items() if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()] == []
        others = [p for other in phases.values() if other is not phase for p in other.parameters()]
        assert all(p.grad is None for p in others)


HALVED = [*((p, {}) for p in model.presets() if "gpu" not in p), ("flow:tiny", {"model.objective": "average"})]


@pytest.mark.parametrize(("preset", "changes"), HALVED, ids=lambda v: v if isinstance(v, str) else "-".join(map(str, v.values())))
@pytest.mark.parametrize("classes", [0, 3])
def test_a_step_in_bf16_has_nearly_the_loss_of_one_in_fp32(preset, changes, classes):
    modality = fitting(preset, 16)
    built = untrained(preset, modality, classes, changes)
    wake(built)
    batch, found = items_of(modality, 32, classes), {}
    for phase in built.phases():
        for half in (False, True):
            built.zero_grad(set_to_none=True)
            torch.manual_seed(3)  # dropout
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                loss, terms = built.loss(phase, batch, generator(1))
            loss.backward()
            assert all(p.grad.isfinite().all() and p.grad.dtype == p.dtype for p in built.parameters() if p.grad is not None)
            found[half] = torch.stack([loss, *terms.values()]).detach()
        torch.testing.assert_close(found[True].float(), found[False], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("source", ["digits", "shapes"])
def test_a_short_training_brings_samples_nearer_to_the_data(family, source):
    run = tiny(f"{family}:tiny", 160, {"data.limit": 256, "data.source": source})
    made = trainer.Trainer(run)
    data = made.modality.encode(made.training.items)

    def away():
        """How far the samples' mean picture and deviation picture are from the data's, root mean square over pixels."""
        with made.averaged() as built:
            latents = draw_latents(built.latent, 1, range(200))
            x = built.sample(latents, built.Sampling(), torch.arange(200) % built.classes if built.classes else None)
        return [(f(x) - f(data)).square().mean().sqrt().item() for f in (lambda v: v.mean(0), lambda v: v.std(0))]

    before, held_before = away(), made.validate()
    *_, last = trainer.train(made)
    after, held_after = away(), made.validate()
    assert last.step == 160
    assert after[0] < 0.4 * before[0]
    assert after[1] < 0.9 * before[1]
    if made.model.monitor:
        name = f"held-out {made.model.monitor}"
        assert held_after[name] < 0.6 * held_before[name]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_run_trains_the_same_weights_and_another_seed_others(family):
    def after(seed):
        made = trainer.Trainer(tiny(f"{family}:tiny", 3, {"seed": seed}))
        for _ in range(3):
            made.one_step(0.0)
        return torch.cat([v.flatten().double() for v in made.weights().values()])

    first = after(4)
    assert torch.equal(first, after(4))
    assert not torch.equal(first, after(5))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_modality_or_a_size_that_a_family_cannot_take_is_refused_in_a_sentence(family):
    class Smell:
        kind, shape = "smell", (3,)

    with pytest.raises(model.ConfigError, match=f"family: {family} works on .*, not on smell"):
        build(model.plan(f"{family}:tiny"), Smell(), 0)


@pytest.mark.parametrize(("preset", "size"), [("vae:tiny", 30), ("vae:conv", 4), ("gan:dcgan", 30), ("gan:tiny", 4), ("gan:dcgan-rgb", 37)])
def test_a_size_that_the_networks_cannot_be_scaled_to_names_the_field(preset, size):
    with pytest.raises(model.ConfigError, match=rf"^data\.size: {size} "):
        trainer.Trainer(model.plan(preset, {"data.source": "digits", "data.limit": 10, "data.size": size, "device": "cpu"}))


# The published presets: layer for layer


def layers(network, *kinds):
    return [m for m in network.modules() if isinstance(m, kinds)]


def linears(network):
    return [(m.in_features, m.out_features) for m in layers(network, nn.Linear)]


def convolutions(network):
    return [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0]) for m in layers(network, nn.Conv2d, nn.ConvTranspose2d)]


def published(preset, channels):
    run = model.plan(preset)
    size = model.family(run.family).presets[run.preset]["size"]
    built = build(run, Image(size, channels), 0).eval()
    return run, built, Image(size, channels)


SIZES = [("gan:mlp", 1, 28, 100), ("gan:mlp-rgb", 3, 64, 100), ("gan:dcgan", 1, 28, 100), ("gan:dcgan-rgb", 3, 64, 128)]


@pytest.mark.parametrize(("preset", "channels", "size", "latent"), SIZES)
def test_a_published_gan_draws_pictures_of_its_size_from_latents_of_its_width(preset, channels, size, latent):
    _, built, modality = published(preset, channels)
    assert built.latent == (latent,)
    assert modality.size == size
    x = built.sample(draw_latents(built.latent, 0, range(2)), built.Sampling())
    assert x.shape == (2, channels, size, size)
    assert built.discriminator(x).shape == (2,)


def test_gan_mlp_is_as_published():
    _, built, _ = published("gan:mlp", 1)
    assert linears(built.generator) == [(100, 256), (256, 512), (512, 784)]
    assert linears(built.discriminator) == [(784, 512), (512, 256), (256, 1)]


def test_gan_mlp_rgb_is_as_published():
    _, built, _ = published("gan:mlp-rgb", 3)
    assert linears(built.generator) == [(100, 128), (128, 3 * 64 * 64)]
    assert linears(built.discriminator) == [(3 * 64 * 64, 128), (128, 1)]


def test_gan_dcgan_is_as_published():
    run, built, _ = published("gan:dcgan", 1)
    assert linears(built.generator) == [(100, 7 * 7 * 256)]
    assert convolutions(built.generator) == [(256, 128, 5, 1), (128, 64, 5, 2), (64, 1, 5, 2)]
    assert convolutions(built.discriminator) == [(1, 64, 5, 2), (64, 128, 5, 2)]
    assert linears(built.discriminator) == [(7 * 7 * 128, 1)]
    assert [m.p for m in layers(built.discriminator, nn.Dropout)] == [0.3, 0.3]
    assert (built.config.real_label, built.config.fake_label, run.train.batch) == (0.9, 0.1, 64)


def test_gan_dcgan_rgb_is_as_published():
    run, built, _ = published("gan:dcgan-rgb", 3)
    assert linears(built.generator) == [(128, 256), (256, 512), (512, 1024), (1024, 4 * 4 * 256)]
    assert [(c[0], c[3]) for c in convolutions(built.generator)] == [(256, 2), (128, 2), (64, 2), (32, 2)]
    assert convolutions(built.generator)[-1][1] == 3
    assert [c[:2] for c in convolutions(built.discriminator)] == [(3, 64), (64, 128), (128, 256)]
    t = run.train
    assert (t.lr, t.beta1, t.beta2, t.batch) == (2e-4, 0.5, 0.999, 128)


@pytest.mark.parametrize("preset", model.presets())
def test_every_preset_trains_at_its_own_size(preset):
    run = model.plan(preset)
    kind = model.family(run.family)
    assert "tiny" in kind.presets
    size = kind.presets[run.preset]["size"]
    modality = fitting(preset, size)
    built = build(run, modality, 0)
    for phase in built.phases():
        assert built.loss(phase, items_of(modality, 2), generator(0))[0].isfinite()


# The mathematics


def sure(built, logit):
    """Makes the discriminator give about `logit` to everything."""
    with torch.no_grad():
        built.discriminator.score.bias.fill_(logit)


def generators_gradient(built, modality):
    built.zero_grad(set_to_none=True)
    loss, _ = built.loss("generator", items_of(modality, 8), generator(3))
    loss.backward()
    return loss.item(), torch.cat([p.grad.flatten() for p in built.generator.parameters()]).norm().item()


def test_the_generators_loss_does_not_saturate_when_the_discriminator_is_sure():
    modality = Image(16, 1)
    built = untrained("gan:tiny", modality, 0)
    sure(built, 0.0)
    loss, unsure_norm = generators_gradient(built, modality)
    assert loss == pytest.approx(math.log(2), abs=0.1)
    sure(built, -30.0)
    loss, sure_norm = generators_gradient(built, modality)
    # -log sigmoid(l) is -l there, and its slope by l is -sigmoid(-l): 1 instead of 1/2; the saturating loss would leave 1e-13
    assert loss == pytest.approx(30, abs=0.5)
    assert sure_norm == pytest.approx(2 * unsure_norm, rel=0.1)


def test_the_discriminators_loss_is_cross_entropy_to_the_smoothed_labels():
    modality = Image(16, 1)
    built = untrained("gan:tiny", modality, 0, {"model.real_label": 0.9, "model.fake_label": 0.1})
    with torch.no_grad():
        built.discriminator.score.weight.zero_()
    sure(built, 0.7)
    loss, _ = built.loss("discriminator", items_of(modality, 4), generator(0))
    p = 1 / (1 + math.exp(-0.7))
    expected = -(0.9 * math.log(p) + 0.1 * math.log(1 - p)) - (0.1 * math.log(p) + 0.9 * math.log(1 - p))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("y", [None, [0, 1, 0, 2, 0, 1], [1, 1, 1, 1, 1, 1], [2, 0, 1, 2, 0, 1]], ids=str)
@pytest.mark.parametrize("pack", [1, 2, 3])
def test_a_pack_holds_pictures_of_one_class_and_each_as_often(pack, y):
    built = untrained("gan:tiny", Image(16, 1), 3 if y else 0, {"model.pack": pack})
    x = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 1, 16, 16)
    packed = built.packed(x, None if y is None else torch.tensor(y))
    assert packed.shape == (6, pack, 16, 16)
    members = packed[:, :, 0, 0].long().tolist()
    assert [m[0] for m in members] == list(range(6)), "each picture leads one"
    assert sorted(i for m in members for i in m) == sorted(list(range(6)) * pack)
    for m in members:
        assert y is None or len({y[i] for i in m}) == 1
        assert len(set(m)) == min(pack, 6 if y is None else y.count(y[m[0]])), "no picture twice while there are others"


@pytest.mark.parametrize("preset", [p for p in model.presets() if p.startswith("gan:")])
def test_a_gan_of_packs_learns_in_both_phases(preset):
    built = untrained(preset, Image(16, 3), 3, {"model.pack": 2, "model.discriminator_rate": 4.0})
    wake(built)
    for phase, network in built.phases().items():
        built.zero_grad(set_to_none=True)
        built.loss(phase, items_of(Image(16, 3), 6, 3), generator(0))[0].backward()
        assert all(p.grad is not None and p.grad.any() for p in network.parameters())
    made = trainer.Trainer(tiny("gan:tiny", 1, {"model.pack": 2, "model.discriminator_rate": 4.0, "train.lr": 0.001}))
    made.one_step(0.0)
    rates = {name: o.param_groups[0]["lr"] for name, (o,) in made.optimizers.items()}
    assert rates == {"discriminator": 0.004, "generator": 0.001}


def vae(channels, changes=None):
    built = untrained("vae:tiny", Image(16, channels), 0, changes)
    shake(built)
    return built.eval()


def black_and_white(channels):
    """Pixels of -1 and 1 alone, which dynamic binarisation leaves as they are."""
    x = items_of(Image(16, channels), 8).x
    return Batch(torch.where(x > 0, 1.0, -1.0))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_kl_of_a_vae_is_that_of_torch_in_nats_per_item(channels):
    built = vae(channels)
    batch = black_and_white(channels)
    mu, logvar = built.encode(batch.x)
    q, p = distributions.Normal(mu, (logvar / 2).exp()), distributions.Normal(torch.zeros_like(mu), torch.ones_like(mu))
    expected = distributions.kl_divergence(q, p).sum(1).mean()
    found = built.loss("model", batch, generator(0))[1]["kl"]
    assert expected > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_reconstruction_of_a_vae_is_a_likelihood_in_nats_per_item(channels, likelihood):
    built = vae(channels, {"model.likelihood": likelihood})
    batch = black_and_white(channels)
    with torch.no_grad():  # a posterior without a spread: z is mu
        built.posterior.weight[built.latent[0] :] = 0
        built.posterior.bias[built.latent[0] :] = -60
        if likelihood == "gaussian":
            built.log_sigma.fill_(0.3)
    out = built.decode(built.encode(batch.x)[0])
    if likelihood == "bernoulli":
        log_p = distributions.Bernoulli(logits=out).log_prob((batch.x + 1) / 2)
    else:
        log_p = distributions.Normal(out, math.exp(0.3)).log_prob(batch.x)
    expected = -log_p.flatten(1).sum(1).mean()
    found = built.loss("model", batch, generator(0))[1]["reconstruction"]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


def test_the_likelihood_of_a_vae_suits_the_channels():
    assert vae(1).log_sigma is None
    assert vae(3).log_sigma is not None


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_the_loss_of_a_vae_weighs_the_kl_by_beta(beta):
    loss, terms = vae(1, {"model.beta": beta}).loss("model", black_and_white(1), generator(0))
    torch.testing.assert_close(loss, terms["reconstruction"] + beta * terms["kl"])
    assert terms["loss"] == loss


def test_a_grey_pixel_is_drawn_white_with_the_probability_of_its_grey():
    built = vae(1)
    seen = []
    built.features.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    for i, grey in itertools.product(range(20), (-0.6, 0.0, 0.5)):
        built.loss("model", Batch(torch.full((8, 1, 16, 16), grey)), generator(i))
    shares = {grey: torch.cat(seen[k::3]) for k, grey in enumerate((-0.6, 0.0, 0.5))}
    for grey, x in shares.items():
        assert set(x.unique().tolist()) == {-1.0, 1.0}
        assert (x > 0).float().mean().item() == pytest.approx((grey + 1) / 2, abs=0.01)  # 4 standard errors


def test_a_vae_samples_the_mean_of_its_likelihood():
    built = vae(1)
    z = draw_latents(built.latent, 0, range(3))
    torch.testing.assert_close(built.sample(z, built.Sampling()), 2 * distributions.Bernoulli(logits=built.decode(z)).probs - 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_truncation_scales_the_latent(family):
    built = untrained(f"{family}:tiny", fitting(f"{family}:tiny", 16), 0).eval()
    if "truncation" not in built.Sampling.model_fields:
        pytest.skip("this family has none")
    shake(built)
    z = draw_latents(built.latent, 0, range(2))
    torch.testing.assert_close(built.sample(z, built.Sampling(truncation=0.5)), built.sample(z / 2, built.Sampling()))
    nothing = built.sample(z, built.Sampling(truncation=0))
    torch.testing.assert_close(nothing[0], nothing[1])
