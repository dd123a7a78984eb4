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


def say(request: gr.Request | None, key: str, **values: Any) -> str:
    """A sentence in the language that the visitor's browser asks for first."""
    asked = ((request.headers.get("accept-language") if request else "") or "en").split(",")[0].strip()
    script = SCRIPTS.get(asked, "zh-Hans" if asked.lower().startswith("zh") else "en")
    return _all()[key][script].format(**values)
