"""Every spelling of a task is one name, and an unknown one is told with the nearest."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium
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


OWN = """
from gymnasium import register
from gymnasium.envs.classic_control import PendulumEnv

class Nav(PendulumEnv): ...

register("NavBig-v0", entry_point=Nav)
register("NavSmall-v2", entry_point="names_of_mine.nav:Nav")
"""


@pytest.fixture
def names_of_mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that registers two environments."""
    (tmp_path / "names_of_mine").mkdir()
    (tmp_path / "names_of_mine" / "__init__.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("names_of_mine", None)
    for name in ("NavBig-v0", "NavSmall-v2"):
        gymnasium.registry.pop(name, None)


@pytest.mark.usefixtures("names_of_mine")
def test_an_unknown_id_of_a_module_is_answered_with_its_own_and_with_the_module_in_front() -> None:
    registers = "': names_of_mine registers NavBig-v0, NavSmall-v2"
    for name, end in {"NavBig-v1": "; did you mean 'names_of_mine:NavBig-v0'?", "qqqqqqqqqq": ""}.items():
        with pytest.raises(UserError) as refusal:
            canonical(f"names_of_mine:{name}")
        assert str(refusal.value) == f"unknown environment 'names_of_mine:{name}{registers}{end}"
    assert canonical("names_of_mine:NavBig-v0") == "names_of_mine:NavBig-v0"


def test_a_module_with_many_ids_lists_some_of_them() -> None:
    with pytest.raises(UserError, match=r"registers .*, \.\.\.; did you mean 'gymnasium\.envs:Pendulum-v1'\?$"):
        canonical("gymnasium.envs:Pendulum-v9")


def test_a_module_that_registers_nothing_is_told_how() -> None:
    with pytest.raises(UserError, match=r"'string:qqqqqqqqqq': let string call gymnasium\.register with that id"):
        canonical("string:qqqqqqqqqq")


@pytest.mark.parametrize("name", ["Nav-v0", "qqqqqqqqqqqqqqqqqqqqqqqq"])
def test_an_unknown_name_says_what_those_of_ones_own_are_called(name: str) -> None:
    told = "(one of another package, or of your own, is MODULE:ID, as in my_envs:Mine-v0)"
    with pytest.raises(UserError, match=f"{re.escape(told)}$"):
        canonical(name)


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
