"""Regenerative regularisation: losses that pull weights towards where they started, so that networks keep learning.

Shapes: see `softrl.types`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from softrl.agent.penalty import check_strength
from softrl.errors import UserError
from softrl.nn.weights import weights


class Regularizer(nn.Module, ABC):
    """Named losses on weights, one group for each optimiser."""

    @abstractmethod
    def critic_losses(self) -> dict[str, Tensor]:
        """What is added to the losses of the critic's modules."""

    @abstractmethod
    def actor_losses(self) -> dict[str, Tensor]:
        """What is added to the losses of the actor's modules."""

    @abstractmethod
    def refresh(self, n: int) -> None:
        """Compute anew what stands between update number `n`, counted from 1, and the next one."""

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

    def refresh(self, n: int) -> None:
        """There is nothing to compute."""

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

    def build(self, value: Sequence[nn.Module], actor: Sequence[nn.Module]) -> "PlacedRegularizer":
        """The module, which takes the present weights for the initial ones."""
        return PlacedRegularizer("l2_init", self.strength, value, actor)


@dataclass(frozen=True)
class Wasserstein:
    """strength/2 * sum (sort(theta) - sort(theta_0))^2, sorted within each parameter and member (arXiv 2312.00246).

    A weight is pulled to the initial value of the same rank: the distribution of weights is kept, not their places.
    What L2Init leaves out is left out here too. Sorting costs more than the rest of a small agent's update, so ranks
    are looked up now and then only, where a loop calls `Agent.intervene`.
    """

    strength: float = 1e-4
    """Weight of the loss."""
    every: int = 10
    """Updates for which weights keep the rank that they had; 1 sorts before each of them, as published."""

    def __post_init__(self) -> None:
        check_strength("agent.regularizer", self.strength, "Free")
        if self.every < 1:
            raise UserError(f"agent.regularizer.every is {self.every}: it counts updates and must be at least 1")

    def build(self, value: Sequence[nn.Module], actor: Sequence[nn.Module]) -> "RankedRegularizer":
        """The module, which takes the present weights for the initial ones."""
        return RankedRegularizer(self.every, "wasserstein", self.strength, value, actor)


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


def ascending(values: Tensor) -> Tensor:
    """The places of each row's entries from the smallest to the largest, [E,n] -> [E,n]."""
    bits = values.view(torch.int32)
    # Integers in the order of the floats: torch sorts a row of integers by radix, in a tenth of the time.
    keys = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    return torch.stack([key.sort().indices for key in keys])


def of_same_rank(weight: Tensor, values: Tensor) -> Tensor:
    """Each member's values, moved to where its weight of the same rank lies, [E,i,o], [E,i,o] -> [E,i,o]."""
    rows, values = by_member(weight), by_member(values)
    sorted_values = values.gather(-1, ascending(values))
    return torch.empty_like(values).scatter(-1, ascending(rows), sorted_values).reshape(weight.shape)


class AnchoredRegularizer(Regularizer):
    """strength/2 * sum (theta - anchor)^2 for two groups of modules; anchors are where the weights start."""

    def __init__(self, name: str, strength: float, value: Sequence[nn.Module], actor: Sequence[nn.Module]) -> None:
        super().__init__()
        self.name, self.strength = name, strength
        self.of_value, self.of_actor = Anchors(value), Anchors(actor)
        check_pulled("the critic", self.of_value.weights_held)
        check_pulled("the actor", self.of_actor.weights_held)

    def critic_losses(self) -> dict[str, Tensor]:
        return {f"value_{self.name}_loss": self.strength / 2 * self.of_value()}

    def actor_losses(self) -> dict[str, Tensor]:
        return {f"actor_{self.name}_loss": self.strength / 2 * self.of_actor()}

    @torch.no_grad()
    def renew(self, module: nn.Module) -> None:
        moved = {id(parameter) for parameter in module.parameters()}
        for weight, anchor in self.pairs():
            if id(weight) in moved:
                anchor.copy_(weight)

    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """All weights and their anchors."""
        return [*self.of_value.pairs(), *self.of_actor.pairs()]


class PlacedRegularizer(AnchoredRegularizer):
    """Each anchor is the initial value of its weight."""

    def refresh(self, n: int) -> None:
        """Anchors stay."""

    @torch.no_grad()
    def renew_entries(self, weight: Tensor, mask: Tensor) -> None:
        for held, anchor in self.pairs():
            if held is weight:
                anchor.copy_(torch.where(mask, weight, anchor))


class RankedRegularizer(AnchoredRegularizer):
    """Anchors move among the weights of a member: each is the initial value of the rank that its weight had last."""

    def __init__(self, every: int, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.every = every

    @torch.no_grad()
    def refresh(self, n: int) -> None:
        if n % self.every == 0:
            for weight, anchor in self.pairs():
                anchor.copy_(of_same_rank(weight, anchor))

    def renew_entries(self, weight: Tensor, mask: Tensor) -> None:
        """A fresh draw shares the distribution that is kept."""


class Anchors(nn.Module):
    """To what some modules' weights are pulled, as buffers; the weights are held without being registered."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        # Each once: a part that keeps the network it was given has its weights a second time.
        self.weights_held: list[Tensor] = list(dict.fromkeys(weight for module in modules for weight in pulled(module)))
        for i, weight in enumerate(self.weights_held):
            self.register_buffer(f"initial_{i}", weight.detach().clone())
        self.register_load_state_dict_pre_hook(shaped)

    def forward(self) -> Tensor:
        """Squared distance of all weights from their anchors, 0-d."""
        return torch.stack([(weight - anchor).square().sum() for weight, anchor in self.pairs()]).sum()

    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """Weights and their anchors."""
        return [(weight, getattr(self, f"initial_{i}")) for i, weight in enumerate(self.weights_held)]


def shaped(anchors: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Take anchors of older runs too, which are sorted rows [E,n]: they find their places at the next look."""
    for name, buffer in anchors.named_buffers():
        if (kept := state.get(prefix + name)) is not None and kept.numel() == buffer.numel():
            state[prefix + name] = kept.reshape(buffer.shape)
