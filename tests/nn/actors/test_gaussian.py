"""The squashed Gaussian: what it samples, what it says of the samples, what it evaluates."""

import pytest
import torch

from softrl.errors import UserError
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec

SPEC = Spec({"state": (4,)}, 2)


def actor(**options: object):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    return Gaussian(MLP((8, 8)), **options).build(4, SPEC)  # type: ignore[arg-type]


def test_shapes_and_neutral_weights() -> None:
    actions = actor()(torch.randn(5, 4))
    assert (actions.value.shape, actions.log_prob.shape, actions.prob.shape) == ((1, 5, 2), (1, 5, 1), (1, 5))
    assert torch.equal(actions.prob, torch.ones(1, 5))


def test_mode_is_the_squashed_mean() -> None:
    policy, z = actor(), torch.randn(5, 4)
    mean, _ = policy.distribution(z)
    assert torch.equal(policy.mode(z), mean.tanh())


def test_means_stay_within_their_bound_and_can_still_turn() -> None:
    policy, z = actor(mean_bound=5.0), torch.randn(500, 4)
    policy.out.weight.data *= 10
    mean, _ = policy.distribution(z)
    assert 4.9 < mean.abs().max() <= 5
    assert torch.equal(policy.mode(z), mean.tanh())
    largest = mean.abs().max()
    assert 1 - largest.tanh() ** 2 > 1e-4  # the slope of an action, which is 1e-17 at a mean of 20


@pytest.mark.parametrize("bound", ["clamp", "tanh"])
def test_log_std_stays_within_its_bounds(bound: str) -> None:
    policy = actor(log_std_min=-5.0, log_std_max=2.0, log_std_bound=bound)
    policy.out.weight.data *= 1000
    _, log_std = policy.distribution(torch.randn(500, 4))
    assert -5 <= log_std.min() < -4.9
    assert 1.9 < log_std.max() <= 2


def test_tanh_bound_is_the_middle_at_zero() -> None:
    policy = actor(log_std_min=-5.0, log_std_max=2.0, log_std_bound="tanh")
    policy.out.weight.data.zero_()
    _, log_std = policy.distribution(torch.randn(1, 4))
    assert log_std.tolist() == [[-1.5, -1.5]]


def test_log_prob_sums_over_components() -> None:
    """Two components with the same distribution and action have twice the log-density of one."""
    policy = actor()
    policy.out.weight.data.zero_()
    torch.manual_seed(0)
    actions = policy(torch.zeros(1, 4))
    u = actions.value[0, 0].atanh()
    per_component = torch.distributions.Normal(0, 1).log_prob(u) - (1 - u.tanh() ** 2).log()
    torch.testing.assert_close(actions.log_prob[0, 0, 0], per_component.sum())


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(UserError, match="log_std_min"):
        Gaussian(log_std_min=3.0)
