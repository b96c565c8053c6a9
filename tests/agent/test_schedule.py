"""Learning rates by hand."""

import pytest
import torch
from hypothesis import given, strategies as st

from softrl.agent.schedule import Constant, CosineDecay, LinearDecay
from softrl.errors import UserError

INITIAL = torch.tensor(0.8)


def rates(schedule: Constant | LinearDecay | CosineDecay, counts: list[int]) -> torch.Tensor:
    return torch.stack([schedule.rate(INITIAL, torch.tensor(float(count))) for count in counts])


def test_constant_is_the_initial_rate_itself() -> None:
    assert Constant().rate(INITIAL, torch.tensor(5.0)) is INITIAL


def test_linear_by_hand() -> None:
    expected = torch.tensor([0.8, 0.65, 0.5, 0.35, 0.2, 0.2])
    torch.testing.assert_close(rates(LinearDecay(0.25, 4), [0, 1, 2, 3, 4, 100]), expected)


def test_cosine_by_hand() -> None:
    expected = torch.tensor([0.8, 0.2 + 0.6 * (1 + 0.5**0.5) / 2, 0.5, 0.2 + 0.6 * (1 - 0.5**0.5) / 2, 0.2, 0.2])
    torch.testing.assert_close(rates(CosineDecay(0.25, 4), [0, 1, 2, 3, 4, 100]), expected)


@given(st.floats(0, 1), st.integers(1, 10_000), st.integers(0, 20_000), st.sampled_from([LinearDecay, CosineDecay]))
def test_rates_fall_from_the_first_to_the_last(share: float, updates: int, count: int, kind: type) -> None:
    now, then = rates(kind(share, updates), [count, count + 1])
    assert then <= now + 1e-6
    assert 0.8 * share - 1e-6 <= now <= 0.8 + 1e-6


@pytest.mark.parametrize(
    "wrong", [{"final_share": -0.1}, {"final_share": 1.5}, {"decay_updates": 0}, {"decay_updates": 2**24 + 1}]
)
@pytest.mark.parametrize("kind", [LinearDecay, CosineDecay])
def test_impossible_settings_are_refused(kind: type, wrong: dict[str, float]) -> None:
    with pytest.raises(UserError):
        kind(**wrong)
