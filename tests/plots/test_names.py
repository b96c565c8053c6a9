"""What tells runs apart is said in as few words as tell it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from softrl.errors import UserError
from softrl.plots.load import load
from softrl.plots.names import differences, folders, shortest, telling

MakeRun = Callable[..., Path]


def test_only_fields_with_several_values_tell() -> None:
    one = {"agent": "AgentConfig", "agent.critic.members": "2", "train.batch": "256"}
    other = one | {"agent.critic.members": "3", "agent.of_a_later_version": "1"}
    assert telling([one, other]) == ["agent.critic.members"]


def test_the_kind_of_a_part_tells_what_lies_in_it() -> None:
    """Widths of MLPs are told apart, and not from those of another trunk."""
    narrow, wide = {"trunk": "MLP", "trunk.hidden": "16"}, {"trunk": "MLP", "trunk.hidden": "32"}
    other = {"trunk": "SimBa", "trunk.hidden": "64", "trunk.blocks": "2"}
    assert telling([narrow, other]) == ["trunk"]
    assert telling([narrow, wide, other]) == ["trunk", "trunk.hidden"]


def test_paths_are_as_short_as_they_can_be() -> None:
    paths = ["agent.actor.trunk.hidden", "agent.critic.trunk.hidden", "train.batch"]
    assert list(shortest(paths).values()) == ["actor.trunk.hidden", "critic.trunk.hidden", "batch"]


def test_values_are_those_that_are_typed(make_run: MakeRun) -> None:
    """Recipes are not compared with each other: they differ, and have names."""
    part = {"type": "own_trunk:Sines", "hidden": [64, 64]}
    runs = [
        make_run(config={"agent": {"trunk": {"type": "MLP"}}, "train": {"rate": None, "flag": True}}),
        make_run(folder="a", config={"agent": {"trunk": part}, "train": {"rate": 0.5, "flag": False}}),
        make_run(recipe="tqc", config={"train": {"batch": 3}}),
    ]
    assert differences([load(run) for run in runs]) == [
        "trunk MLP, rate none, flag true",
        "trunk Sines, rate 0.5, flag false",
        "",
    ]


def test_what_a_recipe_sets_by_the_task_tells_nothing(make_run: MakeRun) -> None:
    """Unless it differs on one of the tasks: then it is said on all of them."""
    runs = [make_run(env, config={"train": {"warmup": warmup}}) for env, warmup in (("a", 1000), ("b", 10_000))]
    assert differences([load(run) for run in runs]) == ["", ""]
    runs.append(make_run("a", folder="x", config={"train": {"warmup": 5}}))
    assert differences([load(run) for run in runs]) == ["warmup 1000", "warmup 10000", "warmup 5"]


def test_folders_are_told_apart_on_each_environment(make_run: MakeRun) -> None:
    runs = [load(make_run(env, recipe)) for env in ("a", "b") for recipe in ("sac", "tqc")]
    assert folders(runs) == ["sac/seed0", "tqc/seed0", "sac/seed0", "tqc/seed0"]
    assert folders(runs[:1]) == ["seed0"]


def test_weights_that_a_run_began_with_tell_it_from_others(make_run: MakeRun) -> None:
    runs = [make_run(), make_run(folder="x")]
    (runs[1] / "init.json").write_text('{"init": "runs/other"}')
    assert differences([load(run) for run in runs]) == ["init none", "init runs/other"]
    (runs[1] / "init.json").write_text("{")
    with pytest.raises(UserError, match=r"init\.json is damaged"):
        load(runs[1])
