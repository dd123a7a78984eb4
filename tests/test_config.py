"""A run is described whole, wrong settings are named in a sentence, and what describes a run gives the same run back."""

import json
import math
import shlex

import pytest
from pydantic import Field
from toys import FAMILIES, tiny

from aigc_demo import checkpoint, config, model
from aigc_demo.config import ConfigError, Data, Fields, Run, Train

GROUPS = {"data.": Data, "train.": Train, **{f"model.@{f}": model.family(f).Config for f in FAMILIES}}
SAMPLINGS = {f"sampling.@{f}": model.family(f).Sampling for f in FAMILIES}
FIELDS = [(at.split("@")[0], group, spec) for at, group in {**GROUPS, **SAMPLINGS}.items() for spec in config.specs(group)]
NUMBERS = [(at, g, s) for at, g, s in FIELDS if s.kind in ("int", "float")]


def ids(case):
    return f"{case[1].__module__.rsplit('.', 1)[-1]}-{case[0]}{case[2].name}"


def refusal(preset, changes):
    with pytest.raises(ConfigError) as error:
        model.plan(preset, changes)
    return str(error.value)


# Sentences

SENTENCES = {
    "model.latent=0": "model.latent: 0 is below 1",
    "model.latent=1025": "model.latent: 1025 is above 1024",
    "model.latent=ten": "model.latent: 'ten' is not a whole number",
    "model.latent=1.5": "model.latent: 1.5 is not a whole number",
    "model.latent=true": "model.latent: 'true' is not a whole number",
    "model.latent=null": "model.latent: None is not a whole number",
    "model.latent=": "model.latent: '' is not a whole number",
    "model.latant=4": "model.latant: there is no such name; the nearest is model.latent",
    "latent=4": "latent: there is no such name; the nearest is model.latent",
    "zzzzzz=4": "zzzzzz: there is no such name",
    "model.network=cnn": "model.network: 'cnn' is not one of 'mlp', 'conv'",
    "model.hidden=12": "model.hidden: 12 is not a list such as [256, 512]",
    "model.hidden=[]": "model.hidden: is empty",
    "model.hidden=[0]": "model.hidden.0: 0 is below 1",
    "model.hidden=[1,1,1,1,1,1,1,1,1]": "model.hidden: has more than 8 entries",
    "model.conditional=perhaps": "model.conditional: 'perhaps' is not yes or no",
    "train.lr=0": "train.lr: 0 is not above 0",
    "train.lr=1e400": "train.lr: inf is not a finite number",
    "train.lr=NaN": "train.lr: nan is not a finite number",
    "train.lr=fast": "train.lr: 'fast' is not a number",
    "train.beta1=1": "train.beta1: 1 is not below 1",
    "train.batch=Infinity": "train.batch: inf is not a finite number",
    "train.unit=days": "train.unit: 'days' is not one of 'epochs', 'steps', 'minutes'",
    "data.channels=2": "data.channels: 2 is not one of 0, 1, 3",
    "data.source=": "data.source: is empty",
    "name=a/b": "name: 'a/b' holds a character that is not allowed here",
    "name=" + "a" * 65: "name: is longer than 64 characters",
    "seed=-1": "seed: -1 is below 0",
    "family=gan": "family: there is no such name",
    "preset=beta": "preset: there is no such name",
}


@pytest.mark.parametrize("change", SENTENCES)
def test_a_wrong_setting_is_named_with_its_value_and_its_limit(change):
    path, _, value = change.partition("=")
    said = refusal("vae:tiny", {path: value})
    assert said.startswith(SENTENCES[change])
    assert "\n" not in said


def test_every_fault_of_a_call_is_told_at_once():
    said = refusal("vae:tiny", {"model.latent": 0, "train.lr": -1, "data.siez": 3}).splitlines()
    assert sorted(line.split(":")[0] for line in said) == ["data.siez", "model.latent", "train.lr"]


NEAR = {"vea:tiny": "vae", "vae:tyni": "vae:tiny", "vae:tiny:x": "vae:tiny", "gan": "", "": "", ":": ""}


@pytest.mark.parametrize(("preset", "near"), NEAR.items())
def test_a_preset_that_does_not_exist_is_answered_with_those_that_do(preset, near):
    said = refusal(preset, {})
    assert "is not one of" in said
    assert said.endswith(f"did you mean {near}?") if near else "did you mean" not in said


@pytest.mark.parametrize("name", ["model.latent\naigc: all is well", "\x1b[31m", "x" * 10_000])
def test_a_hostile_name_stays_one_short_printable_line(name):
    said = refusal("vae:tiny", {name: 1})
    assert said.isprintable()
    assert len(said) < 200


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "-" + "9" * 5000, '"' * 99, "{}", "[[]]", '"\\ud800"'])
def test_no_text_for_a_number_is_more_than_wrong(text):
    assert refusal("vae:tiny", {"model.latent": text}).startswith("model.latent: ")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("mirror", "yes", True), ("mirror", "off", False), ("mirror", "true", True), ("limit", "5", 5), ("limit", "5.0", 5),
        ("source", "5", "5"), ("source", "true", "true"), ("source", " a b ", " a b "), ("validation", "0.25", 0.25), ("channels", "3", 3),
    ],
)  # fmt: skip
def test_a_text_means_what_the_field_can_hold(name, text, value):
    found = config.parse(Data, name, text)
    assert found == value
    assert type(found) is type(value)


# Ranges


@pytest.mark.parametrize("case", NUMBERS, ids=ids)
def test_a_declared_range_is_enforced(case):
    at, group, spec = case
    needed = {n: d for n, d in (("source", "digits"),) if n in group.model_fields}
    assert spec.low is not None, "every number has a lower limit"
    assert spec.high is not None, "every number has an upper limit"
    step = 1 if spec.kind == "int" else 1e-6 * max(1.0, abs(spec.low))
    beyond = [spec.low - step, spec.high + (1 if spec.kind == "int" else 1e-6 * spec.high), math.inf, -math.inf, math.nan]
    for value in beyond:
        with pytest.raises(ConfigError) as error:
            config.check(group, {**needed, spec.name: value}, at)
        assert str(error.value).startswith(f"{at}{spec.name}: ")
        assert "\n" not in str(error.value)
    middle = spec.low + (spec.high - spec.low) / 2
    within = int(middle) if spec.kind == "int" else middle
    assert getattr(config.check(group, {**needed, spec.name: within}, at), spec.name) == within


@pytest.mark.parametrize("case", [c for c in FIELDS if c[2].kind == "choice"], ids=ids)
def test_a_choice_takes_its_choices_and_no_other(case):
    at, group, spec = case
    for value in spec.choices:
        assert getattr(config.check(group, {spec.name: value}, at), spec.name) == value
    for value in ("no such choice", 77, None):
        with pytest.raises(ConfigError, match=rf"^{at}{spec.name}: .* is not one of"):
            config.check(group, {spec.name: value}, at)


@pytest.mark.parametrize("case", FIELDS, ids=ids)
def test_a_field_has_a_line_of_help_and_a_default_within_its_range(case):
    _, group, spec = case
    assert 3 < len(spec.help) < 120
    assert not spec.help.endswith(".")
    assert getattr(config.check(group, {spec.name: spec.default}), spec.name) == spec.default


# Whole runs


@pytest.mark.parametrize("preset", model.presets())
def test_a_run_is_frozen_and_survives_json(preset):
    run = model.plan(preset, {"seed": 7, "name": "a.b-c_1"})
    assert Run.model_validate_json(run.model_dump_json()) == run
    assert Run.model_validate(json.loads(json.dumps(run.model_dump()))) == run
    for group, field in ((run, "seed"), (run.data, "size"), (run.train, "lr")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(group, field, 1)


def test_a_group_refuses_what_it_does_not_know():
    with pytest.raises(ConfigError, match=r"^train\.learning_rate: there is no such name"):
        config.check(Train, {"learning_rate": 1}, "train.")


def test_a_default_is_held_to_its_range_like_any_value():
    class Wrong(Fields):
        lr: float = Field(0, gt=0)

    with pytest.raises(ValueError, match="lr"):
        Wrong()


CHANGES = {
    "nothing": {},
    "the data": {"data.source": '/tmp/my pictures/it\'s a "set" $HOME; rm', "data.size": 24, "data.channels": 3, "data.mirror": True},
    "the time": {"train.unit": "minutes", "train.budget": 0.1},
    "many steps": {"train.unit": "steps", "train.budget": 1234567},
    "only the budget": {"train.budget": 3.25},
    "only the unit": {"train.unit": "steps"},
    "the rates": {"train.lr": 1.23456789e-05, "train.beta2": 0.99, "train.decay": "cosine", "train.clip": 1.0},
    "the rest": {"seed": 12, "name": "my-run.2", "device": "cpu", "train.precision": "fp32", "train.weights": "float16"},
    "odd data": {"data.source": "-x=y"},
    "spaced data": {"data.source": "  a  "},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("preset", model.presets())
def test_plan_takes_what_changed_tells(preset, changes):
    run = model.plan(preset, changes)
    told = model.changed(run)
    assert model.plan(preset, told) == run
    assert model.changed(Run.model_validate_json(run.model_dump_json())) == told, "what is read back differs in nothing more"
    assert told.keys() <= changes.keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_plan_takes_the_familys_own_changes(family):
    preset = f"{family}:tiny"
    for name, info in model.family(family).Config.model_fields.items():
        value = info.get_default()
        run = model.plan(preset, {f"model.{name}": list(value) if isinstance(value, tuple) else value})
        assert model.plan(preset, model.changed(run)) == run


OF_MODELS = {"a flag": {"model.conditional": False}, "widths": {"model.hidden": (7, 9)}}


@pytest.mark.parametrize("changes", [*CHANGES.values(), *OF_MODELS.values()], ids=[*CHANGES, *OF_MODELS])
@pytest.mark.parametrize("preset", [f"{f}:tiny" for f in FAMILIES])
def test_the_command_of_a_run_makes_the_same_run(preset, changes, aigc, monkeypatch):
    known = {f"model.{n}" for n in model.family(preset.split(":")[0]).Config.model_fields}
    run = model.plan(preset, {k: v for k, v in changes.items() if not k.startswith("model.") or k in known})
    words = shlex.split(checkpoint.command(run))
    assert words[:2] == ["aigc", "train"]
    planned, plan = [], model.plan
    monkeypatch.setattr(model, "plan", lambda *given: planned.append(plan(*given)) or planned[-1])  # the real one, overheard
    code, _, said = aigc(*words[1:], "--settings")
    assert (code, said) == (0, "")
    assert planned == [run]


def test_settings_tell_what_the_run_will_use(aigc):
    code, out, _ = aigc("train", "vae:tiny", "--set", "model.latent=9", "--steps", "7", "--data", "shapes", "--settings")
    assert code == 0
    lines = dict(line.split("  ", 1)[0].split("=", 1) for line in out.splitlines())
    run = model.plan("vae:tiny", {"model.latent": 9, "train.budget": 7, "train.unit": "steps", "data.source": "shapes"})
    for part in ("data", "model", "train"):
        for name, value in run.model_dump()[part].items():
            if not isinstance(value, (list, tuple)):
                assert lines.pop(f"{part}.{name}") == str(value)
    assert not lines
    latent = next(line for line in out.splitlines() if line.startswith("model.latent"))
    assert latent.endswith("(1 to 1,024)")
    assert next(line for line in out.splitlines() if line.startswith("train.lr")).endswith("(above 0, at most 10)")
    assert "(from 0, below 1)" in next(line for line in out.splitlines() if line.startswith("train.beta1"))


def test_a_run_needs_no_more_than_a_preset():
    run = tiny("vae:tiny", 5)
    assert (run.family, run.preset, run.train.budget, run.train.unit) == ("vae", "tiny", 5, "steps")
