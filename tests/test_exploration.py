"""Maps, walks and matches are ordinary requests: each draws again what was shown, and lies where it says."""

import io
import json
import math
import re

import numpy as np
import pytest
import torch
from hostile import REFUSED, saved
from PIL import Image, ImageDraw
from toys import FAMILIES, finished, tiny

from aigc_demo import checkpoint, data, latent
from aigc_demo.config import ConfigError, Data
from aigc_demo.data import framing
from aigc_demo.engine import Engine, Request
from aigc_demo.exploration import inversion, maps, walks
from aigc_demo.modalities.image import FilmError, Modality
from aigc_demo.provenance import label


@pytest.fixture
def engine():
    return Engine()


def alike(a, b, atol=1e-4):
    torch.testing.assert_close(a, b, atol=atol, rtol=0)


# Walks


@pytest.mark.parametrize("way", walks.WAYS)
def test_a_walk_passes_through_its_keys_at_even_times(made, engine, way):
    keys = [Request(made.name, seed=1, label=3), Request(made.name, seed=2, label=5, sliders=(2.0,)), Request(made.name, place=(0.5, 2))]
    stops = engine.points(keys)
    frames = walks.walk(engine, keys, 9, way)
    points = engine.points(frames)
    assert [f.label for f in frames] == [3, 3, 5, 5, 5, 5, None, None, None]
    alike(points[[0, 4, 8]], stops)
    middle = latent.slerp(stops[0], stops[1], torch.tensor([0.5]))[0] if way == "arc" else (stops[0] + stops[1]) / 2
    alike(points[2], middle)
    looped = engine.points(walks.walk(engine, keys, 6, way, loop=True))
    alike(looped[[0, 2, 4]], stops)
    end = latent.slerp(stops[2], stops[0], torch.tensor([0.5]))[0] if way == "arc" else (stops[2] + stops[0]) / 2
    alike(looped[5], end)


def test_a_walk_of_one_key_stands_still_and_all_frames_share_settings(made, engine):
    key = Request(made.name, seed=4, sampling={"truncation": 0.5})
    assert len({json.dumps(f.numbers) for f in walks.walk(engine, [key], 5)}) == 1
    mixed = walks.walk(engine, [key, Request(made.name, seed=1)], 3)
    assert all(f.sampling == {"truncation": 0.5} for f in mixed)
    assert len(engine.draw(mixed)) == 3


@pytest.mark.parametrize(
    ("keys", "frames", "way", "said"),
    [(0, 5, "arc", "keys"), (33, 5, "arc", "keys"), (2, 0, "arc", "frames"), (2, 9999, "arc", "frames"), (2, 5, "hop", "way")],
)
def test_a_walk_that_cannot_be_is_refused(made, engine, keys, frames, way, said):
    with pytest.raises(ConfigError, match=f"^{said}: "):
        walks.walk(engine, [Request(made.name)] * keys, frames, way)


def test_along_a_direction(made, engine):
    here = Request(made.name, seed=1, sliders=(0.5, 1.0))
    ends = walks.along(here, 1)
    assert [k.sliders for k in ends] == [(0.5, -3.0), (0.5, 3.0)]


def test_arithmetic_is_exact_where_it_must_be(made, engine):
    a, b, c = (Request(made.name, seed=s, label=s) for s in (1, 2, 3))
    alike(engine.points([walks.analogy(engine, a, a, c)]), engine.points([c]))
    made_of = walks.analogy(engine, a, b, c)
    assert made_of.label == 3
    za, zb, zc = engine.points([a, b, c])
    z = engine.points([made_of])[0]
    assert torch.nn.functional.cosine_similarity(z.flatten(), (za - zb + zc).flatten(), 0) > 0.99999


# Films


def frames(count, channels, size=28):
    """Pictures that all differ: a square that moves."""
    items = torch.zeros(count, channels, size, size, dtype=torch.uint8)
    for i in range(count):
        items[i, i % channels, i % (size - 6) : i % (size - 6) + 6, 4:24] = 255 - i
    return items


def unfolded(film, kind):
    """The film's pictures (N, H, W, 3), and its seconds."""
    if kind == "mp4":
        av = pytest.importorskip("av", reason="the extra `film` is not installed")
        with av.open(io.BytesIO(film)) as container:
            (stream,) = container.streams
            pictures = [f.to_ndarray(format="rgb24") for f in container.decode(stream)]
            assert (stream.codec.name, stream.pix_fmt) == ("h264", "yuv420p")
            return np.stack(pictures), float(stream.duration * stream.time_base)
    with Image.open(io.BytesIO(film)) as image:
        pictures, lasted = [], 0
        for i in range(image.n_frames):
            image.seek(i)
            image.load()
            pictures.append(np.asarray(image.convert("RGB")))
            lasted += image.info["duration"]
        assert image.info["loop"] == 0
        return np.stack(pictures), lasted / 1000


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("kind", "fps"), [("mp4", 60), ("webp", 60), ("gif", 30)])
def test_a_film_shows_each_picture_for_its_time(kind, fps, channels):
    items = frames(20, channels)
    pictures, seconds = unfolded(Modality(28, channels).film(items, fps, kind), kind)
    assert pictures.shape == (20, 280, 280, 3)
    assert seconds == pytest.approx(20 / fps, abs=0.006)
    shown = items.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    error = np.abs(pictures[:, 5::10, 5::10].astype(int) - shown)  # the middle of each square
    assert error.max() <= (0 if kind != "mp4" else 60 if channels == 3 else 12), "H.264 halves the resolution of colour"


@pytest.mark.parametrize(
    ("count", "fps", "kind", "said"),
    [
        (0, 30, "gif", "no picture"),
        (2, 0, "gif", "1 to 50"),
        (2, 51, "gif", "1 to 50"),
        (2, 61, "mp4", "1 to 60"),
        (2, 30, "avi", "not one of mp4, webp, gif"),
    ],
)
def test_a_film_that_cannot_be_is_refused(count, fps, kind, said):
    with pytest.raises(FilmError, match=said):
        Modality(28, 1).film(frames(count, 1), fps, kind)


@pytest.mark.parametrize("kind", ["mp4", "webp", "gif"])
def test_a_film_of_a_walk_is_labelled_and_its_recipe_draws_it_again(made, engine, kind):
    if kind == "mp4":
        pytest.importorskip("av", reason="the extra `film` is not installed")
    keys = [Request(made.name, seed=1, label=2), Request(made.name, seed=2, label=2)]
    film = walks.film(engine, keys, 10, 20, kind)
    said = label.read(film)
    assert said.source_type == label.SOURCE_TYPE
    recipe = said.recipe
    assert {k: recipe[k] for k in ("frames", "fps", "way", "loop")} == {"frames": 10, "fps": 20, "way": "arc", "loop": False}
    assert all(k.pop("digest") == made.digest for k in recipe["walk"])
    again = walks.walk(engine, [Request(**k) for k in recipe["walk"]], 10)
    shown, _ = unfolded(film, kind)
    drawn = torch.stack([s.item for s in engine.draw(again)]).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    middle = shown[:, 8::16, 8::16].astype(int)
    assert np.abs(middle - drawn).max() <= (12 if kind == "mp4" else 0)


@pytest.fixture(scope="module")
def ladder(tmp_path_factory):
    """A model whose latent has three layers."""
    small = {"model.width": 4, "model.latent": 3, "model.depth": 2, "name": "ladder-toy"}
    return finished(tiny("vae:hierarchical", 3, small), tmp_path_factory.mktemp("ladder"))


def test_a_mixture_has_the_first_layers_of_one_latent_and_the_rest_of_another(ladder, made, engine):
    levels = engine.warm(ladder).model.levels
    assert len(levels) == 3
    assert (sum(levels),) == engine.warm(ladder).model.latent
    a, b = Request(ladder.name, seed=1), Request(ladder.name, seed=2)
    za, zb = engine.points([a, b], ladder)
    for level in (1, 2):
        mixed = walks.mixture(engine, a, b, level, ladder)
        (z,) = engine.points([mixed], ladder)
        start = sum(levels[:level])
        alike(z[:start], za[:start])
        alike(z[start:], zb[start:])
    for wrong in (0, 3, -1):
        with pytest.raises(ConfigError, match=rf"level: {wrong} is not a number from 1 to 2"):
            walks.mixture(engine, a, b, wrong, ladder)
    with Image.open(io.BytesIO(walks.mixtures(engine, a, [1, 2], [3, 4, 5], 1, ladder))) as table:
        assert table.width > table.height
    with pytest.raises(ConfigError, match="coarse: a table has 1 to 8 seeds"):
        walks.mixtures(engine, a, [], [1], 1, ladder)
    with pytest.raises(ConfigError, match="has one layer"):
        walks.mixture(engine, Request(made.name), Request(made.name, seed=1), 1)


# Maps


def test_the_places_of_each_map_are_requests(made, engine):
    here = Request(made.name, seed=3, label=1, sliders=(0.5,), numbers={0: 1.0})
    (found,) = maps.seeds(here, [(0.25, -7)])
    assert (found.place, found.seed, found.label, found.sliders, found.numbers) == ((0.25, -7), 3, 1, (0.5,), {})
    (found,) = maps.sliders(here, (2, 1), [(1.5, -99)])
    assert found.sliders == (0.5, -8.0, 1.5)
    corners = [Request(made.name, seed=s, label=s) for s in range(3)]
    on = maps.plane(engine, corners, [(0, 0), (1, 0), (0, 1), (1 / 3, 1 / 3)])
    points, stops = engine.points(on), engine.points(corners)
    alike(points[:3], stops)
    torch.testing.assert_close(points[3].norm(), stops.flatten(1).norm(dim=1).mean(), rtol=1e-3, atol=0)
    assert {r.label for r in on} == {0}
    for wrong in ((0, 0), (-1, 2)):
        with pytest.raises(ConfigError, match="axes"):
            maps.sliders(here, wrong, [(0, 0)])
    with pytest.raises(ConfigError, match="corners"):
        maps.plane(engine, corners[:2], [(0, 0)])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_principal_map_goes_through_the_seeds_picture_along_the_components(all_made, engine, family):
    found, atlas = all_made[family], maps.Atlas(engine)
    here = Request(found.name, seed=3, label=1, sliders=(0.5,), numbers={0: 1.0})
    on = atlas.principal(here, [(0, 0), (2, 0), (0, 2), (2, 2)])
    assert {(r.label, r.seed, r.sliders, r.place) for r in on} == {(1, 3, (), None)}
    points = engine.points(on).flatten(1)
    alike(points[:1], engine.points([Request(found.name, seed=3, label=1)]).flatten(1))
    across, up = points[1] - points[0], points[2] - points[0]
    axes = latent.directions(engine.warm(found).model, "pca", seed=found.manifest.run.seed, count=2).vectors.flatten(1)
    alike(torch.stack([across, up]) / 2, axes)
    alike(points[3], points[0] + across + up)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_embedding_is_the_plane_of_the_test_set_where_there_is_an_encoder(all_made, engine, family):
    found = all_made[family]
    atlas = maps.Atlas(engine)
    if not hasattr(engine.warm(found).model, "encode"):
        with pytest.raises(ConfigError, match="this family has no encoder"):
            atlas.embedding(found)
        return
    made = atlas.embedding(found)
    assert made is atlas.embedding(found)
    test = data.load(Data(source="digits", size=16), part="test")
    assert torch.equal(made.labels, test.labels)
    model = engine.warm(found).model
    with torch.inference_mode():
        means = model.encode(found.modality.encode(test.items), test.labels)[0]
    alike(made.places.mean(0), torch.zeros(2))
    assert made.places.var(0)[0] >= made.places.var(0)[1]
    assert 0 < made.kept <= 1
    flat = means.flatten(1) - means.flatten(1).mean(0)
    axes = made.axes.flatten(1)
    alike(axes @ axes.T, torch.eye(2))
    alike(flat @ axes.T, made.places, atol=1e-3)
    assert made.kept == pytest.approx((made.places.square().sum() / flat.square().sum()).item(), rel=1e-3)
    (at,) = made.at(Request(found.name, label=7), [(1.0, -0.5)])
    assert at.label == 7
    alike(engine.points([at])[0], made.mean + made.axes[0] - 0.5 * made.axes[1])


def test_an_embedding_needs_the_test_set_here(all_made, engine, tmp_path, monkeypatch):
    monkeypatch.setenv("AIGC_DATA", str(tmp_path))
    found = next(m for m in all_made.values() if hasattr(engine.warm(m).model, "encode"))
    for source, said in (("mnist", "the test set of MNIST handwritten digits is not on this machine"), ("/pictures", "not a built-in set")):
        path = found.path / "config.json"
        config = json.loads(path.read_text())
        config["run"]["data"]["source"] = source
        path.write_text(json.dumps(config))
        with pytest.raises(ConfigError, match=said):
            maps.Atlas(engine).embedding(checkpoint.read(found.path))


# Back from a picture


def test_a_picture_that_the_model_drew_is_found_again(made, engine):
    (drawn,) = engine.draw([Request(made.name, seed=11, label=6)])
    seen = []
    match = inversion.invert(engine, Request(made.name, label=6), drawn.item, lambda done, item: seen.append((done, item)))
    (blank,) = engine.draw([Request(made.name, seed=99, label=6)])
    before = (blank.item.float() - drawn.item.float()).square().mean().sqrt().item()
    slow = len(engine.warm(made.name).model.latent) > 1  # a model that takes steps has time for a few rounds only
    assert match.rmse < (before / 4 if slow else min(3, before))
    assert match.psnr == pytest.approx(20 * math.log10(255 / match.rmse), abs=0.01)
    assert match.request.label == 6
    (again,) = engine.draw([match.request])
    assert torch.equal(again.item, match.item)
    shares = [done for done, _ in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert seen[0][1].shape == drawn.item.shape
    assert inversion.invert(engine, Request(made.name, label=6), drawn.item).request == match.request


def test_what_cannot_be_matched_is_refused(made, engine):
    with pytest.raises(ConfigError, match="picture: of shape"):
        inversion.invert(engine, Request(made.name), torch.zeros(1, 8, 8, dtype=torch.uint8))
    with pytest.raises(ConfigError, match="label: 10 is not a class"):
        inversion.invert(engine, Request(made.name, label=10), torch.zeros(made.modality.shape, dtype=torch.uint8))


def test_a_search_ends_in_time_with_the_best_so_far(made, engine, monkeypatch):
    monkeypatch.setattr(inversion, "LIMIT", 0.0)
    match = inversion.invert(engine, Request(made.name, label=1), torch.zeros(made.modality.shape, dtype=torch.uint8))
    assert match.seconds < 5
    assert match.request.label == 1


# Pictures framed as the data's


def drawing(ink, paper, box=(60, 40, 100, 200), size=300):
    image = Image.new("L", (size, size), paper)
    ImageDraw.Draw(image).ellipse(box, outline=ink, width=14)
    return saved(image)


@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (255, 0), (60, 200), (220, 30)])
def test_a_drawing_is_framed_as_mnist_is(ink, paper):
    item, notes = framing.framed(drawing(ink, paper), Modality(28, 1), "mnist")
    assert item.shape == (1, 28, 28)
    rows, columns = (item[0] > 20).nonzero().unbind(1)
    assert rows.max() - rows.min() + 1 in (19, 20, 21)
    assert columns.max() - columns.min() + 1 < 8
    weight = item[0].float()
    for axis in (0, 1):
        mean = (weight.sum(axis) * (torch.arange(28) + 0.5)).sum() / weight.sum()
        assert abs(mean - 14) <= 0.6
    assert item[0, 0].max() == 0
    assert any("turned to light on black" in note for note in notes) == (paper > ink)
    assert "centre of mass" in notes[-1]


def test_every_test_picture_of_mnist_s_kind_stays_as_it_is_and_framing_it_anew_hardly_moves_it():
    digits = data.load(Data(source="digits", size=28), part="test")
    item = digits.items[5]
    same, notes = framing.framed(Modality(28, 1).write(item), Modality(28, 1), "digits")
    assert torch.equal(same, item)
    assert notes == ()
    large = Image.fromarray(item[0].numpy()).resize((280, 280), Image.Resampling.BICUBIC)
    again, _ = framing.framed(saved(large), Modality(28, 1), "digits")
    assert (again.float() - item.float()).square().mean().sqrt() < 40


def test_colour_data_and_data_of_ones_own_are_read_as_they_are():
    drawn = drawing(0, 255)
    for modality, source in ((Modality(32, 3), "cifar10"), (Modality(16, 1), "/pictures")):
        assert torch.equal(framing.framed(drawn, modality, source)[0], modality.read(drawn))


@pytest.mark.parametrize("name", [n for n in REFUSED if "picture in" not in n][:6])
def test_a_bad_picture_is_named_with_its_reason(name):
    file, reason = REFUSED[name]
    with pytest.raises(data.DataError) as error:
        framing.framed(file, Modality(28, 1), "mnist")
    assert reason in str(error.value)


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_blank_picture_is_said_to_be_one(shade):
    with pytest.raises(data.DataError, match="blank"):
        framing.framed(saved(Image.new("L", (90, 90), shade)), Modality(28, 1), "mnist")


# The command line


def test_walk_and_invert_on_the_command_line(made, aigc, tmp_path):
    code, out, err = aigc(
        "walk", made.name, "--seeds", "1,2", "--frames", "6", "--fps", "12", "--class", "3", "-o", tmp_path / "w.gif", "--json"
    )
    assert (code, err) == (0, "")
    assert json.loads(out)["frames"] == 6
    film = (tmp_path / "w.gif").read_bytes()
    assert [k["seed"] for k in label.read(film).recipe["walk"]] == [1, 2]
    assert aigc("walk", made.name, "--slider", "2", "--frames", "4", "-o", tmp_path / "s.webp")[0] == 0
    assert [k["sliders"] for k in label.read((tmp_path / "s.webp").read_bytes()).recipe["walk"]] == [[0.0, -3.0], [0.0, 3.0]]

    assert aigc("sample", made.name, "--seed", "5", "--class", "8", "--n", "1", "-o", tmp_path / "p.png")[0] == 0
    assert (
        aigc("walk", made.name, "--key", tmp_path / "p.png", "--key", tmp_path / "p.png", "--frames", "2", "-o", tmp_path / "k.gif")[0] == 0
    )
    assert [(k["seed"], k["label"]) for k in label.read((tmp_path / "k.gif").read_bytes()).recipe["walk"]] == [(5, 8)] * 2
    code, out, err = aigc("invert", made.name, tmp_path / "p.png", "-o", tmp_path / "m.png", "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    assert said["request"]["digest"] == made.digest
    assert Modality.recipe_of((tmp_path / "m.png").read_bytes()) == said["request"]
    a, b = (Modality(16, 1).read((tmp_path / name).read_bytes()).float() for name in ("p.png", "m.png"))
    assert (a - b).square().mean().sqrt() == pytest.approx(said["rmse"], abs=0.01)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("walk", "NAME", "--seeds", "1,x"), "--seeds 1,x: write it as numbers"),
        (("walk", "NAME", "-o", "walk.avi"), "film: 'avi' is not one of mp4, webp, gif"),
        (("walk", "NAME", "--fps", "70", "-o", "walk.gif"), "film: a gif shows 1 to 50"),
        (("walk", "NAME", "--slider", "900"), "sliders: 900 given"),
        (("walk", "NAME", "--key", "README.md"), "README.md: there is no recipe inside"),
        (("walk", "NAME", "--key", "nowhere.png"), "nowhere.png: no such file"),
        (("walk", "NAME", "--frames", "5000"), "frames: 5000 is not a number from 1 to 1800"),
        (("invert", "NAME", "nowhere.png"), "nowhere.png: no such file"),
        (("invert", "NAME", "README.md"), "picture: not an image"),
        (("invert", "NAME", "README.md", "--class", "x"), "picture: not an image|--class"),
        (("sample", "NAME", "--place", "1"), "place: "),
    ],
)
def test_a_wrong_walk_or_picture_is_one_line(made, aigc, tmp_path, words, said, pytestconfig, monkeypatch):
    monkeypatch.chdir(pytestconfig.rootpath)
    code, out, err = aigc(*(made.name if w == "NAME" else w for w in words))
    assert (code, out) == (2, "")
    assert err.startswith("aigc: ")
    assert err.count("\n") == 1
    assert re.search(said, err), err
