"""An environment may leave the working folder: the run stays where it was begun."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gymnasium.envs.classic_control import PendulumEnv

import softrl
from softrl.api import RunResult
from softrl.run.saved import available


class Wandering(PendulumEnv):
    """Goes to another folder in its tenth step."""

    steps, goal = 0, Path()

    def step(self, action: Any) -> Any:
        self.steps += 1
        if self.steps == 10:
            os.chdir(self.goal)
        return super().step(action)


def test_the_run_stays_where_it_was_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: Callable[..., RunResult]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "away").mkdir()
    monkeypatch.setattr(Wandering, "goal", tmp_path)
    assert trained(Path("near"), Wandering, steps=60, **{"eval.every": 60}).path == Path("near")
    monkeypatch.setattr(Wandering, "goal", tmp_path / "away")
    result = trained(Path("run"), Wandering, steps=60, **{"eval.every": 60})
    assert result.path == tmp_path / "run"
    assert available(tmp_path / "run") == [0, 60]
    assert list((tmp_path / "away").iterdir()) == []
    monkeypatch.chdir(tmp_path)
    assert softrl.resume("run", steps=90, env=Wandering).finished
    assert available(tmp_path / "run")[-1] == 90
