"""Environment steps a second of a peer: `python loop.py sb3|sbx|torchrl [--algorithm tqc]`, in the peers' interpreter.

Batch 256, one update a step and networks 2x256 for SAC, the sizes of our recipe of that name for the others, everything
else as the peer has it. One JSON object on standard output.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any

PACKAGES = {
    "sb3": ("stable-baselines3", "sb3-contrib", "torch", "gymnasium", "mujoco"),
    "sbx": ("sbx-rl", "jax", "gymnasium", "mujoco"),
    "torchrl": ("torchrl", "tensordict", "torch", "gymnasium", "mujoco"),
}
TQC = {"net_arch": {"pi": [256, 256], "qf": [512, 512, 512]}, "n_critics": 5, "n_quantiles": 25}
CROSSQ = {"net_arch": {"pi": [256, 256], "qf": [2048, 2048]}}
DROQ = {"net_arch": [256, 256], "dropout_rate": 0.01, "layer_norm": True}
ALGORITHMS: dict[tuple[str, str], tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    ("sb3", "sac"): ("stable_baselines3", "SAC", {"net_arch": [256, 256]}, {}),
    ("sbx", "sac"): ("sbx", "SAC", {"net_arch": [256, 256]}, {}),
    ("sb3", "tqc"): ("sb3_contrib", "TQC", TQC, {}),
    ("sbx", "tqc_2"): ("sbx", "TQC", {"net_arch": TQC["net_arch"], "n_quantiles": TQC["n_quantiles"]}, {}),
    ("sb3", "crossq"): ("sb3_contrib", "CrossQ", CROSSQ, {}),
    ("sbx", "crossq"): ("sbx", "CrossQ", CROSSQ, {}),
    ("sbx", "droq"): ("sbx", "SAC", DROQ, {"gradient_steps": 20, "policy_delay": 20}),
}
"""Package, class, policy and further arguments; SBX's TQC always has two critics, as ours is given there."""
COLUMNS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
"""Arrays of a buffer of Stable-Baselines3, which SBX has as well."""


def main() -> None:
    """Measure one peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PACKAGES)
    parser.add_argument("--algorithm", choices=sorted({name for _, name in ALGORITHMS} | {"redq"}), default="sac")
    parser.add_argument("--env", default="HalfCheetah-v5")
    parser.add_argument("--steps", type=int, default=3_000, help="environment steps that are measured")
    parser.add_argument("--settle", type=int, default=500, help="steps with updates before that")
    parser.add_argument("--warmup", type=int, default=1_000, help="random steps before the first update")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of replay before the first update")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="compile TorchRL's updates; SBX always does, sb3 cannot")
    options = parser.parse_args()
    # Before anything is imported: XLA makes as many threads as there are processors to run on.
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: options.threads]))
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    result = {
        **vars(options),
        **measure(options),
        "versions": {package: version(package) for package in PACKAGES[options.peer]},
    }
    print(json.dumps(result))


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Train, and time the steps after the first updates; what these take longer, most of it compiling, is beside."""
    first = options.warmup + options.settle
    last = first + options.steps
    moments: dict[int, float] = {}

    def note(step: int) -> None:
        moments[step] = time.perf_counter()

    learned = import_module("with_torchrl").learn if options.peer == "torchrl" else learn
    learned(options, last, note)
    seconds = (moments[last] - moments[first]) / options.steps
    more = moments[first] - moments[options.warmup] - options.settle * seconds
    return {"steps_per_second": 1 / seconds, "first_seconds": max(0.0, more)}


def learn(options: argparse.Namespace, steps: int, note: Callable[[int], None]) -> None:
    """Train an agent of Stable-Baselines3's interface for so many steps, and note each."""

    def on_step(local: dict[str, Any], _: dict[str, Any]) -> bool:
        note(local["self"].num_timesteps)
        if local["self"].num_timesteps == options.warmup:
            fill(local["self"].replay_buffer, options.rows)
        return True

    build(options).learn(total_timesteps=steps, callback=on_step)


def fill(buffer: Any, rows: int) -> None:
    """Write what a buffer of Stable-Baselines3 holds again and again, until it has about so many rows, as ours does."""
    here = buffer.pos
    for name in COLUMNS:
        column = getattr(buffer, name)
        for start in range(here, rows - here + 1, here):
            column[start : start + here] = column[:here]
    buffer.pos = max(1, rows // here) * here


def build(options: argparse.Namespace) -> Any:
    """The peer's agent."""
    package, name, policy, more = ALGORITHMS[options.peer, options.algorithm]
    if options.peer == "sb3":
        import torch

        torch.set_num_threads(options.threads)
        more = {"device": "cpu", **more}
    made = getattr(import_module(package), name)
    common = {"batch_size": 256, "learning_starts": options.warmup, "seed": 0, "policy_kwargs": policy}
    return made("MlpPolicy", options.env, **common, **more)


if __name__ == "__main__":
    main()
