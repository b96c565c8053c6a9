"""Observation models (`agent.encoder.sight`): how a world model reads observations, and how it predicts them.

Shapes: see `softrl.types`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.math.latents import symlog
from softrl.nn.readout import DENSE, Readout, check_rowwise
from softrl.nn.trunks.mlp import MLP
from softrl.types import Obs, Spec


class ObservationModel(nn.Module, ABC):
    """Observations -> embeddings, and features -> expected observations; leading axes are free."""

    width: int  # of an embedding
    deviation = 1.0  # standard deviation with which targets are expected around their prediction

    @abstractmethod
    def target(self, obs: Obs) -> Tensor:
        """What is to be predicted of observations, [..,O]."""

    @abstractmethod
    def embed(self, target: Tensor) -> Tensor:
        """Embeddings of what `target` gave, [..,O] -> [..,width]."""

    @abstractmethod
    def predict(self, features: Tensor) -> Tensor:
        """The expected target, [..,F] -> [..,O]."""

    def loss(self, features: Tensor, target: Tensor) -> Tensor:
        """-log N(target; predicted, deviation^2) without its constant, summed over observations, [T,B,..] -> [T,B]."""
        return gaussian_nll(self.predict(features), target, 2) / self.deviation**2

    @abstractmethod
    def visible(self, target: Tensor) -> Tensor | None:
        """Pictures of targets, bytes [..,3,H,W]; none where there is nothing to look at."""


def gaussian_nll(predicted: Tensor, target: Tensor, axes: int) -> Tensor:
    """-log N(target; predicted, 1) without its constant, summed over all but the leading axes: [..,O] -> [..]."""
    axes_summed = tuple(range(axes, predicted.dim()))
    return 0.5 * F.mse_loss(predicted, target, reduction="none").sum(axes_summed)


SCALES: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda x: x, "symlog": symlog}


@dataclass(frozen=True)
class Vectors:
    """State observations through perceptrons, compressed as in DreamerV3 (arXiv 2301.04104).

    J = |x_hat - x|^2 / (2 deviation^2), x = sign(s) log(1 + |s|)

    Thousands of pixels outweigh the nats that their latents cost; the few entries of a state do not, unless an error in
    them counts for more: beyond the free nats an entry is worth coding only where its variance exceeds deviation^2.
    """

    encoder: MLP = DENSE
    """What reads."""
    decoder: MLP = DENSE
    """What predicts."""
    scale: Literal["none", "symlog"] = "symlog"
    """What is done to observations before they are read and predicted."""
    deviation: float = 0.1
    """Standard deviation with which observations are expected around their prediction.

    A small one weighs errors; give at least that of noise in the observations, which latents are else spent on.
    """

    def __post_init__(self) -> None:
        if not self.deviation > 0:
            raise UserError(f"agent.encoder.sight.vectors.deviation is {self.deviation}: it must be positive, try 0.1")
        check_rowwise(self.encoder, self.decoder)

    def check(self, spec: Spec) -> None:
        """Raises UserError where there is no state to be observed."""
        if "state" not in spec.obs:
            raise UserError("agent.encoder.sight Vectors needs state observations, and there are pixels: use Pictures")

    def build(self, features: int, spec: Spec) -> "VectorObservationModel":
        """The module that predicts from that many features; raises UserError as `check` does."""
        self.check(spec)
        return VectorObservationModel(self, features, *spec.obs["state"])


class VectorObservationModel(ObservationModel):
    """Embeddings are the features of the encoder's trunk."""

    def __init__(self, config: Vectors, features: int, size: int) -> None:
        super().__init__()
        self.scale, self.deviation = SCALES[config.scale], config.deviation
        self.encoder = config.encoder.build(size)
        self.decoder = Readout(config.decoder, features, size)
        self.width = self.encoder.width

    def target(self, obs: Obs) -> Tensor:
        return self.scale(obs["state"])

    def embed(self, target: Tensor) -> Tensor:
        return self.encoder(target.flatten(0, -2))[0].unflatten(0, target.shape[:-1])

    def predict(self, features: Tensor) -> Tensor:
        return self.decoder(features)

    def visible(self, target: Tensor) -> None:
        return None
