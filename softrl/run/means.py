"""Running means of metrics on the device they are on: adding never waits for it, taking waits once."""

from typing import Any

import torch
from torch import Tensor


class Means:
    """Sum and count of every metric; a metric that only some calls give is averaged over those calls."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = device
        self._sums: dict[tuple[str, ...], Tensor] = {}  # one vector for each set of names that occurred
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, names: tuple[str, ...], values: Tensor) -> None:
        """Add one value of each metric, [n] in the order of the names."""
        if names in self._sums:
            self._sums[names] += values
        else:
            self._sums[names] = values.to(torch.float64, copy=True)
        self._counts[names] = self._counts.get(names, 0) + 1

    def take(self, keep: bool = False) -> dict[str, float]:
        """The mean of each metric over the calls that gave it, with one wait for the device; starts afresh or not."""
        if not self._sums:
            return {}
        flat = torch.cat(tuple(self._sums.values())).tolist()
        names = [(name, self._counts[group]) for group in self._sums for name in group]
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        for (name, count), value in zip(names, flat, strict=True):
            sums[name] = sums.get(name, 0.0) + value
            counts[name] = counts.get(name, 0) + count
        if not keep:
            self._sums, self._counts = {}, {}
        return {name: sums[name] / counts[name] for name in sums}

    def state_dict(self) -> dict[str, Any]:
        """The sums and counts so far."""
        return {
            "groups": [
                {"names": list(group), "count": self._counts[group], "sum": total.clone()}
                for group, total in self._sums.items()
            ]
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from sums and counts."""
        self._counts = {tuple(group["names"]): group["count"] for group in state["groups"]}
        self._sums = {tuple(group["names"]): group["sum"].to(self._device, copy=True) for group in state["groups"]}
