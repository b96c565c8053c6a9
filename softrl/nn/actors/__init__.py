"""Actors: a latent -> weighted actions."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from softrl.types import Actions


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
