"""What an autoencoder adds to the promise: noise, sparse codes, the Gaussians of its codes; and pictures restored."""

import io
import json
import math

import pytest
import torch
from PIL import Image as Pictures
from test_contracts import items_of
from toys import finished, tiny

from aigc_demo import config, data, jobs, model, trainer
from aigc_demo.engine import Engine
from aigc_demo.exploration import maps, restoring
from aigc_demo.modalities.image import Modality as Image
from aigc_demo.model import Batch, build, generator
from aigc_demo.provenance import label

SHAPE = Image(16, 3)


def built_as(changes=None, classes=0, modality=SHAPE):
    return build(model.plan("autoencoder:tiny", changes or {}), modality, classes)


def spoilt(noise, amount, x=None):
    x = torch.zeros(4, 3, 16, 16) if x is None else x
    return built_as().spoilt(x, noise, amount, generator(1))


def test_codes_whose_covariance_has_no_root_leave_the_last_one(monkeypatch):
    made = built_as({"model.conditional": False})
    codes = torch.randn(16, 8, generator=generator(0))
    made.follow(codes, None)
    before, root = made.root.clone(), torch.linalg.cholesky_ex
    monkeypatch.setattr(torch.linalg, "cholesky_ex", lambda a: (torch.full_like(a, math.nan), torch.ones(len(a), dtype=torch.int32)))
    made.follow(2 * codes, None)
    assert torch.equal(made.root, before)
    monkeypatch.setattr(torch.linalg, "cholesky_ex", root)
    made.follow(2 * codes, None)
    assert not torch.equal(made.root, before)
    assert made.root.isfinite().all()


@pytest.mark.parametrize("amount", [0.1, 0.5])
def test_each_noise_spoils_as_much_as_it_is_asked_to(amount):
    normal = spoilt("gaussian", amount, torch.zeros(40, 3, 16, 16))
    assert normal.abs().max() <= 1
    assert (normal.abs() < 2 * amount).float().mean().item() == pytest.approx(0.683, abs=0.02) or amount > 0.4  # one deviation
    masked = spoilt("masking", amount, torch.full((40, 3, 16, 16), 0.5))
    assert set(masked.unique().tolist()) == {-1.0, 0.5}
    assert (masked == -1).float().mean().item() == pytest.approx(amount, abs=0.02)
    assert ((masked == -1).all(1) == (masked == -1).any(1)).all(), "a pixel goes in all its channels"
    seasoned = spoilt("salt-and-pepper", amount, torch.full((40, 3, 16, 16), 0.5))
    assert set(seasoned.unique().tolist()) == {-1.0, 0.5, 1.0}
    for value in (-1, 1):
        assert (seasoned == value).float().mean().item() == pytest.approx(amount / 2, abs=0.02)


@pytest.mark.parametrize("noise", model.family("autoencoder").noises)
def test_no_noise_leaves_a_picture_as_it_is_and_the_same_draws_spoil_it_alike(noise):
    x = items_of(SHAPE, 4).x
    assert torch.equal(spoilt(noise, 0.0, x), x)
    assert torch.equal(spoilt(noise, 0.5, x), spoilt(noise, 0.5, x))
    assert not torch.equal(spoilt(noise, 0.5, x), x)


@pytest.mark.parametrize("noise", ["none", "any", *model.family("autoencoder").noises])
def test_the_error_is_against_the_picture_without_noise(noise):
    built = built_as({"model.noise": noise}).eval()
    x, seen = items_of(SHAPE, 6).x, []
    built.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    loss, terms = built.loss("model", Batch(x), generator(2))
    with torch.no_grad():
        expected = (built.decoder(built.code(seen[0])) - x).square().mean()
    torch.testing.assert_close(terms["error"], expected)
    assert loss == terms["error"]
    assert torch.equal(seen[0], x) is (noise == "none")


def test_sparse_codes_are_charged_the_divergence_of_two_coins():
    built = built_as({"model.sparsity": 2.0, "model.rate": 0.1}).eval()
    x = items_of(SHAPE, 6).x
    with torch.no_grad():
        code = built.code(built.noisy(x, generator(2)))
    assert 0 <= code.min() <= code.max() <= 1
    wanted, found = torch.distributions.Bernoulli(0.1), torch.distributions.Bernoulli(code.mean(0))
    loss, terms = built.loss("model", Batch(x), generator(2))
    torch.testing.assert_close(terms["kl"], torch.distributions.kl_divergence(wanted, found).mean())
    torch.testing.assert_close(loss, terms["error"] + 2 * terms["kl"])


def test_sparse_training_leaves_most_of_each_code_idle():
    def active(sparsity):
        made = trainer.Trainer(tiny("autoencoder:tiny", 300, {"data.limit": 256, "model.latent": 16, "model.sparsity": sparsity}))
        *_, _ = trainer.train(made)
        with made.averaged() as built:
            return built.code(made.held_out.x).mean().item()

    assert active(1.0) == pytest.approx(0.05, abs=0.03)
    assert active(1e-6) > 0.2


@pytest.mark.parametrize("classes", [0, 3])
def test_the_gaussians_are_those_of_the_codes(classes):
    built = built_as({"model.latent": 3}, classes)
    rng = generator("codes")
    mix = torch.randn(3, 3, generator=rng)
    for _ in range(300):
        y = torch.randint(max(classes, 1), (64,), generator=rng)
        built.follow(torch.randn(64, 3, generator=rng) @ mix.T + 5 * y[:, None], y if classes else None)
    for k in range(max(classes, 1)):
        torch.testing.assert_close(built.mean[k], torch.full((3,), 5.0 * k), rtol=0, atol=0.15)
        torch.testing.assert_close(built.covariance[k], mix @ mix.T, rtol=0.1, atol=0.15)
        torch.testing.assert_close(built.root[k] @ built.root[k].T, built.covariance[k], rtol=0.02, atol=0.02)


def test_one_batch_is_followed_exactly_and_a_class_that_is_not_in_it_stays():
    built = built_as({"model.latent": 3}, 2)
    code = torch.randn(10, 3, generator=generator(4))
    built.follow(code, torch.zeros(10, dtype=torch.int64))
    torch.testing.assert_close(built.mean[0], code.mean(0))
    torch.testing.assert_close(built.covariance[0], code.T.cov(correction=0))
    assert torch.equal(built.covariance[1], torch.eye(3))
    assert not built.mean[1].any()


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("sparsity", [0.0, 0.5])
def test_what_is_encoded_is_drawn_again_and_codes_that_were_followed_are_standard_normal(classes, sparsity):
    changes = {"model.sparsity": sparsity, "model.conditional": bool(classes), "data.limit": 256}
    made = trainer.Trainer(tiny("autoencoder:tiny", 100, changes))
    *_, _ = trainer.train(made)
    built = made.model.eval()
    batch = made.some(made.training, 200)
    y = batch.y if built.classes else None
    with torch.no_grad():
        for _ in range(500):
            built.follow(built.code(batch.x), y)
        z, logvar = built.encode(batch.x, y)
        torch.testing.assert_close(built.sample(z, built.Sampling(), y), built.restore(batch.x), rtol=0, atol=1e-3)
    assert (logvar == -math.inf).all()
    assert z.mean(0).abs().max() < 0.05
    assert z.std(0).sub(1).abs().max() < 0.2  # less where a direction has next to no variance: JITTER


def test_a_mark_changes_no_gaussian():
    made = trainer.Trainer(tiny("autoencoder:tiny", 5))
    made.one_step(0.0)
    before = {k: v.clone() for k, v in made.model.named_buffers()}
    made.validate(), made.look()
    assert all(torch.equal(v, before[k]) for k, v in made.model.named_buffers())


def test_a_batch_of_codes_that_are_no_numbers_ends_the_run_in_a_sentence():
    made = trainer.Trainer(tiny("autoencoder:tiny", 50, {"train.lr": 10.0, "data.limit": 32}))
    with torch.no_grad():
        next(made.model.encoder.parameters()).fill_(torch.inf)
    with pytest.raises(trainer.TrainingError, match="not a number"):
        list(trainer.train(made))


def test_the_map_is_of_codes_and_its_places_draw_what_their_codes_do():
    run = tiny("autoencoder:tiny", 60, {"model.conditional": False, "data.limit": 256})
    folder = jobs.create(run)
    engine, found = Engine(), finished(run, folder)
    model = engine.warm(found).model
    plane = maps.Atlas(engine).embedding(found)
    test = data.load(run.data.model_copy(update={"limit": maps.ITEMS}), run.seed, part="test")
    with torch.inference_mode():
        code = model.code(found.modality.encode(test.items))
        middle = code.mean(0)
        ways = torch.linalg.svd(code - middle, full_matrices=False)[2][:2]
        torch.testing.assert_close(plane.places.abs(), ((code - middle) @ ways.T).abs(), rtol=0, atol=1e-3)
        place = plane.places[5]
        z = plane.mean + place @ plane.axes
        drawn = model.sample(z[None], model.Sampling())
        of_code = model.decoder((middle + ((code[5] - middle) @ ways.T) @ ways)[None])
    torch.testing.assert_close(drawn[0], of_code.clamp(-1, 1)[0], rtol=0, atol=2e-3)


# Restoring


@pytest.fixture
def denoiser(all_made):
    return all_made["autoencoder"]


def pictures(found, count):
    return list(found.modality.decode(items_of(found.modality, count).x))


def test_pictures_are_restored_from_what_is_shown(denoiser):
    engine, items = Engine(), pictures(denoiser, 3)
    made = restoring.restore(engine, denoiser, items, "gaussian", 0.5, seed=4)
    assert made[1].noisy.dtype == torch.uint8
    for m, item in zip(made, items, strict=True):
        assert torch.equal(m.original, item)
        assert not torch.equal(m.noisy, item)
        with torch.no_grad():
            x = engine.warm(denoiser).model.restore(denoiser.modality.encode(m.noisy[None]))
        assert torch.equal(m.restored, denoiser.modality.decode(x)[0])
        error = (m.restored.double() - item.double()).square().mean().item()
        assert m.after == pytest.approx(10 * math.log10(255**2 / error), abs=1e-3)
    assert torch.equal(restoring.restore(engine, denoiser, items[:1], "gaussian", 0.5, seed=4)[0].noisy, made[0].noisy)
    given = restoring.restore(engine, denoiser, items, "none", 0.5)
    assert all(torch.equal(m.noisy, m.original) for m in given)


@pytest.mark.parametrize(
    ("noise", "amount", "count", "says"),
    [
        ("rain", 0.5, 1, "noise: 'rain' is not one of none, gaussian, masking, salt-and-pepper"),
        ("gaussian", 1.5, 1, "amount: 1.5 is not a number from 0 to 1"),
        ("gaussian", math.nan, 1, "amount: nan is not a number from 0 to 1"),
        ("gaussian", 0.5, 0, "0 pictures; 1 to 64 are taken"),
        ("gaussian", 0.5, 65, "65 pictures; 1 to 64 are taken"),
    ],
)
def test_what_cannot_be_restored_is_refused_in_a_sentence(noise, amount, count, says, denoiser):
    with pytest.raises(config.ConfigError, match=says):
        restoring.restore(Engine(), denoiser, pictures(denoiser, count) if count else [], noise, amount)


def test_a_family_without_a_denoiser_says_which_has_one(all_made):
    with pytest.raises(config.ConfigError, match="vae-toy is a vae, which takes no noise off pictures; an autoencoder does"):
        restoring.noises(Engine(), all_made["vae"])


def test_restore_writes_a_labelled_sheet_and_says_how_much_was_won(denoiser, aigc, tmp_path):
    paths = []
    for i, item in enumerate(pictures(denoiser, 10)):
        paths.append(tmp_path / f"{i}.png")
        paths[-1].write_bytes(denoiser.modality.write(item))
    out = tmp_path / "restored.png"
    words = ("restore", denoiser.name, *paths, "--noise", "masking", "--amount", "0.3", "--seed", "2", "-o", out)
    code, said, _ = aigc(*words, "--json")
    assert code == 0
    rows = json.loads(said)["psnr"]
    assert [row["picture"] for row in rows] == [str(p) for p in paths]
    again = restoring.restore(Engine(), denoiser, pictures(denoiser, 10), "masking", 0.3, 2)
    assert [row["after"] for row in rows] == [m.after for m in again]
    step = denoiser.modality.size + 1
    with Pictures.open(io.BytesIO(out.read_bytes())) as sheet:
        assert sheet.size == (8 * step - 1, 6 * step - 1)  # eight pictures in three rows, then two
    assert label.read(out.read_bytes()).recipe["restored"] == 10
    assert aigc(*words)[1].startswith("10 pictures: ")
    assert aigc("restore", denoiser.name, paths[0], "-o", tmp_path / "x.gif")[0] == 2
    assert aigc("restore", denoiser.name, tmp_path / "none.png")[0] == 2
