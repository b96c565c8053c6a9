"""Random draws that leave training's generators untouched."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor


def forked_generators(like: Tensor) -> AbstractContextManager[None]:
    """Random numbers drawn inside change no draw outside, on the host and on the device where a tensor lies.

    torch's own `fork_rng` looks at every GPU of the machine, and sets each of them up for this process.
    """
    devices = [like.device] if like.device.type == "cuda" else []
    return torch.random.fork_rng(devices)
