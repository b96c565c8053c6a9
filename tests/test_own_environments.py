"""Runs in environments of a user's own: factories, classes and objects, and how a run folder remembers them."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import softrl
from softrl import api
from softrl.api import RunResult
from softrl.data.names import GEARS
from softrl.errors import UserError
from softrl.run.checks import checked
from softrl.run.config import Run
from softrl.run.fields import override

Trained = Callable[..., RunResult]
ReadCSV = Callable[[Path], list[dict[str, str]]]


@pytest.mark.parametrize("source", [lambda: gymnasium.make("Pendulum-v1"), gymnasium.make("Pendulum-v1")])
def test_factories_and_objects(trained: Trained, tmp_path: Path, source: Any) -> None:
    result = trained(tmp_path / "run", source, steps=120)
    assert result.finished
    assert softrl.evaluate(softrl.load(result.path, env=source), source, episodes=1)


def test_a_run_in_an_object_that_its_id_tells_is_resumed_by_name(
    trained: Trained, read_csv: ReadCSV, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "curve", lambda path: None)
    options = {"steps": 90, "eval.episodes": 1}
    run = trained(tmp_path / "run", gymnasium.make("Pendulum-v1"), **options).path
    whole = trained(tmp_path / "whole", "Pendulum-v1", **{**options, "steps": 120}).path
    assert softrl.resume(run, steps=120).finished
    assert read_csv(run / "train.csv")[-1]["return"] == read_csv(whole / "train.csv")[-1]["return"]
    assert "cannot give its state" not in (run / "log.txt").read_text()


def test_the_page_says_how_to_train_act_evaluate_and_go_on(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).parents[1] / "docs" / "environments.md"
    [code] = re.findall(r"^```python\n(.+?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    monkeypatch.setattr(softrl, "train", partial(trained, tmp_path / "run"), raising=False)
    monkeypatch.setattr(api, "curve", lambda path: None)
    exec(code.replace("100_000", "60").replace("200_000", "90"), {"MyEnv": partial(gymnasium.make, "Pendulum-v1")})
    assert "[-" in capsys.readouterr().out  # returns of Pendulum
    assert json.loads((tmp_path / "run" / "config.json").read_text())["steps"] == 90


class Arm(gymnasium.Env[Any, Any]):
    """An environment of a user's own that shows a Dict."""

    observation_space = gymnasium.spaces.Dict(
        angle=gymnasium.spaces.Box(-1.0, 1.0, (2,)), mode=gymnasium.spaces.Discrete(3)
    )
    action_space = gymnasium.spaces.Box(np.array([0.0, -3.0]), np.array([5.0, 1.0]), dtype=np.float64)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(int(self.np_random.integers(1 << 30)))
        return self.observation_space.sample(), {"tool": object()}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        return self.observation_space.sample(), -float(action[0]), False, False, {"force": lambda: action}


def test_a_run_in_an_environment_of_ones_own_asks_for_it_and_then_remembers_it(
    trained: Trained, tmp_path: Path
) -> None:
    run = trained(tmp_path / "run", Arm, steps=120).path
    for use in (softrl.evaluate, softrl.resume, softrl.play):
        with pytest.raises(UserError, match=r"environment of your own, 'Arm', .* again from Python, as env=make_env"):
            use(run)
    policy = softrl.load(run, env=Arm)
    returns = softrl.evaluate(policy, episodes=2)  # without naming the environment again
    assert returns == softrl.evaluate(run, Arm, episodes=2)
    obs, _ = Arm().reset(seed=3)
    flat, _ = softrl.make(Arm).reset(seed=3)
    np.testing.assert_array_equal(policy.predict(obs)[0], policy.predict(flat)[0])
    assert Arm.action_space.contains(policy.predict(obs)[0])
    with pytest.raises(UserError, match=r"the policy was given no observation\['mode'\]"):
        policy.predict({"angle": np.zeros(2)})
    alone = softrl.load(run)  # without the environment, from what the folder tells of it
    np.testing.assert_array_equal(alone.predict(obs)[0], policy.predict(obs)[0])
    assert Arm.action_space.contains(alone.predict(obs)[0])
    with pytest.raises(UserError, match=r"environment of your own, 'Arm', "):
        softrl.evaluate(alone)
    assert softrl.evaluate(alone, Arm, episodes=2) == returns
    (run / "spaces.json").unlink()  # as in the folders of earlier versions
    with pytest.raises(UserError, match=r"environment of your own, 'Arm', "):
        softrl.load(run)
    assert softrl.evaluate(softrl.load(run, env=Arm), episodes=2) == returns


def wrapped() -> gymnasium.Env[Any, Any]:
    return gymnasium.wrappers.TransformReward(gymnasium.make("Pendulum-v1"), lambda reward: 10 * float(reward))


def light() -> gymnasium.Env[Any, Any]:
    return gymnasium.make("Pendulum-v1", g=5.0)


@pytest.mark.parametrize("make_env", [pytest.param(light, marks=pytest.mark.slow), wrapped])
def test_a_run_in_an_object_of_ones_own_is_never_taken_for_the_registered_task(
    trained: Trained, tmp_path: Path, make_env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "curve", lambda path: None)
    run = trained(tmp_path / "run", make_env(), steps=120).path
    assert json.loads((run / "config.json").read_text())["env"]["name"] == "Pendulum-v1+own"
    for use in (softrl.evaluate, softrl.resume, softrl.play, lambda run: softrl.evaluate(softrl.load(run))):
        with pytest.raises(UserError, match=r"environment of your own, 'Pendulum-v1\+own', .* as env=make_env"):
            use(run)
    returns = softrl.evaluate(softrl.load(run, env=make_env()), episodes=2)
    assert returns != softrl.evaluate(run, "Pendulum-v1", episodes=2)
    assert softrl.resume(run, steps=150, env=make_env()).finished


def test_recipes_treat_an_object_of_ones_own_as_its_task(trained: Trained, tmp_path: Path) -> None:
    env = gymnasium.make("Swimmer-v5", frame_skip=2)
    path = trained(tmp_path / "run", env, "crossq+tiny", steps=20).path
    config = json.loads((path / "config.json").read_text())
    assert (config["env"]["name"], config["train"]["gamma"]) == ("Swimmer-v5+own", 0.9999)


@pytest.mark.usefixtures("without_opengl")
def test_videos_are_refused_before_a_run_begins_only_where_the_environment_cannot_draw() -> None:
    def asked(source: Any, name: str) -> None:
        checked(source, override(Run(), {"env.name": name, "video.every": 100}))

    asked(GEARS, GEARS)
    asked(lambda: gymnasium.make("CartPole-v1", render_mode="rgb_array"), "CartPole-v1")
    for name in ("Hopper-v5", "cartpole_swingup"):
        with pytest.raises(UserError, match="rendering needs OpenGL"):
            asked(name, name)
    with pytest.raises(UserError, match="the environment gives no pictures"):
        asked(Arm, "Arm")


def test_the_same_environment_for_all_is_refused(trained: Trained, tmp_path: Path) -> None:
    env = gymnasium.make("Pendulum-v1")
    with pytest.raises(UserError, match="returned the same environment again"):
        trained(tmp_path / "run", lambda: env)
    assert list(tmp_path.iterdir()) == []
