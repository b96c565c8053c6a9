"""Action chunks: how many actions an agent plans at once, and how many of them it executes.

Shapes: see `softrl.types`; h actions of a plan, b rows of a batch whose beginnings are judged.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.math.chunks import beginnings, confidence_loss, mask, no_worse, powers, running_sums
from softrl.nn.actors.chunked import AllLengths, ChunkedActor, ConfidentLengths
from softrl.nn.dropout import without_dropout
from softrl.nn.encoders import Losses
from softrl.nn.trunks.mlp import MLP
from softrl.types import Actions, Carry, Metrics, Spec

if TYPE_CHECKING:
    from softrl.agent.agent import Agent


LAG_RATE = 0.01
"""Share of the newest update in the average lag of the target network, which is small beside a critic's jitter."""


def actor_spec(spec: Spec) -> Spec:
    """What an actor that plans is built for: `spec.chunk` actions side by side are one."""
    return spec._replace(continuous=spec.chunk * spec.continuous, chunk=1)


def critic_spec(spec: Spec) -> Spec:
    """What a critic of plans is built for: behind each action, where there are several, its mask."""
    width = spec.continuous + (spec.chunk > 1)
    return spec._replace(continuous=spec.chunk * width, chunk=1)


def policy_actions(agent: "Agent", z: Tensor, carry: Carry, deterministic: bool) -> tuple[Tensor, Carry]:
    """What the policy proposes at latents [N,D], and the carry with the explorer's part of it renewed."""
    if deterministic:
        return agent.actor.mode(z), carry
    return agent.explorer.act(agent.actor, z, carry)


class ChunkExecution(nn.Module, ABC):
    """What stands between the policy and the world; what is left of a plan's actions is in the carry, as `plan.*`."""

    @abstractmethod
    def initial(self, count: int) -> Carry:
        """What is remembered at the start of `count` episodes, each entry [N,..]."""

    @abstractmethod
    def act(self, agent: "Agent", z: Tensor, carry: Carry, deterministic: bool) -> tuple[Tensor, Carry]:
        """Actions [N,A] to execute at latents [N,D], and the whole carry with this part of it renewed."""

    @abstractmethod
    def judged(self, agent: "Agent", z: Tensor, critic_z: Tensor, alpha: Tensor) -> tuple[Actions, Losses, Metrics]:
        """What the policy's loss judges: as much of what it plans as is executed while collecting.

        Beside it named losses of what decides on lengths, and what to log of plans. The policy reads the detached
        latents `z` [B,P], the critic reads `critic_z` [B,D].
        """

    @abstractmethod
    def expected_decisions(self, actions: Actions) -> Tensor | float:
        """Executed decisions of which a plan's log-density is made, on average: for each the entropy has a target."""


@dataclass(frozen=True)
class Chunk:
    """Several actions are chosen at once and executed open loop (Q-chunking, arXiv 2507.07969)."""

    length: int = 1
    """Actions chosen at once; 1 chooses anew at every step."""
    prefixes = False

    def __post_init__(self) -> None:
        if self.length < 1:
            raise UserError(f"agent.chunk.length is {self.length}: a plan has at least one action")

    @property
    def needs(self) -> frozenset[str]:
        """What plans ask of actor and explorer."""
        return frozenset({"distribution", "plans"} if self.length > 1 else ())

    def wrap_actor(self, actor: Any, latent: int, spec: Spec) -> Any:
        """The policy over plans, from an actor built for `actor_spec(spec)`; for single actions the actor itself."""
        return ChunkedActor(actor, AllLengths(self.length), spec) if self.length > 1 else actor

    def build(self, spec: Spec) -> ChunkExecution:
        """The module, without parameters."""
        return OpenLoop(spec) if self.length > 1 else EveryStep()


@dataclass(frozen=True)
class AdaptiveChunk:
    """As many actions of a plan are executed as the agent is confident of.

    softrl's own, unpublished; builds on Q-chunking, arXiv 2507.07969.

    The confidence c_i is the estimated probability that to execute action i unseen is no worse than to plan again
    before it, as far as the members of the critic agree; they value every beginning of a plan. See docs/chunks.md.
    """

    length: int = 5
    """Actions chosen at once, the most that are executed."""
    confidence_threshold: float = 0.5
    """A plan ends before the first action with a smaller confidence; 0 executes plans whole."""
    doubt: float = 1.0
    """Standard deviations of the critics' disagreement by which going on may look worse and still count as no worse."""
    whole: float = 0.2
    """Share of plans that are executed whole while collecting, and judged whole in the policy's loss, so that long
    plans stay known."""
    trunk: MLP = MLP((64, 64))
    """Body of the network of confidences."""
    prefixes = True

    @property
    def needs(self) -> frozenset[str]:
        """What plans ask of actor and explorer, and of the critic where the disagreement of its members counts."""
        return frozenset({"distribution", "plans"} | ({"ensemble"} if self.doubt else set()))

    def __post_init__(self) -> None:
        if self.length < 2:
            raise UserError(f"agent.chunk.length is {self.length}: a variable length needs 2 actions or more, try 5")
        if not 0 <= self.confidence_threshold <= 1:
            raise UserError(
                f"agent.chunk.confidence_threshold is {self.confidence_threshold}: a probability lies in [0, 1], try "
                "0.5"
            )
        if self.doubt < 0:
            raise UserError(f"agent.chunk.doubt is {self.doubt}: it must not be negative, try 1")
        if not 0 < self.whole <= 1:
            raise UserError(
                f"agent.chunk.whole is {self.whole}: a share in (0, 1] must be executed whole, or long plans are never "
                "learned; try 0.2"
            )
        if self.trunk.needs:
            raise UserError("agent.chunk.trunk decides for one state at a time: choose a norm that needs no batch")

    def wrap_actor(self, actor: Any, latent: int, spec: Spec) -> Any:
        """The policy over plans, from an actor built for `actor_spec(spec)`."""
        lengths = ConfidentLengths(self.trunk, self.confidence_threshold, self.whole, latent, self.length)
        return ChunkedActor(actor, lengths, spec)

    def build(self, spec: Spec) -> ChunkExecution:
        """The module, without parameters: the network of confidences belongs to the policy."""
        return AdaptiveOpenLoop(spec, self.doubt)


class EveryStep(ChunkExecution):
    """The policy is asked at every step."""

    def initial(self, count: int) -> Carry:
        return {}

    def act(self, agent: "Agent", z: Tensor, carry: Carry, deterministic: bool) -> tuple[Tensor, Carry]:
        return policy_actions(agent, z, carry, deterministic)

    def judged(self, agent: "Agent", z: Tensor, critic_z: Tensor, alpha: Tensor) -> tuple[Actions, Losses, Metrics]:
        return agent.actor(z), {}, {}

    def expected_decisions(self, actions: Actions) -> float:
        return 1.0


class QueuedChunks(ChunkExecution):
    """Plans are executed open loop: the policy is asked only for environments whose plan is used up."""

    discounts: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.horizon, self.width = spec.chunk, spec.continuous
        self.register_buffer("discounts", powers(spec.gamma, spec.chunk), persistent=False)  # [h]

    def initial(self, count: int) -> Carry:
        none = torch.zeros(count, dtype=torch.long, device=self.discounts.device)
        return {
            "plan.actions": self.discounts.new_zeros(count, self.horizon, self.width),
            "plan.done": none,
            "plan.length": none.clone(),
            "plan.left": none + self.horizon,  # what is not planned answers to nothing: random actions, all of them
            # Plans, decisions of all but the newest, sum of confidences.
            "plan.tally": self.discounts.new_zeros(count, 3),
        }

    def act(self, agent: "Agent", z: Tensor, carry: Carry, deterministic: bool) -> tuple[Tensor, Carry]:
        actions, done, length, tally = (carry[f"plan.{name}"] for name in ("actions", "done", "length", "tally"))
        fresh = done >= length
        rows = fresh.nonzero()[:, 0]
        if len(rows):  # a wait where there is a GPU, for which most steps of a long plan cost no network
            remembered = {name: value[rows] for name, value in carry.items() if name.startswith("explorer.")}
            plan, remembered = policy_actions(agent, z[rows], remembered, deterministic)
            carry = carry | {name: carry[name].index_copy(0, rows, value) for name, value in remembered.items()}
            actions = actions.index_copy(0, rows, plan.unflatten(-1, (self.horizon, self.width)))
            chosen, confidence = agent.actor.lengths(z[rows], deterministic)
            length = length.index_copy(0, rows, chosen)
            tally = tally.index_add(0, rows, torch.stack([torch.ones_like(confidence), done[rows], confidence], -1))
            done = done.masked_fill(fresh, 0)
        action = actions.take_along_dim(done[:, None, None], 1)[:, 0]
        renewed = {"actions": actions, "done": done + 1, "length": length, "left": length - done, "tally": tally}
        return action, carry | {f"plan.{name}": value for name, value in renewed.items()}

    def expected_decisions(self, actions: Actions) -> Tensor:
        discounted = (mask(actions.value.detach(), self.horizon) * self.discounts).sum(-1)  # [K,B]
        return actions.expectation(discounted).mean()


class OpenLoop(QueuedChunks):
    """Plans of one length."""

    def judged(self, agent: "Agent", z: Tensor, critic_z: Tensor, alpha: Tensor) -> tuple[Actions, Losses, Metrics]:
        return agent.actor(z), {}, {"chunk_length": z.new_full((), self.horizon)}


class AdaptiveOpenLoop(QueuedChunks):
    """Confidences regress to what the critics say of the plans that the policy's loss judges.

    softrl's own, unpublished; builds on Q-chunking, arXiv 2507.07969.

    U_k = Q(s, x_1..x_k) - sum_{i<=k} gamma^(i-1) [ alpha log pi(x_i | s) - max(lag, 0) ],    x ~ pi(. | s)
    c_i -> P( U_i no worse than U_{i-1} ), see `softrl.math.chunks.no_worse`

    Entropy counts here as it does in the critic's target: Q values what follows a beginning with it, or without. What
    follows is valued by the target network, whose values are `lag` above the critic's while these fall: without it,
    plans would be cut short for that alone. While values rise going on looks better than it is, by less than is known.
    Every beginning is judged for one row in 2 h, so that all of them together are half as many rows as the batch has.
    """

    lag: Tensor

    def __init__(self, spec: Spec, doubt: float) -> None:
        super().__init__(spec)
        self.doubt = doubt
        self.register_buffer("lag", torch.zeros(()))

    def judged(self, agent: "Agent", z: Tensor, critic_z: Tensor, alpha: Tensor) -> tuple[Actions, Losses, Metrics]:
        plan, log_prob = agent.actor.plan(z)  # [B,h,A]
        with torch.no_grad():
            length, _ = agent.actor.lengths(z)
        few = slice(None, None, 2 * self.horizon)  # a batch may be in order of age
        alpha_in_backup, judge = alpha * agent.temperature.in_backup, agent.lookahead.judge(agent.critic)
        with torch.no_grad(), without_dropout(agent.critic), without_dropout(judge):
            told = beginnings(plan[few])  # [h,b,h*(A+1)]
            value = agent.critic(critic_z[few], told).atoms.mean()  # [E,h,b]
            lag = judge(critic_z[few], told[:1]).atoms.mean() - value[:, :1]
            self.lag.lerp_(lag.mean(), LAG_RATE)
            charged = running_sums(alpha_in_backup * log_prob[few].sum(-1) - self.lag.relu() * self.discounts)  # [b,h]
            label = no_worse(value - charged.T, self.doubt)
        logits = agent.actor.lengths.logits(z[few])
        typical, confidence = agent.actor.lengths.lengths(logits.detach())
        metrics = {"chunk_length": typical.float().mean(), "confidence": confidence.mean()}
        losses = {"confidence_loss": confidence_loss(logits, label)}
        return agent.actor.executed(plan, log_prob, length), losses, metrics


def mean_executed(carry: Carry, i: int) -> tuple[float | None, ...]:
    """Mean executed length and mean confidence of the plans of environment `i` in the episode so far.

    None where no plan was made yet, and nothing at all of an agent that does not plan.
    """
    if "plan.tally" not in carry:
        return ()
    plans, before, confidence = carry["plan.tally"][i].tolist()
    if not plans:
        return None, None
    return (before + int(carry["plan.done"][i])) / plans, confidence / plans
