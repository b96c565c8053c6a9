"""A rule of your own for what an ensemble of critics says together, in a recipe of your own with flags like softrl's.

python examples/own_rule.py [STEPS] [RECIPE]; in this folder, softrl train Pendulum-v1 --recipe own_rule:second
"""

import sys
from dataclasses import dataclass

import softrl
from softrl.math.rules import HeadTraits
from softrl.recipes import RECIPES
from softrl.recipes.recipe import Recipe
from softrl.types import Atoms


@dataclass(frozen=True)
class Ranked:
    """Keep the member whose mean is the second smallest, or has another rank: rank 0 is the clipped minimum."""

    rank: int = 1
    """Members with a smaller mean; the flag of this is --agent.target_rule.rank."""

    def __call__(self, q: Atoms) -> Atoms:  # [E,K,B,M] -> [K,B,M]
        member = q.mean().argsort(0)[self.rank][None, ..., None].expand(-1, -1, -1, q.value.shape[-1])
        return Atoms(q.value.gather(0, member)[0], q.prob.gather(0, member)[0])

    def check(self, members: int, head: HeadTraits) -> None:
        if not 0 <= self.rank < members:
            raise softrl.UserError(f"rank is {self.rank}: of {members} members it lies between 0 and {members - 1}")


CHANGES = {"agent.critic.members": 5, "agent.target_rule": Ranked(), "agent.actor_rule": Ranked()}
RECIPES["second"] = Recipe("second", "The second smallest of five critics.", None, CHANGES)


def main(steps: int = 3_000, recipe: str = "second") -> None:
    run = softrl.train("Pendulum-v1", recipe=recipe, steps=steps, quiet=False, **{"train.warmup": 500})
    print("return:", softrl.evaluate(run.path, episodes=3))


if __name__ == "__main__":
    given = sys.argv[1:]
    steps, recipe = [*given, *["3000", "second"][len(given) :]]
    main(int(steps), recipe)
