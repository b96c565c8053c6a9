"""What a run writes of its plans: executed lengths and confidences, in columns behind the promised ones."""

import csv
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from softrl import api
from softrl.errors import UserError
from softrl.run.saved import read


class Ten(gymnasium.Env[Any, Any]):
    """Episodes of ten decisions that end by time."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        return np.full(2, self.time, np.float32), float(action[0]), False, self.time == 10, {}


def train(path: Path, recipe: str, **options: Any) -> Path:
    """A run of ten episodes, half of them at random, with an evaluation at its start and end."""
    small = {"steps": 100, "eval.every": 100, "train.warmup": 50, "video.every": "never", "threads": 1}
    api.train(Ten, f"{recipe}+tiny", run=path, **{**small, **options})
    return path


def column(path: Path, table: str, name: str) -> list[str]:
    with (path / table).open(newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


def test_a_fixed_plan_of_five_is_executed_twice_in_ten_decisions(tmp_path: Path) -> None:
    path = train(tmp_path / "run", "qc")
    assert column(path, "train.csv", "chunk_length") == [""] * 5 + ["5.0"] * 5
    assert column(path, "eval.csv", "chunk_length") == ["5.0", "5.0"]
    assert set(column(path, "eval.csv", "confidence")) == {"1.0"}


def test_plans_of_one_action_are_sac_byte_for_byte(tmp_path: Path) -> None:
    one = train(tmp_path / "one", "qc", **{"agent.chunk.length": 1})
    plain = train(tmp_path / "plain", "sac")
    kept = ("episodes.csv", "checkpoints/step_000000100/agent.safetensors")
    for name in kept:
        assert (one / name).read_bytes() == (plain / name).read_bytes()


@pytest.mark.slow
def test_a_run_that_is_cut_in_the_midst_of_a_plan_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    """Episodes of 40 decisions, plans of five from decision 50 on: at 103 three actions of one are executed."""
    options = {"agent.chunk.confidence_threshold": 0.0, "env.time_limit": 40, "train.warmup": 50, "eval.episodes": 1}
    options |= {"video.every": "never", "threads": 1}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    api.train("Pendulum-v1", "qc_adaptive+tiny", run=whole, steps=121, **options)
    api.train("Pendulum-v1", "qc_adaptive+tiny", run=cut, steps=103, **options)
    carry = read(cut, "latest").parts["collector"]["carry"]
    assert (int(carry["plan.done"]), int(carry["plan.length"])) == (3, 5)
    api.resume(cut, steps=121)
    path = Path("checkpoints", "step_000000121", "agent.safetensors")
    assert (whole / path).read_bytes() == (cut / path).read_bytes()
    assert column(whole, "train.csv", "chunk_length") == column(cut, "train.csv", "chunk_length")


def test_without_any_confidence_that_suffices_each_decision_is_a_plan(tmp_path: Path) -> None:
    path = train(tmp_path / "run", "qc_adaptive", **{"agent.chunk.confidence_threshold": 1.0})
    assert column(path, "eval.csv", "chunk_length") == ["1.0", "1.0"]
    for table in ("train.csv", "eval.csv"):
        values = [float(cell) for cell in column(path, table, "confidence") if cell]
        assert values
        assert all(0 < value < 1 for value in values)


def test_an_agent_that_does_not_plan_has_the_promised_columns_only(tmp_path: Path) -> None:
    path = train(tmp_path / "run", "sac")
    header = (path / "train.csv").read_text().splitlines()[0]
    assert header == "env_steps,episode,return,length,success,seconds"


@pytest.mark.parametrize(("length", "repeat"), [(201, 1), (51, 4)])
def test_plans_that_no_episode_is_long_enough_for_are_refused(tmp_path: Path, length: int, repeat: int) -> None:
    with pytest.raises(
        UserError, match=rf"length {length} is longer than an episode of {length - 1} decisions"
    ) as told:
        api.train("Pendulum-v1", "qc", run=tmp_path / "run", **{"agent.chunk.length": length, "env.repeat": repeat})
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run").exists()
