"""Tensors on their way to a device."""

import torch
from torch import Tensor

from softrl.types import Window


def sent(values: Tensor, device: torch.device) -> Tensor:
    """The same values on a device; a GPU fetches them from page-locked memory, and nobody waits until it has."""
    if values.device == device:
        return values
    if device.type == "cuda" and values.device.type == "cpu":
        # Pinned memory keeps gaps between the values, and to close them torch would copy through memory that is not.
        return values.contiguous().pin_memory().to(device, non_blocking=True)
    return values.to(device)


def delivered(window: Window, device: torch.device) -> Window:
    """The same window on a device, but for its index, which stays with the rows that it counts."""
    if window.reward.device.type == device.type:
        return window
    return window.map(lambda value: value if value is window.index else sent(value, device))
