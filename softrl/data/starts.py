"""Where windows start, known on the host: whoever draws from there waits for no device. Shapes: see `softrl.types`."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from softrl.data.transfer import sent
from softrl.types import Step


class Starts:
    """Which rows of a ring start a window, told by their marks: `last`, and of stacked pictures `age`.

    Environments are on the host, and so are the marks when they come: what follows from them is worked out there, and
    sent to those who look at it beside the rows. Where the host holds the ring itself, both are the same memory.
    """

    def __init__(self, marks: Tensor, names: Sequence[str], context: int) -> None:
        self.marks, self.length, self.context = marks, len(marks), context  # [L,N,W] of the ring; rows behind a picture
        self.apart = marks.device.type != "cpu"
        self.near = torch.zeros(marks.shape) if self.apart else marks
        self.known = dict(zip(names, self.near.unbind(-1), strict=True))  # [L,N] each
        self.host = torch.ones(marks.shape[:2], dtype=torch.bool)  # [L,N], where no window starts
        self.stops = self.host.to(marks.device)

    def write(self, here: int, step: Step, opens: bool) -> None:
        """Mark row `here`, where no window starts as yet; `opens` says that no row was before it."""
        known, last = self.known, self.known["last"]
        known["reward"][here], known["terminated"][here], last[here] = step.reward, step.terminated, step.last
        known["first"][here] = 1.0 if opens else last[here - 1]
        if "age" in known:
            older = (known["age"][here - 1] + 1).clamp(max=self.context)
            known["age"][here] = older.masked_fill(known["first"][here].bool(), 0.0)
        if self.apart:
            self.marks[here] = sent(self.near[here], self.marks.device)
        self.bar(here, True)

    def bar(self, row: int, where: Tensor | bool) -> None:
        """Let no window start in a row, in all environments or `where` it is said, [N]."""
        self.host[row] = where
        if self.apart:
            self.stops[row] = sent(self.host[row], self.stops.device)

    def hide(self, oldest: int) -> None:
        """Let none start at the oldest rows whose stacks reach back to rows that were overwritten."""
        for before in range(self.context):  # rows that are left of those before a row
            row = (oldest + before) % self.length
            self.bar(row, self.host[row] | (self.known["age"][row] > before))

    def restore(self, rows: Tensor, columns: dict[str, Tensor], barred: Callable[[Tensor], Tensor]) -> None:
        """Know rows again by their saved columns, [n,N,1] each, as if enough others followed all of them."""
        for name, known in self.known.items():
            known[rows] = columns[name][..., 0]
        self.host[rows] = barred(columns["last"][..., 0]).bool()
        self.stops.copy_(self.host)
