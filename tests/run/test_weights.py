"""What a new run takes over from another's weights, and what its own configuration says."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import softrl
from softrl.agent.agent import Agent
from softrl.agent.config import AgentConfig
from softrl.agent.plasticity import ContinualBackprop
from softrl.agent.regularize import L2Init
from softrl.agent.temperature import Fixed
from softrl.errors import UserError
from softrl.nn.normalize import ReturnScale
from softrl.run.fields import override
from softrl.run.weights import FILE, start_from, take
from softrl.types import Spec

SPEC = Spec({"state": (3,)}, 2)
REPLACING = ContinualBackprop()
SMALL = {"actor.trunk.hidden": (8,), "critic.trunk.hidden": (8,)}


def agent(**values: Any) -> Agent:
    return override(AgentConfig(), SMALL | values).build(SPEC)


@pytest.fixture
def old() -> Agent:
    """An agent in whose optimisers something has happened."""
    made = agent()
    with torch.no_grad():
        for optimiser in (made.optim.actor, made.optim.value, made.optim.temperature):
            optimiser.count.add_(7)
            optimiser.mean_0.add_(1)  # type: ignore[operator]
        made.temperature.log_alpha.fill_(-2.0)
    return made


def test_settings_are_those_of_the_new_configuration_and_weights_those_of_the_old_run(old: Agent) -> None:
    new = agent(**{"optim.actor.learning_rate": 1e-5, "temperature.target_per_action": -3.0})
    start_from(new, old.state_dict(), "old")
    assert float(new.optim.actor.learning_rate) == pytest.approx(1e-5)
    assert float(new.optim.actor.count) == 0
    assert not new.optim.actor.moments()[0][0].any()
    assert new.temperature.target.tolist() == [-6.0]  # -3 for each of two actions
    assert new.temperature.log_alpha.tolist() == [-2.0]
    for name, weight in old.named_parameters():
        assert torch.equal(weight, new.get_parameter(name)), name


def test_a_policy_that_is_loaded_is_the_old_one_whole(old: Agent) -> None:
    new = agent(**{"optim.actor.learning_rate": 1e-5})
    take(new, old.state_dict(), "old")
    assert float(new.optim.actor.learning_rate) == pytest.approx(3e-4)
    assert float(new.optim.actor.count) == 7


def test_a_temperature_that_is_fixed_stays_what_it_was_set_to(old: Agent) -> None:
    new = agent(temperature=Fixed(0.25))
    start_from(new, old.state_dict(), "old")
    assert new.temperature().tolist() == [0.25]
    learned = agent()
    start_from(learned, new.state_dict(), "new")
    assert learned.temperature().tolist() == [0.25]
    assert not learned.optim.temperature.mean_0.any()  # type: ignore[operator, union-attr]


def test_networks_of_other_sizes_are_refused(old: Agent) -> None:
    for values in ({"actor.trunk.hidden": (9,)}, {"critic.members": 3}, {"actor.trunk.hidden": (8, 8)}):
        with pytest.raises(UserError, match="the weights of old do not fit this agent"):
            start_from(agent(**values), old.state_dict(), "old")


@pytest.mark.parametrize("new", [{"regularizer": L2Init()}, {"reward_scale": ReturnScale()}, {"plasticity": REPLACING}])
def test_parts_without_networks_may_differ(old: Agent, new: dict[str, Any]) -> None:
    """Weights are pulled to where the new run starts from."""
    made = agent(**new)
    start_from(made, old.state_dict(), "old")
    for name, weight in old.named_parameters():
        assert torch.equal(weight, made.get_parameter(name)), name
    assert sum(float(loss) for loss in made.regularizer.critic_losses().values()) == 0
    other = agent()
    start_from(other, made.state_dict(), "made")
    assert torch.equal(other.actor.out.weight, old.actor.out.weight)


def test_a_run_tells_whose_weights_it_began_with(tmp_path: Path) -> None:
    small: dict[str, Any] = {"steps": 20, "train.warmup": 10, "eval.episodes": 1, "video.every": "never", "threads": 1}
    first = softrl.train("Pendulum-v1", recipe="sac+tiny", run=tmp_path / "first", **small)
    then = softrl.train("Pendulum-v1", recipe="sac+tiny", run=tmp_path / "then", init=first, **small)
    assert not (first.path / FILE).exists()
    assert json.loads((then.path / FILE).read_text()) == {"init": str(tmp_path / "first")}
