"""The page as its visitors have it: a server in a process of its own with toy checkpoints, and a real Chromium."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from toys import finished, wait_for

from aigc_demo import checkpoint, files, jobs, model
from aigc_demo.engine import Engine
from aigc_demo.studio import explore

ROOT = Path(__file__).parent.parent
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--use-fake-device-for-media-stream"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
SLOW = 100  # seconds that anything may take on a busy machine
TOYS = {  # what a visitor of the test's server may explore, whatever else is shipped
    "tiny-gan": ("gan:tiny", {"data.source": "shapes", "data.limit": 128, "data.size": 32}),
    "tiny-vae": ("vae:tiny", {"data.source": "digits", "data.size": 28}),
    "tiny-autoencoder": ("autoencoder:tiny", {"data.source": "digits", "data.size": 28}),
    "tiny-gpt": ("gpt:tiny", {"data.limit": 30_000}),
    "tiny-flow": ("flow:tiny", {"data.source": "digits", "data.size": 20}),
    "tiny-words": ("text_to_image:tiny", {"data.limit": 128, "data.size": 32}),
    "tiny-sound": ("flow:tiny", {"data.source": "tones", "data.limit": 96, "data.size": 64, "model.patch": 16}),
}


class Site:
    """A server, the files behind it, and an engine that draws what its page should show."""

    def __init__(self, url: str, home: Path, log: Path):
        self.url, self.home, self.engine, self.log = url, home, Engine(), log

    def said(self) -> str:
        """The end of what the server printed: where a request was answered with an error, its traceback."""
        return self.log.read_text(errors="replace")[-8000:]

    def checkpoint(self, name: str) -> checkpoint.Checkpoint:
        """A checkpoint of this server: one of its runs', or one that is shipped."""
        own = self.home / "runs" / name / "checkpoint"
        return checkpoint.read(own if own.exists() else files.shipped() / name)

    def picture(self, state: dict):
        """What the page should show of a state: uint8 (H, W, C)."""
        found = self.checkpoint(state["checkpoint"])
        pixels = self.engine.draw([explore.request(state)], name=found)[0].item.permute(1, 2, 0).numpy()
        colours = found.modality.palette
        return np.array(colours, np.uint8)[pixels[..., 0]] if colours else pixels

    def run(self, id: str) -> dict:
        """The config of a run, as its folder holds it."""
        return json.loads((self.home / "runs" / id / jobs.CONFIG).read_text())

    def state(self, id: str) -> str:
        """What a run says of itself."""
        return json.loads((self.home / "runs" / id / jobs.STATUS).read_text())["state"]

    def aigc(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command line, as a person at this server types it."""
        env = {**os.environ, "AIGC_HOME": str(self.home)}
        return subprocess.run([sys.executable, "-m", "aigc_demo", *words], cwd=ROOT, env=env, capture_output=True, text=True, timeout=SLOW)

    def get(self, path: str, body: object = None) -> tuple[int, bytes]:
        """One request by hand: the status and the body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=SLOW) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


@contextlib.contextmanager
def served(home: Path, *command: str, **env: str):
    """`python command...` as a server at home; gives its Site, and ends it together with the runs that it started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = tuple(word.replace("{port}", port) for word in command)
    own = {"AIGC_HOME": str(home), "AIGC_SLOTS": "4", "HF_HUB_OFFLINE": "1"}
    own |= {"GRADIO_SERVER_PORT": port, "GRADIO_TEMP_DIR": str(home / "gradio")}
    log = home / f"server-{port}.txt"
    with open(log, "wb") as output:
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env={**os.environ, **own, **env}, stdout=output, stderr=output)
    site = Site(f"http://127.0.0.1:{port}/", home, log)

    def answers():
        assert process.poll() is None, site.said()
        with contextlib.suppress(OSError):
            return site.get("config")[0] == 200

    try:
        wait_for(answers, SLOW)
        yield site
    finally:
        for folder in (home / "runs").glob("*"):
            (folder / jobs.STOP).touch()
        ended = process.poll()
        wait_for(lambda: not any(map(_live, (home / "runs").glob("*"))), SLOW)
        process.terminate()
        process.wait(30)
        assert ended is None, f"the server ended by itself ({ended}): {site.said()}"


def _live(folder: Path) -> bool:
    try:
        return json.loads((folder / jobs.STATUS).read_text())["state"] not in jobs.ENDED
    except (OSError, ValueError):
        return False


@pytest.fixture(scope="session")
def toys_home(tmp_path_factory) -> Path:
    """A home with the toy checkpoints, as runs that nobody owns: everybody sees them."""
    home = tmp_path_factory.mktemp("site")
    for name, (preset, changes) in TOYS.items():
        run = model.plan(preset, {**changes, "name": name, "device": "cpu", "train.budget": 60, "train.unit": "steps"})
        folder = home / "runs" / name
        folder.mkdir(parents=True)
        (folder / jobs.CONFIG).write_text(run.model_dump_json())
        finished(run, folder)
    return home


@pytest.fixture(scope="session")
def site(toys_home):
    """The studio as `python app.py` opens it."""
    with served(toys_home, "app.py") as site:
        yield site


@pytest.fixture(scope="session")
def serve():
    """`served`, for a server of other settings."""
    return served


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium; without one the tests are left out, but never in CI."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not path:
        left_out = pytest.fail if os.environ.get("CI") else pytest.skip
        left_out("there is no Chromium: install one, or set CHROMIUM to its path")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, site):
    """visit(...) opens the page as a new visitor, with nothing kept from the ones before; settings go to the browser's context.

    Whatever the test looks at, it fails where a page threw, complained on the console or asked another host for anything."""
    contexts, faults = [], []

    def open(path: str = "", context=None, **settings):
        if context is None:
            context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, "locale": "en-US", **settings})
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SLOW * 1000)
        page.on("pageerror", lambda error: faults.append(f"threw: {error}"))
        page.on("console", lambda said: said.type == "error" and faults.append(f"console: {said.text} ({said.location})"))
        page.on("request", lambda asked: asked.url.startswith((site.url, "data:", "blob:")) or faults.append(f"asked for {asked.url}"))
        page.goto(site.url + path)
        return page

    yield open
    for context in contexts:
        context.close()
    assert not faults, site.said()
