"""Multipliers: what they start at, where they stay, and how fast Adam moves them."""

import math

import pytest
import torch

from softrl.agent.multiplier import HIGH, LOW, Multiplier, check_multiplier
from softrl.errors import UserError


@pytest.mark.parametrize("initial", [1e-3, 0.25, 1.0, 100.0])
@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_it_starts_where_it_is_told(initial: float, rate: float) -> None:
    assert float(Multiplier(initial, rate)().detach()) == pytest.approx(initial, rel=1e-4)


def test_it_stays_within_its_bounds() -> None:
    multiplier = Multiplier(1.0, 0.1)
    for x, bound in ((1e6, HIGH), (-1e6, LOW)):
        multiplier.x.data.fill_(x)
        assert float(multiplier().detach()) == pytest.approx(bound, rel=1e-4)


def test_adam_moves_it_at_its_share_of_the_learning_rate() -> None:
    """The same path as the authors' parametrisation (rate 1) under an Adam with a tenth of the learning rate."""
    slow, plain = Multiplier(0.25, 0.1), Multiplier(0.25, 1.0)
    optimisers = torch.optim.Adam(slow.parameters(), 3e-2, eps=1e-12), torch.optim.Adam(plain.parameters(), 3e-3)
    start = float(plain())
    for step in range(60):
        for multiplier, optimiser in zip((slow, plain), optimisers, strict=True):
            optimiser.zero_grad()
            (multiplier() * math.sin(step / 9 + 1)).backward()
            optimiser.step()
    torch.testing.assert_close(slow(), plain(), rtol=1e-4, atol=0)
    assert abs(float(plain()) / start - 1) > 0.1


def test_weight_decay_leaves_it_alone() -> None:
    assert Multiplier(1.0, 0.1).x.decays is False  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-6, 1e4])
def test_a_start_out_of_bounds_is_refused(value: float) -> None:
    with pytest.raises(UserError, match=r"agent\.explorer\.price"):
        check_multiplier("agent.explorer.price", value)
