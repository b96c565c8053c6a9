"""Replay: a ring of rows in [time, environment] order, each observation stored once. Shapes: see `softrl.types`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from softrl.errors import UserError
from softrl.math.returns import n_step
from softrl.types import Obs, Spec, Step, Window

Columns = dict[str, Tensor]


@dataclass(frozen=True)
class ReplayConfig:
    """How much is remembered, and how far a window looks ahead."""

    capacity: int = 1_000_000
    """Rows kept, over all environments; a row of HalfCheetah takes 99 bytes."""
    steps: int = 1
    """Decisions in an n-step return (Sutton and Barto 2018, chapter 7)."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"replay.steps is {self.steps}: an n-step return needs at least one decision")
        if self.capacity <= self.steps:
            raise UserError(f"replay.capacity is {self.capacity}: keep more rows than the {self.steps} of one window")


class Replay:
    """Uniform replay with n-step windows.

    A row holds what was observed, what was done there and what came of it; the next observation is the next row's.
    Rows marked `last` hold a final observation and never start a window; windows stop at them.
    """

    def __init__(
        self, config: ReplayConfig, spec: Spec, envs: int, gamma: float, seed: int, device: str = "cpu"
    ) -> None:
        self.envs, self.device = envs, torch.device(device)
        self.powers = gamma ** torch.arange(config.steps + 1, device=self.device)  # [T+1]
        self.length = config.capacity // envs
        if self.length <= config.steps:
            raise UserError(
                f"replay.capacity {config.capacity} leaves {self.length} rows for each of {envs} environments: raise it"
            )
        self.newest = 0  # rows of time ever added: the absolute number of the next one
        self.generator = torch.Generator(self.device).manual_seed(seed)

        def column(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.empty(self.length, envs, *shape, dtype=dtype, device=self.device)

        self.columns: Columns = {f"obs.{name}": column(*shape) for name, shape in spec.obs.items()} | {
            "action": column(spec.action),
            "reward": column(),
            "terminated": column(dtype=torch.bool),
            "first": column(dtype=torch.bool),
            "last": column(dtype=torch.bool),
        }
        self.cells = self.length * envs
        # One row of time is `envs` cells of the flattened ring.
        self.offsets = envs * torch.arange(config.steps + 1, device=self.device)[:, None]  # [T+1,1]
        self.flat = {name: column.flatten(0, 1) for name, column in self.columns.items()}

    def __len__(self) -> int:
        """Rows of time from which a window can start."""
        return max(0, self.newest - 1 - self.oldest)

    @property
    def oldest(self) -> int:
        """Absolute number of the oldest row still here."""
        return max(0, self.newest - self.length)

    def add(self, step: Step) -> None:
        """Append one row for each environment; the oldest row makes room when the ring is full."""
        here = self.newest % self.length
        self.columns["first"][here] = self.columns["last"][here - 1] if self.newest else True
        for name, value in step.obs.items():
            self.columns[f"obs.{name}"][here] = value
        self.columns["action"][here] = step.action
        self.columns["reward"][here] = step.reward
        self.columns["terminated"][here] = step.terminated
        self.columns["last"][here] = step.last
        self.newest += 1

    def sample(self, batch: int) -> Window:
        """A window of `batch` starts drawn uniformly from all stored decisions, with replacement."""
        ahead = self.starts(batch) + self.offsets  # [T+1,B]
        index = (ahead + self.oldest * self.envs) % self.cells
        inside = self.inside(ahead, index)  # [T,B]
        rows = index[:-1]
        reward, discount = n_step(
            self.flat["reward"].take(rows), self.flat["terminated"].take(rows), inside, self.powers
        )
        after = index.gather(0, inside.sum(0, keepdim=True))  # [1,B]
        return Window(
            obs=self.observations(torch.cat([index[:1], after])),
            action=self.flat["action"].index_select(0, index[0])[:, None],
            reward=reward[:, None],
            discount=discount[:, None],
            first=self.flat["first"].take(index[0])[:, None],
            weight=reward.new_ones(batch),
            index=index[0],
        )

    def starts(self, batch: int) -> Tensor:
        """Cells counted from the oldest, [B], uniform over stored decisions whose next row is known."""
        count = len(self) * self.envs
        if not count:
            raise ValueError("nothing to sample: replay holds no complete transition")

        def draw(size: int) -> Tensor:
            return torch.randint(count, (size,), generator=self.generator, device=self.device)

        cell = draw(batch)
        oldest = self.oldest * self.envs
        # A final observation starts nothing: draw again, which keeps the rest uniform.
        while (refused := self.flat["last"].take((cell + oldest) % self.cells)).any():
            cell[refused] = draw(int(refused.sum()))
        return cell

    def inside(self, ahead: Tensor, index: Tensor) -> Tensor:
        """Which decisions of each window count, [T+1,B] -> [T,B]: up to a final observation or the newest row."""
        newest = len(self) * self.envs
        going = (ahead[1:-1] < newest) & ~self.flat["last"].take(index[1:-1])  # [T-1,B]
        return torch.cat([going.new_ones(1, ahead.shape[1]), going.cumprod(0).bool()])

    def observations(self, index: Tensor) -> Obs:
        """Observations at flat indices, [T,B] -> [B,T,..], each time step contiguous in memory."""
        size = index.shape
        names = [name for name in self.flat if name.startswith("obs.")]
        return {
            name.removeprefix("obs."): self.flat[name]
            .index_select(0, index.flatten())
            .unflatten(0, size)
            .transpose(0, 1)
            for name in names
        }

    def rows(self, start: int, stop: int) -> Columns:
        """Rows by absolute number, [stop - start, N, ..], to be saved."""
        where = torch.arange(start, stop, device=self.device) % self.length
        return {name: column[where] for name, column in self.columns.items()}

    def restore(self, oldest: int, newest: int, blocks: Iterable[tuple[int, Columns]]) -> None:
        """Hold exactly the rows [oldest, newest) again, given as (absolute number of the first row, rows)."""
        self.newest = newest
        for start, rows in blocks:
            where = torch.arange(start, start + len(rows["reward"]), device=self.device) % self.length
            for name, values in rows.items():
                self.columns[name][where] = values.to(self.device)

    def state_dict(self) -> dict[str, Any]:
        """The generator of samples; the rows are saved by `rows`."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Draw the samples that would have come next."""
        self.generator.set_state(state["generator"])
