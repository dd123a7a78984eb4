"""The views beside the sliders in a real browser: what they show is what the engine draws, and what they write plays and is labelled."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hostile import png
from test_page import differ, drawn, explored, right, shown, sliders

from aigc_demo.exploration import maps, restoring, walks
from aigc_demo.provenance import label
from aigc_demo.studio import explore

pytestmark = pytest.mark.browser
pytest_plugins = ["pages"]

TILED = "() => document.querySelector('canvas.map').dataset.missing === '0'"
PLAYED = """(src) => new Promise((done) => {
  const video = document.createElement('video');
  video.onloadeddata = () => done(video.duration);
  video.onerror = () => done(0);
  video.src = src;
})"""


def view(visit, id, name="tiny-vae", **settings):
    """The page with a checkpoint open and a view chosen."""
    page, first = explored(visit, name, **settings)
    page.locator(f"[data-tab={id}]").click()
    page.locator(f"[data-panel={id}]").wait_for()
    return page, first


def at(page, selector, across, down):
    box = page.locator(selector).bounding_box()
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def test_the_picture_follows_a_point_dragged_over_the_map(visit, site):
    page, first = view(visit, "map")
    page.wait_for_function(TILED)
    page.mouse.click(*at(page, "canvas.map", 0.5, 0.5))
    page.wait_for_function("() => JSON.parse(document.querySelector('.pad').dataset.drawn).place")
    seen = [first, right(site, page)]
    assert shown(page)[0]["place"] == [0, 0]
    page.mouse.move(*at(page, "canvas.map", 0.5, 0.5))
    page.mouse.down()
    farther = "(x) => JSON.parse(document.querySelector('.pad').dataset.drawn).place[0] > x"
    for step in range(1, 5):
        x = shown(page)[0]["place"][0]
        page.mouse.move(*at(page, "canvas.map", 0.5 + 0.1 * step, 0.5 - 0.05 * step))
        page.wait_for_function(farther, arg=x)
        seen.append(shown(page)[1])
    page.mouse.up()
    assert differ(*seen)
    place = shown(page)[0]["place"]
    assert not differ(seen[-1], right(site, page))
    page.wait_for_function("() => document.querySelector('.map-says').textContent.includes('Here: x')")
    (asked,) = maps.seeds(explore.request({**shown(page)[0], "place": None}), [place])
    assert site.engine.draw([asked], name=site.checkpoint("tiny-vae"))[0].request.place == tuple(place)

    before = page.evaluate("() => document.querySelector('canvas.map').toDataURL()")
    page.locator(".map-in").click()
    page.wait_for_function("(before) => document.querySelector('canvas.map').toDataURL() !== before", arg=before)
    page.wait_for_function(TILED)
    page.locator("canvas.map").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(farther, arg=place[0])
    right(site, page)


def test_each_map_draws_its_places(visit, site):
    page, _ = view(visit, "map")
    for kind, moves in (("sliders", "sliders"), ("plane", "numbers"), ("pca", "numbers"), ("data", "numbers")):
        before = shown(page)[0]
        page.locator("[name=map]").select_option(kind)
        page.wait_for_function(TILED)
        page.mouse.click(*at(page, "canvas.map", 0.7, 0.3))
        page.wait_for_function(
            "([part, before]) => JSON.stringify(JSON.parse(document.querySelector('.pad').dataset.drawn)[part]) !== before",
            arg=[moves, json.dumps(before[moves], separators=(",", ":"))],
        )
        right(site, page)
        if kind == "sliders":
            assert sliders(page)[0] > 0 < sliders(page)[1]
    assert page.locator(".map-legend span").count() == 10
    page.locator("[name=checkpoint]").select_option("tiny-gan")
    drawn(page, checkpoint="tiny-gan")
    page.wait_for_function("() => document.querySelector('[name=map] [value=data]').disabled")
    assert "no encoder" in page.locator("[name=map] [value=data]").inner_text()


def test_a_walk_plays_and_its_film_is_labelled(visit, site):
    page, first = view(visit, "walk", accept_downloads=True)
    page.locator(".walk-add").click()
    page.get_by_role("button", name="4", exact=True).click()
    page.locator(".walk-random").click()
    page.locator(".walk-random").click()
    assert page.locator(".walk-key").count() == 3
    page.locator("[name=walk-seconds]").fill("0.5")
    page.locator(".walk-play").click()
    seen = set()
    for _ in range(40):
        seen.add(page.evaluate("() => document.querySelector('.pad').dataset.frame"))
        page.wait_for_timeout(20)
    assert len(seen - {None}) >= 4
    page.locator(".walk-play").click()
    page.wait_for_function("() => Object.keys(JSON.parse(document.querySelector('.pad').dataset.drawn).numbers).length === 4")
    right(site, page)  # where the walk was stopped, which may be where it began

    av = pytest.importorskip("av", reason="the extra `film` is not installed")
    page.locator("[name=walk-kind]").select_option("mp4")
    page.locator("[name=walk-fps]").select_option("60")
    with page.expect_download() as download:
        page.locator(".walk-save").click()
    film = Path(download.value.path()).read_bytes()
    with av.open(io.BytesIO(film)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(container.streams.video[0])]
    assert (len(frames), frames[0].shape) == (30, (280, 280, 3))
    recipe = label.read(film).recipe
    assert recipe["fps"] == 60
    keys = [explore.request(k) for k in recipe["walk"]]
    asked = walks.walk(site.engine, keys, 30, recipe["way"], recipe["loop"], site.checkpoint("tiny-vae"))
    items = [s.item[0].numpy() for s in site.engine.draw(asked, name=site.checkpoint("tiny-vae"))]
    assert np.abs(np.stack(frames)[:, 5::10, 5::10, 0].astype(int) - np.stack(items)).max() <= 12
    duration = page.evaluate(PLAYED, "data:video/mp4;base64," + base64.b64encode(film).decode())
    assert duration in (0, pytest.approx(0.5, abs=0.05)), "a Chromium without H.264 plays none"

    page.locator(".walk-add-up").click()
    page.wait_for_function("() => document.querySelector('.walk-result').width === 28")
    assert differ(first, right(site, page))


def test_a_drawing_lands_on_its_digit_and_the_sliders_go_on_from_there(visit, site):
    page, first = view(visit, "invert", "mnist-vae")
    page.locator(".invert-go").click()
    page.wait_for_function("() => document.querySelector('.line').textContent.includes('blank')")
    page.mouse.move(*at(page, "canvas.paper", 80 / 280, 60 / 280))
    page.mouse.down()
    page.mouse.move(*at(page, "canvas.paper", 200 / 280, 60 / 280), steps=6)
    page.mouse.move(*at(page, "canvas.paper", 130 / 280, 230 / 280), steps=8)
    page.mouse.up()
    page.locator(".invert-go").click()
    page.wait_for_function("() => document.querySelector('.invert-says').dataset.found")
    assert page.locator(".invert-says").get_attribute("data-found") == "7"
    assert "centre of mass" in page.locator(".invert-notes").inner_text()
    found = right(site, page, label=7)
    assert page.locator(".chips [aria-pressed=true]").inner_text() == "7"
    page.locator("[data-tab=sliders]").click()
    page.locator("[data-slider='0']").fill("2")
    page.wait_for_function("() => JSON.parse(document.querySelector('.pad').dataset.drawn).sliders[0] === 2")
    assert differ(first, found, right(site, page, label=7))


def test_a_photo_is_dropped_and_what_is_no_picture_is_named(visit, site):
    page, _ = view(visit, "invert", "tiny-gan")
    file = page.locator(".invert-file input")
    file.set_input_files({"name": "no.png", "mimeType": "image/png", "buffer": b"no picture"})
    page.wait_for_function("() => document.querySelector('.line').textContent.startsWith('no.png is not a picture')")
    file.set_input_files({"name": "own.png", "mimeType": "image/png", "buffer": png(64, 64)})
    page.wait_for_function("() => !document.querySelector('.invert-pairs').hidden")
    assert "of 255 levels" in page.locator(".invert-says").inner_text()
    right(site, page)


def test_noise_is_put_on_a_test_picture_and_taken_off_and_a_family_that_cannot_has_no_such_view(visit, site):
    page, _ = view(visit, "restore", "tiny-autoencoder")
    seen = "() => document.querySelector('.restore-pictures').dataset.shown"
    page.wait_for_function(seen)
    first = json.loads(page.evaluate(seen))
    assert first[:3] == ["gaussian", 0.3, 0]
    found = site.checkpoint("tiny-autoencoder")
    made = restoring.restore(site.engine, found, [restoring.example(found, 0)], "gaussian", 0.3, 0)[0]
    assert first[3:] == [pytest.approx(made.before, abs=0.01), pytest.approx(made.after, abs=0.1)]
    assert f"With noise: {first[3]:.1f} dB" in page.locator(".restore-pictures").inner_text()
    page.locator("[name=restore-noise]").select_option("masking")
    page.locator("[name=restore-amount]").fill("0.6")
    page.locator(".restore-another").click()
    page.wait_for_function(f"() => ({seen})().startsWith('[\"masking\",0.6,1,')")
    before = page.evaluate(seen)
    own = found.modality.write(restoring.example(found, 5))
    page.locator(".restore-file input").set_input_files({"name": "own.png", "mimeType": "image/png", "buffer": own})
    page.wait_for_function(f"(before) => ({seen})() !== before", arg=before)
    page.locator(".restore-file input").set_input_files({"name": "no.png", "mimeType": "image/png", "buffer": b"no picture"})
    page.wait_for_function("() => document.querySelector('.line').textContent.startsWith('picture: ')")
    page.locator("[name=checkpoint]").select_option("tiny-gan")
    page.locator("[data-tab=restore]").wait_for(state="hidden")
    assert page.locator("[data-tab=sliders]").get_attribute("aria-selected") == "true"


def test_a_mask_is_filled_and_nothing_else_changes(visit, site):
    page, _ = explored(visit)
    assert page.locator("[data-tab=edit]").is_hidden(), "a VAE redraws nothing"
    page, _ = view(visit, "edit", "tiny-flow")
    pixels = "(selector) => [...document.querySelector(selector).getContext('2d').getImageData(0, 0, 20, 20).data]"
    before = np.array(page.evaluate(pixels, "canvas.hero")).reshape(20, 20, 4)
    page.mouse.move(*at(page, ".edit-paper", 0.15, 0.1))
    page.mouse.down()
    page.mouse.move(*at(page, ".edit-paper", 0.15, 0.9), steps=4)
    page.mouse.up()
    page.locator("[name=edit-strength]").fill("1")
    page.locator(".edit-go").click()
    page.wait_for_function("() => document.querySelector('.edit-says').dataset.changed")
    after = np.array(page.evaluate(pixels, ".edit-made canvas")).reshape(20, 20, 4)
    assert np.array_equal(after[:, 7:], before[:, 7:])
    assert (after[:, :5] != before[:, :5]).any()
    with page.expect_download() as saved:
        page.locator(".edit-save").click()
    assert label.read(Path(saved.value.path()).read_bytes()).recipe["edit"] == "redraw"
    page.locator(".edit-clear").click()
    file = page.locator(".edit-file input")
    file.set_input_files({"name": "own.png", "mimeType": "image/png", "buffer": png(64, 64, (0, 0, 0), (255, 255, 255))})
    page.wait_for_function("() => document.querySelector('.edit-paper').dataset.masked === 'false'")
    page.locator(".edit-go").click()
    page.wait_for_function("() => document.querySelector('.edit-says').textContent.includes('likeness')")


def test_two_models_side_by_side_both_follow(visit, site):
    page, _ = view(visit, "pair")
    page.locator("[name=pair]").select_option("mnist-vae")
    second = "() => document.querySelector('.pair-hero').toDataURL()"
    page.wait_for_function("() => document.querySelector('.pair-hero').dataset.drawn")
    pictures = [(shown(page)[1].tobytes(), page.evaluate(second))]
    for amount in ("1.5", "-2"):
        page.locator("[data-pair='0']").fill(amount)
        reached = f"(one) => JSON.parse(one.dataset.drawn).sliders[0] === {float(amount):g}"
        page.wait_for_function(f"() => ({reached})(document.querySelector('.pair-hero')) && ({reached})(document.querySelector('.pad'))")
        pictures.append((shown(page)[1].tobytes(), page.evaluate(second)))
    assert len({a for a, _ in pictures}) == len({b for _, b in pictures}) == 3
    assert "latents differ in length" in page.locator(".pair-says").inner_text()
    page.locator("[data-tab=sliders]").click()
    assert sliders(page)[0] == -2.0
