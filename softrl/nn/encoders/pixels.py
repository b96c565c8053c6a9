"""The encoder of images: SAC+AE, SAC from pixels, DrQ and CURL are its settings. Shapes: see `softrl.types`."""

from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.actors import Actor
from softrl.nn.augment import AnyAugmentation, Still
from softrl.nn.auxiliary import AnyAuxiliary, Nothing
from softrl.nn.convolutions import Convolutions, ConvolutionStack, Size
from softrl.nn.encoders import Losses, Memoryless, Value
from softrl.nn.layers import without_decay
from softrl.nn.targets import check_tau, frozen_copy, polyak_update
from softrl.nn.trunks import TrunkConfig
from softrl.nn.trunks.bottleneck import Bottleneck, Neck
from softrl.types import Atoms, Batch, Carry, Obs, Spec, Window


@dataclass(frozen=True)
class Pixels:
    """Convolutions that actor and critic share, and a bottleneck for each of them (SAC+AE, arXiv 1910.01741, fig. 8).

    The critic's loss and the auxiliary train the convolutions, the actor's never does. SAC+AE reconstructs, DrQ
    (arXiv 2004.13649) shifts, CURL (arXiv 2004.04136) crops and contrasts.
    """

    convolutions: Convolutions = field(default_factory=Convolutions)
    """What reads the images."""
    features: int = 50
    """Features that actor and critic each make of what the convolutions give."""
    squashed: bool = True
    """Whether tanh bounds the features; the code of CURL leaves it out."""
    augmentation: AnyAugmentation = field(default_factory=Still)
    """How images are moved about before they are learned from."""
    auxiliary: AnyAuxiliary = field(default_factory=Nothing)
    """What teaches the convolutions beside the critic."""
    tau: float = 0.05
    """Polyak coefficient of the target copy of convolutions and critic's bottleneck; 1 copies the weights."""
    sequence = 0
    latents = 1
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        if self.features < 1:
            raise UserError(f"features is {self.features}: actor and critic need at least 1 to read")
        check_tau("agent.encoder.tau", self.tau)
        if self.auxiliary.compares and not self.augmentation.random:
            raise UserError(
                f"the auxiliary {type(self.auxiliary).__name__} compares two views of an image, and the augmentation "
                f"{type(self.augmentation).__name__} gives one: choose Crop or Shift"
            )

    @property
    def views(self) -> int:
        """Random views of each row."""
        return self.augmentation.views

    def policy_trunk(self, trunk: TrunkConfig) -> TrunkConfig:
        """The trunk of a network that reads what the policy reads, behind a bottleneck of its own."""
        return Bottleneck(self.features, trunk, self.squashed)

    def check(self, spec: Spec) -> None:
        """Raises UserError where there are no images, or too small ones."""
        self.view(spec)

    def view(self, spec: Spec) -> tuple[int, Size]:
        """Channels and size of what the convolutions see; raises UserError as `check` does."""
        if "pixels" not in spec.obs:
            raise UserError(
                "the encoder of pixels, and a decoder with it, needs images: observe the environment through "
                "env.pixels, or choose a recipe for state observations such as sac"
            )
        channels, *size = spec.obs["pixels"]
        height, width = self.augmentation.size((size[0], size[1]))
        self.convolutions.sizes((height, width))
        return channels, (height, width)

    def build(self, spec: Spec) -> "PixelEncoder":
        """The module for the images of `spec`; raises UserError as `check` does."""
        return PixelEncoder(self, *self.view(spec))


class Body(nn.Module):
    """Pixels 0 to 255, [B,C,h,w] -> flat features [B,P] that the policy may read, and the critic's z [B,D]."""

    def __init__(self, convolutions: ConvolutionStack, neck: Neck) -> None:
        super().__init__()
        self.convolutions, self.neck = convolutions, neck
        # Of all that the encoder's own losses train, only a decoder decays.
        without_decay(*self.parameters())

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = self.convolutions(pixels)
        return features, self.neck(features)[0]


class PixelEncoder(Memoryless):
    """z = tanh(LN(W conv(s) + b)) for the critic, and conv(s) without gradient for the policy."""

    def __init__(self, config: Pixels, channels: int, size: Size) -> None:
        super().__init__()
        convolutions = config.convolutions.build(channels, size)
        self.width, self.policy_width, self.tau = config.features, convolutions.width, config.tau
        self.augmentation = config.augmentation
        self.body = Body(convolutions, Neck(convolutions.width, config.features, squashed=config.squashed))
        self.target = frozen_copy(self.body)
        self.auxiliary = config.auxiliary.build(config.convolutions, config.features, channels, size)

    def forward(self, window: Window, actor: Actor) -> tuple[Batch, Losses]:
        now, after = window.obs["pixels"][:, 0], window.obs["pixels"][:, -1]  # [B,C,H,W]
        seen = self.views(now)  # [V*B,C,h,w]
        features, z = self.body(seen)
        with torch.no_grad():
            seen_after = self.views(after).to(self.body.convolutions.first.dtype)
            next_features = self.body.convolutions(seen_after)
            target_z = self.target(seen_after)[1] if self.judged_by_copy else self.body.neck(next_features)[0]
            old_z = self.target(seen)[1] if self.gives_old else None
        batch = Batch(
            z=z,
            policy_z=features[: len(now)].detach(),
            next_z=next_features,
            target_z=target_z,
            action=self.repeated(window.action.flatten(1)),
            reward=self.repeated(window.reward[:, 0]),
            discount=self.repeated(window.discount[:, 0]),
            weight=self.repeated(window.weight),
            best=window.best,
            old_z=old_z,
        )
        return batch, self.auxiliary(z, seen, partial(self.positives, now))

    def views(self, images: Tensor) -> Tensor:
        """Random views, the first of all rows first, [B,C,H,W] -> [V*B,C,h,w] with channels last in memory."""
        drawn = [self.augmentation.draw(images) for _ in range(self.augmentation.views)]
        return torch.cat(drawn).contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def positives(self, images: Tensor) -> Tensor:
        """What the target copy makes of a further random view, [B,C,H,W] -> [B,D]."""
        return self.target(self.augmentation.draw(images))[1]

    def repeated(self, x: Tensor) -> Tensor:
        """Rows once for each view, [B,..] -> [V*B,..]."""
        return torch.cat([x] * self.augmentation.views)

    def critic_trained(self) -> list[nn.Module]:
        return [self.body]

    def self_trained(self) -> list[nn.Module]:
        return self.auxiliary.self_trained(self.body)

    def q_for_actor(self, actor_q: Value, b: Batch, action: Tensor) -> Tensor:
        return actor_q(b.z[: len(b.policy_z)].detach(), action)

    def average_views(self, target: Atoms) -> Atoms:
        # The mean of the views' targets is the mean of their mixture, and heads take any number of weighted atoms.
        value, prob = (x.unflatten(0, (self.augmentation.views, -1)) for x in target)  # [V,B,M]
        return Atoms(*map(self.repeated, Atoms(value, prob).pool(0)))

    def follow(self) -> None:
        polyak_update(self.target, self.body, self.tau)

    @torch.no_grad()
    def act(self, obs: Obs, carry: Carry) -> tuple[Tensor, Carry]:
        return self.body.convolutions(self.augmentation.plain(obs["pixels"])), carry

    def observe(self, obs: Obs) -> None:
        pass

    @torch.no_grad()
    def pictures(self, window: Window) -> dict[str, Tensor]:
        """What to look at of a window's rows, bytes [3,height,width] by name; nothing without a decoder."""
        seen = self.augmentation.plain(window.obs["pixels"][:, 0])
        return self.auxiliary.pictures(self.body(seen)[1], seen)
