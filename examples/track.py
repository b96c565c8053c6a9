"""Every scalar of a run in Weights & Biases too, and its weights as an artifact; without wandb it just trains.

python examples/track.py [ENV] [STEPS]
"""

import json
import sys
from typing import Any

import softrl


class Tracker:
    """A callback that opens the run where it is first called, and hands on what softrl has just written."""

    def __init__(self, wandb: Any, project: str = "softrl") -> None:
        self.wandb, self.project = wandb, project
        self.run: Any = None

    def __call__(self, progress: softrl.Progress) -> None:
        if self.run is None:
            config = json.loads((progress.folder / "config.json").read_text())
            self.run = self.wandb.init(project=self.project, name=str(progress.folder), config=config)
        self.run.log(progress.values, step=progress.env_steps)


def main(env: str = "Pendulum-v1", steps: int = 10_000) -> None:
    try:
        import wandb
    except ImportError:
        wandb = None
        print("wandb is not installed: the same scalars are in metrics.jsonl and in TensorBoard's files")
    tracker = Tracker(wandb) if wandb else None
    result = softrl.train(env, recipe="sac", steps=steps, callback=tracker, quiet=False)
    if tracker and tracker.run:
        tracker.run.log_artifact(str(result.path / "checkpoints"), name="checkpoints", type="model")
        tracker.run.finish()


if __name__ == "__main__":
    words = sys.argv[1:]
    main(words[0] if words else "Pendulum-v1", int(words[1]) if len(words) > 1 else 10_000)
