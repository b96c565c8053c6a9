"""Samplers: which stored decisions an update learns from, and with what weight. Shapes: see `softrl.types`."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from softrl.data.sumtree import SumTree
from softrl.errors import UserError


class Ring(NamedTuple):
    """What a sampler is told of replay, whose cells are numbered in the order [time, environment]."""

    invalid: Tensor  # [L,N] bool: a final observation, the newest row or an empty one, where no window starts
    newest: int  # rows of time ever added: the next one is written at newest % L
    generator: torch.Generator
    context: int = 0  # rows before a row that its observation is made of: with them the oldest rows lose their windows


class Sampler(ABC):
    """Draws the cells where windows start."""

    @abstractmethod
    def add(self, ring: Ring) -> None:
        """Take note of the row that has just been written, and of what it says of the row before it."""

    @abstractmethod
    def draw(self, ring: Ring, batch: int) -> tuple[Tensor, Tensor]:
        """Cells [B] that start a window, with replacement, and the weights [B] of their losses."""

    @abstractmethod
    def update_priorities(self, cells: Tensor, error: Tensor) -> None:
        """Take note of the absolute temporal differences [B] that an update found at cells [B]."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """What the next draws depend on, beside the ring."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Draw what would have come next."""


class Unprioritised(Sampler):
    """Errors change nothing."""

    def add(self, ring: Ring) -> None:
        pass

    def update_priorities(self, cells: Tensor, error: Tensor) -> None:
        pass


def decisions(ring: Ring, batch: int, draw: Callable[[int], Tensor]) -> tuple[Tensor, Tensor]:
    """Cells [B] that `draw` finds, asked again where no window starts, which keeps the rest uniform; weights of one."""
    cells, invalid = draw(batch), ring.invalid.flatten()
    while (again := invalid.take(cells).nonzero()).numel():
        cells[again] = draw(len(again))[:, None]
    return cells, torch.ones(batch, device=cells.device)


@dataclass(frozen=True)
class Uniform:
    """Every stored decision is as likely as any other."""

    def build(self, length: int, envs: int, device: torch.device) -> "UniformSampler":
        """The sampler of a ring of `length` rows of time."""
        return UniformSampler()


class UniformSampler(Unprioritised):
    """Uniform over all cells, again where no window starts."""

    def draw(self, ring: Ring, batch: int) -> tuple[Tensor, Tensor]:
        length, envs = ring.invalid.shape
        filled, device = min(ring.newest, length) * envs, ring.invalid.device
        return decisions(
            ring, batch, lambda size: torch.randint(filled, (size,), generator=ring.generator, device=device)
        )

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


@dataclass(frozen=True)
class Recency:
    """Emphasising recent experience (ERE): the k-th of K updates draws from the newest rows out of n.

    max(n eta_t^(1000 k / K), least),  eta_t = eta + (final_eta - eta) min(t / anneal, 1) at update t

    Source: arXiv 1906.04009.
    """

    eta: float = 0.996
    """How fast old rows are left out as k grows, at the start; 1 is uniform."""
    final_eta: float = 1.0
    """The same at the end."""
    anneal: int = 1_000_000
    """Updates over which eta becomes final_eta."""
    least: int = 5_000
    """Fewest rows to draw from."""
    cycle: int = 1_000
    """Updates K after which it begins anew with nearly all rows; in the paper the length of an episode."""

    def __post_init__(self) -> None:
        if not (0 < self.eta <= 1 and 0 < self.final_eta <= 1):
            raise UserError(
                f"replay.sampler has eta {self.eta} and final_eta {self.final_eta}: both must lie in (0, 1], try 0.996 "
                "and 1"
            )
        if self.anneal < 1:
            raise UserError(f"replay.sampler.anneal is {self.anneal}: it must be at least one update")
        if self.least < 1 or self.cycle < 1:
            raise UserError(f"replay.sampler has least {self.least} and cycle {self.cycle}: both must be at least one")

    def recent(self, update: int, count: int) -> int:
        """Rows to draw from, out of `count`, at an update (counted from zero)."""
        k = update % self.cycle + 1
        eta = self.eta + (self.final_eta - self.eta) * min(1.0, update / self.anneal)
        return max(round(count * eta ** (1000 * k / self.cycle)), self.least)

    def build(self, length: int, envs: int, device: torch.device) -> "RecentSampler":
        """The sampler of a ring of `length` rows of time."""
        return RecentSampler(self)


class RecentSampler(Unprioritised):
    """Uniform over the newest cells, fewer and fewer in the course of a cycle."""

    def __init__(self, config: Recency) -> None:
        self.config, self.updates = config, 0

    def draw(self, ring: Ring, batch: int) -> tuple[Tensor, Tensor]:
        length, envs = ring.invalid.shape
        count, device = (min(ring.newest, length) - 1) * envs, ring.invalid.device
        among = min(max(self.config.recent(self.updates, count), self.fewest(ring) * envs), count)
        newest = (ring.newest - 1) * envs  # the first cell whose outcome is not known, without the wrap

        def draw(size: int) -> Tensor:
            cells = torch.randint(newest - among, newest, (size,), generator=ring.generator, device=device)
            return cells % (length * envs)

        self.updates += 1
        return decisions(ring, batch, draw)

    def fewest(self, ring: Ring) -> int:
        """So many of the newest rows of time with an outcome hold a start: two, unless resumes have cut there."""
        rows = 2
        while ring.invalid[torch.arange(ring.newest - 1 - rows, ring.newest - 1) % len(ring.invalid)].all():
            rows *= 2
        return rows

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]


@dataclass(frozen=True)
class Proportional:
    """Prioritised experience replay (PER): P(i) proportional to (error_i + epsilon)^alpha, with importance weights.

    Source: arXiv 1511.05952, section 3.
    """

    alpha: float = 0.6
    """How much errors count; 0 is uniform."""
    beta: float = 0.4
    """How much of the bias the importance weights undo at the start; it grows to 1, which is all of it."""
    anneal: int = 1_000_000
    """Updates over which beta grows to 1."""
    epsilon: float = 1e-6
    """Added to errors, so that no decision is forgotten."""

    def __post_init__(self) -> None:
        if self.alpha < 0:
            raise UserError(f"replay.sampler.alpha is {self.alpha}: it must not be negative, and 0 is uniform")
        if not 0 <= self.beta <= 1:
            raise UserError(f"replay.sampler.beta is {self.beta}: it must lie in [0, 1], try 0.4")
        if self.anneal < 1:
            raise UserError(f"replay.sampler.anneal is {self.anneal}: it must be at least one update")
        if self.epsilon <= 0:
            raise UserError(f"replay.sampler.epsilon is {self.epsilon}: it must be positive, try 1e-6")

    def priority(self, error: Tensor) -> Tensor:
        """Priorities of absolute errors, elementwise."""
        return (error + self.epsilon) ** self.alpha

    def correction(self, update: int) -> float:
        """The exponent beta at an update (counted from zero)."""
        return self.beta + (1 - self.beta) * min(1.0, update / self.anneal)

    def build(self, length: int, envs: int, device: torch.device) -> "PrioritySampler":
        """The sampler of a ring of `length` rows of time."""
        return PrioritySampler(self, length * envs, device)


@dataclass(frozen=True)
class LAP:
    """Loss-adjusted prioritisation: P(i) proportional to max(error_i^alpha, 1), no weights: made for the Huber loss.

    Source: arXiv 2007.06049.
    """

    alpha: float = 0.4
    """How much errors above 1 count; 0 is uniform."""

    def __post_init__(self) -> None:
        if self.alpha < 0:
            raise UserError(f"replay.sampler.alpha is {self.alpha}: it must not be negative, and 0 is uniform")

    def priority(self, error: Tensor) -> Tensor:
        """Priorities of absolute errors, elementwise."""
        return (error**self.alpha).clamp(min=1.0)

    def correction(self, update: int) -> float:
        """Zero: the Huber loss's bounded gradient takes the place of weights."""
        return 0.0

    def build(self, length: int, envs: int, device: torch.device) -> "PrioritySampler":
        """The sampler of a ring of `length` rows of time."""
        return PrioritySampler(self, length * envs, device)


class PrioritySampler(Sampler):
    """Draws cells in proportion to priorities; a new decision has the greatest priority seen so far.

    The batch takes one cell from each of B equal parts of the total (arXiv 1511.05952, appendix B.2.1). Weights are
    (n P(i))^-beta over their maximum in the batch. Cells where no window starts have the priority zero.
    """

    def __init__(self, config: Proportional | LAP, cells: int, device: torch.device) -> None:
        self.config, self.updates, self.filled = config, 0, 0
        self.tree = SumTree(cells, device)
        self.greatest = torch.ones((), device=device)

    def add(self, ring: Ring) -> None:
        length, envs = ring.invalid.shape
        self.filled = min(ring.newest, length) * envs
        # The newest row has no outcome yet; the row before has just got its own. The rows behind them are the oldest.
        rows = torch.arange(ring.newest - 2, ring.newest + ring.context, device=ring.invalid.device) % length
        cells = (rows[:, None] * envs + torch.arange(envs, device=rows.device)).flatten()
        priority = torch.cat([self.greatest.expand(2 * envs), self.tree.leaves[cells[2 * envs :]]])
        self.tree.set(cells, priority * ~ring.invalid.flatten()[cells])

    def draw(self, ring: Ring, batch: int) -> tuple[Tensor, Tensor]:
        device = ring.invalid.device
        within = torch.rand(batch, generator=ring.generator, dtype=torch.float64, device=device)
        cells = self.tree.find((torch.arange(batch, device=device) + within) / batch)
        priority = self.tree.leaves[cells]
        weights = (priority.min() / priority) ** self.config.correction(self.updates)
        self.updates += 1
        return cells, weights.float()

    def update_priorities(self, cells: Tensor, error: Tensor) -> None:
        priority = self.config.priority(error.detach().abs().float())
        self.greatest = torch.maximum(self.greatest, priority.max())
        # Where the ring was overwritten since the draw, zero says that no window starts.
        self.tree.set(cells, priority.where(self.tree.leaves[cells] > 0, 0.0))

    def state_dict(self) -> dict[str, Any]:
        # Priorities are float32 by their making: four bytes for each stored row, and no sums.
        leaves = self.tree.leaves[: self.filled].float()
        return {"updates": self.updates, "greatest": self.greatest, "priority": leaves}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates, self.filled = state["updates"], len(state["priority"])
        self.greatest = state["greatest"].to(self.greatest.device)
        self.tree.fill(state["priority"].to(self.greatest.device))
