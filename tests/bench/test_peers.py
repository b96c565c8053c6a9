"""benchmarks/peers without the peers: buffers that are filled, and a run that the clock ends."""

import argparse
import csv
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "peers"))
import loop
import train_sb3


@pytest.mark.parametrize(("rows", "held"), [(11, 9), (3, 3), (0, 3)])
def test_buffers_are_filled_with_whole_copies_of_what_they_hold(rows: int, held: int) -> None:
    column = np.array([0, 1, 2, *[9] * 9])
    buffer = SimpleNamespace(pos=3, **{name: column.copy() for name in loop.COLUMNS})
    loop.fill(buffer, rows)
    assert buffer.pos == held
    for name in loop.COLUMNS:
        assert getattr(buffer, name).tolist() == [0, 1, 2] * (held // 3) + [9] * (12 - held)


def test_tasks_of_either_kind_are_made() -> None:
    for name, width in (("Pendulum-v1", 3), ("walker_walk", 24)):
        observation, _ = train_sb3.made(name).reset(seed=1)
        assert observation.shape == (width,)


class Model:
    """An agent that learns nothing; a step takes 10 s of the clock, an evaluation's episode 1 s."""

    num_timesteps = _n_updates = 0
    clock = 0.0

    def __init__(self, *arguments: Any, **more: Any) -> None:
        Model.clock = 0.0

    def learn(self, steps: int, callback: Any) -> None:
        going = True
        while going and self.num_timesteps < steps:
            self.num_timesteps, Model.clock = self.num_timesteps + 1, Model.clock + 10
            going = callback({}, {})

    def predict(self, observation: Any, deterministic: bool) -> Any:
        Model.clock += 1 / 200  # of Pendulum's steps
        return [0.0], None


@pytest.mark.parametrize(
    ("steps", "minutes", "evaluated"),
    [(100, 1.0, [0, 4, 6]), (100, 1.3, [0, 4, 8]), (5, None, [0, 4, 5]), (4, 60.0, [0, 4])],
)
def test_a_run_ends_by_the_clock_of_learning_with_an_evaluation(
    steps: int, minutes: float | None, evaluated: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", SimpleNamespace(SAC=Model))
    monkeypatch.setattr(train_sb3.time, "monotonic", lambda: Model.clock)
    options = {"env": "Pendulum-v1", "seed": 1, "threads": 1, "every": 4, "run": tmp_path}
    train_sb3.train(argparse.Namespace(steps=steps, minutes=minutes, **options))
    with (tmp_path / "eval.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["env_steps"]) for row in rows] == evaluated
    assert float(rows[1]["seconds"]) == pytest.approx(4 * 10 + 2 * 10)  # evaluations included
