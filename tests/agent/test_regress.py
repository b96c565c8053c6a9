"""The clipped regression against its formula, branch by branch."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from softrl.agent.regress import Clipped, Plain
from softrl.errors import UserError
from softrl.nn.critics import ActionOut
from softrl.nn.heads import Categorical, Prediction, Quantile, Scalar
from softrl.nn.trunks.mlp import MLP
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.types import Atoms, Batch, Spec, Window

B = 4
SPEC = Spec({"state": (3,)}, 0, (2,))


def agent_of(head, shift: Tensor | float) -> SimpleNamespace:
    """A critic, and a target whose rows are `shift` above those of the critic."""
    critic = ActionOut(MLP((8,)), head).build(3, SPEC)

    def target(z: Tensor, action: Tensor) -> Prediction:
        q = critic(z, action)
        return q._replace(output=q.output + shift)

    return SimpleNamespace(critic=critic, lookahead=SimpleNamespace(target=target))


def batch() -> Batch:
    z = torch.randn(B, 3)
    return Batch(z, z, z, z, torch.eye(2)[torch.randint(2, (B,))], torch.zeros(B), torch.ones(B), torch.ones(B))


def single(value: Tensor) -> Atoms:
    return Atoms(value[:, None], torch.ones(len(value), 1))


def test_plain_is_the_head_s_loss() -> None:
    agent, b, y = agent_of(Quantile(3), 0.0), batch(), single(torch.randn(B))
    q = agent.critic(b.z, b.action[None])
    assert torch.equal(Plain().build()(agent, b, q, y), agent.critic.loss(q, y))


def test_the_larger_of_two_squares() -> None:
    """Q' = Q + 2, so Q clipped to within 0.5 of it is Q + 1.5; targets lie 1 below and 1 above Q."""
    agent, b = agent_of(Scalar(), 2.0), batch()
    q = agent.critic(b.z, b.action[None])
    base = q.output[0, 0, :, 0].detach()
    agent.critic.loss = lambda p, y: Scalar().loss(p.output[:1, 0], y)  # the first member, whose targets these are
    below = Clipped(0.5).build()(agent, b, q, single(base - 1))
    above = Clipped(0.5).build()(agent, b, q, single(base + 1))
    torch.testing.assert_close(below, torch.full((1, B), 0.5 * 2.5**2), atol=1e-5, rtol=0)
    torch.testing.assert_close(above, torch.full((1, B), 0.5), atol=1e-5, rtol=0)


def test_a_value_that_ran_away_from_its_target_gets_no_gradient_further_away() -> None:
    """Q is 2 below Q' and y is below both: to sink lowers the plain loss, and the clipped one does not feel it."""
    agent, b = agent_of(Scalar(), 2.0), batch()
    q = agent.critic(b.z, b.action[None])
    y = single(q.output.amin(0)[0, :, 0].detach() - 1)
    weights = list(agent.critic.parameters())
    for gradient in torch.autograd.grad(Clipped(0.5).build()(agent, b, q, y).sum(), weights):
        assert not gradient.any()


@pytest.mark.parametrize("head", [Scalar(), Scalar("huber"), Quantile(3)])
def test_near_its_target_copy_nothing_is_clipped(head) -> None:
    agent, b, y = agent_of(head, 0.4), batch(), single(torch.randn(B))
    q = agent.critic(b.z, b.action[None])
    torch.testing.assert_close(Clipped(0.5).build()(agent, b, q, y), agent.critic.loss(q, y), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("recipe", ["sac_ae", "drq"])
def test_from_pixels_the_target_copy_reads_the_target_encoder(recipe: str) -> None:
    """DrQ's views are drawn at random: the copy sees those that the critic sees."""
    agent = apply(f"sd_sac+{recipe}+tiny", Run()).agent.build(Spec({"pixels": (9, 24, 24)}, 0, (2,), stack=3))
    for parameter in agent.encoder.body.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    seen: list[Tensor] = []
    agent.encoder.body.register_forward_hook(lambda _, read, __: seen.append(read[0]))
    judged: list[Tensor] = []
    agent.lookahead.target.register_forward_hook(lambda _, read, __: judged.append(read[0]))
    rows, flag = (3, 1), torch.zeros(3, 1, dtype=torch.bool)
    pixels, action = torch.randint(256, (3, 2, 9, 24, 24), dtype=torch.uint8), torch.eye(2)[[0, 1, 1]][:, None]
    window = Window(
        {"pixels": pixels}, action, torch.ones(rows), torch.ones(rows), flag, torch.ones(3), torch.arange(3)
    )
    agent.update(window, actor=False, follow=False)
    _, old = judged  # the first is of the next observations
    torch.testing.assert_close(old, agent.encoder.target(seen[0])[1])


def test_only_where_it_is_asked_for_the_target_encoder_sees_the_observation_itself() -> None:
    spec = Spec({"pixels": (9, 24, 24)}, 0, (2,), stack=3)
    given = [
        apply(f"{name}+drq+tiny", Run()).agent.build(spec).encoder.gives_old for name in ("sd_sac", "sac_discrete")
    ]
    assert given == [True, False]


def test_probabilities_are_not_clipped() -> None:
    Clipped().check(Quantile(3))
    Plain().check(Categorical())
    with pytest.raises(UserError, match="Categorical head learns probabilities"):
        Clipped().check(Categorical())


def test_a_distance_is_positive() -> None:
    with pytest.raises(UserError, match="distance"):
        dataclasses.replace(Clipped(), distance=0.0)
