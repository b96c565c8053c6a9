"""What real runs write: the figures of the console, the learning rate, the share of successes."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from softrl import api
from softrl.agent.schedule import LinearDecay
from softrl.run.console import FIGURES, Plain, Quiet

SMALL: dict[str, Any] = {
    "train.warmup": 20,
    "train.batch": 4,
    "eval.every": 60,
    "eval.episodes": 1,
    "log.every": 30,
    "log.diagnostics": None,
    "video.every": "never",
    "threads": 1,
}


class Coin(gymnasium.Env[Any, Any]):
    """Episodes of five steps, whose picture is black and whose success is every second one's."""

    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    observation_space = gymnasium.spaces.Box(0, 255, (16, 16, 3), np.uint8)
    name = "success"

    def __init__(self) -> None:
        self.time, self.episode = 0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.time, self.episode = 0, self.episode + 1
        return np.zeros((16, 16, 3), np.uint8), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        won = {self.name: bool(self.episode % 2)} if self.time == 5 else {}
        return np.zeros((16, 16, 3), np.uint8), 1.0, self.time == 5, False, won


class Named(Coin):
    name = "is_success"
    observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset()
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        return np.zeros(1, np.float32), *super().step(action)[1:]


def scalars(folder: Path) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        for tag, value in json.loads(line).items():
            found.setdefault(tag, []).append(value)
    return found


class Recorder(Quiet):
    """What the trainer tells a console."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.episodes: list[tuple[int, float]] = []
        self.figures: dict[str, float] = {}
        self.evaluations: list[int] = []

    def progress(self, env_steps: int) -> None:
        self.steps.append(env_steps)

    def episode(self, number: int, episode_return: float, seconds: float) -> None:
        assert seconds >= 0
        self.episodes.append((number, episode_return))

    def learned(self, values: Mapping[str, float]) -> None:
        self.figures |= values

    def evaluation(self, env_steps: int, return_mean: float) -> None:
        self.evaluations.append(env_steps)


def test_the_trainer_tells_the_console_all_that_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Episodes of five steps, each of reward 1, in 30 steps: with a reset after each, which is none, six end."""
    recorder = Recorder()
    monkeypatch.setattr(api, "open_console", lambda *_: recorder)
    own = {"env.pixels.size": 16, "env.pixels.stack": 1, "env.workers": "sync", "train.updates_per_decision": 0.2}
    api.train(Coin, "sac_ae+tiny", steps=30, run=tmp_path / "run", collect="sync", **{**SMALL, **own, "eval.every": 15})
    assert recorder.steps == sorted(recorder.steps)
    assert recorder.steps[-1] == 30
    assert recorder.episodes == [(number, 5.0) for number in range(1, 7)]
    assert recorder.evaluations == [0, 15, 30]
    assert recorder.figures.keys() >= FIGURES.keys()


def test_a_run_from_pixels_fills_all_figures_of_the_console(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every reward is 1; a picture that is black, in five dithered bits, is never met exactly."""
    monkeypatch.setattr(api, "open_console", lambda total, *_: Plain(total, seconds=0.0))
    own = {"env.pixels.size": 16, "env.pixels.stack": 1, "env.workers": "sync", "train.updates_per_decision": 0.2}
    run = api.train(Coin, "sac_ae+tiny", steps=60, run=tmp_path / "run", quiet=False, **SMALL, **own)
    tags = scalars(run.path)
    assert tags["train/batch_reward"] == pytest.approx([1.0] * len(tags["train/batch_reward"]))
    assert min(tags["train/reconstruction_loss"]) > 0
    assert min(tags["train/critic_loss"]) > 0
    assert all(np.isfinite(tags["train/actor_loss"]))
    assert 0 not in tags["train/actor_loss"]
    [*_, line] = [line for line in capsys.readouterr().out.splitlines() if "  episode " in line]
    assert line.startswith("60/60 steps")
    for tag, name in FIGURES.items():
        assert any(f"  {name} {value:.4g}  " in line for value in tags[tag]), name
    # ten episodes by frame 60, with a reset after each: the odd ones win
    assert tags["rollout/success_rate"][-1] == pytest.approx(0.5, abs=0.1)


def test_the_console_is_told_when_minutes_end_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour, of which a run of five steps takes next to nothing, and of two hours what a resume has left."""
    told: list[float] = []

    def console(*arguments: Any) -> Recorder:
        told.append(arguments[-1])
        return Recorder()

    monkeypatch.setattr(api, "open_console", console)
    api.train("Pendulum-v1", "sac", steps=5, run=tmp_path / "none", **SMALL)
    api.train("Pendulum-v1", "sac", steps=5, minutes=60.0, run=tmp_path / "run", **SMALL)
    api.resume(tmp_path / "run", steps=10, minutes=120.0)
    assert told[0] == math.inf
    assert 3500.0 < told[1] <= 3600.0
    assert 7100.0 < told[2] <= 7200.0 - 0.001  # the seconds so far count


def test_the_learning_rate_and_successes_of_a_run(tmp_path: Path) -> None:
    """From 0.01 to a tenth in 20 updates: after 10 it is halfway, 0.0055."""
    decay: dict[str, Any] = {
        "agent.optim.value.learning_rate": 0.01,
        "agent.optim.value.schedule": LinearDecay(0.1, 20),
    }
    decay |= {"train.updates_per_decision": 0.25}
    run = api.train(Named, "sac+tiny", steps=60, run=tmp_path / "run", **{**SMALL, **decay})
    tags = scalars(run.path)
    updates, rates = tags["train/n_updates"], tags["train/learning_rate"]
    assert rates == pytest.approx([0.01 * (1 - 0.9 * min(1, n / 20)) for n in updates])
    assert 0 < updates[-1] < 20
    assert 0.4 <= tags["rollout/success_rate"][-1] <= 0.6
