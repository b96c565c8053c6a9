"""Dreamer: a policy learned inside a world model, by gradients through it. Shapes: see `softrl.types`.

H decisions ahead, R starts: every posterior state of a window is one.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from softrl.agent.update import describe_policy, detached
from softrl.errors import UserError
from softrl.math.losses import temperature_loss
from softrl.math.returns import lambda_return
from softrl.nn.imagine import check_horizon, imagine
from softrl.nn.norms import batch_statistics
from softrl.nn.targets import check_tau, follow, frozen_copy
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
    """Share of the way that the copy moves towards the state value when it follows: 1 is no copy."""
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
        follow(self.target, critic, self.config.tau)


def update_dreamer(
    agent: "Agent", window: Window, *, actor: bool = True, follow: bool = True
) -> tuple[Metrics, Tensor]:
    """One step of world model, policy and state value (Dreamer, arXiv 1912.01603, algorithm 1).

    model   min  reconstruction, reward, end and divergence on real sequences
    policy  max  E sum_t w_t [ R_t + (in_actor - in_backup) alpha entropy_t ]   over imagined t, through the model
    value   min  w_t (V(s_t) - R_t)^2,    R the lambda return of rewards with in_backup alpha entropy_t added
    w_t     the probability that the episode has come so far, discounted; 0 from final observations

    The model moves first, and all that is imagined comes from what it is then. The error of each row is that of its
    states' values, [B].
    """
    world: Any = agent.encoder  # AgentConfig.check has seen to its kind
    lookahead, temperature = agent.lookahead, agent.temperature
    trace = world.trace(window)
    own = world.losses(window, trace)
    agent.optim.encoder.step(own)
    alpha = temperature().detach()  # [C]

    start = trace.filtered.features[:, 0].detach().flatten(0, 1)  # [R,F]
    with batch_statistics(agent.actor):
        dream = imagine(world, agent.actor, start, lookahead.config.horizon)
    price = (alpha * dream.actions.log_prob[0]).sum(-1).unflatten(0, dream.reward.shape)  # [H,R]
    discount = lookahead.gamma * dream.going
    soft = agent.reward_scale(dream.reward) - temperature.in_backup * price
    returns = lambda_return(soft, discount, lookahead(dream.features[1:]), lookahead.config.decay)
    weight = reached(discount.detach(), world.begins(window))  # [H,R]

    losses = dict(own)
    if actor:
        paid = (temperature.in_backup - temperature.in_actor) * price
        policy = {"actor_loss": -(weight * (returns + paid)).mean()} | agent.regularizer.actor()
        agent.optim.actor.step(policy)
        dual = {"ent_coef_loss": temperature_loss(temperature(), dream.actions, temperature.target)}
        agent.optim.temperature.step(dual)
        losses |= policy | dual | describe_policy(agent, dream.actions, alpha, temperature.target)

    y = Atoms(returns.detach().flatten()[:, None], torch.ones_like(price.detach()).flatten()[:, None])
    v = agent.critic(dream.features[:-1].detach().flatten(0, 1))
    value = {"critic_loss": (weight.flatten() * agent.critic.loss(v, y)).mean(-1).sum()} | agent.regularizer.value()
    agent.optim.value.step(value)
    if follow:
        lookahead.follow(agent.critic)
    error = (v.atoms.mean()[0, 0] - y.mean()).detach().abs().unflatten(0, (-1, len(window.weight))).mean(0)
    told = {
        "batch_reward": window.reward.mean(),
        "q_mean": v.atoms.mean().mean().detach(),
        "target_mean": y.mean().mean(),
    }
    return detached(losses | value) | told | {"clipped_share": agent.critic.head.clipped(y)}, error


def reached(discount: Tensor, begins: Tensor) -> Tensor:
    """Discounted probability that each decision is reached, w_t = begins * prod_{i<t} discount_i, [H,R]."""
    return torch.cat([begins[None].to(discount.dtype), discount[:-1]]).cumprod(0)
