"""Memory for replay, or a sentence where there is none."""

import math

import torch
from torch import Tensor

from softrl.data import room
from softrl.errors import UserError


def reserved(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers not yet written, which take memory as they are.

    Raises UserError where the machine has not that much. Linux gives what a container may not have, and ends the
    process once it is written.
    """
    size = math.prod(shape) * dtype.itemsize
    refusal = UserError(
        f"replay asks for {size / 1e9:,.1f} GB, which this machine does not have: lower replay.capacity, keep what a "
        "GPU cannot hold on the host with --replay.host true, or the frames of pixels in a file with "
        "--replay.memory_map true"
    )
    if device.type == "cpu" and size > room.memory():
        raise refusal
    try:
        return torch.empty(shape, dtype=dtype, device=device)
    except RuntimeError as error:
        raise refusal from error
