"""Mixtures of experts: soft routing of tokens, and gates over whole vectors. Shapes: see `softrl.types`."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.layers import Activation, Linear
from softrl.nn.trunks import Trunk, Units, check_sizes


@dataclass(frozen=True)
class SoftExperts:
    """Soft mixture of experts over tokens (Obando-Ceron et al. 2024, arXiv 2402.08609, section 3.1; arXiv 2308.00951).

    Every expert reads a few slots, each a weighted mean of all tokens. The papers' tokens are positions of an image; a
    state has none, so here a token is a group of a first layer's units. For gates over whole vectors: `GatedExperts`.
    """

    width: int = 256
    """Units of the first layer, and of the output."""
    tokens: int = 8
    """Groups that the first layer's units are split into."""
    experts: int = 4
    """Experts; the tokens are shared out among their slots."""
    expert_hidden: int = 256
    """Units inside an expert."""
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        sizes = {"width": self.width, "tokens": self.tokens, "experts": self.experts}
        check_sizes("SoftExperts", **sizes, expert_hidden=self.expert_hidden)
        if self.width % self.tokens:
            raise UserError(f"width {self.width} cannot be split into {self.tokens} tokens: choose a multiple")

    def build(self, inputs: int, members: int = 1) -> "SoftExpertsTrunk":
        """The module for vectors of width `inputs`."""
        return SoftExpertsTrunk(self, inputs, members)


class SoftExpertsTrunk(Trunk):
    """Tokens X = ReLU(W x) in groups; y = C expert(D' X), D = softmax_tokens(X P), C = softmax_slots(X P)."""

    def __init__(self, config: SoftExperts, inputs: int, members: int) -> None:
        super().__init__()
        self.width, self.members, self.tokens, self.experts = config.width, members, config.tokens, config.experts
        size, self.slots = config.width // config.tokens, math.ceil(config.tokens / config.experts)
        self.embed = Linear(inputs, config.width, members)
        self.activation, self.activation_inside = Activation("relu"), Activation("relu")
        self.route = Linear(size, self.experts * self.slots, members, "lecun", bias=False)
        self.expand = Linear(size, config.expert_hidden, members * self.experts)
        self.contract = Linear(config.expert_hidden, size, members * self.experts)

    def forward(self, x: Tensor) -> Tensor:  # [B,D] or [E,B,D] -> [E,B,W]
        tokens = self.activation(self.embed(x)).unflatten(2, (self.tokens, -1))  # [E,B,tokens,size]
        logits = self.route(tokens.flatten(1, 2)).unflatten(1, (-1, self.tokens))  # [E,B,tokens,experts * slots]
        slots = logits.softmax(-2).mT @ tokens  # [E,B,experts * slots,size]
        slots = slots.unflatten(2, (self.experts, self.slots)).movedim(2, 1).flatten(0, 1)  # [E * experts,B,slots,size]
        outputs = self.contract(
            self.activation_inside(self.expand(slots.flatten(1, 2)))
        )  # [E * experts,B * slots,size]
        outputs = outputs.unflatten(0, (-1, self.experts)).unflatten(2, (-1, self.slots))  # [E,experts,B,slots,size]
        outputs = outputs.movedim(1, 2).flatten(2, 3)  # [E,B,experts * slots,size]
        return (logits.softmax(-1) @ outputs).flatten(2)

    def out(self, outputs: int) -> nn.Module:
        return Linear(self.width, outputs, self.members)

    def hidden(self) -> list[Units]:
        # Which slot of which expert a unit belongs to is not an axis of the weights.
        return []


@dataclass(frozen=True)
class GatedExperts:
    """Gated mixture of experts over whole vectors: y = sum_k g_k(h) f_k(h) (Jacobs et al. 1991; arXiv 1701.06538).

    Made for a single vector, where a soft mixture over tokens would have one token and nothing to mix. All experts are
    computed, also those whose gate is zero: choosing few of them forms the gradient and saves no time.
    """

    width: int = 256
    """Units of the first layer, and of each expert."""
    experts: int = 4
    """Experts."""
    active: int = 4
    """Experts with the largest gates that count in each output; as many as there are experts is a dense mixture."""
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        check_sizes("GatedExperts", width=self.width, experts=self.experts, active=self.active)
        if self.active > self.experts:
            raise UserError(f"active is {self.active} and there are {self.experts} experts: choose no more than that")

    def build(self, inputs: int, members: int = 1) -> "GatedExpertsTrunk":
        """The module for vectors of width `inputs`."""
        return GatedExpertsTrunk(self, inputs, members)


class GatedExpertsTrunk(Trunk):
    """h = ReLU(W x); y = sum_k g_k ReLU(W_k h + b_k), g = softmax over the largest entries of G h + c, else zero."""

    def __init__(self, config: GatedExperts, inputs: int, members: int) -> None:
        super().__init__()
        self.width, self.members, self.experts, self.active = config.width, members, config.experts, config.active
        self.embed = Linear(inputs, config.width, members)
        self.activation, self.activation_of_experts = Activation("relu"), Activation("relu")
        self.gate = Linear(config.width, config.experts, members, "lecun")
        self.expert = Linear(config.width, config.width, members * config.experts)

    def forward(self, x: Tensor) -> Tensor:  # [B,D] or [E,B,D] -> [E,B,W]
        h = self.activation(self.embed(x))
        every = h[:, None].expand(-1, self.experts, -1, -1).flatten(0, 1)  # [E * experts,B,W]
        outputs = self.activation_of_experts(self.expert(every)).unflatten(0, (-1, self.experts))  # [E,experts,B,W]
        return torch.einsum("ebk,ekbw->ebw", self.gates(h), outputs)

    def gates(self, h: Tensor) -> Tensor:
        """g, [E,B,W] -> [E,B,experts]: at most `active` entries above zero, sums to 1."""
        logits = self.gate(h)
        largest = logits.topk(self.active, -1)
        return torch.zeros_like(logits).scatter(-1, largest.indices, largest.values.softmax(-1))

    def out(self, outputs: int) -> nn.Module:
        return Linear(self.width, outputs, self.members)

    def hidden(self) -> list[Units]:
        # Gates weigh the units before they are read.
        return []
