"""Search for two settings: with Optuna, which ends poor trials early, or at random where it is not installed.

python examples/tune.py [ENV] [STEPS] [TRIALS]
"""

import random
import sys
from types import SimpleNamespace
from typing import Any

import softrl

RANGES = {"agent.optim.value.learning_rate": (1e-4, 1e-2), "agent.lookahead.tau": (1e-3, 5e-2)}
SOON = {"train.warmup": 500}  # random actions before learning starts: the default is as long as these runs
DRAWS = random.Random(0)  # a generator of its own: the same trials each time


def random_trial() -> Any:
    """A trial of random search, asked as one of Optuna is."""

    def suggest_float(name: str, low: float, high: float, log: bool = True) -> float:
        return low * (high / low) ** DRAWS.random()

    return SimpleNamespace(suggest_float=suggest_float, report=print, should_prune=lambda: False)


def trained(trial: Any, env: str, steps: int, pruned: type[BaseException] = KeyboardInterrupt) -> tuple[float, Any]:
    """The last return of a run and its settings; raises `pruned` where the trial ended it early."""
    chosen = {name: trial.suggest_float(name, *limits, log=True) for name, limits in RANGES.items()}

    def prune(progress: softrl.Progress) -> bool:
        if (value := progress.values.get("eval/mean_reward")) is not None:
            trial.report(value, progress.env_steps)
        return bool(trial.should_prune())

    run = softrl.train(env, steps=steps, seed=1, callback=prune, **SOON, **chosen)
    if not run.finished:  # Ctrl-C ends a run as the callback does, and is to end the search too
        raise pruned if trial.should_prune() else KeyboardInterrupt
    return run.last, chosen


def main(env: str = "Pendulum-v1", steps: int = 5_000, trials: int = 10) -> None:
    try:
        import optuna
    except ImportError:
        tried = [trained(random_trial(), env, steps) for _ in range(trials)]
        print("best:", *max(tried, key=lambda pair: pair[0]))
        return

    study = optuna.create_study(direction="maximize")
    study.optimize(lambda trial: trained(trial, env, steps, optuna.TrialPruned)[0], n_trials=trials)
    print("best:", study.best_value, study.best_params)


if __name__ == "__main__":
    env, steps, trials = [*sys.argv[1:], *["Pendulum-v1", "5000", "10"][len(sys.argv) - 1 :]]
    main(env, int(steps), int(trials))
