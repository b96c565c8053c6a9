"""benchmarks/interpreter.py: where the peers are."""

import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import interpreter

from softrl.errors import UserError


def test_an_interpreter_that_is_given_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEERS_PYTHON", sys.executable)
    assert interpreter.interpreter(tmp_path) == sys.executable
    assert interpreter.interpreter(tmp_path, "sh") == "sh"
    assert not list(tmp_path.iterdir())


def test_one_that_is_not_there_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere/python is no program"):
        interpreter.interpreter(tmp_path, "nowhere/python")


def test_an_environment_is_made_once_and_made_again_when_it_was_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    asked: list[list[str]] = []
    ends = [subprocess.CalledProcessError(1, "pip"), None]

    def create(home: Path, with_pip: bool) -> None:
        assert with_pip
        home.mkdir(exist_ok=True)
        made.append(home)

    def run(command: list[str], check: bool) -> Any:
        assert check
        asked.append(command)
        end = ends.pop(0)
        if end:
            raise end

    monkeypatch.delenv("PEERS_PYTHON", raising=False)
    monkeypatch.setattr(venv, "create", create)
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(subprocess.CalledProcessError):
        interpreter.interpreter(tmp_path)
    first, second = interpreter.interpreter(tmp_path), interpreter.interpreter(tmp_path)
    assert first == second
    assert Path(first).is_relative_to(tmp_path / ".peers")
    assert made == [tmp_path / ".peers"] * 2
    monkeypatch.setattr(interpreter, "PEERS", (*interpreter.PEERS, "another"))
    ends.append(None)
    assert interpreter.interpreter(tmp_path) == first
    assert "another" in asked.pop()
    assert all(command[0] == first and {"stable-baselines3", "sbx-rl", "torchrl"} < set(command) for command in asked)
