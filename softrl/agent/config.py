"""The configuration of an agent: one field a part."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from softrl.agent.action_space import adapt_to_action_space, from_elsewhere, nested_parts
from softrl.agent.chunk import AdaptiveChunk, Chunk
from softrl.agent.dream import Imagination
from softrl.agent.explore import OnPolicy, Optimistic, RepeatedNoise, StateDependent
from softrl.agent.imitate import Cloning, EpisodeCloning, SelectiveCloning, Unguided
from softrl.agent.lookahead import Joint, JointTarget, Split, StateTarget
from softrl.agent.noise import AdditiveNoise
from softrl.agent.optim import Optimizers
from softrl.agent.penalty import EntropyPenalty, Unpenalized
from softrl.agent.plasticity import ContinualBackprop, Keep, ReDo, Reset, ShrinkAndPerturb
from softrl.agent.regress import Clipped, Plain
from softrl.agent.regularize import Free, L2Init, Wasserstein
from softrl.agent.temperature import Fixed, Learned
from softrl.agent.updates import UPDATES, check_name, find
from softrl.errors import UserError
from softrl.math.latents import check_estimator
from softrl.math.rules import Average, Minimum, Pessimism, SubsetMinimum, Truncate
from softrl.nn.actors.beta import Beta
from softrl.nn.actors.categorical import Categorical
from softrl.nn.actors.deterministic import Deterministic
from softrl.nn.actors.factored import Factored
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.actors.gsde import GSDE
from softrl.nn.actors.hybrid import Hybrid
from softrl.nn.actors.latent import Latent, Marginal
from softrl.nn.actors.mixture import Mixture
from softrl.nn.critics import ActionIn, ActionOut, ChoiceOut, StateValue
from softrl.nn.encoders.identity import Identity
from softrl.nn.encoders.pixels import Pixels
from softrl.nn.encoders.world import World
from softrl.nn.normalize import ReturnScale, Scale
from softrl.nn.norms import BATCH_STATISTICS
from softrl.types import Spec

if TYPE_CHECKING:
    from softrl.agent.agent import Agent

AnyActor = Gaussian | GSDE | Categorical | Hybrid | Factored | Beta | Mixture | Deterministic | Marginal | Latent
Rule = Minimum | SubsetMinimum | Average | Truncate | Pessimism


@dataclass(frozen=True)
class AgentConfig:
    """The parts of an agent; the defaults are soft actor-critic (arXiv 1812.05905).

    A part's `needs` lists capabilities that a neighbouring part must have in its `offers`: `check` pairs them, and
    `ADVICE` says what to change where one is missing.
    """

    update: Literal["sac", "sac_v1", "dreamer"] | str = "sac"
    """Order of the lines: sac (critics with targets), sac_v1 (a state value), dreamer, or your own, module:function."""
    encoder: Identity | Pixels | World = field(default_factory=Identity)
    """What was observed -> the latents that actor and critic see."""
    actor: AnyActor = field(default_factory=Gaussian)
    """The policy."""
    explorer: OnPolicy | RepeatedNoise | StateDependent | Optimistic | AdditiveNoise = field(default_factory=OnPolicy)
    """Behaviour policy while collecting."""
    critic: ActionIn | ActionOut | ChoiceOut | StateValue = field(default_factory=ActionIn)
    """The Q-functions, an ensemble; for dreamer the state value."""
    regression: Plain | Clipped = field(default_factory=Plain)
    """Critic loss: the head's own, or a clipped one."""
    chunk: Chunk | AdaptiveChunk = field(default_factory=Chunk)
    """Action chunking: actions chosen at once."""
    lookahead: Split | Joint | JointTarget | StateTarget | Imagination = field(default_factory=Split)
    """Target network, or none: what evaluates Q(s', a'), or V(s'), in the critic's target."""
    target_rule: Rule = field(default_factory=Minimum)
    """How the ensemble becomes one distribution in the critic's target; the minimum is clipped double Q-learning."""
    actor_rule: Rule = field(default_factory=Minimum)
    """How the ensemble becomes one distribution in the actor's loss."""
    temperature: Learned | Fixed = field(default_factory=Learned)
    """Entropy coefficient alpha, fixed or learned."""
    reward_scale: Scale | ReturnScale = field(default_factory=Scale)
    """What rewards are multiplied with in the update."""
    penalty: Unpenalized | EntropyPenalty = field(default_factory=Unpenalized)
    """A further loss on the policy's actions; a loss of your own goes here (examples/own_loss.py)."""
    imitation: Unguided | Cloning | SelectiveCloning | EpisodeCloning = field(default_factory=Unguided)
    """Behaviour cloning: what keeps the policy near the actions in replay."""
    regularizer: Free | L2Init | Wasserstein = field(default_factory=Free)
    """What keeps weights near where they started."""
    plasticity: Keep | Reset | ShrinkAndPerturb | ReDo | ContinualBackprop = field(default_factory=Keep)
    """What is done, now and then, for networks that have stopped learning."""
    optim: Optimizers = field(default_factory=Optimizers)
    """Optimisers."""

    def __post_init__(self) -> None:
        check_name(self.update)

    def check(self, spec: Spec) -> None:
        """Refuse parts that cannot work together or in the world of `spec`; raises UserError saying what to change."""
        if not spec.choices and not spec.continuous:
            raise UserError("the action space is empty: choose an environment in which there is something to decide")
        if spec.choices and self.chunk.length > 1:
            raise UserError(
                "agent.chunk plans continuous actions only: leave out the recipe or the flag that brings it, or choose "
                "an environment with a Box of actions"
            )
        if spec.choices and self.imitation.needs:
            raise UserError(
                "agent.imitation clones continuous actions only: leave out the recipe that brings it, or choose an "
                "environment with a Box of actions"
            )
        self.encoder.check(spec)
        update = find(self.update)
        if update.needs not in self.lookahead.offers:
            raise UserError(
                f"agent.update '{self.update}' needs a lookahead with '{update.needs}', which "
                f"{type(self.lookahead).__name__} does not offer: take both from one recipe, sac, sac_v1 or dreamer"
            )
        if update.learns != self.critic.judges:
            raise UserError(
                f"agent.update '{self.update}' learns values of {update.learns}, and agent.critic "
                f"{type(self.critic).__name__} judges {self.critic.judges}: take both from one recipe"
            )
        for refusal in update.refuses:
            if refusal.meets(self):
                raise UserError(f"agent.update '{self.update}' {refusal.sentence}")
        ensemble = frozenset({"ensemble"} if self.critic.members > 1 else ())
        planned = frozenset() if self.explorer.needs else frozenset({"plans"})  # held noise is for single actions
        normed = frozenset({"batch norms"} if BATCH_STATISTICS in self.critic.trunk.needs else ())
        require("agent.critic.trunk", self.critic.trunk.needs, "agent.lookahead", self.lookahead.offers)
        require("agent.lookahead", self.lookahead.needs, "agent.critic.trunk", normed)
        for trunk in self.lookahead.trunks:
            require("agent.lookahead.value.trunk", trunk.needs, "agent.lookahead", self.lookahead.offers)
        check_copies(getattr(self.lookahead, "tau", 0.0), getattr(self.encoder, "tau", 1.0))
        require("agent.critic", self.critic.needs, "agent.actor", self.actor.offers)
        require("agent.encoder.particles", self.encoder.needs, "agent.actor", self.actor.offers)
        check_estimator(getattr(self.actor, "estimator", "naive"), self.encoder.latents - 1)
        price = frozenset() if self.temperature.learned else frozenset({"fixed temperature"})
        require("agent.actor", self.actor.needs, "agent.temperature or agent.update", price | update.offers)
        require("agent.regression", self.regression.needs, "agent.lookahead", self.lookahead.offers)
        self.regression.check(self.critic.head)
        require("agent.actor.trunk", trunk_needs(self.actor), "the actor's loss", frozenset({BATCH_STATISTICS}))
        require("agent.explorer", self.explorer.needs, "the rest of the agent", self.actor.offers | ensemble)
        require("agent.penalty", self.penalty.needs, "agent.actor", self.actor.offers)
        require("agent.imitation", self.imitation.needs, "agent.actor", self.actor.offers)
        offered = self.actor.offers | planned | ensemble
        require("agent.chunk", self.chunk.needs, "the rest of the agent", offered)
        for name, part in (("actor", self.actor), ("explorer", self.explorer), ("chunk", self.chunk)):
            if any((vars(each).get("dropout") or 0.0) > 0 for each in nested_parts(part)):
                raise UserError(f"dropout in agent.{name} would make every act random: leave dropout to the critic")
        self.target_rule.check(self.critic.members, self.critic.head)
        self.actor_rule.check(self.critic.members, self.critic.head)

    def members_asked(self) -> tuple[int, int] | None:
        """How many members of the target judge next actions, and of how many: None where all of them do.

        The rule's own draw is enough where that is half of them or less; above, gathering their weights costs what it
        saves. All judge in a joint pass, whose statistics are kept, and where critic, rule or update is from elsewhere:
        nobody knows where that keeps its members, or what it makes of them.
        """
        members = self.critic.members
        draws = getattr(self.target_rule, "draws", members)
        parts = (self.target_rule, *nested_parts(self.critic))
        own = self.update in UPDATES and not any(from_elsewhere(part) for part in parts)
        return (draws, members) if own and 2 * draws <= members and "members drawn" in self.lookahead.offers else None

    def build(self, spec: Spec) -> "Agent":
        """The agent, an nn.Module with all learning state inside; raises UserError where `check` does."""
        from softrl.agent.agent import Agent

        config = adapt_to_action_space(self, spec)
        config.check(spec)
        return Agent(config, spec)


def trunk_needs(part: Any) -> frozenset[str]:
    """What the trunk of a part needs: nothing where a part from elsewhere has none."""
    return getattr(getattr(part, "trunk", None), "needs", frozenset())


def check_copies(values: float, encoder: float) -> None:
    """Refuse target values that are copied at once and read what an encoder makes that follows slowly."""
    if values == 1 and encoder < 1:
        raise UserError(
            f"agent.lookahead.tau is 1 and agent.encoder.tau {encoder}: a copy of the values made at once would read "
            "latents that it was never fitted to, so let agent.encoder.tau be 1 as well"
        )


def require(part: str, needs: frozenset[str], other: str, offers: frozenset[str]) -> None:
    """Refuse a part whose needs are not met; raises UserError with what to do about the first of them."""
    for need in sorted(needs - offers):
        advice = ADVICE.get(need, "use a part that does")
        raise UserError(f"{part} needs {need}, which {other} does not offer: {advice}")


ADVICE = {
    BATCH_STATISTICS: "use a lookahead with a joint pass, as recipe crossq does, or another norm",
    "batch norms": "set agent.critic.trunk.norm batch_renorm, as recipe crossq does, or use a lookahead with a target",
    "distribution": "use the Gaussian actor",
    "latents": "use the Marginal actor, as recipe smac does, or agent.encoder.particles.count 0",
    "ensemble": "give the critic at least two members, --agent.critic.members 2; plans do without at "
    "--agent.chunk.doubt 0, and dreamer's one state value has none",
    "plans": "leave out the recipe that brings another explorer than OnPolicy, as bro, flashsac and fast do",
    "shared parameters": "use the critic that the space asks for, by leaving agent.critic as it is",
    "exact entropy": "leave it out, or choose an environment with a few discrete actions only",
    "weighted actions": "imagination takes one action from each state, so leave out the recipe that brings this actor",
    "fixed temperature": "use a fixed temperature, agent.temperature Fixed",
    "target copy": "use a lookahead with a target, Split or JointTarget",
    "exploration matrix": "use recipe gsde, whose actor has one",
}
"""What to do when a part's need is not met."""
