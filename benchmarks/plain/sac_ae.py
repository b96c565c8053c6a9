"""SAC+AE (arXiv 1910.01741) as one would write it down: a network for each arrow, an optimiser for each loss.

Every loss runs its own networks forward, and images pass the convolutions anew for each of them. B rows, A actions.
"""

import copy
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

GAMMA, RATE = 0.99, 1e-3
TAU, ENCODER_TAU = 0.01, 0.05
EVERY = 2  # critic updates for one of actor, temperature and targets
LOG_STD_MIN, LOG_STD_MAX = -10.0, 2.0
LATENT_PRICE, DECODER_DECAY = 1e-6, 1e-7
LOG_ROOT_TAU = math.log(2 * math.pi) / 2


class Sizes(NamedTuple):
    """What the networks are made for."""

    channels: int = 9
    size: int = 84  # height and width of the images
    actions: int = 6
    filters: int = 32
    features: int = 50
    hidden: int = 1024


class Encoder(nn.Module):
    """Four convolutions, then Linear, LayerNorm and tanh: bytes [B,C,H,W] -> [B,features]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        filters = sizes.filters
        first = nn.Conv2d(sizes.channels, filters, 3, stride=2)
        self.convolutions = nn.ModuleList([first, *(nn.Conv2d(filters, filters, 3) for _ in range(3))])
        self.linear = nn.Linear(filters * smallest(sizes.size) ** 2, sizes.features)
        self.norm = nn.LayerNorm(sizes.features)

    def forward(self, images: Tensor, detach: bool = False) -> Tensor:
        x = images / 255
        for convolution in self.convolutions:
            x = F.relu(convolution(x))
        x = x.flatten(1)
        return torch.tanh(self.norm(self.linear(x.detach() if detach else x)))


class Decoder(nn.Module):
    """The encoder's mirror image: [B,features] -> [B,C,H,W]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        filters, self.side = sizes.filters, smallest(sizes.size)
        self.linear = nn.Linear(sizes.features, filters * self.side**2)
        self.convolutions = nn.ModuleList(nn.ConvTranspose2d(filters, filters, 3) for _ in range(3))
        odd = 1 - sizes.size % 2
        self.last = nn.ConvTranspose2d(filters, sizes.channels, 3, stride=2, output_padding=odd)

    def forward(self, z: Tensor) -> Tensor:
        x = F.relu(self.linear(z)).unflatten(1, (-1, self.side, self.side))
        for convolution in self.convolutions:
            x = F.relu(convolution(x))
        return self.last(x)


class Actor(nn.Module):
    """A squashed Gaussian with an encoder of its own, whose convolutions are the critic's."""

    def __init__(self, sizes: Sizes, convolutions: nn.ModuleList) -> None:
        super().__init__()
        self.encoder = Encoder(sizes)
        self.encoder.convolutions = convolutions
        self.trunk = perceptron(sizes.features, sizes.hidden, 2 * sizes.actions)

    def forward(self, images: Tensor, detach: bool = False) -> tuple[Tensor, Tensor]:
        """An action [B,A] and the logarithm of its density, [B,1]."""
        mean, raw = self.trunk(self.encoder(images, detach)).chunk(2, -1)
        log_std = LOG_STD_MIN + 0.5 * (LOG_STD_MAX - LOG_STD_MIN) * (torch.tanh(raw) + 1)
        noise = torch.randn_like(mean)
        action = torch.tanh(mean + log_std.exp() * noise)
        log_prob = -0.5 * noise.square() - log_std - LOG_ROOT_TAU - torch.log(F.relu(1 - action.square()) + 1e-6)
        return action, log_prob.sum(-1, keepdim=True)


class Critic(nn.Module):
    """Two action values on one encoder."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.encoder = Encoder(sizes)
        self.first = perceptron(sizes.features + sizes.actions, sizes.hidden, 1)
        self.second = perceptron(sizes.features + sizes.actions, sizes.hidden, 1)

    def forward(self, images: Tensor, action: Tensor, detach: bool = False) -> tuple[Tensor, Tensor]:
        x = torch.cat([self.encoder(images, detach), action], -1)
        return self.first(x), self.second(x)


class SacAe:
    """Networks, optimisers, and the update in the order of the paper's code."""

    def __init__(self, sizes: Sizes = Sizes()) -> None:
        self.critic = Critic(sizes)
        self.target = copy.deepcopy(self.critic)
        self.actor = Actor(sizes, self.critic.encoder.convolutions)
        self.decoder = Decoder(sizes)
        self.log_alpha = torch.tensor(math.log(0.1), requires_grad=True)
        self.target_entropy = -float(sizes.actions)
        self.updates = 0
        policy = [p for name, p in self.actor.named_parameters() if "convolutions" not in name]
        self.critic_optimizer = Adam(self.critic.parameters(), RATE)
        self.actor_optimizer = Adam(policy, RATE)
        self.alpha_optimizer = Adam([self.log_alpha], 1e-4, betas=(0.5, 0.999))
        self.encoder_optimizer = Adam(self.critic.encoder.parameters(), RATE)
        self.decoder_optimizer = Adam(self.decoder.parameters(), RATE, weight_decay=DECODER_DECAY)

    def update(self, images: Tensor, action: Tensor, reward: Tensor, after: Tensor, going: Tensor) -> dict[str, Tensor]:
        """Learn from a batch: images and those after them, bytes [B,C,H,W]; [B,A]; rewards and 1 - ended, [B,1]."""
        self.updates += 1
        images, after = images.float(), after.float()
        losses = {"critic": self.update_critic(images, action, reward, after, going)}
        if self.updates % EVERY == 0:
            losses["actor"] = self.update_actor(images)
            self.follow()
        losses["reconstruction"] = self.update_autoencoder(images)
        return losses

    def update_critic(self, images: Tensor, action: Tensor, reward: Tensor, after: Tensor, going: Tensor) -> Tensor:
        """Regression of both values to the soft target."""
        with torch.no_grad():
            next_action, log_prob = self.actor(after)
            value = torch.min(*self.target(after, next_action)) - self.log_alpha.exp() * log_prob
            target = reward + going * GAMMA * value
        first, second = self.critic(images, action)
        loss = F.mse_loss(first, target) + F.mse_loss(second, target)
        self.critic_optimizer.zero_grad()
        loss.backward()
        self.critic_optimizer.step()
        return loss.detach()

    def update_actor(self, images: Tensor) -> Tensor:
        """Policy and temperature; the convolutions stay what the critic and the autoencoder made of them."""
        action, log_prob = self.actor(images, detach=True)
        value = torch.min(*self.critic(images, action, detach=True))
        loss = (self.log_alpha.exp().detach() * log_prob - value).mean()
        self.actor_optimizer.zero_grad()
        loss.backward()
        self.actor_optimizer.step()

        price = (self.log_alpha.exp() * (-log_prob - self.target_entropy).detach()).mean()
        self.alpha_optimizer.zero_grad()
        price.backward()
        self.alpha_optimizer.step()
        return loss.detach()

    def update_autoencoder(self, images: Tensor) -> Tensor:
        """Reconstruction of images of five bits, whose lost bits are drawn anew."""
        target = torch.floor(images / 8) / 32
        target = target + torch.rand_like(target) / 32 - 0.5
        z = self.critic.encoder(images)
        penalty = 0.5 * z.square().sum(-1).mean()
        loss = F.mse_loss(self.decoder(z), target) + LATENT_PRICE * penalty
        self.encoder_optimizer.zero_grad()
        self.decoder_optimizer.zero_grad()
        loss.backward()
        self.encoder_optimizer.step()
        self.decoder_optimizer.step()
        return loss.detach()

    @torch.no_grad()
    def follow(self) -> None:
        """Move the target copy: its encoder faster than its values."""
        for name, parameter in self.critic.named_parameters():
            tau = ENCODER_TAU if name.startswith("encoder") else TAU
            self.target.get_parameter(name).lerp_(parameter, tau)


def perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two hidden layers."""
    layers = (nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
    return nn.Sequential(*layers)


def smallest(size: int) -> int:
    """Height and width after the convolutions."""
    return (size - 3) // 2 + 1 - 3 * 2
