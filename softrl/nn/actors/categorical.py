"""The policy of discrete choices, with exact expectations. Shapes: see `softrl.types`; L logits."""

from dataclasses import dataclass, field

from torch import Tensor

from softrl.errors import UserError
from softrl.math.choices import check_joint
from softrl.nn.actors import Actor
from softrl.nn.choices import JointChoices
from softrl.nn.networks import AnyTrunk
from softrl.nn.trunks.mlp import MLP
from softrl.types import Actions, Spec


@dataclass(frozen=True)
class Categorical:
    """pi(a|z), a softmax for each choice, with every joint action enumerated (arXiv 1910.07207).

    Expectations over the joint are exact, up to 1024 combinations. Assumption without `joint`: choices are independent
    of each other given the state, pi(a|z) = prod_i pi_i(a_i|z).
    """

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network."""
    joint: bool = False
    """Whether one softmax over all combinations takes the place of one for each choice: nothing is assumed then."""
    offers = frozenset({"shared parameters", "exact entropy"})
    needs = frozenset[str]()

    def build(self, latent: int, spec: Spec) -> "CategoricalActor":
        """The module for latents of width `latent`; raises UserError for a space that is not made of a few choices."""
        if spec.continuous:
            raise UserError("the Categorical actor has no continuous part, which this action space has: use Hybrid")
        check_joint("the Categorical actor", spec.choices)
        return CategoricalActor(self, latent, spec)


class CategoricalActor(Actor):
    """All K = J joint actions with their probabilities (C = 1); gradients reach the policy through these."""

    def __init__(self, config: Categorical, latent: int, spec: Spec) -> None:
        super().__init__()
        self.choices = JointChoices(spec.choices, config.joint)
        self.trunk = config.trunk.build(latent)
        self.out = self.trunk.out(self.choices.logits)

    def logits(self, z: Tensor) -> Tensor:
        """What the softmax is taken of, [B,D] -> [B,L]."""
        return self.out(self.trunk(z))[0]

    def forward(self, z: Tensor) -> Actions:  # [B,D]
        log_prob = self.choices.joint(self.logits(z))  # [K,B]
        return Actions(self.choices.value(len(z)), log_prob[..., None], log_prob.exp())

    def sample(self, z: Tensor) -> Tensor:
        return self.choices.sample(self.logits(z))

    def mode(self, z: Tensor) -> Tensor:
        return self.choices.mode(self.logits(z))
