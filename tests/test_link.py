"""A link brings back the request that it was made of, and a file that of its recipe; what cannot be read is named."""

import random
from dataclasses import replace
from urllib.parse import quote

import numpy as np
import pytest
from hostile import png
from toys import FAMILIES

from aigc_demo.config import ConfigError
from aigc_demo.engine import Engine, Request, recall
from aigc_demo.studio import link
from aigc_demo.studio.explore import Explore

DIGEST, WAYS = "0123456789abcdef" * 4, "fedcba9876543210"
REQUESTS = [
    Request("mnist-vae"),
    Request("mnist-vae", 7, 3, (0.0, 1.25, -2.0, 0.0), {5: -0.125, 2: 3.0}, 4, {"truncation": 0.7}),
    Request("a&b=c d", 2**31 - 1, sliders=(0.1, -0.30000000000000004, 1e-9)),
    Request("x", place=(-1234.0625, 0.5), label=0),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: r.checkpoint)
def test_a_link_brings_back_its_request(request_):
    names = {0: "Slant & width", 3: "宽=度"}
    for start in ("", "?", "https://host.example/path?run=1&show=1&"):
        found = link.read(start + link.query(link.Asked(request_, DIGEST, WAYS, names, (3, 0))))
        assert found.request == replace(request_, sliders=found.request.sliders)
        assert [v for v in found.request.sliders if v] == [v for v in request_.sliders if v]
        assert DIGEST.startswith(found.digest)
        assert len(found.digest) == 16
        assert (found.names, found.kept) == (names, (3, 0))
        assert found.ways == (WAYS if any(request_.sliders) else "")


def test_a_whole_latent_is_packed_without_loss():
    rng = random.Random(0)
    numbers = {k: float(np.float32(rng.gauss(0, 1))) for k in range(1024)}
    query = link.query(link.Asked(Request("x", numbers=numbers), DIGEST))
    assert len(query) < 6000
    assert link.read(query).request.numbers == numbers


NO_LINK = [
    *("", "?", "seed=1", "model=", "model=x&seed=one", "model=x&seed=1e400", "model=x&seed=-1", "model=x&class=y", "model=x&keep=a"),
    *("model=x&sliders=a", "model=x&sliders=nan", "model=x&place=1", "model=x&set.truncation=NOPE", "model=x&seed=" + "1" * 30_000),
    *("model=x&numbers=1", "model=x&numbers=1:x", "model=x&numbers=-1:0"),
    *("model=x&latent=%00", "model=x&latent=AAA", "model=x&latent=AADAfw"),
]


@pytest.mark.parametrize("text", NO_LINK, ids=lambda text: text[:40])
def test_what_is_no_link_is_named_in_a_sentence(text):
    with pytest.raises(ConfigError, match=r"link: |is not a|is not two") as error:
        link.read(text)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_brings_back_the_same_bytes(family, all_made):
    engine, name = Engine(), all_made[family].name
    asked = Request(name, 5, 2, (1.5, 0.0, -0.7), {1: 0.25}, 3, {"truncation": 0.8})
    (sample,) = engine.draw([asked])
    request, told = recall(engine.file(sample))
    assert request == asked
    assert told == {"digest": sample.digest, "ways": engine.warm(name).ways}
    assert Engine().file(Engine().draw([request])[0]) == engine.file(sample)


def test_a_file_without_a_recipe_and_one_of_many_say_so(all_made):
    engine = Engine()
    name = next(iter(all_made.values())).name
    for data in (b"", b"no picture", png()):
        with pytest.raises(ConfigError, match="no recipe"):
            recall(data)
    with pytest.raises(ConfigError, match="shows 4 samples"):
        recall(engine.sheet(engine.draw([Request(name, i) for i in range(4)])))


def test_a_link_to_another_content_says_so_and_one_to_another_name_finds_it(all_made):
    explore = Explore(Engine())
    found = next(iter(all_made.values()))
    query = explore.link({"checkpoint": found.name, "seed": 3, "sliders": [1.5]})["query"]
    assert explore.arrive({"link": query})["says"] is None

    moved = explore.arrive({"link": query.replace(quote(found.name), "elsewhere"), "opened": [found.name]})
    assert moved["state"]["checkpoint"] == found.name
    assert moved["says"] is None

    other = explore.arrive({"link": query.replace("hash=", "hash=0")})["says"]
    assert (other["key"], other["name"], other["here"]) == ("link.other", found.name, found.digest[:8])
    assert explore.arrive({"link": query.replace("ways=", "ways=x")})["says"]["key"] == "link.ways"
    assert explore.arrive({"link": query.replace("ways=", "ways=x").replace("sliders=1.5", "sliders=0")})["says"] is None
