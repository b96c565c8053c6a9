"""Frames: every picture is kept once, and stacks are put together when they are read.

Shapes: see `softrl.types`; S pictures of a stack, F pictures asked for, H by W pixels.
"""

from pathlib import Path

import torch
from torch import Tensor

from softrl.data.mapped import mapped
from softrl.data.memory import reserved
from softrl.types import Shape


class FrameStore:
    """A ring of pictures, uint8 [L,N,3,H,W]: of each observation only the newest, which lies last in its channels.

    The stack of a row is its own picture and those of the rows before it; where its episode is younger than that, the
    episode's first picture is repeated. `age` says how many rows of the episode lie before a row. In memory, or in a
    file. Raises UserError when the file cannot be made, or is of another replay.
    """

    def __init__(
        self, length: int, envs: int, shape: Shape, stack: int, device: torch.device, path: Path | None = None
    ) -> None:
        channels, *picture = shape
        self.channels, self.stack, self.envs = channels // stack, stack, envs
        size = (length, envs, self.channels, *picture)
        self.ring = mapped(path, size) if path else reserved(size, torch.uint8, device)
        self.flat = self.ring.flatten(0, 1)  # [L*N,3,H,W], one row of time is `envs` cells
        self.back = torch.arange(stack - 1, -1, -1, device=device)  # rows back from a row to each picture of its stack

    def write(self, here: int, pixels: Tensor) -> None:
        """Keep the newest picture of each observation, [N,3*S,H,W], in row `here` of the ring."""
        self.ring[here] = pixels[:, -self.channels :]

    def cells(self, cells: Tensor, age: Tensor) -> Tensor:
        """Where the pictures lie that make the stacks of rows at these cells, both [..] -> [..,S]."""
        back = torch.minimum(age.long()[..., None], self.back)
        return (cells[..., None] - self.envs * back) % len(self.flat)

    def gather(self, cells: Tensor) -> Tensor:
        """The pictures at these cells, [B,F] -> [B,F,3,H,W]."""
        return self.flat.index_select(0, cells.flatten()).unflatten(0, cells.shape)

    def stacks(self, cells: Tensor, age: Tensor) -> Tensor:
        """The stacks of any rows, cells and ages [T,B] -> [B,T,3*S,H,W]."""
        wanted = self.cells(cells.T, age.T)  # [B,T,S]
        return self.gather(wanted.flatten(1)).flatten(1, 2).unflatten(1, (-1, self.stack * self.channels))

    def successive(self, cells: Tensor, age: Tensor) -> Tensor:
        """The stacks of two rows of which the second follows the first in one episode, [2,B] -> [B,2,3*S,H,W].

        The second is the first moved on by one picture: S + 1 are fetched, and the two stacks share their memory.
        """
        wanted = torch.cat([self.cells(cells[0], age[0]), cells[1, :, None]], 1)  # [B,S+1]
        pictures = self.gather(wanted).flatten(1, 2)  # [B,3*(S+1),H,W]
        return pictures.unfold(1, self.stack * self.channels, self.channels).movedim(-1, 2)
