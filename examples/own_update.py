"""An update of your own without a fork: the critic learns as ever, the policy also pays for large actions.

Where a term on the policy's actions is all that is new, own_loss.py does the same without copied lines: an update of
your own is for lines in another order, or for other targets.

python examples/own_update.py [STEPS] [RECIPE]      softrl train Pendulum-v1 --agent.update own_update:thrifty
"""

import sys
from typing import Any

from torch import Tensor

import softrl
from softrl.agent.update import describe_policy, detached, update
from softrl.math.losses import policy_loss, temperature_loss
from softrl.nn.norms import batch_statistics
from softrl.types import Metrics, Window

PRICE = 0.1  # of one unit of the mean squared action


def thrifty(agent: Any, window: Window, *, actor: bool = True, follow: bool = True) -> tuple[Metrics, Tensor]:
    """Soft actor-critic with actor loss  E [ alpha log pi(a|s) - rule(Q(s, a)) + PRICE * mean(a^2) ]."""
    alpha = agent.temperature().detach()  # [C]
    metrics, error = update(agent, window, actor=False, follow=follow)  # the critic learns as ever
    if actor:
        b, _ = agent.encoder(window, agent.actor)
        z, critic_z = b.policy_z.detach(), b.z[: len(b.policy_z)].detach()
        with batch_statistics(agent.actor):
            a, planned, about_plans = agent.chunk_execution.judged(agent, z, critic_z, alpha)
        effort = a.expectation(a.value.square().mean(-1)).mean()  # [K,B] -> [B] -> one number
        q_actor = agent.encoder.q_for_actor(agent.actor_q, b, a.value)  # [K,B]
        policy = {"actor_loss": policy_loss(q_actor, a, alpha * agent.temperature.in_actor), "effort": PRICE * effort}
        policy |= agent.actor_terms(b, critic_z, a, q_actor) | planned  # what the recipe's parts bring
        agent.optim.actor.step(policy)  # steps down their sum; each is logged under its name
        target = agent.temperature.target * agent.chunk_execution.expected_decisions(a)
        price = {"ent_coef_loss": temperature_loss(agent.temperature(), a, target)}
        agent.optim.temperature.step(price)
        metrics |= detached(policy | price | about_plans | describe_policy(agent, a, alpha, target))
    return metrics, error


def main(steps: int = 3_000, recipe: str = "sac") -> None:
    own = {"agent.update": "own_update:thrifty", "train.warmup": 500}  # by its name, which config.json keeps
    run = softrl.train("Pendulum-v1", recipe=recipe, steps=steps, quiet=False, **own)
    print("return:", softrl.evaluate(run.path, episodes=3))


if __name__ == "__main__":
    given = sys.argv[1:]
    steps, recipe = [*given, *["3000", "sac"][len(given) :]]
    main(int(steps), recipe)
