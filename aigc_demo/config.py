"""One run, fully described: typed, ranged fields with a line of help each, to and from JSON, with errors that a person can act on."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

F = TypeVar("F", bound="Fields")
Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(min_length=1, max_length=8)]  # of dense layers


class ConfigError(ValueError):
    """A setting that cannot be used; the text names the field, the value and the limit."""


class Fields(BaseModel):
    """A frozen group of settings: an unknown name is an error, and defaults are validated like values."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class Network(Fields):
    """A network from x to what has the same shape: what the families that draw step by step have in common."""

    network: Literal["transformer", "unet", "mlp"] = Field(
        "transformer", description="patches and attention, the quick one, or convolutions; mlp is for points"
    )
    width: int = Field(128, ge=8, le=2048, description="numbers a patch, or a layer; U-Net: channels at the full size")
    depth: int = Field(6, ge=1, le=64, description="blocks; U-Net: at each scale")
    patch: int = Field(4, ge=1, le=64, description="transformer: side of a patch in pixels; smaller is finer and slower")
    heads: int = Field(4, ge=1, le=64, description="transformer: parts that attention looks with")
    scales: Widths = Field((1, 2, 2), description="U-Net: channels at each scale, in widths; each is half the size of the one before")
    conditional: bool = Field(True, description="learn to draw a chosen class, where the data has classes")
    drop: float = Field(0.1, ge=0, lt=1, description="share of the items whose class is left out, so that guidance can tell it from none")


class Data(Fields):
    """What the model learns from."""

    source: str = Field("digits", min_length=1, max_length=4096, description="a built-in set's name, or a folder, zip or file of your own")
    size: int = Field(
        0, ge=0, le=512, description="pixels a side, bands of a sound, tokens of a text; 0 is the set's own, else the preset's"
    )
    channels: Literal[0, 1, 3, 4] = Field(0, description="1 is grey, 3 is colour, 4 keeps what is transparent; 0 is as the data comes")
    limit: int = Field(0, ge=0, le=10_000_000, description="at most this many items, drawn by the seed (a text's first characters); 0: all")
    validation: float = Field(0.05, ge=0, le=0.5, description="share of the items held out to validate on")
    mirror: bool = Field(False, description="show each picture mirrored half of the time")
    tokens: Literal["characters", "bytes"] = Field("characters", description="text: what one is; bytes are merged into pieces (BPE)")
    vocabulary: int = Field(1024, ge=256, le=8192, description="text: how many tokens there are where they are bytes and pieces of them")
    column: str = Field("", max_length=200, description="text: the column of a .jsonl or .csv; by default `text`, or the only one")
    encoding: str = Field("utf-8", max_length=40, description="text: how the files are encoded, such as utf-8 or gb18030")
    rate: int = Field(8000, ge=4000, le=48_000, description="sound: samples a second")
    seconds: float = Field(1.0, ge=0.1, le=10, description="sound: how long a clip is")


class Train(Fields):
    """How it learns, and for how long."""

    budget: float = Field(5, gt=0, le=10_000_000, description="how long to train, in the unit below")
    unit: Literal["epochs", "steps", "minutes"] = Field("epochs", description="what the budget counts")
    batch: int = Field(64, ge=2, le=8192, description="items per step, over all processes")
    lr: float = Field(2e-4, gt=0, le=10, description="learning rate")
    optimizer: Literal["adamw", "muon"] = Field("adamw", description="muon is for the matrices within a gpt; adamw for all else")
    beta1: float = Field(0.9, ge=0, lt=1, description="Adam's decay of the first moment")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's decay of the second moment")
    weight_decay: float = Field(0.0, ge=0, le=10, description="decoupled weight decay (AdamW)")
    warmup: int = Field(0, ge=0, le=1_000_000, description="steps over which the learning rate rises from zero")
    decay: Literal["none", "linear", "cosine"] = Field("none", description="how the learning rate falls to zero over the budget")
    clip: float = Field(0.0, ge=0, le=1e6, description="largest gradient norm; 0 leaves gradients as they are")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights that samples are drawn from; 0 is off")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto takes bf16 where the GPU has it or the CPU gains by it")
    replay: bool = Field(True, description="on an NVIDIA GPU: record a step and repeat it, which small networks gain from most")
    patience: int = Field(0, ge=0, le=10_000, description="stop after this many validations without a better one; 0 is never")
    marks: int = Field(30, ge=1, le=1000, description="sample grids and validations over the run")
    kept_marks: int = Field(12, ge=0, le=1000, description="marks whose weights are kept, to go back in time; spread over the run")
    rewind_mb: float = Field(256, ge=0, le=1_000_000, description="megabytes of earlier states kept to rewind the run to; 0 keeps none")
    save_seconds: float = Field(30, ge=0, le=3600, description="seconds between two saves of the resumable state")
    tracker: Literal["none", "tensorboard", "wandb", "trackio"] = Field("none", description="where its terms go besides its own log")
    sliders: Literal["best", "curved"] = Field("best", description="curved bends them until each changes one thing; takes longer")
    weights: Literal["float32", "float16"] = Field("float32", description="how the checkpoint stores its weights")


class Run(Fields):
    """One training run, whole: what `config.json` of a run's folder holds."""

    name: str = Field("", max_length=64, pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$", description="letters, digits, '.', '_' and '-'")
    family: str = Field(description="the model's family")
    preset: str = Field(description="the family's preset that the settings start from")
    group: str = Field("", max_length=64, pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$", description="runs of one group are compared")
    base: str = Field("", max_length=4096, description="a checkpoint that the run goes on from: its weights and its alphabet")
    codec: str = Field("", max_length=4096, description="a vae:grid, or what learnt through one: text_to_image learns in its latents")
    seed: int = Field(0, ge=0, lt=2**31, description="every draw of the run follows from it")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="auto takes a GPU where there is one")
    data: Data = Data()
    model: dict[str, Any] = Field(default_factory=dict, description="the family's own settings")
    train: Train = Train()


@dataclass(frozen=True)
class Spec:
    """One field as a form or a command line needs it. `kind` is bool, int, float, str or choice."""

    name: str
    kind: str
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    above: bool = False  # `low` itself is too low
    below: bool = False  # `high` itself is too high

    @property
    def limits(self) -> str:
        """What is allowed, in words: "1 to 8,192", "above 0, at most 10", or the choices; "" where nothing is stated."""
        if self.choices:
            return ", ".join(map(str, self.choices))
        if self.low is None or self.high is None:
            return ""
        if not self.above and not self.below:
            return f"{self.low:,} to {self.high:,}"
        return f"{'above' if self.above else 'from'} {self.low:,}, {'below' if self.below else 'at most'} {self.high:,}"


def specs(group: type[Fields], at: str = "") -> list[Spec]:
    """The fields of `group` that hold one value each, named `at` + field name, in order of declaration."""
    found = []
    for name, info in group.model_fields.items():
        annotation = info.annotation
        if get_origin(annotation) in (Union, types.UnionType):
            annotation = next(a for a in get_args(annotation) if a is not type(None))
        limits = {type(m).__name__: m for m in info.metadata}
        low = next((getattr(limits[k], a) for k, a in (("Ge", "ge"), ("Gt", "gt")) if k in limits), None)
        high = next((getattr(limits[k], a) for k, a in (("Le", "le"), ("Lt", "lt")) if k in limits), None)
        choices = get_args(annotation) if get_origin(annotation) is Literal else ()
        kind = "choice" if choices else getattr(annotation, "__name__", "")
        if kind in ("bool", "int", "float", "str", "choice"):
            default, above, below = info.get_default(call_default_factory=True), "Gt" in limits, "Lt" in limits
            found.append(Spec(at + name, kind, default, info.description or "", low, high, choices, above, below))
    return found


def check(group: type[F], values: Mapping[str, Any], at: str = "", known: Iterable[str] = ()) -> F:
    """`group` built from `values`.

    Raises ConfigError with one line for each field at fault; `at` (such as "model.") is put before names, and `known` adds names that an
    unknown one is compared with."""
    try:
        return group.model_validate(dict(values))
    except ValidationError as error:
        names = [at + n for n in _names(group)] + list(known)
        faults = error.errors()
        places = {e["loc"][:i] for e in faults for i in range(len(e["loc"]))}  # a list with a wrong entry is also "too short"
        raise ConfigError("\n".join(_sentence(e, at, names) for e in faults if e["loc"] not in places)) from None


def unknown(name: str, known: Iterable[str]) -> str:
    """The sentence for a name that does not exist, with the nearest one that does."""
    known = list(known)
    name = name if name.isprintable() and len(name) <= 80 else repr(name[:77] + "...")
    near = difflib.get_close_matches(name, known, 1, 0.4)
    if not near:  # "latent" for "model.latent"
        tails = {k.rsplit(".", 1)[-1]: k for k in known}
        near = [tails[t] for t in difflib.get_close_matches(name.rsplit(".", 1)[-1], tails, 1, 0.6)]
    return f"{name}: there is no such name" + (f"; the nearest is {near[0]}" if near else "")


def parse(group: type[Fields], name: str, text: str, at: str = "") -> Any:
    """The value that `text` of a command line or a form means for the field `name` of `group` (JSON, yes/no, or the text itself).

    Raises ConfigError for a name that `group` lacks."""
    if name not in group.model_fields:
        raise ConfigError(unknown(at + name, [at + n for n in group.model_fields]))
    kind = next((s.kind for s in specs(group) if s.name == name), "")
    if kind == "bool" and text.lower() in ("yes", "no", "on", "off"):
        return text.lower() in ("yes", "on")
    try:
        value = json.loads(text) if kind != "str" else text
    except (ValueError, RecursionError):  # not JSON, or a number or a nesting beyond what Python reads
        return text
    if isinstance(value, bool) and kind in ("int", "float"):
        return text
    return int(value) if kind == "int" and isinstance(value, float) and value.is_integer() else value


def _names(group: type[Fields], at: str = "") -> list[str]:
    names = []
    for name, info in group.model_fields.items():
        inner = info.annotation
        nested = isinstance(inner, type) and issubclass(inner, Fields)
        names += [at + name, *(_names(inner, f"{at}{name}.") if nested else [])]
    return names


def _sentence(error: Mapping[str, Any], at: str, names: list[str]) -> str:
    where = at + ".".join(str(p) for p in error["loc"])
    got, kind, limit = error.get("input"), error["type"], error.get("ctx", {})
    shown = repr(got) if isinstance(got, str) else str(got)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    if kind == "extra_forbidden":
        return unknown(where, names)
    said = {
        "missing": "is missing",
        "greater_than_equal": f"{shown} is below {limit.get('ge')}",
        "greater_than": f"{shown} is not above {limit.get('gt')}",
        "less_than_equal": f"{shown} is above {limit.get('le')}",
        "less_than": f"{shown} is not below {limit.get('lt')}",
        "literal_error": f"{shown} is not one of {str(limit.get('expected', '')).replace(' or ', ', ')}",
        "finite_number": f"{shown} is not a finite number",
        "string_pattern_mismatch": f"{shown} holds a character that is not allowed here",
        "string_too_long": f"is longer than {limit.get('max_length')} characters",
        "string_too_short": "is empty",
        "too_long": f"has more than {limit.get('max_length')} entries",
        "too_short": "is empty",
    }.get(kind)
    if said is None:
        for part, word in (
            ("int", "a whole number"),
            ("float", "a number"),
            ("bool", "yes or no"),
            ("string", "a text"),
            ("tuple", "a list such as [256, 512]"),
            ("dict", "a group of settings"),
            ("model", "a group of settings"),
        ):
            if kind.startswith(part):
                said = f"{shown} is not {word}"
                break
    return f"{where}: {said or error['msg']}"
