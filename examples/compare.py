"""Two recipes on several seeds: curves with bands, means with intervals, and how likely one is better.

python examples/compare.py [ENV] [STEPS] [SEEDS]
"""

import sys
from pathlib import Path

import numpy as np

import softrl
from softrl.math.stats import bootstrap_interval, improvement_interval, interquartile_mean, probability_of_improvement
from softrl.plots.curves import plot
from softrl.plots.load import load

FEW = 5
SOON = {"train.warmup": 500}  # in place of 5,000 random steps, which would be the whole run


def final(runs: list[Path]) -> np.ndarray:
    """The mean return of the last three evaluations of each run, [R]."""
    return np.array([load(run).returns[-3:].mean() for run in runs])


def main(env: str = "Pendulum-v1", steps: int = 5_000, seeds: int = 5, one: str = "sac", other: str = "tqc") -> None:
    runs: dict[str, list[Path]] = {one: [], other: []}
    for recipe, paths in runs.items():
        for seed in range(seeds):
            run = softrl.train(env, recipe=recipe, steps=steps, seed=seed, quiet=False, **SOON)
            if not run.finished:
                raise SystemExit(f"stopped in {run.path}: nothing is compared, since that run is not whole")
            paths.append(run.path)

    if seeds < FEW:
        print(f"{seeds} seeds tell little: intervals of fewer than {FEW} are too narrow, whatever they say")
    for recipe, paths in runs.items():
        low, high = bootstrap_interval([final(paths)], interquartile_mean)
        middle = interquartile_mean(final(paths))
        print(f"{recipe}: interquartile mean {middle:.1f}, 95% interval [{low:.1f}, {high:.1f}] over {seeds} seeds")
    ours, theirs = [final(runs[other])], [final(runs[one])]  # lists, because there may be several tasks
    low, high = improvement_interval(ours, theirs)
    print(f"P({other} > {one}) = {probability_of_improvement(ours, theirs):.2f}, 95% interval [{low:.2f}, {high:.2f}]")
    print("curves:", plot([path for paths in runs.values() for path in paths], Path("compare.png")))


if __name__ == "__main__":
    given = sys.argv[1:]
    env, steps, seeds = [*given, *["Pendulum-v1", "5000", "5"][len(given) :]]
    main(env, int(steps), int(seeds))
