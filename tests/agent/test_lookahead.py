"""Lookaheads: what they judge with, and how it follows."""

import torch
from torch import nn

from softrl.agent.lookahead import Split, StateTarget, follow
from softrl.nn.critics import ActionIn, StateValue
from softrl.nn.trunks.mlp import MLP
from softrl.types import Batch, Spec

SPEC = Spec({"state": (3,)}, 2)
SMALL = MLP((4,))


def batch() -> Batch:
    z, ahead = torch.randn(5, 3), torch.randn(5, 3)
    return Batch(z, ahead, ahead + 1, torch.randn(5, 2), torch.randn(5), torch.ones(5), torch.ones(5))


def test_polyak_by_hand() -> None:
    target, source = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    target.weight.data.fill_(0.0)
    source.weight.data.fill_(1.0)
    values = []
    for _ in range(3):
        follow(target, source, 0.5)
        values.append(target.weight.item())
    assert values == [0.5, 0.75, 0.875]


def test_split_judges_the_taken_action_by_the_critic_and_the_next_by_the_target() -> None:
    critic = ActionIn(SMALL).build(3, SPEC)
    lookahead = Split().build(critic, 3, SPEC)
    critic.out.bias.data += 1  # from here on critic and target differ
    b, next_action = batch(), torch.randn(1, 5, 2)
    q, q_next = lookahead(critic, b, next_action)
    assert torch.equal(q.row, critic(b.z, b.action[None]).row)
    assert torch.equal(q_next.row, lookahead.target(b.target_z, next_action).row)
    assert q.row.requires_grad
    assert not q_next.row.requires_grad
    assert not any(p.requires_grad for p in lookahead.parameters())


def test_state_target_learns_v_and_looks_ahead_with_its_copy() -> None:
    lookahead = StateTarget(StateValue(SMALL)).build(nn.Identity(), 3, SPEC)
    lookahead.value.out.bias.data += 1
    b = batch()
    v, ahead = lookahead(b)
    assert v.row.requires_grad
    assert ahead.value.shape == (5, 1)
    assert torch.equal(ahead.mean(), lookahead.target(b.target_z).atoms.mean()[0, 0])
    assert not ahead.value.requires_grad
