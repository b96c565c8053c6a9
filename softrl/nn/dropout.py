"""Dropout whose masks cost little: halves of a hash of places. Shapes: see `softrl.types`."""

import math
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.layers import switched


def check_dropout(rate: float) -> None:
    """Refuse a rate outside [0, 1)."""
    if not 0 <= rate < 1:
        raise UserError(f"dropout is {rate}: it must lie in [0, 1), where 0 drops nothing")


class Dropout(nn.Module):
    """In training, zero a share `rate` of all entries and divide the others by 1 - rate (arXiv 1207.0580).

    The share that is zeroed is the multiple of 1 / 65536 nearest to `rate`.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate, self.drops = rate, True
        self.lowest = min(round(rate * 2**16), 2**16 - 1)  # 16 bits of an entry that is kept

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.drops or self.rate == 0:
            return x  # no random number is drawn
        return x * kept(x.shape, self.lowest, x.device) / (1 - self.rate)


def without_dropout(module: nn.Module) -> AbstractContextManager[None]:
    """Inside, nothing below `module` is dropped: values that are compared must not differ by their masks."""
    return switched([part for part in module.modules() if isinstance(part, Dropout)], "drops", False)


def kept(shape: torch.Size, lowest: int, device: torch.device) -> Tensor:
    """Which entries of a tensor are kept, bool: those whose own 16 random bits are `lowest` at least."""
    count = math.prod(shape)
    h = bits((count + 1) // 2, device)
    # As parts of one tensor they are computed once; else a compiler takes the hash anew in each pass over the entries.
    return torch.cat([h & 0xFFFF, h >> 16 & 0xFFFF])[:count].view(shape) >= lowest


def bits(count: int, device: torch.device) -> Tensor:
    """Random 32 bits for each place, int32 [n]: a hash of the place and of two numbers from torch's generator.

    h = m(s_2 + m(n xor s_1)) with the rounds of an integer hash (shift, xor, multiply), in which every bit that comes
    out depends on every bit that goes in. A compiled update computes them side by side, while drawing as many numbers
    one after the other takes longer than the products of the layer.
    """
    first, second = torch.randint(-(2**31), 2**31, (2, 1), dtype=torch.int32, device=device)
    h = torch.arange(count, dtype=torch.int32, device=device) ^ first
    h = (h ^ (h >> 16 & 0xFFFF)) * 0x7FEB352D  # shifts of a signed number, without its sign
    h = (h ^ (h >> 15 & 0x1FFFF)) + second
    h = (h ^ (h >> 16 & 0xFFFF)) * (0x846CA68B - 2**32)
    return h ^ (h >> 16 & 0xFFFF)
