"""Plans and their beginnings, by hand and against loops."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from softrl.math.chunks import (
    beginnings,
    confidence_loss,
    executed_length,
    mask,
    masked,
    no_worse,
    powers,
    running_sums,
)


def test_a_plan_is_cut_and_marked() -> None:
    plan = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])  # [1,3,2]
    expected = torch.tensor([[[1.0, 2.0, 1.0], [3.0, 4.0, 1.0], [0.0, 0.0, 0.0]]])
    assert torch.equal(masked(plan, torch.tensor([2])), expected)
    assert torch.equal(mask(expected.flatten(1), 3), torch.tensor([[1.0, 1.0, 0.0]]))


def test_a_short_plan_is_no_long_plan_that_ends_with_zeros() -> None:
    plan = torch.zeros(1, 3, 2)
    assert not torch.equal(masked(plan, torch.tensor([1])), masked(plan, torch.tensor([3])))


def test_what_is_not_counted_may_be_anything() -> None:
    """Rows of a ring that were never written hold any bits."""
    plan = torch.tensor([[[1.0], [math.nan]]])
    assert torch.equal(masked(plan, torch.tensor([1])), torch.tensor([[[1.0, 1.0], [0.0, 0.0]]]))


def test_every_beginning_of_every_plan() -> None:
    plan = torch.randn(4, 3, 2)
    all_of_them = beginnings(plan)
    assert all_of_them.shape == (3, 4, 9)
    for k in range(3):
        assert torch.equal(all_of_them[k], masked(plan, torch.full((4,), k + 1)).flatten(1))


def test_powers() -> None:
    assert powers(0.5, 4).tolist() == [1.0, 0.5, 0.25, 0.125]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=6), st.floats(0, 1, width=32))
def test_a_plan_ends_before_the_first_confidence_below_the_threshold(confidence: list[float], threshold: float) -> None:
    length = 1  # of the first action
    for c in confidence:
        if c < threshold:
            break
        length += 1
    assert executed_length(torch.tensor([confidence]), threshold).tolist() == [length]


def test_confidence_after_a_doubt_does_not_count() -> None:
    confidence = torch.tensor([[0.9, 0.4, 0.9], [0.4, 0.9, 0.9], [0.5, 0.5, 0.5]])
    assert executed_length(confidence, 0.5).tolist() == [2, 1, 4]


@given(st.lists(st.lists(st.floats(-9, 9, width=32), min_size=3, max_size=3), min_size=1, max_size=4))
def test_sums_of_the_first_entries(rows: list[list[float]]) -> None:
    torch.testing.assert_close(running_sums(torch.tensor(rows)), torch.tensor(rows).cumsum(-1))


def test_worse_is_what_the_members_agree_to_be_worse() -> None:
    # two members, three beginnings of one plan: both lose 1, then one loses 2 and the other gains 1
    value = torch.tensor([[[5.0], [4.0], [2.0]], [[3.0], [2.0], [3.0]]])  # [E,h,B]
    assert no_worse(value, doubt=1.0).tolist() == [[0.0, 1.0]]  # -1 +- 0 and -0.5 +- 1.5
    assert no_worse(value, doubt=0.0).tolist() == [[0.0, 0.0]]
    assert no_worse(value, doubt=1 / 3).tolist() == [[0.0, 1.0]]  # exactly at the border


def test_one_member_has_no_doubt() -> None:
    value = torch.tensor([[[1.0, 1.0], [1.0, 0.9]]])
    assert no_worse(value, doubt=5.0).tolist() == [[1.0], [0.0]]  # equal is no worse


def test_confidences_settle_at_the_share_of_plans_that_are_no_worse() -> None:
    logit = torch.zeros(1, 2, requires_grad=True)
    label = torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 0.0]])
    for _ in range(2000):
        (gradient,) = torch.autograd.grad(confidence_loss(logit.expand(4, 2), label), logit)
        with torch.no_grad():
            logit -= 2 * gradient
    assert logit.sigmoid()[0, 0].item() == pytest.approx(0.75, abs=1e-3)
    assert logit.sigmoid()[0, 1].item() < 0.01


def test_the_loss_is_the_cross_entropy() -> None:
    logit = torch.tensor([[0.3, -1.2]])
    c = [1 / (1 + math.exp(-0.3)), 1 / (1 + math.exp(1.2))]
    expected = -(math.log(c[0]) + math.log(1 - c[1])) / 2
    assert confidence_loss(logit, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(expected, rel=1e-6)
