"""Words on the page, at an endpoint and on the command line: the picture is what the engine draws of the prompt."""

import io
from pathlib import Path

import pytest
from gradio_client import Client
from PIL import Image
from test_page import differ, drawn, right, shown

from aigc_demo.engine import Request
from aigc_demo.exploration import prompts
from aigc_demo.provenance import label

pytestmark = pytest.mark.browser
pytest_plugins = ["pages"]

FIRST, OTHER = "two small red circles left of a big blue square", "大蓝方块左边有两个小红圆"
PROMPTED = "(prompt) => JSON.parse(document.querySelector('.pad').dataset.drawn).sampling.prompt === prompt"


def test_a_prompt_draws_its_picture_step_by_step_and_a_strange_word_is_named(visit, site):
    page = visit("?model=tiny-words")
    drawn(page, checkpoint="tiny-words")
    page.locator(".examples button").first.click()
    page.wait_for_function(PROMPTED, arg=FIRST)
    first = right(site, page)
    steps = int(page.locator(".pad").first.get_attribute("data-stages"))
    assert steps == 3, "noise, one step on its way, and the picture"
    field = page.locator("#explore [name=prompt]")
    assert field.input_value() == FIRST
    field.fill(OTHER)
    field.press("Enter")
    page.wait_for_function(PROMPTED, arg=OTHER)
    assert differ(first, right(site, page))
    page.wait_for_function("(prompt) => decodeURIComponent(location.search).includes(prompt)", arg=OTHER)

    field.fill("a pink giraffe")
    field.press("Enter")
    page.wait_for_function("() => document.querySelector('#explore .line').textContent.includes('giraffe')")
    assert "in no caption that this model learnt from" in page.locator("#explore .line").inner_text()
    field.fill(OTHER)
    field.press("Enter")
    page.wait_for_function("() => !document.querySelector('#explore .line').textContent")


def test_several_prompts_and_the_way_between_two(visit, site):
    page = visit("?model=tiny-words")
    drawn(page, checkpoint="tiny-words")
    page.locator("[data-tab=prompt]").click()
    page.locator("[name=several]").fill(f"{FIRST}\na giraffe\n{OTHER}")
    page.locator(".prompt-draw").click()
    page.wait_for_function("() => document.querySelectorAll('.prompt-grid > *').length === 3")
    assert page.locator(".prompt-error").inner_text().startswith("a giraffe: prompt: 'giraffe' was in no caption")
    page.locator(".prompt-grid button").nth(1).click()
    page.wait_for_function(PROMPTED, arg=OTHER)
    right(site, page)

    page.locator("[name=toward]").fill(FIRST)
    page.locator(".prompt-go").click()
    page.wait_for_function("() => document.querySelectorAll('.prompt-way button').length === 9")
    page.locator(".prompt-way button").nth(4).click()
    page.wait_for_function("() => JSON.parse(document.querySelector('.pad').dataset.drawn).sampling.mix === 0.5")
    right(site, page)
    assert shown(page)[0]["sampling"]["toward"] == FIRST
    page.locator("[name=negative]").fill("red")
    page.locator("[name=negative]").press("Enter")
    page.wait_for_function("() => JSON.parse(document.querySelector('.pad').dataset.drawn).sampling.negative === 'red'")
    right(site, page)
    page.locator("[data-tab=sliders]").click()
    page.locator("[data-sampling=steps]").fill("5000")
    page.locator("[data-sampling=steps]").press("Enter")
    page.wait_for_function("() => JSON.parse(document.querySelector('.pad').dataset.drawn).sampling.steps === 100")
    page.locator("[data-sampling=steps]").fill("3")
    page.locator("[data-sampling=steps]").press("Enter")
    page.locator("[data-sampling=method]").select_option("euler")
    page.wait_for_function("() => JSON.parse(document.querySelector('.pad').dataset.drawn).sampling.method === 'euler'")
    right(site, page)
    assert shown(page)[0]["sampling"]["steps"] == 3
    page.locator("[name=checkpoint]").select_option("tiny-vae")
    drawn(page, checkpoint="tiny-vae")
    assert not page.locator("#explore [name=prompt]").is_visible()
    assert not page.locator("[data-tab=prompt]").is_visible()


def test_an_endpoint_draws_the_sheet_that_the_engine_draws(site):
    found, request = site.checkpoint("tiny-words"), Request("tiny-words", 4, sampling={"guidance": 3.0})
    sheet = prompts.sheet(site.engine, request, [FIRST, OTHER], name=found)
    assert Image.open(io.BytesIO(sheet)).width > 2 * 32
    client = Client(site.url, verbose=False)
    served = Path(client.predict("tiny-words", f"{FIRST}\n{OTHER}", 4, 3, api_name="/explore_prompts"))
    pixels = [Image.open(one).convert("RGB").tobytes() for one in (io.BytesIO(sheet), served)]
    assert pixels[0] == pixels[1]
    assert label.read(served.read_bytes()).aigc["Label"] == "1"
