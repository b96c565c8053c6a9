"""A loss of your own without a fork: the update of softrl, line by line, whose policy also pays for large actions.

python examples/own_update.py [STEPS] [RECIPE]      softrl train Pendulum-v1 --agent.update own_update:thrifty
"""

import sys
from typing import Any

import torch
from torch import Tensor

import softrl
from softrl.agent.update import describe_policy, describe_values, detached
from softrl.math.losses import policy_loss, temperature_loss
from softrl.math.returns import bellman, soft_value
from softrl.nn.norms import batch_statistics
from softrl.types import Metrics, Window

PRICE = 0.1  # of one unit of the mean squared action


def thrifty(agent: Any, window: Window, *, actor: bool = True, follow: bool = True) -> tuple[Metrics, Tensor]:
    """Soft actor-critic with actor loss  E [ alpha log pi(a|s) - rule(Q(s, a)) + PRICE * mean(a^2) ]."""
    b, own = agent.encoder(window, agent.actor)
    alpha = agent.temperature().detach()  # [C]
    with torch.no_grad():
        a_next = agent.actor(b.next_z)
    q, q_next = agent.lookahead(agent.critic, b, a_next.value)
    with torch.no_grad():
        value = soft_value(agent.target_rule(q_next.atoms), a_next, alpha * agent.temperature.in_backup)
        y = agent.encoder.merged(bellman(agent.reward_scale(b.reward), b.discount, value))
    losses = {"critic_loss": (b.weight * agent.regression(agent, b, q, y)).mean(-1).sum()} | agent.regularizer.value()
    agent.optim.learn(losses, own)  # the critic's optimiser, and the encoder's
    if actor:
        with batch_statistics(agent.actor):
            a = agent.actor(b.policy_z.detach())
        effort = a.expectation(a.value.square().mean(-1)).mean()  # [K,B] -> [B] -> one number
        worth = agent.encoder.judge(agent.value, b, a.value)  # [K,B]
        policy = {"actor_loss": policy_loss(worth, a, alpha * agent.temperature.in_actor), "effort": PRICE * effort}
        agent.optim.actor.step(policy)  # steps down their sum; each is logged under its name
        price = {"ent_coef_loss": temperature_loss(agent.temperature(), a, agent.temperature.target)}
        agent.optim.temperature.step(price)
        losses |= policy | price | describe_policy(agent, a, alpha, agent.temperature.target)
    if follow:
        agent.lookahead.follow(agent.critic)
        agent.encoder.follow()
    numbers, error = describe_values(agent.critic.head, b, q, y, len(window.weight))
    return detached(losses | own) | numbers, error


def main(steps: int = 3_000, recipe: str = "sac") -> None:
    own = {"agent.update": "own_update:thrifty", "train.warmup": 500}  # by its name, which config.json keeps
    run = softrl.train("Pendulum-v1", recipe=recipe, steps=steps, quiet=False, **own)
    print("return:", softrl.evaluate(run.path, episodes=3))


if __name__ == "__main__":
    given = sys.argv[1:]
    steps, recipe = [*given, *["3000", "sac"][len(given) :]]
    main(int(steps), recipe)
