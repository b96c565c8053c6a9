"""Regenerative regularisation: losses that pull weights towards where they started, so that networks keep learning.

Shapes: see `softrl.types`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.weights import weights

Arrange = Callable[[Tensor], Tensor]


class Regularizer(nn.Module, ABC):
    """Named losses on weights, one group for each optimiser."""

    @abstractmethod
    def value(self) -> dict[str, Tensor]:
        """What is added to the losses of the value modules."""

    @abstractmethod
    def actor(self) -> dict[str, Tensor]:
        """What is added to the losses of the actor modules."""

    @abstractmethod
    def renew(self, module: nn.Module) -> None:
        """Take the present weights of a module that was drawn anew for its initial ones."""


@dataclass(frozen=True)
class Free:
    """Weights go where the gradients lead."""

    def build(self, value: Sequence[nn.Module], actor: Sequence[nn.Module]) -> "FreeRegularizer":
        """The module, without state."""
        return FreeRegularizer()


class FreeRegularizer(Regularizer):
    """No losses."""

    def value(self) -> dict[str, Tensor]:
        return {}

    def actor(self) -> dict[str, Tensor]:
        return {}

    def renew(self, module: nn.Module) -> None:
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
        check_strength(self.strength)

    def build(self, value: Sequence[nn.Module], actor: Sequence[nn.Module]) -> "AnchoredRegularizer":
        """The module, which takes the present weights for the initial ones."""
        return AnchoredRegularizer("l2_init", self.strength, lambda weight: weight, value, actor)


@dataclass(frozen=True)
class Wasserstein:
    """strength/2 * sum (sort(theta) - sort(theta_0))^2, sorted within each parameter and member (arXiv 2406.06811).

    A weight is pulled to the initial value of the same rank: the distribution of weights is kept, not their places.
    What L2Init leaves out is left out here too. Every update sorts all weights.
    """

    strength: float = 1e-4
    """Weight of the loss."""

    def __post_init__(self) -> None:
        check_strength(self.strength)

    def build(self, value: Sequence[nn.Module], actor: Sequence[nn.Module]) -> "AnchoredRegularizer":
        """The module, which takes the present weights for the initial ones."""
        return AnchoredRegularizer("wasserstein", self.strength, ranked, value, actor)


def check_strength(strength: float) -> None:
    """Refuse a loss that pushes weights away from their start, or does nothing."""
    if strength <= 0:
        raise UserError(f"agent.regularizer.strength is {strength}: it must be positive, Free is the part without one")


def check_pulled(network: str, held: Sequence[Tensor]) -> None:
    """Refuse a network of which nothing but biases would be pulled."""
    if not any(weight.dim() > 2 and weight.shape[-2] > 1 for weight in held):
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


def ranked(weight: Tensor) -> Tensor:
    """The entries of each member in increasing order, [E,i,o] -> [E,n]; what has no members, as kernels, -> [1,n]."""
    return (weight if weight.dim() == 3 else weight[None]).flatten(1).sort(-1).values


class AnchoredRegularizer(Regularizer):
    """strength/2 * sum (arrange(theta) - arrange(theta_0))^2 for two groups of modules."""

    def __init__(
        self, name: str, strength: float, arrange: Arrange, value: Sequence[nn.Module], actor: Sequence[nn.Module]
    ) -> None:
        super().__init__()
        self.name, self.strength = name, strength
        self.of_value, self.of_actor = Anchors(arrange, value), Anchors(arrange, actor)
        check_pulled("the critic", self.of_value.weights_held)
        check_pulled("the actor", self.of_actor.weights_held)

    def value(self) -> dict[str, Tensor]:
        return {f"value_{self.name}_loss": self.strength / 2 * self.of_value()}

    def actor(self) -> dict[str, Tensor]:
        return {f"actor_{self.name}_loss": self.strength / 2 * self.of_actor()}

    def renew(self, module: nn.Module) -> None:
        self.of_value.renew(module)
        self.of_actor.renew(module)


class Anchors(nn.Module):
    """Initial weights of some modules as buffers, [E,..] each; the weights are held without being registered."""

    def __init__(self, arrange: Arrange, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.arrange = arrange
        self.weights_held: list[Tensor] = [parameter for module in modules for parameter in pulled(module)]
        for i, weight in enumerate(self.weights_held):
            self.register_buffer(f"initial_{i}", arrange(weight.detach()).clone())

    def forward(self) -> Tensor:
        """Squared distance of all weights from their anchors, 0-d."""
        distances = [(self.arrange(weight) - initial).square().sum() for weight, initial in self.pairs()]
        return torch.stack(distances).sum()

    @torch.no_grad()
    def renew(self, module: nn.Module) -> None:
        """Move the anchors of the weights in `module` to where these are now."""
        moved = {id(parameter) for parameter in module.parameters()}
        for weight, initial in self.pairs():
            if id(weight) in moved:
                initial.copy_(self.arrange(weight))

    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """Weights and their anchors."""
        return [(weight, getattr(self, f"initial_{i}")) for i, weight in enumerate(self.weights_held)]
