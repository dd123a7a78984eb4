"""The page's words in English and Chinese, by key; `assets/words.json` holds them."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

SCRIPTS = {"zh": "zh-Hans", "zh-CN": "zh-Hans", "zh-SG": "zh-Hans", "zh-TW": "zh-Hant", "zh-HK": "zh-Hant"}


@lru_cache(1)
def _all() -> dict[str, dict[str, str]]:
    return json.loads((Path(__file__).parent / "assets" / "words.json").read_text("utf-8"))


def of(part: str) -> dict[str, dict[str, str]]:
    """{key: {language: text}} of one part of the page, keys without the part."""
    return {k.removeprefix(f"{part}."): v for k, v in _all().items() if k.startswith(f"{part}.")}


def i18n() -> gr.I18n:
    """All words for Gradio's own components, which translate `i18n(key)` in the browser."""
    tables: dict[str, Any] = {"en": {k: v["en"] for k, v in _all().items()}}
    tables |= {locale: {k: v[script] for k, v in _all().items()} for locale, script in SCRIPTS.items()}
    return gr.I18n(**tables)


def say(request: gr.Request | str | None, key: str, **values: Any) -> str:
    """A sentence in the language that the visitor's browser asks for first, or in one of those that the words are written in."""
    if isinstance(request, str):
        return _all()[key].get(request, _all()[key]["en"]).format(**values)
    asked = ((request.headers.get("accept-language") if request else "") or "en").split(",")[0].strip()
    script = SCRIPTS.get(asked, "zh-Hans" if asked.lower().startswith("zh") else "en")
    return _all()[key][script].format(**values)


class NearestChinese:
    """ASGI middleware: Gradio's page knows zh-CN and zh-TW only, and shows English to a browser that is set to another Chinese; this puts
    a script before the page's own that names the nearest of the two. (Gradio's `head=` comes too late: the language is chosen by then.)"""

    SCRIPT = b"""<script>(() => {
  const own = navigator.language, near = /^zh(-(SG|Hans.*))?$/i.test(own) ? 'zh-CN' : /^zh-(HK|MO|Hant.*)$/i.test(own) ? 'zh-TW' : own;
  if (near !== own) Object.defineProperty(navigator, 'language', { get: () => near });
})();</script>"""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != "/":
            return await self.app(scope, receive, send)
        started: dict[str, Any] = {}

        async def insert(message: Any) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
                return
            if started:
                body, headers = message.get("body", b""), started["headers"]
                if any(k == b"content-type" and v.startswith(b"text/html") for k, v in headers) and b"<head>" in body:
                    message = {**message, "body": body.replace(b"<head>", b"<head>" + self.SCRIPT, 1)}
                    added = len(message["body"]) - len(body)
                    started["headers"] = [(k, str(int(v) + added).encode()) if k == b"content-length" else (k, v) for k, v in headers]
                await send(dict(started))
                started.clear()
            await send(message)

        await self.app(scope, receive, insert)
