"""What ends a run that cannot go on, and what is left of it; videos; the order of the clocks."""

import errno
import os
import signal
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest

from softrl import api
from softrl.agent.agent import Agent
from softrl.agent.plasticity import ReDo
from softrl.data import graphics
from softrl.errors import UserError
from softrl.run import files, saved, trainer as training
from softrl.run.console import Quiet
from softrl.run.counters import Counters
from softrl.run.trainer import Trainer
from softrl.types import Window

SHORT = {
    "steps": 300,
    "eval.every": 100,
    "eval.episodes": 1,
    "video.every": "never",
    "threads": 1,
    "train.warmup": 50,
    "train.updates_per_decision": 0.2,
}


class Fragile(gymnasium.Env[Any, Any]):
    """Ten-step episodes; at step 150 of its life it breaks in the way that it was told to."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    fault = ""  # of the class, and so no part of the state that a resume brings back

    def __init__(self) -> None:
        self.life, self.time = 0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self.life, self.time = self.life + 1, self.time + 1
        broken = self.life == 150
        if broken and self.fault == "raise":
            raise ValueError("the gripper is stuck")
        if broken and self.fault == "die":
            os._exit(1)
        reward = np.inf if broken and self.fault == "infinite" else float(action[0])
        obs = np.full(2, np.nan if broken and self.fault == "nan" else self.time, np.float32)
        return obs, reward, False, self.time == 10, {}


def broken(fault: str) -> type[Fragile]:
    return type("Fragile", (Fragile,), {"fault": fault})


def train(path: Path, env: Any, **options: Any) -> api.RunResult:
    return api.train(env, "sac+tiny", run=path, **{**SHORT, **options})


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("nan", "observation that is not finite"),
        pytest.param("infinite", "reward that is not finite", marks=pytest.mark.slow),
        ("raise", "the gripper is stuck"),
    ],
)
def test_a_failing_environment_ends_the_run_and_its_checkpoints_stay(tmp_path: Path, fault: str, words: str) -> None:
    path = tmp_path / "run"
    with pytest.raises(UserError, match=words):
        train(path, broken(fault))
    assert saved.available(path) == [0, 100]
    assert api.load(path, env=Fragile).predict(np.zeros(2))[0].shape == (1,)
    assert api.resume(path, env=Fragile).finished  # once the environment is mended


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_run_and_its_checkpoints_stay(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(UserError, match="process of the environment died"):
        train(path, broken("die"), **{"env.workers": "async"})
    assert saved.available(path) == [0, 100]
    assert api.resume(path, env=Fragile).finished


def test_a_full_disk_ends_the_run_and_its_checkpoints_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run"
    write = files.write_durably

    def full(target: Path, data: bytes) -> None:
        if "step_000000200" in str(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(target, data)

    monkeypatch.setattr(saved, "write_durably", full)
    with pytest.raises(UserError, match="the disk is full: nothing was lost"):
        train(path, "Pendulum-v1")
    assert saved.available(path) == [0, 100]
    monkeypatch.undo()
    assert api.resume(path).finished


def test_a_torn_checkpoint_is_refused_and_the_one_before_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    train(path, "Pendulum-v1")
    weights = path / "checkpoints" / "step_000000300" / "agent.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-10])
    assert api.resume(path, quiet=False).finished
    assert "step_000000300" in capsys.readouterr().out
    assert "step_000000300" in (path / "log.txt").read_text()
    assert weights.read_bytes() == whole  # and the lost part was run again to the same end


@pytest.mark.slow
def test_without_opengl_auto_goes_without_a_video_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphics, "missing", lambda: "rendering needs OpenGL")
    result = train(tmp_path / "run", "cartpole_swingup", **{"video.every": "auto", "env.time_limit": 50, "steps": 100})
    assert result.finished
    assert "no video: rendering needs OpenGL" in (result.path / "log.txt").read_text()


def test_without_opengl_a_video_that_was_asked_for_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphics, "missing", lambda: "rendering needs OpenGL")
    with pytest.raises(UserError, match="rendering needs OpenGL"):
        train(tmp_path / "run", "cheetah_run", **{"video.every": 100})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(graphics.missing() is not None, reason="no OpenGL library")
def test_videos_show_whole_evaluation_episodes(tmp_path: Path) -> None:
    import av

    options = {"video.every": 200, "video.size": 64, "env.repeat": 10, "env.time_limit": 100}
    result = train(tmp_path / "run", "cartpole_swingup", **options)
    videos = sorted(path.name for path in (result.path / "videos").iterdir())
    assert videos == ["0.mp4", "200.mp4", "300.mp4"]
    with av.open(str(result.path / "videos" / "200.mp4")) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(pictures) == 11  # ten decisions and the picture before them
    assert pictures[0].shape == (64, 64, 3)
    assert pictures[0].std() > 10  # something is to be seen
    assert not np.array_equal(pictures[0], pictures[-1])


def test_a_run_ends_when_its_minutes_are_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "seconds", lambda self: self.count.env_steps / 2)
    result = api.train("Pendulum-v1", "sac+tiny", steps=10**6, run=tmp_path / "run", minutes=1)
    assert result.finished
    rows = (tmp_path / "run" / "eval.csv").read_text().splitlines()
    last = dict(zip(rows[0].split(","), rows[-1].split(","), strict=True))
    assert (last["env_steps"], last["seconds"]) == ("120", "60.0")
    assert (tmp_path / "run" / "checkpoints" / f"step_{int(last['env_steps']):09d}").is_dir()


def weights(path: Path, step: int = 80) -> bytes:
    return (path / "checkpoints" / f"step_{step:09d}" / "agent.safetensors").read_bytes()


@pytest.mark.slow
def test_updates_that_share_a_launch_are_the_same_updates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With flags, a fraction that is saved up, and looks at the networks in between."""
    options = {"steps": 80, "train.updates_per_decision": 4.25, "train.actor_every": 2, "log.diagnostics": 50}
    train(tmp_path / "alone", "Pendulum-v1", **options)
    sizes: list[int] = []
    update = Trainer.update

    def counted(self: Trainer, count: int = 1) -> None:
        sizes.append(count)
        update(self, count)

    monkeypatch.setattr(Trainer, "update", counted)
    monkeypatch.setattr(training, "updates_per_launch", lambda run, replay: 4)
    train(tmp_path / "together", "Pendulum-v1", **options)
    assert set(sizes) == {1, 2, 4}
    assert sizes.count(4) > 10
    assert weights(tmp_path / "together") == weights(tmp_path / "alone")


def test_a_reset_that_falls_on_a_checkpoint_comes_once_and_after_it(tmp_path: Path) -> None:
    """Fifty updates are made at frame 100, a hundred at 200."""
    options = {**SHORT, "train.updates_per_decision": 1.0}
    plain = api.train("Pendulum-v1", "sac+tiny", run=tmp_path / "plain", **{**options, "steps": 200}).path
    options["agent.plasticity.every"] = 50
    whole = api.train("Pendulum-v1", "resets+tiny", run=tmp_path / "whole", **{**options, "steps": 200}).path
    parts = api.train("Pendulum-v1", "resets+tiny", run=tmp_path / "parts", **{**options, "steps": 100}).path
    assert weights(whole, 100) == weights(plain, 100) == weights(parts, 100)
    assert weights(whole, 200) != weights(plain, 200)
    api.resume(parts, steps=200)
    assert weights(parts, 200) == weights(whole, 200)


def test_diagnostics_look_before_an_intervention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    launch = Trainer.launch_updates

    def learn(self: Trainer, window: Window, count: int) -> None:
        told.append("learned")
        launch(self, window, count)

    def look(agent: Agent, window: Window) -> dict[str, Any]:
        told.append("looked")
        return {}

    monkeypatch.setattr(Trainer, "launch_updates", learn)
    monkeypatch.setattr(training, "diagnose", look)
    monkeypatch.setattr(ReDo, "intervene", lambda self, agent, window, n: told.append(n))
    options = {"steps": 54, "train.updates_per_decision": 1.0, "log.diagnostics": 2}
    api.train("Pendulum-v1", "redo+tiny", run=tmp_path / "run", **{**SHORT, **options})
    assert told == ["learned", 1, "learned", "looked", 2, "learned", 3, "learned", "looked"]


@pytest.mark.slow
def test_targets_outside_the_support_are_told_once(tmp_path: Path) -> None:
    options = {"agent.critic.head.low": -0.01, "agent.critic.head.high": 0.01, "log.every": 50}
    path = api.train("Pendulum-v1", "c51+tiny", run=tmp_path / "run", **{**SHORT, **options}).path
    told = [line for line in (path / "log.txt").read_text().splitlines() if "lie outside the critic's support" in line]
    assert len(told) == 1
    assert "widen agent.critic.head.low, .high" in told[0]


@pytest.mark.skipif(graphics.missing() is not None, reason="no OpenGL library")
@pytest.mark.slow
def test_a_run_that_its_minutes_end_has_a_video_of_its_last_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "seconds", lambda self: self.count.env_steps)
    options = {"video.every": "auto", "video.size": 32, "env.time_limit": 20, "steps": 10**6, "minutes": 1}
    path = train(tmp_path / "run", "cartpole_swingup", **options).path
    assert [video.name for video in (path / "videos").iterdir()] == ["60.mp4"]


class Killed(BaseException):
    """What no handler of ours catches."""


@pytest.mark.slow
def test_a_run_that_dies_in_its_first_evaluation_comes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: Trainer) -> None:
        raise Killed

    train(tmp_path / "whole", "Pendulum-v1")
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "evaluate", die)
        with pytest.raises(Killed):
            train(tmp_path / "run", "Pendulum-v1")
    assert api.resume(tmp_path / "run").finished
    name = "checkpoints/step_000000300/agent.safetensors"
    assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert (tmp_path / "run" / "eval.csv").read_text().count("\n") == 5  # a head, and evaluations at 0, 100, 200, 300


def test_a_run_that_its_minutes_ended_gets_no_second_row_when_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "seconds", lambda self: self.count.env_steps / 2)
    path = train(tmp_path / "run", "Pendulum-v1", steps=10**6, minutes=1).path
    kept = [path / name for name in ("eval.csv", "episodes.csv", "metrics.jsonl")]
    before = [file.read_text() for file in kept]
    assert api.resume(path).finished
    assert [file.read_text() for file in kept] == before


class Uneven(Fragile):
    """Every other one that is made has episodes of 25 steps."""

    made = count()

    def __init__(self) -> None:
        super().__init__()
        self.length = (10, 25)[next(self.made) % 2]

    def step(self, action: Any) -> Any:
        obs, reward, terminated, _, info = super().step(action)
        return obs, reward, terminated, self.time == self.length, info


def test_each_episode_has_a_duration_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame takes a second here; of two environments one is done after 10 steps, the other after 25."""
    told: list[float] = []

    class Listening(Quiet):
        def episode(self, number: int, episode_return: float, seconds: float) -> None:
            told.append(seconds)

    monkeypatch.setattr(Trainer, "seconds", lambda self: float(self.count.env_steps))
    monkeypatch.setattr(api, "open_console", lambda *_: Listening())
    options = {"envs": 2, "env.workers": "sync", "steps": 50, "eval.every": 50}
    path = train(tmp_path / "run", Uneven, **options).path
    # 20 frames; 21, one of them while it was reset; 48 of the slow one
    assert told == [20.0, 21.0, 48.0]
    api.resume(path, steps=60, env=Uneven)
    assert told[3:] == [10.0]  # of the 20 frames of an episode, those since the resume


def test_counters_of_an_earlier_version_are_read() -> None:
    state = Counters(env_steps=7, best=2.0).state_dict()
    del state["last"]
    count = Counters()
    count.load_state_dict(state)
    assert (count.env_steps, count.best, count.last) == (7, 2.0, None)


class Painted(Fragile):
    """Its pictures have an alpha channel."""

    render_mode = "rgb_array"
    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": None}

    def render(self) -> Any:
        return np.zeros((32, 32, 4), np.uint8)


def test_pictures_that_are_none_cost_the_video_and_not_the_run(tmp_path: Path) -> None:
    path = train(tmp_path / "run", Painted, **{"video.every": "auto", "steps": 100}).path
    assert "no video: the environment's render() gave ndarray [32, 32, 4] of uint8" in (path / "log.txt").read_text()
    with pytest.raises(UserError, match=r"render\(\) gave"):
        train(tmp_path / "asked", Painted, **{"video.every": 100, "steps": 100})


def test_the_last_save_hears_signals_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handlers, save = [], Trainer.save

    def watched(self: Trainer) -> None:
        handlers.append(signal.getsignal(signal.SIGTERM))
        save(self)

    monkeypatch.setattr(Trainer, "save", watched)
    train(tmp_path / "run", "Pendulum-v1", steps=60)
    assert handlers[-1] not in (signal.SIG_DFL, None)
