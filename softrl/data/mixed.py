"""Batches of two origins: what a run brings, and a data set that stays as it is. Shapes: see `softrl.types`."""

from typing import Any

import torch
from torch import Tensor

from softrl.data.replay import Replay
from softrl.types import Window


class Mixed:
    """Replay with a data set beside it, of which each batch takes its share (arXiv 2302.02948, section 4.1).

    B_data = round(share * B), at least one row of each origin

    Rows of the data set are drawn uniformly and weigh what the others of their batch do on average; these are drawn as
    from replay alone, and come first.
    """

    def __init__(self, replay: Replay, data: Replay, share: float, sha256: str | None = None) -> None:
        """`sha256` is that of the file that holds the data set, by which it is known again."""
        self.replay, self.data, self.share, self.sha256 = replay, data, share, sha256

    def counts(self, batch: int) -> tuple[int, int]:
        """How many rows of a batch, of two at least, come from replay, and from the data set."""
        recorded = min(max(round(self.share * batch), 1), batch - 1)
        return batch - recorded, recorded

    def sample(self, batch: int, times: int = 1) -> Window:
        """`batch` windows, and behind them those of the next `times - 1` samples."""
        brought, recorded = self.counts(batch)
        own, data = self.replay.sample(brought, times), self.data.sample(recorded, times)
        weight = own.weight.unflatten(0, (times, -1)).mean(1)  # [times]
        return joined(own, data._replace(weight=weight.repeat_interleave(recorded)), times)

    def update_priorities(self, index: Tensor, error: Tensor) -> None:
        """Tell replay's sampler, if it asks for them, the absolute temporal differences of the rows of one batch."""
        brought, _ = self.counts(len(index))
        self.replay.update_priorities(index[:brought], error[:brought])

    def state_dict(self) -> dict[str, Any]:
        """What the next samples of both go by."""
        return {**self.replay.state_dict(), "dataset": self.data.state_dict(), "sha256": self.sha256}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Draw the samples that would have come next."""
        self.replay.load_state_dict(state)
        self.data.load_state_dict(state["dataset"])


def joined(first: Window, second: Window, times: int) -> Window:
    """Windows side by side in each of `times` batches: [times * B1], [times * B2] -> [times * (B1 + B2)]."""

    def rows(left: Tensor, right: Tensor) -> Tensor:
        return torch.cat([part.unflatten(0, (times, -1)) for part in (left, right)], 1).flatten(0, 1)

    obs = {name: rows(value, second.obs[name]) for name, value in first.obs.items()}
    pairs = zip(first[1:], second[1:], strict=True)
    return Window(obs, *(None if left is None else rows(left, right) for left, right in pairs))  # type: ignore[arg-type]
