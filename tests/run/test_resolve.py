"""What `auto` means here, and what a run has room for."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from softrl.agent.plasticity import ContinualBackprop, ReDo, Reset, ShrinkAndPerturb
from softrl.data.pixels import Pixels
from softrl.data.priority import Proportional
from softrl.errors import UserError
from softrl.recipes import apply
from softrl.run import resolve as resolving
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.run.resolve import Begun, cautions, going_on, replay_config, resolve, updates


def test_nothing_is_left_to_choose() -> None:
    run = resolve(Run())
    assert run.device in ("cpu", "cuda")
    assert run.compile in ("off", "graph")
    assert run.threads is not None
    assert 1 <= run.threads <= 4
    assert run.env.repeat == 1
    assert resolve(run) == run


def test_the_action_repeat_of_pixels_is_the_task_s() -> None:
    seen = replace(Run().env, name="cartpole_swingup", pixels=Pixels())
    run = resolve(replace(Run(), env=seen, steps=85_000))
    assert run.env.repeat == 8
    assert updates(run) == 10_000
    assert updates(replace(run, env=seen)) == 10_000
    assert resolve(replace(Run(), env=replace(seen, repeat=2))).env.repeat == 2
    assert resolve(replace(Run(), env=replace(seen, pixels=None))).env.repeat == 1


@pytest.mark.parametrize(("able", "told"), [(False, 1), (True, 0), (None, 0)])
def test_bfloat16_without_instructions_for_it_is_cautioned_against(
    able: bool | None, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolving, "multiplies_bfloat16", lambda: able)
    run = replace(Run(), device="cpu", precision="bfloat16")
    assert len(cautions(run)) == told
    assert cautions(replace(run, precision="float32")) == []
    assert cautions(replace(run, device="cuda")) == []


@pytest.mark.parametrize(
    ("more", "made", "told"),
    [
        ({"compile": "off"}, 0, 1),
        ({"compile": "off"}, 5_001, 0),  # so few are left that compiling would take longer
        ({"compile": "graph"}, 0, 0),
        ({"compile": "off", "minutes": 5.0}, 0, 0),
        ({"threads": 2}, 0, 0),
        ({"threads": 3}, 0, 1),
    ],
)
def test_a_run_that_goes_on_otherwise_than_it_would_begin_is_told(
    more: dict[str, Any], made: int, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolving, "granted", lambda: 2)
    monkeypatch.setattr(resolving, "compiler", lambda: "g++")
    run = override(Run(), {"steps": 15_000, "train.warmup": 0, "device": "cpu", **more})
    assert len(going_on(run, made)) == told
    assert going_on(run, made, named={"compile", "threads"}) == []  # whoever says so knows it


@pytest.mark.parametrize(
    ("plasticity", "first"),
    [
        (Reset(every=300), 300),
        (Reset(every=None, at=(900, 300)), 300),
        (Reset(every=400, at=(300,)), 300),
        (ShrinkAndPerturb(every=300), 300),
        (ReDo(every=300), 300),
        (ContinualBackprop(), 10_001),
        (ContinualBackprop(every=300), 10_200),
        (ContinualBackprop(every=300, maturity=0), 300),
    ],
    ids=repr,
)
def test_plasticity_that_never_acts_is_cautioned_against(plasticity: Any, first: int) -> None:
    """What follows the last update comes before the next one, and so never."""
    run = override(Run(), {"env.name": "Pendulum-v1", "train.warmup": 100, "steps": 100 + first})
    run = replace(run, agent=replace(run.agent, plasticity=plasticity))
    (line,) = cautions(run)
    assert line.endswith(f"acts for the first time after {first} updates, and the run makes {first}")
    assert cautions(replace(run, steps=run.steps + 1)) == []


@pytest.mark.parametrize(
    ("envs", "workers", "told"), [(1, "auto", 1), (2, "sync", 1), (1, "async", 0), (2, "auto", 0), (2, "envpool", 0)]
)
def test_collecting_beside_learning_in_one_process_is_cautioned_against(envs: int, workers: str, told: int) -> None:
    run = override(Run(), {"collect": "async", "envs": envs, "env.workers": workers})
    assert len([line for line in cautions(run) if "overlaps nothing" in line]) == told
    assert cautions(replace(run, collect="sync")) == []


def test_recipes_act_in_runs_of_their_length() -> None:
    assert cautions(apply("resets", replace(Run(), steps=1_000_000))) == []
    assert cautions(Run()) == []


def test_what_was_asked_for_stays() -> None:
    asked = replace(Run(), device="cpu", compile="off", threads=3, collect="async", env=replace(Run().env, repeat=3))
    assert resolve(asked) == asked


def test_updates_count_decisions_after_the_warm_up() -> None:
    run = replace(Run(), steps=25_000, env=replace(Run().env, repeat=4))
    run = replace(run, train=replace(run.train, warmup=5_000, updates_per_decision=2.0))
    assert updates(run) == 10_000


def test_short_runs_are_not_compiled_and_long_ones_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "compiler", lambda: "g++")
    assert resolve(replace(Run(), steps=14_000)).compile == "off"
    assert resolve(replace(Run(), steps=15_000)).compile == "graph"
    monkeypatch.setattr(resolving, "compiler", lambda: None)
    assert resolve(replace(Run(), steps=1_000_000)).compile == "off"


def test_world_models_are_compiled_on_a_gpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "compiler", lambda: "g++")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    run = apply("dreamer", replace(Run(), steps=10**6))
    assert resolve(replace(run, device="cpu")).compile == "off"
    assert resolve(replace(run, device="cuda")).compile == "graph"
    assert resolve(replace(run, device="cpu", compile="graph")).compile == "graph"


@pytest.mark.parametrize(
    ("minutes", "steps", "mode"),
    [(1.0, 5_000_000, "off"), (5.0, 5_000_000, "graph"), (5.0, 14_000, "off"), (None, 5_000_000, "graph")],
)
def test_runs_of_a_minute_are_not_compiled_however_many_steps_they_may_make(
    minutes: float | None, steps: int, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolving, "compiler", lambda: "g++")
    assert resolve(replace(Run(), steps=steps, minutes=minutes)).compile == mode


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="--device cpu"):
        resolve(replace(Run(), device="cuda"))


def test_pixels_are_collected_beside_the_updates_and_states_before_them() -> None:
    pixels = replace(Run(), env=replace(Run().env, pixels=Pixels()))
    assert resolve(Run()).collect == "sync"
    assert resolve(pixels).collect == "async"
    assert resolve(replace(pixels, collect="sync")).collect == "sync"


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({"steps": 5_000}, 2 * 5_001),
        ({"steps": 5_000, "envs": 2, "env.repeat": 3}, 2 * 5_006),
        ({"steps": 10**6}, 1_000_000),
        ({"steps": 5_000, "replay.capacity": 3_000}, 3_000),
        ({"steps": 5_000, "replay.memory_map": True}, 1_000_000),
        ({"steps": 1}, 1_001),
        ({"steps": 1, "envs": 2, "replay.steps": 1_500}, 2 * 2_500),
        ({"env.name": "dmc_cartpole_swingup", "steps": 100_000, "env.repeat": 8}, 101 * 126),
        # Episodes of 125 decisions and a final observation: a hundred, and the one under way.
        ({"env.name": "cartpole_swingup", "steps": 100_000, "env.repeat": 8}, 101 * 126),
        ({"env.name": "cartpole_swingup", "steps": 6_000, "env.time_limit": 10, "env.repeat": 4}, 601 * 4),
        ({"env.name": "lqr_lqr_2_1", "steps": 5_000}, 2 * 5_001),
    ],
)
def test_replay_has_room_for_all_that_a_run_can_bring_and_no_more(options: dict[str, Any], rows: int) -> None:
    run = override(Run(), {"env.name": "Pendulum-v1", **options})
    assert replay_config(run, run.env.name) == replace(run.replay, capacity=rows)


def test_a_run_that_goes_on_elsewhere_has_room_for_all_that_it_held() -> None:
    """Begun where episodes may be over after a frame: 4000 rows of its first 2000 frames, 3 times 1001 of the rest."""
    run = override(Run(), {"env.name": "cartpole_swingup", "steps": 4_000})
    assert replay_config(run, run.env.name).capacity == 5 * 1_001
    assert replay_config(run, run.env.name, Begun(4_000, 2_000)).capacity == 4_000 + 3 * 1_001
    assert replay_config(run, run.env.name, Begun(2_002, 2_000)).capacity == 2_002 + 3 * 1_001


def test_values_near_those_of_other_statistics_are_cautioned_against() -> None:
    [told] = cautions(resolve(apply("sd_sac+crossq_wn", replace(Run(), steps=100_000))))
    assert told.startswith("agent.regression holds values near those of the target copy, and a batch norm")
    assert not cautions(resolve(apply("sd_sac", replace(Run(), steps=100_000))))


@pytest.mark.parametrize(
    ("frames", "left"),
    [(254_999, 49_990), (255_001, None), (250_001, 10), (250_000, None), (300_000, None), (15_000, None)],
)
def test_a_reset_just_before_the_end_is_cautioned_against(frames: int, left: int | None) -> None:
    """Recipe bro resets after 2.475M updates, ten a decision: 247,500 decisions behind a warm-up of 2,500."""
    run = apply("bro", override(Run(), {"env.name": "HalfCheetah-v5", "steps": frames}))
    run = override(
        run, {"train.warmup": 2_500, "agent.plasticity.at": (150_000, 2_475_000), "agent.plasticity.every": None}
    )
    told = [line for line in cautions(run) if "the last reset" in line]
    assert [line.partition(":")[0] for line in told] == (
        [] if left is None else [f"the last reset of agent.plasticity comes {left} updates before the end"]
    )


def test_the_last_reset_by_hand() -> None:
    assert [Reset(10).last(made) for made in (0, 10, 11, 20, 21)] == [0, 0, 10, 10, 20]
    assert [Reset(None, at=(3, 7)).last(made) for made in (3, 4, 7, 8, 100)] == [0, 3, 3, 7, 7]


def test_what_disturbs_batch_norms_is_cautioned_against() -> None:
    crossq = apply("crossq", replace(Run(), steps=100_000))
    assert cautions(crossq) == []
    (few,) = cautions(override(crossq, {"train.batch": 127}))
    assert few.startswith("train.batch is 127: batch norms")
    for changes in ({"replay.sampler": Proportional()}, {"replay.dataset": "runs/other"}):
        (told,) = cautions(override(crossq, changes))
        assert told.startswith("batch norms learn the mean and variance of what is sampled")
        assert cautions(override(apply("sac", replace(Run(), steps=100_000)), changes)) == []


def test_a_run_that_ends_before_a_window_of_its_world_model_is_there_is_told() -> None:
    few = {"steps": 300, "train.warmup": 50, "envs": 8, "env.name": "Pendulum-v1", "agent.encoder.sequence": 50}
    run = override(apply("dreamer+states", Run()), {**few, "env.repeat": 1})
    assert any("stretch of agent.encoder.sequence, 50 rows, which takes 400" in line for line in cautions(run))
    assert not any("nothing will be learned" in line for line in cautions(replace(run, steps=401)))


def test_a_replay_smaller_than_a_batch_is_told() -> None:
    run = override(Run(), {"replay.capacity": 10, "env.name": "Pendulum-v1"})
    assert any("replay.capacity is 10" in line for line in cautions(run))
