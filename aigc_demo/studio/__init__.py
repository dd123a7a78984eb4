"""The studio: names the tabs, the theme and the queue, and launches the page."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

# before gradio is imported: no call home, and light bookkeeping of past requests
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "200")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "200")

import gradio as gr
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from .. import jobs
from ..engine import Engine
from . import compare, contact, explore, runs, train, widgets, words, write

SANS = ["system-ui", "-apple-system", "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
LARGEST_UPLOAD = "1gb"
# clicks, and not the tabs among an event's outputs: from then on Gradio's page would copy all that stands in them at every event
TO_EXPLORE = "() => document.querySelector('#tabs [data-tab-id=explore]')?.click()"
TO_TRAIN = """async () => {
  if (!new URLSearchParams(location.search).get('run')) return;
  document.querySelector('#tabs [data-tab-id=train]')?.click();
  while (!document.querySelector('#train-status')) await new Promise((next) => setTimeout(next, 50));  // what comes earlier is lost
}"""
MOST_OPENED = 50  # runs opened by their links that a browser remembers


def theme() -> gr.themes.Base:
    """Paper and ink with one accent, a deep teal that passes contrast on both."""
    accent = gr.themes.Color(
        "#f0fdfa", "#ccfbf1", "#99f6e4", "#5eead4", "#2dd4bf", "#0d8f83", "#0b766d", "#0b5f58", "#114c47", "#123f3c", "#042f2e"
    )
    ink = gr.themes.Color(
        "#faf9f6", "#f3f1ec", "#e6e3db", "#d2cec4", "#a19c90", "#6f6a60", "#57534b", "#423f39", "#2a2824", "#1c1b18", "#121110"
    )
    base = gr.themes.Base(
        primary_hue=accent,
        secondary_hue=accent,
        neutral_hue=ink,
        font=SANS,
        font_mono=MONO,
        radius_size="md",
        spacing_size="md",
        text_size="md",
    )
    return base.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
        block_padding="0px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_title_text_weight="500",
        block_title_text_size="*text_sm",
        block_title_text_color="*neutral_600",
        block_title_text_color_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        input_background_fill="white",
        input_background_fill_dark="*neutral_900",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_text_color="white",
        button_primary_background_fill_dark="*primary_400",
        button_primary_background_fill_hover_dark="*primary_300",
        button_primary_text_color_dark="*neutral_950",
        button_secondary_background_fill="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_border_width="1px",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        color_accent="*primary_600",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
        panel_background_fill="transparent",
        panel_border_width="0px",
        layout_gap="16px",
        form_gap_width="0px",
    )


class Page(gr.Blocks):
    """Gradio's, which looks through a session's events while another thread of the same session may be rendering more of them."""

    def get_state_ids_to_track(self, *args: Any) -> tuple[list[int], list]:
        """Gradio's. It raises RuntimeError where events were added meanwhile, and a visitor's call failed by that (gradio 6.31)."""
        for _ in range(100):
            try:
                return super().get_state_ids_to_track(*args)
            except RuntimeError as error:
                if "changed size during iteration" not in str(error):
                    raise
        return super().get_state_ids_to_track(*args)


def build(engine: Engine | None = None, gpu: Callable | None = None, folders: dict[str, str] | None = None) -> gr.Blocks:
    """The page, not launched. `gpu` is the decorator that lends a GPU for one call where there is such a thing (ZeroGPU), `folders` names
    folders of this machine that visitors may train on."""
    jobs.Limits.told()  # a limit that cannot be used is said before anybody visits
    t = words.i18n()
    engine = engine or Engine()
    exploring, training = explore.Explore(engine), train.Train(folders)
    with Page(title="aigc demo", analytics_enabled=False, delete_cache=(3600, 86400), fill_width=True) as demo:
        gr.Markdown(t("page.title"), elem_id="masthead")
        kept = runs.remembered()
        with gr.Tabs(selected="explore", elem_id="tabs"):
            with gr.Tab(t("page.explore"), id="explore"):
                pad = explore.tab(exploring, gpu)
                contact.endpoints(engine, gpu)
                write.part(exploring)
            with gr.Tab(t("page.train"), id="train") as train_tab:
                view = train.tab(training, t, train_tab, engine, kept, gpu)
            with gr.Tab(t("page.compare"), id="compare") as compare_tab:
                table = compare.tab()

        def attach(kept: dict, request: gr.Request):
            """On load: the run of the link, which is remembered, else the last one that this browser started."""
            asked = (request.query_params.get("run") or "")[:64]
            id = asked or kept.get("last", "")
            if asked:
                opened = [asked, *(o for o in kept.get("opened", []) if o != asked)]
                kept = {**kept, "opened": opened[:MOST_OPENED]}
            return kept, id

        quiet: dict[str, Any] = {**widgets.LIVE, "trigger_mode": "once"}
        attached = demo.load(attach, [kept], [kept, view.following], **quiet)
        attached.then(None, None, None, js=TO_TRAIN, **quiet).then(**{**view.poll, "fn": view.follow_anew}, **widgets.LIVE)

        def show(id: str):
            return {"open": id, "again": True}

        def known(kept: dict):
            """The runs that this browser started or opened by their links, for the table; `at` makes it look again."""
            return {"opened": [*reversed(kept.get("owned", {})), *kept.get("opened", [])], "at": time.time()}

        compare_tab.select(known, kept, table, **quiet)
        view.explore.click(show, view.following, pad, **quiet).then(None, None, None, js=TO_EXPLORE, **quiet)
    demo.i18n_words = t
    return demo


def launch(demo: gr.Blocks | None = None, **settings: Any) -> tuple:
    """Opens the page; `settings` go to gradio's launch. Returns what gradio's launch returns."""
    demo = demo or build()
    vendor = Mount(f"/{widgets.VENDOR}", StaticFiles(directory=widgets.ASSETS / "vendor"))
    settings.setdefault("app_kwargs", {"middleware": [Middleware(words.NearestChinese)], "routes": [vendor]})
    return demo.queue(max_size=64, default_concurrency_limit=4).launch(
        theme=theme(),
        css_paths=[widgets.ASSETS / "vendor" / "uPlot.min.css", widgets.ASSETS / "studio.css"],
        i18n=demo.i18n_words,
        ssr_mode=False,
        show_error=False,
        enable_monitoring=False,
        run_history=False,
        footer_links=["api", "settings"],
        max_file_size=LARGEST_UPLOAD,
        **settings,
    )
