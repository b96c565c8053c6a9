"""Lookaheads: what they judge with, and how it follows."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from softrl.agent.config import AgentConfig
from softrl.agent.lookahead import Joint, JointTarget, Split, StateTarget
from softrl.math.rules import Minimum, SubsetMinimum
from softrl.nn.critics import ActionIn, StateValue
from softrl.nn.trunks.mlp import MLP
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.types import Batch, Spec

SPEC = Spec({"state": (3,)}, 2)
SMALL = MLP((4,))
members = pytest.mark.parametrize("members", [1, 3])


def batch() -> Batch:
    z, ahead = torch.randn(5, 3), torch.randn(5, 3)
    return Batch(z, z, ahead, ahead + 1, torch.randn(5, 2), torch.randn(5), torch.ones(5), torch.ones(5))


def plain(critic: nn.Module, z: torch.Tensor, action: torch.Tensor, member: int) -> torch.Tensor:
    """A network with one hidden layer of ReLUs, [B,D], [B,A] -> [B]."""
    layer, out = critic.trunk.layers[0], critic.out
    h = (torch.cat([z, action], 1) @ layer.weight[member] + layer.bias[member]).relu()
    return (h @ out.weight[member] + out.bias[member])[:, 0]


@members
def test_split_judges_the_taken_action_by_the_critic_and_the_next_by_the_target(members: int) -> None:
    critic = ActionIn(SMALL, members=members).build(3, SPEC)
    lookahead = Split(tau=0.25).build(critic, 3, SPEC)
    critic.out.bias.data += 1  # from here on critic and target differ
    b, next_action = batch(), torch.randn(1, 5, 2)
    q, q_next = lookahead(critic, b, next_action)
    for member in range(members):
        expected = plain(critic, b.z, b.action, member)
        torch.testing.assert_close(q.output[member, 0, :, 0], expected)
        late = plain(critic, b.target_z, next_action[0], member) - 1
        torch.testing.assert_close(q_next.output[member, 0, :, 0], late)
    lookahead.follow(critic)
    torch.testing.assert_close(lookahead.target.out.bias, critic.out.bias - 0.75)
    assert q.output.requires_grad
    assert not q_next.output.requires_grad
    assert not any(p.requires_grad for p in lookahead.parameters())


FEW = ("redq", "tqc", "hl_gauss", "bro", "simba", "simbav2", "d2rl", "dirac", "normformer", "moe", "soft_moe")


@pytest.mark.parametrize("recipe", FEW)
def test_members_drawn_before_they_judge_are_those_drawn_afterwards(recipe: str) -> None:
    """The minimum of two of five members: the same two as the rule draws of all of them, and the same values."""
    config = override(apply(f"{recipe}+tiny", Run()), {"agent.critic.members": 5}).agent
    agent = replace(config, target_rule=SubsetMinimum(2)).build(SPEC)
    for p in agent.lookahead.target.parameters():  # which otherwise are ones and zeros in all members alike
        p.mul_(1 + torch.rand_like(p) / 8)
    b, next_action = batch(), torch.randn(1, 5, 2)
    chosen = set()
    for seed in range(9):
        torch.manual_seed(seed)
        drawn = agent.target_rule(agent.lookahead(agent.critic, b, next_action)[1].atoms)
        torch.manual_seed(seed)
        every = agent.lookahead.target(b.target_z, next_action).atoms
        torch.testing.assert_close(drawn, agent.target_rule(every), atol=1e-5, rtol=1e-5)
        chosen.add(round(float(drawn.mean().sum()), 3))
    assert len(chosen) > 2


def test_all_members_judge_where_the_rule_needs_them_or_a_part_is_from_elsewhere() -> None:
    """Of a trunk from elsewhere nobody knows where it keeps its members."""
    assert AgentConfig(target_rule=Minimum()).members_asked() is None
    few = AgentConfig(target_rule=SubsetMinimum(1))
    assert few.members_asked() == (1, 2)
    assert replace(few, target_rule=SubsetMinimum(2)).members_asked() is None
    assert replace(few, lookahead=JointTarget()).members_asked() is None
    assert replace(few, critic=ActionIn(OwnTrunk())).members_asked() is None
    assert replace(few, target_rule=OwnRule(1)).members_asked() is None
    assert replace(few, update=f"{__name__}:own_update").members_asked() is None


@dataclass(frozen=True)
class OwnTrunk(MLP):
    """A trunk whose module is not one of softrl's."""


@dataclass(frozen=True)
class OwnRule(SubsetMinimum):
    """A rule whose module is not one of softrl's."""


def test_state_target_learns_v_and_looks_ahead_with_its_copy() -> None:
    lookahead = StateTarget(StateValue(SMALL)).build(nn.Identity(), 3, SPEC)
    lookahead.value.out.bias.data += 1
    b = batch()
    v, ahead = lookahead(b)
    assert v.output.requires_grad
    assert ahead.value.shape == (5, 1)
    assert torch.equal(ahead.mean(), lookahead.target(b.target_z).atoms.mean()[0, 0])
    assert not ahead.value.requires_grad


NORMED = MLP((4,), norm="batch", norm_place="after", norm_inputs=True)


def textbook(critic: nn.Module, x: torch.Tensor, member: int) -> torch.Tensor:
    """Two batch norms around a linear layer and a ReLU, with the statistics of the batch, [R,D] -> [R]."""

    def norm(h: torch.Tensor) -> torch.Tensor:
        return (h - h.mean(0)) / (h.var(0, correction=0) + 1e-3).sqrt()

    layer, out = critic.trunk.layers[0], critic.out
    h = norm((norm(x) @ layer.weight[member] + layer.bias[member]).relu())
    return (h @ out.weight[member] + out.bias[member])[:, 0]


@members
def test_a_joint_pass_shares_its_statistics_and_their_gradient(members: int) -> None:
    critic = ActionIn(NORMED, members=members).build(3, SPEC)
    b, next_action = batch(), torch.randn(1, 5, 2)
    q, q_next = Joint().build(critic, 3, SPEC)(critic, b, next_action)
    x = torch.cat([torch.cat([b.z, b.action], 1), torch.cat([b.target_z, next_action[0]], 1)])
    for member in range(members):
        expected = textbook(critic, x, member)
        torch.testing.assert_close(q.output[member, 0, :, 0], expected[:5])
        torch.testing.assert_close(q_next.output[member, 0, :, 0], expected[5:].detach())
    assert q.output.requires_grad
    assert not q_next.output.requires_grad
    weight = critic.trunk.layers[0].weight
    found = torch.autograd.grad(q.output.square().sum(), weight)[0]
    wanted = torch.autograd.grad(sum(textbook(critic, x, e)[:5].square().sum() for e in range(members)), weight)[0]
    torch.testing.assert_close(found, wanted)


def test_a_joint_pass_takes_several_next_actions() -> None:
    critic = ActionIn(NORMED).build(3, SPEC)
    b, next_action = batch(), torch.randn(2, 5, 2)
    q, q_next = Joint().build(critic, 3, SPEC)(critic, b, next_action)
    pairs = [pair for action in next_action for pair in ((b.z, b.action), (b.target_z, action))]
    expected = textbook(critic, torch.cat([torch.cat(pair, 1) for pair in pairs]), 1).view(2, 2, 5)
    torch.testing.assert_close(q.output[1, 0, :, 0], expected[0, 0])
    torch.testing.assert_close(q_next.output[1, :, :, 0], expected[:, 1].detach())


def test_only_the_joint_pass_moves_the_running_statistics() -> None:
    critic = ActionIn(NORMED).build(3, SPEC)
    norm = critic.trunk.norm_inputs
    b, next_action = batch(), torch.randn(1, 5, 2)
    critic(b.z, b.action[None])
    assert norm.count == 0
    Joint().build(critic, 3, SPEC)(critic, b, next_action)
    assert norm.count == 1


@members
def test_a_joint_target_judges_what_is_next_in_a_pass_of_its_own(members: int) -> None:
    critic = ActionIn(NORMED, members=members).build(3, SPEC)
    lookahead = JointTarget(tau=0.5).build(critic, 3, SPEC)
    critic.out.bias.data += 1
    b, next_action = batch(), torch.randn(1, 5, 2)
    q, q_next = lookahead(critic, b, next_action)
    x = torch.cat([torch.cat([b.z, b.action], 1), torch.cat([b.target_z, next_action[0]], 1)])
    for member in range(members):
        torch.testing.assert_close(q.output[member, 0, :, 0], textbook(critic, x, member)[:5])
        torch.testing.assert_close(q_next.output[member, 0, :, 0], textbook(lookahead.target, x, member)[5:])
    lookahead.follow(critic)
    torch.testing.assert_close(lookahead.target.out.bias, critic.out.bias - 0.5)
