"""An explorer of your own: noise that remembers, added to what the policy would do (Ornstein-Uhlenbeck, as in DDPG).

python examples/own_explorer.py [STEPS] [RECIPE]; in this folder, softrl train Pendulum-v1 --recipe own_explorer:drift
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

MEMORY = "explorer.drift"  # what an explorer remembers is kept, and forgotten at an episode's end, under `explorer.*`


@dataclass(frozen=True)
class Drift:
    """x <- (1 - pull) x + push * noise, added to the policy's deterministic action (arXiv 1509.02971, section 7)."""

    pull: float = 0.15
    """How fast the noise forgets; the flag of this is --agent.explorer.pull."""
    push: float = 0.2
    """Standard deviation of what is new in it."""
    needs = frozenset[str]()

    def build(self, actor: Any, latent: int, spec: Spec) -> "DriftExplorer":
        if spec.choices:
            raise softrl.UserError("Drift moves numbers, and there are choices here: leave it out")
        return DriftExplorer(self, spec)


class DriftExplorer(Explorer):
    def __init__(self, config: Drift, spec: Spec) -> None:
        super().__init__()
        self.pull, self.push, self.width = config.pull, config.push, spec.continuous

    def initial(self, count: int) -> Carry:
        return {MEMORY: torch.zeros(count, self.width)}

    def act(self, actor: Any, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:  # [N,D] -> [N,A]
        noise = (1 - self.pull) * carry[MEMORY] + self.push * torch.randn(len(z), self.width)
        return (actor.mode(z) + noise).clamp(-1, 1), carry | {MEMORY: noise}

    def losses(self, agent: Any, z: Tensor, critic_z: Tensor) -> dict[str, Tensor]:
        return {}  # it has no parameters


RECIPES["drift"] = Recipe("drift", "Exploration by noise that remembers.", None, {"agent.explorer": Drift()})


def main(steps: int = 3_000, recipe: str = "drift") -> None:
    run = softrl.train("Pendulum-v1", recipe=recipe, steps=steps, quiet=False, **{"train.warmup": 500})
    print("return:", softrl.evaluate(run.path, episodes=3))


if __name__ == "__main__":
    given = sys.argv[1:]
    steps, recipe = [*given, *["3000", "drift"][len(given) :]]
    main(int(steps), recipe)
