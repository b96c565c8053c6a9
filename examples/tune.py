"""Search for two settings: with Optuna, which ends poor trials early, or at random where it is not installed.

python examples/tune.py [ENV] [STEPS] [TRIALS]
"""

import random
import sys
from types import SimpleNamespace
from typing import Any

import softrl

RANGES = {"agent.optim.value.learning_rate": (1e-4, 1e-2), "agent.lookahead.tau": (1e-3, 5e-2)}
DRAWS = random.Random(0)  # apart from the generator that all share, which training seeds


def random_trial() -> Any:
    """A trial of random search, asked as one of Optuna is."""

    def suggest_float(name: str, low: float, high: float, log: bool = True) -> float:
        return low * (high / low) ** DRAWS.random()

    return SimpleNamespace(suggest_float=suggest_float, report=print, should_prune=lambda: False)


def trained(trial: Any, env: str, steps: int) -> Any:
    """A run that ends early where the trial does, and its settings."""
    chosen = {name: trial.suggest_float(name, *limits, log=True) for name, limits in RANGES.items()}

    def prune(progress: softrl.Progress) -> bool:
        if value := progress.values.get("eval/mean_reward"):
            trial.report(value, progress.env_steps)
        return bool(trial.should_prune())

    return softrl.train(env, steps=steps, seed=1, callback=prune, **chosen), chosen


def main(env: str = "Pendulum-v1", steps: int = 5_000, trials: int = 10) -> None:
    try:
        import optuna
    except ImportError:
        tried = [trained(random_trial(), env, steps) for _ in range(trials)]
        run, chosen = max(tried, key=lambda pair: pair[0].last)
        print("best:", run.last, chosen)
        return

    def objective(trial: Any) -> float:
        run, _ = trained(trial, env, steps)
        if not run.finished:
            raise optuna.TrialPruned
        return float(run.last)

    study = optuna.create_study(direction="maximize")
    study.optimize(objective, n_trials=trials)
    print("best:", study.best_value, study.best_params)


if __name__ == "__main__":
    env, steps, trials = [*sys.argv[1:], *["Pendulum-v1", "5000", "10"][len(sys.argv) - 1 :]]
    main(env, int(steps), int(trials))
