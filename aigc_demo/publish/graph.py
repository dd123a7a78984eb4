"""A checkpoint's sampling as an ONNX graph: exported by torch, and compared with torch before anybody gets it."""

from __future__ import annotations

import dataclasses
import json
import logging
import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .. import __version__, checkpoint as checkpoints, modality as modalities
from ..checkpoint import Checkpoint
from ..config import Fields, Spec, specs
from ..model import Model, draw_latents, family

TOLERANCE = 1e-4  # how far an x of onnxruntime may be from torch's; x goes from -1 to 1, one level of a picture is 0.0078
CHECKED = 32  # latents that are compared


class ExportError(RuntimeError):
    """What cannot be exported, and why, in one sentence."""


class Graph(NamedTuple):
    """A checked graph: latents (N, *latent) float32, one scalar float32 for each of `settings`, and where the model is conditional
    label (N,) int32 -> x (N, *shape) float32.

    `data` is the file, `difference` the largest absolute difference to torch that was met."""

    data: bytes
    settings: tuple[Spec, ...]
    difference: float


class _Sampling(nn.Module):
    """A model's sample() as a function of tensors: latents, then the named settings, then the label."""

    def __init__(self, model: Model, names: tuple[str, ...]):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, latents: Tensor, *rest: Tensor) -> Tensor:
        return self.model.sample(latents, self.settings(rest), rest[-1].long() if self.model.classes else None)

    def settings(self, values: tuple[Tensor, ...]) -> Fields:
        changed = dict(zip(self.names, values, strict=False))
        return self.model.Sampling.model_construct(**{**self.model.Sampling().model_dump(), **changed})


def check(found: Checkpoint) -> None:
    """Raises ExportError for a checkpoint whose samples no graph of numbers can draw."""
    if found.modality.kind == "text":
        raise ExportError(f"{found.name}: a text is drawn token by token, which one graph cannot do; `aigc write` writes it")
    if family(found.manifest.run.family).reads:
        raise ExportError(f"{found.name}: it draws what a prompt says, and a graph takes numbers alone; `aigc draw` draws it")


def export(found: Checkpoint) -> Graph:
    """The graph of a checkpoint, with its settings as inputs, within the range in which they are followed, else fixed at their defaults.

    Weights that are halves in the checkpoint stay halves in the file. Raises CheckpointError, and ExportError where the extra is missing
    and where the family's sampling cannot be exported or does not come out as torch draws it."""
    check(found)
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise ExportError("exporting needs the extra `export` (onnx, onnxscript, onnxruntime): pip install 'aigc-demo[export]'") from None
    model = checkpoints.load(found)  # one of its own: while torch traces it nobody else may draw from it
    offered = (s for s in specs(model.Sampling) if s.kind == "float" and s.name not in model.idle)
    numbers = tuple(s for s in offered if s.low is not None and s.high is not None)
    try:
        proto = _traced(found, model, numbers)
    except ExportError:
        if not numbers:
            raise
        numbers, proto = (), _traced(found, model, ())
    _without_traces(proto)
    _halved(proto)
    compared = _Compared(model, proto.SerializeToString(), numbers)
    try:
        difference = max(compared(count, {}) for count in (1, CHECKED))
    except Exception as error:  # whatever the runtime meets: torch's exporter may fix what was to move, as the number of latents
        raise ExportError(f"{found.preset}: the exported graph does not draw ({type(error).__name__})") from error
    if not difference <= TOLERANCE:
        raise ExportError(f"{found.preset}: the exported graph draws {difference:.2g} off what torch draws, over {TOLERANCE:g}")
    settings = []
    for spec in numbers:
        reached, apart = compared.reach(spec)
        if reached is None:
            _fix(proto, spec)
        else:
            settings.append(reached)
            difference = max(difference, apart)
    onnx.helper.set_model_props(
        proto,
        {
            "aigc_demo": __version__,
            "checkpoint": found.digest,
            "weights": found.manifest.weights,
            "modality": json.dumps(modalities.to_json(found.modality)),
            "classes": json.dumps(found.manifest.classes if model.classes else []),
            "difference": f"{difference:.2g}",
        },
    )
    return Graph(proto.SerializeToString(), tuple(settings), difference)


def _traced(found: Checkpoint, model: Model, numbers: tuple[Spec, ...]) -> Any:
    """The graph of torch's exporter, as an onnx.ModelProto, with `numbers` as inputs."""
    network = _Sampling(model, tuple(s.name for s in numbers)).eval()
    names = ["latents", *network.names, *(["label"] if model.classes else [])]
    first = _inputs(model, numbers, 2, {})
    batch = torch.export.Dim("batch", min=1, max=1024)
    moving = tuple({0: batch} if name in ("latents", "label") else {} for name in names)
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    try:
        quiet.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = torch.onnx.export(
                network, tuple(first.values()), dynamo=True, input_names=names, output_names=["x"], dynamic_shapes=(moving[0], moving[1:]),
                optimize=False, verbose=False,
            )  # fmt: skip
        return made.model_proto
    except Exception as error:  # whatever torch's exporter meets in a family's sampling
        raise ExportError(f"{found.preset}: its sampling cannot be exported to ONNX ({type(error).__name__})") from error
    finally:
        quiet.setLevel(level)


def _inputs(model: Model, numbers: tuple[Spec, ...], count: int, changed: dict[str, float]) -> dict[str, Tensor]:
    """`count` latents, the settings at their defaults but for `changed`, and the classes in turn."""
    found = {"latents": draw_latents(model.latent, 0, range(count))}
    found |= {s.name: torch.tensor(float(changed.get(s.name, s.default))) for s in numbers}
    if model.classes:
        found["label"] = torch.arange(count, dtype=torch.int32) % model.classes
    return found


class _Compared:
    """What a graph draws in onnxruntime, beside what torch draws."""

    def __init__(self, model: Model, data: bytes, numbers: tuple[Spec, ...]):
        import onnxruntime

        self.model, self.numbers = model, numbers
        self.session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])

    def __call__(self, count: int, changed: dict[str, float]) -> float:
        """The largest difference in `count` samples with the settings at their defaults but for `changed`."""
        given = _inputs(self.model, self.numbers, count, changed)
        label = given["label"].long() if "label" in given else None
        with torch.inference_mode():
            want = self.model.sample(given["latents"], self.model.Sampling(**changed), label)
        have = torch.from_numpy(self.session.run(["x"], {k: v.numpy() for k, v in given.items()})[0])
        return float((have - want).abs().max()) if have.shape == want.shape and have.isfinite().all() else float("inf")

    def reach(self, spec: Spec) -> tuple[Spec | None, float]:
        """The setting with as much of its range, to either side of the default, as the graph follows, and the largest difference there;
        None where it follows nothing. What a step adds to a rounding error grows with the guidance, and over many steps with its power."""
        ends, worst = [], 0.0
        for end in (spec.low, spec.high):
            for share in (1.0, 0.5, 0.25):
                inside = spec.default + share * 0.99 * (end - spec.default)  # an end itself may be one that is not allowed
                apart = self(CHECKED, {spec.name: inside})
                if apart <= TOLERANCE:
                    ends.append(spec.default + share * (end - spec.default))
                    worst = max(worst, apart)
                    break
            else:
                ends.append(spec.default)
        low, high = ends
        return (dataclasses.replace(spec, low=low, high=high) if low < high else None), worst


def _fix(proto: Any, spec: Spec) -> None:
    """Makes an input of the graph a constant, its default."""
    import onnx

    (given,) = (one for one in proto.graph.input if one.name == spec.name)
    proto.graph.input.remove(given)
    proto.graph.initializer.append(onnx.helper.make_tensor(spec.name, onnx.TensorProto.FLOAT, [], [spec.default]))


def _without_traces(proto: Any) -> None:
    """Takes away what the exporter notes of the machine's files and of torch's inner names."""
    for part in (proto.graph, *proto.functions, *proto.graph.node, *proto.graph.initializer, *proto.graph.value_info):
        part.doc_string = ""
        del part.metadata_props[:]
    del proto.metadata_props[:]


def _halved(proto: Any) -> None:
    """Stores float32 weights that are halves to the bit as halves, with a cast that the runtime computes once when it loads the graph."""
    import onnx

    for weight in proto.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT:
            continue
        values = onnx.numpy_helper.to_array(weight)
        half = values.astype("float16")
        if values.size < 64 or not (half.astype("float32") == values).all():
            continue
        name = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}.half"))
        proto.graph.node.insert(0, onnx.helper.make_node("Cast", [weight.name], [name], to=onnx.TensorProto.FLOAT))
