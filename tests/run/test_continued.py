"""Clocks and seeds of a run over all processes that worked on it."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gymnasium.envs.classic_control import PendulumEnv

from softrl import api
from softrl.run import trainer as training
from softrl.run.evaluate import Evaluation, evaluate
from softrl.run.progress import Progress
from softrl.run.seed import evaluation_seed

SHORT = {
    "eval.every": 10,
    "eval.episodes": 2,
    "env.time_limit": 5,
    "video.every": "never",
    "log.every": 1000,
    "train.warmup": 1000,
    "threads": 1,
}
ReadCSV = Callable[[Path], list[dict[str, str]]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the trainer takes for the time, which stands still."""
    now = SimpleNamespace(seconds=50.0)
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: now.seconds))
    monkeypatch.setattr(api, "curve", lambda path: None)  # which takes longer than all the rest
    return now


def waiting(clock: SimpleNamespace) -> Callable[[Progress], None]:
    """Let ten seconds pass at every evaluation."""

    def wait(told: Progress) -> None:
        clock.seconds += 10

    return wait


def test_seconds_are_those_of_all_processes_without_the_time_between(
    tmp_path: Path, clock: SimpleNamespace, read_csv: ReadCSV
) -> None:
    wait, path = waiting(clock), tmp_path / "run"
    api.train("Pendulum-v1", "sac+tiny", run=path, steps=20, callback=wait, **SHORT)
    clock.seconds += 1e6
    api.resume(path, steps=40, callback=wait)
    assert [float(row["seconds"]) for row in read_csv(path / "eval.csv")] == [0, 10, 20, 30, 40]


def test_a_resume_knows_that_the_minutes_are_over(
    tmp_path: Path, clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    api.train("Pendulum-v1", "sac+tiny", run=path, steps=1000, minutes=0.5, callback=waiting(clock), **SHORT)
    clock.seconds += 1e6
    assert api.resume(path, quiet=False).finished
    assert "its 0.5 minutes are over" in capsys.readouterr().out


def test_a_run_that_was_stopped_is_not_finished_though_its_minutes_end_while_it_is_saved(
    tmp_path: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = training.Trainer.save

    def slow(trainer: Any) -> None:
        save(trainer)
        clock.seconds += 1e6 * (trainer.count.env_steps > 0)

    monkeypatch.setattr(training.Trainer, "save", slow)
    stop: Any = lambda told: told.env_steps > 0  # noqa: E731
    run: Any = {"run": tmp_path / "run", "steps": 1000, "minutes": 500, "callback": stop}
    assert not api.train("Pendulum-v1", "sac+tiny", **run, **{**SHORT, "checkpoint.every": 1000}).finished


def test_every_evaluation_has_seeds_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []

    def remembered(agent: Any, env: Any, seeds: list[int], **more: Any) -> Evaluation:
        seen.append(seeds)
        return evaluate(agent, env, seeds, **more)

    monkeypatch.setattr(training, "evaluate", remembered)
    monkeypatch.setattr(api, "curve", lambda path: None)
    api.train("Pendulum-v1", "sac+tiny", seed=3, run=tmp_path / "run", steps=20, **SHORT)
    assert seen == [[evaluation_seed(3, step, i) for i in range(2)] for step in (0, 10, 20)]


class Rolling(PendulumEnv):
    """Draws from the process while it is made and while it runs."""

    def __init__(self) -> None:
        super().__init__()
        np.random.rand()

    def step(self, action: Any) -> Any:
        seen, reward, *more = super().step(action)
        return seen, float(reward) + np.random.rand(), *more


def test_evaluations_draw_nothing_from_training_whatever_environments_do(tmp_path: Path) -> None:
    def returns(episodes: int) -> list[list[str]]:
        path = tmp_path / str(episodes)
        limits = {"env.time_limit": 10, "env.workers": "sync", "eval.episodes": episodes}
        api.train(Rolling, "sac+tiny", seed=3, run=path, steps=40, **{**SHORT, **limits})
        return [line.split(",")[:4] for line in (path / "train.csv").read_text().splitlines()]

    assert returns(1) == returns(3)


def test_metrics_behind_the_last_multiple_are_written_at_the_end_and_kept_for_a_run_that_is_extended(
    tmp_path: Path,
) -> None:
    def begun(name: str, steps: int) -> Path:
        often = {"train.warmup": 5, "log.every": 17}
        return api.train("Pendulum-v1", "sac+tiny", run=tmp_path / name, **{**SHORT, **often, "steps": steps}).path

    def trained(path: Path) -> dict[int, float]:
        lines = map(json.loads, (path / "metrics.jsonl").read_text().splitlines())
        return {line["env_steps"]: line["train/critic_loss"] for line in lines if "train/critic_loss" in line}

    whole, cut = begun("whole", 35), begun("cut", 20)
    assert list(trained(cut)) == [17, 20]
    assert api.resume(cut).finished  # at its end there is nothing to write
    assert list(trained(cut)) == [17, 20]
    api.resume(cut, steps=35)
    assert list(trained(whole)) == [17, 34, 35]
    assert trained(whole) == {step: loss for step, loss in trained(cut).items() if step != 20}
