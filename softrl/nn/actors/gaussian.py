"""The squashed Gaussian policy of soft actor-critic. Shapes: see `softrl.types`."""

from dataclasses import dataclass, field
from typing import Literal

from softrl.math.bounds import check_log_std, check_mean
from softrl.nn.actors import GaussianOutputs, SquashedActor
from softrl.nn.networks import AnyTrunk
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec


@dataclass(frozen=True)
class Gaussian:
    """a = tanh(u), u ~ N(mean(z), std(z)) with independent components (arXiv 1812.05905, appendix C)."""

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network."""
    log_std_min: float = -20.0
    """Smallest log standard deviation before the squashing."""
    log_std_max: float = 2.0
    """Largest log standard deviation before the squashing."""
    log_std_bound: Literal["clamp", "tanh"] = "clamp"
    """How log standard deviations are kept within their bounds: cut off, or smoothly by a tanh."""
    mean_bound: float | None = None
    """Largest size of a mean before the squashing, approached smoothly; beyond 5 the tanh has next to no slope."""
    offers = frozenset({"distribution"})
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        check_log_std(self.log_std_min, self.log_std_max)
        check_mean(self.mean_bound)

    def build(self, latent: int, spec: Spec) -> "GaussianActor":
        """The module for latents of width `latent`."""
        return GaussianActor(self, latent, spec)


class GaussianActor(GaussianOutputs, SquashedActor):
    """Squashed actions of one output layer's mean and log standard deviation."""
