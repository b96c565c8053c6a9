"""Every spelling of a task is one name, and an unknown one is told with the nearest."""

import pytest

from softrl.data.names import GEARS, MANY_VALVES, TASKS, VALVES, aliases, canonical, known
from softrl.errors import UserError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cheetah_run", "cheetah_run"),
        ("cheetah-run", "cheetah_run"),
        ("dmc_cheetah_run", "cheetah_run"),
        ("dm_control/cheetah-run-v0", "cheetah_run"),
        ("ball_in_cup_catch", "ball_in_cup_catch"),
        ("ball-in-cup-catch", "ball_in_cup_catch"),
        ("dm_control/ball_in_cup-catch-v0", "ball_in_cup_catch"),
        ("finger-turn_hard", "finger_turn_hard"),
        ("dmc_cartpole-swingup-sparse", "cartpole_swingup_sparse"),
        ("humanoid_cmu_run", "humanoid_CMU_run"),
        ("humanoid-run-pure-state", "humanoid_run_pure_state"),
        ("lqr_lqr_2_1", "lqr_lqr_2_1"),
        ("HalfCheetah-v5", "HalfCheetah-v5"),
        ("gymnasium.envs.classic_control:Pendulum-v1", "gymnasium.envs.classic_control:Pendulum-v1"),
    ],
)
def test_canonical(name: str, expected: str) -> None:
    assert canonical(name) == expected


@pytest.mark.parametrize("name", TASKS)
def test_every_alias_leads_back(name: str) -> None:
    assert {canonical(alias) for alias in [name, *aliases(name)]} == {name}


def test_gymnasium_ids_have_no_alias() -> None:
    assert aliases("Hopper-v5") == []


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("cheetah_rum", "cheetah_run"),
        ("HalfCheeta-v5", "HalfCheetah-v5"),
        ("walker-wolk", "walker_walk"),
        ("gears", GEARS),
    ],
)
def test_unknown_names_suggest_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UserError, match=f"unknown environment '{name}'; did you mean '{near}'"):
        canonical(name)


def test_unknown_names_without_a_near_one_say_where_to_look() -> None:
    with pytest.raises(UserError, match="softrl envs list"):
        canonical("qqqqqqqqqqqqqqqqqqqqqqqq")


def test_an_unknown_namespace_asks_for_its_package() -> None:
    with pytest.raises(UserError, match=r"registers 'ALE/' environments: install .* module:ALE/Pong-v5"):
        canonical("ALE/Pong-v5")


def test_a_missing_module_is_named() -> None:
    with pytest.raises(UserError, match="'no_such_module:Thing-v0' cannot be imported"):
        canonical("no_such_module:Thing-v0")


def test_listing() -> None:
    assert known("cartpole_swingup*") == ["cartpole_swingup", "cartpole_swingup_sparse"]
    assert known("cheetah") == ["cheetah_run", "HalfCheetah-v4", "HalfCheetah-v5"]
    assert "Pendulum-v1" in known()
    assert not {"Hopper-v2", "GymV21Environment-v0"} & set(known())
    assert "LunarLanderContinuous-v3" in known()
    assert known("softrl/*") == [GEARS, MANY_VALVES, VALVES]
    assert canonical(GEARS) == GEARS


def test_the_table_is_the_suite() -> None:
    from dm_control import suite

    assert sorted(TASKS.values()) == sorted(suite.ALL_TASKS)
