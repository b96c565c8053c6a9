"""Dreamer (arXiv 1912.01603), latent SAC and SMAC (arXiv 2210.00999) as one would write them down.

Every trajectory of a posterior is a pass of its own. T pictures of B rows, each with the action and the reward that led
to it; F features; H decisions ahead.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Normal
from torch.optim import Adam

from plain.world import Sizes, WorldModel, perceptron

GAMMA, DECAY, HORIZON = 0.99, 0.95, 15
MODEL_RATE, DREAMER_RATE, SAC_RATE = 6e-4, 8e-5, 3e-4
TAU, LARGEST_NORM = 0.005, 100.0


class Actor(nn.Module):
    """A squashed Gaussian."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.trunk = perceptron(sizes.features, sizes.units, 4, 2 * sizes.actions)

    def forward(self, features: Tensor) -> Normal:
        """The distribution before the squashing."""
        mean, raw = self.trunk(features).chunk(2, -1)
        std = F.softplus(raw + math.log(math.exp(5) - 1)) + 1e-4
        return Normal(5 * torch.tanh(mean / 5), std, validate_args=False)


class Critic(nn.Module):
    """Two action values."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.first = perceptron(sizes.features + sizes.actions, sizes.units, 3, 1)
        self.second = perceptron(sizes.features + sizes.actions, sizes.units, 3, 1)

    def forward(self, features: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat([features, action], -1)
        return self.first(x)[..., 0], self.second(x)[..., 0]


class Dreamer:
    """Model, policy and state value; the policy learns inside the model."""

    def __init__(self, sizes: Sizes = Sizes()) -> None:
        self.model, self.actor = WorldModel(sizes), Actor(sizes)
        self.value = perceptron(sizes.features, sizes.units, 3, 1)
        self.model_optimizer = Adam(self.model.parameters(), MODEL_RATE)
        self.actor_optimizer = Adam(self.actor.parameters(), DREAMER_RATE)
        self.value_optimizer = Adam(self.value.parameters(), DREAMER_RATE)

    def update(self, pixels: Tensor, action: Tensor, reward: Tensor) -> dict[str, Tensor]:
        """Learn from sequences: bytes [T,B,C,H,W], and the actions [T,B,A] and rewards [T,B] that led to them."""
        loss, features, _ = self.model(pixels, action, reward)
        descend(self.model_optimizer, loss)
        with frozen(self.model, self.value):
            path = self.imagined(features.detach().flatten(0, 1))  # [H+1,R,F]
            earned, value = self.model.reward(path[1:])[..., 0], self.value(path[1:])[..., 0]
            returns, following = list[Tensor](), value[-1]
            for t in reversed(range(HORIZON)):
                following = earned[t] + GAMMA * ((1 - DECAY) * value[t] + DECAY * following)
                returns.insert(0, following)
            gained = torch.stack(returns)  # [H,R]
            weight = (GAMMA ** torch.arange(HORIZON))[:, None]
            policy = -(weight * gained).mean()
            descend(self.actor_optimizer, policy)
        error = self.value(path[:-1].detach())[..., 0] - gained.detach()
        regression = 0.5 * (weight * error.square()).mean()
        descend(self.value_optimizer, regression)
        return {"model": loss.detach(), "actor": policy.detach(), "value": regression.detach()}

    def imagined(self, state: Tensor) -> Tensor:
        """States from the given ones on, under the policy, [R,F] -> [H+1,R,F]."""
        path = [state]
        for _ in range(HORIZON):
            action = torch.tanh(self.actor(path[-1].detach()).rsample())
            path.append(self.model.dynamics.imagine(path[-1], action))
        return torch.stack(path)


class Smac:
    """Soft actor-critic on posterior features, and on K further trajectories of them; latent SAC where K is 0."""

    def __init__(self, sizes: Sizes = Sizes(), particles: int = 0) -> None:
        self.particles = particles
        self.model, self.actor, self.critic = WorldModel(sizes), Actor(sizes), Critic(sizes)
        self.target = copy.deepcopy(self.critic)
        self.log_alpha = torch.zeros((), requires_grad=True)
        self.target_entropy = -float(sizes.actions)
        self.model_optimizer = Adam(self.model.parameters(), MODEL_RATE)
        self.critic_optimizer = Adam(self.critic.parameters(), SAC_RATE)
        self.actor_optimizer = Adam(self.actor.parameters(), SAC_RATE)
        self.alpha_optimizer = Adam([self.log_alpha], SAC_RATE)

    def update(self, pixels: Tensor, action: Tensor, reward: Tensor) -> dict[str, Tensor]:
        """Learn from sequences: bytes [T,B,C,H,W], and the actions [T,B,A] and rewards [T,B] that led to them."""
        loss, features, embedding = self.model(pixels, action, reward)
        with torch.no_grad():
            further = [self.model.dynamics.observe(embedding, action)[0] for _ in range(self.particles)]
        descend(self.model_optimizer, loss)
        states = torch.stack([features.detach(), *further])  # [L,T,B,F], L = K + 1
        critic = self.update_critic(states, action, reward)
        actor = self.update_actor(states[:, :-1])
        with torch.no_grad():
            for behind, ahead in zip(self.target.parameters(), self.critic.parameters(), strict=True):
                behind.lerp_(ahead, TAU)
        return {"model": loss.detach(), "critic": critic, "actor": actor}

    def update_critic(self, states: Tensor, action: Tensor, reward: Tensor) -> Tensor:
        """Regression of both values at every particle to its own soft target."""
        now, after, taken = states[:, :-1], states[:, 1:], action[1:].expand(len(states), -1, -1, -1)
        with torch.no_grad():
            policy = self.actor(after)
            before = policy.rsample()
            price = self.log_alpha.exp() * log_density(policy, before)
            value = torch.min(*self.target(after, torch.tanh(before))) - price
            target = reward[1:] + GAMMA * value
        first, second = self.critic(now, taken)
        loss = F.mse_loss(first, target) + F.mse_loss(second, target)
        descend(self.critic_optimizer, loss)
        return loss.detach()

    def update_actor(self, states: Tensor) -> Tensor:
        """Policy and temperature, with the density of the first particle's action averaged over all."""
        policy = self.actor(states)
        before = policy.rsample()[0]
        log_prob = log_mean_exp(log_density(policy, before))
        value = torch.min(*self.critic(states, torch.tanh(before).expand(len(states), -1, -1, -1)))
        loss = (self.log_alpha.exp().detach() * log_prob - log_mean_exp(value)).mean()
        descend(self.actor_optimizer, loss)
        descend(self.alpha_optimizer, -(self.log_alpha * (log_prob + self.target_entropy).detach()).mean())
        return loss.detach()


def log_density(policy: Normal, before: Tensor) -> Tensor:
    """log pi(tanh u), [..,A] -> [..]."""
    squashing = 2 * (math.log(2) - before - F.softplus(-2 * before))
    return (policy.log_prob(before) - squashing).sum(-1)


def log_mean_exp(x: Tensor) -> Tensor:
    """log 1/L sum_l exp(x_l), [L,..] -> [..]."""
    return x.logsumexp(0) - math.log(len(x))


def descend(optimizer: Adam, loss: Tensor) -> None:
    """One step, with the gradient cut to a norm."""
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], LARGEST_NORM)
    optimizer.step()


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Weights that get no gradients meanwhile, though what passes through them does."""
    weights = [weight for module in modules for weight in module.parameters()]
    for weight in weights:
        weight.requires_grad_(False)
    yield
    for weight in weights:
        weight.requires_grad_(True)
