"""Texts on the page: what is written there is what the engine writes, coloured by its probability, and every word goes in as text."""

import itertools
import json
import re

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from aigc_demo.data import poems
from aigc_demo.engine import Engine, Request
from aigc_demo.evaluation import texts
from aigc_demo.nets.ngrams import Ngrams
from aigc_demo.studio.explore import Explore
from aigc_demo.studio.write import Writing, command

pytest_plugins = ["pages"]

ASKED = {"checkpoint": "tiny-gpt", "seed": 7, "sampling": {"length": 40}}
SPOTS = "() => [...document.querySelectorAll('.writer .token')].map((t) => [t.textContent, Number(t.dataset.p)])"
STOPPED = """async () => {
  document.querySelector('.writer .go').click();
  const begun = () => document.querySelector('.writer .begun')?.textContent === 'First' && document.querySelector('.writer .token');
  for (let i = 0; i < 4000 && !begun(); i++) await new Promise((next) => setTimeout(next, 5));
  document.querySelector('.writer .stop').click();
}"""
OVER = "() => Number(document.querySelector('.writer').dataset.over) > 0"


@pytest.fixture
def writing(toys_home, monkeypatch):
    monkeypatch.setenv("AIGC_HOME", str(toys_home))
    return Writing(Explore(Engine()))


# What the page asks for


def test_a_text_comes_piece_by_piece_as_the_engine_writes_it(writing):
    begun = writing.begin(ASKED)
    pieces, over = [], False
    while not over:
        answer = writing.more(begun["id"])
        pieces, over = pieces + answer["pieces"], answer["over"]
    request = Request("tiny-gpt", 7, sampling={"length": 40})
    assert [p[0] for p in pieces] == [p.text for p in texts.pieces(writing.engine, request)]
    assert len(pieces) == 40
    assert all(len(p[2]) == 5 and p[1] <= p[2][0][1] for p in pieces)
    found = texts.copied(writing.engine.warm("tiny-gpt"), "".join(p[0] for p in pieces))
    assert (answer["copied"], answer["window"]) == (found or (None, None))
    with pytest.raises(ValueError, match="not being written any more"):
        writing.more(begun["id"])
    assert json.loads(json.dumps(command(request))) == "aigc write tiny-gpt --seed 7 --set length=40"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (None, "not one that this page sends"),
        ({}, "there is no checkpoint|needs checkpoint|not here|is not a name"),
        ({**ASKED, "sampling": [1]}, "not one that this page sends|sampling"),
        ({**ASKED, "sampling": {"temperature": 9}}, "sampling.temperature: 9 is above 2"),
        ({**ASKED, "sampling": {"prompt": "中"}}, "prompt: the model never saw '中'"),
        ({**ASKED, "sampling": {"length": 10**9}}, "sampling.length"),
        ({**ASKED, "seed": -1}, "seed: -1"),
        ({**ASKED, "form": "haiku"}, "form: 'haiku' is not one of 五绝"),
        ({"checkpoint": "tiny-vae"}, "it writes no text, it draws images"),
    ],
)
def test_what_cannot_be_written_is_a_sentence(writing, asked, says):
    with pytest.raises(ValueError, match=says):
        writing.begin(asked)


def test_texts_that_nobody_goes_on_with_are_given_up(writing, monkeypatch):
    monkeypatch.setattr("aigc_demo.studio.write.MOST_OPEN", 2)
    ids = [writing.begin(ASKED)["id"] for _ in range(3)]
    with pytest.raises(ValueError, match="not being written any more"):
        writing.more(ids[0])
    assert writing.more(ids[2])["pieces"]


def test_of_a_text_that_is_left_it_is_said_what_was_copied(writing, monkeypatch):
    monkeypatch.setattr(texts, "copied", lambda warm, text: (0.25, len(text)))
    id = writing.begin({**ASKED, "sampling": {"length": 1000}})["id"]
    seen = "".join(p[0] for p in writing.more(id)["pieces"])
    assert writing.leave(id) == {"copied": 0.25, "window": len(seen)}
    for ask in (writing.more, writing.leave):
        with pytest.raises(ValueError, match="not being written any more"):
            ask(id)


def test_a_score_stands_beside_counting(writing, monkeypatch):
    asked = {"checkpoint": "tiny-gpt", "text": "the the the"}
    assert writing.pasted(asked)["counted"] is None, "it keeps no counts"
    warm = writing.engine.warm("tiny-gpt")
    kind = warm.checkpoint.modality
    counts = Ngrams(2, len(kind.pieces)).count(kind.tokens("the the cat " * 9))
    monkeypatch.setattr(warm.model, "counting", counts.score)
    assert writing.pasted(asked)["counted"] == pytest.approx(float(counts.score(kind.tokens(asked["text"])).mean()))


@pytest.mark.parametrize("form", poems.FORMS)
def test_a_poem_is_asked_for_in_its_form_and_known_by_it(form):
    count, length = poems.FORMS[form]
    verse = "春眠不觉晓花落"[:length]
    assert poems.prompt("月", form, verse) == f"《月》{form}\n{verse}，"
    assert poems.prompt("", form) == f"《无题》{form}\n"
    poem = "\n".join(f"{verse}，{verse}。" for _ in range(count // 2)) + "\n\n"
    assert poems.keeps(poem, form)
    assert not poems.keeps(poem.replace("春", "", 1), form)
    assert not poems.keeps(poem + verse + "。", form)
    for title, line in (("月" * 41, ""), ("《", ""), ("月", verse + "多")):
        with pytest.raises(poems.PoemError):
            poems.prompt(title, form, line)


# The page and the endpoints


@pytest.mark.browser
def test_a_visitor_writes_stops_and_has_a_text_foretold(visit, site, toys_home, monkeypatch):
    monkeypatch.setenv("AIGC_HOME", str(toys_home))
    page = visit()
    page.wait_for_function("() => document.querySelector('.pad')?.dataset.drawn")
    page.select_option("#explore [name=checkpoint]", "tiny-gpt")
    page.wait_for_function(OVER)
    assert page.is_hidden("#explore .pad")
    seen = page.evaluate(SPOTS)
    request = Request("tiny-gpt", 7, sampling={"length": 400, "temperature": 0.8})
    assert [s[0] for s in seen] == [p.text for p in texts.pieces(Engine(), request)]
    page.locator(".writer .token", has_text=re.compile(r"\w")).first.hover()
    assert page.locator(".writer .likeliest div").count() == 5
    page.fill(".writer [name=prompt]", "<b>First</b>:")
    page.click(".writer .go")
    page.wait_for_function("() => document.querySelector('.writer .line').classList.contains('bad')")
    assert "never saw '/', '<', '>'" in page.inner_text(".writer .line") or "never saw" in page.inner_text(".writer .line")
    page.fill(".writer [name=prompt]", "First")
    page.evaluate("() => { const d = document.querySelector('[data-name=length]'); d.value = 1000; d.dispatchEvent(new Event('input')); }")
    page.evaluate(STOPPED)
    count = page.locator(".writer .token").count()
    page.wait_for_function("() => document.querySelector('.writer .line').textContent.length > 'Stopped. '.length")
    assert re.fullmatch(r"Stopped\. (How much was copied cannot|[\d.]+ % of its runs of 50) .+", page.inner_text(".writer .line"))
    page.wait_for_timeout(400)
    assert page.locator(".writer .token").count() == count < 1000
    page.click(".writer .paste summary")
    page.fill("[name=pasted]", "the the the")
    page.click(".writer .score")
    page.wait_for_function("() => document.querySelectorAll('.writer .token').length === 10")
    assert "nats a character over 10" in page.inner_text(".writer .line")
    assert "keeps no counts to stand beside it: `aigc evaluate tiny-gpt`" in page.inner_text(".writer .line")
    page.select_option("[name=writer]", "tiny-vae")
    page.wait_for_function("() => document.querySelector('#explore .pad').dataset.drawn?.includes('tiny-vae')")
    assert page.is_hidden(".writer")


def test_programs_write_and_have_texts_foretold(site):
    client = Client(site.url, verbose=False)
    job = client.submit("tiny-gpt", "First", 3, '{"length": 20}', api_name="/write_text")
    grown = list(job)
    assert grown[0] == {"text": "First", "copied": None, "window": None}
    assert len(grown[-1]["text"]) == 25
    assert all(b["text"].startswith(a["text"]) for a, b in itertools.pairwise(grown))
    said = client.predict("tiny-gpt", "First", 3, '{"length": 80}', api_name="/write_text")
    assert (said["window"], 0 <= said["copied"] <= 1) == (50, True)
    assert client.predict("tiny-gpt", "the the", api_name="/write_perplexity")["characters"] == 6
    for arguments, name, says in (
        (("tiny-gpt", "中", 0, "{}"), "/write_text", "never saw '中'"),
        (("tiny-gpt", "", 0, "[]"), "/write_text", "not a JSON object"),
        (("tiny-vae", "", 0, "{}"), "/write_text", "writes no text"),
        (("tiny-gpt", "月", "haiku", "", 0), "/write_poem", "form: 'haiku'"),
        (("tiny-gpt", "x"), "/write_perplexity", "at least two characters"),
    ):
        with pytest.raises(AppError, match=says):
            client.predict(*arguments, api_name=name)
