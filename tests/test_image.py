"""Pictures in and out: what is read is what was drawn, what cannot be read is named, and a round trip loses nothing."""

import io
import warnings

import numpy as np
import pytest
import torch
from hostile import BLUE, NO_RECIPES, READ, RED, REFUSED, halves, png, saved
from PIL import Image

from aigc_demo import modality
from aigc_demo.modalities.image import MAT, Modality, is_grey


@pytest.mark.parametrize(("size", "channels"), [(0, 1), (513, 3), (28, 2), (28, 4), (28.0, 1), ("28", 1), (True, 1), (28, True)])
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
