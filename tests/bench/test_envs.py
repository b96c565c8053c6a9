"""`softrl bench envs` for a moment."""

import json
from typing import Any

import pytest

from softrl.bench import envs
from softrl.data.envs import EnvConfig
from softrl.errors import UserError

SHORT: dict[str, Any] = {"env": "Pendulum-v1", "seconds": 0.05}
TRAINED: dict[str, Any] = {**SHORT, "recipe": "sac+tiny", "settle": 4, "threads": 1, "compile": "off", "device": "cpu"}


def test_every_number_of_environments_has_a_line() -> None:
    options = envs.Options(**SHORT, envs=(1, 3), workers=("sync", "async"), steps=0)
    _, head, *rows = envs.report(options)
    assert head.split() == ["environments", "sync", "async"]
    assert [row.split()[0] for row in rows] == ["1", "3"]
    assert all(float(cell) > 0 for row in rows for cell in row.split()[1:])


def test_training_is_measured_at_the_updates_asked_for() -> None:
    """Whatever the number of environments."""
    options = envs.Options(**TRAINED, envs=(8,), workers=("sync",), steps=64, updates=0.5, json=True)
    (line,) = envs.report(options)
    result = json.loads(line)
    cell = result["training"]["sync"]["8"]
    assert cell["updates_per_step"] == pytest.approx(0.5, rel=0.1)  # a step that resets an environment owes none
    assert cell["steps_per_second"] > 0
    assert result["decisions_per_second"]["sync"]["8"] > 0
    assert result["updates"] == 0.5


def test_flags_reach_the_run_and_its_speed_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def measured(run: Any, options: Any) -> dict[str, float]:
        seen.append((run, options))
        return {"steps_per_second": 100.0 * options.envs, "updates_per_step": 1.0}

    monkeypatch.setattr(envs.loop, "measure", measured)
    options = envs.Options(**TRAINED, steps=7, updates=2.0, collect="async", envs=(1, 4), workers=("async",))
    *_, title, head, first, second = envs.report(options, {"train.gamma": 0.9})
    told = "Pendulum-v1, sac+tiny, train.gamma 0.9, collect async: "
    assert title == f"{told}env steps a second of training, 2 updates a decision"
    assert [line.split() for line in (head, first, second)] == [["environments", "async"], ["1", "100"], ["4", "400"]]
    run, given = seen[1]
    assert (run.env.name, run.env.workers, run.envs, run.collect) == ("Pendulum-v1", "async", 4, "async")
    assert (run.train.updates_per_decision, run.threads, run.compile, run.device) == (2.0, 1, "off", "cpu")
    assert run.train.gamma == 0.9
    assert (given.steps, given.settle, run.recipe) == (7, 4, "sac+tiny")


def test_what_cannot_be_measured_is_left_out() -> None:
    assert envs.usable(EnvConfig("cheetah_run")) == ("sync", "async")  # EnvPool has it under another name
    with pytest.raises(UserError, match=r"env\.workers"):
        list(envs.report(envs.Options(env="cheetah_run", workers=("envpool",), steps=0)))


def test_stepping_alone_is_of_what_the_recipe_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[EnvConfig] = []

    def opened(source: str, config: EnvConfig, count: int, seed: int) -> Any:
        seen.append(config)
        raise UserError("far enough")

    monkeypatch.setattr(envs, "vector", opened)
    with pytest.raises(UserError, match="far enough"):
        list(envs.report(envs.Options(env="cheetah_run", recipe="sac_pixels", workers=("async",), device="cpu")))
    (config,) = seen
    assert (config.workers, config.repeat) == ("async", 4)
    assert config.pixels is not None
    assert envs.usable(config) == ("sync", "async")  # EnvPool draws no pictures


@pytest.mark.parametrize(
    ("flag", "value"),
    [("envs", (0,)), ("envs", ()), ("workers", ()), ("seconds", 0.0), ("steps", -1), ("settle", 0), ("threads", 0)],
)
def test_flags_out_of_range(flag: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"--{flag}"):
        envs.Options(**{flag: value})
