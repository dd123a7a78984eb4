"""The page as a visitor has it: a server in a process of its own, and a real Chromium."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import report

APP = ("app.py",)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)
START_SECONDS = 120
DRAWN = """() => {
  const pad = document.querySelector('.pad'), hero = pad && pad.querySelector('canvas.hero');
  if (!hero || !(Number(pad.dataset.count) > 0)) return false;
  return new Set(hero.getContext('2d').getImageData(0, 0, hero.width, hero.height).data).size > 2;
}"""  # the first picture is there: more than one grey in it


@dataclass(frozen=True)
class Server:
    """A server that listens at `url`; `began` is when its process was started (time.monotonic)."""

    url: str
    pid: int
    began: float


@contextlib.contextmanager
def serve(home: Path, *command: str) -> Iterator[Server]:
    """Runs `python command...` in the repository as a server with `home` as its AIGC_HOME, until the context ends.

    Raises RuntimeError with the end of its output where it ends or does not listen within two minutes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "AIGC_HOME": str(home), "GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"}
    env |= {"GRADIO_TEMP_DIR": str(home / "gradio"), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    output = home / f"server-{port}.txt"
    with open(output, "wb") as log:
        began = time.monotonic()
        process = subprocess.Popen([sys.executable, *command], cwd=report.ROOT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while not listens(port):
                if process.poll() is not None or time.monotonic() - began > START_SECONDS:
                    raise RuntimeError(f"{' '.join(command)} does not serve:\n{output.read_text(errors='replace')[-2000:]}")
                time.sleep(0.02)
            yield Server(f"http://127.0.0.1:{port}/", process.pid, began)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def listens(port: int) -> bool:
    """Whether anything answers at the port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium; ends the benchmark where there is none."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not path:
        report.give_up("this benchmark needs a Chromium: install one, or set CHROMIUM to its path")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield found
        finally:
            found.close()


def visit(chromium: Any, url: str) -> Any:
    """A page of a new visitor (nothing cached) at `url`, at 1280 x 800."""
    page = chromium.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.set_default_timeout(60_000)
    page.goto(url, wait_until="commit")
    return page


def memory(pid: int) -> int:
    """Resident bytes of a process and of all that it started (Linux)."""
    own = Path("/proc", str(pid))
    try:
        children = " ".join(p.read_text() for p in own.glob("task/*/children")).split()
        resident = next((int(line.split()[1]) for line in (own / "status").read_text().splitlines() if line.startswith("VmRSS")), 0)
    except OSError:  # it has just ended
        return 0
    return 1024 * resident + sum(memory(int(child)) for child in children)
