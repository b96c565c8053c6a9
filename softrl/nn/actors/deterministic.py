"""The deterministic policy with fixed exploration noise. Shapes: see `softrl.types`."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from softrl.errors import UserError
from softrl.nn.actors import Actor
from softrl.nn.networks import AnyTrunk
from softrl.nn.trunks.mlp import MLP
from softrl.types import Actions, Spec


@dataclass(frozen=True)
class Deterministic:
    """a = tanh(mean(z)), explored with Gaussian noise of one size (DDPG, arXiv 1509.02971; TD3, arXiv 1802.09477).

    A single action has no density, so log-probabilities are zero and the temperature prices nothing: it has to be a
    fixed one, since a learned one would look for an entropy that does not change.
    """

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network."""
    noise: float = 0.1
    """Standard deviation of the noise while exploring, cut to [-1, 1]; learning and evaluation see none."""
    offers = frozenset[str]()
    needs = frozenset({"fixed temperature"})

    def __post_init__(self) -> None:
        if self.noise < 0:
            raise UserError(f"agent.actor.noise is {self.noise}: a standard deviation cannot be negative, try 0.1")

    def build(self, latent: int, spec: Spec) -> "DeterministicActor":
        """The module for latents of width `latent`."""
        return DeterministicActor(self, latent, spec)


class DeterministicActor(Actor):
    """One action of weight one (K = 1, C = 1), through which gradients pass (arXiv 1509.02971, eq. 6)."""

    def __init__(self, config: Deterministic, latent: int, spec: Spec) -> None:
        super().__init__()
        self.noise = config.noise
        self.trunk = config.trunk.build(latent)
        self.out = self.trunk.out(spec.continuous)

    def forward(self, z: Tensor) -> Actions:  # [B,D]
        value = self.mode(z)[None]
        return Actions(value, torch.zeros_like(value[..., :1]), torch.ones_like(value[..., 0]))

    def sample(self, z: Tensor) -> Tensor:
        value = self.mode(z)
        return (value + self.noise * torch.randn_like(value)).clamp(-1, 1)

    def mode(self, z: Tensor) -> Tensor:
        return self.out(self.trunk(z))[0].tanh()
