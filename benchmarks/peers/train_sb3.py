"""Trains Stable-Baselines3's SAC with its defaults under softrl's evaluation protocol, in the peers' interpreter.

Ten episodes of the deterministic policy at step 0, every 5000 steps and at the end, in an environment and with seeds of
their own, which take nothing of `--minutes`; eval.csv and episodes.csv have softrl's columns. Tasks of DeepMind Control
are softrl's environments, for which the interpreter needs dm_control. A run that was cut begins anew.
"""

import argparse
import csv
import fcntl
import json
import platform
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
EVALUATION = (
    *("env_steps", "decisions", "updates", "return_mean", "return_sd", "return_min", "return_max"),
    *("length_mean", "success_mean", "seconds"),
)
EPISODE = ("env_steps", "episode", "return", "length")
EPISODES = 10
SEEDS = 1_000_000  # evaluation seeds start here, far from those of training


def main() -> None:
    """Train one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("env")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument(
        "--minutes", type=float, help="minutes of learning after which the run ends, whatever its steps"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=5_000, help="steps between evaluations")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    options = parser.parse_args()
    options.run.mkdir(parents=True, exist_ok=True)
    with (options.run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        describe(options)
        train(options)


def describe(options: argparse.Namespace) -> None:
    """What the run is: configuration, versions, command."""
    config = {
        "recipe": "sb3_sac",
        "steps": options.steps,
        "minutes": options.minutes,
        "seed": options.seed,
        "threads": options.threads,
        "env": {"name": options.env, "repeat": 1},
    }
    packages = [
        "stable-baselines3",
        "torch",
        "gymnasium",
        "mujoco",
        "numpy",
        *["dm-control"][: of_control(options.env)],
    ]
    machine = softrl_versions()
    versions = {"python": platform.python_version(), **{package: version(package) for package in packages}}
    versions |= {name: machine[name] for name in ("commit", "platform", "cpu")}
    command = ["python", "benchmarks/peers/train_sb3.py", *sys.argv[1:]]
    (options.run / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (options.run / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")
    (options.run / "command.txt").write_text(" ".join(command) + "\n")


def train(options: argparse.Namespace) -> None:
    """Learn, with evaluations on the way."""
    import torch
    from stable_baselines3 import SAC

    torch.set_num_threads(options.threads)
    model = SAC("MlpPolicy", made(options.env), seed=options.seed, device="cpu")
    env = made(options.env)
    begin, evaluated, beside = time.monotonic(), -1, 0.0
    limit = float("inf") if options.minutes is None else 60 * options.minutes
    with (options.run / "eval.csv").open("w", newline="") as means, (options.run / "episodes.csv").open("w") as each:
        tables = csv.writer(means), csv.writer(each)
        tables[0].writerow(EVALUATION)
        tables[1].writerow(EPISODE)

        def evaluation() -> None:
            nonlocal evaluated, beside
            steps, start = model.num_timesteps, time.monotonic()
            played = [play(model, env, SEEDS * (1 + options.seed) + steps + i) for i in range(EPISODES)]
            returns, lengths = zip(*played, strict=True)
            tables[1].writerows((steps, i, *result) for i, result in enumerate(played))
            spread = (statistics.fmean(returns), statistics.pstdev(returns), min(returns), max(returns))
            seconds = time.monotonic() - begin
            tables[0].writerow((steps, steps, model._n_updates, *spread, statistics.fmean(lengths), "", seconds))
            means.flush()
            each.flush()
            evaluated, beside = steps, beside + time.monotonic() - start

        def on_step(local: dict[str, Any], _: dict[str, Any]) -> bool:
            if model.num_timesteps % options.every == 0 or model.num_timesteps == options.steps:
                evaluation()
            return time.monotonic() - begin - beside < limit

        evaluation()
        model.learn(options.steps, callback=on_step)
        if evaluated != model.num_timesteps:
            evaluation()


def softrl_versions() -> dict[str, str | None]:
    """What softrl says of a machine and of this checkout; it needs nothing that the peers' interpreter lacks."""
    sys.path.append(str(ROOT))
    from softrl.run.versions import versions

    return versions()


def of_control(name: str) -> bool:
    """Whether a name is that of a DeepMind Control task and not of a Gymnasium environment."""
    import gymnasium

    return name not in gymnasium.registry


def made(name: str) -> Any:
    """A new environment."""
    import gymnasium

    if not of_control(name):
        return gymnasium.make(name)
    sys.path.append(str(ROOT))
    from softrl.data.sources import build

    return build(name, time_limit=None, render=None)


def play(model: Any, env: Any, seed: int) -> tuple[float, int]:
    """Return and length of one episode of the deterministic policy."""
    observation, _ = env.reset(seed=seed)
    total, length, over = 0.0, 0, False
    while not over:
        action, _ = model.predict(observation, deterministic=True)
        observation, reward, terminated, truncated, _ = env.step(action)
        total, length, over = total + float(reward), length + 1, terminated or truncated
    return total, length


if __name__ == "__main__":
    main()
