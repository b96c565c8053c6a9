"""A trunk of your own in a recipe of your own, which stacks with softrl's and has flags like them.

python examples/own_trunk.py [STEPS] [RECIPE]; in this folder, softrl train Pendulum-v1 --recipe tqc+own_trunk:waves
"""

import sys
from dataclasses import dataclass

from torch import Tensor, nn

import softrl
from softrl.nn.layers import Linear
from softrl.nn.trunks import Trunk, Units
from softrl.recipes import RECIPES
from softrl.recipes.recipe import Recipe


@dataclass(frozen=True)
class Sines:
    """Linear layers and sines."""

    hidden: tuple[int, ...] = (128, 128)
    """Units of each hidden layer; the flag of this is --agent.critic.trunk.hidden."""
    needs = frozenset[str]()

    def build(self, inputs: int, members: int = 1) -> "SinesTrunk":
        return SinesTrunk(self.hidden, inputs, members)


class SinesTrunk(Trunk):
    def __init__(self, hidden: tuple[int, ...], inputs: int, members: int) -> None:
        super().__init__()
        self.members, self.width = members, hidden[-1]
        sizes = zip((inputs, *hidden), hidden, strict=False)
        self.layers = nn.ModuleList(Linear(i, o, members, "orthogonal") for i, o in sizes)

    def forward(self, x: Tensor) -> Tensor:  # [B,D] or [E,B,D] -> [E,B,width]
        for layer in self.layers:
            x = layer(x).sin()
        return x

    def out(self, outputs: int) -> nn.Module:
        return Linear(self.width, outputs, self.members, "orthogonal")

    def hidden(self) -> list[Units]:
        return []  # units that plasticity's recipes may renew one by one


RECIPES["waves"] = Recipe("waves", "Critics of sines.", None, {"agent.critic.trunk": Sines()})


def main(steps: int = 3_000, recipe: str = "tqc+waves") -> None:
    run = softrl.train("Pendulum-v1", recipe=recipe, steps=steps, quiet=False, **{"train.warmup": 500})
    print("return:", softrl.evaluate(run.path, episodes=3))


if __name__ == "__main__":
    given = sys.argv[1:]
    steps, recipe = [*given, *["3000", "tqc+waves"][len(given) :]]
    main(int(steps), recipe)
