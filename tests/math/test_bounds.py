"""Bounds by hand."""

import pytest
import torch

from softrl.errors import UserError
from softrl.math.bounds import BOUNDS, check_log_std, log_std_bound, mean_bound
from softrl.nn.actors.factored import Factored
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.actors.hybrid import Hybrid
from softrl.nn.actors.latent import Marginal
from softrl.types import Spec


def test_clamp_cuts_off_and_tanh_bends() -> None:
    raw = torch.tensor([-100.0, 0.0, 1.0, 100.0])
    assert BOUNDS["clamp"](raw, -5.0, 2.0).tolist() == [-5.0, 0.0, 1.0, 2.0]
    expected = [-5.0, -1.5, -1.5 + 3.5 * 0.76159416, 2.0]
    assert BOUNDS["tanh"](raw, -5.0, 2.0).tolist() == pytest.approx(expected, abs=1e-5)


def test_a_configuration_names_its_bound() -> None:
    raw = torch.tensor([-100.0, 0.0, 100.0])
    assert log_std_bound(Gaussian(log_std_min=-5.0))(raw).tolist() == [-5.0, 0.0, 2.0]
    assert log_std_bound(Gaussian(log_std_min=-5.0, log_std_bound="tanh"))(raw).tolist() == [-5.0, -1.5, 2.0]


@pytest.mark.parametrize("high", [-3.0, -4.0])
def test_bounds_without_room_are_refused(high: float) -> None:
    with pytest.raises(UserError, match="swap or widen"):
        check_log_std(-3.0, high)


def test_means_bend_before_their_bound_or_stay() -> None:
    mean = torch.tensor([-100.0, 0.0, 5.0])
    assert mean_bound(5.0)(mean).tolist() == pytest.approx([-5.0, 0.0, 5.0 * 0.76159416])
    assert mean_bound(None)(mean) is mean


@pytest.mark.parametrize("actor", [Hybrid(mean_bound=5.0), Factored(mean_bound=5.0)])
def test_numbers_beside_choices_have_bounded_means(actor: Hybrid | Factored) -> None:
    policy = actor.build(4, Spec({"state": (4,)}, 2, (3,)))
    policy.out.weight.data *= 1000
    mean = policy.distributions(torch.randn(100, 4))[1]
    assert 4.9 < mean.abs().max() <= 5


@pytest.mark.parametrize("actor", [Gaussian, Marginal, Hybrid, Factored])
def test_means_without_room_are_refused(actor: type[Gaussian | Marginal | Hybrid | Factored]) -> None:
    with pytest.raises(UserError, match="means need room"):
        actor(mean_bound=0.0)
