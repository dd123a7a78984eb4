"""Pictures in and out: what is read is what was drawn, what cannot be read is named, and a round trip loses nothing."""

import io
import warnings

import numpy as np
import pytest
import torch
from hostile import BLUE, NO_RECIPES, READ, RED, REFUSED, halves, png, saved
from PIL import Image

from aigc_demo import modality
from aigc_demo.modalities.image import MAT, Modality, is_grey, on_white


@pytest.mark.parametrize(("size", "channels"), [(0, 1), (513, 3), (28, 2), (28, 5), (28.0, 1), ("28", 1), (True, 1), (28, True)])
def test_a_size_or_a_number_of_channels_that_cannot_be_is_refused(size, channels):
    with pytest.raises(ValueError, match=r"size|channels"):
        Modality(size, channels)


def test_it_travels_as_json():
    assert modality.to_json(Modality(28, 3)) == {"kind": "image", "size": 28, "channels": 3}
    assert modality.from_json({"kind": "image", "size": 28, "channels": 3}) == Modality(28, 3)
    with pytest.raises(ValueError, match="sides"):
        modality.from_json({"kind": "image", "size": 28, "channels": 3, "sides": 4})


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # PIL says so and reads on
@pytest.mark.parametrize("name", READ)
def test_an_odd_file_is_read_right(name):
    data, (left, right) = READ[name]
    item = Modality(16, 3).read(data)
    assert item.shape == (3, 16, 16)
    assert item.dtype == torch.uint8
    assert item.is_contiguous()
    seen = item[:, 8, 2].tolist(), item[:, 8, 13].tolist()
    assert np.abs(np.array(seen) - np.array((left, right))).max() <= 12, seen  # CMYK and JPEG lose a little


@pytest.mark.parametrize("name", [n for n in REFUSED if "picture in" not in n])
def test_a_bad_file_is_named_with_its_reason(name):
    data, reason = REFUSED[name]
    with pytest.raises(modality.BadItem) as error:
        Modality(16, 3).read(data)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_no_length_of_a_cut_file_is_anything_but_an_item_or_a_reason():
    for whole in (
        png(),
        saved(halves(), "GIF"),
        saved(halves(), "TIFF"),
        saved(halves(), "WEBP"),
        saved(halves(), "JPEG"),
        saved(halves(), "PPM"),
    ):
        for length in range(0, len(whole), 7):
            try:
                item = Modality(8, 1).read(whole[:length])
            except modality.BadItem:
                continue
            assert item.shape == (1, 8, 8)


def test_a_huge_picture_is_refused_whatever_the_warnings_say():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in REFUSED:
            if "by its header" in name:
                with pytest.raises(modality.BadItem, match="too many"):
                    Modality(16, 3).read(REFUSED[name][0])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # PIL says so and reads on
def test_reading_leaves_the_settings_of_pil_alone():
    from PIL import ImageFile

    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    for data, _ in [*READ.values(), *REFUSED.values()]:
        try:
            Modality(16, 1).read(data)
        except modality.BadItem:
            continue
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_what_was_done_to_a_picture_is_told():
    look = Modality(16, 3).look
    assert look(png())[1] == ()
    assert look(READ["animated.gif"][0])[1] == ("of several frames: the first taken",)
    assert look(READ["la.png"][0])[1] == ("transparent: laid on white",)
    assert look(READ["grey 16 bits.png"][0])[1] == ("deeper than 8 bits: scaled to 8",)


def test_the_centre_is_kept_and_a_picture_of_the_right_size_is_untouched():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 60, 3), np.uint8)
    item = Modality(20, 3).read(saved(Image.fromarray(pixels)))
    assert np.array_equal(item.permute(1, 2, 0).numpy(), pixels[:, 20:40])


def test_shrinking_is_antialiased():
    stripes = np.zeros((256, 256), np.uint8)
    stripes[:, ::2] = 255
    for item in (Modality(16, 1).read(saved(Image.fromarray(stripes))), Modality(16, 1).resize(torch.from_numpy(stripes)[None, None])[0]):
        assert item.float().sub(127.5).abs().max() < 6


def test_encode_and_decode_are_inverse_and_decode_clips():
    image = Modality(16, 1)
    items = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    x = image.encode(items)
    assert x.dtype == torch.float32
    assert x.min() == -1
    assert x.max() == 1
    assert torch.equal(image.decode(x), items)
    assert torch.equal(image.decode(x + 0.0039 * 0.9), items)  # less than half a level away
    odd = torch.tensor([-9.0, 9.0, float("inf"), -float("inf"), float("nan")])
    assert image.decode(odd).tolist() == [0, 255, 255, 0, 128]
    assert image.decode(x.bfloat16()).dtype == torch.uint8


@pytest.mark.parametrize("channels", [1, 3])
def test_a_written_file_gives_back_its_pixels_and_its_recipe(channels):
    image = Modality(9, channels)
    item = torch.randint(256, image.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    recipe = {"model": "vae", "seed": 7, "caption": 'a "red" cercle à gauche 🙂', "latent": [0.125, -1e-9]}
    data = image.write(item, recipe)
    assert torch.equal(image.read(data), item)
    assert image.recipe_of(data) == recipe
    assert b"tEXtaigc_demo" in data
    assert image.recipe_of(image.write(item)) is None
    assert data == image.write(item, recipe)
    with pytest.raises(ValueError):
        image.write(item, {"loss": float("nan")})


@pytest.mark.parametrize("name", NO_RECIPES)
def test_a_stranger_s_file_has_no_recipe(name):
    assert Modality.recipe_of(NO_RECIPES[name]) is None


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_shows_every_item_in_its_place(channels):
    image = Modality(8, channels)
    items = torch.randint(256, (5, *image.shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    sheet = image.sheet(items, 3)
    assert sheet.shape == (2 * 9 - 1, 3 * 9 - 1, 3)
    assert sheet.dtype == np.uint8
    for place in range(5):
        top, left = place // 3 * 9, place % 3 * 9
        assert np.array_equal(sheet[top : top + 8, left : left + 8], items[place].expand(3, 8, 8).permute(1, 2, 0).numpy())
    for empty in (sheet[8], sheet[9:, 18:]):  # a gutter, and the place of a sixth picture
        assert (empty == MAT).all()
    assert image.sheet(items, 99).shape == (8, 5 * 9 - 1, 3)
    for wrong in ((items[:0], 3), (items, 0)):
        with pytest.raises(ValueError):
            image.sheet(*wrong)


def test_resize_agrees_with_pil_and_turns_colour_into_grey_and_back():
    pixels = np.random.default_rng(3).integers(0, 256, (2, 30, 40, 3), np.uint8)
    items = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    small = Modality(13, 3).resize(items)
    assert small.shape == (2, 3, 13, 13)
    assert small.dtype == torch.uint8
    for item, picture in zip(small, pixels, strict=True):
        expected = Image.fromarray(picture[:, 5:35]).resize((13, 13), Image.Resampling.BICUBIC)
        assert np.abs(item.permute(1, 2, 0).numpy().astype(int) - np.asarray(expected)).max() <= 1
    grey = Modality(30, 1).resize(items)
    assert np.array_equal(grey[0, 0].numpy(), np.asarray(Image.fromarray(pixels[0, :, 5:35]).convert("L")))
    assert torch.equal(Modality(30, 3).resize(grey), grey.expand(-1, 3, -1, -1))
    assert torch.equal(Modality(30, 3).resize(items[:, :, :, 5:35]), items[:, :, :, 5:35])


def test_grey_is_told_from_colour():
    image = Modality(16, 3)
    assert is_grey(image.read(saved(halves().convert("L")))[None])
    assert is_grey(image.read(saved(halves(64, 64).convert("L").convert("RGB"), "JPEG"))[None])
    assert not is_grey(torch.stack([image.read(saved(halves().convert("L"))), image.read(png())]))
    assert not is_grey(image.read(png(left=RED, right=BLUE))[None])


def test_a_grey_read_is_rec_601():
    item = Modality(16, 1).read(png())
    assert torch.equal(item, torch.from_numpy(np.array(Image.open(io.BytesIO(png())).convert("L")))[None])


# What can be read off a picture


def drawn(size=32, channels=1, paper=-1.0, ink=1.0, box=(8, 8, 16, 16), shear=0.0):
    """A box (left, top, width, height) on paper, sheared to the right, upwards, by `shear`."""
    x = torch.full((1, channels, size, size), paper)
    left, top, width, height = box
    for row in range(top, top + height):
        shift = round(shear * (top + height / 2 - row))
        x[..., row, left + shift : left + shift + width] = ink
    return x


def read_off(**changes):
    return {name: value.item() for name, value in Modality.measures(drawn(**changes)).items()}


@pytest.mark.parametrize(
    ("name", "less", "more"),
    [
        ("brightness", {"ink": 0.2}, {"ink": 0.9}),
        ("thickness", {"box": (10, 4, 4, 24)}, {"box": (10, 4, 12, 24)}),
        ("size", {"box": (8, 8, 8, 16)}, {"box": (8, 8, 16, 16)}),
        ("aspect", {"box": (8, 8, 16, 16)}, {"box": (8, 8, 16, 8)}),
        ("left-right", {"box": (2, 8, 16, 16)}, {"box": (12, 8, 16, 16)}),
        ("up-down", {"box": (8, 12, 16, 16)}, {"box": (8, 2, 16, 16)}),
        ("slant", {"shear": -0.5}, {"shear": 0.5}),
    ],
)
def test_a_measure_follows_what_it_is_named_after(name, less, more):
    assert read_off(**less)[name] < read_off(**more)[name] - 0.1


def test_measures_are_in_half_sides_and_do_not_depend_on_shade_or_paper():
    dark = read_off(box=(4, 6, 8, 16))
    assert dark["size"] == pytest.approx((8 * 16) ** 0.5 / 16, abs=0.01)
    assert dark["aspect"] == pytest.approx(np.log(8 / 16), abs=0.03)
    assert dark["left-right"] == pytest.approx((8 - 16) / 16, abs=0.03)
    assert dark["up-down"] == pytest.approx((16 - 14) / 16, abs=0.03)
    assert dark["slant"] == pytest.approx(0, abs=1e-3)
    for paper, ink in ((-1.0, -0.3), (1.0, -0.8)):
        other = read_off(box=(4, 6, 8, 16), paper=paper, ink=ink)
        for name in set(other) - {"brightness"}:
            assert other[name] == pytest.approx(dark[name], abs=1e-3), name


def test_colour_has_three_more_measures_and_a_blank_picture_has_all():
    red, blue = (drawn(channels=3, paper=0.9) for _ in range(2))
    red[:, 1:, 8:24, 8:24], blue[:, :2, 8:24, 8:24] = -1.0, -1.0
    values = Modality.measures(torch.cat([red, blue]))
    assert values["warmth"][0] > values["warmth"][1] + 1
    torch.testing.assert_close(values["background"], torch.full((2,), 0.9))
    torch.testing.assert_close(values["background-warmth"], torch.zeros(2))
    cream = red.clone()
    cream[:, 2][cream[:, 2] == 0.9] = 0.7
    warmer = Modality.measures(cream)
    assert warmer["background-warmth"].item() == pytest.approx(0.2)
    assert warmer["warmth"].item() == pytest.approx(values["warmth"][0].item(), abs=0.02)
    blank = Modality.measures(torch.ones(2, 3, 8, 8))
    assert blank.keys() == values.keys()
    assert all(v.isfinite().all() for v in blank.values())


def test_noise_on_the_background_moves_no_measure_of_the_shape():
    clean = drawn(box=(10, 10, 8, 8))
    noisy = clean + 0.12 * torch.rand(clean.shape, generator=torch.Generator().manual_seed(1)) - 0.06
    was, seen = ({name: v.item() for name, v in Modality.measures(x).items()} for x in (clean, noisy))
    for name in ("thickness", "size", "aspect", "left-right", "up-down", "slant", "top-heavy"):
        assert seen[name] == pytest.approx(was[name], abs=0.02), name


def test_a_picture_with_hardly_a_shape_holds_a_small_one():
    speck, shape = torch.full((1, 3, 32, 32), 0.9), drawn(channels=3)
    speck[:, :, 3, 4] = 0.8
    assert Modality.measures(speck)["size"] < 0.2 * Modality.measures(shape)["size"]


def test_top_heavy_is_wide_above():
    x = torch.full((2, 1, 32, 32), -1.0)
    x[0, :, 4:16, 4:28] = x[0, :, 16:28, 13:19] = 1.0
    x[1] = x[0].flip(1)
    above, below = Modality.measures(x)["top-heavy"].tolist()
    assert above > 0.1
    assert below == pytest.approx(-above, abs=1e-4)


def test_what_is_transparent_is_kept_in_a_fourth_channel():
    kind = Modality(16, 4)
    seen = Image.new("RGBA", (32, 32), (10, 20, 30, 0))
    seen.paste((200, 40, 40, 255), (0, 0, 16, 32))
    seen.paste((0, 0, 255, 128), (16, 16, 32, 32))
    item = kind.read(saved(seen))
    assert item.shape == kind.shape == (4, 16, 16)
    assert item[:, 2, 2].tolist() == [200, 40, 40, 255]
    assert item[:, 2, 13].tolist() == [255, 255, 255, 0], "nothing is seen of what colour it was"
    assert item[:, 13, 13].tolist() == [0, 0, 255, 128]
    assert torch.equal(kind.decode(kind.encode(item[None]))[0], item)
    made = Image.open(io.BytesIO(kind.write(item, {"seed": 1})))
    assert made.mode == "RGBA"
    assert torch.equal(kind.read(kind.write(item)), item)
    assert kind.sheet(item[None], 1)[13, 13].tolist() == [127, 127, 255], "a sheet lies on white"
    assert torch.equal(on_white(item[None])[0, :, :, :4], Modality(16, 3).read(saved(seen))[:, :, :4])
    opaque = kind.resize(torch.full((2, 1, 16, 16), 7, dtype=torch.uint8))
    assert opaque[0, :, 0, 0].tolist() == [7, 7, 7, 255]


def test_a_transparent_picture_is_measured_as_it_looks_on_white():
    clear, white = torch.ones(1, 4, 16, 16), torch.ones(1, 3, 16, 16)
    clear[:, 3] = -1
    clear[:, :, 4:12, 4:8] = torch.tensor([-1.0, 0.2, 0.4, 1.0]).view(1, 4, 1, 1)
    white[:, :, 4:12, 4:8] = torch.tensor([-1.0, 0.2, 0.4]).view(1, 3, 1, 1)
    clear[:, 0, 0, 0] = -1  # of what is not seen
    seen, like = Modality.measures(clear), Modality.measures(white)
    assert seen.keys() == like.keys()
    for name, value in seen.items():
        torch.testing.assert_close(value, like[name])
