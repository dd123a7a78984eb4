"""Every test has a home of its own, and one thread a process: toy models are slower on many."""

import os
import shutil
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; child processes inherit it

import pytest
from toys import FAMILIES, finished, tiny

from aigc_demo import checkpoint
from aigc_demo.jobs import Limits


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """$AIGC_HOME, empty, for this test and the processes that it starts."""
    path = tmp_path / "home"
    monkeypatch.setenv("AIGC_HOME", str(path))
    for name in (*(f"AIGC_{field.upper()}" for field in Limits.model_fields), "RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    return path


@pytest.fixture(scope="session")
def _trained(tmp_path_factory):
    """One finished run a family, conditional on the ten digits; tests get copies."""
    folders = {}
    for name in FAMILIES:
        folders[name] = tmp_path_factory.mktemp(name)
        finished(tiny(f"{name}:tiny", 12, {"name": f"{name}-toy"}), folders[name])
    return folders


@pytest.fixture(params=FAMILIES)
def made(request, _trained, home):
    """A checkpoint of each family, found by its run's name."""
    return _copied(request.param, _trained, home)


@pytest.fixture
def all_made(_trained, home):
    """A checkpoint of every family at once, by family."""
    return {name: _copied(name, _trained, home) for name in FAMILIES}


def _copied(name, trained, home):
    folder = home / "runs" / f"{name}-toy"
    shutil.copytree(trained[name] / "checkpoint", folder / "checkpoint")
    return checkpoint.read(folder / "checkpoint")


@pytest.fixture
def aigc(monkeypatch, capsys):
    """Runs the command line in this process: aigc("train", ...) -> (exit code, stdout, stderr)."""
    from aigc_demo import cli

    def run(*words):
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        monkeypatch.setattr("sys.argv", ["aigc", *map(str, words)])
        capsys.readouterr()
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return (ended.value.code or 0, *capsys.readouterr())

    return run
