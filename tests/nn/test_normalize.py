"""Scales of observations and rewards against statistics of the whole stream."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import tensor

from softrl.errors import UserError
from softrl.nn.normalize import Moments, ReturnScale, Running, Scale, Unchanged
from softrl.types import Spec

SPEC = Spec({"state": (3,)}, 2, gamma=0.5)
EVERYONE = tensor([True, True])


def test_rewards_times_a_constant() -> None:
    assert Scale(5.0).build(SPEC)(tensor([1.0, -2.0])).tolist() == [5.0, -10.0]


def test_the_defaults_are_neutral() -> None:
    assert Scale().build(SPEC)(tensor([1.5])).tolist() == [1.5]
    normalizer = Unchanged().build(3)
    normalizer.observe(torch.randn(4, 3))
    x = torch.randn(4, 3)
    assert normalizer(x) is x
    assert list(normalizer.state_dict()) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 4), min_size=1, max_size=8))
def test_moments_equal_those_of_all_counted_rows(seed: int, sizes: list[int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    moments, kept = Moments(2), []
    for size in sizes:
        rows = 3 + torch.randn(size, 2, generator=generator)
        counted = torch.rand(size, generator=generator) < 0.7
        moments.add(rows, counted)
        kept.append(rows[counted])
    every = torch.cat(kept).double().numpy()
    assert int(moments.count) == len(every)
    if len(every):
        np.testing.assert_allclose(moments.mean, every.mean(0), atol=1e-6)
        np.testing.assert_allclose(moments.variance, every.var(0), atol=1e-6)


def test_observations_come_out_standardised_and_clipped() -> None:
    normalizer = Running(limit=2.0).build(1)
    for value in (1.0, 2.0, 3.0):
        normalizer.observe(tensor([[value]]))
    scale = (2 / 3) ** -0.5
    assert normalizer(tensor([[2.0], [3.0], [100.0]]))[:, 0].tolist() == pytest.approx([0.0, scale, 2.0])


def test_before_the_second_row_observations_stay_as_they_are() -> None:
    normalizer, x = Running().build(3), 100 * torch.randn(4, 3)
    assert torch.equal(normalizer(x), x)
    normalizer.observe(x[:1])
    assert torch.equal(normalizer(x), x)
    normalizer.observe(x[1:])
    assert normalizer(x).abs().max() < 2


def test_small_components_come_out_as_large_as_others_and_constant_ones_as_zero() -> None:
    normalizer = Running().build(2)
    rows = torch.stack([1e-3 * torch.randn(2_000), torch.full((2_000,), 7.3)], -1)
    for some in rows.split(4):
        normalizer.observe(some)
    scaled = normalizer(rows)
    assert scaled[:, 0].std().item() == pytest.approx(1.0, abs=0.02)
    assert not scaled[:, 1].any()


def test_discounted_returns_by_hand() -> None:
    """Two environments, gamma 1/2: G goes 2, 1 + 2/2 = 2 and -4, 0 - 4/2 = -2."""
    scale = ReturnScale(epsilon=1e-8).build(SPEC)
    carry = scale.observe(tensor([2.0, -4.0]), EVERYONE, scale.initial(2))
    carry = scale.observe(tensor([1.0, 0.0]), EVERYONE, carry)
    assert carry["return"].tolist() == [2.0, -2.0]
    spread = np.std([2.0, -4.0, 2.0, -2.0])
    assert scale(tensor([3.0])).item() == pytest.approx(3 / spread)


def test_the_largest_return_fits_the_support() -> None:
    """|G| reached 4 and the support ends at 1, so rewards are divided by 4 and not by the smaller deviation."""
    scale = ReturnScale(largest=1.0).build(SPEC)
    scale.observe(tensor([2.0, -4.0]), EVERYONE, scale.initial(2))
    assert scale(tensor([4.0])).item() == pytest.approx(1.0)


def test_an_environment_that_waits_for_its_reset_is_not_counted() -> None:
    scale = ReturnScale().build(SPEC)
    carry = scale.observe(tensor([2.0, 9.0]), tensor([True, False]), scale.initial(2))
    assert carry["return"].tolist() == [2.0, 0.0]
    assert scale.moments.count == 1
    assert scale(tensor([7.0])).item() == 7.0  # one return has no spread


@pytest.mark.parametrize("largest", [None, 5.0])
def test_rewards_of_a_data_set_stay_as_they_are_until_there_is_a_reward(largest: float | None) -> None:
    scale = ReturnScale(largest).build(SPEC)
    for _ in range(3):
        scale.observe(tensor([0.0, 0.0]), EVERYONE, scale.initial(2))
    assert scale(tensor([0.0, 2.0])).tolist() == [0.0, 2.0]
    scale.observe(tensor([8.0, 0.0]), EVERYONE, scale.initial(2))
    spread = np.std([*[0.0] * 7, 8.0])
    assert scale(tensor([2.0])).item() == pytest.approx(2 / spread)


def test_returns_that_are_all_the_same_have_no_spread_to_divide_by() -> None:
    """Episodes of one decision, each with a reward of 4."""
    for largest, expected in ((None, 4.0), (2.0, 2.0)):
        scale = ReturnScale(largest).build(SPEC)
        for _ in range(3):
            scale.observe(tensor([4.0, 4.0]), EVERYONE, scale.initial(2))
        assert scale(tensor([4.0])).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    "wrong", [lambda: Scale(0.0), lambda: Running(epsilon=0.0), lambda: Running(limit=-1.0), lambda: ReturnScale(0.0)]
)
def test_scales_that_are_not_positive_are_refused(wrong) -> None:
    with pytest.raises(UserError):
        wrong()
