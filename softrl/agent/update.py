"""THE update: critic, actor, temperature, target, on one screen. Shapes: see `softrl.types`."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from softrl.math.losses import entropy, policy_loss, temperature_loss
from softrl.math.returns import bellman, soft_value
from softrl.nn.heads import Head, Prediction
from softrl.nn.norms import batch_statistics
from softrl.types import Actions, Atoms, Batch, Metrics, Window

if TYPE_CHECKING:
    from softrl.agent.agent import Agent


def update(agent: "Agent", window: Window, *, actor: bool = True, follow: bool = True) -> tuple[Metrics, Tensor]:
    """One soft actor-critic step (arXiv 1812.05905). Every recipe is this function with other parts.

    critic       y(s, a) = r + discount * E_{a'~pi} [ rule(Q'(s', a')) - alpha log pi(a'|s') ]
    actor        min  E_{a~pi} [ alpha log pi(a|s) - rule(Q(s, a)) ]
    temperature  min  alpha * (entropy - target entropy)

    `actor` and `follow` say whether this step moves the policy and the target. Answers named scalars and the
    absolute error of each row, [B].
    """
    b, own = agent.encoder(window, agent.actor)
    alpha = agent.temperature().detach()  # [C]

    # critic and encoder
    with torch.no_grad():
        a_next = agent.actor(b.next_z)
    q, q_next = agent.lookahead(agent.critic, b, a_next.value)
    with torch.no_grad():
        value = soft_value(agent.target_rule(q_next.atoms), a_next, alpha * agent.temperature.in_backup)
        y = agent.encoder.merged(bellman(agent.reward_scale(b.reward), b.discount, value))
    error = agent.regression(agent, b, q, y)  # [E,B]
    losses = {"critic_loss": (b.weight * error).mean(-1).sum()} | agent.regularizer.value()
    agent.optim.learn(losses, own)

    # actor and temperature; the critic is held fixed because only the actor's optimiser asks for gradients
    if actor:
        z = b.policy_z.detach()
        judged_z = b.z[: len(z)].detach()  # of the first view
        with batch_statistics(agent.actor):
            a = agent.actor(z)
        q_actor = agent.encoder.judge(agent.value, b, a.value)  # [K,B]
        policy = {"actor_loss": policy_loss(q_actor, a, alpha * agent.temperature.in_actor)}
        policy |= agent.actor_terms(b, judged_z, a, q_actor)
        lengths, planned = agent.plan.losses(agent, z, judged_z, alpha)
        agent.optim.actor.step(policy | lengths)
        goal = agent.temperature.target * agent.plan.decisions(a)
        price = {"ent_coef_loss": temperature_loss(agent.temperature(), a, goal)}
        agent.optim.temperature.step(price)
        losses |= policy | lengths | price | planned | describe_policy(agent, a, alpha, goal)

    if follow:
        agent.lookahead.follow(agent.critic)
        agent.encoder.follow()
    numbers, row_error = describe_values(agent.critic.head, b, q, y, len(window.weight))
    return detached(losses | own) | numbers, row_error


def describe_policy(agent: "Agent", actions: Actions, alpha: Tensor, target: Tensor) -> Metrics:
    """What to log of a policy: mean temperature, entropy and its target; where there are two components, of each."""
    nats, names = entropy(actions), agent.temperature.names  # [C]
    each = {f"ent_coef_{name}": alpha[c] for c, name in enumerate(names)}
    each |= {f"entropy_{name}": nats[c] for c, name in enumerate(names)}
    whole = {"ent_coef": alpha.mean(), "entropy": nats.sum(), "target_entropy": target.sum()}
    return whole | each if len(names) > 1 else whole


def describe_values(head: Head, b: Batch, q: Prediction, y: Atoms, rows: int) -> tuple[Metrics, Tensor]:
    """What to log of a critic, and the absolute error of each row, [rows], that priorities are made of.

    Logged are mean reward, prediction, target, and the share of targets that the head cannot express. The error is that
    of the means, averaged over members and views.
    """
    found, goal = q.atoms.mean().detach(), y.mean()  # [E,1,B], [B]
    error = (found[:, 0] - goal).abs().unflatten(-1, (-1, rows)).mean((0, 1))
    numbers = {
        "batch_reward": b.reward.mean(),
        "q_mean": found.mean(),
        "target_mean": goal.mean(),
        "clipped_share": head.clipped(y),
    }
    return numbers, error


def detached(losses: dict[str, Tensor]) -> Metrics:
    """Losses as numbers to log."""
    return {name: loss.detach() for name, loss in losses.items()}
