"""Pictures of one's own, redrawn and freed of noise: what is outside a mask stays to the bit, and bad input is a sentence."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from aigc_demo import engine
from aigc_demo.config import ConfigError
from aigc_demo.engine import Request
from aigc_demo.exploration import edits
from aigc_demo.provenance import label

ABLE = ("flow", "diffusion")


@pytest.fixture(params=ABLE)
def able(request, all_made):
    """A checkpoint of each family that edits."""
    return all_made[request.param]


def picture(size=16, seed=0):
    return torch.randint(0, 256, (1, size, size), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def left(size=16):
    mask = torch.zeros(size, size, dtype=torch.bool)
    mask[:, : size // 2] = True
    return mask


def png(pixels):
    out = io.BytesIO()
    Image.fromarray(pixels.numpy().astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def test_outside_the_mask_every_pixel_is_the_pictures_own(able):
    item, kind = picture(), engine.Engine()
    made = edits.redraw(kind, Request(able.name, 3, label=4), item, 1.0, left())
    assert torch.equal(made.item[:, :, 8:], item[:, :, 8:])
    assert (made.item[:, :, :8] != item[:, :, :8]).float().mean() > 0.5
    assert made.changed == pytest.approx((made.item[0].int() - item[0].int()).abs().gt(1).float().mean().item())
    again = edits.redraw(engine.Engine(), Request(able.name, 3, label=4), item, 1.0, left())
    assert torch.equal(again.item, made.item), "the same seed, the same picture"
    assert not torch.equal(edits.redraw(kind, Request(able.name, 5, label=4), item, 1.0, left()).item, made.item)


def test_strength_is_how_much_is_changed(able):
    item, kind = picture(), engine.Engine()
    likeness = [edits.redraw(kind, Request(able.name), item, s).psnr for s in (0.02, 0.3, 1.0)]
    assert likeness[0] > likeness[1] > likeness[2] - 0.5
    assert likeness[0] > 25


def test_a_class_is_redrawn_and_noise_taken_off(able):
    item, kind = picture(), engine.Engine()
    of = [edits.redraw(kind, Request(able.name, label=k), item).item for k in (None, 2, 3)]
    assert not any(torch.equal(a, b) for a, b in zip(of, of[1:] + of[:1], strict=True))
    rough = torch.full((1, 16, 16), 100) + (20 * torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(0))).int()
    made = edits.denoise(kind, Request(able.name), rough.clamp(0, 255).to(torch.uint8), 20.0)
    assert made.item.shape == item.shape
    assert not torch.equal(made.item, made.original)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"strength": 0.0}, r"^strength: 0\.0 is not above 0, at most 1$"),
        ({"strength": float("nan")}, r"^strength: nan "),
        ({"mask": torch.zeros(16, 16, dtype=torch.bool)}, r"^mask: .* with 0 pixels to redraw; it needs \(16, 16\) and some$"),
        ({"mask": left(8)}, r"^mask: \(8, 8\) with "),
        ({"item": picture(8)}, r"^picture: of shape \(1, 8, 8\), and the model draws \(1, 16, 16\)$"),
        ({"request": {"label": 10}}, r"^label: 10 is not a class"),
    ],
)
def test_what_cannot_be_edited_is_said(able, changes, says):
    asked = {"item": picture(), **changes}
    request = Request(able.name, **asked.pop("request", {}))
    with pytest.raises(ConfigError, match=says):
        edits.redraw(engine.Engine(), request, **asked)


def test_noise_without_a_deviation_and_a_family_that_draws_in_one_go_are_refused(all_made):
    with pytest.raises(ConfigError, match=r"^denoise: 0 is not a deviation above 0"):
        edits.denoise(engine.Engine(), Request(all_made["flow"].name), picture(), 0)
    with pytest.raises(ConfigError, match=r"^vae-toy: a vae cannot edit; take a flow or a diffusion$"):
        edits.redraw(engine.Engine(), Request(all_made["vae"].name), picture())


def test_the_command_line_edits_within_a_mask(all_made, aigc, tmp_path):
    name, item = all_made["flow"].name, picture()
    (tmp_path / "in.png").write_bytes(png(item[0]))
    (tmp_path / "mask.png").write_bytes(png(left().to(torch.uint8) * 255))
    arguments = (name, tmp_path / "in.png", "--mask", tmp_path / "mask.png", "--strength", 0.9, "--class", 3, "-o", tmp_path / "out.png")
    code, out, _ = aigc("edit", *arguments, "--json")
    assert code == 0
    assert json.loads(out)["changed"] > 0.2
    data = (tmp_path / "out.png").read_bytes()
    made = torch.from_numpy(np.array(Image.open(io.BytesIO(data))))
    assert torch.equal(made[:, 8:], item[0, :, 8:])
    recipe = label.read(data).recipe
    assert (recipe["edit"], recipe["strength"], recipe["masked"], recipe["by"]["label"]) == ("redraw", 0.9, True, 3)
    code, _, said = aigc("sample", "--recipe", tmp_path / "out.png", "-o", tmp_path / "again.png")
    assert (code, "describes no sample" in said) == (2, True), "an edit is not drawn from a latent alone"
    assert aigc("edit", name, tmp_path / "in.png", "--denoise", 20, "-o", tmp_path / "clean.png")[0] == 0
    for words, says in (
        (("--mask", tmp_path / "in.txt"), "no such file"),
        (("--mask", tmp_path / "mask.png", "--denoise", 3), "--mask: noise is taken off the whole picture"),
        (("--strength", 2), "strength: 2.0 is not above 0, at most 1"),
    ):
        code, _, said = aigc("edit", name, tmp_path / "in.png", *words, "-o", tmp_path / "none.png")
        assert code == 2
        assert says in said
    (tmp_path / "in.txt").write_text("no picture")
    assert aigc("edit", name, tmp_path / "in.txt", "-o", tmp_path / "none.png")[0] in (1, 2)
    assert not (tmp_path / "none.png").exists()
