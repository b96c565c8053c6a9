"""Clocks: on schedule whatever the stride, and the same after a resume."""

import pytest
from hypothesis import given, strategies as st

from softrl.run.clock import AtEnd, EvaluationClock, Every, UpdateRatio

strides = st.lists(st.integers(1, 30), min_size=1, max_size=60)


def counts(steps):
    total = 0
    for step in steps:
        total += step
        yield total


def test_every_by_hand():
    every = Every(10)
    assert [count for count in (0, 4, 8, 12, 16, 20, 45, 49, 50) if every(count)] == [12, 20, 45, 50]


@given(st.integers(1, 40), strides)
def test_every_fires_exactly_when_a_multiple_is_crossed(period, steps):
    every = Every(period)
    previous = 0
    for count in counts(steps):
        assert every(count) == (count // period > previous // period)
        previous = count


@pytest.mark.parametrize(
    ("rate", "given_out"),
    [(1.0, [1, 1, 1, 1]), (0.5, [0, 1, 0, 1]), (2.5, [2, 3, 2, 3]), (1 / 3, [0, 0, 1, 0, 0, 1]), (20.0, [20, 20])],
)
def test_ratio_by_hand(rate, given_out):
    ratio = UpdateRatio(rate)
    assert [ratio(n) for n in range(1, len(given_out) + 1)] == given_out


@pytest.mark.parametrize(
    ("rate", "decisions", "total"), [(0.1, 1000, 100), (0.3, 10, 3), (0.7, 10, 7), (1 / 3, 999, 333)]
)
def test_ratio_does_not_drift(rate, decisions, total):
    ratio = UpdateRatio(rate)
    assert sum(ratio(n) for n in range(1, decisions + 1)) == total


@given(st.sampled_from([0.1, 0.25, 1.0, 1.5, 4.0]), strides, strides)
def test_ratio_owes_nothing_for_decisions_before_it_is_ready(rate, before, after):
    ratio = UpdateRatio(rate)
    start = 0
    for count in counts(before):
        assert ratio(count, ready=False) == 0
        start = count
    fresh = UpdateRatio(rate)
    for count in counts(after):
        assert ratio(start + count) == fresh(count)


def test_where_nothing_can_be_learned_from_any_more_no_update_is_taken_back():
    """As in a replay whose windows were overwritten by final observations alone."""
    ratio = UpdateRatio(1.0)
    assert [ratio(5), ratio(8, ready=False), ratio(10)] == [5, 0, 2]


@given(strides)
def test_ratio_is_the_same_for_any_number_of_environments(steps):
    one, many = UpdateRatio(0.7), UpdateRatio(0.7)
    end = sum(steps)
    assert sum(one(n) for n in range(1, end + 1)) == sum(many(n) for n in counts(steps))


def fired(clock, steps):
    return [step for step in steps if clock(step)]


def test_evaluation_schedule_by_hand():
    assert fired(EvaluationClock(None, 120_000), range(0, 120_001, 500)) == [
        *range(0, 100_000, 5_000),
        100_000,
        110_000,
        120_000,
    ]
    assert fired(EvaluationClock(1000, 2500), range(0, 2501, 4)) == [0, 1000, 2000, 2500]


def test_evaluation_after_a_mark_leaves_the_schedule_where_it_was():
    assert fired(EvaluationClock(10, 1000), range(0, 60, 4)) == [0, 12, 20, 32, 40, 52]


def test_evaluation_at_the_end_happens_once():
    clock = EvaluationClock(10, 25)
    assert fired(clock, [0, 10, 20, 26, 26]) == [0, 10, 20, 26]
    assert fired(EvaluationClock(10, 20), [0, 10, 20, 20]) == [0, 10, 20]


def test_a_run_that_is_extended_goes_on_with_the_schedule():
    short = EvaluationClock(10, 25)
    assert fired(short, [0, 10, 20, 25]) == [0, 10, 20, 25]
    longer = EvaluationClock(10, 45)
    longer.load_state_dict(short.state_dict())
    assert fired(longer, [25, 28, 30, 40, 45]) == [30, 40, 45]


@given(strides, st.integers(0, 60))
def test_the_state_goes_on_exactly(steps, cut):
    makers = (lambda: Every(7), lambda: UpdateRatio(0.3), lambda: EvaluationClock(13, 500))
    for make in makers:
        whole, first, second = make(), make(), make()
        points = list(counts(steps))
        expected = [whole(count) for count in points]
        got = [first(count) for count in points[:cut]]
        second.load_state_dict(first.state_dict())
        assert got + [second(count) for count in points[cut:]] == expected


def test_the_end_comes_once_and_again_when_it_has_moved() -> None:
    clock = AtEnd(100)
    assert fired(clock, range(0, 121, 40)) == [120]
    moved = AtEnd(200)
    moved.load_state_dict(clock.state_dict())
    assert fired(moved, range(120, 241, 40)) == [200]
