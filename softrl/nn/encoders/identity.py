"""The neutral encoder: state observations are the latents."""

from dataclasses import dataclass

from torch import Tensor

from softrl.nn.actors import Actor
from softrl.nn.encoders import Carry, Encoder, Losses
from softrl.types import Batch, Obs, Spec, Window


@dataclass(frozen=True)
class Identity:
    """State observations as they are: no parameters, no loss."""

    def build(self, spec: Spec) -> "IdentityEncoder":
        """The module for the state observations of `spec`."""
        return IdentityEncoder(spec)


class IdentityEncoder(Encoder):
    """z = the observation named `state`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        (self.width,) = spec.obs["state"]

    def forward(self, window: Window, actor: Actor) -> tuple[Batch, Losses]:
        state = window.obs["state"]  # [B,2,D]
        batch = Batch(
            z=state[:, 0],
            next_z=state[:, -1],
            target_z=state[:, -1],
            action=window.action.flatten(1),
            reward=window.reward[:, 0],
            discount=window.discount[:, 0],
            weight=window.weight,
        )
        return batch, {}

    def initial(self, count: int) -> Carry:
        return {}

    def act(self, obs: Obs, carry: Carry) -> tuple[Tensor, Carry]:
        return obs["state"], carry
