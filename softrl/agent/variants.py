"""Updates whose lines come in another order than `softrl.agent.update`. Shapes: see `softrl.types`."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from softrl.agent.update import describe_policy, describe_values, detached
from softrl.math.losses import joined, policy_loss, temperature_loss
from softrl.math.returns import bellman, soft_value
from softrl.nn.norms import batch_statistics
from softrl.types import Metrics, Window

if TYPE_CHECKING:
    from softrl.agent.agent import Agent


def update_v1(agent: "Agent", window: Window, *, actor: bool = True, follow: bool = True) -> tuple[Metrics, Tensor]:
    """Soft actor-critic with a state-value network, as published in 2018 (arXiv 1801.01290, eq. 5 to 13).

    state value  min  1/2 (V(s) - [ rule(Q(s, a)) - alpha log pi(a|s) ])^2,   a ~ pi
    critic       min  1/2 (Q(s, a) - [ scale * r + discount * V'(s') ])^2
    actor        min  alpha log pi(a|s) - rule(Q(s, a))

    All three losses are taken at the same weights, then all three networks move, then V' follows V.
    """
    b, encoder_losses = agent.encoder(window, agent.actor)
    alpha = agent.temperature().detach()  # [C]

    z, critic_z = b.policy_z.detach(), b.z.detach()
    with batch_statistics(agent.actor):
        actions, _, _ = agent.chunk_execution.judged(agent, z, critic_z, alpha)
    atoms = agent.critic(critic_z, actions.value).atoms  # [E,K,B,M]
    q = agent.critic(b.z, b.action[None])
    v, v_next = agent.lookahead(b)
    with torch.no_grad():
        v_target = soft_value(agent.target_rule(atoms), actions, alpha * agent.temperature.in_backup)
        y = bellman(agent.reward_scale(b.reward), b.discount, v_next)
    value_losses = {
        "value_loss": (b.weight * agent.lookahead.value.loss(v, v_target)).mean(),
        "critic_loss": (b.weight * agent.regression(agent, b, q, y)).mean(-1).sum(),
    }
    losses = joined(value_losses, agent.regularizer.critic_losses())

    # The policy's gradient is taken before any weight that it depends on moves in place.
    actor_losses: dict[str, Tensor] = {}
    if actor:
        q_actor = agent.actor_rule(atoms).mean()  # [K,B]
        loss = {"actor_loss": policy_loss(q_actor, actions, alpha * agent.temperature.in_actor)}
        actor_losses = joined(loss, agent.actor_terms(b, critic_z, actions, q_actor))
        agent.optim.actor.step(actor_losses)
    agent.optim.step_critic_and_encoder(losses, encoder_losses)

    if follow:
        agent.lookahead.follow(agent.critic)
        agent.encoder.follow()
    described = describe_policy(agent, actions, alpha, agent.temperature.target)
    described |= {"ent_coef_loss": temperature_loss(alpha, actions, agent.temperature.target)}  # which nothing follows
    metrics, td_error = describe_values(agent.critic.head, b.reward, q, y, len(window.weight))
    return detached(joined(losses, encoder_losses, actor_losses, described, metrics)), td_error
