"""Statistics of a few runs on a few tasks, after Agarwal et al. 2021 (arXiv 2108.13264).

Scores come as strata: one array for each task, runs along its first axis. Runs are never moved between tasks.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Strata = Sequence[Array]  # for each task [R,..]
Statistic = Callable[[Array, int], Array]  # reduces an axis


def mean(scores: Array, axis: int = 0) -> Array:
    """Arithmetic mean over an axis."""
    return np.asarray(np.mean(scores, axis=axis))


def interquartile_mean(scores: Array, axis: int = 0) -> Array:
    """Mean of the middle half of the scores along an axis: a quarter of them, rounded down, is cut at each end."""
    scores = np.sort(scores, axis=axis)
    count = scores.shape[axis]
    return mean(np.take(scores, np.arange(count // 4, count - count // 4), axis=axis), axis)


def resample(strata: Strata, samples: int, seed: int) -> list[Array]:
    """Draw the runs of each task with replacement, within the task: [R,..] -> [samples,R,..] for each."""
    generator = np.random.default_rng(seed)
    return [scores[generator.integers(len(scores), size=(samples, len(scores)))] for scores in strata]


def bootstrap_interval(
    strata: Strata, statistic: Statistic = mean, level: float = 0.95, samples: int = 2000, seed: int = 0
) -> tuple[Array, Array]:
    """Percentile interval of a statistic of all the runs pooled, by stratified bootstrap.

    Entries after the runs' axis (points of a curve, say) are kept: the ends have their shape, [..]. At 95% the
    interval of two or three runs is their range, and that of few runs covers less than `level` says.
    """
    pooled = np.concatenate(resample(strata, samples, seed), axis=1)  # [samples,sum R,..]
    return _ends(statistic(pooled, 1), level)


def probability_of_improvement(ours: Strata, theirs: Strata) -> float:
    """Mean over tasks of P(X > Y) + 1/2 P(X = Y), X one of our runs and Y one of theirs on the same task."""
    return float(_improvement([scores[None] for scores in ours], [scores[None] for scores in theirs])[0])


def improvement_interval(
    ours: Strata, theirs: Strata, level: float = 0.95, samples: int = 2000, seed: int = 0
) -> tuple[Array, Array]:
    """Percentile interval of the probability of improvement: both sides are drawn anew within each task."""
    drawn = resample([*ours, *theirs], samples, seed)
    return _ends(_improvement(drawn[: len(ours)], drawn[len(ours) :]), level)


def _improvement(ours: Strata, theirs: Strata) -> Array:  # for each task [samples,R] -> [samples]
    wins = [
        (np.sign(left[:, :, None] - right[:, None, :]) / 2 + 0.5).mean((1, 2))
        for left, right in zip(ours, theirs, strict=True)
    ]
    return mean(np.stack(wins))


def _ends(estimates: Array, level: float) -> tuple[Array, Array]:
    tail = (1 - level) / 2
    low, high = np.quantile(estimates, [tail, 1 - tail], axis=0)
    return low, high
