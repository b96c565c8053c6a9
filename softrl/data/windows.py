"""Windows: how decisions, returns, chunks and sequences are read from rows of replay. Shapes: see `softrl.types`."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from softrl.data.chunks import critic_actions, drawn_lengths
from softrl.math.chunks import length_mask
from softrl.math.returns import n_step
from softrl.types import Spec


class ReplayView(NamedTuple):
    """What a reader knows of replay."""

    spec: Spec
    gamma: float
    places: dict[str, slice]  # of the numbers in a row
    invalid: Tensor  # [L,N] bool: no outcome here, or not yet
    generator: torch.Generator


class WindowData(NamedTuple):
    """What windows say: the actions, what came of them, and the rows of their observations; shapes as in `Window`."""

    action: Tensor  # [B,T,A], of chunks [B,T,A+1]
    reward: Tensor  # [B,R]
    discount: Tensor  # [B,R]
    first: Tensor  # [B,R]
    rows: Tensor  # [O,B,W], O observations
    cells: Tensor  # [O,B], where these rows lie
    last: Tensor | None = None  # [B,T]


class WindowReader(ABC):
    """Reads windows from the rows that they touch."""

    successive = False  # whether the observations of a window are those of a row and the next one of its episode

    def __init__(self, view: ReplayView, rows: int) -> None:
        self.view, self.rows = view, rows  # a window touches so many rows
        self.ahead = 1  # so many must follow its first for a window to start
        self.powers = torch.pow(view.gamma, torch.arange(rows, device=view.invalid.device))

    @abstractmethod
    def invalid_starts(self, last: np.ndarray) -> np.ndarray:
        """Where rows with enough rows behind them still start no window, given which are final observations, [N]."""

    @abstractmethod
    def read(self, rows: Tensor, cells: Tensor) -> WindowData:
        """The windows in rows [T+1,B,W], or [T,B,W] of sequences, at these cells, [T+1,B] or [T,B]."""

    def column(self, rows: Tensor, name: str) -> Tensor:
        """The number of this name in rows, [..,W] -> [..]."""
        return rows[..., self.view.places[name].start]


class Decisions(WindowReader):
    """Windows that start with a decision, and end with an observation of the same episode."""

    def invalid_starts(self, last: np.ndarray) -> np.ndarray:
        return last

    def first_action(self, rows: Tensor) -> Tensor:
        """What was done where windows start, [B,1,A]."""
        return rows[0, :, None, self.view.places["action"]]

    def first(self, rows: Tensor) -> Tensor:
        """Whether windows start with an episode, [B,1]."""
        return self.column(rows[0], "first")[:, None].bool()

    def open(self, cells: Tensor) -> Tensor:
        """Whether a decision with an outcome follows the ones before it, [T-1,B]."""
        return ~self.view.invalid.flatten().take(cells[1:-1])

    def inside(self, going: Tensor) -> Tensor:
        """Which decisions of windows count, [T,B]: the first, and the others up to where it does not go on, [T-1,B]."""
        return torch.cat([going.new_ones(1, going.shape[1]), going.cumprod(0).bool()])

    def ended(self, rows: Tensor, inside: Tensor) -> Tensor:
        """Whether one of the decisions inside windows, [T,B], terminated its episode, [B]."""
        return (self.column(rows[:-1], "terminated").bool() & inside).any(0)

    def outcome(self, action: Tensor, rows: Tensor, cells: Tensor, inside: Tensor, ended: Tensor) -> WindowData:
        """Return and discount of the decisions inside windows, and the observations before and after them."""
        batch = inside.shape[1]
        # A take_along_dim would take three times as long.
        behind = inside.sum(0) * batch + torch.arange(batch, device=inside.device)
        after, there = rows.flatten(0, 1).index_select(0, behind), cells.take(behind)
        total, discount = n_step(self.column(rows[:-1], "reward"), inside, ended, self.powers)
        return WindowData(
            action=action,
            reward=total[:, None],
            discount=discount[:, None],
            first=self.first(rows),
            rows=torch.stack([rows[0], after]),
            cells=torch.stack([cells[0], there]),
        )


class OneStep(Decisions):
    """What `Steps` says of windows of one decision, in a quarter of its time."""

    successive = True

    def read(self, rows: Tensor, cells: Tensor) -> WindowData:
        gamma, now, places = self.view.gamma, rows[0], self.view.places  # [B,W]
        discount = now[:, places["terminated"]].mul(-gamma).add_(gamma)
        first, action = now[:, places["first"]].bool(), now[:, None, places["action"]]
        return WindowData(action, now[:, places["reward"]], discount, first, rows, cells)


class Steps(Decisions):
    """The first action, and what came up to a final observation, the newest row or the horizon."""

    def read(self, rows: Tensor, cells: Tensor) -> WindowData:
        inside = self.inside(self.open(cells))
        return self.outcome(self.first_action(rows), rows, cells, inside, self.ended(rows, inside))


class Chunks(Decisions):
    """All actions up to there, with marks behind those that count; see `softrl.data.chunks`.

    Chunks start at every decision, also in the midst of a plan. Where `spec.prefixes` are valued, they are beginnings
    of what was left of it: an action that answers to what happened inside the window is no part of a plan made before.
    """

    def read(self, rows: Tensor, cells: Tensor) -> WindowData:
        horizon, generator = len(rows) - 1, self.view.generator
        length = torch.full_like(cells[0], horizon)  # [B]
        if self.view.spec.prefixes:
            length = drawn_lengths(self.column(rows[0], "left").long().clamp(max=horizon), generator)
        inside = self.inside(self.open(cells)) & length_mask(length, horizon).T
        ended = self.ended(rows, inside)
        told = length.where(ended, inside.sum(0))
        action = rows[:-1, :, self.view.places["action"]]
        return self.outcome(critic_actions(action, inside, told, generator), rows, cells, inside, ended)


class Sequences(WindowReader):
    """T rows of one environment that follow each other, each with the decision taken there.

    discount_t = gamma * (1 - terminated_t)

    They start anywhere, and may hold the end of one episode and the start of the next: `first` says which rows open an
    episode, and `last` which hold a final observation, where nothing was decided.
    """

    def __init__(self, view: ReplayView, rows: int) -> None:
        super().__init__(view, rows)
        self.ahead = rows - 1

    def invalid_starts(self, last: np.ndarray) -> np.ndarray:
        return np.zeros_like(last)

    def read(self, rows: Tensor, cells: Tensor) -> WindowData:
        rewarded, ended, first, last = (
            self.column(rows, name).T for name in ("reward", "terminated", "first", "last")
        )  # [B,T]
        return WindowData(
            action=rows[..., self.view.places["action"]].transpose(0, 1),
            reward=rewarded,
            discount=self.view.gamma * (1 - ended),
            first=first.bool(),
            rows=rows,
            cells=cells,
            last=last.bool(),
        )


def reader(view: ReplayView, steps: int) -> WindowReader:
    """What reads sequences of `spec.sequence` rows, chunks of `spec.chunk` actions, or returns over so many steps."""
    if view.spec.sequence:
        return Sequences(view, view.spec.sequence)
    if view.spec.chunk > 1:
        return Chunks(view, view.spec.chunk + 1)
    return Steps(view, steps + 1) if steps > 1 else OneStep(view, 2)
