"""Exports: the graph draws what torch draws, and the page draws, in a real browser without any server of ours, what the engine draws."""

import http.server
import io
import json
import os
import shutil
import sys
import threading
import zipfile
from functools import partial

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from axe_playwright_python.base import AXE_FILE_PATH
from PIL import Image
from toys import curved, finished, tiny

from aigc_demo import checkpoint, config, engine, model
from aigc_demo.modalities.image import Modality
from aigc_demo.provenance import label
from aigc_demo.publish import graph, runtime, static_page
from aigc_demo.studio import link as links, words
from aigc_demo.studio.panels import export

pytest_plugins = ["pages"]

HOSTILE = '<img src=x onerror="alert(1)">${1+1}{{2}}'
CARD = (
    f"# A card\n\n<script>alert(1)</script> {HOSTILE}\n\n- one\n- two\n\n| a | b |\n|---|---|\n| {HOSTILE} | 2 |\n\n```\n<b>code</b>\n```\n"
)
SHOWN = """() => {
  const hero = document.querySelector('canvas.hero'), { data } = hero.getContext('2d').getImageData(0, 0, hero.width, hero.height);
  return { state: JSON.parse(document.querySelector('.pad').dataset.drawn), side: hero.width, data: [...data] };
}"""
DRAWN = """(want) => {
  const { drawn } = document.querySelector('.pad').dataset, state = drawn && JSON.parse(drawn);
  return state && Object.entries(want).every(([key, value]) => JSON.stringify(state[key]) === JSON.stringify(value));
}"""
MOVED = """([amounts, truncation]) => {
  document.querySelectorAll('[data-slider]').forEach((range, k) => { range.value = amounts[k]; range.dispatchEvent(new Event('input')); });
  const range = document.querySelector('[data-sampling=truncation]');
  range.value = truncation;
  range.dispatchEvent(new Event('input'));
  range.dispatchEvent(new Event('change'));
}"""
FILLED = "() => [...document.querySelectorAll('.grid canvas')].every((canvas) => canvas.width !== 300)"
AXE = "() => axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] })"


# -- the graph


def test_the_graph_draws_what_torch_draws(made):
    own, exported = checkpoint.load(made), graph.export(made)
    assert exported.difference <= graph.TOLERANCE
    session = onnxruntime.InferenceSession(exported.data)
    assert "truncation" in [s.name for s in exported.settings]
    others = {s.name: np.array(s.default, np.float32) for s in exported.settings}
    for count in (1, 7):
        z = torch.randn(count, *own.latent, generator=torch.Generator().manual_seed(count))
        y = torch.arange(count) % own.classes
        feeds = {**others, "latents": z.numpy(), "truncation": np.array(0.6, np.float32), "label": y.int().numpy()}
        with torch.inference_mode():
            want = own.sample(z, own.Sampling(truncation=0.6), y)
        np.testing.assert_allclose(session.run(None, feeds)[0], want.numpy(), atol=graph.TOLERANCE)
    told = session.get_modelmeta().custom_metadata_map
    assert told["checkpoint"] == made.digest
    assert float(told["difference"]) <= graph.TOLERANCE
    assert json.loads(told["modality"])["size"] == made.modality.size


@pytest.mark.parametrize("preset", ["autoencoder:tiny", "diffusion:tiny", "flow:tiny", "gan:tiny", "vae:tiny"])
def test_the_graph_of_a_model_that_draws_no_chosen_class(preset, tmp_path):
    exported = graph.export(finished(tiny(preset, 2, {"model.conditional": False}), tmp_path))
    session = onnxruntime.InferenceSession(exported.data)
    assert "label" not in [given.name for given in session.get_inputs()]
    assert exported.difference <= graph.TOLERANCE


def test_a_graph_that_does_not_draw_is_a_sentence(all_made, monkeypatch):
    sampled(monkeypatch, lambda own, z, sampling, y: own(z, sampling, y) + torch.zeros(len(z), 1, 1, 1))
    with pytest.raises(graph.ExportError, match=r"^vae:tiny: the exported graph does not draw \(InvalidArgument\)$"):
        graph.export(all_made["vae"])


def test_the_graph_says_nothing_of_this_machine_and_its_halves_stay_halves(all_made, tmp_path):
    c = all_made["gan"]
    run = c.manifest.run.model_copy(update={"train": c.manifest.run.train.model_copy(update={"weights": "float16"})})
    weights = checkpoint.load(c).generator.state_dict()
    half = checkpoint.save(tmp_path / "half", weights, run, c.modality, c.manifest.classes, c.manifest.source, c.manifest.training)
    data = graph.export(half).data
    assert not [word for word in (b"site-packages", b"aigc_demo/", b".py", str(tmp_path).encode()) if word in data]
    stored = onnx.load_from_string(data)
    onnx.checker.check_model(stored)
    assert {w.data_type for w in stored.graph.initializer if np.prod(w.dims) >= 64} == {onnx.TensorProto.FLOAT16}
    largest = max((v for v in weights.values()), key=torch.Tensor.numel)
    kept = [onnx.numpy_helper.to_array(w) for w in stored.graph.initializer]
    assert any(np.array_equal(v, largest.half().numpy()) for v in kept)


def sampled(monkeypatch, change):
    """The family vae with `change(own sample, latents, sampling, condition)` in the place of its sample()."""
    family = model.family("vae")
    own = family.sample
    monkeypatch.setattr(family, "sample", lambda self, z, sampling, y=None, on_step=None: change(partial(own, self), z, sampling, y))


def test_a_sampling_that_torch_cannot_follow_is_a_sentence(all_made, monkeypatch):
    sampled(monkeypatch, lambda own, z, sampling, y: own(z, sampling, y) * (1 if z.tolist()[0][0] > 0 else 2))
    with pytest.raises(graph.ExportError, match=r"^vae:tiny: its sampling cannot be exported"):
        graph.export(all_made["vae"])


def test_a_sampling_that_comes_out_otherwise_is_a_sentence(all_made, monkeypatch):
    sampled(monkeypatch, lambda own, z, sampling, y: own(z, sampling, y) + 0.01 * torch.randn(1))
    with pytest.raises(graph.ExportError, match="off what torch draws"):
        graph.export(all_made["vae"])


def test_a_setting_that_torch_cannot_follow_is_fixed(all_made, monkeypatch):
    sampled(monkeypatch, lambda own, z, sampling, y: own(z, type(sampling)(truncation=float(sampling.truncation)), y))
    exported = graph.export(all_made["vae"])
    assert exported.settings == ()
    assert [i.name for i in onnxruntime.InferenceSession(exported.data).get_inputs()] == ["latents", "label"]


def test_a_setting_is_offered_as_far_as_the_graph_follows_it(all_made, monkeypatch):
    def change(own, z, sampling, y):
        far = isinstance(sampling.truncation, float) and sampling.truncation > 1.3  # a tensor where it is exported
        return own(z, sampling, y) + 10 * graph.TOLERANCE * far

    sampled(monkeypatch, change)
    exported = graph.export(all_made["vae"])
    assert [(s.name, s.low, s.default, s.high) for s in exported.settings] == [("truncation", 0.0, 1.0, 1.25)]
    assert exported.difference <= graph.TOLERANCE


def test_without_the_extra_it_says_which(all_made, monkeypatch, aigc):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, _, said = aigc("export", all_made["vae"].name, "--format", "onnx")
    assert code == 1
    assert "needs the extra `export`" in said
    assert len(said.splitlines()) == 1


def test_the_command_line_writes_a_graph(all_made, aigc, tmp_path):
    code, said, _ = aigc("export", all_made["vae"].name, "--format", "onnx", "-o", tmp_path / "m.onnx", "--json")
    told = json.loads(said)
    assert (code, told["digest"]) == (0, all_made["vae"].digest)
    assert told["difference"] <= graph.TOLERANCE
    assert onnxruntime.InferenceSession(tmp_path / "m.onnx").get_outputs()[0].name == "x"
    assert aigc("export", "no-such")[0] == 2
    assert aigc("export", all_made["vae"].name, "--format", "pdf")[0] == 2


# -- the runtime


@pytest.fixture(scope="session")
def ort(tmp_path_factory):
    """A folder with the browser's runtime, fetched as an export does; without a registry its tests are left out, but never in CI."""
    home = tmp_path_factory.mktemp("runtime")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIGC_HOME", str(home))
        try:
            runtime.read()
        except graph.ExportError as error:
            left_out = pytest.fail if os.environ.get("CI") else pytest.skip
            left_out(str(error))
        patch.setenv("PATH", "")
        assert runtime.read().keys() == runtime.SHA512.keys()  # from now on without npm
    return home / "cache" / f"{runtime.PACKAGE}-{runtime.VERSION}"


def test_another_runtime_is_refused(tmp_path, monkeypatch):
    with pytest.raises(graph.ExportError, match="holds no ort"):
        runtime.read(tmp_path)
    (tmp_path / runtime.SCRIPT).write_bytes(b"alert(1)")
    with pytest.raises(graph.ExportError, match=f"{runtime.SCRIPT}: not the file of"):
        runtime.read(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(graph.ExportError, match=r"npm is needed .* or put ort"):
        runtime.read()
    (tmp_path / "npm").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "npm").chmod(0o755)
    with pytest.raises(graph.ExportError, match="npm could not fetch"):
        runtime.read()


# -- the page, in a browser


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def exported(toys_home, ort, tmp_path_factory):
    """The pages of the toys by name: their checkpoint, and where a server of plain files serves them."""
    folder, found, servers = tmp_path_factory.mktemp("pages"), {}, []
    for name in ("tiny-gan", "tiny-vae", "tiny-flow"):
        own = folder / f"{name}-own"
        shutil.copytree(toys_home / "runs" / name / "checkpoint", own)
        if name == "tiny-vae":  # somebody else's words
            stored = json.loads((own / "config.json").read_text())
            stored["classes"][1] = HOSTILE
            (own / "config.json").write_text(json.dumps(stored))
            (own / "README.md").write_text(f"---\ntitle: x\n---\n{CARD}")
        c = checkpoint.read(own)
        if name != "tiny-vae":  # sliders that follow a curve, of numbers and of low waves
            checkpoint.write_directions(c, curved(checkpoint.load(c).latent))
        static_page.write(folder / name, static_page.make(engine.Engine(), c, ort))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder / name)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        found[name] = (c, folder / name, f"http://127.0.0.1:{server.server_port}/")
    yield found
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def look(chromium, exported):
    """look(name, ...) opens a page as a new visitor, with its first picture drawn; it fails on whatever the page should not do."""
    contexts, faults = [], []

    def open(name, query="", **settings):
        url = exported[name][2]
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, "locale": "en-US", **settings})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(100_000)
        page.on("pageerror", lambda error: faults.append(f"threw: {error}"))
        page.on("console", lambda said: said.type == "error" and faults.append(f"console: {said.text}"))
        page.on("dialog", lambda dialog: faults.append("a dialog") or dialog.dismiss())
        page.on("request", lambda asked: asked.url.startswith((url, "data:", "blob:")) or faults.append(f"asked for {asked.url}"))
        page.goto(url + query)
        drawn(page)
        return page

    yield open
    for context in contexts:
        context.close()
    assert not faults


def drawn(page, **want):
    page.wait_for_function(DRAWN, arg=want)


def same(page, c, **want):
    """Waits for a state with these values; its pixels must be the engine's within 1 of 255. Gives the state and the pixels."""
    drawn(page, **want)
    now = page.evaluate(SHOWN)
    state, pixels = now["state"], np.array(now["data"], np.uint8).reshape(now["side"], -1, 4)
    asked = engine.Request("page", state["seed"], state["index"], tuple(state["sliders"]), {}, state["label"], state["sampling"])
    item = engine.Engine().draw([asked], name=c)[0].item.permute(1, 2, 0).numpy()
    np.testing.assert_allclose(pixels[..., :3], np.broadcast_to(item.astype(int), pixels[..., :3].shape), atol=1)
    assert (pixels[..., 3] == 255).all()
    return state, pixels


@pytest.mark.browser
def test_the_browser_draws_the_latents_that_torch_draws(look):
    page = look("tiny-vae")
    seeds = [0, 7, 1234567, 2**31 - 1]
    asked = [(seed, index, size) for seed in seeds for index in (0, 5, 2**31 - 1) for size in (1, 4, 15, 16, 17, 33, 100, 784)]
    script = "(asked) => import('./draw.js').then(({ latent }) => asked.map((one) => [...latent(...one)]))"
    for (seed, index, size), z in zip(asked, page.evaluate(script, asked), strict=True):
        np.testing.assert_allclose(z, model.draw_latents((size,), seed, [index])[0].numpy(), rtol=3e-6, atol=3e-6)


@pytest.mark.browser
@pytest.mark.parametrize("name", ["tiny-gan", "tiny-vae", "tiny-flow"])
def test_the_page_draws_what_the_engine_draws(look, exported, name):
    c = exported[name][0]
    others = {"guidance": 1} if name == "tiny-flow" else {}
    page = look(name)
    same(page, c, seed=static_page.SEED)
    rng = np.random.default_rng(0)
    seen = set()
    for seed in (0, 99, 2147483647):
        page.locator("[name=seed]").fill(str(seed))
        page.keyboard.press("Enter")
        amounts = rng.uniform(-3, 3, page.locator("[data-slider]").count()).round(2).tolist()
        page.locator(".chips button").nth(seed % 3).click()
        page.evaluate(MOVED, [amounts, 0.75])
        state, pixels = same(page, c, seed=seed, sliders=amounts, label=seed % 3, sampling={**others, "truncation": 0.75})
        seen.add(pixels.tobytes())
        page.reload()  # the address holds it all
        assert same(page, c, seed=seed)[0] == state
    assert len(seen) == 3
    page.locator(".reset").click()
    same(page, c, sliders=[0] * len(amounts), sampling={**others, "truncation": 1})


@pytest.mark.browser
def test_the_picture_follows_a_drag_and_the_last_value_wins(look, exported):
    page = look("tiny-vae")
    box = page.locator("[data-slider='0']").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    before = int(page.locator(".pad").get_attribute("data-count"))
    for step in range(1, 21):
        page.mouse.move(x + step * box["width"] / 45, y)
    page.mouse.up()
    value = float(page.locator("[data-slider='0']").input_value())
    assert value > 2
    same(page, exported["tiny-vae"][0], sliders=[value, 0, 0, 0])
    assert int(page.locator(".pad").get_attribute("data-count")) > before
    page.locator("[data-slider='1']").focus()
    page.keyboard.press("End")
    same(page, exported["tiny-vae"][0], sliders=[value, 3, 0, 0])


@pytest.mark.browser
def test_a_sample_of_the_grid_is_the_seed_s_own(look, exported):
    page = look("tiny-gan")
    page.wait_for_function(FILLED)
    script = "document.querySelectorAll('.grid canvas')[5].toDataURL()"
    cell = page.evaluate(script)
    page.locator(".grid button").nth(5).click()
    same(page, exported["tiny-gan"][0], index=5)
    assert page.evaluate("document.querySelector('canvas.hero').toDataURL()") == cell
    assert page.locator(".grid [aria-current=true]").count() == 1
    page.locator(".dice").click()
    page.wait_for_function("(cell) => document.querySelectorAll('.grid canvas')[5].toDataURL() !== cell", arg=cell)


@pytest.mark.browser
@pytest.mark.parametrize("name", ["tiny-gan", "tiny-vae"])
def test_what_is_downloaded_carries_its_recipe_and_its_label(look, exported, name, tmp_path):
    c = exported[name][0]
    page = look(name)
    page.locator(".chips button").nth(1).click()
    page.locator("[data-slider='1']").fill("1.25")
    drawn(page, label=1)
    page.wait_for_function("() => JSON.parse(document.querySelector('.pad').dataset.drawn).sliders[1] === 1.25")
    with page.expect_download() as got:
        page.locator(".save").click()
    got.value.save_as(tmp_path / "one.png")
    data = (tmp_path / "one.png").read_bytes()
    found = label.read(data)
    assert found.source_type == label.SOURCE_TYPE
    with Image.open(io.BytesIO(data)) as image:
        assert found.aigc == label.aigc(image.info["aigc_demo"])
    assert found.recipe == Modality.recipe_of(data)
    again, hashes = engine.recall(data)  # as the studio does with a file that is dropped on it
    assert hashes == {"digest": c.digest, "ways": engine.Engine().warm(c).ways}
    assert (again.label, again.sliders[1]) == (1, 1.25)
    want = engine.Engine().draw([again], name=c)[0].item
    assert (c.modality.read(data).int() - want.int()).abs().max() <= 1


@pytest.mark.browser
def test_an_address_that_asks_for_nonsense_gets_what_there_is(look, exported):
    c = exported["tiny-vae"][0]
    page = look("tiny-vae", "?seed=-5&index=1e99&class=77&sliders=9,,x,-9,4,4&set.truncation=<b>&other=1")
    state = same(page, c)[0]
    assert state == {"seed": 0, "label": 9, "index": 2147483647, "sliders": [3, 0, 0, -3], "sampling": {"truncation": 1}}


@pytest.mark.browser
def test_a_link_holds_the_picture_and_says_when_it_was_made_with_another_model(look, exported):
    c = exported["tiny-gan"][0]
    page = look(
        "tiny-gan", f"?hash={c.digest[:16]}&seed=3&sliders=0,1.5&set.truncation=0.5", permissions=["clipboard-read", "clipboard-write"]
    )
    state, _ = same(page, c, seed=3, sampling={"truncation": 0.5})
    assert state["sliders"][:3] == [0, 1.5, 0]
    assert page.locator(".line").inner_text() == ""
    page.locator(".link").click()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url
    asked = links.read(link)  # as the studio does
    assert (asked.request.seed, asked.request.sliders, asked.request.sampling) == (3, (0, 1.5), {"truncation": 0.5})
    assert (asked.request.label, c.digest.startswith(asked.digest)) == (state["label"], True)
    assert asked.ways == engine.Engine().warm(c).ways
    assert same(look("tiny-gan", "?" + link.partition("?")[2]), c)[0] == state
    other = look("tiny-gan", "?hash=0123456789abcdef&seed=3")
    assert "made with another model" in other.locator(".line").inner_text()
    assert "only the studio" in look("tiny-gan", "?seed=3&place=1,2").locator(".line").inner_text()
    other.locator(".dice").click()
    other.wait_for_function("() => document.querySelector('.line').textContent === ''")


@pytest.mark.browser
def test_somebody_else_s_words_are_text(look):
    page = look("tiny-vae")
    assert page.locator(".chips button").nth(1).inner_text() == HOSTILE
    page.locator(".card summary").click()
    card = page.locator(".card .text")
    for text in (HOSTILE, "<script>alert(1)</script>", "<b>code</b>"):
        assert text in card.inner_text()
    assert [card.locator(tag).count() for tag in ("li", "th", "td", "pre", "img", "script", "b")] == [2, 2, 2, 1, 0, 0, 0]
    assert page.locator("img").count() == 0


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "locale"), [("light", "en-US"), ("dark", "zh-TW")])
def test_everybody_can_use_it(look, scheme, locale):
    page = look("tiny-gan", viewport={"width": 390, "height": 844}, color_scheme=scheme, locale=locale)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("canvas.hero").bounding_box()["y"] < 300
    assert page.locator(".dice").inner_text() == {"en-US": "Roll another", "zh-TW": "換一個"}[locale]
    page.locator(".card summary").click()
    debugger = page.context.new_cdp_session(page)  # the page's own policy lets no script in
    debugger.send("Runtime.evaluate", {"expression": AXE_FILE_PATH.read_text("utf-8")})
    faults = [(v["id"], n["target"]) for v in page.evaluate(AXE)["violations"] for n in v["nodes"]]
    assert faults == []
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor").strip("rgb()").split(",")
    assert (sum(map(int, paper)) < 150) == (scheme == "dark")


@pytest.mark.browser
def test_the_first_screen_holds_all_that_exploring_needs(look):
    page = look("tiny-gan")
    for part in ("canvas.hero", "[name=seed]", "[data-slider]", "[data-sampling]", ".dice", ".grid button"):
        boxes = [one.bounding_box() for one in page.locator(part).all()]
        assert boxes, part
        assert max(box["y"] + box["height"] for box in boxes) <= 800, part


@pytest.mark.browser
def test_the_studio_hands_both_out(visit, site, ort, tmp_path):
    shutil.copytree(ort, site.home / "cache" / ort.name)
    page = visit()
    page.wait_for_function("() => document.querySelector('.pad')?.dataset.drawn")
    page.locator("[name=checkpoint]").select_option("tiny-vae")
    page.wait_for_function("() => JSON.parse(document.querySelector('.pad').dataset.drawn).checkpoint === 'tiny-vae'")
    page.evaluate(
        '(digest) => localStorage.setItem(`aigc.names.${digest}`, \'{"names": {"1": "<b>smile"}, "kept": []}\')',
        site.checkpoint("tiny-vae").digest,
    )
    page.get_by_role("tab", name="Export").click()
    digest = site.checkpoint("tiny-vae").digest
    for format, name in (("page", "tiny-vae-page.zip"), ("onnx", "tiny-vae.onnx")):
        with page.expect_download() as got:
            page.locator(f"[data-panel=export] [data-format={format}]").click()
        assert got.value.suggested_filename == name
        got.value.save_as(tmp_path / name)
        page.wait_for_function("(name) => document.querySelector('.export-says').textContent.startsWith(name)", arg=name)
    with zipfile.ZipFile(tmp_path / "tiny-vae-page.zip") as archive:
        told = json.loads(archive.read(static_page.PAGE))
        assert (told["digest"], told["names"][1]) == (digest, "<b>smile")
        assert "index.html" in archive.namelist()
    assert onnxruntime.InferenceSession(tmp_path / "tiny-vae.onnx").get_modelmeta().custom_metadata_map["checkpoint"] == digest


def test_one_export_at_a_time_and_none_of_a_giant(all_made, monkeypatch):
    kind, name = engine.Engine(), all_made["vae"].name
    with export._one, pytest.raises(config.ConfigError, match="another one is under way"):
        export.made(kind, name, "onnx")
    monkeypatch.setattr(export, "STEPS", 1)
    with pytest.raises(config.ConfigError, match="a graph of 2 steps takes minutes, at most 1 are made here"):
        export.made(kind, all_made["flow"].name, "onnx")
    with pytest.raises(graph.ExportError, match="it draws what a prompt says"):
        export.made(kind, "shapes-t2i", "onnx")  # of eight steps, which is not what is in the way
    monkeypatch.setattr(export, "LARGEST", 1000)
    with pytest.raises(config.ConfigError, match="too many here"):
        export.made(kind, name, "onnx")


def test_what_both_pages_say_they_say_in_the_same_words():
    studio = words.of("explore")
    page = json.loads((static_page.ASSETS / "words.json").read_text("utf-8"))
    assert all(set(said) == {"en", "zh-Hans", "zh-Hant"} for said in page.values())
    shared = page.keys() & studio.keys() - {"about"}
    assert len(shared) > 15
    assert {k: page[k] for k in shared} == {k: studio[k] for k in shared}
    named = Modality(16, 3).measures(torch.zeros(1, 3, 16, 16))  # of pictures alone: a sound is not exported
    assert {f"name.{k}" for k in named} <= page.keys() & studio.keys()


def test_the_folder_is_a_static_space_and_says_nothing_of_this_machine(exported, toys_home):
    c, folder, _ = exported["tiny-gan"]
    readme = (folder / "README.md").read_text()
    assert readme.startswith("---\ntitle: ")
    assert 'sdk: "static"' in readme.partition("\n---\n")[0]
    for path in folder.iterdir():
        data = path.read_bytes()
        assert str(toys_home).encode() not in data, path
        if path.suffix in (".png", ".webp"):
            assert label.read(data).recipe["digest"] == c.digest
    with zipfile.ZipFile(io.BytesIO(static_page.zipped(static_page.Page({"a": b"1"}, 0.0)))) as archive:
        assert archive.namelist() == ["a"]


def test_a_page_is_written_over_a_page_and_over_nothing_else(exported, aigc, ort, tmp_path):
    own = exported["tiny-vae"][0].path
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    code, _, said = aigc("export", own, "--runtime", ort, "-o", tmp_path / "mine")
    assert (code, "exists and is not an exported page" in said) == (1, True)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["diary.txt"]
    code, _, said = aigc("export", own, "--runtime", tmp_path, "-o", tmp_path / "new")
    assert code == 1
    assert "holds no" in said
    static_page.write(tmp_path / "page", static_page.Page({static_page.PAGE: b"{}"}, 0.0))
    code, said, _ = aigc("export", own, "--runtime", ort, "-o", tmp_path / "page")
    assert code == 0, said
    assert "python -m http.server" in said
    assert json.loads((tmp_path / "page" / static_page.PAGE).read_text())["digest"] == exported["tiny-vae"][0].digest
