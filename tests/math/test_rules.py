"""Rules on integers that can be sorted in the head, and what they refuse."""

import statistics
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor, tensor

from softrl.errors import UserError
from softrl.math.rules import Average, Minimum, Pessimism, SubsetMinimum, Truncate
from softrl.types import Atoms


@dataclass(frozen=True)
class Values:
    """A head of learned values."""

    width: int = 3
    equal_weights = True


@dataclass(frozen=True)
class Weights:
    """A head of learned weights."""

    width: int = 3
    equal_weights = False


ALL = [Minimum(), SubsetMinimum(1), Average(), Truncate(1), Pessimism(0.0)]


def equal(value: Tensor) -> Atoms:
    """Values [E,K,B,M] with equal weights."""
    return Atoms(value, torch.full_like(value, 1 / value.shape[-1]))


def test_minimum_of_scalars_is_the_elementwise_minimum() -> None:
    value = tensor([[[[3.0], [7.0]]], [[[5.0], [2.0]]]])  # [E=2,K=1,B=2,M=1]
    assert Minimum()(Atoms(value, torch.ones_like(value))).value.tolist() == [[[3.0], [2.0]]]


def test_minimum_keeps_the_whole_member_with_the_smallest_mean() -> None:
    value = tensor([[[[0.0, 10.0]]], [[[4.0, 5.0]]], [[[9.0, 9.0]]]])  # means 5, 4.5, 9
    kept = Minimum()(Atoms(value, torch.full_like(value, 0.5)))
    assert kept.value.tolist() == [[[4.0, 5.0]]]
    assert kept.prob.tolist() == [[[0.5, 0.5]]]


def test_minimum_of_weights_keeps_the_member_with_the_smallest_mean() -> None:
    value = tensor([0.0, 10.0]).expand(2, 1, 1, 2)
    kept = Minimum()(Atoms(value, tensor([[[[0.25, 0.75]]], [[[0.5, 0.5]]]])))
    assert kept.prob.tolist() == [[[0.5, 0.5]]]


def test_gradient_reaches_only_the_smaller_member() -> None:
    value = tensor([[[[3.0]]], [[[5.0]]]], requires_grad=True)
    Minimum()(Atoms(value, torch.ones_like(value))).mean().sum().backward()
    assert value.grad is not None
    assert value.grad.flatten().tolist() == [1.0, 0.0]


def test_every_pair_is_drawn_equally_often() -> None:
    """The least and the greatest of a pair name it: in row 0 the values rise with the member, in row 1 they fall.

    They belong to one pair only if both rows see the same draw.
    """
    member = torch.arange(4.0)[:, None, None, None]
    q = equal(torch.cat([member, -member], 2))  # [E=4,K=1,B=2,M=1]
    draws = 3_000
    counts = Counter(tuple(SubsetMinimum(2)(q).value.flatten().abs().int().tolist()) for _ in range(draws))
    expected = draws / 6
    assert set(counts) == set(combinations(range(4), 2))
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 15.1  # chi squared, 1% at 5 degrees


@pytest.mark.parametrize("members", [1, 3])
def test_minimum_equals_a_loop_over_members(members: int) -> None:
    value, prob = torch.randn(members, 2, 4, 5), torch.rand(members, 2, 4, 5).softmax(-1)
    kept = Minimum()(Atoms(value, prob))
    for k in range(2):
        for b in range(4):
            means = [sum(v * p for v, p in zip(*pair(value, prob, e, k, b), strict=True)) for e in range(members)]
            found = (kept.value[k, b].tolist(), kept.prob[k, b].tolist())
            assert found == pair(value, prob, means.index(min(means)), k, b)


@pytest.mark.parametrize("members", [1, 3])
def test_a_subsets_minimum_equals_a_loop_over_one_of_the_subsets(members: int) -> None:
    """REDQ (arXiv 2101.05982): some members, the same for every row, and the least of them."""
    size = min(2, members)
    value = torch.randn(members, 2, 50, 1)
    found = SubsetMinimum(size)(equal(value)).value[..., 0].tolist()
    candidates = [
        [[min(float(value[e, k, b, 0]) for e in chosen) for b in range(50)] for k in range(2)]
        for chosen in combinations(range(members), size)
    ]
    assert candidates.count(found) == 1


def pair(value: Tensor, prob: Tensor, e: int, k: int, b: int) -> tuple[list[float], list[float]]:
    """A member's atoms in a row and their weights."""
    return value[e, k, b].tolist(), prob[e, k, b].tolist()


def test_a_subset_of_everyone_is_the_minimum() -> None:
    q = equal(torch.randn(5, 2, 3, 4))
    torch.testing.assert_close(SubsetMinimum(5)(q), Minimum()(q))


def test_a_subset_of_one_takes_each_member_in_turn() -> None:
    q = equal(torch.arange(3.0)[:, None, None, None])
    assert {SubsetMinimum(1)(q).value.item() for _ in range(60)} == {0.0, 1.0, 2.0}


def test_average_of_scalars_is_their_mean() -> None:
    value = tensor([[[[3.0], [7.0]]], [[[5.0], [2.0]]]])
    assert Average()(equal(value)).mean().tolist() == [[4.0, 4.5]]


def test_average_pools_all_atoms() -> None:
    q = Atoms(tensor([[[[0.0, 4.0]]], [[[1.0, 9.0]]]]), tensor([[[[0.5, 0.5]]], [[[0.25, 0.75]]]]))
    pooled = Average()(q)
    assert pooled.value.tolist() == [[[0.0, 4.0, 1.0, 9.0]]]
    assert pooled.prob.tolist() == [[[0.25, 0.25, 0.125, 0.375]]]


def test_truncation_drops_the_largest_of_the_pool() -> None:
    value = tensor([[[[9.0, 1.0, 5.0]]], [[[8.0, 7.0, 2.0]]]])  # the largest two may come from one member or from both
    kept = Truncate(1)(equal(value))
    assert sorted(kept.value.flatten().tolist()) == [1.0, 2.0, 5.0, 7.0]
    assert kept.prob.tolist() == [[[0.25] * 4]]


def test_truncation_of_nothing_is_the_average() -> None:
    q = equal(torch.randn(3, 2, 4, 5))
    kept, pooled = Truncate(0)(q), Average()(q)
    torch.testing.assert_close(kept.value.sort(-1).values, pooled.value.sort(-1).values)
    torch.testing.assert_close(kept.mean(), pooled.mean())


@pytest.mark.parametrize("members", [1, 3])
def test_truncation_equals_a_sort(members: int) -> None:
    q = equal(torch.randn(members, 2, 4, 5))
    kept = Truncate(2)(q)
    for k in range(2):
        for b in range(4):
            smallest = sorted(q.value[:, k, b].flatten().tolist())[: members * 3]
            assert sorted(kept.value[k, b].tolist()) == smallest
    torch.testing.assert_close(kept.prob.sum(-1), torch.ones(2, 4))


def test_pessimism_of_two_takes_off_half_their_distance() -> None:
    value = tensor([[[[4.0, 0.0]]], [[[2.0, 6.0]]]])
    q = Pessimism(1.0)(equal(value))  # means 3 and 3, half distances 1 and 3
    assert q.value.tolist() == [[[2.0, 0.0]]]
    assert q.prob.tolist() == [[[0.5, 0.5]]]
    assert Pessimism(0.5)(equal(value)).value.tolist() == [[[2.5, 1.5]]]


@pytest.mark.parametrize("members", [1, 3])
def test_average_and_pessimism_equal_loops_over_members(members: int) -> None:
    value, prob = torch.randn(members, 2, 4, 5), torch.rand(members, 2, 4, 5)
    pooled, lowered = Average()(Atoms(value, prob)), Pessimism(0.7)(equal(value))
    for k in range(2):
        for b in range(4):
            pairs = [(value[e, k, b, m], prob[e, k, b, m] / members) for e in range(members) for m in range(5)]
            assert pooled.value[k, b].tolist() == [float(atom) for atom, _ in pairs]
            torch.testing.assert_close(pooled.prob[k, b], tensor([float(weight) for _, weight in pairs]))
            for m in range(5):
                each = [float(value[e, k, b, m]) for e in range(members)]
                expected = statistics.fmean(each) - 0.7 * statistics.pstdev(each)
                torch.testing.assert_close(lowered.value[k, b, m], tensor(expected))
    assert lowered.prob.eq(0.2).all()


def test_pessimism_of_nothing_is_the_mean_of_quantiles_and_no_mixture() -> None:
    value = tensor([[[[0.0, 2.0]]], [[[10.0, 20.0]]]])
    assert Pessimism(0.0)(equal(value)).value.tolist() == [[[5.0, 11.0]]]


def test_pessimism_has_a_gradient_where_members_agree() -> None:
    value = torch.ones(2, 1, 1, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(Pessimism(1.0)(equal(value)).mean().sum(), value)
    torch.testing.assert_close(gradient, torch.full_like(value, 1 / 6))


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: type(rule).__name__)
def test_one_member_comes_out_as_it_is(rule: Any) -> None:
    q = equal(tensor([[[[1.0]]]]) if rule != Truncate(1) else tensor([[[[1.0, 5.0]]]]))
    answer = rule(q)
    assert answer.value.tolist() == [[[1.0]]]
    assert answer.prob.tolist() == [[[1.0]]]


@pytest.mark.parametrize("rule", [*ALL[:3], SubsetMinimum(2), Truncate(2), Pessimism(0.7)], ids=str)
def test_rules_trace_without_breaks(rule: Any) -> None:
    q = equal(torch.randn(3, 2, 4, 5))
    torch.manual_seed(1)
    expected = rule(q)
    torch.manual_seed(1)
    traced = torch.compile(rule.__call__, fullgraph=True, backend="eager")(q)
    torch.testing.assert_close(traced, expected)


@pytest.mark.parametrize("wrong", [lambda: SubsetMinimum(0), lambda: Truncate(-1), lambda: Pessimism(-0.1)])
def test_impossible_rules_are_refused(wrong: Any) -> None:
    with pytest.raises(UserError):
        wrong()


@pytest.mark.parametrize(
    ("rule", "members", "head", "names"),
    [
        (SubsetMinimum(3), 2, Values(), "SubsetMinimum draws 3 of 2"),
        (Truncate(3), 5, Values(3), "drops 3 atoms a member"),
        (Truncate(0), 5, Weights(), "weights of their own"),
        (Pessimism(0.0), 2, Weights(), "Average"),
        (Pessimism(0.5), 1, Values(), "ensemble of one"),
    ],
)
def test_ensembles_that_a_rule_cannot_serve_are_refused(rule: Any, members: int, head: Any, names: str) -> None:
    with pytest.raises(UserError, match=names):
        rule.check(members, head)


def test_the_smallest_ensembles_that_rules_serve_are_taken() -> None:
    for rule, members in ((SubsetMinimum(3), 3), (Truncate(2), 1), (Pessimism(0.0), 1), (Pessimism(0.5), 2)):
        rule.check(members, Values(3))


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: type(rule).__name__)
def test_ensembles_at_the_bound_are_accepted(rule: Any) -> None:
    rule.check(1, Values(2))


@pytest.mark.parametrize("rule", [Minimum(), Average(), SubsetMinimum(2)], ids=lambda rule: type(rule).__name__)
def test_rules_that_keep_distributions_whole_accept_weights(rule: Any) -> None:
    rule.check(2, Weights())
