"""Encoders: what was observed -> the latents that actor and critic see. Shapes: see `softrl.types`."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from softrl.nn.actors import Actor
from softrl.types import Atoms, Batch, Carry, Obs, Window

Value = Callable[[Tensor, Tensor], Tensor]  # [B,D], [K,B,A] -> [K,B]
Losses = dict[str, Tensor]  # named scalars


class Encoder(nn.Module, ABC):
    """Replay windows -> latent batches for learning, observations -> latents for acting."""

    width: int  # D, of what the critic reads
    policy_width: int  # P, of what the policy reads
    gives_old: bool = False  # whether batches hold `old_z`, where a target copy makes it
    judged_by_copy: bool = True  # whether a target copy judges next states: it reads what a target copy makes of them

    @abstractmethod
    def forward(self, window: Window, actor: Actor) -> tuple[Batch, Losses]:
        """The latent batch of a window and the encoder's own named losses."""

    @abstractmethod
    def critic_trained(self) -> list[nn.Module]:
        """The modules inside that the critic's loss trains."""

    @abstractmethod
    def self_trained(self) -> list[nn.Module]:
        """The modules inside that the encoder's own losses train; a module may be in both lists."""

    @abstractmethod
    def q_for_actor(self, actor_q: Value, b: Batch, action: Tensor) -> Tensor:
        """Q-values of the policy's actions [K,B/V,A], [K,B/V], from `actor_q` of detached latents and actions."""

    @abstractmethod
    def average_views(self, target: Atoms) -> Atoms:
        """The critic's target [B,M], averaged over the views of each row."""

    @abstractmethod
    def follow(self) -> None:
        """Move a target copy towards what it is a copy of."""

    @abstractmethod
    def initial(self, count: int) -> Carry:
        """What is remembered at the start of `count` episodes."""

    @abstractmethod
    def act(self, obs: Obs, carry: Carry) -> tuple[Tensor, Carry]:
        """What the policy reads of the current observations, [N,P], and what to remember."""

    @abstractmethod
    def acted(self, action: Tensor, carry: Carry) -> Carry:
        """What to remember after the action [N,A] that was chosen."""

    @abstractmethod
    def watch(self, obs: Obs, action: Tensor, carry: Carry) -> Carry:
        """What to remember of current observations where an action [N,A] is taken that nobody chose by them."""

    @abstractmethod
    def observe(self, obs: Obs) -> None:
        """Take the observations of a collected row, [N,..], into running statistics."""

    @abstractmethod
    def measures(self, window: Window) -> dict[str, Tensor]:
        """What to measure on a window, numbers by name."""

    @abstractmethod
    def pictures(self, window: Window) -> dict[str, Tensor]:
        """What to look at of a window's first rows, bytes [3,height,width] by name."""

    @abstractmethod
    def films(self, window: Window) -> dict[str, Tensor]:
        """What to watch of a window's first rows, bytes [T,3,height,width] by name."""


class Memoryless(Encoder):
    """An encoder that remembers nothing between acts, measures nothing and shows no films."""

    def initial(self, count: int) -> Carry:
        return {}

    def acted(self, action: Tensor, carry: Carry) -> Carry:
        return carry

    def watch(self, obs: Obs, action: Tensor, carry: Carry) -> Carry:
        return carry

    def measures(self, window: Window) -> dict[str, Tensor]:
        return {}

    def films(self, window: Window) -> dict[str, Tensor]:
        return {}
