"""Updates a second of one contender: `python rate.py softrl|sb3|torchrl [--how compiled]`, where that is installed.

SAC with batch 256 and networks 2x256. What is timed is all that a training does for an update: a sample of replay, the
update, what is noted for the log, which TorchRL leaves to its caller and here is nothing. TorchRL draws samples in the
thread that learns; its example draws them ahead in another. One JSON object on standard output.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = {
    "softrl": ("softrl", "torch", "gymnasium", "mujoco"),
    "sb3": ("stable-baselines3", "torch", "gymnasium", "mujoco"),
    "torchrl": ("torchrl", "tensordict", "torch", "gymnasium", "mujoco"),
}
WARMUP = 1_000  # environment steps of random actions
SETTLING, LEAST = 60, 8  # updates, and calls, before those that are timed: what compiles and records graphs
AT_ONCE, CALLS = 20, 4  # updates, and calls, between looks at the clock, for which a GPU has to be waited for

Contender = tuple[Callable[[], object], int]
"""A call, and how many updates it makes."""


def main() -> None:
    """Measure one contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices=PACKAGES)
    parser.add_argument("--how", choices=("eager", "compiled", "graph"), default="eager", help="TorchRL's updates")
    parser.add_argument("--launch", type=int, default=1, help="softrl's updates a step, which a CUDA graph may hold")
    parser.add_argument("--compile", default="off", help="softrl's updates: off, graph or cudagraph")
    parser.add_argument("--env", default="HalfCheetah-v5")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of replay")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long updates are counted")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        call, updates = {"softrl": softrl, "sb3": sb3, "torchrl": torchrl}[options.contender](options, Path(folder))
        first = max(LEAST, SETTLING // updates)
        settling = timed(call, first)
        at_once, done, spent = max(CALLS, AT_ONCE // updates), 0, 0.0
        while not done or spent < options.seconds:
            spent, done = spent + timed(call, at_once), done + at_once
        result = {
            **vars(options),
            "updates_per_second": updates * done / spent,
            "first_seconds": max(0.0, settling - first * spent / done),
            "gpu": torch.cuda.get_device_name() if options.device == "cuda" else "",
            "versions": versions(options.contender),
        }
    print(json.dumps(result))


def versions(contender: str) -> dict[str, str]:
    """Of the packages that are measured; nothing of what is on Python's path without being installed."""
    found = {}
    for package in PACKAGES[contender]:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def timed(call: Callable[[], object], calls: int) -> float:
    """Seconds of so many calls, the work included that they leave to a GPU."""
    import torch

    begin = time.perf_counter()
    for _ in range(calls):
        call()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - begin


# ------------------------------------------------------------ contenders


def softrl(options: argparse.Namespace, folder: Path) -> Contender:
    """Ours as the trainer makes its updates; without looks at diagnostics, which the others do not have."""
    from softrl.bench import loop
    from softrl.run.fields import override
    from softrl.run.trainer import Trainer

    given = {name: getattr(options, name) for name in ("env", "threads", "compile", "device")}
    asked = {"train.updates_per_decision": float(options.launch), "log.diagnostics": None}
    trainer = Trainer(override(loop.configured(loop.Options(**given)), asked), options.env, folder)
    loop.advance(trainer, WARMUP)
    loop.fill(trainer.replay, options.rows)
    count = trainer.updates_per_launch
    return lambda: trainer.update(count), count


def sb3(options: argparse.Namespace, folder: Path) -> Contender:
    """Stable-Baselines3's, which is eager, in calls of twenty updates."""
    from loop import fill
    from stable_baselines3 import SAC

    policy = {"net_arch": [256, 256]}
    common: dict[str, Any] = {"device": options.device, "learning_starts": WARMUP, "seed": 0}
    model = SAC("MlpPolicy", options.env, batch_size=256, policy_kwargs=policy, **common)
    model.learn(WARMUP + 1)
    fill(model.replay_buffer, options.rows)
    return lambda: model.train(gradient_steps=20, batch_size=256), 20


def torchrl(options: argparse.Namespace, folder: Path) -> Contender:
    """TorchRL's parts on random rows, eager, compiled, or compiled and recorded by tensordict's CudaGraphModule."""
    import gymnasium
    import torch
    from tensordict import TensorDict
    from tensordict.nn import CudaGraphModule
    from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
    from with_torchrl import BATCH, networks, sac

    env, rows = gymnasium.make(options.env), options.rows
    (width,), (actions,) = env.observation_space.shape, env.action_space.shape
    with torch.device(options.device):
        _, actor, critic = networks(env)
        update, _ = sac(actor, critic, options.how == "compiled", capturable=options.how == "graph")
        storage = LazyTensorStorage(rows, device=options.device)
        replay = TensorDictReplayBuffer(storage=storage, batch_size=BATCH)
        never = torch.zeros(rows, 1, dtype=torch.bool)
        after = {"observation": torch.randn(rows, width), "reward": torch.randn(rows, 1)}
        following = TensorDict({**after, "terminated": never, "done": never.clone()}, [rows])
        given = {"observation": torch.randn(rows, width), "action": 1.8 * torch.rand(rows, actions) - 0.9}
        replay.extend(TensorDict({**given, "next": following}, [rows]))
    if options.how == "graph":
        update = CudaGraphModule(torch.compile(update), in_keys=[], out_keys=[], warmup=20)

    def call() -> None:
        torch.compiler.cudagraph_mark_step_begin()
        update(replay.sample())

    return call, 1


if __name__ == "__main__":
    main()
