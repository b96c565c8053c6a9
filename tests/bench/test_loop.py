"""`softrl bench loop` on a small task."""

import json

import pytest
import torch

from softrl.bench import loop
from softrl.data.priority import Proportional, Uniform
from softrl.data.replay import Replay, ReplayConfig
from softrl.run.fields import override
from softrl.types import Spec, Step


def test_loop_says_where_the_time_of_a_step_goes() -> None:
    options = loop.Options(env="Pendulum-v1", recipe="sac+tiny", steps=60, settle=5, threads=1, compile="off")
    (line,) = loop.report(loop.Options(**{**vars(options), "json": True}))
    result = json.loads(line)
    assert tuple(result["ms"]) == loop.PARTS
    assert result["ms"].pop("transfer") == 0  # nothing leaves the host
    assert min(result["ms"].values()) > 0
    assert 50 < result["peak_mib"] < 100_000
    assert 0 < result["outside"] < 1
    assert result["steps_per_second"] > 0
    assert 0.95 < result["updates_per_step"] <= 1  # the step that resets the environment owes none
    assert result["evaluation_seconds"] > 0
    assert result["first_seconds"] >= 0
    assert 0 < result["floor_ms"] < result["ms"]["update"]


def test_the_table_tells_the_ratio_to_the_products_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = {
        **dict.fromkeys(("updates_per_step", "peak_mib", "outside", "first_seconds"), 0.5),
        **dict.fromkeys(("evaluation_seconds", "checkpoint_seconds"), 1.0),
        "steps_per_second": 100.0,
        "ms": {"update": 6.0, "rest": 4.0},
    }
    options = loop.Options(env="Pendulum-v1", recipe="sac+tiny", threads=1)
    told = "over the floor, the 4.000 ms a step that the update's matrix products take alone: the update 1.50, "
    monkeypatch.setattr(loop, "measure", lambda run, options: measured | {"floor_ms": 4.0})
    assert told + "the whole step 2.50" in list(loop.report(options))
    monkeypatch.setattr(loop, "measure", lambda run, options: measured | {"floor_ms": 0.0})  # no update was due
    assert not [line for line in loop.report(options) if "floor" in line]


@pytest.mark.slow
def test_the_waiting_for_worker_processes_is_told() -> None:
    options = loop.Options(env="Pendulum-v1", recipe="sac+tiny", steps=40, settle=4, envs=2, threads=1, compile="off")
    result = loop.measure(loop.configured(options), options)
    assert result["ms"]["environment"] > 0


def test_settings_of_the_recipe_reach_the_run_after_those_of_the_task() -> None:
    options = loop.Options(env="Hopper-v5", recipe="tqc")
    assert loop.configured(options).agent.target_rule.drop == 5
    assert loop.configured(options, {"agent.target_rule.drop": 3}).agent.target_rule.drop == 3


def test_updates_are_there_however_long_a_window_is_in_coming() -> None:
    """A sequence of ten rows in many environments begins after the warm-up and what was to settle."""
    options = loop.Options(
        env="Pendulum-v1", recipe="latent_sac+states+tiny", steps=200, settle=1, envs=64, threads=1, compile="off"
    )
    run = override(loop.configured(options), {"train.updates_per_decision": 0.01})
    assert loop.measure(run, options)["updates_per_step"] > 0


@pytest.mark.parametrize("sampler", [Uniform(), Proportional()])
@pytest.mark.parametrize(("asked", "rows"), [(20, 18), (100, 30), (11, 6), (0, 6)])
def test_replay_is_filled_with_whole_copies_of_what_it_holds(
    sampler: Uniform | Proportional, asked: int, rows: int
) -> None:
    """Three rows of time of two environments, in a ring of fifteen."""
    replay = Replay(ReplayConfig(30, sampler=sampler), Spec({"state": (1,)}, 1), envs=2, gamma=0.9, seed=0)
    for time in range(3):
        row, no = torch.tensor([time, 10.0 + time]), torch.zeros(2, dtype=torch.bool)
        replay.add(Step({"state": row[:, None]}, row[:, None], row, no, no))
    loop.fill(replay, asked)
    assert 2 * replay.newest == rows
    stored = replay.rows(0, replay.newest)["obs.state"].reshape(-1, 6)
    assert (stored == torch.tensor([0.0, 10.0, 1.0, 11.0, 2.0, 12.0])).all()
    drawn = replay.sample(2_000).index
    assert set(drawn.tolist()) == set(range(rows - 2))  # behind the newest row lies none


def test_products_can_be_in_bfloat16() -> None:
    options = loop.Options(env="Pendulum-v1", recipe="sac+tiny", steps=5, settle=1, threads=1, compile="off")
    assert loop.configured(options).precision == "float32"
    assert loop.configured(loop.Options(**{**vars(options), "precision": "bfloat16"})).precision == "bfloat16"


@pytest.mark.gpu
def test_copies_to_and_from_a_device_are_told() -> None:
    options = loop.Options(env="Pendulum-v1", recipe="sac+tiny", steps=40, settle=4, threads=1, device="cuda")
    result = loop.measure(loop.configured(loop.Options(**{**vars(options), "compile": "off"})), options)
    assert result["ms"]["transfer"] > 0


def test_an_environment_by_its_other_name_has_the_same_recipe() -> None:
    """Recipe simba repeats actions on tasks of DeepMind Control, and has one critic there."""
    one, other = (loop.chosen(loop.Options(env=name, recipe="simba")) for name in ("cheetah-run", "cheetah_run"))
    assert one == other
    assert (one.env.repeat, one.agent.critic.members) == (2, 1)
