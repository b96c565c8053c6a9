from collections.abc import Callable
from pathlib import Path

import pytest

from softrl.cli.main import main

SMALL = [
    "--steps",
    "60",
    "--eval.every",
    "60",
    "--train.warmup",
    "30",
    "--env.time_limit",
    "20",
    "--video.every",
    "never",
    "--quiet",
]


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file below a folder."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="session")
def small() -> list[str]:
    """Flags after which any recipe with `+tiny` is done in a second."""
    return SMALL


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(here: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command line that must fail with one sentence and change nothing on disk; returns the sentence."""

    def run(*words: str) -> str:
        before = contents(here)
        capsys.readouterr()
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("softrl: ")
        assert err.endswith("\n")
        assert err.count("\n") == 1
        assert contents(here) == before
        return err.removeprefix("softrl: ").removesuffix("\n")

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished run, for commands that only read."""
    path = tmp_path_factory.mktemp("finished") / "run"
    assert main(["train", "cartpole_swingup", "--recipe", "sac+tiny", "--run", str(path), *SMALL]) == 0
    return path
