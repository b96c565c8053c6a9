import dataclasses
import json

import pytest

from softrl.errors import UserError
from softrl.recipes import RECIPES, apply, find
from softrl.run.config import Run
from softrl.run.fields import fields, flat, from_json, helps, override, to_json


def parts(config):
    """A configuration and every part inside it."""
    yield config
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(getattr(config, field.name)):
            yield from parts(getattr(config, field.name))


@pytest.mark.parametrize("name", RECIPES)
def test_every_field_has_help_and_every_part_a_sentence(name):
    run = apply(find(name).complete_name, Run())
    assert [field.path for field in fields(run) if not field.help.endswith(".")] == []
    for part in parts(run):
        assert set(helps(type(part))) == {field.name for field in dataclasses.fields(part)}
        assert (type(part).__doc__ or "").strip().endswith(".")
        assert "type" not in helps(type(part))  # that key of config.json names the class


@pytest.mark.parametrize("name", RECIPES)
def test_config_json_gives_the_same_run_back(name):
    run = apply(find(name).complete_name, Run())
    assert from_json(Run, json.loads(json.dumps(to_json(run)))) == run


def test_arguments_of_environments_are_kept_and_older_files_have_none():
    run = override(Run(), {"env.arguments": {"type": "wide", "size": 3}})
    data = json.loads(json.dumps(to_json(run)))
    assert data["env"]["arguments"] == {"type": "wide", "size": 3}
    assert from_json(Run, data) == run
    del data["env"]["arguments"]
    assert from_json(Run, data) == Run()


def test_defaults_are_those_of_the_interface():
    run = flat(Run())
    promised = {
        "steps": "100000",
        "seed": "0",
        "envs": "1",
        "env.repeat": "none",
        "eval.episodes": "10",
        "train.batch": "256",
        "train.gamma": "0.99",
        "agent.critic.members": "2",
        "agent.critic.trunk.hidden": "256,256",
        "replay.capacity": "1000000",
        "checkpoint.keep": "2",
    }
    assert {path: run[path] for path in promised} == promised


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("steps", 0),
        ("seed", -1),
        ("envs", 0),
        ("threads", 0),
        ("train.batch", 0),
        ("train.warmup", -1),
        ("train.gamma", 1.01),
        ("train.gamma", -0.1),
        ("train.updates_per_decision", 0.0),
        ("train.actor_every", 0),
        ("train.target_every", 0),
        ("eval.every", 0),
        ("eval.episodes", 0),
        ("video.every", 0),
        ("video.size", 15),
        ("checkpoint.every", 0),
        ("checkpoint.keep", 0),
        ("log.every", 0),
        ("env.repeat", 0),
        ("env.partial.flicker", 1.5),
        ("env.partial.missing", -0.1),
        ("env.partial.noise", -1.0),
        ("env.time_limit", 0),
        ("replay.capacity", 0),
        ("replay.steps", 0),
    ],
)
def test_values_out_of_range_are_refused_by_the_name_of_their_field(path, value):
    with pytest.raises(UserError) as refusal:
        override(Run(), {path: value})
    assert str(refusal.value).startswith(f"{path} is {value}: ")


@pytest.mark.parametrize(
    ("path", "value"), [("train.gamma", 0.0), ("train.gamma", 1.0), ("train.warmup", 0), ("video.every", "never")]
)
def test_the_ends_of_a_range_are_in_it(path, value):
    assert flat(override(Run(), {path: value}))[path] == str(value)
