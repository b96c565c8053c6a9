"""Environments of a user's own by name: arguments of their constructors, and other names for later commands."""

import json
import sys
from functools import partial

import gymnasium
import pytest

import softrl
from softrl import api
from softrl.cli.main import main

MODULE = """
import gymnasium
import numpy as np

class Wide(gymnasium.Env):
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))

    def __init__(self, size=3, gain=1.0, label="", render_mode=None):
        self.size, self.gain, self.label = size, gain, label
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (size,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(self.size, np.float32), {}

    def step(self, action):
        return np.zeros(self.size, np.float32), float(self.gain), False, False, {}

gymnasium.register("Wide-v0", entry_point=Wide, max_episode_steps=20)
gymnasium.register("Other-v0", entry_point=Wide, max_episode_steps=20, kwargs={"gain": 3.0})
"""
WIDE = "widths_of_mine:Wide-v0"


@pytest.fixture
def own(here, monkeypatch):
    """A module in the working folder that registers two environments."""
    (here / "widths_of_mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(here)
    monkeypatch.setattr(api, "curve", lambda path: None)  # which takes longer than all the rest
    yield here
    forget()


def forget():
    """As in a process that has not imported the module."""
    sys.modules.pop("widths_of_mine", None)
    for name in ("Wide-v0", "Other-v0"):
        gymnasium.registry.pop(name, None)


@pytest.fixture
def train(own, small):
    """Trains for a moment in `run`; returns its configuration of the environment."""

    def run(*words):
        assert main(["train", *words, "--recipe", "sac+tiny", *small, "--run", "run"]) == 0
        return json.loads((own / "run/config.json").read_text())["env"]

    return run


def mean_return(capsys, *words):
    capsys.readouterr()
    assert main(["evaluate", *words, "--episodes", "1", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["return_mean"]


def test_arguments_are_those_of_the_constructor_and_stay_with_the_run(train, own, capsys):
    config = train(WIDE, "--env.arguments", 'size=5,gain=2,label="none"')
    assert config["arguments"] == {"size": 5, "gain": 2, "label": "none"}
    assert json.loads((own / "run/spaces.json").read_text())["obs"] == {"state": [5]}
    assert mean_return(capsys, "run") == 40
    assert main(["resume", "run", "--steps", "80", "--quiet"]) == 0
    assert (own / "run/train.csv").read_text().splitlines()[-1].split(",")[2] == "40.0"
    capsys.readouterr()
    assert main(["train", "--config", "run/config.json", "--print"]) == 0
    assert 'env.arguments = "size=5,gain=2,label=\\"none\\""' in capsys.readouterr().out.splitlines()


def test_arguments_are_a_dict_in_python(own):
    assert softrl.make(WIDE, arguments={"size": 4}).observation_space.shape == (4,)
    with pytest.raises(softrl.UserError, match=r"given by its name: give a function .* functools\.partial"):
        softrl.make(partial(gymnasium.make, WIDE), arguments={"size": 4})
    with pytest.raises(softrl.UserError, match=r"given by its name"):
        softrl.train(partial(gymnasium.make, WIDE), **{"env.arguments": {"size": 4}})
    with pytest.raises(softrl.UserError, match=r"'env_kwargs'; did you mean 'env\.arguments' \(.* Python a dict\)\?"):
        softrl.train(WIDE, env_kwargs={"size": 4})
    assert not (own / "runs").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--env.arguments", "sise=5"], f"env.arguments has 'sise', which {WIDE} does not take: it takes size, gain"),
        (["--env.arguments", "size:5"], "env.arguments takes NAME=VALUE separated by commas (numbers, text, true or"),
        (["--env.arguments", "render_mode=human"], "env.arguments has render_mode, which softrl gives itself: leave"),
        (["--env.arguments", "max_episode_steps=9"], "which softrl gives itself: use env.time_limit"),
        (["--env.arguments", "size=5", "--env.workers", "envpool"], "leaves env.arguments, env.pixels"),
        (["--env-kwargs", "size:5"], "there is no flag '--env-kwargs'; did you mean '--env.arguments' (as in size=48,"),
        (["--env_kwargs", "size:5"], "there is no flag '--env_kwargs'; did you mean '--env.arguments' (as in size=48,"),
        (["--size", "5"], "(an argument of the environment itself is --env.arguments size=VALUE)?"),
        (["--env.label", "5"], "(an argument of the environment itself is --env.arguments label=VALUE)"),
    ],
)
@pytest.mark.usefixtures("own")
def test_mistakes_with_arguments_are_said_in_one_sentence(refused, words, sentence, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert sentence in refused("train", WIDE, *words)


def test_tasks_of_deepmind_control_take_no_arguments(refused):
    sentence = "cheetah_run is a task of DeepMind Control, which takes no env.arguments: leave them out"
    assert refused("train", "cheetah_run", "--env.arguments", "size=5") == sentence


def test_a_policy_is_evaluated_in_another_environment_of_the_same_spaces(train, capsys, refused):
    train(WIDE)
    assert mean_return(capsys, "run") == 20
    assert mean_return(capsys, "run", "--env", "widths_of_mine:Other-v0") == 60
    assert refused("evaluate", "run", "--env", "Pendulum-v1")
    assert refused("play", "run", "--env", "Pendulum-v1")


def test_a_run_from_python_goes_on_under_a_name_which_it_remembers(own, capsys, refused):
    from importlib import import_module

    short = {"steps": 60, "train.warmup": 30, "eval.episodes": 1, "env.time_limit": 20, "video.every": "never"}
    softrl.train(partial(import_module("widths_of_mine").Wide, gain=2.0), "sac+tiny", run="run", **short)
    for command in ("evaluate", "play", "resume"):
        assert "or a registered one on the command line, as in --env my_envs:Mine-v0" in refused(command, "run")
    assert mean_return(capsys, "run", "--env", "widths_of_mine:Other-v0") == 60
    assert refused("resume", "run", "--env", "Pendulum-v1", "--steps", "80")
    assert main(["resume", "run", "--env", "widths_of_mine:Other-v0", "--steps", "80", "--quiet"]) == 0
    told = "the run goes on in widths_of_mine:Other-v0, in the place of Wide"
    assert told in (own / "run/log.txt").read_text()
    assert mean_return(capsys, "run") == 60


def test_a_run_that_moved_goes_on_exactly_under_its_new_name(train, own, capsys, refused):
    train(WIDE)
    forget()
    (own / "widths_of_mine.py").rename(own / "moved_widths_of_mine.py")
    where = "run from the folder that holds widths_of_mine, set PYTHONPATH to it, or install or mend its package"
    assert where in refused("evaluate", "run")
    moved = "moved_widths_of_mine:Wide-v0"
    assert mean_return(capsys, "run", "--env", moved) == 20
    assert main(["resume", "run", "--env", moved, "--steps", "70", "--quiet"]) == 0
    assert "cannot give its state" not in (own / "run/log.txt").read_text()
    assert mean_return(capsys, "run") == 20


def test_a_run_with_an_environment_is_resumed_in_no_other(run_of_control, refused):
    sentence = "run goes on in its own environment, cartpole_swingup: to learn in cheetah_run from its weights, write "
    assert refused("resume", "run", "--env", "cheetah_run") == f"{sentence}softrl train cheetah_run --init run"


@pytest.fixture
def run_of_control(finished, here):
    """A link to the finished run, named `run`."""
    (here / "run").symlink_to(finished)
