"""Environment steps a second of a peer's SAC at one update a step: `python loop.py sb3|sbx`, in the peers' interpreter.

Batch 256, networks 2x256, everything else as the peer has it. One JSON object on standard output.
"""

import argparse
import json
import os
import time
from importlib.metadata import version
from typing import Any

PACKAGES = {
    "sb3": ("stable-baselines3", "torch", "gymnasium", "mujoco"),
    "sbx": ("sbx-rl", "jax", "gymnasium", "mujoco"),
}


def main() -> None:
    """Measure one peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PACKAGES)
    parser.add_argument("--env", default="HalfCheetah-v5")
    parser.add_argument("--steps", type=int, default=3_000, help="environment steps that are measured")
    parser.add_argument("--settle", type=int, default=500, help="steps with updates before that")
    parser.add_argument("--warmup", type=int, default=1_000, help="random steps before the first update")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    # Before anything is imported: XLA makes as many threads as there are processors to run on.
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: options.threads]))
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    result = {
        **vars(options),
        "steps_per_second": measure(options),
        "versions": {package: version(package) for package in PACKAGES[options.peer]},
    }
    print(json.dumps(result))


def measure(options: argparse.Namespace) -> float:
    """Train, and time the steps after the first updates."""
    model = build(options)
    first = options.warmup + options.settle
    last = first + options.steps
    moments: dict[int, float] = {}

    def note(local: dict[str, Any], _: dict[str, Any]) -> bool:
        moments[local["self"].num_timesteps] = time.perf_counter()
        return True

    model.learn(total_timesteps=last, callback=note)
    return float(options.steps / (moments[last] - moments[first]))


def build(options: argparse.Namespace) -> Any:
    """The peer's SAC."""
    if options.peer == "sb3":
        import torch
        from stable_baselines3 import SAC

        torch.set_num_threads(options.threads)
        more: dict[str, Any] = {"device": "cpu", "policy_kwargs": {"net_arch": [256, 256]}}
    else:
        from sbx import SAC

        more = {"policy_kwargs": {"net_arch": [256, 256]}}
    return SAC("MlpPolicy", options.env, batch_size=256, learning_starts=options.warmup, seed=0, **more)


if __name__ == "__main__":
    main()
