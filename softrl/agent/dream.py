"""Dreamer: a policy learned inside a world model, by gradients through it. Shapes: see `softrl.types`.

H decisions ahead, R starts: every posterior state of a window is one. F features of a state.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from softrl.agent.update import describe_policy, describe_values, detached
from softrl.errors import UserError
from softrl.math.losses import joined, temperature_loss
from softrl.math.returns import lambda_return
from softrl.nn.imagine import check_horizon, imagine
from softrl.nn.norms import batch_statistics
from softrl.nn.targets import check_tau, frozen_copy, polyak_update
from softrl.types import Atoms, Metrics, Spec, Window

if TYPE_CHECKING:
    from softrl.agent.agent import Agent


@dataclass(frozen=True)
class Imagination:
    """Returns of imagined decisions, ended by what a copy of the state value expects (Dreamer, arXiv 1912.01603)."""

    horizon: int = 15
    """Decisions that are imagined from every state."""
    decay: float = 0.95
    """Weight of longer returns against shorter ones: lambda."""
    tau: float = 1.0
    """Polyak coefficient of the target state value; 1 copies the weights, which is no target."""
    needs = frozenset[str]()
    offers = frozenset({"imagined value"})
    trunks = ()

    def __post_init__(self) -> None:
        check_horizon(self.horizon)
        if not 0 <= self.decay <= 1:
            raise UserError(f"agent.lookahead.decay is {self.decay}: it must lie in [0, 1], such as 0.95")
        check_tau("agent.lookahead.tau", self.tau)

    def build(self, critic: nn.Module, latent: int, spec: Spec) -> "ImaginedLookahead":
        """The module, its copy as the state value `critic` is now."""
        return ImaginedLookahead(self, critic, spec)


class ImaginedLookahead(nn.Module):
    """What the copy expects of features, and the returns that follow."""

    def __init__(self, config: Imagination, critic: nn.Module, spec: Spec) -> None:
        super().__init__()
        self.config, self.gamma = config, spec.gamma
        self.target: Any = frozen_copy(critic)

    def forward(self, features: Tensor) -> Tensor:
        """Expected values with gradients to the features, [H,R,F] -> [H,R]."""
        value = self.target(features.flatten(0, 1)).atoms.mean()[0, 0]
        return value.unflatten(0, features.shape[:2])

    def follow(self, critic: nn.Module) -> None:
        """Move the copy towards the state value."""
        polyak_update(self.target, critic, self.config.tau)


def update_dreamer(
    agent: "Agent", window: Window, *, actor: bool = True, follow: bool = True
) -> tuple[Metrics, Tensor]:
    """One step of world model, policy and state value (Dreamer, arXiv 1912.01603, algorithm 1).

    model   min  reconstruction, reward, end and divergence on real sequences
    policy  max  E sum_t w_t [ R_t + (in_actor - in_backup) alpha entropy_t ]   over imagined t, through the model
    value   min  1/2 w_t (V(s_t) - R_t)^2,    R the lambda return of rewards with in_backup alpha entropy_t added
    w_t     the probability that the episode has come so far, discounted; 0 from final observations

    The model moves first, and all that is imagined comes from what it is then. The error of each row is that of its
    states' values, [B].
    """
    world: Any = agent.encoder  # AgentConfig.check has seen to its kind
    lookahead, temperature = agent.lookahead, agent.temperature
    trace = world.trace(window)
    model_losses = world.losses(window, trace)
    agent.optim.encoder.step(model_losses)
    alpha = temperature().detach()  # [C]

    start = trace.filtered.features[:, 0].detach().flatten(0, 1)  # [R,F]
    with batch_statistics(agent.actor):
        dream = imagine(world, agent.actor, start, lookahead.config.horizon)
    entropy_cost = (alpha * dream.actions.log_prob[0]).sum(-1).unflatten(0, dream.reward.shape)  # [H,R]
    discount = lookahead.gamma * dream.continue_prob
    soft_reward = agent.reward_scale(dream.reward) - temperature.in_backup * entropy_cost
    returns = lambda_return(soft_reward, discount, lookahead(dream.features[1:]), lookahead.config.decay)
    weight = reach_weights(discount.detach(), world.may_start(window))  # [H,R]

    losses = dict(model_losses)
    if actor:
        entropy_bonus = (temperature.in_backup - temperature.in_actor) * entropy_cost
        loss = {"actor_loss": -(weight * (returns + entropy_bonus)).mean()}
        actor_losses = joined(loss, agent.regularizer.actor_losses())
        agent.optim.actor.step(actor_losses)
        alpha_losses = {"ent_coef_loss": temperature_loss(temperature(), dream.actions, temperature.target)}
        agent.optim.temperature.step(alpha_losses)
        described = describe_policy(agent, dream.actions, alpha, temperature.target)
        losses = joined(losses, actor_losses, alpha_losses, described)

    y = Atoms(returns.detach().flatten()[:, None], torch.ones_like(entropy_cost.detach()).flatten()[:, None])
    v = agent.critic(dream.features[:-1].detach().flatten(0, 1))
    value_loss = (weight.flatten() * agent.critic.loss(v, y)).mean(-1).sum()
    value_losses = joined({"critic_loss": value_loss}, agent.regularizer.critic_losses())
    agent.optim.value.step(value_losses)
    if follow:
        lookahead.follow(agent.critic)
    metrics, error = describe_values(agent.critic.head, window.reward, v, y, len(window.weight))
    return detached(joined(losses, value_losses, metrics)), error


def reach_weights(discount: Tensor, may_start: Tensor) -> Tensor:
    """Discounted probability that each decision is reached, w_t = may_start * prod_{i<t} discount_i, [H,R]."""
    return torch.cat([may_start[None].to(discount.dtype), discount[:-1]]).cumprod(0)
