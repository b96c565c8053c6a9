"""benchmarks/reliability.py: statistics by hand, both ways from the same state, and a run end to end."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from softrl import api
from softrl.data import envs
from softrl.errors import UserError

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import reliability
from reliability import Gain


def test_statistics_by_hand() -> None:
    pairs = np.array([[0.9, 1.0], [0.8, -1.0], [0.6, 0.0], [0.2, -2.0]])
    assert reliability.no_worse(pairs) == 0.5
    assert reliability.mean_gain(pairs) == -0.5
    assert reliability.told_apart(pairs) == 0.75  # 0.9 is above both that lose, 0.6 above one of them
    assert reliability.told_apart(np.array([[0.5, 1.0], [0.5, -1.0]])) == 0.5
    assert np.isnan(reliability.told_apart(np.array([[0.5, 1.0]])))


def test_a_summary_by_hand() -> None:
    gains = [
        Gain("task", 1, 0, step, action, confidence, gain)
        for step, plan in enumerate([[(0.1, -3.0), (0.9, 1.0)], [(0.2, -1.0), (1.0, 5.0)]])
        for action, (confidence, gain) in enumerate(plan, 2)
    ]
    found = {(line["where"], line["of"]): line for line in reliability.summary(gains)}
    assert found["confidence 0 to 0.25", "gain"]["value"] == -2.0
    assert (found["confidence 0 to 0.25", "gain"]["low"], found["confidence 0 to 0.25", "gain"]["high"]) == (-3.0, -1.0)
    assert found["confidence 0.75 to 1", "share no worse"]["value"] == 1.0
    assert found["confidence 0.75 to 1", "share no worse"]["actions"] == 2  # that of certainty is in the last interval
    assert found["confidence 0.25 to 0.5", "gain"]["actions"] == 0
    assert found["all", "told apart"]["value"] == 1.0
    assert found["all", "gain"]["value"] == 0.5


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "qc_adaptive" / "seed1"
    api.train("Pendulum-v1", recipe="qc_adaptive+tiny", steps=300, seed=1, run=folder, **{"agent.chunk.length": 3})
    return folder


def test_beginnings_part_where_one_ends_and_the_environment_stays(run: Path) -> None:
    """A whole horizon of planned actions is that of the plan: what is left of it counts for nothing else."""
    policy = api.load(run)
    env = envs.make("Pendulum-v1", policy.run.env)
    observation, _ = env.reset(seed=0)
    confidences, returns = reliability.both_ways(policy.agent, env, observation, 1)
    assert len(confidences) == 2
    assert len(set(returns)) == 1  # all beginnings share the first action
    confidences, returns = reliability.both_ways(policy.agent, env, observation, 3)
    assert len(set(returns)) == 3
    before = env.unwrapped.state.copy()  # type: ignore[attr-defined]
    reliability.both_ways(policy.agent, env, observation, 9)
    assert np.array_equal(env.unwrapped.state, before)  # type: ignore[attr-defined]


def test_gains_of_a_run_are_kept_and_summed_up(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reliability, "RESULTS", tmp_path)
    reliability.main([str(run), "--states", "5", "--horizon", "4"])
    rows = list(csv.DictReader((tmp_path / "gains.csv").open()))
    assert len(rows) == 10
    assert {row["action"] for row in rows} == {"2", "3"}
    assert all(0 < float(row["confidence"]) < 1 for row in rows)
    summed = list(csv.DictReader((tmp_path / "summary.csv").open()))
    assert {row["task"] for row in summed} == {"Pendulum-v1"}
    assert sum(int(row["actions"]) for row in summed if row["of"] == "gain" and row["where"] != "all") == 10


def test_runs_without_confidences_are_refused(tmp_path: Path) -> None:
    api.train("Pendulum-v1", recipe="qc+tiny", steps=64, seed=1, run=tmp_path / "qc")
    with pytest.raises(UserError, match="no confidences"):
        reliability.judged(tmp_path / "qc", 1, 1)
