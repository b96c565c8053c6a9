"""A critic's head of your own: how a return distribution is read from a network's output, and learned.

python examples/own_head.py [STEPS]
"""

import sys
from dataclasses import dataclass

import torch
from torch import Tensor

import softrl
from softrl.types import Atoms


@dataclass(frozen=True)
class Expectile:
    """One number, the tau-expectile of the return: an error e costs |tau - 1(e < 0)| e^2 (IQL, arXiv 2110.06169)."""

    tau: float = 0.4
    """1/2 is the mean; less is pessimistic."""
    width = 1  # numbers in a critic's output
    equal_weights = True  # of the atoms

    def atoms(self, output: Tensor) -> Atoms:  # [..,1] -> [..,1]
        return Atoms(output, torch.ones_like(output))

    def loss(self, output: Tensor, target: Atoms) -> Tensor:  # [E,B,1], [B,M] -> [E,B]
        error = target.value - output  # [E,B,M]
        share = torch.where(error < 0, 1 - self.tau, self.tau)
        return (target.prob * share * error.square()).sum(-1)

    def clipped(self, target: Atoms) -> Tensor:  # share of the target that the head cannot express
        return target.value.new_zeros(())


def main(steps: int = 3_000, recipe: str = "sac") -> None:
    own = {"agent.critic.head": Expectile(tau=0.3), "agent.critic.members": 1, "train.warmup": 500}
    run = softrl.train("Pendulum-v1", recipe=recipe, steps=steps, quiet=False, **own)
    print("return:", softrl.evaluate(run.path, episodes=3))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3_000)
