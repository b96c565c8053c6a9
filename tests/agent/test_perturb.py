"""Shrink and perturb: towards what a parameter started at, and back on the constraints of weights."""

from collections.abc import Callable

import torch

from softrl.agent.config import AgentConfig
from softrl.agent.explore import StateDependent
from softrl.agent.lookahead import StateTarget
from softrl.agent.plasticity import ShrinkAndPerturb
from softrl.agent.temperature import Fixed
from softrl.nn.actors.gsde import GSDE
from softrl.nn.critics import ActionIn
from softrl.nn.layers import DiracLinear
from softrl.nn.trunks.dirac import Dirac
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec, Window

SPEC = Spec({"state": (5,)}, 2)


def test_what_starts_at_one_value_moves_towards_it(window: Callable[..., Window]) -> None:
    """A log deviation of gSDE starts at -3 and a layer of DiracNets at the identity: neither is shrunk towards zero."""
    perturbed = ShrinkAndPerturb(every=1, shrink=0.5, noise=0.01)
    agent = AgentConfig(
        actor=GSDE(Dirac(6, 2)), explorer=StateDependent(), critic=ActionIn(MLP((6, 4))), plasticity=perturbed
    ).build(SPEC)
    layer = next(part for part in agent.actor.modules() if isinstance(part, DiracLinear))
    layer.identity.data.fill_(2.0)
    agent.actor.log_std.data.fill_(-1.0)
    agent.plasticity.intervene(agent, window(), 1)
    torch.testing.assert_close(agent.actor.log_std, torch.full_like(agent.actor.log_std, -2.0))  # halfway to -3
    torch.testing.assert_close(layer.identity, torch.full_like(layer.identity, 1.5))  # halfway to 1


def test_the_state_value_is_perturbed_with_the_critic_whose_optimiser_it_shares(window: Callable[..., Window]) -> None:
    agent = AgentConfig(
        update="sac_v1", lookahead=StateTarget(), temperature=Fixed(), plasticity=ShrinkAndPerturb(1, 0.5, 0.0)
    ).build(SPEC)
    before = agent.lookahead.value.out.weight.clone()
    agent.plasticity.intervene(agent, window(), 1)
    torch.testing.assert_close(agent.lookahead.value.out.weight, before / 2)


def test_perturbed_weights_are_put_back_on_their_constraint(window: Callable[..., Window]) -> None:
    critic = ActionIn(MLP((6, 4), unit_norm=True))
    agent = AgentConfig(critic=critic, plasticity=ShrinkAndPerturb(every=1)).build(SPEC)
    agent.plasticity.intervene(agent, window(), 1)
    for layer in agent.critic.trunk.layers:
        lengths = torch.cat([layer.weight, layer.bias], 1).norm(dim=1)
        torch.testing.assert_close(lengths, torch.ones_like(lengths))
