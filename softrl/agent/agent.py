"""The agent: parts, optimisers and targets in one module, whose state_dict is the whole state of learning."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from softrl.agent.config import AgentConfig
from softrl.agent.optim import OptimizerGroup
from softrl.agent.update import update
from softrl.agent.variants import update_v1
from softrl.nn.encoders import Carry
from softrl.types import Metrics, Obs, Spec, Window

Update = Callable[..., tuple[Metrics, Tensor]]
UPDATES: dict[str, Update] = {"sac": update, "sac_v1": update_v1}


class Agent(nn.Module):
    """A soft actor-critic agent: `act` in the world, `update` from replay."""

    lookahead: Any  # of the kind that the update needs: AgentConfig.check has seen to it

    def __init__(self, config: AgentConfig, spec: Spec) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        self.encoder = config.encoder.build(spec)
        self.actor = config.actor.build(self.encoder.width, spec)
        self.critic = config.critic.build(self.encoder.width, spec)
        self.lookahead = config.lookahead.build(self.critic, self.encoder.width, spec)
        self.temperature = config.temperature.build(spec)
        self.reward_scale = config.reward_scale.build()
        self.target_rule, self.actor_rule = config.target_rule, config.actor_rule
        learned_by_value = nn.ModuleList([self.encoder, self.critic, self.lookahead]).parameters()
        self.optim = OptimizerGroup(config.optim, learned_by_value, self.actor, self.temperature)
        self.step: Update = UPDATES[config.update]

    def update(self, window: Window, *, actor: bool = True, follow: bool = True) -> tuple[Metrics, Tensor]:
        """Learn from one window of replay; answers metrics (0-d tensors) and the error of each row, [B]."""
        return self.step(self, window, actor=actor, follow=follow)

    @torch.no_grad()
    def act(self, obs: Obs, carry: Carry, deterministic: bool = False) -> tuple[Tensor, Carry]:
        """Actions [N,A] in [-1, 1] for current observations [N,..], and what to remember until the next call."""
        z, carry = self.encoder.act(obs, carry)
        choose = self.actor.mode if deterministic else self.actor.sample
        return choose(z), carry
