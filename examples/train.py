"""Train from Python, stop when good enough, evaluate, and act with the policy.

python examples/train.py [ENV] [STEPS]
"""

import sys

import softrl
from softrl.api import Progress


def stop_when_good(progress: Progress) -> bool:
    """Called after each log write and each evaluation; True ends the run, with a checkpoint."""
    return progress.values.get("eval/mean_reward", float("-inf")) > -200


def main(env: str = "Pendulum-v1", steps: int = 10_000) -> None:
    run = softrl.train(env, recipe="sac", steps=steps, seed=1, callback=stop_when_good, quiet=False)
    policy = softrl.load(run.path)
    print("returns:", [round(value) for value in softrl.evaluate(policy, env, episodes=5)])

    world = softrl.make(env, seed=0)
    obs, _ = world.reset()
    action, _ = policy.predict(obs, deterministic=True)
    print("first action:", action, "- run:", run.path)


if __name__ == "__main__":
    words = sys.argv[1:]
    main(words[0] if words else "Pendulum-v1", int(words[1]) if len(words) > 1 else 10_000)
