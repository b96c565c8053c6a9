"""Which episodes in replay were the best, for whoever learns from these alone. Shapes: see `softrl.types`."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from softrl.math.transfer import sent

ENV, FIRST, FINAL, RETURN = range(4)
"""Columns of what is known of a finished episode: environment, absolute numbers of its first and final row, return."""


class Ranking(ABC):
    """What replay says of the episodes that its rows belong to."""

    @abstractmethod
    def add(self, row: int, reward: Tensor, last: Tensor) -> None:
        """Take note of the row of this absolute number: rewards and final observations, [N] on the host."""

    @abstractmethod
    def fill(self, reward: Tensor, last: Tensor) -> None:
        """Take note of rows from the first on, [T,N] each."""

    @abstractmethod
    def cut(self, envs: Tensor) -> None:
        """Never judge the episodes that are going on in these, [N] bool: they end before their time."""

    @abstractmethod
    def best(self, cells: Tensor) -> Tensor | None:
        """Which cells [B], numbered in the order [time, environment], belong to the best episodes; None unasked."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """What is known of episodes."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Know it again."""


class Unranked(Ranking):
    """Nobody asks."""

    def add(self, row: int, reward: Tensor, last: Tensor) -> None:
        pass

    def fill(self, reward: Tensor, last: Tensor) -> None:
        pass

    def cut(self, envs: Tensor) -> None:
        pass

    def best(self, cells: Tensor) -> Tensor | None:
        return None

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class Ranked(Ranking):
    """Episodes that ended and have decisions left in the ring, by their whole undiscounted return R.

    best:  R >= the (1 - share) quantile and R > the median,   over episodes, not over rows

    Above the median: where all episodes are alike, as before the first success at a sparse task, none is the best.
    """

    def __init__(self, share: float, length: int, envs: int, device: torch.device) -> None:
        self.share, self.length, self.device = share, length, device
        self.outcome = torch.full((length, envs), -torch.inf, device=device)  # of the episode of each row, if it ended
        self.row = -1  # the newest
        self.total, self.began = torch.zeros(envs, dtype=torch.float64), torch.zeros(envs, dtype=torch.long)
        self.finished = torch.zeros(0, 4, dtype=torch.float64)  # in the order of their ends
        self.new: list[Tensor] = []  # those that ended since, [n,4] each
        self.newest_end = -1  # absolute number of the newest final row
        self.least = torch.inf

    def add(self, row: int, reward: Tensor, last: Tensor) -> None:
        self.row = row
        self.outcome[row % self.length].fill_(-torch.inf)
        self.total += reward
        ended = last.nonzero()[:, 0]
        if len(ended):
            judged = ended[self.total[ended].isfinite()]
            new = torch.stack([judged, self.began[judged], torch.full_like(judged, row), self.total[judged]], -1)
            self.new.append(new)
            self.newest_end = row
            self.total[ended], self.began[ended] = 0.0, row + 1
            self.write(new)

    def fill(self, reward: Tensor, last: Tensor) -> None:
        for row, (rewards, lasts) in enumerate(zip(reward, last, strict=True)):
            self.add(row, rewards, lasts)

    def cut(self, envs: Tensor) -> None:
        self.total[envs] = -torch.inf

    @property
    def oldest(self) -> int:
        """Absolute number of the oldest row in the ring."""
        return self.row - self.length + 1

    def left(self, episodes: Tensor, row: int) -> Tensor:
        """Those of episodes [n,4] that have a decision in the ring whose newest row is this."""
        return episodes[episodes[:, FINAL] > row - self.length + 1]

    def settle(self) -> None:
        """Rank all that ended since: as if it had been done at each end, which would cost more than it is asked for."""
        if self.new:
            self.finished = self.left(torch.cat([self.finished, *self.new]), self.newest_end)
            self.new.clear()
            self.rank()

    def write(self, episodes: Tensor) -> None:
        """Let the rows that are left of episodes [n,4] know how these ended."""
        for env, first, final, total in self.left(episodes, self.row).tolist():
            rows = torch.arange(max(int(first), self.oldest), int(final)) % self.length
            self.outcome[:, int(env)].index_fill_(0, sent(rows, self.device), total)

    def rank(self) -> None:
        """Find the least return of the best episodes."""
        if len(self.finished) == 0:
            self.least = torch.inf
            return
        returns = self.finished[:, RETURN].float()  # as the rows have them
        quantile = returns.quantile(1 - self.share, interpolation="higher")
        above = returns.median().nextafter(torch.tensor(torch.inf))
        self.least = float(torch.maximum(quantile, above))

    def best(self, cells: Tensor) -> Tensor | None:
        self.settle()
        return self.outcome.flatten().take(cells) >= self.least

    def state_dict(self) -> dict[str, Any]:
        self.settle()
        return {"row": self.row, "finished": self.finished, "total": self.total, "began": self.began}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.row, self.finished = state["row"], state["finished"]
        self.total, self.began = state["total"], state["began"]
        self.new.clear()
        self.outcome.fill_(-torch.inf)
        self.write(self.finished)
        self.least = torch.inf
        if len(self.finished):
            self.rank()


def ranking(share: float, length: int, envs: int, device: torch.device) -> Ranking:
    """What points out a share of the episodes in a ring of `length` rows of time as the best; with share 0, nothing."""
    return Ranked(share, length, envs, device) if share else Unranked()
