"""What programs call: the named endpoints end to end, and what strangers send to them and to the page's own functions."""

import base64
import json
import re
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from hostile import BLUE, RED, png, zipped
from PIL import Image
from toys import wait_for

from aigc_demo import jobs, studio
from aigc_demo.engine import Engine
from aigc_demo.modalities.image import Modality
from aigc_demo.provenance import label as provenance
from aigc_demo.studio import compare, widgets

pytest_plugins = ["pages"]

SURFACE = {  # a change here is a change for everybody who calls it
    "/explore_list": (),
    "/explore_open": ("checkpoint",),
    "/explore_picture": ("checkpoint", "seed", "sliders", "label", "truncation", "numbers"),
    "/explore_sound": ("checkpoint", "seed", "sliders", "label", "truncation", "numbers"),
    "/explore_neighbours": ("checkpoint", "seed", "sliders", "label", "truncation", "numbers"),
    "/explore_numbers": ("checkpoint", "seed"),
    "/explore_command": ("checkpoint", "seed", "sliders", "label", "truncation", "numbers"),
    "/explore_strip": ("checkpoint", "axis", "seed", "sliders", "label", "truncation", "numbers"),
    "/explore_link": ("checkpoint", "seed", "sliders", "label", "truncation", "numbers"),
    "/explore_arrive": ("link",),
    "/explore_recipe": ("file",),
    "/explore_sheet": ("checkpoint", "n", "seed", "label"),
    "/explore_directions": ("checkpoint", "method", "between"),
    "/explore_contact": ("checkpoint", "method", "seed", "seeds", "label"),
    "/explore_map": ("checkpoint", "x", "y", "step", "side", "seed", "label"),
    "/explore_walk": ("checkpoint", "seeds", "frames", "fps", "kind", "way", "loop", "label"),
    "/explore_mix": ("checkpoint", "coarse", "fine", "level", "label"),
    "/explore_invert": ("checkpoint", "picture", "label"),
    "/explore_restore": ("checkpoint", "picture", "noise", "amount", "number"),
    "/explore_edit": ("checkpoint", "picture", "mask", "strength", "label", "seed"),
    "/explore_export": ("checkpoint", "format"),
    "/explore_prompts": ("checkpoint", "prompts", "seed", "guidance", "steps", "negative", "toward"),
    "/explore_pair": ("checkpoint", "other", "seed", "label"),
    "/write_text": ("checkpoint", "prompt", "seed", "settings"),
    "/write_poem": ("checkpoint", "title", "form", "line", "seed"),
    "/write_perplexity": ("checkpoint", "text"),
    "/train_presets": (),
    "/train_settings": ("preset",),
    "/train_start": ("preset", "data", "budget", "unit", "settings", "visitor"),
    "/train_sweep": ("preset", "over", "data", "budget", "unit", "settings", "visitor"),
    "/train_watch": ("run",),
    "/train_list": ("visitor",),
    "/train_limits": (),
    "/train_mark": ("run", "step"),
    "/train_moment": ("run", "step", "seed", "x", "y", "label"),
    "/train_health": ("run",),
    "/train_rewind": ("run", "owner", "rate"),
    "/train_stop": ("run", "owner"),
    "/train_pause": ("run", "owner"),
    "/train_go_on": ("run", "owner"),
    "/train_extend": ("run", "owner", "amount", "unit"),
    "/train_rename": ("run", "owner", "name"),
    "/train_keep": ("run", "owner", "keep"),
    "/train_delete": ("run", "owner"),
    "/train_resume_check": ("preset", "steps", "at"),
    "/runs_list": ("opened", "group"),
    "/runs_curves": ("run", "have"),
    "/runs_pair": ("a", "b", "by", "at"),
    "/data_sources": (),
    "/data_look": ("source",),
    "/data_upload": ("zip",),
    "/data_points": ("points",),
}
UP, DEEP, NOBODY = "../../etc/passwd", "[" * 100_000 + "]" * 100_000, "0" * 32
DARK, DOT = (base64.b64encode(data).decode() for data in (png(), png(16, 16, (0, 0, 0), (255, 255, 255))))  # red and blue are dark


@pytest.fixture(scope="module")
def client(site, tmp_path_factory):
    return Client(site.url, verbose=False, download_files=tmp_path_factory.mktemp("fetched"))


@pytest.fixture(scope="module")
def pad(site):
    """pad(function, payload) calls one of the picture's own functions as its page does."""
    components = json.loads(site.get("config")[1])["components"]
    own = next(c for c in components if c["props"].get("elem_id") == "explore")

    def call(function, payload):
        body = {"data": payload, "component_id": own["id"], "fn_name": function, "session_hash": "test"}
        status, answer = site.get("gradio_api/component_server", body)
        return status, json.loads(answer) if status == 200 else answer

    call.functions = own["props"]["server_fns"]
    return call


@pytest.fixture
def run(client):
    """run(data, preset, settings...) starts a training of a minute at most, which is stopped at the end."""
    begun = []

    def start(data="digits", preset="vae:tiny", **settings):
        begun.append(client.predict(preset, data, 1, "minutes", json.dumps(settings), api_name="/train_start"))
        return begun[-1]["id"], begun[-1]["owner"]

    yield start
    for one in begun:
        client.predict(one["id"], one["owner"], api_name="/train_stop")


def learns(client, id):
    """Waits until a run has learnt something; gives what a watcher sees."""

    def going():
        seen = client.predict(id, api_name="/train_watch")
        assert seen["state"] != "failed", seen["says"]
        return seen["points"] and seen["points"][-1]["step"] > 0 and seen["marks"] and seen

    return wait_for(going, 200)


def test_a_small_sweep(client, site):
    made = client.predict("vae:tiny", "train.lr=1e-3,2e-3", "digits", 1, "minutes", '{"model.latent": 3}', "me", api_name="/train_sweep")
    try:
        table = client.predict(json.dumps([one["id"] for one in made["runs"]]), made["group"], api_name="/runs_list")
        own = [row["id"] for row in table["runs"]]
        assert table["columns"] == ["train.lr"]
        assert {site.run(id)["train"]["lr"] for id in own} == {1e-3, 2e-3}
        assert {site.run(id)["model"]["latent"] for id in own} == {3}
    finally:
        for one in made["runs"]:
            client.predict(one["id"], one["owner"], api_name="/train_stop")


def test_the_surface(client):
    found = client.view_api(return_format="dict", print_info=False)
    assert {name: tuple(p["parameter_name"] for p in about["parameters"]) for name, about in found["named_endpoints"].items()} == SURFACE
    assert found["unnamed_endpoints"] == {}


def test_explore(client, site):
    names = [c["name"] for c in client.predict(api_name="/explore_list")]
    assert {"tiny-gan", "tiny-vae"} <= set(names)
    about = client.predict("tiny-gan", api_name="/explore_open")
    assert about["shape"] == [3, 32, 32]
    assert about["classes"] == ["circle", "square", "triangle", "star", "cross", "heart"]
    assert about["digest"] == site.checkpoint("tiny-gan").digest

    made = client.predict("tiny-vae", 11, "[1.5, -2]", 4, 0.5, api_name="/explore_picture")
    state = {"checkpoint": "tiny-vae", "seed": 11, "sliders": [1.5, -2], "label": 4, "sampling": {"truncation": 0.5}}
    with open(made, "rb") as file:
        data = file.read()
    ways = Engine().warm(site.checkpoint("tiny-vae")).ways
    assert Modality.recipe_of(data) == {**state, "index": 0, "digest": site.checkpoint("tiny-vae").digest, "ways": ways}
    again = client.predict(handle_file(made), api_name="/explore_recipe")
    link = client.predict("tiny-vae", 11, "[1.5, -2]", 4, 0.5, api_name="/explore_link")
    for arrived in (again, client.predict(f"http://127.0.0.1/?run=1&{link}", api_name="/explore_arrive")):
        assert {k: v for k, v in arrived["state"].items() if k in state} == state
        assert arrived["says"] is None
    with Image.open(client.predict("tiny-vae", "sliders.1", 11, api_name="/explore_strip")) as sheet:
        assert sheet.size == (61 * 29 - 1, 28)
    pixels = Modality(28, 1).read(data).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(pixels.astype(int), site.picture(state), atol=1)
    line = client.predict("tiny-vae", 11, "[1.5, -2]", 4, 0.5, "{}", api_name="/explore_command")["command"]
    assert line == "aigc sample tiny-vae --n 1 --seed 11 --class 4 --slider 1=1.5 --slider 2=-2 --set truncation=0.5 -o picture.png"
    assert len(client.predict("tiny-vae", 11, api_name="/explore_numbers")) == 4
    with Image.open(client.predict("tiny-vae", 11, api_name="/explore_neighbours")) as sheet:
        assert sheet.width > 9 * 28

    ways = client.predict("tiny-vae", api_name="/explore_directions")
    opened = client.predict("tiny-vae", api_name="/explore_open")
    assert ([w["name"] for w in ways], [w["method"] for w in ways]) == (opened["names"], opened["methods"])
    assert {w["method"] for w in client.predict("tiny-vae", "pca", api_name="/explore_directions")} == {"pca"}
    with Image.open(client.predict("tiny-vae", "stored", 3, 2, api_name="/explore_contact")) as page:
        assert sorted(page.size) == [2480, 3508]

    with Image.open(client.predict("tiny-gan", 16, 3, 2, api_name="/explore_sheet")) as sheet:
        assert sheet.width > 4 * 32
        assert sheet.height > 2 * 32


def test_a_run_from_start_to_stop(client, site, run):
    assert "vae:tiny" in client.predict(api_name="/train_presets")
    settings = {s["name"]: s for s in client.predict("vae:tiny", api_name="/train_settings")}
    assert settings["model.latent"]["default"] == 4
    assert settings["model.latent"]["high"] == 1024

    # where the data comes from is said by `data` alone
    id, owner = run(**{"model.latent": 5, "train.marks": 200, "data.source": "/etc"})
    seen = learns(client, id)
    assert site.run(id)["data"]["source"] == "digits"
    assert "--set model.latent=5" in seen["command"]
    with Image.open(client.predict(id, seen["marks"][0], api_name="/train_mark")) as mark:
        assert mark.width > 28

    asks = [("stop",), ("pause",), ("go_on",), ("extend", 5, ""), ("rename", "mine"), ("keep", True), ("delete",)]
    for stranger in ("", NOBODY, owner[:-1], owner.upper()):
        for what, *more in asks:
            with pytest.raises(AppError, match="only the browser that started this run may"):
                client.predict(id, stranger, *more, api_name=f"/train_{what}")
    assert client.predict(id, api_name="/train_watch")["state"] == "running"
    assert client.predict(id, owner, True, api_name="/train_keep") is True
    assert client.predict(id, owner, "mine", api_name="/train_rename")["name"] == "mine"
    assert client.predict(id, owner, api_name="/train_pause") == "paused"
    paused = client.predict(id, api_name="/train_watch")
    assert paused["saved"] == paused["points"][-1]["step"]
    with pytest.raises(AppError, match="amount: -5 is not a number above 0"):
        client.predict(id, owner, -5, api_name="/train_extend")
    with pytest.raises(AppError, match=r"train\.budget: 1e.06 minutes are more than the 120 that this server grants"):
        client.predict(id, owner, 1_000_000, "minutes", api_name="/train_extend")
    assert client.predict(id, owner, 5, "minutes", api_name="/train_extend")["state"] in ("starting", "waiting", "running")
    wait_for(lambda: learns(client, id)["points"][-1]["step"] > paused["saved"], 200)
    assert client.predict(id, owner, api_name="/train_stop") == "stopped"

    seen = client.predict(id, api_name="/train_watch")
    assert seen["checkpoint"] == id
    assert id not in json.dumps(client.predict(api_name="/runs_list"))
    table = client.predict(json.dumps([id]), api_name="/runs_list")
    assert {id, "tiny-vae"} <= {row["id"] for row in table["runs"]}
    assert "model.latent" in table["columns"]
    news = client.predict(id, api_name="/runs_curves")
    assert news["points"] >= len(seen["points"])
    have = {"version": news["version"], "points": news["points"]}
    assert client.predict(id, json.dumps(have), api_name="/runs_curves")["charts"] == {}
    pair = client.predict(id, "tiny-vae", "steps", 1e9, api_name="/runs_pair")
    assert [one["step"] for one in pair] == [seen["marks"][-1], 60]
    assert client.predict(id, api_name="/explore_open")["latent"] == 5
    assert id not in json.dumps(client.predict(api_name="/explore_list"))
    assert id not in json.dumps(client.predict(NOBODY, api_name="/train_list"))
    assert {"tiny-gan", "tiny-vae"} <= {seen["id"] for seen in client.predict(api_name="/train_list")}, "runs of the command line"
    assert owner not in (site.home / "runs" / id / jobs.OWNER).read_text()


def test_data_of_ones_own(client, site, run, tmp_path):
    listed = {s["name"]: s for s in client.predict(api_name="/data_sources")}
    assert listed["digits"]["licence"] == "CC BY 4.0"
    with Image.open(client.predict("shapes", api_name="/data_look")) as sheet:
        assert sheet.width > 8 * 32

    own = tmp_path / "own.zip"
    members = {f"{name}/{i}.png": png(16, 16, left, (i, 9, 9)) for name, left in (("red", RED), ("blue", BLUE)) for i in range(10)}
    own.write_bytes(zipped(members))
    name = client.predict(handle_file(own), api_name="/data_upload")
    assert name == client.predict(handle_file(own), api_name="/data_upload")
    assert name not in json.dumps(client.predict(api_name="/data_sources"))
    with Image.open(client.predict(name, api_name="/data_look")) as sheet:
        assert sheet.convert("RGB").getpixel((1, 1)) == BLUE  # of the first class
    id, owner = run(name)
    seen = learns(client, id)
    assert str(site.home) not in json.dumps(seen)
    client.predict(id, owner, api_name="/train_stop")
    assert client.predict(id, api_name="/explore_open")["classes"] == ["blue", "red"]


def test_points_of_ones_own(client, run):
    name = client.predict(json.dumps([[0.1 * k, 1 + k % 3] for k in range(40)]), api_name="/data_points")
    id, owner = run(name, preset="gan:points")
    learns(client, id)
    client.predict(id, owner, api_name="/train_stop")


def test_a_text_of_ones_own(client, run, tmp_path):
    (tmp_path / "own.txt").write_text("to be or not to be, that is the question\n" * 50, encoding="utf-8")
    name = client.predict(handle_file(tmp_path / "own.txt"), api_name="/data_upload")
    assert re.fullmatch(r"upload-[0-9a-f]{24}\.txt", name)
    id, owner = run(name, preset="gpt:tiny")
    learns(client, id)
    client.predict(id, owner, api_name="/train_stop")
    (tmp_path / "own.exe").write_bytes(b"MZ")
    with pytest.raises(AppError, match=r"\.zip.+\.txt.+\.csv.+\.jsonl"):
        client.predict(handle_file(tmp_path / "own.exe"), api_name="/data_upload")


def test_an_upload_that_is_no_zip(client, site, tmp_path):
    (tmp_path / "no.zip").write_bytes(b"no zip")
    name = client.predict(handle_file(tmp_path / "no.zip"), api_name="/data_upload")
    with pytest.raises(AppError, match="neither a folder nor a zip") as error:
        client.predict(name, api_name="/data_look")
    assert str(site.home) not in str(error.value)


# endpoint, arguments, what the sentence names
HOSTILE = [
    *[("/explore_open", (name,), "checkpoint") for name in (UP, "", "/etc", "a" * 5000, "tiny-vae\0", "nobody", "<b>")],
    *[("/explore_picture", (UP,), "is not a name")],
    *[("/explore_picture", ("tiny-vae", seed), "seed") for seed in (-1, 2**31, 10**40)],
    *[("/explore_picture", ("tiny-vae", 0, s), "sliders") for s in ("[NaN]", "[1e999]", "[9]", "null", "{}", "7", "[[1]]", "no", DEEP)],
    *[("/explore_picture", ("tiny-vae", 0, "[]", -1, 1, s), "numbers") for s in ('{"99": 1}', '{"x": 1}', '{"0": 99}', "[]", "no", DEEP)],
    *[(f"/explore_{what}", (UP,), "is not a name") for what in ("neighbours", "numbers")],
    *[("/explore_picture", ("tiny-vae", 0, json.dumps([0.1] * 5000)), "sliders: 5000 given, the checkpoint has")],
    *[("/explore_picture", ("tiny-vae", 0, "[]", label), "label") for label in (10, 10**30)],
    *[("/explore_picture", ("tiny-vae", 0, "[]", 0, much), "truncation") for much in (-1, 1e300)],
    *[("/explore_sheet", (UP,), "is not a name"), ("/explore_sheet", ("tiny-vae", 4, 0, 10), "label")],
    *[("/explore_strip", ("tiny-vae", axis), "axis: ") for axis in ("", "seed", "sliders.x", UP, "sampling.<b>", DEEP)],
    *[("/explore_arrive", (link,), "link: ") for link in ("", UP, "?", "model=tiny-vae&seed=x", "model=tiny-vae&latent=AA", DEEP)],
    *[("/explore_arrive", (link,), "sliders: ") for link in ("model=tiny-vae&sliders=nan", f"model=tiny-vae&sliders={'1,' * 50}")],
    *[("/explore_arrive", ("model=nobody&hash=00",), "checkpoint nobody: not here"), ("/explore_link", (UP,), "is not a name")],
    *[("/explore_sheet", ("tiny-vae", n), "n: ") for n in (0, -1, 257, 10**12)],
    *[("/explore_directions", (UP,), "is not a name"), ("/explore_contact", (UP,), "is not a name")],
    *[("/explore_directions", ("tiny-vae", method), "is not one of stored, best") for method in ("", "<b>", "x" * 5000, DEEP)],
    *[("/explore_directions", ("tiny-vae", "labels", names), "between: ") for names in ("0", ",", "0,nobody", "0,1,2")],
    *[("/explore_contact", ("tiny-vae", "stored", 0, n), "seeds: ") for n in (0, -1, 41, 10**12)],
    *[("/explore_contact", ("tiny-vae", "stored", seed), "seed: ") for seed in (-1, 2**31)],
    ("/explore_contact", ("tiny-vae", "stored", 0, 1, 10), "label: 10 is not a class"),
    *[(f"/explore_{what}", (UP,), "is not a name") for what in ("map", "walk")],
    *[("/explore_map", ("tiny-vae", *where), said) for where, said in (((1e300,), "not a place"), ((0, 0, 1, 17), "side: 17"))],
    *[("/explore_walk", ("tiny-vae", seeds), "seed|kind|keys") for seeds in ("", "x", "1,,2", "-1", ",".join(["1"] * 40))],
    *[("/explore_walk", ("tiny-vae", "1,2", n), "frames: ") for n in (0, 601, 10**12)],
    *[("/explore_walk", ("tiny-vae", "1,2", 4, *more), "film: |way: ") for more in ((61,), (0,), (9, "avi"), (9, "gif", "hop"))],
    *[("/explore_invert", ("tiny-vae", text), "file: |picture: ") for text in ("", "no", "A" * 6_000_000, "aGVsbG8=")],
    *[("/explore_restore", ("tiny-autoencoder", text), "file: |picture: ") for text in ("no", "A" * 6_000_000, "aGVsbG8=")],
    *[("/explore_restore", ("tiny-autoencoder", "", *bad), "noise: |amount: ") for bad in (("rain",), ("gaussian", 2), ("gaussian", -1))],
    *[("/explore_restore", ("tiny-vae",), "takes no noise off pictures"), ("/explore_restore", (UP,), "is not a name")],
    *[("/explore_edit", ("tiny-flow", text), "picture: ") for text in ("", "no", "A" * 6_000_000, "aGVsbG8=")],
    *[("/explore_edit", ("tiny-flow", DOT, mask), "mask: ") for mask in ("no", "A" * 6_000_000, "aGVsbG8=", DARK)],
    *[("/explore_edit", ("tiny-flow", DOT, "", strength), "strength: ") for strength in (0, -1, 1.5, 1e300)],
    *[("/explore_edit", ("tiny-flow", DOT, "", 0.5, *more), "label|seed") for more in ((10,), (1, -1), (1, 2**31))],
    ("/explore_edit", ("tiny-vae", DOT), "cannot edit"),
    *[("/explore_prompts", (name, "a circle"), "takes no prompt") for name in ("tiny-vae", "tiny-gpt")],
    *[("/explore_prompts", ("tiny-words", text), "prompt") for text in ("", "a giraffe", "<b>", "red\n" * 65, "red " * 33, "a" * 401)],
    *[("/explore_prompts", ("tiny-words", "red", 0, *bad), "guidance|steps") for bad in ((9,), (-1,), (2, 1001), (2, -1))],
    *[("/explore_prompts", ("tiny-words", "red", 0, 2, 0, *bad), "negative|toward") for bad in (("giraffe",), ("", "giraffe"))],
    *[("/explore_invert", ("tiny-vae", "", 99), "label|picture"), ("/explore_pair", ("tiny-vae", UP), "is not a name")],
    *[
        ("/explore_export", (UP, "onnx"), "is not a name"),
        ("/explore_export", ("tiny-vae", "exe"), "format: 'exe' is not one of page, onnx"),
    ],
    *[("/train_settings", (UP,), "family"), ("/train_settings", ("vae:huge",), "did you mean|is not one of")],
    *[("/train_start", (preset,), "^.{0,200}$") for preset in (UP, "a" * 5000, "vae:" + "b" * 5000)],
    *[("/train_start", ("vae:tiny", "digits", 1, "steps", '{"device": "cuda"}'), "device: is the server's own to choose")],
    *[("/train_start", ("gpt:tiny", "digits", 1, "steps", json.dumps({"base": base})), "base ") for base in ("/etc", UP, "runs/x")],
    *[("/train_start", ("text_to_image:tiny", "scenes", 1, "steps", json.dumps({"codec": at})), "codec ") for at in ("/etc", UP, "runs/x")],
    *[("/train_start", ("vae:tiny", "digits", *budget), "that this server grants") for budget in ((9e6, "steps"), (999, "minutes"))],
    *[("/train_start", ("vae:conv", "digits", 1, "steps", '{"train.batch": 8192, "data.size": 512}'), "memory: such a run needs about")],
    *[("/train_start", ("gpt:tiny", "tinyshakespeare", 1, "steps", '{"train.batch": 8192, "data.size": 512}'), "memory: such a run needs")],
    *[
        ("/train_start", ("vae:tiny", data), "data")
        for data in ("/etc", UP, "", "/", "~", "upload-../../x", "upload-0", "upload-0.zip/../x", "http://[::1]/x")
    ],
    *[("/train_start", ("vae:tiny", "digits", budget), "train.budget") for budget in (0, -1, 1e300, "long")],
    *[("/train_start", ("vae:tiny", "digits", 1, "years"), "train.unit")],
    *[("/train_start", ("vae:tiny", "digits", 1, "steps", s), "settings: not a JSON object") for s in ("", "no", "[1]", "7", DEEP)],
    *[("/train_start", ("vae:tiny", "digits", 1, "steps", '{"model.latent": 1000000000}'), "model.latent: 1000000000 is above 1024")],
    *[("/train_start", ("vae:tiny", "digits", 1, "steps", '{"train.lr": NaN}'), "train.lr")],
    *[("/train_start", ("vae:tiny", "digits", 1, "steps", '{"name": "../../x"}'), "name")],
    *[("/train_start", ("vae:tiny", "digits", 1, "steps", '{"nonsense": 1, "model.hidden": {"a": []}}'), "nonsense: ")],
    *[("/train_resume_check", (preset,), "there is no such name") for preset in (UP, "vae:huge", "a" * 5000)],
    *[("/train_resume_check", ("vae:tiny", *steps), "at most 100 steps") for steps in ((20, 20), (10**9, 1), (20, 0))],
    *[("/train_watch", (run,), "not a run's address|there is no run") for run in (UP, "", ".slots", "x" * 5000, NOBODY)],
    *[("/train_mark", (UP, 0), "not a run's address"), ("/train_mark", ("tiny-vae", 10**30), "no picture of step")],
    *[("/train_mark", ("tiny-vae", -1), "no picture of step -1")],
    *[("/train_stop", (UP, "x"), "not a run's address"), ("/train_stop", ("tiny-vae", ""), "may stop it")],
    *[(f"/train_{what}", ("tiny-vae", None), "only the browser") for what in ("stop", "pause", "go_on", "delete")],
    *[("/train_health", (run,), "not a run's address|there is no run") for run in (UP, "", NOBODY)],
    *[("/train_moment", (run, 5), "not a run's address|there is no run|is not a name") for run in (UP, "", NOBODY, f"{NOBODY}@5")],
    *[("/train_moment", ("tiny-vae", *bad), "not a number|is not|no weights") for bad in ((-1,), (5, -1), (5, 0, 1e9), (5, 0, 0, 0, 99))],
    *[("/train_rewind", ("tiny-vae", ""), "there is no healthier state|only the browser")],
    *[("/train_rename", ("tiny-vae", "", "../x"), "only the browser"), ("/train_extend", ("tiny-vae", "", 1), "only the browser")],
    ("/train_sweep", ("vae:tiny", "train.lr=1e-3,2e-3,3e-3,4e-3"), "4 runs at once are more than the 3"),
    ("/train_sweep", ("vae:tiny", "train.lr=1e-3..2e-3"), "a range has no end of values"),
    ("/train_sweep", ("vae:tiny", "data.source=/etc,/"), "is set already"),
    ("/train_sweep", ("vae:tiny", "device=cpu,cuda"), "device: is the server's own to choose"),
    ("/train_sweep", ("vae:tiny", ""), "name what to try"),
    *[("/runs_list", (text,), "not a JSON list") for text in ("", "7", DEEP)],
    *[("/runs_curves", (run,), "address|there is no run") for run in (UP, NOBODY, "")],
    *[("/runs_pair", ("tiny-vae", NOBODY), "there is no run"), ("/runs_pair", ("tiny-vae", "tiny-gan", "hours", 1), "by: 'hours'")],
    *[("/data_points", (text,), "points: not a JSON list") for text in ("", "7", DEEP)],
    *[("/data_points", (text,), "points: not a list of pairs of numbers") for text in ("[1]", "[[1]]", '[["a", "b"]]', "[null]")],
    *[("/data_points", (text,), "two numbers a line|beyond 1000, or nowhere") for text in ("[]", "[[NaN, 1]]", "[[1e300, 1]]")],
    *[("/data_look", (source,), "data") for source in ("/etc", UP, "", "upload-../x")],
]


@pytest.mark.parametrize(("endpoint", "arguments", "names"), HOSTILE, ids=lambda value: str(value)[:50])
def test_a_stranger_is_told_in_one_sentence(client, site, endpoint, arguments, names):
    runs = set((site.home / "runs").iterdir())
    with pytest.raises(AppError, match=names) as error:
        client.predict(*arguments, api_name=endpoint)
    told = str(error.value)
    assert len(told) < 500
    for never in ("Traceback", 'File "', "Something went wrong", "upstream Gradio app", str(site.home), "site-packages"):
        assert never not in told
    assert set((site.home / "runs").iterdir()) == runs


JUNK = [
    *(None, True, 7, 1e308, -1, "", "text", "<img src=x onerror=alert(1)>", [], {}, [[]], [None], {"checkpoint": None}),
    *({"checkpoint": UP}, {"checkpoint": {"a": 1}}, {"checkpoint": "x" * 1_000_000}, {"opened": 7}, {"opened": None}),
    *({"checkpoint": "tiny-vae", "seed": "x"}, {"checkpoint": "tiny-vae", "seed": -1}, {"checkpoint": "tiny-vae", "seed": 1e400}),
    *({"checkpoint": "tiny-vae", "sliders": "abc"}, {"checkpoint": "tiny-vae", "sliders": [[1]]}, {"checkpoint": "tiny-vae", "sliders": 7}),
    *({"checkpoint": "tiny-vae", "sliders": [0.0] * 100_000}, {"checkpoint": "tiny-vae", "sliders": [float("nan")]}),
    *({"checkpoint": "tiny-vae", "numbers": [1]}, {"checkpoint": "tiny-vae", "numbers": {"x": 1}}),
    *({"checkpoint": "tiny-vae", "numbers": {"99": 1}}, {"checkpoint": "tiny-vae", "numbers": {"0": None}}),
    *({"checkpoint": "tiny-vae", "label": "x"}, {"checkpoint": "tiny-vae", "label": [1]}, {"checkpoint": "tiny-vae", "label": 10}),
    *({"checkpoint": "tiny-vae", "sampling": 7}, {"checkpoint": "tiny-vae", "sampling": {"truncation": {}}}),
    *({"checkpoint": "tiny-vae", "sampling": {"<b>": 1}}, {"checkpoint": "tiny-vae", "sampling": {"truncation": 1e9}}),
]


PICTURES = [
    *[("/explore_picture", ("tiny-vae",)), ("/explore_neighbours", ("tiny-vae",)), ("/explore_sheet", ("tiny-vae", 4))],
    *[("/explore_map", ("tiny-vae",)), ("/explore_walk", ("tiny-vae", "1,2", 4)), ("/explore_pair", ("tiny-vae", "tiny-gan"))],
    *[("/explore_contact", ("tiny-vae", "stored", 0, 2)), ("/train_mark", ("tiny-vae", 60)), ("/train_moment", ("tiny-vae", 60))],
]


@pytest.mark.parametrize(("endpoint", "arguments"), PICTURES, ids=lambda value: str(value)[:40])
def test_every_picture_that_leaves_says_what_made_it(client, endpoint, arguments):
    found = provenance.read(Path(client.predict(*arguments, api_name=endpoint)).read_bytes())
    assert found.source_type == provenance.SOURCE_TYPE
    assert found.aigc["Label"] == "1"
    assert found.recipe


@pytest.mark.parametrize("payload", JUNK, ids=lambda value: str(value)[:50])
def test_the_pictures_own_functions_answer_junk_with_a_sentence(pad, site, payload):
    own = {"shelf", "open", "live", "strip", "travels", "neighbours", "numbers", "link", "arrive", "save", "command"}
    views = {"map_tile", "map_place", "map_data", "invert", "invert_progress", "pair", "pair_marks", "export_file", "edit"}
    views |= {"prompt_several", "prompt_between", "prompt_stages"}
    views |= {"restore", "restore_kinds", "walk_frames", "walk_at", "walk_along", "walk_sum", "walk_mix", "walk_film"}
    assert set(pad.functions) == own | views
    for function in pad.functions:
        status, answer = pad(function, payload)
        assert status == 200, (function, answer)
        if function in ("live", "strip", "travels", "link", "arrive", "save"):
            assert list(answer) == ["error"], function  # the others may have no need of what is wrong
        if "error" in answer:
            assert 0 < len(answer["error"]) < 500, function
            assert "Traceback" not in answer["error"]
            assert str(site.home) not in answer["error"]
            assert "Something went wrong" not in answer["error"], function


TABLES_JUNK = [
    *({"runs": 7, "by": "steps", "at": 1}, {"runs": ["x", "y"], "by": {}, "at": []}, {"runs": [UP], "by": "steps", "at": float("inf")}),
    *({"run": {}, "have": 7}, {"run": UP}, {"opened": [None, {}, UP, "x" * 1_000_000], "group": {"a": 1}}, {"opened": {}, "group": 7}),
]


@pytest.mark.parametrize("payload", JUNK + TABLES_JUNK, ids=lambda value: str(value)[:50])
def test_the_tables_own_functions_answer_junk_with_a_sentence(home, payload):
    for function in (compare.table, compare.pair, widgets.news):
        answer = widgets.answering(function)(payload)
        if function is not compare.table:
            assert list(answer) == ["error"], function
        if "error" in answer:
            assert 0 < len(answer["error"]) < 500
            assert "Something went wrong" not in answer["error"], function
            assert str(home) not in answer["error"]


def test_what_the_page_sends_is_answered(pad, site):
    """The control of the test before: the same functions, asked properly."""
    state = {"checkpoint": "tiny-vae", "seed": 3, "sliders": [1, 0, 0, 0], "numbers": {"2": 0.5}, "label": 1, "session": "a"}
    assert pad("live", state)[1]["width"] == 28
    assert len(pad("neighbours", state)[1]["items"]) == 27
    strip = pad("strip", {**state, "axis": "sliders.1", "value": 2.9})[1]
    assert (strip["stops"], strip["first"] + strip["count"]) == (61, 61)  # the nearest first
    assert len(strip["raw"]) >= 28 * 28 * strip["count"] * 4 / 3
    assert pad("travels", state)[1]["rows"] >= 1
    arrived = pad("arrive", {"link": pad("link", {**state, "names": {"1": "Width"}, "kept": [1]})[1]["query"]})[1]
    assert (arrived["names"], arrived["kept"], arrived["says"]) == ({"1": "Width"}, [1], None)
    assert (arrived["state"]["sliders"], arrived["state"]["numbers"]) == ([1.0], {"2": 0.5})
    assert pad("numbers", state)[1]["numbers"][2] == 0.5
    assert "--number 3=0.5" in pad("command", state)[1]["command"]
    assert pad("open", "tiny-vae")[1]["latent"] == 4
    shelf = {"opened": ["tiny-gan", UP, "nobody", None, {}]}
    assert len(pad("shelf", shelf)[1]["shelf"]) == len(pad("shelf", {"opened": []})[1]["shelf"])


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "{root}/pyproject.toml",
        "pyproject.toml",
        "app.py",
        "{home}/runs/tiny-vae/config.json",
        "{home}/runs/tiny-vae/state.safetensors",
        "{home}/gradio/../runs/tiny-vae/config.json",
        "file:///etc/passwd",
        "http://127.0.0.1/",
    ],
)
def test_no_other_file_is_served(site, pytestconfig, path):
    for at in ("gradio_api/file=", "file=", "gradio_api/proxy="):
        status, body = site.get(at + path.format(home=site.home, root=pytestconfig.rootpath))
        assert status in (400, 403, 404)
        assert b"root:" not in body
        assert b"aigc-demo" not in body


def test_nobody_monitors(site):
    for path in ("monitoring", "monitoring/summary", "gradio_api/monitoring/summary"):
        assert site.get(path)[0] in (403, 404)


def test_the_views_beside_the_sliders(client, pad, site, tmp_path):
    with Image.open(client.predict("tiny-vae", 2.5, -1, 0.5, 3, 7, 4, api_name="/explore_map")) as sheet:
        assert sheet.width == 3 * 28 + 2
    with Image.open(client.predict("tiny-vae", "1,2", 6, 12, "gif", "line", 1, 3, api_name="/explore_walk")) as film:
        assert (film.n_frames, film.size) == (6, (280, 280))
    drawn = client.predict("tiny-vae", 5, "[]", 8, api_name="/explore_picture")
    with open(drawn, "rb") as file:
        found = client.predict("tiny-vae", base64.b64encode(file.read()).decode(), api_name="/explore_invert")
    assert found["request"]["digest"] == site.checkpoint("tiny-vae").digest
    assert found["rmse"] < 60
    with Image.open(client.predict("tiny-vae", "mnist-vae", 5, 8, api_name="/explore_pair")) as beside:
        assert beside.size == (28, 28)

    with open(drawn, "rb") as file:
        picture = base64.b64encode(file.read()).decode()
    own, ours = (client.predict("tiny-autoencoder", p, "masking", 0.4, 3, api_name="/explore_restore") for p in (picture, ""))
    assert own != ours
    assert 0 < own["before"] < 40
    assert own["restored"]["width"] == 28

    state = {"checkpoint": "tiny-vae", "seed": 3, "sliders": [1, 0, 0, 0], "label": 1, "session": "a"}
    tile = pad("map_tile", {"state": state, "kind": "seeds", "i": -1, "j": 2, "step": 0.5})[1]
    assert (tile["width"], tile["height"]) == (112, 112)
    one = pad("map_place", {"state": state, "kind": "seeds", "x": -1.5, "y": 5.5})[1]
    assert one["state"]["place"] == [-1.5, 5.5]
    tiled = np.frombuffer(base64.b64decode(tile["raw"]), np.uint8).reshape(112, 112)
    alone = np.frombuffer(base64.b64decode(one["picture"]["raw"]), np.uint8).reshape(28, 28)
    np.testing.assert_allclose(tiled[:28, 28:56].astype(int), alone, atol=1)  # i = -4 + 1 columns, j = 8 + 3 rows from below, the topmost
    keys = [state, {**state, "seed": 4}]
    assert len(pad("walk_frames", {"keys": keys, "frames": 5})[1]["items"]) == 5
    assert len(pad("walk_at", {"keys": keys, "frames": 5, "at": 2})[1]["state"]["numbers"]) == 4
    assert pad("pair", {"state": state, "other": "tiny-gan"})[1]["shared"] == ["sliders", "settings"]
    marks = pad("pair_marks", "tiny-vae")[1]["marks"]
    assert marks
    early = pad("pair", {"state": state, "other": marks[0]["name"]})[1]
    assert early["shared"] == ["latent", "class", "ways", "settings"]
    assert early["picture"]["raw"] != pad("live", state)[1]["raw"]


def test_events_are_looked_through_while_more_are_rendered():
    chosen = SimpleNamespace(_id=7, stateful=True)
    event = SimpleNamespace(outputs=[chosen], targets=[(7, "change")])

    class Growing(dict):
        """Another thread adds an event once the first was looked at."""

        def values(self):
            found = iter(super().values())
            yield next(found)
            self.setdefault(1, event)
            yield from found

    class Session(dict):
        def __init__(self):
            super().__init__({7: "kept"})
            self.blocks_config = SimpleNamespace(fns=Growing({0: SimpleNamespace(targets=[])}))

    page = object.__new__(studio.Page)  # a whole one would leave event loops behind
    assert page.get_state_ids_to_track(event, Session())[0] == [7]
    with pytest.raises(RuntimeError, match="changed size"):
        gr.Blocks.get_state_ids_to_track(page, event, Session())  # else the class is needed no more
