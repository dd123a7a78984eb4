"""Pictures from words: what is read, what guides, and what a run, a checkpoint and the engine do with a prompt."""

import io
import json

import pytest
import torch
from PIL import Image
from test_contracts import items_of, shake, untrained
from toys import finished, tiny

from aigc_demo import checkpoint, data, engine, trainer
from aigc_demo.config import ConfigError
from aigc_demo.data import scenes
from aigc_demo.evaluation.scenes import shares
from aigc_demo.exploration import prompts
from aigc_demo.modalities.image import Modality
from aigc_demo.model import Batch, draw_latents, generator
from aigc_demo.models.text_to_image import LONGEST, NUMBERS, number, words
from aigc_demo.publish import graph

SCENES = {"data.source": "scenes", "data.limit": 64, "data.validation": 0.25}


def reader(**changes):
    """A model that has met the words of two captions, with weights that are not zeros."""
    made = untrained("text_to_image:tiny", Modality(16, 3), 0, changes).eval()
    shake(made)
    made.learnt[made.read(["two small red circles", "大蓝方块"])] = True
    return made


# What is read


def test_a_text_is_words_and_characters():
    assert words("Two SMALL red-ish circles, 3x!") == ["two", "small", "red", "ish", "circles", "3x"]
    assert words("大蓝方块 left of a 圆") == ["大", "蓝", "方", "块", "left", "of", "a", "圆"]
    assert words(" …!? ") == []
    assert words("naïve Straße кот") == ["naïve", "straße", "кот"]


def test_a_word_has_the_same_number_everywhere_and_none_is_nothing():
    assert number("red") == 2012
    assert all(0 < number(f"word {i}") < NUMBERS for i in range(2000))
    said = untrained("text_to_image:tiny", Modality(16, 3), 0).read(["a red circle", "红", ""])
    assert said.tolist() == [[number("a"), number("red"), number("circle")], [number("红"), 0, 0], [0, 0, 0]]
    assert untrained("text_to_image:tiny", Modality(16, 3), 0).read(["a " * 100]).shape == (1, LONGEST)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"prompt": "a red giraffe"}, "prompt: 'a', 'giraffe' were in no caption that this model learnt from"),
        ({"prompt": "红圆"}, "prompt: '红', '圆' were in no caption that this model learnt from"),
        ({"prompt": "red", "negative": "giraffe"}, "negative: 'giraffe' was in no caption that this model learnt from"),
        ({"prompt": "red", "toward": "giraffe", "mix": 0.5}, "toward: 'giraffe' was in no caption that this model learnt from"),
        ({"prompt": "red " * 40}, f"prompt: 40 words are too many: at most {LONGEST} are read"),
    ],
)
def test_what_a_prompt_says_and_the_model_never_read_is_named(asked, sentence):
    made = reader()
    with pytest.raises(ConfigError) as error:
        made.sample(draw_latents(made.latent, 0, [0]), made.Sampling(**asked))
    assert str(error.value) == sentence


# What guides


@torch.no_grad()
def drawn(made, **asked):
    return made.sample(draw_latents(made.latent, 3, range(3)), made.Sampling(**asked))


def test_a_prompt_draws_what_its_caption_draws_and_other_words_draw_another():
    made = reader()
    told = made.sample(draw_latents(made.latent, 3, range(3)), made.Sampling(), made.read(["two red circles"] * 3))
    torch.testing.assert_close(drawn(made, prompt="Two  red circles!"), told)
    assert (drawn(made, prompt="small red circles") - told).abs().max() > 1e-3
    assert (drawn(made) - told).abs().max() > 1e-3
    # of a batch each has its own
    mixed = made.sample(draw_latents(made.latent, 3, range(3)), made.Sampling(), made.read(["small", "two red circles", "方"]))
    torch.testing.assert_close(mixed[1], told[1], atol=1e-4, rtol=0)
    assert (mixed[0] - told[0]).abs().max() > 1e-3


def test_guidance_goes_from_no_words_through_the_prompt_and_beyond():
    made = reader()
    torch.testing.assert_close(drawn(made, prompt="red", guidance=0), drawn(made))
    one = drawn(made, prompt="red", guidance=1, steps=1, method="euler")
    none, two = (drawn(made, prompt="red", guidance=g, steps=1, method="euler") for g in (0, 2))
    inside = (two.abs() < 1) & (one.abs() < 1) & (none.abs() < 1)  # a picture is clipped
    torch.testing.assert_close((2 * one - none)[inside], two[inside], atol=1e-5, rtol=0)
    away = drawn(made, prompt="red", negative="small", guidance=2)
    assert (away - drawn(made, prompt="red", guidance=2)).abs().max() > 1e-3
    torch.testing.assert_close(drawn(made, negative="small", guidance=1), drawn(made))


def test_between_two_prompts_the_ends_are_the_prompts():
    made = reader()
    way = [drawn(made, prompt="two red circles", toward="方", mix=m) for m in (0, 0.5, 1)]
    torch.testing.assert_close(way[0], drawn(made, prompt="two red circles"))
    torch.testing.assert_close(way[2], drawn(made, prompt="方"), atol=1e-5, rtol=0)
    assert min((way[1] - end).abs().max() for end in (way[0], way[2])) > 1e-3


def test_a_picture_appears_step_by_step():
    seen = []
    made = reader()
    made.sample(draw_latents(made.latent, 3, [0]), made.Sampling(prompt="red", steps=5), None, seen.append)
    assert seen == [1, 2, 3, 4, 5]
    latents, sampling = draw_latents(made.latent, 3, range(2)), made.Sampling(prompt="red", truncation=0.9)
    stages = made.stages(latents, sampling)
    assert len(stages) == 3
    torch.testing.assert_close(stages[0], (0.9 * latents).clamp(-1, 1))
    torch.testing.assert_close(stages[-1], made.sample(latents, sampling))


# What is learnt


def test_it_learns_to_tell_captions_apart_and_some_are_left_out():
    made = untrained("text_to_image:tiny", Modality(16, 3), 0, {"model.drop": 0.0})
    said = made.read(["red", "blue"]).repeat(32, 1)
    x = torch.where(said == number("red"), 0.8, -0.8).view(-1, 1, 1, 1).expand(-1, 3, 16, 16)
    optimizer = torch.optim.Adam(made.parameters(), 5e-3)
    for step in range(100):
        optimizer.zero_grad()
        made.loss("model", Batch(x, None, said), generator(step))[0].backward()
        optimizer.step()
    made.eval()
    red, blue = (drawn(made, prompt=word, guidance=1, steps=8).mean().item() for word in ("red", "blue"))
    assert red > 0.5
    assert blue < -0.5
    assert made.learnt.nonzero()[:, 0].tolist() == sorted((number("red"), number("blue")))
    everything = untrained("text_to_image:tiny", Modality(16, 3), 0, {"model.drop": 0.99})
    shake(everything)
    losses = [everything.loss("model", items_of(Modality(16, 3), 8)._replace(said=s), generator(1))[0] for s in (said[:8], said[1:9])]
    assert losses[0] == losses[1], "nearly all captions are left out"


def test_a_run_learns_from_captions_or_from_the_names_of_classes():
    made = trainer.Trainer(tiny("text_to_image:tiny", 4, SCENES))
    items, index = made.training, made.batches.places(0)
    assert torch.equal(made.said[index], made.model.read([items.captions[i] for i in index.tolist()])[:, : made.said.shape[1]])
    made.one_step(0.0)
    asked = {number(word) for i in index.tolist() for word in words(items.captions[i])}
    assert asked <= set(made.model.learnt.nonzero()[:, 0].tolist())
    assert len(made.condition) == len(made.latents) == 64
    assert torch.equal(made.condition[8:16], made.condition[:8]), "a column has one caption"
    digits = trainer.Trainer(tiny("text_to_image:tiny", 4))
    assert digits.training.told[:1] == (digits.training.classes[digits.training.labels[0]],)
    assert digits.some(digits.held, 4).said.shape == (4, 1)


def test_a_mirrored_scene_is_not_what_its_caption_says():
    with pytest.raises(ConfigError, match=r"data\.mirror: a mirrored picture is not what its caption says"):
        trainer.Trainer(tiny("text_to_image:tiny", 1, {**SCENES, "data.mirror": True}))
    trainer.Trainer(tiny("text_to_image:tiny", 1, {"data.mirror": True}))  # a class's name is


def test_stop_and_resume_is_the_straight_run(tmp_path):
    run = tiny("text_to_image:tiny", 6, SCENES)
    found = trainer.resume_check(run, 2)
    assert found.straight == found.paused
    finished(run, tmp_path)
    resumed = trainer.Trainer(run)
    resumed.restore(tmp_path / "state.safetensors")
    assert resumed.model.learnt.any()


# What is done with it


@pytest.fixture(scope="module")
def scenes_toy(tmp_path_factory):
    """A finished run on scenes."""
    return finished(tiny("text_to_image:tiny", 6, {**SCENES, "name": "scenes-toy"}), tmp_path_factory.mktemp("scenes"))


def test_a_prompt_travels_in_the_recipe_of_a_picture(scenes_toy):
    known = data.load(scenes_toy.manifest.run.data)
    prompt = next(c for c in known.captions if c.isascii())
    made, asked = engine.Engine(), engine.Request(scenes_toy.name, 5, sampling={"prompt": prompt, "guidance": 3.0, "steps": 3})
    sample = made.draw([asked], name=scenes_toy)[0]
    again, found = engine.recall(made.file(sample))
    assert again.sampling == asked.sampling
    assert found["digest"] == scenes_toy.digest
    assert torch.equal(made.draw([again], name=scenes_toy)[0].item, sample.item)
    with pytest.raises(ConfigError, match="prompt: 'giraffe' was in no caption"):
        made.draw([asked.at("sampling.prompt", "giraffe")], name=scenes_toy)
    with pytest.raises(ConfigError, match="label: 1 is not a class; this checkpoint draws no chosen class"):
        made.draw([engine.Request(scenes_toy.name, label=1)], name=scenes_toy)


def test_the_command_draws_prompts_and_the_way_between_two(scenes_toy, aigc, tmp_path):
    first, other = [c for c in data.load(scenes_toy.manifest.run.data).captions if c.isascii()][:2]
    name, out, kind = str(scenes_toy.path), tmp_path / "out.png", engine.Engine()
    code, said, _ = aigc("draw", name, first, "--toward", other, "--stops", 3, "--seed", 4, "-o", out, "--json")
    assert (code, json.loads(said)["prompts"]) == (0, [first])
    way = prompts.sheet(kind, engine.Request(scenes_toy.name, 4), [first], other, 3, scenes_toy)
    with Image.open(out) as drawn_, Image.open(io.BytesIO(way)) as wanted:
        assert drawn_.tobytes() == wanted.tobytes()
        assert drawn_.width > 3 * 16
    assert aigc("draw", name, first, "--set", "guidance=3", "-o", out)[0] == 0
    assert engine.recall(out.read_bytes())[0].sampling == {"guidance": 3.0, "prompt": first}
    for words_, sentence in (
        (["a pink giraffe"], "prompt: 'pink', 'giraffe' were in no caption"),
        ([first, "--set", "guidance=9"], "sampling.guidance: 9"),
        ([first, "--toward", first, "--stops", 65], "stops: 65 is not a number from 2 to 64"),
        ([first, "-o", tmp_path / "x.gif"], "is not a .png"),
    ):
        code, _, told = aigc("draw", name, *words_)
        assert code == 2
        assert sentence in told.replace("'a', ", "").replace("\n", " ")


def test_a_checkpoint_that_reads_nothing_says_so(all_made):
    with pytest.raises(ConfigError, match="it takes no prompt that says what to draw"):
        prompts.reads(engine.Engine(), all_made["vae"])
    with pytest.raises(ConfigError, match="it does not tell the steps in which it draws"):
        engine.Engine().stages(engine.Request(all_made["vae"].name))


def test_a_graph_takes_no_words_and_the_card_says_how_it_is_asked(scenes_toy):
    with pytest.raises(graph.ExportError, match="a graph takes numbers alone; `aigc draw` draws it"):
        graph.export(scenes_toy)
    card = (scenes_toy.path / "README.md").read_text("utf-8")
    assert 'pipeline_tag: "text-to-image"' in card
    assert "aigc draw scenes-toy" in card


def test_what_it_learnt_from_is_kept_with_the_weights(scenes_toy):
    kept = checkpoint.load(scenes_toy)
    assert kept.learnt[number("left")]
    assert kept.learnt[number("左")]
    assert not kept.learnt[number("giraffe")]


def test_the_shipped_model_draws_what_it_is_told_in_combinations_that_it_never_saw():
    wanted = scenes.scenes(scenes.factors(24, 8, "test"))
    asked = [one.said(scenes.LANGUAGES[i % 2]) for i, one in enumerate(wanted)]
    kind = engine.Engine()
    drawn = [kind.draw([engine.Request("shapes-t2i", 5, i, sampling={"prompt": text})])[0].item for i, text in enumerate(asked)]
    assert shares(torch.stack(drawn), wanted)["all"] > 0.75  # 0.95 of 1,000 (benchmarks.words); 0.01 by chance
    assert shares(torch.stack(drawn).roll(1, 0), wanted)["all"] < 0.2
