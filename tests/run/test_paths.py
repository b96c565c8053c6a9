"""Runs are where people said, whatever an environment does to the working folder, and `~` is the home folder."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.envs.classic_control import PendulumEnv

import softrl
from softrl.cli.main import main
from softrl.run.dataset import FILE
from softrl.run.paths import expanded, standing, typed

SHORT = {"steps": 20, "eval.every": 20, "eval.episodes": 1, "video.every": "never", "threads": 1, "train.warmup": 10}
ELSEWHERE = "elsewhere"


class Leaving(PendulumEnv):
    """Goes to a folder of its own when it is made, as simulators do that look for their files there."""

    def __init__(self) -> None:
        super().__init__()
        os.chdir(os.environ[ELSEWHERE])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("home", ELSEWHERE):
        (tmp_path / name).mkdir()
    monkeypatch.setenv(ELSEWHERE, str(tmp_path / ELSEWHERE))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


@pytest.mark.parametrize("run", ["mine", "../home/mine", None])
def test_an_environment_that_leaves_the_working_folder_leaves_the_run_there(home: Path, run: str | None) -> None:
    options: Any = {"env.time_limit": 10, **SHORT}
    made = softrl.train(Leaving, "sac+tiny", run=run, **options).path
    folder = home / (run or "runs/Leaving/sac+tiny/seed0")
    assert made.samefile(folder)
    assert not list((home.parent / ELSEWHERE).iterdir())
    os.chdir(home)
    told = Path(run or "runs/Leaving/sac+tiny/seed0")
    assert softrl.resume(told, env=Leaving, steps=30).path.samefile(folder)
    os.chdir(home)
    assert len(softrl.evaluate(told, Leaving, 1)) == 1
    os.chdir(home)
    softrl.train(Leaving, "sac+tiny", run="second", init=told, **options)
    assert (home / "second" / "eval.csv").is_file()
    assert not list((home.parent / ELSEWHERE).iterdir())


def test_a_tilde_is_the_home_folder(home: Path) -> None:
    assert expanded("~/x") == home / "x"
    assert expanded("a~/x") == Path("a~/x")
    assert standing("x") == home / "x"
    assert softrl.train("Pendulum-v1", "sac+tiny", run="~/mine", **SHORT).path == home / "mine"  # type: ignore[arg-type]
    assert len(softrl.evaluate("~/mine", episodes=1)) == 1
    assert main(["resume", "~/mine", "--quiet"]) == 0
    assert main(["plot", "~/mine", "--out=~/mine.png"]) == 0
    assert (home / "mine.png").is_file()
    rows = {"observations": np.zeros((9, 3)), "actions": np.zeros((9, 1)), "rewards": np.zeros(9)}
    np.savez(home / "data.npz", terminals=np.zeros(9, bool), timeouts=np.zeros(9, bool), **rows)  # type: ignore[arg-type]
    learned = {**SHORT, "replay.dataset": "~/data.npz", "train.batch": 4}
    assert (softrl.train("Pendulum-v1", "sac+tiny", run="learned", **learned).path / FILE).is_file()  # type: ignore[arg-type]
    assert not (home / "~").exists()


def test_a_command_is_as_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/softrl", "train", "a b"])
    assert typed() == ["softrl", "train", "a b"]


def test_what_is_no_path_is_told() -> None:
    result = softrl.RunResult(Path("runs/a"), True, None, None)
    assert expanded(result) == Path("runs/a")
    with pytest.raises(softrl.UserError, match="'~nobody-here/x' is in no home folder that is known here"):
        expanded("~nobody-here/x")
    with pytest.raises(softrl.UserError, match="a NoneType is no path"):
        softrl.load(None)  # type: ignore[arg-type]
