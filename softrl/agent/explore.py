"""Explorers: how the agent behaves while it collects; evaluation asks the actor itself.

Shapes: see `softrl.types`; F features of the policy's trunk.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from softrl.agent.multiplier import Multiplier, check_multiplier
from softrl.errors import UserError
from softrl.math.densities import standard_normal
from softrl.nn.encoders import Losses
from softrl.nn.layers import Linear
from softrl.nn.networks import AnyTrunk
from softrl.nn.norms import batch_statistics
from softrl.nn.trunks.mlp import MLP
from softrl.types import Atoms, Carry, Spec

if TYPE_CHECKING:
    from softrl.agent.agent import Agent

SHIFT_GAIN = 0.01
"""Gain of the optimistic explorer's last layer: it starts close to the policy (arXiv 2405.16158, authors' code)."""
WHOLE_EPISODE = 2**62
"""More decisions than any episode has."""


class Explorer(nn.Module, ABC):
    """A behaviour policy. What it remembers between acts is in the carry, under names that start with `explorer.`."""

    @abstractmethod
    def initial(self, count: int) -> Carry:
        """What is remembered at the start of `count` episodes, each entry [N,..]."""

    @abstractmethod
    def act(self, actor: Any, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """Actions [N,A] to execute at latents [N,D], and the whole carry with this explorer's part of it renewed."""

    @abstractmethod
    def losses(self, agent: "Agent", z: Tensor, critic_z: Tensor) -> Losses:
        """The named losses of the explorer's own parameters; empty when it has none.

        Policy and explorer read the detached latents `z` [B,P], the critic reads `critic_z` [B,D].
        """


@dataclass(frozen=True)
class OnPolicy:
    """a ~ pi(.|s): the policy itself explores (arXiv 1812.05905, algorithm 1); learning is off-policy all the same."""

    needs = frozenset[str]()

    def build(self, actor: Any, latent: int, spec: Spec) -> "OnPolicyExplorer":
        """The module, without parameters."""
        return OnPolicyExplorer()


class OnPolicyExplorer(Explorer):
    """a ~ pi(. | z)."""

    def initial(self, count: int) -> Carry:
        return {}

    def act(self, actor: Any, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        return actor.sample(z), carry

    def losses(self, agent: "Agent", z: Tensor, critic_z: Tensor) -> Losses:
        return {}


class HeldNoise(Explorer):
    """Noise of a given shape, drawn for each environment, kept for a random number of decisions, then drawn again."""

    lengths: Tensor
    chances: Tensor

    def __init__(self, shape: tuple[int, ...], lengths: Sequence[int], chances: Sequence[float]) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("lengths", torch.tensor(lengths), persistent=False)
        self.register_buffer("chances", torch.tensor(chances), persistent=False)

    @abstractmethod
    def choose(self, actor: Any, z: Tensor, noise: Tensor) -> Tensor:
        """Actions [N,A] from latents [N,D] and standard normal noise [N,..]."""

    def initial(self, count: int) -> Carry:
        # Nothing is drawn before the first act: no decision is left of the noise.
        noise = torch.zeros(count, *self.shape, device=self.chances.device)
        return {"explorer.noise": noise, "explorer.left": self.lengths.new_zeros(count)}

    def act(self, actor: Any, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        noise, left = carry["explorer.noise"], carry["explorer.left"]
        over = left <= 0
        # The first of exponential clocks that rings; torch.multinomial waits for a GPU where it draws one number.
        clocks = torch.empty(len(left), len(self.chances), device=left.device).exponential_() / self.chances
        drawn = self.lengths[clocks.argmin(-1)]
        # Drawn for all and used where it is due: no environment's noise depends on when the others' ended.
        noise = torch.where(over.view(-1, *[1] * len(self.shape)), torch.randn_like(noise), noise)
        left = torch.where(over, drawn, left) - 1
        return self.choose(actor, z, noise), carry | {"explorer.noise": noise, "explorer.left": left}

    def losses(self, agent: "Agent", z: Tensor, critic_z: Tensor) -> Losses:
        return {}


@dataclass(frozen=True)
class RepeatedNoise:
    """The policy's Gaussian noise is kept for n decisions, P(n) proportional to n^-exponent (arXiv 2604.04539)."""

    exponent: float = 2.0
    """How fast long repetitions become rare."""
    longest: int = 16
    """Most decisions for which noise is kept."""
    needs = frozenset({"distribution"})

    def __post_init__(self) -> None:
        if self.exponent < 0:
            raise UserError(f"agent.explorer.exponent is {self.exponent}: it must not be negative, try 2")
        if self.longest < 1:
            raise UserError(f"agent.explorer.longest is {self.longest}: noise lasts at least one decision, try 16")

    def build(self, actor: Any, latent: int, spec: Spec) -> "RepeatedNoiseExplorer":
        """The module, for an actor that has a `distribution`."""
        lengths = range(1, self.longest + 1)
        return RepeatedNoiseExplorer((spec.continuous,), lengths, [n**-self.exponent for n in lengths])


class RepeatedNoiseExplorer(HeldNoise):
    """a = tanh(mean(z) + std(z) * noise), noise [N,A] held."""

    def choose(self, actor: Any, z: Tensor, noise: Tensor) -> Tensor:
        mean, log_std = actor.distribution(z)
        return torch.tanh(mean + log_std.exp() * noise)


@dataclass(frozen=True)
class StateDependent:
    """The gSDE actor's exploration matrix is kept for `every` decisions: smooth noise (arXiv 2005.05719)."""

    every: int | None = 64
    """Decisions after which the matrix is drawn again; none: only at the start of an episode."""
    needs = frozenset({"exploration matrix"})

    def __post_init__(self) -> None:
        if self.every is not None and self.every < 1:
            raise UserError(f"agent.explorer.every is {self.every}: give one decision or more, or none for an episode")

    def build(self, actor: Any, latent: int, spec: Spec) -> "StateDependentExplorer":
        """The module, for an actor that has an exploration `matrix`."""
        return StateDependentExplorer(actor.matrix, [self.every or WHOLE_EPISODE], [1.0])


class StateDependentExplorer(HeldNoise):
    """a = tanh(mean(z) + features(z) (std * noise)), noise [N,F,A] held."""

    def choose(self, actor: Any, z: Tensor, noise: Tensor) -> Tensor:
        return actor.perturbed(z, noise)


@dataclass(frozen=True)
class Optimistic:
    """A second mean near the policy's, shifted to where the critics' upper bound is high.

    Of OAC (arXiv 1910.12807), here as BRO has it (arXiv 2405.16158).
    """

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network that shifts the mean."""
    std_factor: float = 0.75
    """Standard deviation as a share of the policy's."""
    optimism: float = 1.0
    """Weight of the critics' disagreement at the start; it is adapted."""
    price: float = 0.25
    """Price of the distance from the policy at the start; it is adapted."""
    divergence: float = 0.05
    """Distance from the policy to be kept: the KL divergence in nats for each action component."""
    rate: float = 0.1
    """Learning rate of the two adapted numbers, as a share of the actor's."""
    needs = frozenset({"distribution", "ensemble"})

    def __post_init__(self) -> None:
        for name in ("std_factor", "divergence", "rate"):
            if getattr(self, name) <= 0:
                raise UserError(f"agent.explorer.{name} is {getattr(self, name)}: it must be positive")
        for name in ("optimism", "price"):
            check_multiplier(f"agent.explorer.{name}", getattr(self, name))

    def build(self, actor: Any, latent: int, spec: Spec) -> "OptimisticExplorer":
        """The module, for an actor that has a `distribution`."""
        return OptimisticExplorer(self, latent, spec)


class OptimisticExplorer(Explorer):
    """a = tanh(mean(z) + shift(z, mean(z)) + factor * std(z) * noise)   (arXiv 2405.16158, section 3 and appendix B).

    shift     min  -E[ mean_e Q_e + optimism * std_e Q_e ] + price * KL,    KL = sum_i shift_i^2 / (2 std_i^2)
    optimism  min   optimism * (KL / A - divergence)
    price     min  -price * (KL / A - divergence)

    The KL divergence leaves the factor of the standard deviation out. Disagreement is taken atom by atom, of each
    atom's share in the mean; for two scalar critics it is half their distance, as in OAC (arXiv 1910.12807). Atoms at
    fixed values are no guesses of a return one by one: there it is that of the members' means.
    """

    def __init__(self, config: Optimistic, latent: int, spec: Spec) -> None:
        super().__init__()
        self.std_factor, self.divergence = config.std_factor, config.divergence
        self.trunk = config.trunk.build(latent + spec.continuous)
        self.out = Linear(self.trunk.width, spec.continuous, init="orthogonal", bias=False, gain=SHIFT_GAIN)
        self.optimism = Multiplier(config.optimism, config.rate)
        self.price = Multiplier(config.price, config.rate)

    def shift(self, z: Tensor, mean: Tensor) -> Tensor:
        """What is added to the policy's mean before the squashing, [B,D], [B,A] -> [B,A]."""
        return self.out(self.trunk(torch.cat([z, mean], -1)))[0]

    def initial(self, count: int) -> Carry:
        return {}

    def act(self, actor: Any, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        mean, log_std = actor.distribution(z)
        return self.sample(mean + self.shift(z, mean), log_std), carry

    def sample(self, mean: Tensor, log_std: Tensor) -> Tensor:
        """Actions with less noise than the policy's, [B,A]."""
        return torch.tanh(mean + self.std_factor * log_std.exp() * standard_normal(mean))

    def losses(self, agent: "Agent", z: Tensor, critic_z: Tensor) -> Losses:
        with torch.no_grad():
            mean, log_std = agent.actor.distribution(z)
        with batch_statistics(self.trunk):
            shift = self.shift(z, mean)
        divergence = (0.5 * (shift / log_std.exp()).square()).sum(-1).mean()
        atoms = agent.critic(critic_z, self.sample(mean + shift, log_std)[None]).atoms
        guesses = atoms if agent.critic.head.equal_weights else atoms.expected()
        bound = upper_bound(guesses, self.optimism().detach())[0]  # [B]
        excess = (divergence / mean.shape[-1] - self.divergence).detach()
        return {
            "explorer_loss": self.price().detach() * divergence - bound.mean(),
            "explorer_optimism_loss": self.optimism() * excess,
            "explorer_price_loss": -self.price() * excess,
        }


def upper_bound(atoms: Atoms, optimism: Tensor) -> Tensor:
    """Mean over members of the expected return plus `optimism` times their disagreement, [E,K,B,M] -> [K,B]."""
    share = atoms.value * atoms.prob
    return (share.mean(0) + optimism * share.std(0, correction=0)).sum(-1)
