"""Adam whose state is buffers: the moments are saved with the weights, and a step is part of the update's graph."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from softrl.errors import UserError


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980)."""

    learning_rate: float = 3e-4
    """Step size."""
    beta1: float = 0.9
    """Decay of the mean of gradients."""
    beta2: float = 0.999
    """Decay of the mean of squared gradients."""
    epsilon: float = 1e-8
    """Added to the root of the mean squared gradient."""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise UserError(f"learning_rate is {self.learning_rate}: it must be positive")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise UserError(f"Adam's betas are {self.beta1} and {self.beta2}: both must lie in [0, 1)")

    def build(self, parameters: Iterable[nn.Parameter]) -> "AdamOptimizer":
        """The optimiser of those `parameters` that are learned."""
        return AdamOptimizer(self, [p for p in parameters if p.requires_grad])


class AdamOptimizer(nn.Module):
    """m <- lerp(m, g, 1 - b1), v <- lerp(v, g^2, 1 - b2), p <- p - lr * m' / (sqrt(v') + eps), with m', v' unbiased.

    The parameters are held without being registered: they belong to the networks, and a `state_dict` has each once.
    """

    learning_rate: Tensor
    count: Tensor

    def __init__(self, config: Adam, parameters: list[nn.Parameter]) -> None:
        super().__init__()
        self.config = config
        self.parameters_held: list[Tensor] = list(parameters)
        self.register_buffer("learning_rate", torch.tensor(config.learning_rate))
        self.register_buffer("count", torch.zeros(()))
        for i, parameter in enumerate(parameters):
            self.register_buffer(f"mean_{i}", torch.zeros_like(parameter))
            self.register_buffer(f"square_{i}", torch.zeros_like(parameter))

    def step(self, losses: dict[str, Tensor]) -> None:
        """Differentiate the sum of the named scalar losses and move the parameters one step downhill."""
        parameters = self.parameters_held
        if not parameters:
            return
        gradients = torch.autograd.grad(torch.stack(list(losses.values())).sum(), parameters)
        self.descend(gradients)

    @torch.no_grad()
    def descend(self, gradients: tuple[Tensor, ...]) -> None:
        """One step along given gradients, in the order of the parameters."""
        c = self.config
        means = [self.get_buffer(f"mean_{i}") for i in range(len(gradients))]
        squares = [self.get_buffer(f"square_{i}") for i in range(len(gradients))]
        self.count.add_(1)
        if torch.compiler.is_compiling():
            torch._foreach_lerp_(means, gradients, 1 - c.beta1)
            torch._foreach_mul_(squares, c.beta2)
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - c.beta2)
            denominators = torch._foreach_sqrt(squares)
            torch._foreach_mul_(denominators, self.correction(c.beta2).rsqrt())
            torch._foreach_add_(denominators, c.epsilon)
            torch._foreach_mul_(denominators, -self.correction(c.beta1) / self.learning_rate)
            torch._foreach_addcdiv_(self.parameters_held, means, denominators)
        else:
            # The same in one pass over the weights, which is what a compiler makes of the lines above.
            torch._fused_adam_(
                self.parameters_held,
                gradients,
                means,
                squares,
                [],
                [self.count] * len(means),
                lr=self.learning_rate,
                beta1=c.beta1,
                beta2=c.beta2,
                weight_decay=0.0,
                eps=c.epsilon,
                amsgrad=False,
                maximize=False,
            )

    def correction(self, beta: float) -> Tensor:
        """1 - beta^count without cancellation in float32, where 1 - 0.999 would lose four digits."""
        return -torch.expm1(self.count * math.log(max(beta, 1e-30)))


@dataclass(frozen=True)
class Optimizers:
    """One optimiser for each group of losses."""

    value: Adam = field(default_factory=Adam)
    """Critic, encoder and, in the 2018 algorithm, the state value."""
    actor: Adam = field(default_factory=Adam)
    """Policy."""
    temperature: Adam = field(default_factory=Adam)
    """Logarithm of the temperature."""


class OptimizerGroup(nn.Module):
    """The optimisers of an agent's value, actor and temperature losses."""

    def __init__(
        self, config: Optimizers, value: Iterable[nn.Parameter], actor: nn.Module, temperature: nn.Module
    ) -> None:
        super().__init__()
        self.value = config.value.build(value)
        self.actor = config.actor.build(actor.parameters())
        self.temperature = config.temperature.build(temperature.parameters())
