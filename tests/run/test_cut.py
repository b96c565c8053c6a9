"""Runs whose environment cannot give its state, or fails: what they go on from, and what is closed."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from softrl import api
from softrl.data.episodes import Ranked
from softrl.data.priority import Recency
from softrl.errors import UserError
from softrl.run import saved
from softrl.run.trainer import Trainer

SHORT = {
    "steps": 30,
    "eval.every": 30,
    "eval.episodes": 1,
    "video.every": "never",
    "threads": 1,
    "train.warmup": 0,
    "train.batch": 8,
    "train.updates_per_decision": 1,  # at the first decision at once
}


class Opaque(gymnasium.Env[Any, Any]):
    """Nine-step episodes with a seeded start, and an attribute that cannot be read."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self) -> None:
        self.hidden = iter(range(3))

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.start, self.time = self.np_random.normal(), 0
        return self.seen(), {}

    def seen(self) -> np.ndarray:
        return np.array([self.start, self.time], np.float32)

    def step(self, action: Any) -> Any:
        self.time += 1
        return self.seen(), float(action[0]), False, self.time == 9, {}


def train(path: Path, env: Any, recipe: str = "sac+tiny", **options: Any) -> api.RunResult:
    return api.train(env, recipe, run=path, **{**SHORT, **options})


class Killed(BaseException):
    """What no handler of ours catches."""


@contextmanager
def seconds(limit: int) -> Iterator[None]:
    """Fail rather than wait for ever."""

    def late(number: int, frame: Any) -> None:
        raise TimeoutError(f"not done after {limit} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(limit)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("sac+tiny", {}),
        ("sac+per+tiny", {}),
        pytest.param("sac+tiny", {"collect": "async", "env.workers": "sync"}, marks=pytest.mark.slow),
        pytest.param("sac+tiny", {"replay.sampler": Recency(least=1)}, marks=pytest.mark.slow),
    ],
    ids=["uniform", "priorities", "async", "recency"],
)
def test_a_run_killed_in_its_first_evaluation_is_resumed(
    recipe: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first row is a final observation and its second has no outcome yet: no window starts there."""

    def die(self: Trainer) -> None:
        raise Killed

    path = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "evaluate", die)
        with pytest.raises(Killed):
            train(path, Opaque, recipe, **options)
    assert saved.available(path) == [0]
    with seconds(60):
        assert api.resume(path, env=Opaque).finished
    assert saved.available(path) == [0, 30]


def test_an_episode_that_a_resume_cut_is_never_one_of_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = train(tmp_path / "run", Opaque, "bc_best+tiny", **{"steps": 12}).path
    cut: list[list[bool]] = []
    monkeypatch.setattr(Ranked, "cut", lambda self, envs: cut.append(envs.tolist()))
    api.resume(path, steps=20, env=Opaque)
    assert cut == [[True]]


class Iterating(Opaque):
    """Answers what no checkpoint can hold."""

    def snapshot(self) -> dict[str, Any]:
        return {"left": {"over": self.hidden}}

    def restore(self, state: dict[str, Any]) -> None:
        raise AssertionError("never called")


@pytest.mark.parametrize("workers", ["sync", pytest.param("async", marks=pytest.mark.slow)])
def test_an_answer_that_cannot_be_saved_is_refused_before_there_is_a_run(tmp_path: Path, workers: str) -> None:
    with pytest.raises(UserError) as told:
        train(tmp_path / "run", Iterating, **{"env.workers": workers})
    sentence = r"Iterating.snapshot() holds a range_iterator at 'left/over': return arrays and plain values"
    assert str(told.value) == sentence
    assert list(tmp_path.iterdir()) == []


class Fragile(Opaque):
    """Breaks at its twelfth step as it is told to, and notes when it is closed."""

    fault = ""
    noted: list[int]

    def __init__(self) -> None:
        super().__init__()
        self.life = 0

    def step(self, action: Any) -> Any:
        self.life += 1
        obs, *others = super().step(action)
        if self.life == 12 and self.fault == "raise":
            raise ValueError("stuck")
        return obs * np.nan if self.life == 12 and self.fault == "nan" else obs, *others

    def close(self) -> None:
        self.noted.append(self.life)


@pytest.mark.parametrize("fault", ["raise", "nan"])
def test_environments_are_closed_after_a_failure(tmp_path: Path, fault: str) -> None:
    env = type("Fragile", (Fragile,), {"fault": fault, "noted": []})
    with pytest.raises(UserError, match=r"stuck \(test_cut\.py:\d+\)|not finite") as told:
        train(tmp_path / "run", env, **{"envs": 2, "env.workers": "sync", "eval.every": 30})
    log = (tmp_path / "run" / "log.txt").read_text()
    assert f"the run ended: {told.value}\n" in log
    assert ('raise ValueError("stuck")' in log) == (fault == "raise")
    trained_in = [life for life in env.noted if life > 9]  # an evaluation lives for one episode
    assert sorted(trained_in) == ([11, 12] if fault == "raise" else [12, 12])


class Endless(gymnasium.Env[Any, Any]):
    """Walks where it is told to and never arrives."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self) -> None:
        self.place = 0.0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.place = float(self.np_random.normal())
        return np.array([self.place], np.float32), {}

    def step(self, action: Any) -> Any:
        self.place += float(action[0])
        return np.array([self.place], np.float32), -1.0, False, False, {}


def test_evaluations_that_have_no_end_do_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_csv: Any
) -> None:
    """Also one that goes on comes to the same end, and says so once."""
    monkeypatch.setattr("softrl.run.evaluate.LONGEST", 7)
    options = {"eval.every": 10, "eval.episodes": 2}
    whole = train(tmp_path / "whole", Endless, **options).path
    part = train(tmp_path / "part", Endless, **options, callback=lambda told: told.env_steps >= 10)
    assert not part.finished
    assert api.resume(part.path, env=Endless).finished
    for run in (whole, part.path):
        assert [row["length"] for row in read_csv(run / "episodes.csv")] == ["7"] * 8
        log = (run / "log.txt").read_text()
        assert log.count("2 of 2 evaluation episodes had no end after 7 decisions and were cut there") == 1
    name = "checkpoints/step_000000030/agent.safetensors"
    assert (whole / name).read_bytes() == (part.path / name).read_bytes()
    with pytest.warns(UserWarning, match="1 of 1 evaluation episodes had no end"):
        assert api.evaluate(whole, Endless, episodes=1) == [-7.0]
