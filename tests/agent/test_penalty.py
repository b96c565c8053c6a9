"""The entropy penalty against entropies by hand."""

import copy

import pytest
import torch
from torch.distributions import Categorical as Reference

from softrl.agent.config import AgentConfig
from softrl.agent.penalty import EntropyPenalty, Unpenalized
from softrl.errors import UserError
from softrl.nn.actors.categorical import Categorical
from softrl.nn.actors.factored import Factored
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec

SPEC = Spec({"state": (3,)}, 0, (4,))
SMALL = Categorical(MLP((8,)))


def test_the_neutral_part_has_no_loss_and_no_state() -> None:
    actor, z = SMALL.build(3, SPEC), torch.randn(5, 3)
    part = Unpenalized().build(actor, SPEC)
    assert part(actor, z, actor(z)) == {}
    assert not part.state_dict()


def test_half_the_squared_distance_from_the_entropy_of_a_slow_copy() -> None:
    actor, z = SMALL.build(3, SPEC), torch.randn(5, 3)
    old = copy.deepcopy(actor)
    part = EntropyPenalty(strength=3.0, tau=0.1).build(actor, SPEC)
    for parameter in actor.parameters():
        parameter.data.add_(torch.randn_like(parameter))
    loss = part(actor, z, actor(z))["entropy_penalty_loss"]
    for slow, fast in zip(old.parameters(), actor.parameters(), strict=True):
        slow.data.add_(0.1 * (fast.data - slow.data))
    now, before = (Reference(logits=x.logits(z)).entropy() for x in (actor, old))
    expected = 1.5 * (before.detach() - now).square().mean()
    assert expected > 1e-3
    torch.testing.assert_close(loss, expected)
    weights = list(actor.parameters())
    pairs = zip(torch.autograd.grad(loss, weights), torch.autograd.grad(expected, weights), strict=True)
    for found, wanted in pairs:
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)


def test_the_copy_is_state_and_is_not_learned() -> None:
    part = EntropyPenalty().build(SMALL.build(3, SPEC), SPEC)
    assert part.state_dict()
    assert not any(parameter.requires_grad for parameter in part.parameters())


def test_sampled_entropies_are_refused() -> None:
    spec = Spec({"state": (3,)}, 2)
    with pytest.raises(UserError, match="discrete actions only"):
        EntropyPenalty().build(Gaussian().build(3, spec), spec)


@pytest.mark.parametrize("wrong", [{"strength": 0.0}, {"tau": 0.0}, {"tau": 1.5}])
def test_wrong_values(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        EntropyPenalty(**wrong)


def test_entropies_of_a_factored_policy_are_sampled_and_refused() -> None:
    config = AgentConfig(actor=Factored(MLP((8,))), penalty=EntropyPenalty())
    with pytest.raises(UserError, match=r"agent\.penalty needs exact entropy, .* a few discrete actions only"):
        config.build(Spec({"state": (3,)}, 0, (3, 3)))
