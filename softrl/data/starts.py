"""Where windows start, known on the host: whoever draws from there waits for no device. Shapes: see `softrl.types`."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from softrl.math.transfer import sent
from softrl.types import Step

HOST = torch.device("cpu")


def array(values: Tensor) -> np.ndarray:
    """The same values as an array on the host."""
    return sent(values, HOST).numpy()


class StartMask:
    """Mask [L,N] of rows where no window may start, kept on the host so that sampling never waits for a GPU, and
    mirrored beside the rows.

    It follows from the scalars of rows, `last` and of stacked pictures `age`, which come from environments on the host.
    Where the host holds the ring itself, mask and mirror are the same memory.
    """

    def __init__(self, scalars: Tensor, names: Sequence[str], context: int) -> None:
        self.scalars, self.length = scalars, len(scalars)  # [L,N,W] of the ring
        self.context = context  # rows before a picture that belong to its stack
        self.on_device = scalars.device.type != "cpu"
        self.scalars_host = torch.zeros(scalars.shape) if self.on_device else scalars
        # Rows are written as arrays, which takes a third of the time that tensors take.
        self.columns = dict(zip(names, np.moveaxis(self.scalars_host.numpy(), -1, 0), strict=True))  # [L,N] each
        self.invalid = torch.ones(scalars.shape[:2], dtype=torch.bool)  # [L,N]
        self.invalid_array = self.invalid.numpy()
        self.invalid_on_device = self.invalid.to(scalars.device)

    def write(self, here: int, step: Step, opens: bool) -> None:
        """Take the scalars of row `here`, where no window starts as yet; `opens` says that no row was before it."""
        columns, last = self.columns, self.columns["last"]
        columns["reward"][here], columns["terminated"][here] = array(step.reward), array(step.terminated)
        last[here] = array(step.last)
        columns["first"][here] = 1.0 if opens else last[here - 1]
        if "age" in columns:
            older = np.minimum(columns["age"][here - 1] + 1, self.context)
            columns["age"][here] = np.where(columns["first"][here], 0.0, older)
        if self.on_device:
            self.scalars[here] = sent(self.scalars_host[here], self.scalars.device)
        self.set_invalid(here, True)

    def set_invalid(self, row: int, invalid: np.ndarray | bool) -> None:
        """Say whether no window may start in a row, of all environments or of each, [N]."""
        self.invalid_array[row] = invalid
        if self.on_device:
            self.invalid_on_device[row] = sent(self.invalid[row], self.invalid_on_device.device)

    def invalidate_broken_stacks(self, oldest: int) -> None:
        """Let no window start at the oldest rows whose stacks reach back to rows that were overwritten."""
        for before in range(self.context):  # rows that are left of those before a row
            row = (oldest + before) % self.length
            self.set_invalid(row, self.invalid_array[row] | (self.columns["age"][row] > before))

    def restore(
        self, rows: Tensor, columns: dict[str, Tensor], invalid_starts: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        """Know rows again by their saved columns, [n,N,1] each, as if enough others followed all of them."""
        where = rows.numpy()
        for name, column in self.columns.items():
            column[where] = array(columns[name][..., 0])
        self.invalid_array[where] = invalid_starts(array(columns["last"][..., 0]))
        self.invalid_on_device.copy_(self.invalid)
