"""A model that learns in the latent space of another: pictures to latents, and back."""

import dataclasses
import shutil

import pytest
import safetensors.torch
import torch
from test_contracts import items_of, shake
from toys import finished, tiny

from aigc_demo import checkpoint, config, data, engine, model, trainer
from aigc_demo.modalities import latents
from aigc_demo.modalities.image import Modality as Image
from aigc_demo.model import build, draw_latents
from aigc_demo.nets.codec import Codec

SCENES = {"data.source": "scenes", "data.limit": 60}
GRID = {**SCENES, "model.width": 8, "model.planes": 3}


def weights(channels=3, planes=2):
    torch.manual_seed(0)
    return safetensors.torch.save(Codec.new(channels, planes, 8).state_dict())


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A finished VAE whose latent is a small picture."""
    return finished(tiny("vae:grid", 8, {**GRID, "name": "grid-toy"}), tmp_path_factory.mktemp("grid"))


def through(grid, steps=4, **changes):
    return tiny("text_to_image:tiny", steps, {**SCENES, "model.patch": 1, "codec": str(grid.path), **changes})


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_is_a_codec_whose_latents_are_its_means_and_whose_pictures_are_its_samples(channels):
    pictures = Image(16, channels)
    built = build(model.plan("vae:grid", {"model.width": 8, "model.planes": 3}), pictures, 10).eval()
    shake(built)
    assert built.latent == (3 * 4 * 4,)
    assert built.classes == 0
    codec = Codec.of(built.codec.state_dict())
    x = items_of(pictures, 5).x
    mu, _ = built.encode(x)
    torch.testing.assert_close(codec.latents(x).flatten(1), mu)
    z = draw_latents(built.latent, 1, range(5))
    torch.testing.assert_close(codec.pictures(z.view(5, 3, 4, 4)).clamp(-1, 1), built.sample(z, built.Sampling()))
    assert build(model.plan("vae:conv"), pictures, 0).codec is None


def test_a_latent_keeps_the_places_of_a_picture():
    seen = latents.Modality(16, 3, weights())
    assert (seen.shape, seen.space) == ((3, 16, 16), (2, 4, 4))
    items = torch.randint(256, (1, 3, 16, 16), dtype=torch.uint8)
    other = items.clone()
    other[..., :2, :2] = 255 - other[..., :2, :2]
    moved = (seen.encode(items) - seen.encode(other)).abs().amax((0, 1))
    assert moved[0, 0] > 1e-4, "and what lies far from it stays"
    assert moved[3, 3] < moved[0, 0] / 100
    made = seen.decode(seen.encode(items))
    assert (made.shape, made.dtype) == (items.shape, torch.uint8)
    light = Image(16, 3).measures(Image(16, 3).encode(made).float())["brightness"]
    torch.testing.assert_close(seen.measures(seen.encode(items))["brightness"], light, atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ((16, 3, b"no weights"), "codec: not the weights of one"),
        ((16, 3, safetensors.torch.save({"a": torch.zeros(1)})), "codec: not the weights of one"),
        ((16, 1, weights(3)), "codec: of pictures of 3 channels, and these have 1"),
        ((18, 3, weights()), "size: 18 is not a multiple of 4"),
    ],
)
def test_what_is_no_codec_of_such_pictures_is_named(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        latents.Modality(*fields)


def test_a_flow_of_words_learns_in_the_latent_space_and_draws_without_the_vae(grid, tmp_path):
    alone = tmp_path / "grid"
    shutil.copytree(grid.path, alone)
    run = through(dataclasses.replace(grid, path=alone), name="latent-toy")
    found = finished(run, tmp_path / "run")
    shutil.rmtree(alone)
    assert found.modality.kind == "latents"
    assert (found.path / "codec.safetensors").is_file()
    assert checkpoint.load(found).latent == (3, 4, 4)
    kind = engine.Engine()
    asked = engine.Request("latent-toy", 3)
    sample = kind.draw([asked], name=found)[0]
    assert sample.item.shape == (3, 16, 16)
    assert engine.recall(kind.file(sample))[0].seed == 3
    card = (found.path / "README.md").read_text("utf-8")
    assert "--set codec=grid" in card
    assert str(tmp_path) not in card
    assert trainer.Trainer(through(found)).modality.codec == found.modality.codec, "what learnt through a codec passes it on"


def test_in_a_latent_space_stop_and_resume_is_the_straight_run_and_another_space_is_other_data(grid, tmp_path):
    run = through(grid, 6)
    found, straight = trainer.resume_check(run, 2), trainer.Trainer(run)
    assert found.straight == found.paused
    assert straight.modality.space == (3, 4, 4)
    plain = data.load(run.data, run.seed, 16)
    other = plain.through(weights())
    assert len({plain.digest, other.digest, straight.dataset.digest}) == 3
    (tmp_path / "state").write_bytes(straight.state())
    with pytest.raises(trainer.TrainingError, match="was made with other data"):
        trainer.Trainer(tiny("text_to_image:tiny", 6, {**SCENES, "model.patch": 1})).restore(tmp_path / "state")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data.source": "digits", "data.channels": 1}, "codec: of pictures of 3 channels, and these have 1"),
        ({"codec": "nowhere"}, "nowhere"),
        ({"codec": "mnist-vae"}, "codec: mnist-vae is a vae:.*, which has none: train a vae:grid"),
    ],
)
def test_a_codec_that_does_not_fit_is_a_sentence(grid, changes, sentence):
    with pytest.raises((config.ConfigError, data.DataError, checkpoint.CheckpointError), match=sentence):
        trainer.Trainer(through(grid, **changes))


def test_only_what_reads_words_learns_in_latents(grid):
    with pytest.raises(config.ConfigError, match="family: flow works on image, points, audio, not on latents"):
        trainer.Trainer(tiny("flow:tiny", 2, {**SCENES, "codec": str(grid.path)}))
    with pytest.raises(data.DataError, match="codec: it turns pictures into latents, and these are points"):
        data.load(config.Data(source="moons", limit=20)).through(weights())
