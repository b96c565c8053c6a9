"""Memory for replay, or a sentence where there is none."""

import math

import torch
from torch import Tensor

from softrl.errors import UserError


def reserved(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers not yet written, which take memory as they are; raises UserError where the machine has not that much."""
    try:
        return torch.empty(shape, dtype=dtype, device=device)
    except RuntimeError as error:
        size = math.prod(shape) * dtype.itemsize / 1e9
        raise UserError(
            f"replay asks for {size:,.1f} GB, which this machine does not have: lower replay.capacity, keep what a GPU "
            "cannot hold on the host with --replay.host true, or the frames of pixels in a file with "
            "--replay.memory_map true"
        ) from error
