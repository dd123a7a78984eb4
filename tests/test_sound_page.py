"""The page of a model of sounds: what is shown is heard, a slider changes both, a clip that is dropped is found, and a walk is a clip."""

import base64
import io
import json
import re

import numpy as np
import pytest
import soundfile
from gradio_client import Client
from test_audio import file, sine
from test_page import drawn

pytestmark = pytest.mark.browser
pytest_plugins = ["pages"]

HEARD = "(before) => Number(document.querySelector('.pad').dataset.heard || 0) > before"
WAVE = """() => {
  const canvas = document.querySelector('.waveform'), { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return [...data].filter((_, i) => i % 4 === 3);
}"""  # where the wave covers its ground
DROP = """([bytes, name]) => {
  const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(bytes)], name, { type: 'audio/wav' }));
  document.querySelector('.mat').dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));
}"""


def test_a_sound_is_seen_heard_moved_found_and_walked(visit, site):
    page = visit("?model=tiny-sound")
    drawn(page, checkpoint="tiny-sound")
    page.wait_for_function(HEARD, arg=0)
    assert page.locator(".player").is_visible()
    first = page.evaluate(WAVE)
    assert np.count_nonzero(first) > 400, "the wave is drawn"
    play = page.locator(".sound-play")
    play.click()
    page.wait_for_function("() => document.querySelector('.sound-play').getAttribute('aria-pressed') === 'true'")
    before = int(page.locator(".pad").first.get_attribute("data-heard"))
    page.locator("[data-slider='0']").fill("2")
    page.wait_for_function(HEARD, arg=before)
    assert page.evaluate(WAVE) != first, "a slider is heard"
    assert play.get_attribute("aria-pressed") == "true", "and goes on playing in its loop"
    play.click()
    assert play.get_attribute("aria-pressed") == "false"

    page.evaluate(DROP, [list(file(sine(262))), "note.wav"])
    page.wait_for_function("() => document.querySelector('.invert-says').textContent.includes('dB')")
    assert page.locator("[data-tab=invert]").inner_text() == "From a clip"
    assert page.locator("[data-tab=invert]").get_attribute("aria-selected") == "true"
    for part in ("original", "match"):
        assert page.locator(f".invert-hear-{part}").is_visible()
    page.evaluate(DROP, [list(file(np.zeros(8000))), "silence.wav"])
    page.wait_for_function("() => document.querySelector('.line').textContent.startsWith('clip: silent')")

    assert not page.locator("[data-tab=edit]").is_visible(), "what is for pictures alone has no tab"
    page.locator("[data-tab=walk]").click()
    page.locator(".walk-add").click()
    page.locator(".walk-random").click()
    page.locator("[name=walk-seconds]").fill("3")
    with page.expect_download() as download:
        page.locator(".walk-save").click()
    assert download.value.suggested_filename == "walk.wav"
    wave, rate = soundfile.read(download.value.path())
    assert (len(wave), rate) == (3 * 8000, 8000)


def test_a_clip_that_is_recorded_is_found(visit, site):
    page = visit("?model=tiny-sound", permissions=["microphone"])  # the browser's own: beeps
    drawn(page, checkpoint="tiny-sound")
    page.locator("[data-tab=invert]").click()
    page.locator(".invert-record").click()
    page.wait_for_function("() => document.querySelector('.invert-record').disabled")
    page.wait_for_function("() => document.querySelector('.invert-says').textContent.includes('dB')")
    assert page.locator(".invert-hear-original").is_visible()
    assert page.locator(".invert-record").is_enabled()
    assert page.locator(".invert-record").inner_text() == "Record 2 seconds"


def test_without_a_microphone_a_sentence_says_so(visit, site):
    page = visit("?model=tiny-sound", permissions=[])
    drawn(page, checkpoint="tiny-sound")
    page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('none', 'NotFoundError')); }")
    page.locator("[data-tab=invert]").click()
    page.locator(".invert-record").click()
    page.wait_for_function("() => document.querySelector('.line').textContent.includes('microphone')")


def test_endpoints_give_sounds_and_refuse_what_makes_none(site, tmp_path):
    client = Client(site.url, verbose=False, download_files=tmp_path)
    wave, rate = soundfile.read(client.predict("tiny-sound", 3, "[1]", 5, api_name="/explore_sound"))
    assert (len(wave), rate) == (8000, 8000)
    assert client.predict("tiny-sound", 3, api_name="/explore_picture").endswith(".png")
    assert "-o sample.wav" in json.dumps(client.predict("tiny-sound", 3, api_name="/explore_command"))
    found = client.predict("tiny-sound", base64.b64encode(file(sine(300))).decode(), 2, api_name="/explore_invert")
    assert found["request"]["label"] == 2
    walk = client.predict("tiny-sound", "1,2", 4, 1, "wav", api_name="/explore_walk")
    with open(walk, "rb") as stored:
        assert len(soundfile.read(io.BytesIO(stored.read()))[0]) == 4 * 8000
    for arguments, sentence in ((("tiny-vae",), "makes no sound"), (("tiny-sound", 0, "[9]"), "sliders")):
        with pytest.raises(Exception, match=re.compile(sentence)):
            client.predict(*arguments, api_name="/explore_sound")
