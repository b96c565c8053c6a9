"""A loss of your own on the policy's actions, as a part: with it the policy also pays for large actions.

python examples/own_loss.py [STEPS] [RECIPE]
"""

import sys
from dataclasses import dataclass

from torch import Tensor, nn

import softrl
from softrl.agent.penalty import Penalty
from softrl.types import Actions, Spec


@dataclass(frozen=True)
class Effort:
    """price * E_s E_{a~pi} mean_i a_i^2, added to the actor's loss."""

    price: float = 0.1
    """Of one unit of the mean squared action."""
    needs = frozenset[str]()  # what the actor must be able to do: nothing in particular

    def build(self, actor: nn.Module, spec: Spec) -> "EffortLoss":
        return EffortLoss(self.price)


class EffortLoss(Penalty):
    def __init__(self, price: float) -> None:
        super().__init__()
        self.price = price

    def forward(self, actor: nn.Module, z: Tensor, actions: Actions) -> dict[str, Tensor]:
        effort = actions.expectation(actions.value.square().mean(-1))  # [K,B] -> [B]
        return {"effort_loss": self.price * effort.mean()}  # logged as train/effort_loss


def main(steps: int = 3_000, recipe: str = "sac") -> None:
    for price in (0.1, 10.0):
        own = {"agent.penalty": Effort(price), "train.warmup": 500}
        run = softrl.train("Pendulum-v1", recipe=recipe, steps=steps, quiet=False, **own)
        print(f"price {price}, return:", softrl.evaluate(run.path, episodes=3))


if __name__ == "__main__":
    given = sys.argv[1:]
    steps, recipe = [*given, *["3000", "sac"][len(given) :]]
    main(int(steps), recipe)
