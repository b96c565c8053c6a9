"""An explorer of your own: noise that remembers, added to what the policy would do.

python examples/own_explorer.py [STEPS]; in this folder, softrl train Pendulum-v1 --recipe own_explorer:drift
"""

import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import softrl
from softrl.agent.explore import Explorer
from softrl.recipes import RECIPES
from softrl.recipes.recipe import Recipe
from softrl.types import Carry, Spec


@dataclass(frozen=True)
class Drift:
    """x <- (1 - pull) x + push * noise, added to the policy's deterministic action (arXiv 1509.02971, section 7)."""

    pull: float = 0.15
    """How fast the noise forgets; the flag of this is --agent.explorer.pull."""
    push: float = 0.2
    """Standard deviation of what is new in it."""
    needs = frozenset[str]()

    def build(self, actor: Any, latent: int, spec: Spec) -> "DriftExplorer":
        return DriftExplorer(self, spec)


class DriftExplorer(Explorer):
    def __init__(self, config: Drift, spec: Spec) -> None:
        super().__init__()
        self.pull, self.push = config.pull, config.push
        self.register_buffer("still", torch.zeros(spec.continuous), persistent=False)  # moves to a GPU with the agent

    def initial(self, count: int) -> Carry:
        return {"explorer.drift": self.get_buffer("still").repeat(count, 1)}  # for each episode anew

    def act(self, actor: Any, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:  # [N,D] -> [N,A]
        x = torch.normal((1 - self.pull) * carry["explorer.drift"], self.push)
        return (actor.mode(z) + x).clamp(-1, 1), carry | {"explorer.drift": x}

    def losses(self, agent: Any, z: Tensor, critic_z: Tensor) -> dict[str, Tensor]:
        return {}


RECIPES["drift"] = Recipe("drift", "Exploration by noise that remembers.", None, {"agent.explorer": Drift()})


def main(steps: int = 3_000, recipe: str = "drift") -> None:
    run = softrl.train("Pendulum-v1", recipe=recipe, steps=steps, quiet=False, **{"train.warmup": 500})
    print("return:", softrl.evaluate(run.path, episodes=3))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 3_000)
