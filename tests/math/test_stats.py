"""Statistics on numbers that can be sorted in one's head, and the coverage that the bootstrap promises."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from softrl.math.stats import (
    bootstrap_interval,
    improvement_interval,
    interquartile_mean,
    mean,
    probability_of_improvement,
    resample,
)

FINITE = st.floats(-1e3, 1e3)


def test_interquartile_mean_cuts_a_quarter_at_each_end() -> None:
    assert interquartile_mean(np.array([100.0, 1, 2, 3, 4, 5, 6, -900])) == 3.5  # 2, 3, 4, 5
    assert interquartile_mean(np.array([1.0, 9, 5])) == 5.0  # too few to cut: the mean
    assert interquartile_mean(np.array([0.0, 1, 2, 30, 4])) == pytest.approx(7 / 3)  # five runs lose one at each end


def test_interquartile_mean_along_an_axis() -> None:
    table = np.array([[4.0, 40], [1, 10], [3, 30], [2, 20]])
    assert interquartile_mean(table, 0).tolist() == [2.5, 25.0]
    assert interquartile_mean(table, 1).tolist() == table.mean(1).tolist()


@given(arrays(np.float64, 12, elements=FINITE))
def test_interquartile_mean_ignores_the_size_of_outliers(scores: np.ndarray) -> None:
    wild = np.sort(scores)
    wild[:3] -= 1e6
    wild[-3:] += 1e6
    assert interquartile_mean(wild) == pytest.approx(interquartile_mean(scores))


def test_resampling_stays_within_a_task_and_is_repeatable() -> None:
    strata = [np.array([1.0, 2, 3]), np.array([10.0, 20])]
    first, second = resample(strata, 500, seed=1)
    assert first.shape == (500, 3)
    assert second.shape == (500, 2)
    assert set(first.ravel()) == {1.0, 2.0, 3.0}
    assert set(second.ravel()) == {10.0, 20.0}
    assert all(np.array_equal(a, b) for a, b in zip(resample(strata, 500, seed=1), [first, second], strict=True))
    assert not np.array_equal(resample(strata, 500, seed=2)[0], first)


@given(arrays(np.float64, (5, 3), elements=FINITE))
def test_the_interval_lies_among_the_runs(scores: np.ndarray) -> None:
    low, high = bootstrap_interval([scores], samples=200)
    assert low.shape == (3,)
    assert (scores.min(0) - 1e-9 <= low).all()
    assert (low <= high).all()
    assert (high <= scores.max(0) + 1e-9).all()


def test_one_run_has_no_spread() -> None:
    low, high = bootstrap_interval([np.array([7.0])])
    assert (low, high) == (7.0, 7.0)


def test_tasks_apart_are_not_spread() -> None:
    """Two tasks at different heights, no noise: mixing them up would give a wide interval."""
    low, high = bootstrap_interval([np.full(4, 1.0), np.full(4, 900.0)], interquartile_mean)
    assert low == high == 450.5


def test_the_interval_of_the_mean_covers() -> None:
    """20 normal runs: the percentile interval of the mean is mean -+ 1.96 sd / sqrt(20), nearly."""
    scores = np.random.default_rng(0).normal(size=20)
    low, high = bootstrap_interval([scores], mean, samples=20_000)
    half = 1.96 * scores.std() / np.sqrt(20)
    assert [float(low), float(high)] == pytest.approx([scores.mean() - half, scores.mean() + half], abs=0.03)


def test_a_lower_level_is_narrower() -> None:
    scores = np.random.default_rng(0).normal(size=10)
    wide, narrow = bootstrap_interval([scores], level=0.95), bootstrap_interval([scores], level=0.5)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_probability_of_improvement_counts_pairs() -> None:
    ours, theirs = [np.array([1.0, 5]), np.array([9.0])], [np.array([1.0, 2]), np.array([3.0, 4, 5])]
    # task one: 1 ties 1, 1 loses to 2, 5 beats both: (1/2 + 0 + 1 + 1) / 4; task two: always
    assert probability_of_improvement(ours, theirs) == pytest.approx((2.5 / 4 + 1) / 2)


@given(arrays(np.float64, 6, elements=FINITE), arrays(np.float64, 4, elements=FINITE))
def test_the_two_sides_share_one_probability(ours: np.ndarray, theirs: np.ndarray) -> None:
    there, back = probability_of_improvement([ours], [theirs]), probability_of_improvement([theirs], [ours])
    assert there + back == pytest.approx(1)


def test_interval_of_the_probability_of_improvement() -> None:
    generator = np.random.default_rng(5)
    ours, theirs = [generator.normal(0.5, 1, 10)], [generator.normal(0, 1, 10)]
    low, high = improvement_interval(ours, theirs)
    assert 0 <= low < probability_of_improvement(ours, theirs) < high <= 1
    assert improvement_interval([np.array([2.0, 3])], [np.array([0.0, 1])]) == (1.0, 1.0)


def test_tasks_must_pair_up() -> None:
    with pytest.raises(ValueError, match="zip"):
        probability_of_improvement([np.array([1.0])], [])
