"""Adam whose state is buffers: the moments are saved with the weights, and a step is part of the update's graph."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from softrl.agent.schedule import Constant, CosineDecay, LinearDecay
from softrl.errors import UserError
from softrl.nn.weights import constrained


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980); with decay, AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101)."""

    learning_rate: float = 3e-4
    """Step size."""
    beta1: float = 0.9
    """Decay of the mean of gradients."""
    beta2: float = 0.999
    """Decay of the mean of squared gradients."""
    epsilon: float = 1e-8
    """Added to the root of the mean squared gradient."""
    weight_decay: float = 0.0
    """Share of each weight, times the learning rate, that a step takes away."""
    l2: float = 0.0
    """Share of each weight that is added to its gradient; Adam takes out the size of both, so it moves idle weights."""
    max_gradient_norm: float | None = None
    """Largest norm of all gradients of this optimiser together; longer ones are scaled down. none: no limit."""
    schedule: Constant | LinearDecay | CosineDecay = field(default_factory=Constant)
    """How the learning rate changes from step to step."""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise UserError(f"learning_rate is {self.learning_rate}: it must be positive")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise UserError(f"Adam's betas are {self.beta1} and {self.beta2}: both must lie in [0, 1)")
        if self.epsilon <= 0:
            raise UserError(f"epsilon is {self.epsilon}: it must be positive, or an idle weight's step is 0 over 0")
        if self.weight_decay < 0:
            raise UserError(f"weight_decay is {self.weight_decay}: it must not be negative, 0 switches it off")
        if self.l2 < 0:
            raise UserError(f"l2 is {self.l2}: it must not be negative, 0 switches it off")
        if self.max_gradient_norm is not None and self.max_gradient_norm <= 0:
            raise UserError(
                f"max_gradient_norm is {self.max_gradient_norm}: it must be positive, none switches clipping off"
            )

    def build(self, *modules: nn.Module) -> "AdamOptimizer":
        """The optimiser of all weights in `modules` that are learned."""
        return AdamOptimizer(self, modules)


class AdamOptimizer(nn.Module):
    """m <- lerp(m, g, 1 - b1), v <- lerp(v, g^2, 1 - b2), p <- (1 - lr * decay) p - lr * m' / (sqrt(v') + eps).

    g is the gradient, and l2 * p with it; m' and v' are unbiased. Parameters are held without being registered: they
    belong to the networks, and a `state_dict` has each once. Parameters that a layer marks with `decays = False` feel
    neither l2 nor decay, and learned layers with a constraint on their weights are put back on it after each step.
    """

    learning_rate: Tensor
    count: Tensor

    def __init__(self, config: Adam, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.config = config
        learned: dict[
            nn.Parameter, str
        ] = {}  # each once: a part that keeps the network it was given has its parameters too
        for name, weight in itertools.chain.from_iterable(module.named_parameters() for module in modules):
            if weight.requires_grad:
                learned.setdefault(weight, name)
        self.parameters_held: list[Tensor] = list(learned)
        self.names = list(learned.values())
        # Asked once, because to search the modules at every step would cost where there is nothing to find.
        self.constrained = [layer for module in modules for layer in constrained(module)]
        decaying = [getattr(p, "decays", True) for p in self.parameters_held]
        self.pulls = [config.l2 * own for own in decaying]
        decays = [config.weight_decay * own for own in decaying]
        self.groups = [(decay, [i for i, own in enumerate(decays) if own == decay]) for decay in sorted(set(decays))]
        self.register_buffer("learning_rate", torch.tensor(config.learning_rate))
        self.register_buffer("count", torch.zeros(()))
        for i, parameter in enumerate(self.parameters_held):
            self.register_buffer(f"mean_{i}", torch.zeros_like(parameter))
            self.register_buffer(f"square_{i}", torch.zeros_like(parameter))

    def step(self, losses: dict[str, Tensor]) -> None:
        """Differentiate the sum of the named scalar losses and move the parameters one step downhill."""
        if self.parameters_held:
            self.descend(self.gradients(losses))

    def gradients(self, losses: dict[str, Tensor], keep: bool = False) -> tuple[Tensor, ...]:
        """Gradients of the sum of the named losses; `keep` what they were made from for another optimiser's.

        Raises UserError for a parameter that none of them depends on.
        """
        moving = [loss for loss in losses.values() if loss.requires_grad]
        gradients = torch.autograd.grad(moving, self.parameters_held, retain_graph=keep or None, allow_unused=True)
        unused = [name for name, g in zip(self.names, gradients, strict=True) if g is None]
        if unused:
            raise UserError(
                f"no loss depends on {', '.join(unused)}: leave such weights out of the network, or freeze them with "
                "requires_grad_(False)"
            )
        return gradients

    @torch.no_grad()
    def descend(self, gradients: tuple[Tensor, ...]) -> None:
        """One step along given gradients, in the order of the parameters."""
        if self.config.max_gradient_norm is not None:
            gradients = clipped(gradients, self.config.max_gradient_norm)
        if self.config.l2:
            pulled = zip(gradients, self.parameters_held, self.pulls, strict=True)
            gradients = tuple(g + pull * p for g, p, pull in pulled)
        means, squares = self.moments()
        # The fused step goes through memory in order, whatever the strides say.
        gradients = tuple(g.contiguous() for g in gradients)
        rate = self.config.schedule.rate(self.learning_rate, self.count)
        self.count.add_(1)
        move = self.move_traced if torch.compiler.is_compiling() else self.move_fused
        for decay, held in self.groups:
            move(rate, decay, *([x[i] for i in held] for x in (self.parameters_held, gradients, means, squares)))
        for layer in self.constrained:
            layer.project_()

    def move_traced(
        self,
        rate: Tensor,
        decay: float,
        parameters: list[Tensor],
        gradients: list[Tensor],
        means: list[Tensor],
        squares: list[Tensor],
    ) -> None:
        """The equations line by line, for a compiler to make one pass of."""
        c = self.config
        # As parts of one tensor they are computed once; else a compiler takes the powers anew for every few weights.
        root, size = torch.stack([self.correction(c.beta2).rsqrt(), -self.correction(c.beta1) / rate]).unbind()
        torch._foreach_lerp_(means, gradients, 1 - c.beta1)
        torch._foreach_mul_(squares, c.beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - c.beta2)
        denominators = torch._foreach_sqrt(squares)
        torch._foreach_mul_(denominators, root)
        torch._foreach_add_(denominators, c.epsilon)
        torch._foreach_mul_(denominators, size)
        if decay:
            torch._foreach_mul_(parameters, 1 - decay * rate)
        torch._foreach_addcdiv_(parameters, means, denominators)

    def move_fused(
        self,
        rate: Tensor,
        decay: float,
        parameters: list[Tensor],
        gradients: list[Tensor],
        means: list[Tensor],
        squares: list[Tensor],
    ) -> None:
        """The same in one pass over the weights."""
        c = self.config
        torch._fused_adamw_(
            parameters,
            gradients,
            means,
            squares,
            [],
            [self.count] * len(means),
            lr=rate,
            beta1=c.beta1,
            beta2=c.beta2,
            weight_decay=decay,
            eps=c.epsilon,
            amsgrad=False,
            maximize=False,
        )

    def correction(self, beta: float) -> Tensor:
        """1 - beta^count without cancellation in float32, where 1 - 0.999 would lose four digits."""
        return -torch.expm1(self.count * math.log(max(beta, 1e-30)))

    def moments(self) -> tuple[list[Tensor], list[Tensor]]:
        """Means and mean squares of the gradients, in the order of the parameters."""
        places = range(len(self.parameters_held))
        return [getattr(self, f"mean_{i}") for i in places], [getattr(self, f"square_{i}") for i in places]

    def restart(self) -> None:
        """Forget everything, as if freshly built: moments, their count, and with it how far a schedule has come."""
        for state in (*itertools.chain(*self.moments()), self.count):
            state.zero_()

    def forget(self, parameter: Tensor, where: Tensor | None = None) -> None:
        """Set the mean of a parameter's gradients to zero and their mean square to the average over the parameter.

        All of them, or `where` a mask that broadcasts to the parameter says so. A mean square of zero would make the
        next steps up to seven times as long as the learning rate, because the count, which belongs to all parameters,
        goes on and after many steps corrects nothing. A parameter that is not held here is passed over.
        """
        for held, mean, square in zip(self.parameters_held, *self.moments(), strict=True):
            if held is parameter:
                chosen = torch.ones_like(mean, dtype=torch.bool) if where is None else where
                mean.masked_fill_(chosen, 0)
                square.copy_(torch.where(chosen, square.mean(), square))  # masked_fill_ would wait for a GPU's number


def clipped(gradients: tuple[Tensor, ...], largest: float) -> tuple[Tensor, ...]:
    """g * min(1, largest / |g|), with one norm over all gradients (Pascanu et al. 2013, arXiv 1211.5063)."""
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
    return torch._foreach_mul(gradients, (largest / (norm + 1e-6)).clamp(max=1))


@dataclass(frozen=True)
class Optimizers:
    """One optimiser for each group of losses."""

    value: Adam = field(default_factory=Adam)
    """Critic, what its loss trains of the encoder and, in the 2018 algorithm, the state value."""
    encoder: Adam = field(default_factory=Adam)
    """What the encoder's own losses train, such as a decoder or a world model."""
    actor: Adam = field(default_factory=Adam)
    """Policy."""
    temperature: Adam = field(default_factory=Adam)
    """Logarithm of the temperature."""


class OptimizerGroup(nn.Module):
    """The optimisers of an agent's value, encoder, policy and temperature losses."""

    def __init__(
        self,
        config: Optimizers,
        value: Iterable[nn.Module],
        encoder: Iterable[nn.Module],
        policy: Iterable[nn.Module],
        temperature: nn.Module,
    ) -> None:
        super().__init__()
        self.value = config.value.build(*value)
        self.encoder = config.encoder.build(*encoder)
        self.actor = config.actor.build(*policy)
        self.temperature = config.temperature.build(temperature)

    def step_critic_and_encoder(self, critic_losses: dict[str, Tensor], encoder_losses: dict[str, Tensor]) -> None:
        """Step down the critic's losses and the encoder's own.

        All gradients are taken before any weight moves: both kinds of loss may come through the same layers.
        """
        gradients = self.value.gradients(critic_losses, keep=bool(encoder_losses))
        if encoder_losses:
            self.encoder.step(encoder_losses)
        self.value.descend(gradients)
