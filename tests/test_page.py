"""The page in a real browser: what a visitor sees is what the engine draws, a run is followed by its link, and everybody can use it."""

import contextlib
import io
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from hostile import BLUE, RED, WHITE, png, zipped
from PIL import Image

from aigc_demo import checkpoint, files, history
from aigc_demo.engine import Request
from aigc_demo.modalities.image import Modality

pytestmark = pytest.mark.browser
pytest_plugins = ["pages"]

SHOWN = """() => {
  const pad = document.querySelector('.pad'), hero = pad.querySelector('canvas.hero');
  const { data } = hero.getContext('2d').getImageData(0, 0, hero.width, hero.height);
  return { state: JSON.parse(pad.dataset.drawn), width: hero.width, data: [...data] };
}"""
DRAWN = """(want) => {
  const drawn = document.querySelector('.pad')?.dataset.drawn, state = drawn && JSON.parse(drawn);
  return state && Object.entries(want).every(([key, value]) => JSON.stringify(state[key]) === JSON.stringify(value));
}"""
GREY = """() => {
  const canvas = document.querySelector('.moment canvas');
  return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data].filter((_, i) => i % 4 === 0);
}"""  # the pixels of the one latent beside the slider of time
IN_THE_MIDDLE = """() => {
  const cells = document.querySelectorAll('.lattice canvas');
  return cells[(cells.length - 1) / 2]?.toDataURL() === document.querySelector('canvas.hero').toDataURL();
}"""  # of the neighbours stands the picture itself
FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"  # what was asked for is painted by then
WORDS = {  # of the tabs, the dice and the button that starts a training
    "en-US": ("Explore", "Train", "Compare", "Roll another", "Train"),
    "zh-CN": ("探索", "训练", "对比", "换一个", "开始训练"),
    "zh-TW": ("探索", "訓練", "對比", "換一個", "開始訓練"),
}
REACHED = [  # by the keyboard alone
    *("[role=tab]", ".dice", ".reset", ".save", "[name=checkpoint]", "[name=seed]", ".chips button"),
    *("[data-slider]", "[data-sampling]", ".lattice button", ".pad summary"),
]
FOCUS = """(kinds) => {
  const at = document.activeElement, own = getComputedStyle(at);
  const outlined = own.outlineStyle !== 'none' && parseFloat(own.outlineWidth) > 0;
  return [kinds.filter((kind) => at.matches(kind)), outlined || own.boxShadow !== 'none'];
}"""
NOT_OURS = {  # (axe's rule, element): why it is left as it is
    ("label-content-name-mismatch", ".upload-container"): "Gradio's box is named by the label alone, and holds more words",
}
DROP = """([bytes, name]) => {
  const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(bytes)], name, { type: name.endsWith('png') ? 'image/png' : 'text/plain' }));
  document.querySelector('.line').textContent = '';
  document.querySelector('.mat').dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));
}"""
AXE = """() => axe.run({
  runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'], rules: { 'label-content-name-mismatch': { enabled: true } },
})"""


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


def right(site, page, **want):
    """Checks that the canvas shows what the engine draws of its state, to one value of 255; gives the pixels."""
    drawn(page, **want)
    state, pixels = shown(page)
    np.testing.assert_allclose(pixels, np.broadcast_to(site.picture(state).astype(int), pixels.shape), atol=2)  # colours of a level: 2
    return pixels


def explored(visit, name="tiny-vae", **settings):
    """The page with a checkpoint open, and its first picture."""
    page = visit(**settings)
    drawn(page)
    page.locator("[name=checkpoint]").select_option(name)
    return page, drawn(page, checkpoint=name)


def slider(page, k=0):
    return page.locator(f"[data-slider='{k}']")


def sliders(page):
    """The sliders' values as the page sends them."""
    return [float(v) for v in page.locator("[data-slider]").evaluate_all("all => all.map((one) => one.value)")]


def differ(*pictures):
    """Whether no two of the pictures are the same."""
    return len({p.tobytes() for p in pictures}) == len(pictures)


def follows(page, sliders):
    """Waits until the canvas shows the sliders' values; gives the pixels. (JSON of a whole number is the same in both languages.)"""
    return drawn(page, sliders=[int(v) if v.is_integer() else v for v in sliders])


def in_train(page):
    """The page with the tab Train open."""
    page.get_by_role("tab").nth(1).click()
    page.locator("#train-start").wait_for()
    return page


def in_compare(page):
    """The page with the tab Compare open, once its table is there."""
    page.get_by_role("tab").nth(2).click()
    page.locator(".compare tbody tr").first.wait_for()
    return page


def choose(page, label, option):
    """Chooses an option, by its first words, of one of Gradio's dropdowns."""
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=re.compile(rf"^\W*{option}\b")).click()


def says(page, pattern):
    """Waits until the line above the run's picture matches."""
    page.wait_for_function("(pattern) => new RegExp(pattern).test(document.querySelector('#train-status')?.innerText)", arg=pattern)


def toast(page):
    """The sentence of the newest error, which is then closed."""
    sentence = page.locator(".toast-message-text").last
    sentence.wait_for()
    told = sentence.inner_text()
    page.locator(".toast-close").last.click()
    sentence.wait_for(state="detached")
    return told


def moment(page, condition):
    """What the one latent beside the slider of time shows, once a condition on it holds: what was asked for, and the picture."""
    told = "() => JSON.parse(document.querySelector('.moment').dataset.drawn || 'null')"
    page.wait_for_function(f"() => {{ const drawn = ({told})(); return drawn && ({condition}); }}")
    return page.evaluate(told), page.locator(".moment canvas").evaluate("(one) => one.toDataURL()")


def unfold(page, title):
    page.locator("button.label-wrap", has_text=title).click()


def sample_picture(page):
    return page.locator("#train-picture img").get_attribute("src")


def faults(page):
    """What axe finds against WCAG 2.1 A and AA but for NOT_OURS: (rule, element, what is wrong)."""
    page.evaluate("(axe) => window.axe || (0, eval)(axe)", AXE_FILE_PATH.read_text("utf-8"))
    found = [(v["id"], n["target"][0], n["failureSummary"]) for v in page.evaluate(AXE)["violations"] for n in v["nodes"]]
    return [fault for fault in found if fault[:2] not in NOT_OURS]


# -- explore


def test_the_page_opens_with_a_picture_already_drawn(visit, site):
    page = visit()
    assert right(site, page).std() > 1
    assert shown(page)[0]["checkpoint"] == page.locator("[name=checkpoint]").input_value()


def test_every_shipped_checkpoint_opens_and_draws(visit, site):
    page = visit()
    drawn(page)
    names = page.locator("[name=checkpoint] option").evaluate_all("all => all.map((one) => one.value)")
    assert {c.name for c in checkpoint.shelf(files.shipped())} | {"tiny-gan", "tiny-vae"} <= set(names)
    for name in (n for n in names if site.checkpoint(n).modality.pictured):
        page.locator("[name=checkpoint]").select_option(name)
        assert right(site, page, checkpoint=name).std() > 1


def test_the_picture_follows_a_drag(visit, site):
    page, first = explored(visit)
    box = slider(page).bounding_box()
    middle, height = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(middle, height)
    page.mouse.down()
    seen = [first]
    for step in range(1, 9):
        page.mouse.move(middle + step * box["width"] / 20, height)
        seen.append(follows(page, sliders(page)))
    assert differ(*seen)
    page.mouse.up()
    assert sliders(page)[0] > 2
    assert not differ(seen[-1], right(site, page))


def test_the_arrow_keys_move_a_slider(visit, site):
    page, first = explored(visit)
    slider(page, 1).focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    follows(page, [0.0, -0.05, 0.0, 0.0])
    page.keyboard.press("Home")
    assert differ(first, follows(page, [0.0, -3.0, 0.0, 0.0]))
    right(site, page)


def test_the_last_value_wins(visit, site):
    page, _ = explored(visit)
    amounts = np.random.default_rng(0).uniform(-3, 3, 20).round(2).tolist()
    slider(page).evaluate("(one, amounts) => amounts.forEach((v) => { one.value = v; one.dispatchEvent(new Event('input')); })", amounts)
    follows(page, [amounts[-1], 0.0, 0.0, 0.0])
    slider(page).dispatch_event("change")
    page.wait_for_function(IN_THE_MIDDLE)  # asked for after all the others
    assert shown(page)[0]["sliders"][0] == amounts[-1]
    right(site, page)


def test_dice_classes_truncation_and_reset(visit, site):
    page, first = explored(visit)
    page.locator(".dice").click()
    page.wait_for_function("() => JSON.parse(document.querySelector('.pad').dataset.drawn).seed !== 7")
    rolled = right(site, page)
    page.locator("[name=seed]").fill("7")
    page.keyboard.press("Enter")
    assert not differ(first, right(site, page, seed=7))

    page.get_by_role("button", name="4", exact=True).click()
    four = right(site, page, label=4)
    page.locator("[data-sampling=truncation]").fill("0.25")
    typical = right(site, page, sampling={"truncation": 0.25})
    slider(page, 2).fill("1.5")
    moved = follows(page, [0.0, 0.0, 1.5, 0.0])
    assert differ(first, rolled, four, typical, moved)
    page.locator(".reset").click()
    assert not differ(four, right(site, page, sampling={}, label=4))
    assert sliders(page) == [0.0, 0.0, 0.0, 0.0]


def test_a_neighbour_moves_the_sliders(visit, site):
    page, first = explored(visit)
    page.wait_for_function(IN_THE_MIDDLE)
    cell = page.locator(".lattice button").first
    seen = cell.locator("canvas").evaluate("(one) => one.toDataURL()")
    cell.click()
    assert differ(first, right(site, page, sliders=[-3, 0.75, 0, 0]))
    assert sliders(page) == [-3.0, 0.75, 0.0, 0.0]
    assert page.locator("canvas.hero").evaluate("(one) => one.toDataURL()") == seen
    page.wait_for_function(IN_THE_MIDDLE)


def test_each_number_of_the_latent_can_be_set(visit, site):
    page, first = explored(visit)
    page.locator(".raw summary").click()
    page.locator("[data-number]").nth(3).wait_for()
    assert page.locator("[data-number]").count() == 4
    page.locator("[data-number='3']").fill("-2.5")
    assert differ(first, right(site, page, numbers={"3": -2.5}))


def test_a_download_and_the_command_draw_the_same_picture_again(visit, site, tmp_path):
    page, _ = explored(visit, accept_downloads=True)
    page.get_by_role("button", name="3", exact=True).click()
    slider(page, 1).fill("1.25")
    page.locator("[data-sampling=truncation]").fill("0.8")
    pixels = right(site, page, label=3, sliders=[0, 1.25, 0, 0], sampling={"truncation": 0.8})

    with page.expect_download() as download:
        page.locator(".save").click()
    saved = Path(download.value.path()).read_bytes()
    assert download.value.suggested_filename == "tiny-vae-7.png"
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(saved)).convert("RGB")), pixels)
    recipe = Modality.recipe_of(saved)
    assert recipe.pop("digest") == site.checkpoint("tiny-vae").digest
    np.testing.assert_allclose(np.broadcast_to(site.picture(recipe).astype(int), pixels.shape), pixels, atol=1)

    page.locator(".pad:not(.writer) .code summary").click()
    page.wait_for_function("() => document.querySelector('.shell')?.textContent.includes('--slider 2=1.25')")
    program, *words = shlex.split(page.locator(".shell").inner_text())
    assert (program, words[-2]) == ("aigc", "-o")
    done = site.aigc(*words[:-1], str(tmp_path / "again.png"))
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.array(Image.open(tmp_path / "again.png").convert("RGB")).astype(int), pixels, atol=1)


def test_two_visitors_do_not_see_each_others_sliders(visit, site):
    one, _ = explored(visit)
    other, first = explored(visit)
    slider(one).fill("2")
    moved = follows(one, [2.0, 0.0, 0.0, 0.0])
    other.get_by_role("button", name="5", exact=True).click()
    five = right(site, other, label=5, sliders=[0, 0, 0, 0])
    assert differ(moved, five, first)
    assert not differ(moved, right(site, one, label=0, sliders=[2, 0, 0, 0]))


def filmed(page, k=0):
    """Points at a slider and waits until its film strip is there."""
    slider(page, k).hover()
    page.wait_for_function("(axis) => JSON.parse(document.querySelector('.pad').dataset.filmed || '{}').axis === axis", arg=f"sliders.{k}")


@contextlib.contextmanager
def cut_off(page):
    """While it lasts the server hears nothing of the page's pictures; what was asked goes on its way at the end."""
    held = []
    asking = re.compile(r"/component_server/?$")  # Gradio's page asks with a slash at the end
    page.route(asking, lambda route: held.append(route))
    yield held
    for route in held:
        route.continue_()
    page.unroute(asking)  # sends on what came meanwhile


def test_a_drag_plays_from_the_film_strip_without_the_server(visit, site):
    page, first = explored(visit)
    state = shown(page)[0]
    filmed(page)
    box = slider(page).bounding_box()
    middle, height = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    with cut_off(page) as held:
        page.mouse.move(middle, height)
        page.mouse.down()
        seen = [first]
        for step in range(1, 13):
            page.mouse.move(middle + step * box["width"] / 26, height)
            page.evaluate(FRAMES)  # moves come with frames
            now, pixels = shown(page)
            at = sliders(page)[0]
            assert now == state  # the last picture of the server's own
            stops = [site.picture({**state, "sliders": [round(v, 6)]}) for v in (np.floor(10 * at) / 10, np.ceil(10 * at) / 10)]
            low, high = np.minimum(*stops).astype(int), np.maximum(*stops)
            assert (low - 1 <= pixels).all(), at  # a stop's picture, or a mix of two stops'
            assert (pixels <= high + 1).all(), at
            seen.append(pixels)
        assert differ(*seen)
        page.mouse.up()
        page.wait_for_timeout(200)
        assert not differ(seen[-1], shown(page)[1])
        assert held  # the exact picture was asked for
    follows(page, sliders(page))
    right(site, page)


def test_truncation_and_single_numbers_play_too(visit, site):
    page, first = explored(visit)
    page.locator(".raw summary").click()
    seen = [first]
    for axis, part in (("sampling.truncation", "[data-sampling=truncation]"), ("numbers.3", "[data-number='3']")):
        page.locator(part).focus()
        page.wait_for_function("(axis) => JSON.parse(document.querySelector('.pad').dataset.filmed || '{}').axis === axis", arg=axis)
        with cut_off(page):
            page.locator(part).evaluate("(one) => { one.value = 0.8; one.dispatchEvent(new Event('input')); }")  # a stop of both
            page.evaluate(FRAMES)
            seen.append(shown(page)[1])
        page.locator(part).dispatch_event("change")
    assert differ(*seen)
    drawn(page, numbers={"3": 0.8}, sampling={"truncation": 0.8})
    assert np.abs(seen[-1].astype(int) - right(site, page)).max() <= 1


def test_a_name_stays_and_what_is_kept_comes_first(visit):
    page, _ = explored(visit)
    page.locator("[data-way='2'] .title").click()
    page.keyboard.type("Slant <b>")
    page.keyboard.press("Enter")
    page.locator("[data-way='2'] .keep").click()
    titles = page.locator(".sliders .title")
    assert titles.first.inner_text() == "Slant <b>"
    assert "Slant <b>" in page.locator(".near-name").inner_text()
    page.wait_for_url(re.compile("keep=2"))
    page.reload()
    page.wait_for_function("() => document.querySelector('.sliders .title')?.textContent === 'Slant <b>'")
    titles.first.click()
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    assert titles.first.inner_text() != "Slant <b>"
    page.locator("[data-way='2'] .keep").click()
    assert page.locator("[data-slider]").first.get_attribute("data-slider") == "0"


def test_a_link_brings_back_the_picture(visit, site):
    page, _ = explored(visit, permissions=["clipboard-read", "clipboard-write"])
    slider(page, 1).fill("1.25")
    page.locator("[data-sampling=truncation]").fill("0.8")
    page.get_by_role("button", name="3", exact=True).click()
    page.locator("[name=seed]").fill("12")
    page.keyboard.press("Enter")
    there = right(site, page, seed=12, label=3, sliders=[0, 1.25, 0, 0])
    page.wait_for_url(re.compile(r"\?model=tiny-vae&.*seed=12.*sliders=0,1.25"))
    page.locator(".share").click()
    page.wait_for_function("() => document.querySelector('.share')?.textContent === 'Copied'")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.removeprefix(site.url) == page.url.removeprefix(site.url)

    query = link.removeprefix(site.url)
    guest = visit(query)
    assert not differ(there, drawn(guest, seed=12, label=3, sliders=[0, 1.25, 0, 0], sampling={"truncation": 0.8}))
    assert sliders(guest) == [0.0, 1.25, 0.0, 0.0]
    assert guest.locator(".pad:not(.writer) .line").inner_text() == ""

    plain = visit("?model=tiny-vae&seed=12&index=4")  # of no class: its index's, in turn
    right(site, plain, seed=12, index=4, label=None)
    assert plain.locator(".chips [aria-pressed=true]").all_inner_texts() == ["4"]
    assert plain.locator("canvas.hero").get_attribute("aria-label").endswith(", 4")

    other = visit(query.replace("hash=", "hash=0"))
    other.wait_for_function("() => document.querySelector('.line')?.textContent.startsWith('The link was made with another tiny-vae')")
    assert not differ(there, drawn(other, seed=12))
    gone = visit(query.replace("tiny-vae", "long-gone").replace("hash=", "hash=0"))
    gone.wait_for_function("() => document.querySelector('.line')?.textContent.startsWith('checkpoint long-gone: not here')")
    assert drawn(gone).std() > 1


def test_a_file_dropped_on_the_picture_brings_it_back(visit, site):
    page, first = explored(visit, accept_downloads=True)
    slider(page, 2).fill("-1.5")
    page.get_by_role("button", name="8", exact=True).click()
    there = right(site, page, label=8, sliders=[0, 0, -1.5, 0])
    with page.expect_download() as download:
        page.locator(".save").click()
    saved = Path(download.value.path()).read_bytes()

    guest = visit()
    drawn(guest)
    told = "() => document.querySelector('.line')?.textContent.startsWith('file: there is no recipe inside')"
    guest.evaluate(DROP, [list(b"no picture"), "no.txt"])
    guest.wait_for_function(told)
    guest.evaluate(DROP, [list(saved), "mine.png"])
    assert not differ(there, drawn(guest, checkpoint="tiny-vae", label=8, sliders=[0, 0, -1.5, 0]))
    assert guest.locator(".pad:not(.writer) .line").inner_text() == ""
    assert sliders(guest) == [0.0, 0.0, -1.5, 0.0]
    assert differ(there, first)
    guest.evaluate(DROP, [list(png(16, 16, RED, (1, 2, 3))), "photo.png"])
    guest.wait_for_function(told)
    assert guest.locator("[data-tab=invert]").get_attribute("aria-selected") == "true"  # where it is looked for


@pytest.mark.parametrize("reduced", ["no-preference", "reduce"])
def test_presenting_on_a_phone(visit, site, reduced):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = visit("?show=1", **phone, reduced_motion=reduced)
    page.locator(".pad.presenting").wait_for()
    first = drawn(page)
    picture = page.locator("canvas.hero").bounding_box()
    assert picture["width"] >= 380
    parts = [picture, *(one.bounding_box() for one in page.locator(".present-sliders input, .present-buttons button").all())]
    assert len(parts) == 7
    assert min(box["x"] for box in parts) >= 0
    assert max(box["x"] + box["width"] for box in parts) <= 390
    assert max(box["y"] + box["height"] for box in parts) <= 844
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert faults(page) == []

    page.touchscreen.tap(picture["x"] + 195, picture["y"] + 195)
    page.wait_for_function("() => JSON.parse(document.querySelector('.pad').dataset.drawn).seed !== 7")
    rolled = right(site, page)
    page.keyboard.press("2")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    moved = drawn(page, sliders=[0, 0.5, *shown(page)[0]["sliders"][2:]])
    assert differ(first, rolled, moved)
    page.clock.install()
    page.keyboard.press("ArrowLeft")
    page.clock.run_for(25_000)
    assert page.locator(".pad.walking").count() == (reduced == "no-preference")
    page.clock.resume()
    page.keyboard.press("Escape")
    page.locator(".pad:not(.writer) .controls").wait_for()
    assert "show" not in page.url


def test_presenting_walks_by_itself_until_a_hand_comes(visit, site):
    page = visit()
    drawn(page)
    page.locator(".present").click()
    page.locator(".pad.presenting").wait_for()
    before = shown(page)[1]
    page.keyboard.press("w")
    page.wait_for_function("() => Number(document.querySelector('.pad').dataset.played) > 20")
    assert differ(before, shown(page)[1])
    page.mouse.move(200, 200)
    page.mouse.move(300, 300)
    page.locator(".pad.walking").wait_for(state="detached")
    values = page.locator(".present-sliders input").evaluate_all("all => all.map((one) => Number(one.value))")
    at_rest = "(v) => v.every((one, k) => JSON.parse(document.querySelector('.pad').dataset.drawn).sliders[k] === one)"
    page.wait_for_function(at_rest, arg=values)
    right(site, page)
    page.locator(".present-leave").click()
    page.locator(".pad:not(.writer) .controls").wait_for()
    assert sliders(page)[:3] == values


# -- train


def test_a_run_is_followed_by_its_link_and_stopped_by_its_owner_alone(visit, site):
    """The whole way of a run; one test, as each part needs what the one before has left."""
    page = in_train(visit())
    choose(page, "Kind of model", "vae:tiny")
    page.get_by_label("Train for", exact=True).fill("3")
    unfold(page, "More settings")
    page.wait_for_function("() => document.querySelector('[aria-label=\"model.latent\"]')?.value === '4'")  # the preset's own form is there
    page.get_by_label("model.latent", exact=True).fill("6")
    unfold(page, "All settings")
    page.get_by_label("train.marks", exact=True).fill("360")  # one in half a second
    unfold(page, "The command that does the same")
    line = "aigc train vae:tiny --minutes 3 --set model.latent=6 --set train.marks=360 --data digits"
    page.wait_for_function("(line) => document.querySelector('#train-command .cm-content')?.textContent === line", arg=line)
    page.locator("#train-start").click()

    page.wait_for_url(re.compile(r"\?run=[0-9a-f]{32}$"))
    id = page.url.partition("?run=")[2]
    says(page, r"Training · step [\d,]+, epoch .* items/s · \d:\d\d left")
    page.locator("#train-curves canvas").nth(1).wait_for()
    looks = int(page.locator("#train-curves .curves").get_attribute("data-looks"))
    page.wait_for_function("(n) => Number(document.querySelector('#train-curves .curves').dataset.looks) > n", arg=looks)
    said = page.locator("#train-curves .plot").first
    assert re.match(r"Loss on what it learns from, at step [\d,]+: loss \d", said.get_attribute("aria-label"))
    before = sample_picture(page)
    page.wait_for_function("(before) => document.querySelector('#train-picture img').src !== before", arg=before)
    config = site.run(id)
    assert (config["model"]["latent"], config["train"]["marks"]) == (6, 360)
    assert (config["train"]["budget"], config["train"]["unit"]) == (3, "minutes")

    page.reload()
    says(page, "Training · step")
    page.locator("#train-stop").wait_for()
    before = page.locator("#train-status").inner_text()
    page.wait_for_function("(before) => document.querySelector('#train-status').innerText !== before", arg=before)

    guest = visit(f"?run={id}")
    says(guest, "Training · step")
    guest.locator("#train-curves canvas").first.wait_for()
    assert not guest.locator("#train-stop").is_visible()

    stranger = in_train(visit())
    says(stranger, "1,500 pictures read")
    assert id not in stranger.content()
    assert not stranger.locator("#train-link").is_visible()

    page.locator("#train-pause").click()
    for seen in (page, guest):
        says(seen, "Paused · step")
        seen.locator("#train-explore").wait_for()
        assert seen.locator("#train-resume").locator("input, textarea").input_value() == f"aigc train --resume {id}"
    assert not guest.locator("#train-go-on").is_visible()
    assert not guest.locator("#train-owner").is_visible()
    assert re.fullmatch(r"Go on from step [\d,]+", page.locator("#train-go-on").inner_text())
    unfold(page, "This run")
    page.wait_for_timeout(500)  # a fold opens with its fields as they were at first, and fills them a moment later: no hand types before
    page.locator("#train-name").locator("input, textarea").fill("my-run")
    page.locator("#train-rename").click()
    page.wait_for_function("() => document.querySelector('#train-again').querySelector('input, textarea').value.includes('--name my-run')")
    page.locator("#train-amount input").fill("2")
    page.locator("#train-extend").click()
    for seen in (page, guest):
        says(seen, "Training · step")
    assert (site.run(id)["name"], site.run(id)["train"]["budget"]) == ("my-run", 5)

    page.locator("#train-stop").click()
    for seen in (page, guest):
        says(seen, "Stopped, and kept · step")
        seen.locator("#train-explore").wait_for()
    assert site.state(id) == "stopped"
    assert not page.locator("#train-stop").is_visible()

    page.locator(".light summary").click()
    assert re.fullmatch("Warming up|Healthy|Plateaued.*", page.locator(".light strong").inner_text())
    assert all("the data" in text or "gained" in text for text in page.locator(".light li").all_inner_texts())
    assert page.locator(".light li").count() >= 1
    assert not page.locator("#train-rewind").is_visible(), "nothing is wrong"
    assert faults(page) == []
    before = moment(page, "true")
    last = sample_picture(page)
    page.locator("#train-when input[type=range]").fill("0")
    page.wait_for_function("(last) => document.querySelector('#train-picture img').src !== last", arg=last)
    first = moment(page, "drawn.step === 0")
    assert [first[0][k] for k in ("seed", "x", "y", "label")] == [before[0][k] for k in ("seed", "x", "y", "label")], "the latent is held"
    page.locator(".moment [name=x]").fill("1.5")
    moved = moment(page, "drawn.x === 1.5")
    assert moved[0]["step"] == 0
    assert len({before[1], first[1], moved[1]}) == 3
    found = checkpoint.read(site.home / "runs" / id / "marks" / "000000000")
    asked = Request(found.name, moved[0]["seed"], label=moved[0]["label"] or 0, place=(1.5, 0.0))
    drawn_by_the_engine = site.engine.draw([asked], name=found)[0].item
    assert page.evaluate(GREY) == drawn_by_the_engine[0].flatten().tolist()

    page.locator("#train-explore").click()
    right(site, page, checkpoint=id)
    ways = site.engine.warm(site.checkpoint(id)).directions
    assert 1 <= len(ways) <= 6, "what is done already is no slider of its own"
    assert page.locator("[data-slider]").count() == len(ways)
    guest.locator("#train-explore").click()
    right(site, guest, checkpoint=id)
    stranger.get_by_role("tab", name="Explore").click()
    assert id not in stranger.locator("[name=checkpoint]").inner_html()


def test_an_ill_run_goes_back_to_where_it_was_well_at_a_click(visit, site):
    page = in_train(visit())
    choose(page, "Kind of model", "vae:tiny")
    page.get_by_label("Train for", exact=True).fill("3")
    page.locator("#train-start").click()
    page.wait_for_url(re.compile(r"\?run=[0-9a-f]{32}$"))
    id = page.url.partition("?run=")[2]
    says(page, r"Training · step [\d,]+, epoch .* left")
    page.locator("#train-curves canvas").nth(1).wait_for()
    assert not page.locator("#train-rewind").is_visible()
    page.locator("#train-stop").click()
    says(page, "Stopped, and kept · step")
    folder, rate = site.home / "runs" / id, site.run(id)["train"]["lr"]
    last = json.loads((folder / history.LOG).read_bytes().splitlines()[-1])
    history.note(folder, {**last, "step": last["step"] + 1, "terms": {}, "health": {"broken": 1.0}, "says": "not a number any more"})
    page.reload()
    page.wait_for_function("() => document.querySelector('.light strong')?.textContent === 'Diverging'")
    assert page.locator("#train-rate input").input_value() == str(rate / 2)
    assert faults(page) == []
    guest = visit(f"?run={id}")
    guest.wait_for_function("() => document.querySelector('.light strong')?.textContent === 'Diverging'")
    assert not guest.locator("#train-rewind").is_visible()
    page.locator("#train-rewind").click()
    says(page, "Training · step")
    page.wait_for_function("() => !['Diverging', ''].includes(document.querySelector('.light strong').textContent)")
    assert site.run(id)["train"]["lr"] == rate / 2
    page.locator("#train-stop").click()
    says(page, "Stopped, and kept · step")
    assert not page.locator("#train-rewind").is_visible()


def test_a_run_that_begins_while_data_is_being_read_is_followed(visit, site):
    page = in_train(visit())
    choose(page, "Kind of model", "vae:tiny")
    choose(page, "Data", "Coloured shapes")  # takes a second to draw
    page.locator("#train-start").click()
    says(page, "Training · step")
    page.locator("#train-link").wait_for()
    id = page.url.partition("?run=")[2]
    assert site.run(id)["data"]["source"] == "shapes"
    page.locator("#train-stop").click()
    says(page, "Stopped, and kept")


def test_a_setting_that_cannot_be_used_is_one_sentence(visit, site):
    page = in_train(visit())
    runs = set((site.home / "runs").iterdir())
    unfold(page, "More settings")
    page.get_by_label("train.lr", exact=True).fill("-1")
    unfold(page, "The command that does the same")
    page.wait_for_function("() => document.querySelector('#train-command .cm-content')?.textContent.includes('not above')")
    page.locator("#train-start").click()
    assert toast(page) == "train.lr: -1 is not above 0.0"
    page.get_by_label("train.lr", exact=True).fill("0.001")
    page.get_by_label("Train for", exact=True).fill("0")
    page.wait_for_function("() => document.querySelector('#train-command .cm-content')?.textContent.includes('train.budget')")
    page.locator("#train-start").click()
    assert toast(page) == "train.budget: 0 is not above 0.0"
    page.get_by_label("Train for", exact=True).fill("1")
    page.get_by_label("Try several values").fill("model.latent=2..4")
    page.wait_for_function("() => document.querySelector('#train-command .cm-content')?.textContent.includes('a range has no end')")
    page.locator("#train-start").click()
    assert toast(page).startswith("--over model.latent: a range has no end of values")
    assert set((site.home / "runs").iterdir()) == runs


def test_a_preset_brings_its_own_set_and_can_be_broken_on_purpose(visit, site):
    page = in_train(visit())
    unfold(page, "The command that does the same")

    def commands(line):
        page.wait_for_function("(line) => document.querySelector('#train-command .cm-content')?.textContent === line", arg=line)

    choose(page, "Kind of model", "gan:points")
    commands("aigc train gan:points --minutes 1 --data grid25")
    choose(page, "Break it on purpose", "A discriminator that hardly learns")
    commands("aigc train gan:points --minutes 1 --set model.discriminator_rate=0.02 --data grid25")
    unfold(page, "More settings")
    unfold(page, "All settings")
    page.wait_for_function("() => document.querySelector('[aria-label=\"model.discriminator_rate\"]')?.value === '0.02'")
    choose(page, "Kind of model", "vae:tiny")
    commands("aigc train vae:tiny --minutes 1 --data digits")


def test_a_small_grid_is_trained_and_compared(visit, site):
    page = in_train(visit())
    choose(page, "Kind of model", "vae:tiny")
    choose(page, "Unit", "steps")
    page.get_by_label("Train for", exact=True).fill("30")
    unfold(page, "More settings")
    page.get_by_label("Try several values").fill("model.latent=2,3")
    unfold(page, "The command that does the same")
    line = "aigc sweep vae:tiny --steps 30 --data digits --over model.latent=2,3"
    page.wait_for_function("(line) => document.querySelector('#train-command .cm-content')?.textContent === line", arg=line)
    page.locator("#train-start").click()
    says(page, "Done · step 30")
    in_compare(page)
    group = page.locator(".compare .groups option").nth(1).get_attribute("value")
    page.locator(".compare .groups").select_option(group)
    page.wait_for_function("() => document.querySelectorAll('.compare tbody tr').length === 2")
    assert sorted(page.locator(".compare tbody td:nth-child(5)").all_inner_texts()) == ["2", "3"]
    assert page.locator(".compare tbody input:checked").count() == 2
    page.wait_for_function("() => document.querySelectorAll('.compare tbody tr.live').length === 0")


def test_a_set_and_a_kind_of_model_go_together(visit):
    """A set of another kind brings a model that fits it, a model that does not fit the set brings its own; what is in view is the set."""
    page = in_train(visit())
    data = page.get_by_label("Data", exact=True)
    choose(page, "Data", "8 Gaussians in a ring")
    says(page, "points read")
    page.wait_for_function("() => document.querySelector('#train-preset input').value.includes(':points')")
    assert data.input_value() == "8 Gaussians in a ring"
    choose(page, "Kind of model", "gpt:tiny")
    says(page, "1 text read")
    assert data.input_value() == "Tiny Shakespeare"
    choose(page, "Data", "Handwritten digits")
    says(page, "1,500 pictures read")
    page.wait_for_function("() => document.querySelector('#train-preset input').value.startsWith('vae:conv')")


def test_points_are_drawn_by_hand(visit):
    """By the pointer and by the keys; then they are the set in view, and a model of points is offered."""
    page = in_train(visit())
    unfold(page, "Use my own data")
    canvas, use = page.locator(".sketch canvas"), page.get_by_role("button", name="Use these points")
    canvas.scroll_into_view_if_needed()
    assert use.is_disabled()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 200, steps=10)
    page.mouse.up()
    drawn = int(page.locator(".sketch .count").inner_text().split()[0])
    assert drawn >= 60
    canvas.press("ArrowLeft")
    canvas.press("Space")
    assert int(page.locator(".sketch .count").inner_text().split()[0]) == drawn + 6
    assert faults(page) == []
    use.click()
    says(page, f"{drawn + 6} points read")
    page.wait_for_function("() => document.querySelector('#train-preset input').value.startsWith('flow:points')")
    assert page.get_by_label("Data", exact=True).input_value() == "My drawn points"
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_pictures_of_ones_own(visit, site, tmp_path):
    """A file that is no zip, then a zip with damage and a name that would be markup, up to the chips that show that name."""
    page = in_train(visit())
    unfold(page, "Use my own data")
    drop = page.locator("#train-upload input[type=file]")
    (tmp_path / "no.zip").write_bytes(b"I am no zip\n")
    drop.set_input_files(tmp_path / "no.zip")
    told = toast(page)
    assert "neither a folder nor a zip" in told
    assert str(site.home) not in told
    page.get_by_label("Remove").or_(page.get_by_label("Clear")).first.click()

    name = "<img src=x onerror=alert(1)>"
    members = {f"{name}/{i}.png": png(16, 16, RED, (i, 30, 200)) for i in range(12)}
    members |= {f"plain/{i}.png": png(16, 16, WHITE, (*BLUE[:2], i)) for i in range(12)}
    members |= {f"{name}/broken.png": b"\x89PNG\r\n\x1a\nnothing", "plain/broken.png": png()[:60]}
    (tmp_path / "own.zip").write_bytes(zipped(members))
    drop.set_input_files(tmp_path / "own.zip")
    says(page, "24 pictures read, 2 left out: 2 damaged.* 2 classes: <img src=x onerror=alert\\(1\\)>, plain")
    assert page.locator("#train-status img").count() == 0
    assert page.get_by_label("Data", exact=True).input_value() == "own.zip"

    choose(page, "Kind of model", "vae:tiny")
    choose(page, "Unit", "steps")
    page.get_by_label("Train for", exact=True).fill("20")
    page.locator("#train-start").click()
    says(page, "Done · step 20")
    page.locator("#train-explore").click()
    id = page.url.partition("?run=")[2]
    right(site, page, checkpoint=id)
    assert page.locator(".chips button").all_inner_texts() == [name, "plain"]
    assert page.locator(".pad:not(.writer) img").count() == 0
    page.get_by_role("button", name="plain").click()
    right(site, page, label=1)


# -- compare


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_runs_are_compared(visit, site, scheme):
    """The table sorts, ticks draw curves over each other, two runs stand at equal steps; also on a phone, and axe minds nothing."""
    narrow = {"viewport": {"width": 390, "height": 844}} if scheme == "dark" else {}
    page = in_compare(visit(color_scheme=scheme, **narrow))
    row = {name: page.locator(".compare tbody tr", has_text=name) for name in ("tiny-gan", "tiny-vae")}
    assert "vae:tiny" in row["tiny-vae"].inner_text()
    ticked = page.locator(".compare tbody input:checked")
    while ticked.count():  # the newest two to begin with, whose first term others may lack; uncheck() would look for the tick it took away
        ticked.first.click()
    for name in ("tiny-vae", "tiny-gan"):
        row[name].locator("input").check()
    page.locator(".compare .chart .legend button", has_text="tiny-vae").wait_for()
    page.locator(".pair img").nth(1).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]

    head = page.locator(".compare th", has_text="Steps")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    column = 1 + page.locator(".compare th").all_inner_texts().index(head.inner_text())
    steps = [int(t.replace(",", "")) for t in page.locator(f".compare tbody td:nth-child({column})").all_inner_texts()]
    assert steps == sorted(steps, reverse=True)

    shown = "() => [...document.querySelectorAll('.pair img')].map((one) => one.src)"
    before = page.evaluate(shown)
    page.locator(".pair input[type=range]").fill("0")
    page.wait_for_function("(before) => [...document.querySelectorAll('.pair img')].every((one, i) => one.src !== before[i])", arg=before)
    assert all("step 0" in text for text in page.locator(".pair figcaption").all_inner_texts())
    page.locator(".compare .numbers summary").click()
    page.locator(".compare .numbers table tr").nth(2).wait_for()  # the rows come with the toggle event, after the click
    assert faults(page) == []


# -- everybody


@pytest.mark.parametrize("locale", ["en-US", "zh", "zh-CN", "zh-HK", "zh-TW"])
def test_the_page_speaks_the_visitors_language(visit, locale):
    like = {"zh": "zh-CN", "zh-HK": "zh-TW"}.get(locale, locale)
    page = visit(locale=locale)
    drawn(page)
    *tabs, dice, start = WORDS[like]
    assert page.locator("#tabs > .tab-wrapper [role=tab]").all_inner_texts() == tabs
    assert page.locator(".dice").inner_text() == dice
    in_train(page)
    assert page.locator("#train-start").inner_text() == start


@pytest.mark.parametrize("name", ["tiny-gan", "tiny-vae"])
def test_all_that_exploring_needs_stands_on_the_first_screen(visit, name):
    page, _ = explored(visit, name)
    for part in ("canvas.hero", "[name=seed]", "[data-slider]", "[data-sampling]", ".dice", ".lattice button"):
        boxes = [one.bounding_box() for one in page.locator(part).all()]
        assert boxes, part
        assert min(box["y"] for box in boxes) >= 0, part
        assert max(box["y"] + box["height"] for box in boxes) <= 800, part


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(visit, scheme):
    page = visit(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    drawn(page)
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) <= 390
    assert page.locator("canvas.hero").bounding_box()["y"] < 300
    says(in_train(page), "1,500 pictures read")
    assert page.evaluate(wide) <= 390
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 150) == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_of_ours(visit, scheme):
    page, _ = explored(visit, color_scheme=scheme)
    for summary in page.locator(".pad:not(.writer) summary").all():
        summary.click()
    page.locator("[data-number]").first.wait_for()
    assert faults(page) == []
    in_train(page)
    for title in ("Use my own data", "More settings", "All settings", "The command that does the same"):
        unfold(page, title)
    page.get_by_label("train.marks").wait_for()
    assert faults(page) == []


def test_the_keyboard_reaches_everything_and_shows_where_it_is(visit):
    page, _ = explored(visit)
    missing = set(REACHED)
    for _ in range(90):
        page.keyboard.press("Tab")
        kinds, ring = page.evaluate(FOCUS, REACHED)
        assert ring or not kinds, f"the focus on {kinds} does not show"
        missing -= set(kinds)
        if not missing:
            break
    assert not missing
    slider(page).focus()
    page.keyboard.press("PageUp")
    page.wait_for_function("() => JSON.parse(document.querySelector('.pad').dataset.drawn).sliders[0] > 0")
    page.get_by_role("tab", name="Explore").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#train-start").wait_for()


def test_a_mark_without_directions_shows_no_neighbours(site, visit):
    mark = max(int(place.name) for place in (site.home / "runs" / "tiny-vae" / "marks").iterdir())
    page = visit(f"?model=tiny-vae@{mark}&seed=5")
    drawn(page, checkpoint=f"tiny-vae@{mark}", seed=5)
    assert page.locator("[data-slider]").count() == 0
    assert not page.locator(".near-name").is_visible()
    assert not page.locator(".lattice").is_visible()
    page.locator("[name=checkpoint]").select_option("tiny-vae")
    right(site, page, checkpoint="tiny-vae", seed=5)
    page.locator(".lattice canvas").first.wait_for()
    assert "NaN" not in page.locator(".near-name").inner_text()
