"""The configuration of an agent: one field a part."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from softrl.agent.explore import OnPolicy, Optimistic, RepeatedNoise, StateDependent
from softrl.agent.lookahead import Joint, JointTarget, Split, StateTarget
from softrl.agent.optim import Optimizers
from softrl.agent.plasticity import ContinualBackprop, Keep, ReDo, Reset, ShrinkAndPerturb
from softrl.agent.regularize import Free, L2Init, Wasserstein
from softrl.agent.temperature import Fixed, Learned
from softrl.errors import UserError
from softrl.math.rules import Average, Minimum, Pessimism, SubsetMinimum, Truncate
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.actors.gsde import GSDE
from softrl.nn.critics import ActionIn
from softrl.nn.encoders.identity import Identity
from softrl.nn.normalize import ReturnScale, Scale
from softrl.nn.norms import BATCH_STATISTICS
from softrl.types import Spec

if TYPE_CHECKING:
    from softrl.agent.agent import Agent

NEEDS = {"sac": "action value", "sac_v1": "state value"}
"""What each update asks its lookahead to offer."""

Rule = Minimum | SubsetMinimum | Average | Truncate | Pessimism


@dataclass(frozen=True)
class AgentConfig:
    """The parts of an agent; the defaults are soft actor-critic (arXiv 1812.05905)."""

    update: Literal["sac", "sac_v1"] = "sac"
    """Order of the lines: sac (twin critics with targets) or sac_v1 (with a state-value network, 2018)."""
    encoder: Identity = field(default_factory=Identity)
    """What was observed -> the latents that actor and critic see."""
    actor: Gaussian | GSDE = field(default_factory=Gaussian)
    """The policy."""
    explorer: OnPolicy | RepeatedNoise | StateDependent | Optimistic = field(default_factory=OnPolicy)
    """How the agent behaves while it collects."""
    critic: ActionIn = field(default_factory=ActionIn)
    """The action values."""
    lookahead: Split | Joint | JointTarget | StateTarget = field(default_factory=Split)
    """How the value of what comes next is evaluated."""
    target_rule: Rule = field(default_factory=Minimum)
    """How the ensemble becomes one distribution in the critic's target."""
    actor_rule: Rule = field(default_factory=Minimum)
    """How the ensemble becomes one distribution in the actor's loss."""
    temperature: Learned | Fixed = field(default_factory=Learned)
    """The price of entropy."""
    reward_scale: Scale | ReturnScale = field(default_factory=Scale)
    """What rewards are multiplied with in the update."""
    regularizer: Free | L2Init | Wasserstein = field(default_factory=Free)
    """What keeps weights near where they started."""
    plasticity: Keep | Reset | ShrinkAndPerturb | ReDo | ContinualBackprop = field(default_factory=Keep)
    """What is done, now and then, for networks that have stopped learning."""
    optim: Optimizers = field(default_factory=Optimizers)
    """Optimisers."""

    def check(self, spec: Spec) -> None:
        """Refuse parts that cannot work together or in the world of `spec`; raises UserError saying what to change."""
        if spec.choices or not spec.continuous:
            raise UserError(
                "the Gaussian actor needs continuous actions only: choose an environment whose action space is a Box"
            )
        if "state" not in spec.obs:
            raise UserError("the identity encoder needs state observations: choose an environment without pixels")
        if NEEDS[self.update] not in self.lookahead.offers:
            raise UserError(
                f"agent.update '{self.update}' needs a lookahead that offers an {NEEDS[self.update]}, and "
                f"{type(self.lookahead).__name__} does not: take both from one recipe, sac or sac_v1"
            )
        ensemble = frozenset({"ensemble"} if self.critic.members > 1 else ())
        require("agent.critic.trunk", self.critic.trunk.needs, "agent.lookahead", self.lookahead.offers)
        require("agent.actor.trunk", self.actor.trunk.needs, "the actor's loss", frozenset({BATCH_STATISTICS}))
        require("agent.explorer", self.explorer.needs, "agent.actor and agent.critic", self.actor.offers | ensemble)
        for part, network in (("actor", self.actor), ("explorer", self.explorer)):
            if getattr(getattr(network, "trunk", None), "dropout", 0.0) > 0:
                raise UserError(f"agent.{part}.trunk.dropout would make every act random: leave dropout to the critic")
        self.target_rule.check(self.critic.members, self.critic.head)
        self.actor_rule.check(self.critic.members, self.critic.head)
        if self.update == "sac_v1" and self.temperature.learned:
            raise UserError(
                "agent.update 'sac_v1' has no temperature loss: use a fixed temperature, as its recipe does"
            )

    def build(self, spec: Spec) -> "Agent":
        """The agent, an nn.Module with all learning state inside; raises UserError where `check` does."""
        from softrl.agent.agent import Agent

        self.check(spec)
        return Agent(self, spec)


def require(part: str, needs: frozenset[str], other: str, offers: frozenset[str]) -> None:
    """Refuse a part whose needs are not met; raises UserError with what to do about the first of them."""
    for need in sorted(needs - offers):
        raise UserError(f"{part} needs {need}, which {other} does not offer: {ADVICE[need]}")


ADVICE = {
    BATCH_STATISTICS: "use a lookahead with a joint pass, as recipe crossq does, or another norm",
    "distribution": "use the Gaussian actor",
    "ensemble": "give the critic at least two members",
    "exploration matrix": "use recipe gsde, whose actor has one",
}
"""What to do when a part's need is not met."""
