"""The agent: parts, optimisers and targets in one module, whose state_dict is the whole state of learning.

Shapes: see `softrl.types`.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from softrl.agent.action_space import with_policy_bottlenecks
from softrl.agent.chunk import actor_spec, critic_spec
from softrl.agent.optim import OptimizerGroup
from softrl.agent.shapes import check_shapes
from softrl.agent.updates import Learn, find
from softrl.errors import UserError
from softrl.math.losses import joined
from softrl.nn.encoders import Losses
from softrl.nn.processor import few_rows
from softrl.types import Actions, Batch, Carry, Metrics, Obs, Spec, Step, Window

if TYPE_CHECKING:
    from softrl.agent.config import AgentConfig


class Agent(nn.Module):
    """A soft actor-critic agent: `act` in the world, `update` from replay.

    Made by `AgentConfig.build`, which adapts the parts to the action space and checks that they fit each other.
    """

    lookahead: Any  # of the kind that the update needs: AgentConfig.check has seen to it

    def __init__(self, config: "AgentConfig", spec: Spec) -> None:
        super().__init__()
        plan, sequence = config.chunk, config.encoder.sequence
        spec = spec._replace(chunk=plan.length, prefixes=plan.prefixes, sequence=sequence, best=config.imitation.best)
        self.config, self.spec = config, spec
        self.encoder = config.encoder.build(spec)
        self.encoder.gives_old = "target copy" in config.regression.needs
        self.encoder.judged_by_copy = not config.lookahead.offers.isdisjoint({"target copy", "state value"})
        width, read = self.encoder.width, self.encoder.policy_width
        reading = with_policy_bottlenecks(config)
        self.actor = reading.chunk.wrap_actor(reading.actor.build(read, actor_spec(spec)), read, spec)
        self.critic = config.critic.build(width, critic_spec(spec))
        self.lookahead = config.lookahead.build(self.critic, width, spec)
        if asked := config.members_asked():
            self.lookahead.asked = asked
        self.temperature = config.temperature.build(spec)
        self.reward_scale = config.reward_scale.build(spec)
        self.explorer = reading.explorer.build(self.actor, read, actor_spec(spec))
        self.chunk_execution = config.chunk.build(spec)
        self.regression = config.regression.build()
        self.penalty = config.penalty.build(self.actor, spec)
        self.imitation = config.imitation.build(spec)
        self.target_rule, self.actor_rule = config.target_rule, config.actor_rule
        values, policy = [*self.encoder.critic_trained(), self.critic, self.lookahead], [self.actor, self.explorer]
        self.regularizer = config.regularizer.build(values, policy)
        self.plasticity = config.plasticity.build(self)
        self.optim = OptimizerGroup(config.optim, values, self.encoder.self_trained(), policy, self.temperature)
        check_learned(self)
        check_shapes(self)
        self.update_fn: Learn = find(config.update).learn

    def update(self, window: Window, *, actor: bool = True, follow: bool = True) -> tuple[Metrics, Tensor]:
        """Learn from one window of replay; returns metrics (0-d tensors) and the error of each row, [B].

        That is the absolute TD error of the means, averaged over members and views, for priorities. What recipes such
        as resets do now and then they do where a loop calls `intervene`.
        """
        return self.update_fn(self, window, actor=actor, follow=follow)

    def intervene(self, window: Window, n: int) -> None:
        """What stands between update number `n`, counted from 1, and the next one, which learns from `window`."""
        self.plasticity.intervene(self, window, n)
        self.regularizer.refresh(n)

    def actor_q(self, z: Tensor, action: Tensor) -> Tensor:
        """Q-values that the actor's loss takes for actions [K,B,A] at latents [B,D], [K,B]."""
        return self.actor_rule(self.critic(z, action).atoms).mean()

    def actor_terms(self, b: Batch, critic_z: Tensor, actions: Actions, q_actor: Tensor) -> Losses:
        """Further losses of the policy, for actions with Q-values `q_actor`, [K,B]: none unless a part brings one."""
        z = b.policy_z.detach()
        return joined(
            self.regularizer.actor_losses(),
            self.penalty(self.actor, z, actions),
            self.explorer.losses(self, z, critic_z),
            self.imitation(self, b, actions.expectation(q_actor).detach()),
        )

    def initial(self, count: int) -> Carry:
        """What is remembered between acts at the start of `count` episodes, each entry [N,..]."""
        parts = (self.encoder, self.reward_scale, self.explorer, self.chunk_execution)
        return {name: value for part in parts for name, value in part.initial(count).items()}

    @torch.no_grad()
    def act(self, obs: Obs, carry: Carry, deterministic: bool = False) -> tuple[Tensor, Carry]:
        """Actions [N,A], one-hots before numbers in [-1, 1], for current observations [N,..], and what to remember."""
        with few_rows(rows(obs)):
            z, carry = self.encoder.act(obs, carry)
            action, carry = self.chunk_execution.act(self, z, carry, deterministic)
            return action, self.encoder.acted(action, carry)

    @torch.no_grad()
    def watch(self, obs: Obs, action: Tensor, carry: Carry) -> Carry:
        """What to remember where actions [N,A] are taken that are not the agent's own, such as random ones."""
        with few_rows(rows(obs)):
            return self.encoder.watch(obs, action, carry)

    @torch.no_grad()
    def observe(self, row: Step, carry: Carry) -> Carry:
        """Take a collected row into the running statistics; returns what to remember until the next."""
        self.encoder.observe(row.obs)
        return carry | self.reward_scale.observe(row.reward, ~row.last, carry)


def check_learned(agent: Agent) -> None:
    """Refuse parameters of parts that no optimiser moves; raises UserError."""
    moved = {id(p) for part in agent.optim.modules() for p in getattr(part, "parameters_held", ())}
    idle = [name for name, p in agent.named_parameters() if p.requires_grad and id(p) not in moved]
    if idle:
        raise UserError(
            f"no optimiser moves {', '.join(f'agent.{name}' for name in idle)}: parameters belong into the encoder, "
            "the critic, the actor, the explorer or the temperature; freeze others with requires_grad_(False)"
        )


def rows(obs: Obs) -> int:
    """How many rows observations have, [N,..]."""
    return next(iter(obs.values())).shape[0]  # len() would be a fixed number to what exports a policy
