"""Updates by name: softrl's own, and functions of other modules that take their place."""

import json
import sys
import types
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from softrl import api
from softrl.agent.agent import Agent
from softrl.agent.config import AgentConfig
from softrl.agent.updates import UPDATES, find
from softrl.agent.variants import update_v1
from softrl.cli.main import main
from softrl.errors import UserError
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.critics import ActionIn
from softrl.nn.trunks.mlp import MLP
from softrl.run.config import Run
from softrl.run.fields import from_json, to_json
from softrl.types import Spec, Window

EXAMPLES = Path(__file__).parents[2] / "examples"
SPEC = Spec({"state": (5,)}, 2)
SMALL = {
    "agent.actor.trunk.hidden": (16,),
    "agent.critic.trunk.hidden": (16,),
    "train.batch": 8,
    "train.warmup": 20,
}
QUICK = {
    "eval.every": 40,
    "log.every": 40,
    "env.time_limit": 20,
    "eval.episodes": 1,
    "video.every": "never",
    "threads": 1,
    "log.diagnostics": None,
}


@pytest.fixture
def thrifty(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield "own_update:thrifty"
    sys.modules.pop("own_update", None)


def small(update: str) -> Agent:
    torch.manual_seed(0)
    return AgentConfig(update, actor=Gaussian(MLP((16,))), critic=ActionIn(MLP((16,)))).build(SPEC)


def updated(agent: Agent, window: Window) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return agent.update(window)[0]


def test_softrls_own_are_found_by_name() -> None:
    assert find("sac_v1").learn is update_v1
    assert {name: (update.needs, update.learns) for name, update in UPDATES.items()} == {
        "sac": ("action value", "actions"),
        "sac_v1": ("state value", "actions"),
        "dreamer": ("imagined value", "states"),
    }


def test_an_own_update_takes_the_place_of_softrls(
    thrifty: str, window: Callable[..., Window], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Free of charge it is the update of softrl, weight by weight; with a price actions become smaller."""
    sample = window(64)
    plain, free, dear = small("sac"), small(thrifty), small(thrifty)
    module = sys.modules["own_update"]
    monkeypatch.setattr(module, "PRICE", 0.0)
    told, same = updated(plain, sample), updated(free, sample)
    assert {name: float(same[name]) for name in told} == {name: float(value) for name, value in told.items()}
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, free.state_dict()[name]), name
    monkeypatch.setattr(module, "PRICE", 100.0)
    efforts = [float(updated(dear, sample)["effort"]) for _ in range(50)]
    assert efforts[-1] < 0.95 * efforts[0]


def test_it_trains_resumes_and_is_stored_by_its_name(thrifty: str, tmp_path: Path) -> None:
    """The run that was resumed is the run that was not."""
    given: dict[str, Any] = {**SMALL, **QUICK, "agent.update": thrifty}
    whole = api.train("Pendulum-v1", steps=80, run=tmp_path / "whole", **given).path
    part = api.train("Pendulum-v1", steps=80, run=tmp_path / "part", callback=lambda p: p.env_steps >= 40, **given)
    assert not part.finished
    api.resume(part.path)
    weights = [path / "checkpoints/step_000000080/agent.safetensors" for path in (whole, part.path)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert json.loads((whole / "config.json").read_text())["agent"]["update"] == thrifty
    assert "train/effort" in (whole / "metrics.jsonl").read_text()


@pytest.mark.slow
def test_the_example_runs_as_it_is_printed(
    thrifty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    import_module("own_update").main(600, "sac+tiny")
    assert "return: [" in capsys.readouterr().out


@pytest.mark.slow
def test_it_compiles(thrifty: str, window: Callable[..., Window]) -> None:
    agent, other = small(thrifty), small(thrifty)
    sample = window(16)
    torch.manual_seed(1)
    torch.compile(agent.update_fn, backend="eager")(agent, sample, actor=True, follow=True)
    updated(other, sample)
    for name, weight in agent.state_dict().items():
        torch.testing.assert_close(weight, other.state_dict()[name])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sac_v2", "no update 'sac_v2'; did you mean 'sac_v1'"),
        ("no_such_module:update", "cannot be imported"),
        ("own_update:missing", "cannot be imported"),
        (":update", "cannot be imported"),
        ("math:sqrt", "cannot be called as update"),
        ("math:pi", "cannot be called as update"),
    ],
)
def test_what_is_no_update_is_one_sentence(thrifty: str, name: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as told:
        AgentConfig(name).build(SPEC)
    assert "\n" not in str(told.value)


def test_the_command_line_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "Pendulum-v1", "--agent.update", "nowhere:update"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_configuration_whose_module_is_gone_can_be_read_but_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that `softrl plot` and friends go on working."""
    module = types.ModuleType("gone")
    module.own = update_v1  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gone", module)
    data = to_json(Run(agent=AgentConfig("gone:own")))
    monkeypatch.delitem(sys.modules, "gone")
    read = from_json(Run, data)
    assert read.agent.update == "gone:own"
    with pytest.raises(UserError, match="cannot be imported"):
        read.agent.build(SPEC)
