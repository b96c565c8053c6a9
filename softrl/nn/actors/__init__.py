"""Actors: a latent -> weighted actions. Shapes: see `softrl.types`."""

from abc import ABC, abstractmethod
from typing import Protocol

import torch
from torch import Tensor, nn

from softrl.math.bounds import LogStdBounds, log_std_bound, mean_bound
from softrl.math.densities import squash, squashed
from softrl.nn.trunks import TrunkConfig
from softrl.types import Actions, Spec


class Actor(nn.Module, ABC):
    """A policy pi(a | z), ready for expectations (`forward`) and for acting (`sample`, `mode`)."""

    @abstractmethod
    def forward(self, z: Tensor) -> Actions:
        """K weighted, reparametrised actions and their log-probabilities, [B,D] -> Actions."""

    @abstractmethod
    def sample(self, z: Tensor) -> Tensor:
        """One action to execute, drawn from the policy, [B,D] -> [B,A]."""

    @abstractmethod
    def mode(self, z: Tensor) -> Tensor:
        """The deterministic action to evaluate, [B,D] -> [B,A]."""


class GaussianConfig(LogStdBounds, Protocol):
    """What `GaussianOutputs` reads of a configuration."""

    @property
    def trunk(self) -> TrunkConfig:
        """Body of the network."""

    @property
    def mean_bound(self) -> float | None:
        """Largest size of a mean."""


class GaussianOutputs(Actor):
    """An actor with mean and log standard deviation from one output layer."""

    def __init__(self, config: GaussianConfig, latent: int, spec: Spec) -> None:
        super().__init__()
        self.bound, self.mean_bound = log_std_bound(config), mean_bound(config.mean_bound)
        self.trunk = config.trunk.build(latent)
        self.out = self.trunk.out(2 * spec.continuous)

    def distribution(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation before the squashing, [B,D] -> [B,A], [B,A]."""
        mean, raw = self.out(self.trunk(z))[0].chunk(2, -1)
        return self.mean_bound(mean), self.bound(raw)


class SquashedActor(Actor):
    """One reparametrised action of weight one (K = 1, C = 1): a = tanh(u), u Gaussian with independent components."""

    @abstractmethod
    def distribution(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation before the squashing, [B,D] -> [B,A], [B,A]."""

    def forward(self, z: Tensor) -> Actions:  # [B,D]
        value, log_prob = squash(*self.distribution(z))
        return Actions(value[None], log_prob[None, :, None], torch.ones_like(log_prob)[None])

    def sample(self, z: Tensor) -> Tensor:
        return squashed(*self.distribution(z))

    def mode(self, z: Tensor) -> Tensor:
        return self.distribution(z)[0].tanh()
