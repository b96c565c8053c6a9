"""The configuration of an agent: one field a part."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from softrl.agent.lookahead import Split, StateTarget
from softrl.agent.optim import Optimizers
from softrl.agent.temperature import Fixed, Learned
from softrl.errors import UserError
from softrl.math.rules import Minimum
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.critics import ActionIn
from softrl.nn.encoders.identity import Identity
from softrl.nn.normalize import Scale
from softrl.types import Spec

if TYPE_CHECKING:
    from softrl.agent.agent import Agent

NEEDS = {"sac": "action value", "sac_v1": "state value"}
"""What each update asks its lookahead to offer."""


@dataclass(frozen=True)
class AgentConfig:
    """The parts of an agent; the defaults are soft actor-critic (arXiv 1812.05905)."""

    update: Literal["sac", "sac_v1"] = "sac"
    """Order of the lines: sac (twin critics with targets) or sac_v1 (with a state-value network, 2018)."""
    encoder: Identity = field(default_factory=Identity)
    """What was observed -> the latents that actor and critic see."""
    actor: Gaussian = field(default_factory=Gaussian)
    """The policy."""
    critic: ActionIn = field(default_factory=ActionIn)
    """The action values."""
    lookahead: Split | StateTarget = field(default_factory=Split)
    """How the value of what comes next is evaluated."""
    target_rule: Minimum = field(default_factory=Minimum)
    """How the ensemble becomes one distribution in the critic's target."""
    actor_rule: Minimum = field(default_factory=Minimum)
    """How the ensemble becomes one distribution in the actor's loss."""
    temperature: Learned | Fixed = field(default_factory=Learned)
    """The price of entropy."""
    reward_scale: Scale = field(default_factory=Scale)
    """What rewards are multiplied with in the update."""
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
        if NEEDS[self.update] != self.lookahead.offers:
            raise UserError(
                f"agent.update '{self.update}' needs a lookahead that offers an {NEEDS[self.update]}, and this one "
                f"offers an {self.lookahead.offers}: take both from one recipe, sac or sac_v1"
            )
        if self.update == "sac_v1" and self.temperature.learned:
            raise UserError(
                "agent.update 'sac_v1' has no temperature loss: use a fixed temperature, as its recipe does"
            )

    def build(self, spec: Spec) -> "Agent":
        """The agent, an nn.Module with all learning state inside; raises UserError where `check` does."""
        from softrl.agent.agent import Agent

        self.check(spec)
        return Agent(self, spec)
