"""Dreamer's update against the same numbers computed start by start."""

import copy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softrl.agent.agent import Agent
from softrl.agent.config import AgentConfig
from softrl.agent.dream import Imagination, reach_weights, update_dreamer
from softrl.agent.regularize import L2Init
from softrl.agent.temperature import Entropy, Fixed, Learned
from softrl.errors import UserError
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.critics import StateValue
from softrl.nn.encoders.world import World
from softrl.nn.heads import Scalar
from softrl.nn.imagine import imagine
from softrl.nn.latents import Normal
from softrl.nn.normalize import Scale
from softrl.nn.rssm import RSSM
from softrl.nn.sights import Vectors
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec, Window

TINY = MLP((8,), activation="elu")
SPEC = Spec({"state": (3,)}, 2, gamma=0.9, sequence=5)
B, T, H = 3, 5, 4


@dataclass(frozen=True)
class Value:
    """The state value in the place of a critic."""

    trunk: MLP = TINY
    head: Scalar = Scalar()
    members = 1
    needs = frozenset[str]()

    def build(self, latent: int, spec: Spec) -> nn.Module:
        return StateValue(self.trunk, self.head).build(latent)


def agent(entropy: Entropy | None = None, tau: float = 1.0, **parts: Any) -> Agent:
    torch.manual_seed(0)
    default: dict[str, Any] = {
        "encoder": World(Vectors(TINY, TINY), RSSM(7, 8, Normal(4)), TINY, TINY, free_nats=0.0),  # type: ignore[arg-type]
        "actor": Gaussian(TINY),
        "critic": Value(),
        "lookahead": Imagination(H, 0.95, tau),
        "temperature": Fixed(0.3, entropy or Entropy(in_backup=False)),
        "reward_scale": Scale(2.0),
    }
    return Agent(AgentConfig(**default | parts), SPEC)


def window() -> Window:
    last = torch.zeros(B, T, dtype=torch.bool)
    last[0, 2] = True
    first = torch.cat([torch.ones(B, 1, dtype=torch.bool), last[:, :-1]], 1)
    return Window(
        {"state": torch.randn(B, T, 3)},
        torch.rand(B, T, 2) * 2 - 1,
        torch.randn(B, T),
        0.9 * (torch.rand(B, T) < 0.9).float(),
        first,
        torch.ones(B),
        torch.arange(B),
        last,
    )


def textbook(agent: Any, w: Window, in_backup: float, in_actor: float) -> tuple[Tensor, Tensor]:
    """Actor and value loss, after the model has moved, by a loop over starts and times."""
    world = agent.encoder
    trace = world.trace(w)
    agent.optim.encoder.step(world.losses(w, trace))
    start = trace.filtered.features[:, 0].detach().flatten(0, 1)
    dream = imagine(world, agent.actor, start, H)
    log_prob = dream.actions.log_prob[0, :, 0].unflatten(0, (H, -1))
    assert w.last is not None
    actor_loss, value_loss = torch.zeros(()), torch.zeros(())
    for r in range(len(start)):
        follows = agent.lookahead.target(dream.features[H, r][None]).atoms.mean()[0, 0, 0]
        returns = []
        for t in reversed(range(H)):
            value = agent.lookahead.target(dream.features[t + 1, r][None]).atoms.mean()[0, 0, 0]
            own = 2.0 * dream.reward[t, r] - in_backup * 0.3 * log_prob[t, r]
            follows = own + 0.9 * dream.continue_prob[t, r] * (0.05 * value + 0.95 * follows)
            returns.insert(0, follows)
        weight = 0.0 if w.last[r % B, r // B] else 1.0
        for t in range(H):
            # What the policy earns for its entropy now; for later entropy the return has paid.
            objective = returns[t] + (in_backup - in_actor) * 0.3 * log_prob[t, r]
            actor_loss = actor_loss - weight * objective / (H * len(start))
            v = agent.critic(dream.features[t, r].detach()[None]).atoms.mean()[0, 0, 0]
            value_loss = value_loss + weight * 0.5 * (v - returns[t].detach()).square() / (H * len(start))
            weight = weight * 0.9 * dream.continue_prob[t, r].detach()
    return actor_loss, value_loss


@pytest.mark.parametrize(("in_backup", "in_actor"), [(False, True), (True, True), (True, False)])
def test_losses_and_gradients_equal_the_textbooks(in_backup: bool, in_actor: bool) -> None:
    ours, w = agent(Entropy(in_backup, in_actor)), window()
    other = copy.deepcopy(ours)
    torch.manual_seed(1)
    actor_loss, value_loss = textbook(other, w, float(in_backup), float(in_actor))
    torch.manual_seed(1)
    metrics, error = update_dreamer(ours, w)
    torch.testing.assert_close(metrics["actor_loss"], actor_loss.detach())
    torch.testing.assert_close(metrics["critic_loss"], value_loss.detach())
    assert error.shape == (B,)
    # Adam's first mean is a tenth of the gradient.
    for part, loss in ((other.actor, actor_loss), (other.critic, value_loss)):
        group = ours.optim.actor if part is other.actor else ours.optim.value
        gradients = torch.autograd.grad(loss, list(part.parameters()), retain_graph=True)
        for mean, gradient in zip(group.moments()[0], gradients, strict=True):
            torch.testing.assert_close(mean, 0.1 * gradient, atol=1e-6, rtol=1e-3)


def test_policy_and_value_change_no_weight_of_the_world() -> None:
    one, other, w = agent(), agent(), window()
    for parameter in (*other.actor.parameters(), *other.critic.parameters()):
        parameter.data.add_(0.2)
    for a in (one, other):
        torch.manual_seed(1)
        update_dreamer(a, w)
    for p, q in zip(one.encoder.parameters(), other.encoder.parameters(), strict=True):
        assert torch.equal(p, q)


def test_flags_hold_the_policy_and_the_copy_still() -> None:
    a = agent(tau=0.5)
    before = copy.deepcopy(a.state_dict())
    metrics, _ = update_dreamer(a, window(), actor=False, follow=False)
    after = a.state_dict()
    still = [n for n in before if n.startswith(("actor.", "lookahead."))]
    assert still
    assert all(torch.equal(before[n], after[n]) for n in still)
    assert "actor_loss" not in metrics
    assert all(value.isfinite() for value in metrics.values())


def test_the_copy_follows() -> None:
    for tau in (1.0, 0.25):
        a = agent(tau=tau)
        before = [p.clone() for p in a.lookahead.target.parameters()]
        update_dreamer(a, window())
        for was, p, q in zip(before, a.lookahead.target.parameters(), a.critic.parameters(), strict=True):
            torch.testing.assert_close(p, was + tau * (q - was))


def test_the_temperature_learns_from_imagined_actions() -> None:
    a = agent(temperature=Learned(0.3))
    metrics, _ = update_dreamer(a, window())
    # Adam's first mean is a tenth of the gradient to log alpha.
    gradient = 0.3 * (metrics["entropy"] - metrics["target_entropy"])
    torch.testing.assert_close(a.optim.temperature.moments()[0][0], 0.1 * gradient[None])


def test_policy_and_value_are_pulled_to_where_they_started() -> None:
    a = agent(regularizer=L2Init(1e6))
    for network in (a.actor, a.critic):
        network.out.weight.data.add_(1.0)
    metrics, _ = update_dreamer(a, window())
    assert {"value_l2_init_loss", "actor_l2_init_loss"} <= metrics.keys()
    for network, optimizer in ((a.actor, a.optim.actor), (a.critic, a.optim.value)):
        (mean,) = [
            m for p, m in zip(optimizer.parameters_held, optimizer.moments()[0], strict=True) if p is network.out.weight
        ]
        torch.testing.assert_close(mean, torch.full_like(mean, 1e5), rtol=1e-3, atol=0)


def test_a_batch_norm_of_the_actor_learns_what_imagined_states_look_like() -> None:
    a = agent(actor=Gaussian(MLP((8,), norm="batch")))
    update_dreamer(a, window())
    assert [float(value) for name, value in a.actor.state_dict().items() if name.endswith("count")] == [H]


def test_what_is_reached_by_hand() -> None:
    discount = torch.tensor([[0.5, 0.9], [0.8, 0.9], [0.1, 0.9]])
    weight = reach_weights(discount, torch.tensor([True, False]))
    torch.testing.assert_close(weight, torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.4, 0.0]]))


@pytest.mark.slow
def test_it_traces_into_one_graph() -> None:
    one, w = agent(), window()
    other = copy.deepcopy(one)
    torch.manual_seed(1)
    expected, _ = update_dreamer(one, w)
    torch.manual_seed(1)
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        metrics, _ = torch.compile(update_dreamer, fullgraph=True, backend="eager")(other, w)
    assert metrics.keys() == expected.keys()
    for name in metrics:
        torch.testing.assert_close(metrics[name], expected[name])
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_bad_values_are_refused() -> None:
    with pytest.raises(UserError, match="horizon is 0"):
        Imagination(0)
    with pytest.raises(UserError, match="decay is 2"):
        Imagination(decay=2)
    with pytest.raises(UserError, match="tau is 0"):
        Imagination(tau=0)
