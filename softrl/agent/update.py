"""THE update: critic, actor, temperature, target, on one screen. Shapes: see `softrl.types`."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from softrl.math.losses import entropy, joined, policy_loss, temperature_loss
from softrl.math.returns import bellman, soft_value
from softrl.nn.heads import Head, Prediction
from softrl.nn.norms import batch_statistics
from softrl.types import Actions, Atoms, Metrics, Window

if TYPE_CHECKING:
    from softrl.agent.agent import Agent


def update(agent: "Agent", window: Window, *, actor: bool = True, follow: bool = True) -> tuple[Metrics, Tensor]:
    """One soft actor-critic step (arXiv 1812.05905); recipes are this function with other parts.

    Those of 2018 and Dreamer's, which learn in another order, have `softrl.agent.variants` and `softrl.agent.dream`.

    critic       y(s, a) = scale(r) + discount * E_{a'~pi} [ rule(Q'(s', a')) - alpha log pi(a'|s') ]
    actor        min  E_{a~pi} [ alpha log pi(a|s) - rule(Q(s, a)) ]
    temperature  min  alpha * (entropy - target entropy)

    `actor` and `follow` say whether this step moves the policy and the target. Returns named scalars and the absolute
    TD error of each row of the window, [B], see `describe_values`.
    """
    b, encoder_losses = agent.encoder(window, agent.actor)
    temperature = agent.temperature()  # [C]
    alpha = temperature.detach()

    with torch.no_grad():
        next_actions = agent.actor(b.next_z)
    q, q_next = agent.lookahead(agent.critic, b, next_actions.value)
    with torch.no_grad():
        v_next = soft_value(agent.target_rule(q_next.atoms), next_actions, alpha * agent.temperature.in_backup)
        y = agent.encoder.average_views(bellman(agent.reward_scale(b.reward), b.discount, v_next))
    error = agent.regression(agent, b, q, y)  # [E,B]
    losses = joined({"critic_loss": (b.weight * error).mean(-1).sum()}, agent.regularizer.critic_losses())
    agent.optim.step_critic_and_encoder(losses, encoder_losses)

    # The critic is held fixed because only the actor's optimiser asks for gradients.
    if actor:
        z = b.policy_z.detach()
        critic_z = b.z[: len(z)].detach()  # of the first view
        with batch_statistics(agent.actor):
            actions, chunk_losses, chunk_metrics = agent.chunk_execution.judged(agent, z, critic_z, alpha)
        q_actor = agent.encoder.q_for_actor(agent.actor_q, b, actions.value)  # [K,B]
        loss = {"actor_loss": policy_loss(q_actor, actions, alpha * agent.temperature.in_actor)}
        actor_losses = joined(loss, agent.actor_terms(b, critic_z, actions, q_actor), chunk_losses)
        agent.optim.actor.step(actor_losses)
        target_entropy = agent.temperature.target * agent.chunk_execution.expected_decisions(actions)
        alpha_losses = {"ent_coef_loss": temperature_loss(temperature, actions, target_entropy)}
        agent.optim.temperature.step(alpha_losses)
        described = describe_policy(agent, actions, alpha, target_entropy)
        losses = joined(losses, actor_losses, alpha_losses, chunk_metrics, described)

    if follow:
        agent.lookahead.follow(agent.critic)
        agent.encoder.follow()
    metrics, td_error = describe_values(agent.critic.head, b.reward, q, y, len(window.weight))
    return detached(joined(losses, encoder_losses, metrics)), td_error


def describe_policy(agent: "Agent", actions: Actions, alpha: Tensor, target: Tensor) -> Metrics:
    """What to log of a policy: mean temperature, entropy and its target; where there are two components, of each."""
    nats, names = entropy(actions), agent.temperature.names  # [C]
    each = {f"ent_coef_{name}": alpha[c] for c, name in enumerate(names)}
    each |= {f"entropy_{name}": nats[c] for c, name in enumerate(names)}
    whole = {"ent_coef": alpha.mean(), "entropy": nats.sum(), "target_entropy": target.sum()}
    return whole | each if len(names) > 1 else whole


def describe_values(head: Head, reward: Tensor, q: Prediction, y: Atoms, rows: int) -> tuple[Metrics, Tensor]:
    """What to log of a critic, and the absolute TD error of each row, [rows], that priorities are made of.

    Logged are mean reward, prediction, target, and the share of targets that the head cannot express. The error is that
    of the means, |E Q - E y|, averaged over members and over all that the batch holds of a row: views, or times.
    """
    prediction, target = q.atoms.mean().detach(), y.mean()  # [E,1,B], [B]
    error = (prediction[:, 0] - target).abs().unflatten(-1, (-1, rows)).mean((0, 1))
    metrics = {
        "batch_reward": reward.mean(),
        "q_mean": prediction.mean(),
        "target_mean": target.mean(),
        "clipped_share": head.clipped(y),
    }
    return metrics, error


def detached(losses: dict[str, Tensor]) -> Metrics:
    """Losses as numbers to log."""
    return {name: loss.detach() for name, loss in losses.items()}
