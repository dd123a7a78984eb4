"""Which room may import which, and from where: the table of the design, held on the syntax of every file."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import aigc_demo

PACKAGE = Path(aigc_demo.__file__).parent
FILES = sorted(p for p in PACKAGE.rglob("*.py"))
ALL = {"*"}

FLOORS = {
    "__init__": 0, "config": 1, "files": 1, "modality": 1, "samplers": 1, "nets": 1, "provenance": 1, "replay": 1,
    "history": 2, "model": 2, "modalities": 2, "jobs": 3, "measures": 3, "models": 3, "data": 3, "latent": 3, "curves": 4, "checkpoint": 4,
    "trainer": 5, "engine": 5, "slices": 6, "evaluation": 6, "exploration": 6, "publish": 6, "studio": 7, "cli": 7, "__main__": 8,
    "compare": 5, "sweep": 6, "tracking": 4,
}  # fmt: skip
OURS = {
    "__init__": set(), "config": set(), "files": set(), "modality": set(), "samplers": set(), "nets": set(), "provenance": set(),
    "replay": set(),
    "model": {"config", "modality"},
    "modalities": {"modality", "nets"},
    "history": {"files"},
    "jobs": {"config", "files", "history"},
    "curves": {"files", "jobs"},
    "compare": {"config", "curves", "files", "history", "jobs", "model"},
    "sweep": {"compare", "config", "files", "jobs", "model"},
    "models": {"model", "config", "nets", "samplers", "modality"},
    "data": {"config", "modalities", "modality", "provenance"},
    "latent": {"model"},
    "measures": {"model"},
    "checkpoint": {"files", "history", "latent", "model", "modality", "config", "provenance", "__init__"},
    "trainer": {"replay", "tracking", "checkpoint", "data", "files", "history", "latent", "measures", "model", "config"},
    "tracking": {"config", "files", "history"},
    "slices": {"trainer", "jobs", "history"},
    "engine": {"checkpoint", "latent", "model", "config", "modality", "provenance"},
    "evaluation": {"engine", "data", "modalities", "nets"},  # the baseline of a text is counted
    "publish": {"engine", "checkpoint", "model", "modality", "config", "files", "provenance", "__init__"},
    "exploration": {"engine", "latent", "checkpoint", "data", "modality", "model", "config", "provenance"},
    "studio": {
        "curves", "evaluation", "exploration", "engine", "latent", "jobs", "data", "config", "checkpoint", "provenance", "publish",
        "model", "files",
        "compare", "sweep", "slices",
    },
    "cli": FLOORS.keys() - {"studio", "__main__"},
    "__main__": {"cli"},
}  # fmt: skip
THEIRS = {
    "__init__": set(), "files": set(), "history": set(), "slices": set(), "curves": set(), "provenance": set(), "__main__": set(),
    "jobs": {"pydantic"},
    "compare": set(), "sweep": {"optuna"}, "tracking": {"accelerate"},
    "config": {"pydantic"},
    "modality": {"torch"}, "replay": {"torch"},
    "modalities": {"torch", "torchvision", "PIL", "soundfile", "numpy", "scipy", "safetensors", "av", "tokenizers"},
    "nets": {"torch"},
    "samplers": {"torch"},
    "model": {"torch"},
    "models": {"torch", "torchvision", "pydantic", "scipy"},
    "data": {"torch", "torchvision", "PIL", "sklearn", "numpy"},
    "latent": {"torch"},
    "measures": {"torch"},
    "checkpoint": {"torch", "safetensors", "huggingface_hub", "pydantic"},
    "trainer": {"torch", "accelerate", "safetensors", "PIL"},
    "engine": {"torch", "PIL"},
    "evaluation": {"torch", "torchmetrics"},
    "exploration": {"torch", "PIL"},
    "publish": {"torch", "onnx", "onnxruntime", "onnxscript"},
    "studio": {"gradio", "starlette", "PIL", "numpy"},  # starlette is gradio's server
    "cli": {"typer", "rich"},
}  # fmt: skip
# a promise finds those who keep it by the names of their files: it may name their folder, and import none of them
FOLDERS = {"model": "models", "modality": "modalities"}


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def dotted(path):
    """aigc_demo/data/files.py -> ("aigc_demo", "data", "files"); a package's __init__ is the package."""
    parts = ("aigc_demo", *path.relative_to(PACKAGE).with_suffix("").parts)
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports(path, text=None):
    """(what is imported, as a tuple of names; the function around it or "") for each import of a file, wherever it stands."""
    tree = ast.parse(text or path.read_text())
    inside = {}
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside |= {id(node): function.name for node in ast.walk(function)}
    package = dotted(path) if path.name == "__init__.py" else dotted(path)[:-1]
    for node in ast.walk(tree):
        where = inside.get(id(node), "")
        if isinstance(node, ast.Import):
            yield from ((tuple(alias.name.split(".")), where) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            start = above + tuple((node.module or "").split(".") if node.module else ())
            yield from (((*start, alias.name), where) for alias in node.names)


def rooms(target):
    """The room of ours that an import such as ("aigc_demo", "data", "load") enters; "" where it is not ours."""
    if target[0] != "aigc_demo":
        return ""
    name = target[1] if len(target) > 1 else "__init__"
    return name if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file() else "__init__"  # such as __version__


def entered(path):
    return [(rooms(target), target, where) for target, where in imports(path) if rooms(target) not in ("", room(path))]


def test_the_table_goes_down():
    assert {(a, b) for a in OURS for b in OURS[a] if a not in ("cli",) and FLOORS[b] >= FLOORS[a]} == set()
    assert OURS.keys() <= FLOORS.keys()


def test_the_reader_of_imports_sees_every_form():
    text = (
        "import torch.nn as t\nfrom . import loading\nfrom .. import config as c, model\nfrom ..modalities.image import Modality\n"
        "import aigc_demo.engine\nfrom aigc_demo.trainer import Trainer\ndef f():\n    from ..studio import x\n"
    )
    found = list(imports(PACKAGE / "data" / "imagined.py", text))
    assert [rooms(t) for t, _ in found] == ["", "data", "config", "model", "modalities", "engine", "trainer", "studio"]
    assert found[-1][1] == "f"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_what_the_table_grants(path):
    here = room(path)
    assert here in OURS, f"{here} has no row in the table"
    for target, whole, where in entered(path):
        if here == "cli" and target == "studio":
            assert where == "demo", f"line of {where}: only the verb demo imports the studio"
        elif FOLDERS.get(here) == target:
            assert whole == ("aigc_demo", target), f"{path.name} may name the folder {target}, not {whole}"
            assert where, "the folder is looked at when asked, not when imported"
        else:
            assert target in OURS[here], f"{here} may not import {target} ({'.'.join(whole)})"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_uses_the_third_parties_that_are_its_own(path):
    theirs = {target[0] for target, _ in imports(path)} - set(sys.stdlib_module_names) - {"aigc_demo"}
    assert theirs <= THEIRS[room(path)]


@pytest.mark.parametrize("path", sorted((PACKAGE / "models").glob("*.py")), ids=lambda p: p.stem)
def test_no_family_imports_another(path):
    assert [t for t, _ in imports(path) if t[:2] == ("aigc_demo", "models")] == []


EVIL = ("eval", "exec", "compile", "__import__", "torch.load", "torch.jit.load", "np.load", "numpy.load", "os.system")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_is_unpickled_evaluated_or_printed(path):
    tree = ast.parse(path.read_text())
    assert not {t[0] for t, _ in imports(path)} & {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}
    for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call)):
        said = ast.unparse(call.func)
        assert said not in EVIL, said
        assert said != "print" or room(path) == "cli"
        assert not any(k.arg == "shell" for k in call.keywords if said.startswith("subprocess.")), "no shell"


HEAVY = ("torch", "torchvision", "gradio", "accelerate", "PIL", "numpy", "sklearn", "safetensors", "pandas")


LIGHT = {"files": ("pydantic", "typer"), "history": ("pydantic", "typer"), "config": ("typer",), "jobs": ("typer",), "cli": ("pydantic",)}


@pytest.mark.parametrize("module", LIGHT)
def test_the_light_rooms_stay_light(module):
    code = f"import sys, aigc_demo.{module}; print([m for m in {HEAVY + LIGHT[module]} if m in sys.modules])"
    root = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=root).stdout == "[]\n"
