"""Encoders: what was observed -> the latents that actor and critic see."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from softrl.nn.actors import Actor
from softrl.types import Batch, Obs, Window

Carry = dict[str, Tensor]  # what an encoder remembers between acts, leading axis [N]
Losses = dict[str, Tensor]  # named scalars


class Encoder(nn.Module, ABC):
    """Replay windows -> latent batches for learning, observations -> latents for acting."""

    width: int

    @abstractmethod
    def forward(self, window: Window, actor: Actor) -> tuple[Batch, Losses]:
        """The latent batch of a window and the encoder's own named losses."""

    @abstractmethod
    def initial(self, count: int) -> Carry:
        """What is remembered at the start of `count` episodes."""

    @abstractmethod
    def act(self, obs: Obs, carry: Carry) -> tuple[Tensor, Carry]:
        """Latents [N,D] of the current observations, and what to remember."""

    @abstractmethod
    def observe(self, obs: Obs) -> None:
        """Take the observations of a collected row, [N,..], into running statistics."""
