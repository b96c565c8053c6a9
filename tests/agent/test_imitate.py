"""Behaviour priors against torch.distributions and loops."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from softrl.agent.agent import Agent
from softrl.agent.capture import parts
from softrl.agent.chunk import AdaptiveChunk, Chunk
from softrl.agent.config import AgentConfig
from softrl.agent.imitate import Cloning, EpisodeCloning, SelectiveCloning, Unguided, log_density, taken_actions
from softrl.agent.temperature import Fixed
from softrl.errors import UserError
from softrl.math.chunks import masked
from softrl.nn.actors.deterministic import Deterministic
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.critics import ActionIn
from softrl.nn.trunks.mlp import MLP
from softrl.types import Batch, Spec, Window

B, D, A, H = 12, 3, 2, 4
SPEC = Spec({"state": (D,)}, A, gamma=0.9)
SMALL = MLP((8,))


def built(chunk: Any = None, **parts: Any) -> Agent:
    torch.manual_seed(0)
    config = AgentConfig(actor=Gaussian(SMALL), critic=ActionIn(SMALL), chunk=chunk or Chunk(), **parts)
    return config.build(SPEC)


def batch(action: Tensor, discount: Tensor) -> Batch:
    z, rows = torch.randn(len(action), D), len(action)
    return Batch(z, z, torch.randn(rows, D), z, action, torch.randn(rows), discount, torch.ones(rows))


def plans() -> tuple[Tensor, Tensor, Batch]:
    """Plans [B,h,A] of all lengths, how many of their actions were taken for certain, [B], and their batch."""
    actions, length = torch.rand(B, H, A) * 2 - 1, torch.arange(B) % H + 1
    ended = torch.arange(B) >= B - 3
    told = masked(actions, length).flatten(1)
    return actions, torch.where(ended, 1, length), batch(told, torch.where(ended, 0.0, 0.9**length))


def textbook(agent: Agent, z: Tensor, actions: Tensor, taken: Tensor) -> Tensor:
    """Mean over rows of the summed -log pi of the actions that were taken, row by row."""
    total = torch.zeros(())
    for b in range(B):
        mean, log_std = (moment.view(-1, A) for moment in agent.actor.distribution(z[b : b + 1]))
        for i in range(int(taken[b])):
            law = TransformedDistribution(Normal(mean[i], log_std[i].exp()), TanhTransform(cache_size=0))
            total = total - law.log_prob(actions[b, i]).sum()
    return total / B


def test_the_neutral_part_has_no_loss_and_no_state() -> None:
    agent = built()
    part = Unguided().build(SPEC)
    assert part(agent, batch(torch.rand(B, A), torch.ones(B)), torch.zeros(B)) == {}
    assert not part.state_dict()


def test_single_actions_have_the_textbooks_loss_and_gradient() -> None:
    agent, actions = built(), torch.rand(B, 1, A) * 2 - 1
    b = batch(actions[:, 0], (torch.arange(B) % 2).float())
    loss = Cloning(0.3).build(agent.spec)(agent, b, torch.zeros(B))["imitation_loss"]
    expected = 0.3 * textbook(agent, b.z, actions, torch.ones(B))
    compare(agent, loss, expected)


def compare(agent: Agent, loss: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(loss, expected)
    weights = list(agent.actor.actor.parameters() if agent.spec.chunk > 1 else agent.actor.parameters())
    pairs = zip(torch.autograd.grad(loss, weights), torch.autograd.grad(expected, weights), strict=True)
    for found, wanted in pairs:
        assert wanted.abs().sum() > 0
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("chunk", [Chunk(H), AdaptiveChunk(H, trunk=MLP((8,)))], ids=["fixed", "adaptive"])
def test_of_plans_only_what_was_taken_is_cloned(chunk: Any) -> None:
    agent = built(chunk)
    actions, taken, b = plans()
    loss = Cloning(0.3).build(agent.spec)(agent, b, torch.zeros(B))["imitation_loss"]
    compare(agent, loss, 0.3 * textbook(agent, b.z, actions, taken))


def test_only_actions_that_the_critics_like_better_are_cloned() -> None:
    agent = built(Chunk(H))
    actions, taken, b = plans()
    worth = agent.critic(b.z, b.action[None]).atoms.mean().amin(0)[0].detach()  # the lesser of two critics
    value = worth + torch.where(torch.arange(B) % 2 == 0, -0.1, 0.1)
    loss = SelectiveCloning(0.3).build(agent.spec)(agent, b, value)["imitation_loss"]
    compare(agent, loss, 0.3 * textbook(agent, b.z, actions, taken * (torch.arange(B) % 2 == 0)))


def test_only_rows_of_the_best_episodes_are_cloned() -> None:
    agent = built(Chunk(H), imitation=EpisodeCloning(0.3, best=0.2))
    assert agent.spec.best == 0.2  # which replay goes by
    actions, taken, b = plans()
    best = torch.arange(B) % 3 == 0
    loss = agent.imitation(agent, b._replace(best=best), torch.zeros(B))["imitation_loss"]
    compare(agent, loss, 0.3 * textbook(agent, b.z, actions, taken * best))


def test_a_window_that_points_out_no_rows_is_refused() -> None:
    agent = built(Chunk(H), imitation=EpisodeCloning())
    with pytest.raises(UserError, match="this window has none: sample it from replay"):
        agent.imitation(agent, plans()[2], torch.zeros(B))


def test_rows_without_a_decision_are_not_cloned() -> None:
    """Of a world model's sequences: final observations weigh nothing. Other weights correct the critic's loss only."""
    agent, actions = built(), torch.rand(B, 1, A) * 2 - 1
    weight = torch.arange(B) / 3 - 1.0
    weight = weight.clamp(min=0)
    b = batch(actions[:, 0], torch.ones(B))._replace(weight=weight)
    loss = Cloning(0.3).build(agent.spec)(agent, b, torch.zeros(B))["imitation_loss"]
    compare(agent, loss, 0.3 * textbook(agent, b.z, actions, weight > 0))


def test_the_critic_learns_nothing_from_it() -> None:
    agent = built()
    b = batch(torch.rand(B, A), torch.ones(B))
    loss = SelectiveCloning().build(SPEC)(agent, b, torch.full((B,), -1e3))["imitation_loss"]
    assert torch.autograd.grad(loss, list(agent.critic.parameters()), allow_unused=True) == (None,) * len(
        list(agent.critic.parameters())
    )


def test_which_actions_were_taken_by_hand() -> None:
    mark = torch.tensor([[1.0, 1, 0], [1, 1, 1], [1, 0, 0]])[..., None]
    assert taken_actions(mark, torch.tensor([0.8, 0.0, 0.9])).tolist() == [[1, 1, 0], [1, 0, 0], [1, 0, 0]]
    assert taken_actions(torch.ones(2, 1, 0), torch.tensor([0.0, 0.9])).tolist() == [[1], [1]]


def test_cloning_alone_is_maximum_likelihood() -> None:
    """A policy that ignores the state is at its optimum where its moments are those of the data before squashing."""
    agent, u = built(), torch.randn(500, A) * torch.tensor([0.5, 1.0]) + torch.tensor([0.3, -0.2])
    agent.actor.out.weight.data.zero_()
    moments = torch.cat([u.mean(0), u.std(0, correction=0).log()])
    agent.actor.out.bias.data.copy_(moments[None, None])
    b = batch(u.tanh(), torch.ones(500))
    loss = Cloning(1.0).build(SPEC)(agent, b, torch.zeros(500))["imitation_loss"]
    (gradient,) = torch.autograd.grad(loss, [agent.actor.out.bias])
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-4, rtol=0)


def test_actions_at_the_bounds_have_a_finite_density_and_gradient() -> None:
    mean = torch.zeros(1, 2, requires_grad=True)
    log_prob = log_density(mean, torch.zeros(1, 2), torch.tensor([[-1.0, 1.0]]))
    (gradient,) = torch.autograd.grad(log_prob.sum(), [mean])
    assert log_prob.isfinite().all()
    torch.testing.assert_close(gradient, torch.tensor([[-6.1, 6.1]]), atol=0.1, rtol=0)


def window() -> Window:
    flags = torch.zeros(B, 1, dtype=torch.bool)
    told = masked(torch.rand(B, H, A) * 2 - 1, torch.randint(1, H + 1, (B,)))
    state = {"state": torch.randn(B, 2, D)}
    return Window(state, told, torch.randn(B, 1), torch.full((B, 1), 0.6), flags, torch.ones(B), torch.arange(B))


def test_the_update_adds_the_term_to_the_actors_loss() -> None:
    """A prior of great strength makes the replayed plans likelier; without one the metric is not there."""
    agent = built(Chunk(H), imitation=Cloning(10.0))
    w = window()
    losses = [float(agent.update(w)[0]["imitation_loss"]) for _ in range(30)]
    assert losses[-1] < losses[0] - 1
    assert "imitation_loss" not in built(Chunk(H)).update(w)[0]


def test_the_rows_that_are_pointed_out_are_learned_from_in_groups_of_updates() -> None:
    agent = built(Chunk(H), imitation=EpisodeCloning(10.0))
    w = window()._replace(best=torch.arange(B) >= B // 2)
    none, every = parts(w, 2)
    assert none.last is every.last is None
    losses = [float(agent.update(part)[0]["imitation_loss"]) for part in (none, every)]
    assert losses[0] == 0
    assert losses[1] != 0


@pytest.mark.slow
def test_it_traces_into_one_graph() -> None:
    agent, (_, _, b) = built(Chunk(H), imitation=SelectiveCloning()), plans()
    traced = torch.compile(lambda value: agent.imitation(agent, b, value), fullgraph=True, backend="eager")
    value = torch.randn(B)
    torch.testing.assert_close(traced(value), agent.imitation(agent, b, value))


@pytest.mark.parametrize("best", [0.0, 0.6, -0.1])
def test_a_share_that_picks_no_episodes_or_most_is_refused(best: float) -> None:
    with pytest.raises(UserError, match=r"agent\.imitation\.best is .*recipe bc clones all"):
        EpisodeCloning(best=best)


def test_episodes_of_sequences_are_refused() -> None:
    with pytest.raises(UserError, match="use recipe bc or bc_better"):
        EpisodeCloning().build(SPEC._replace(sequence=10))


@pytest.mark.parametrize("config", [Cloning, SelectiveCloning, EpisodeCloning])
def test_what_cannot_be_is_refused(config: Any) -> None:
    with pytest.raises(UserError, match=r"agent\.imitation\.strength is 0"):
        config(0.0)
    with pytest.raises(UserError, match=r"agent\.imitation needs distribution"):
        AgentConfig(actor=Deterministic(), temperature=Fixed(), imitation=config()).build(SPEC)
    with pytest.raises(UserError, match="clones continuous actions only"):
        AgentConfig(imitation=config()).build(Spec({"state": (D,)}, 2, (3,)))
