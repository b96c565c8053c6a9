"""Policies over plans: densities of what is executed, and the lengths that confidences choose."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from softrl.math.chunks import mask
from softrl.nn.actors.chunked import AllLengths, ChunkedActor, ConfidentLengths, Lengths
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec

B, D, H, A, GAMMA = 64, 4, 3, 2, 0.9
SPEC = Spec({"state": (D,)}, A, chunk=H, gamma=GAMMA)


def built(lengths: Lengths) -> ChunkedActor:
    torch.manual_seed(0)
    inner = Gaussian(MLP((16,))).build(D, SPEC._replace(continuous=H * A, chunk=1))
    return ChunkedActor(inner, lengths, SPEC)


def confident(bias: list[float], threshold: float = 0.5, whole: float = 1e-9) -> ConfidentLengths:
    """Confidences that do not depend on the state."""
    lengths = ConfidentLengths(MLP((8,)), threshold, whole, D, H)
    lengths.out.weight.data.zero_()
    lengths.out.bias.data.copy_(torch.tensor(bias).logit())
    return lengths


def log_density(actor: ChunkedActor, z: Tensor, plan: Tensor) -> Tensor:
    """Log-density of each action of a plan, by torch.distributions, [B,h]."""
    mean, log_std = actor.actor.distribution(z)
    law = TransformedDistribution(Normal(mean, log_std.exp()), TanhTransform())
    return law.log_prob(plan.flatten(1)).unflatten(-1, (H, A)).sum(-1)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_only_executed_actions_are_told_and_charged(length: int) -> None:
    actor = built(confident([0.9] * (length - 1) + [0.1] * (H - length)))
    z = 0.1 * torch.randn(B, D)  # plans near the walls lose digits in torch.distributions
    torch.manual_seed(1)
    plan, _ = actor.plan(z)
    torch.manual_seed(1)
    actions = actor(z)
    told = actions.value[0].unflatten(-1, (H, A + 1))
    assert actions.value.shape == (1, B, H * (A + 1))
    assert torch.equal(told[:, :length, :A], plan[:, :length])
    assert torch.equal(mask(actions.value[0], H), (torch.arange(H) < length).float().expand(B, H))
    assert (told[:, length:] == 0).all()
    expected = sum(GAMMA**i * log_density(actor, z, plan)[:, i] for i in range(length))
    torch.testing.assert_close(actions.log_prob[0, :, 0], expected, atol=1e-4, rtol=1e-4)
    assert (actions.prob == 1).all()


def test_what_is_not_executed_has_no_gradient() -> None:
    actor = built(confident([0.1, 0.1]))
    actions = actor(torch.randn(B, D))
    loss = actions.log_prob.sum() + actions.value.sum()
    (gradient,) = torch.autograd.grad(loss, actor.actor.out.weight)
    by_action = gradient[0].unflatten(-1, (2, H, A)).abs().sum((0, 1, 3))  # means and deviations of h actions
    assert by_action[0] > 0
    assert (by_action[1:] == 0).all()


def test_whole_plans_draw_no_lengths() -> None:
    actor, z = built(AllLengths(H)), torch.randn(B, D)
    length, confidence = actor.lengths(z)
    assert (length == H).all()
    assert (confidence == 1).all()
    torch.manual_seed(1)
    actor(z)
    after = torch.get_rng_state()
    torch.manual_seed(1)
    torch.randn(B, H, A)
    assert torch.equal(after, torch.get_rng_state())


def test_sample_and_mode_are_those_of_the_actor() -> None:
    actor, z = built(AllLengths(H)), torch.randn(B, D)
    torch.manual_seed(1)
    plan = actor.sample(z)
    torch.manual_seed(1)
    assert torch.equal(plan, actor.actor.sample(z))
    assert torch.equal(actor.mode(z), actor.actor.mode(z))
    assert (actor.trunk, actor.out) == (actor.actor.trunk, actor.actor.out)


def test_some_plans_are_executed_whole_while_collecting_and_none_when_evaluated() -> None:
    lengths, z = confident([0.1, 0.9], whole=0.25), torch.randn(4000, D)
    collected, confidence = lengths(z)
    torch.testing.assert_close(confidence, torch.full((4000,), 0.5))
    assert float((collected == H).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert set(collected.tolist()) == {1, H}
    assert (lengths(z, deterministic=True)[0] == 1).all()


def test_what_is_tried_while_collecting_is_not_the_policy() -> None:
    actor = built(confident([0.1, 0.1], whole=1.0))
    assert (mask(actor(torch.randn(B, D)).value[0], H).sum(-1) == 1).all()


def test_plans_are_told_as_far_as_they_are_executed() -> None:
    """Each row with a length of its own; what is executed has a gradient."""
    actor, length = built(AllLengths(H)), torch.randint(1, H + 1, (B,))
    plan, log_prob = actor.plan(torch.randn(B, D))
    actions = actor.executed(plan, log_prob, length)
    assert torch.equal(mask(actions.value[0], H).sum(-1), length.float())
    expected = torch.stack([log_prob[b, : int(k)].sum() for b, k in enumerate(length)])
    torch.testing.assert_close(actions.log_prob[0, :, 0], expected)
    third = actions.value[..., 2 * (A + 1)].sum()
    (gradient,) = torch.autograd.grad(third, actor.actor.out.bias)
    assert gradient.flatten()[2 * A] != 0  # of the third action's mean


@pytest.mark.parametrize(("threshold", "length"), [(0.0, 3), (0.5, 2), (0.8, 1), (1.0, 1)])
def test_the_threshold(threshold: float, length: int) -> None:
    lengths = confident([0.7, 0.3], threshold)
    assert (lengths(torch.randn(B, D), deterministic=True)[0] == length).all()


def test_values_of_lengths_can_be_compared() -> None:
    """A policy that ignores the state, and rewards that ignore the past: to plan anew changes nothing, at any length.

    The fixed point of V = sum_{i<k} gamma^i r - alpha log pi + gamma^k V is one number for all k only where entropy is
    discounted to when its action is executed.
    """
    alpha, reward, values = 0.3, 1.0, []
    for k in range(1, H + 1):
        actor = built(confident([0.9] * (k - 1) + [0.1] * (H - k)))
        actor.actor.out.weight.data.zero_()
        charged = float(actor(torch.zeros(100_000, D)).log_prob.detach().mean())
        rewards = reward * sum(GAMMA**i for i in range(k))
        values.append((rewards - alpha * charged) / (1 - GAMMA**k))
    assert values[1:] == pytest.approx([values[0]] * (H - 1), rel=0.004)
    assert values[0] > 1.2 * reward / (1 - GAMMA)  # entropy has a part in it
