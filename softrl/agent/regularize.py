"""Regenerative regularisation: losses that pull weights towards where they started, so that networks keep learning.

Shapes: see `softrl.types`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from softrl.agent.penalty import check_strength
from softrl.errors import UserError
from softrl.nn.weights import weights


class Pull(NamedTuple):
    """To what each weight is pulled."""

    kept: Callable[[Tensor], Tensor]  # what is remembered of an initial weight
    anchor: Callable[[Tensor, Tensor], Tensor]  # weight and what is remembered -> where it is pulled, shaped like it
    redrawn: Callable[
        [Tensor, Tensor, Tensor], Tensor
    ]  # what is remembered, weight, mask of what was drawn anew -> anew


class Regularizer(nn.Module, ABC):
    """Named losses on weights, one group for each optimiser."""

    @abstractmethod
    def critic_losses(self) -> dict[str, Tensor]:
        """What is added to the losses of the critic's modules."""

    @abstractmethod
    def actor_losses(self) -> dict[str, Tensor]:
        """What is added to the losses of the actor's modules."""

    @abstractmethod
    def renew(self, module: nn.Module) -> None:
        """Take the present weights of a module that was drawn anew for its initial ones."""

    @abstractmethod
    def renew_entries(self, weight: Tensor, mask: Tensor) -> None:
        """The same of entries of one weight, where a mask that broadcasts to it says so."""


@dataclass(frozen=True)
class Free:
    """None: weights go where the gradients lead."""

    def build(self, value: Sequence[nn.Module], actor: Sequence[nn.Module]) -> "FreeRegularizer":
        """The module, without state."""
        return FreeRegularizer()


class FreeRegularizer(Regularizer):
    """No losses."""

    def critic_losses(self) -> dict[str, Tensor]:
        return {}

    def actor_losses(self) -> dict[str, Tensor]:
        return {}

    def renew(self, module: nn.Module) -> None:
        """There are no initial weights to remember."""

    def renew_entries(self, weight: Tensor, mask: Tensor) -> None:
        """There are no initial weights to remember."""


@dataclass(frozen=True)
class L2Init:
    """strength/2 * sum (theta - theta_0)^2 (Kumar et al. 2023, arXiv 2308.11958, eq. 1).

    Parameters of norms, and weights with a constraint of their own, are left out, and so is what no critic's or
    policy's loss trains, such as a world model. Sums run over the members too.
    """

    strength: float = 1e-4
    """Weight of the loss."""

    def __post_init__(self) -> None:
        check_strength("agent.regularizer", self.strength, "Free")

    def build(self, value: Sequence[nn.Module], actor: Sequence[nn.Module]) -> "AnchoredRegularizer":
        """The module, which takes the present weights for the initial ones."""
        return AnchoredRegularizer("l2_init", self.strength, BY_PLACE, value, actor)


@dataclass(frozen=True)
class Wasserstein:
    """strength/2 * sum (sort(theta) - sort(theta_0))^2, sorted within each parameter and member (arXiv 2312.00246).

    A weight is pulled to the initial value of the same rank: the distribution of weights is kept, not their places.
    What L2Init leaves out is left out here too. Every update sorts all weights.
    """

    strength: float = 1e-4
    """Weight of the loss."""

    def __post_init__(self) -> None:
        check_strength("agent.regularizer", self.strength, "Free")

    def build(self, value: Sequence[nn.Module], actor: Sequence[nn.Module]) -> "AnchoredRegularizer":
        """The module, which takes the present weights for the initial ones."""
        return AnchoredRegularizer("wasserstein", self.strength, BY_RANK, value, actor)


def check_pulled(network: str, held: Sequence[Tensor]) -> None:
    """Refuse a network of which nothing but biases would be pulled."""
    if not any(weight.dim() > 1 and weight.shape[-2] > 1 for weight in held):
        raise UserError(
            f"agent.regularizer finds no weights to pull in {network}, whose layers all keep theirs at norm one: leave "
            "the regulariser out, or choose another trunk"
        )


def pulled(module: nn.Module) -> list[nn.Parameter]:
    """Learned parameters below a module that nothing else holds: not those of norms, nor those kept at norm one.

    Whether a decay may shrink them is another matter: convolutions do not decay and are pulled all the same.
    """
    kept = {id(part.get_parameter(name)) for part in module.modules() for name in getattr(part, "constrained", ())}
    # A single number is a multiplier of some constraint, not a weight.
    return [parameter for parameter in weights(module) if parameter.dim() and id(parameter) not in kept]


def by_member(weight: Tensor) -> Tensor:
    """The entries of each member in a row, [E,i,o] -> [E,n]; what has no members, as kernels, -> [1,n]."""
    return (weight if weight.dim() == 3 else weight[None]).flatten(1)


def ranked(weight: Tensor) -> Tensor:
    """The entries of each member in increasing order, [E,i,o] -> [E,n]."""
    return by_member(weight).sort(-1).values


def of_same_rank(weight: Tensor, initial: Tensor) -> Tensor:
    """The initial value that has the rank of each weight, [E,i,o], [E,n] -> [E,i,o]."""
    bits = by_member(weight).view(torch.int32)
    # Integers in the order of the floats: torch sorts a row of integers by radix, in a quarter of the time.
    keys = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    order = torch.stack([key.sort().indices for key in keys])  # [E,n]
    return torch.empty_like(initial).scatter(-1, order, initial).reshape(weight.shape)


BY_PLACE = Pull(
    lambda weight: weight,
    lambda weight, initial: initial,
    lambda initial, weight, mask: torch.where(mask, weight, initial),
)
BY_RANK = Pull(ranked, of_same_rank, lambda initial, weight, mask: initial)  # a distribution, which a fresh draw shares


class AnchoredRegularizer(Regularizer):
    """strength/2 * sum (theta - anchor(theta, theta_0))^2 for two groups of modules; anchors pass no gradient."""

    def __init__(
        self, name: str, strength: float, pull: Pull, value: Sequence[nn.Module], actor: Sequence[nn.Module]
    ) -> None:
        super().__init__()
        self.name, self.strength = name, strength
        self.of_value, self.of_actor = Anchors(pull, value), Anchors(pull, actor)
        check_pulled("the critic", self.of_value.weights_held)
        check_pulled("the actor", self.of_actor.weights_held)

    def critic_losses(self) -> dict[str, Tensor]:
        return {f"value_{self.name}_loss": self.strength / 2 * self.of_value()}

    def actor_losses(self) -> dict[str, Tensor]:
        return {f"actor_{self.name}_loss": self.strength / 2 * self.of_actor()}

    def renew(self, module: nn.Module) -> None:
        self.of_value.renew(module)
        self.of_actor.renew(module)

    def renew_entries(self, weight: Tensor, mask: Tensor) -> None:
        self.of_value.renew_entries(weight, mask)
        self.of_actor.renew_entries(weight, mask)


class Anchors(nn.Module):
    """What is kept of some modules' initial weights, as buffers; the weights are held without being registered."""

    def __init__(self, pull: Pull, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.pull = pull
        # Each once: a part that keeps the network it was given has its weights a second time.
        self.weights_held: list[Tensor] = list(dict.fromkeys(weight for module in modules for weight in pulled(module)))
        for i, weight in enumerate(self.weights_held):
            self.register_buffer(f"initial_{i}", pull.kept(weight.detach()).clone())

    def forward(self) -> Tensor:
        """Squared distance of all weights from their anchors, 0-d."""
        distances = [
            (weight - self.pull.anchor(weight.detach(), initial)).square().sum() for weight, initial in self.pairs()
        ]
        return torch.stack(distances).sum()

    @torch.no_grad()
    def renew(self, module: nn.Module) -> None:
        """Move the anchors of the weights in `module` to where these are now."""
        moved = {id(parameter) for parameter in module.parameters()}
        for weight, initial in self.pairs():
            if id(weight) in moved:
                initial.copy_(self.pull.kept(weight))

    @torch.no_grad()
    def renew_entries(self, weight: Tensor, mask: Tensor) -> None:
        """Move the anchors of those entries of a weight to where they are now."""
        for held, initial in self.pairs():
            if held is weight:
                initial.copy_(self.pull.redrawn(initial, weight, mask))

    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """Weights and their anchors."""
        return [(weight, getattr(self, f"initial_{i}")) for i, weight in enumerate(self.weights_held)]
