"""Actors: a latent -> weighted actions. Shapes: see `softrl.types`."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from softrl.math.densities import squash, squashed
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
