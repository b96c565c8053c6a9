"""The agent: acting, and a state_dict that is the whole state of learning."""

import copy
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from softrl.agent.agent import Agent
from softrl.agent.config import AgentConfig
from softrl.nn.normalize import ReturnScale
from softrl.types import Spec, Step

SPEC = Spec({"state": (5,)}, 2)


@pytest.fixture
def agent() -> Agent:
    torch.manual_seed(0)
    return AgentConfig().build(SPEC)


def test_actions_lie_in_the_unit_box(agent: Agent) -> None:
    action, carry = agent.act({"state": torch.randn(100, 5) * 50}, {})
    assert action.shape == (100, 2)
    assert action.abs().max() <= 1
    assert carry == {}
    assert not action.requires_grad


def test_deterministic_acts_repeat_and_draw_nothing(agent: Agent) -> None:
    obs = {"state": torch.randn(3, 5)}
    before = torch.get_rng_state()
    first, _ = agent.act(obs, {}, deterministic=True)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(agent.act(obs, {}, deterministic=True)[0], first)
    assert not torch.equal(agent.act(obs, {})[0], first)


def test_state_dict_is_everything(agent: Agent, window: Any) -> None:
    """Through bytes and into a fresh agent, learning goes on bit for bit."""
    for _ in range(3):
        agent.update(window())
    other = AgentConfig().build(SPEC)
    other.load_state_dict(load(save(agent.state_dict())))
    for seed in range(3):
        torch.manual_seed(seed)
        w = window()
        rng = torch.get_rng_state()
        agent.update(w)
        torch.set_rng_state(rng)
        other.update(w)
    for name, value in agent.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_what_a_reset_returns_is_no_reward() -> None:
    """The second environment's row holds a final observation."""
    agent = AgentConfig(reward_scale=ReturnScale()).build(SPEC)
    said = (torch.zeros(2, 2), torch.tensor([1.0, 5.0]), torch.tensor([False, False]), torch.tensor([False, True]))
    carry = agent.observe(Step({"state": torch.zeros(2, 5)}, *said), agent.initial(2))
    assert carry["return"].tolist() == [1.0, 0.0]
    assert (agent.reward_scale.moments.count, agent.reward_scale.extreme) == (1, 1)


def test_a_copy_learns_on_its_own(agent: Agent, window: Any) -> None:
    other = copy.deepcopy(agent)
    before = agent.actor.out.weight.clone()
    other.update(window())
    assert torch.equal(agent.actor.out.weight, before)
    assert not torch.equal(other.actor.out.weight, before)
