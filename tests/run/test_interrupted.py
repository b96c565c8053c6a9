"""A signal during an evaluation or a film: what was collected is saved, and a resume makes up for what was left out."""

import os
import signal
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest

from softrl import api
from softrl.run.saved import available
from softrl.run.trainer import Trainer

OPTIONS = {"steps": 40, "eval.every": 20, "eval.episodes": 2, "video.every": "never", "threads": 1, "train.warmup": 10}
OPTIONS |= {"train.batch": 8}


class Deadly(gymnasium.Env[Any, Any]):
    """Episodes of ten decisions; the `fatal`-th one that begins is where the process is told to end, at its middle."""

    metadata: ClassVar = {"render_modes": ["rgb_array"]}
    render_mode = "rgb_array"
    begun, fatal = 0, -1

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        Deadly.begun += 1
        self.number, self.time, self.start = Deadly.begun, 0, self.np_random.normal()
        return np.array([self.start, 0], np.float32), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        if self.number == Deadly.fatal and self.time == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return np.array([self.start, self.time], np.float32), float(action[0]), False, self.time == 10, {}

    def snapshot(self) -> dict[str, Any]:
        return {"number": self.number, "time": self.time, "start": self.start, "generator": self.generator()}

    def generator(self) -> Any:
        state = self.np_random.bit_generator.state["state"]
        return {name: str(value) for name, value in state.items()}

    def restore(self, state: dict[str, Any]) -> None:
        self.number, self.time, self.start = state["number"], state["time"], state["start"]
        held = self.np_random.bit_generator.state
        held["state"] = {name: int(value) for name, value in state["generator"].items()}
        self.np_random.bit_generator.state = held


def rows(path: Path, table: str) -> list[list[str]]:
    """The cells of a table but for the seconds."""
    lines = [line.split(",") for line in (path / table).read_text().splitlines()]
    clock = lines[0].index("seconds") if "seconds" in lines[0] else len(lines[0])
    return [line[:clock] + line[clock + 1 :] for line in lines]


def episodes_until(path: Path, **options: Any) -> int:
    """Episodes that begin up to the end of a run's first `steps`."""
    Deadly.begun, Deadly.fatal = 0, -1
    api.train(Deadly, "sac+tiny", run=path, **{**OPTIONS, **options})
    return Deadly.begun


@pytest.mark.parametrize("video", ["never", 20])
def test_a_signal_that_comes_meanwhile_costs_nothing(tmp_path: Path, video: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(Deadly, "render", lambda self: np.zeros((32, 32, 3), np.uint8))
    whole, path = tmp_path / "whole", tmp_path / "run"
    last = episodes_until(tmp_path / "half", steps=20, **{"video.every": video})
    episodes_until(whole, **{"video.every": video})
    Deadly.begun, Deadly.fatal = 0, last  # of the evaluation at step 20, or of its film
    result = api.train(Deadly, "sac+tiny", run=path, **{**OPTIONS, "video.every": video})
    assert not result.finished
    assert available(path)[-1] == 20
    assert len(rows(path, "eval.csv")) == (2 if video == "never" else 3)  # the heading and that of step 0, or of 20 too
    Deadly.fatal = -1
    assert api.resume(path, env=Deadly).finished
    for table in ("eval.csv", "episodes.csv", "train.csv"):
        assert rows(path, table) == rows(whole, table)
    assert [f.name for f in sorted((path / "videos").glob("*"))] == [
        f.name for f in sorted((whole / "videos").glob("*"))
    ]


def test_a_signal_in_the_last_evaluation_leaves_it_to_a_resume(tmp_path: Path) -> None:
    path = tmp_path / "run"
    last = episodes_until(tmp_path / "half", steps=20)
    Deadly.begun, Deadly.fatal = 0, last
    assert not api.train(Deadly, "sac+tiny", run=path, **{**OPTIONS, "steps": 20}).finished
    Deadly.fatal = -1
    assert api.resume(path, env=Deadly).finished
    assert rows(path, "eval.csv") == rows(tmp_path / "half", "eval.csv")


def test_a_signal_when_the_minutes_are_over_leaves_the_evaluation_to_a_resume(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(Trainer, "out_of_time", lambda self: self.count.env_steps >= 7)
    path, options = tmp_path / "run", {"steps": 40, "eval.every": 1000, "minutes": 1000}
    last = episodes_until(tmp_path / "whole", **options)
    Deadly.begun, Deadly.fatal = 0, last
    assert not api.train(Deadly, "sac+tiny", run=path, **{**OPTIONS, **options}).finished
    assert len(rows(path, "eval.csv")) == 2  # the heading, and step 0
    Deadly.fatal = -1
    assert api.resume(path, env=Deadly).finished
    assert rows(path, "eval.csv") == rows(tmp_path / "whole", "eval.csv")
