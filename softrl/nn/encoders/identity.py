"""The neutral encoder: state observations are the latents. Shapes: see `softrl.types`."""

from dataclasses import dataclass, field

from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.actors import Actor
from softrl.nn.encoders import Losses, Memoryless, Value
from softrl.nn.networks import AnyTrunk
from softrl.nn.normalize import Running, Unchanged
from softrl.types import Atoms, Batch, Carry, Obs, Spec, Window


@dataclass(frozen=True)
class Identity:
    """State observations as they are, or normalised: no parameters, no loss."""

    normalizer: Unchanged | Running = field(default_factory=Unchanged)
    """How observations are scaled."""

    views = 1
    sequence = 0
    latents = 1
    needs = frozenset[str]()

    def policy_trunk(self, trunk: AnyTrunk) -> AnyTrunk:
        """The trunk of a network that reads what the policy reads: nothing comes before it."""
        return trunk

    def check(self, spec: Spec) -> None:
        """Raises UserError where there is no state to be observed."""
        if "state" not in spec.obs:
            raise UserError(
                "the identity encoder needs state observations: choose a recipe for pixels such as sac_ae or drq, or "
                "leave out env.pixels"
            )

    def build(self, spec: Spec) -> "IdentityEncoder":
        """The module for the state observations of `spec`."""
        return IdentityEncoder(self, spec)


class IdentityEncoder(Memoryless):
    """z = the observation named `state`, scaled."""

    def __init__(self, config: Identity, spec: Spec) -> None:
        super().__init__()
        (self.width,) = spec.obs["state"]
        self.policy_width = self.width
        self.normalizer = config.normalizer.build(self.width)

    def forward(self, window: Window, actor: Actor) -> tuple[Batch, Losses]:
        state = self.normalizer(window.obs["state"])  # [B,2,D]
        batch = Batch(
            z=state[:, 0],
            policy_z=state[:, 0],
            next_z=state[:, -1],
            target_z=state[:, -1],
            action=window.action.flatten(1),
            reward=window.reward[:, 0],
            discount=window.discount[:, 0],
            weight=window.weight,
            best=window.best,
        )
        return batch, {}

    def critic_trained(self) -> list[nn.Module]:
        return []

    def self_trained(self) -> list[nn.Module]:
        return []

    def q_for_actor(self, actor_q: Value, b: Batch, action: Tensor) -> Tensor:
        return actor_q(b.z.detach(), action)

    def average_views(self, target: Atoms) -> Atoms:
        return target

    def follow(self) -> None:
        pass

    def act(self, obs: Obs, carry: Carry) -> tuple[Tensor, Carry]:
        return self.normalizer(obs["state"]), carry

    def observe(self, obs: Obs) -> None:
        self.normalizer.observe(obs["state"])

    def pictures(self, window: Window) -> dict[str, Tensor]:
        return {}
