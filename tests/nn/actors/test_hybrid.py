"""The hybrid policy against torch.distributions, and against quadrature over its parameters."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Normal, TanhTransform, TransformedDistribution

from softrl.errors import UserError
from softrl.math.losses import policy_loss
from softrl.math.returns import soft_value
from softrl.nn.actors.hybrid import Hybrid
from softrl.nn.trunks.mlp import MLP
from softrl.types import Atoms, Spec

B, D, P, CHOICES = 5, 4, 2, (3, 2)
J = math.prod(CHOICES)
SMALL = MLP((8, 8))
SPEC = Spec({"state": (D,)}, P, CHOICES)


def test_a_column_of_outputs_for_each_option_and_each_group() -> None:
    assert Hybrid(SMALL).build(D, SPEC).out.weight.shape[-1] == 5 + 2 * P * J
    assert Hybrid(SMALL, dependent=False).build(D, SPEC).out.weight.shape[-1] == 5 + 2 * P
    assert Hybrid(SMALL, joint=True).build(D, SPEC).out.weight.shape[-1] == J + 2 * P * J


@pytest.mark.parametrize("dependent", [True, False])
@pytest.mark.parametrize("bound", ["clamp", "tanh"])
def test_log_probabilities_of_both_components(dependent: bool, bound: str) -> None:
    actor, z = Hybrid(SMALL, dependent, False, -1.5, 0.5, bound).build(D, SPEC), torch.randn(B, D)
    actions = actor(z)
    assert (actions.value.shape, actions.log_prob.shape) == ((J, B, 5 + P), (J, B, 2))
    row = actor.out(actor.trunk(z))[0]
    policies = [Categorical(logits=block) for block in row[:, :5].split(CHOICES, -1)]
    groups = row[:, 5:].reshape(B, 2, J if dependent else 1, P)
    for k, options in enumerate(itertools.product(*map(range, CHOICES))):
        log_prob = sum(pi.log_prob(torch.full((B,), a)) for pi, a in zip(policies, options, strict=True))
        torch.testing.assert_close(actions.log_prob[k, :, 0], log_prob)
        torch.testing.assert_close(actions.prob[k], log_prob.exp())
        hot = torch.cat([torch.eye(n)[a] for n, a in zip(CHOICES, options, strict=True)])
        assert torch.equal(actions.value[k, :, :5], hot.expand(B, -1))
        mean, raw = groups[:, :, k if dependent else 0].unbind(1)
        log_std = raw.clamp(-1.5, 0.5) if bound == "clamp" else -1.5 + 2.0 * (raw.tanh() + 1) / 2
        density = TransformedDistribution(Normal(mean, log_std.exp()), TanhTransform())
        torch.testing.assert_close(
            actions.log_prob[k, :, 1], density.log_prob(actions.value[k, :, 5:]).sum(-1), atol=1e-4, rtol=1e-4
        )
    shared = (actions.value[:, :, 5:] == actions.value[:1, :, 5:]).all()
    assert shared != dependent


@pytest.mark.parametrize(("dependent", "joint"), [(True, False), (True, True), (False, False)])
def test_samples_follow_the_policy_and_take_the_parameters_of_their_choice(dependent: bool, joint: bool) -> None:
    actor, z = Hybrid(SMALL, dependent, joint, -20.0, -10.0).build(D, SPEC), torch.randn(1, D)
    actions = actor(z)
    draws = actor.sample(z.expand(20_000, -1))
    for value, prob in zip(actions.value[:, 0], actions.prob[:, 0], strict=True):
        same = (draws[:, :5] == value[:5]).all(-1)
        assert abs(same.float().mean() - prob) < 5 * (0.25 / 20_000) ** 0.5
        assert (draws[same, 5:] - value[5:]).abs().max() < 1e-3  # hardly any noise is left
    mode = actor.mode(z)[0]
    torch.testing.assert_close(mode, actions.value[actions.prob[:, 0].argmax(), 0], atol=1e-3, rtol=0)


def value_of(chosen: Tensor, parameter: Tensor) -> Tensor:
    """Some smooth value of a choice of three and a parameter."""
    height, peak = (chosen @ torch.tensor(x) for x in ([1.0, 0.5, -0.2], [0.3, -0.5, 0.9]))
    return height - 2 * (parameter - peak).square()


@pytest.mark.parametrize("dependent", [True, False])
def test_soft_value_and_gradient_equal_quadrature(dependent: bool) -> None:
    """Averages over many rows of one state, against Gauss-Hermite quadrature of the same integrals."""
    spec, count = Spec({"state": (D,)}, 1, (3,)), 100_000
    actor, z = Hybrid(SMALL, dependent).build(D, spec), torch.randn(1, D)
    alpha = torch.tensor([0.3, 0.7])
    nodes, weights = (torch.tensor(x, dtype=torch.float32) for x in np.polynomial.hermite_e.hermegauss(40))
    row = actor.out(actor.trunk(z))[0, 0]
    log_prob = row[:3].log_softmax(-1)
    groups = row[3:].view(2, -1)
    value = torch.zeros(())
    for d in range(3):
        mean, log_std = groups[:, d if dependent else 0]
        u = mean + log_std.exp() * nodes
        density = Normal(mean, log_std.exp()).log_prob(u) - 2 * (math.log(2) - u - torch.nn.functional.softplus(-2 * u))
        judged = value_of(torch.eye(3)[d].expand(40, -1), u.tanh())
        inner = (weights / weights.sum() * (judged - 0.7 * density)).sum()
        value = value + log_prob[d].exp() * (inner - 0.3 * log_prob[d])

    actions = actor(z.expand(count, -1))
    q = value_of(actions.value[..., :3], actions.value[..., 3])  # [K,B]
    found = soft_value(Atoms(q[..., None], torch.ones(1)), actions, alpha).mean()  # [B]
    noise = float(found.detach().std() / count**0.5)
    assert abs(float((found.mean() - value).detach())) < 5 * noise
    bias = actor.out.bias
    (expected,) = torch.autograd.grad(-value, bias)
    (gradient,) = torch.autograd.grad(policy_loss(q, actions, alpha), bias)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(gradient, expected, atol=0.015, rtol=0.01)


@pytest.mark.parametrize(
    ("choices", "continuous", "words"),
    [((3,), 0, "use Categorical"), ((), 2, "has none"), ((1,), 2, "at least two"), ((40, 40), 2, "Factored")],
)
def test_other_spaces_are_refused(choices: tuple[int, ...], continuous: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Hybrid().build(D, Spec({"state": (D,)}, continuous, choices))


def test_bounds_without_room_are_refused() -> None:
    with pytest.raises(UserError, match="log_std"):
        Hybrid(log_std_min=2.0, log_std_max=2.0)
