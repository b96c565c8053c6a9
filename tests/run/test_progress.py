"""What a callback is told, what it can do with it, and that it leaves the run as it was; the examples made of it."""

import json
import random
import re
import sys
import types
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import softrl
from softrl import api

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL: dict[str, Any] = {
    "steps": 80,
    "agent.actor.trunk.hidden": (16,),
    "agent.critic.trunk.hidden": (16,),
    "train.batch": 8,
    "train.warmup": 20,
    "eval.every": 40,
    "eval.episodes": 1,
    "log.every": 40,
    "log.diagnostics": None,
    "env.time_limit": 20,
    "video.every": "never",
    "threads": 1,
}


class Named(gymnasium.Env[Any, Any]):
    """Observations in a Dict."""

    observation_space = gymnasium.spaces.Dict(
        {"a": gymnasium.spaces.Box(-1, 1, (2,)), "b": gymnasium.spaces.Discrete(3)}
    )
    action_space = gymnasium.spaces.Box(-3.0, 5.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        return self.observation_space.sample(), 0.0, False, False, {}


@pytest.mark.parametrize("callback", [[print], object()])
def test_a_callback_that_cannot_be_called_is_refused_before_there_is_a_folder(tmp_path: Path, callback: Any) -> None:
    refused = rf"callback is a {type(callback).__name__}, which cannot be called: give one function"
    with pytest.raises(softrl.UserError, match=refused):
        api.train("Pendulum-v1", run=tmp_path / "run", callback=callback, **SMALL)
    assert not list(tmp_path.iterdir())
    with pytest.raises(softrl.UserError, match=refused):
        api.resume(tmp_path / "run", callback=callback)


def weights(path: Path) -> bytes:
    return (path / "checkpoints/step_000000080/agent.safetensors").read_bytes()


def test_a_callback_knows_the_folder_and_the_policy_and_changes_nothing(tmp_path: Path) -> None:
    """The policy that it was told of last is the one in the folder; the run is that without a callback."""
    told: list[softrl.Progress] = []
    acts: list[np.ndarray] = []

    def look(progress: softrl.Progress) -> None:
        told.append(progress)
        acts.append(progress.policy.predict(np.ones(3, np.float32))[0])
        progress.policy.predict(np.ones(3, np.float32), deterministic=False)
        random.random(), np.random.random(), torch.rand(1)

    alone = api.train("Pendulum-v1", run=tmp_path / "alone", **SMALL)
    run = api.train("Pendulum-v1", run=tmp_path / "run", callback=look, **SMALL)
    assert {progress.folder for progress in told} == {tmp_path / "run"}
    np.testing.assert_array_equal(acts[-1], softrl.load(run.path).predict(np.ones(3, np.float32))[0])
    assert not np.array_equal(acts[0], acts[-1])
    assert weights(run.path) == weights(alone.path)


def test_the_policy_takes_what_the_environment_gives(tmp_path: Path) -> None:
    def look(progress: softrl.Progress) -> bool:
        action, _ = progress.policy.predict({"a": np.zeros(2, np.float32), "b": 1})
        assert Named.action_space.contains(action)
        assert len(softrl.evaluate(progress.policy, episodes=1)) == 1  # in its own environment
        return True

    assert not api.train(Named, run=tmp_path / "run", callback=look, **SMALL).finished


# ---------------------------------------------------------------- examples


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Imports an example whose runs are small and lie in a temporary place."""
    train = api.train
    monkeypatch.setattr(api, "train", lambda *args, **options: train(*args, **{**options, **SMALL}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    for name in ("wandb", "optuna"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    return import_module


def test_tracking(example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[tuple[int, dict[str, float]]] = []
    ends: list[str] = []
    opened: list[dict[str, Any]] = []

    class Run:
        def log(self, values: dict[str, float], step: int) -> None:
            logged.append((step, values))

        def log_artifact(self, path: str, name: str, type: str) -> None:
            ends.append(Path(path).name)

        def finish(self) -> None:
            ends.append("finished")

    fake = types.ModuleType("wandb")
    fake.init = lambda **given: opened.append(given) or Run()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    example("track").main()
    [given] = opened
    assert given["config"]["train"]["batch"] == 8
    assert ends == ["checkpoints", "finished"]
    assert [step for step, values in logged if "eval/mean_reward" in values] == [0, 40, 80]
    assert any("train/critic_loss" in values for _, values in logged)


@pytest.mark.slow
def test_tracking_without_wandb(example: Any, capsys: pytest.CaptureFixture[str]) -> None:
    example("track").main()
    assert "wandb is not installed" in capsys.readouterr().out


class Trial:
    """As Optuna has them."""

    def __init__(self, prunes: bool) -> None:
        self.prunes = prunes
        self.reports: list[tuple[float, int]] = []

    def suggest_float(self, name: str, low: float, high: float, log: bool = False) -> float:
        return low

    def report(self, value: float, step: int) -> None:
        self.reports.append((value, step))

    def should_prune(self) -> bool:
        return self.prunes


class PrunedError(Exception):
    pass


def test_a_search_is_told_of_returns_of_zero_and_tells_a_signal_from_its_own_end(
    example: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a comparison is none where a run of it was stopped."""

    def ends(callback: Any = None, **_: Any) -> Any:
        if callback:
            callback(types.SimpleNamespace(values={"eval/mean_reward": 0.0}, env_steps=40))
        return types.SimpleNamespace(path=Path("run"), finished=False, last=0.0)

    monkeypatch.setattr(api, "train", lambda env, **options: ends(**options))
    for prunes, raised in ((True, PrunedError), (False, KeyboardInterrupt)):
        trial = Trial(prunes)
        with pytest.raises(raised):
            example("tune").trained(trial, "Pendulum-v1", 80, PrunedError)
        assert trial.reports == [(0.0, 40)]
    with pytest.raises(SystemExit, match="stopped in run: nothing is compared"):
        example("compare").main()


@pytest.mark.slow
def test_tuning_at_random(example: Any, capsys: pytest.CaptureFixture[str]) -> None:
    example("tune").main(trials=2)
    out = capsys.readouterr().out
    assert len(re.findall(r"^-[\d.]+ 80$", out, re.MULTILINE)) == 2
    rates = [json.loads(path.read_text())["agent"]["lookahead"]["tau"] for path in Path("runs").rglob("config.json")]
    assert len(set(rates)) == 2  # training does not seed what draws the trials
    assert "best: -" in out


def test_tuning_with_optuna(example: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The second trial is pruned at its first evaluation."""
    values: list[float] = []
    trials = [Trial(prunes=False), Trial(prunes=True)]
    fake = types.ModuleType("optuna")

    class Study:
        best_params = "chosen"

        @property
        def best_value(self) -> float:
            return max(values)

        def optimize(self, objective: Any, n_trials: int) -> None:
            for trial in trials[:n_trials]:
                try:
                    values.append(objective(trial))
                except PrunedError:
                    continue

    fake.create_study = lambda direction: Study()  # type: ignore[attr-defined]
    fake.TrialPruned = PrunedError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "optuna", fake)
    example("tune").main(trials=2)
    assert [[step for _, step in trial.reports] for trial in trials] == [[0, 40, 80], [0]]
    assert len(values) == 1
    assert "chosen" in capsys.readouterr().out


def test_a_callback_that_stops_a_run_at_once_is_told(tmp_path: Path) -> None:
    with pytest.warns(softrl.Caution, match="returned True when it was first asked"):
        result = api.train("Pendulum-v1", run=tmp_path / "run", callback=lambda told: True, **SMALL)
    assert not result.finished
