"""The world model of Dreamer (arXiv 1912.01603) as one would write it down: time is a Python loop over whole layers.

T pictures of B rows, each with the action and the reward that led to it; F features.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

FREE_NATS, MINIMUM_STD = 3.0, 0.1
KERNEL = 4
KERNELS = {16: (6, 6), 32: (5, 6, 6), 48: (3, 5, 6, 6), 64: (5, 5, 6, 6)}
"""Kernels of the decoder that draws pictures of each size."""


class Sizes(NamedTuple):
    """What the networks are made for."""

    channels: int = 3
    size: int = 64  # height and width of the pictures, one of KERNELS
    actions: int = 6
    deterministic: int = 200
    stochastic: int = 30
    hidden: int = 200  # units in the recurrent model
    units: int = 300  # in every other perceptron
    depth: int = 32  # channels after the first convolution

    @property
    def features(self) -> int:
        """Numbers in a state."""
        return self.stochastic + self.deterministic


class Recurrent(nn.Module):
    """The recurrent state-space model."""

    def __init__(self, sizes: Sizes, embedding: int) -> None:
        super().__init__()
        self.sizes = sizes
        wide, hidden = sizes.deterministic, sizes.hidden
        self.before = nn.Sequential(nn.Linear(sizes.stochastic + sizes.actions, hidden), nn.ELU())
        self.cell = nn.GRUCell(hidden, wide)
        self.prior = perceptron(wide, hidden, 1, 2 * sizes.stochastic)
        self.posterior = perceptron(wide + embedding, hidden, 1, 2 * sizes.stochastic)

    def observe(self, embedding: Tensor, action: Tensor) -> tuple[Tensor, Normal, Normal]:
        """One posterior trajectory of [T,B,E] and [T,B,A]: features [T,B,F], posteriors and priors [T,B,S]."""
        features, state = [], embedding.new_zeros(embedding.shape[1], self.sizes.features)
        posteriors, priors = [], []
        for seen, done in zip(embedding, action, strict=True):
            wide = self.moved(state, done)
            prior, posterior = normal(self.prior(wide)), normal(self.posterior(torch.cat([wide, seen], -1)))
            state = torch.cat([posterior.rsample(), wide], -1)
            features.append(state)
            posteriors.append(posterior)
            priors.append(prior)
        return torch.stack(features), stacked(posteriors), stacked(priors)

    def imagine(self, state: Tensor, action: Tensor) -> Tensor:
        """What the prior expects of an action, [R,F], [R,A] -> [R,F]."""
        wide = self.moved(state, action)
        return torch.cat([normal(self.prior(wide)).rsample(), wide], -1)

    def moved(self, state: Tensor, action: Tensor) -> Tensor:
        """The deterministic part after an action."""
        drawn, wide = state.split([self.sizes.stochastic, self.sizes.deterministic], -1)
        return self.cell(self.before(torch.cat([drawn, action], -1)), wide)


class WorldModel(nn.Module):
    """Encoder, recurrent model, decoder and rewards."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.encoder = encoder(sizes)
        embedding = self.encoder(torch.zeros(1, sizes.channels, sizes.size, sizes.size)).shape[-1]
        self.dynamics = Recurrent(sizes, embedding)
        self.decoder = decoder(sizes)
        self.reward = perceptron(sizes.features, sizes.units, 2, 1)

    def forward(self, pixels: Tensor, action: Tensor, reward: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, features [T,B,F] and embeddings [T,B,E] of bytes [T,B,C,H,W], actions [T,B,A], rewards [T,B]."""
        images = pixels.float() / 255 - 0.5
        embedding = self.encoder(images.flatten(0, 1)).unflatten(0, action.shape[:2])
        features, posterior, prior = self.dynamics.observe(embedding, action)
        drawn = self.decoder(features.flatten(0, 1)).unflatten(0, action.shape[:2])
        picture = 0.5 * (drawn - images).square().flatten(2).sum(-1).mean()
        earned = 0.5 * (self.reward(features)[..., 0] - reward).square().mean()
        divergence = kl_divergence(posterior, prior).sum(-1).mean()
        return picture + earned + divergence.clamp(min=FREE_NATS), features, embedding


def perceptron(inputs: int, hidden: int, layers: int, outputs: int) -> nn.Sequential:
    """So many hidden layers with ELU."""
    widths = [inputs, *[hidden] * layers]
    inner = [part for i in range(layers) for part in (nn.Linear(widths[i], widths[i + 1]), nn.ELU())]
    return nn.Sequential(*inner, nn.Linear(widths[-1], outputs))


def encoder(sizes: Sizes) -> nn.Sequential:
    """Convolutions of stride 2 while they fit."""
    parts, size, inputs, outputs = list[nn.Module](), sizes.size, sizes.channels, sizes.depth
    while size >= KERNEL:
        parts += [nn.Conv2d(inputs, outputs, KERNEL, 2), nn.ReLU()]
        size, inputs, outputs = (size - KERNEL) // 2 + 1, outputs, 2 * outputs
    return nn.Sequential(*parts, nn.Flatten())


def decoder(sizes: Sizes) -> nn.Sequential:
    """A layer, and transposed convolutions of stride 2 from one pixel on."""
    kernels = KERNELS[sizes.size]
    inputs = sizes.depth * 2 ** (len(kernels) + 1)
    parts: list[nn.Module] = [nn.Linear(sizes.features, inputs), nn.Unflatten(1, (inputs, 1, 1))]
    for i, kernel in enumerate(kernels[:-1]):
        outputs = sizes.depth * 2 ** (len(kernels) - 2 - i)
        parts += [nn.ConvTranspose2d(inputs, outputs, kernel, 2), nn.ReLU()]
        inputs = outputs
    return nn.Sequential(*parts, nn.ConvTranspose2d(inputs, sizes.channels, kernels[-1], 2))


def normal(row: Tensor) -> Normal:
    """The distribution that a row of means and raw deviations stands for."""
    mean, raw = row.chunk(2, -1)
    return Normal(mean, F.softplus(raw) + MINIMUM_STD, validate_args=False)


def stacked(rows: list[Normal]) -> Normal:
    """Distributions of all times as one."""
    mean, std = torch.stack([row.mean for row in rows]), torch.stack([row.stddev for row in rows])
    return Normal(mean, std, validate_args=False)
