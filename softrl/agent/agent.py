"""The agent: parts, optimisers and targets in one module, whose state_dict is the whole state of learning.

Shapes: see `softrl.types`.
"""

from typing import Any

import torch
from torch import Tensor, nn

from softrl.agent.config import AgentConfig
from softrl.agent.kinds import behind, fitted
from softrl.agent.optim import OptimizerGroup
from softrl.agent.plan import judged, proposed
from softrl.agent.updates import Learn, find
from softrl.nn.encoders import Losses
from softrl.types import Actions, Batch, Carry, Metrics, Obs, Spec, Step, Window


class Agent(nn.Module):
    """A soft actor-critic agent: `act` in the world, `update` from replay."""

    lookahead: Any  # of the kind that the update needs: AgentConfig.check has seen to it

    def __init__(self, config: AgentConfig, spec: Spec) -> None:
        super().__init__()
        config = fitted(config, spec)
        plan, rows = config.chunk, config.encoder.sequence
        spec = spec._replace(chunk=plan.length, prefixes=plan.prefixes, sequence=rows, best=config.imitation.best)
        self.config, self.spec = config, spec
        self.encoder = config.encoder.build(spec)
        width, read = self.encoder.width, self.encoder.policy_width
        reading = behind(config)
        self.actor = reading.chunk.around(reading.actor.build(read, proposed(spec)), read, spec)
        self.critic = config.critic.build(width, judged(spec))
        self.lookahead = config.lookahead.build(self.critic, width, spec)
        self.temperature = config.temperature.build(spec)
        self.reward_scale = config.reward_scale.build(spec)
        self.explorer = reading.explorer.build(self.actor, read, spec)
        self.plan = config.chunk.build(spec)
        self.regression = config.regression.build()
        self.penalty = config.penalty.build(self.actor, spec)
        self.imitation = config.imitation.build(spec)
        self.target_rule, self.actor_rule = config.target_rule, config.actor_rule
        values, policy = [*self.encoder.taught(), self.critic, self.lookahead], [self.actor, self.explorer]
        self.regularizer = config.regularizer.build(values, policy)
        self.plasticity = config.plasticity.build(self)
        self.optim = OptimizerGroup(config.optim, values, self.encoder.own(), policy, self.temperature)
        self.step: Learn = find(config.update).learn

    def update(self, window: Window, *, actor: bool = True, follow: bool = True) -> tuple[Metrics, Tensor]:
        """Learn from one window of replay; answers metrics (0-d tensors) and the error of each row, [B]."""
        return self.step(self, window, actor=actor, follow=follow)

    def value(self, z: Tensor, action: Tensor) -> Tensor:
        """What the actor's loss takes actions [K,B,A] at latents [B,D] to be worth, [K,B]."""
        return self.actor_rule(self.critic(z, action).atoms).mean()

    def actor_terms(self, b: Batch, judged_z: Tensor, a: Actions, value: Tensor) -> Losses:
        """Further losses of the policy, for actions worth `value`, [K,B]: none unless a part brings one."""
        z = b.policy_z.detach()
        terms = self.regularizer.actor() | self.penalty(self.actor, z, a)
        terms |= self.explorer.losses(self, z, judged_z)
        return terms | self.imitation(self, b, a.expectation(value).detach())

    def initial(self, count: int) -> Carry:
        """What is remembered between acts at the start of `count` episodes, each entry [N,..]."""
        parts = (self.encoder, self.reward_scale, self.explorer, self.plan)
        return {name: value for part in parts for name, value in part.initial(count).items()}

    @torch.no_grad()
    def act(self, obs: Obs, carry: Carry, deterministic: bool = False) -> tuple[Tensor, Carry]:
        """Actions [N,A], one-hots before numbers in [-1, 1], for current observations [N,..], and what to remember."""
        z, carry = self.encoder.act(obs, carry)
        action, carry = self.plan.act(self, z, carry, deterministic)
        return action, self.encoder.acted(action, carry)

    @torch.no_grad()
    def observe(self, row: Step, carry: Carry) -> Carry:
        """Take a collected row into the running statistics; answers what to remember until the next."""
        self.encoder.observe(row.obs)
        return carry | self.reward_scale.observe(row.reward, ~row.last, carry)
