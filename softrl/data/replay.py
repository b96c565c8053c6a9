"""Replay: a ring of rows in [time, environment] order, each observation stored once. Shapes: see `softrl.types`."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding

from softrl.data.episodes import ranking
from softrl.data.frames import FrameStore
from softrl.data.layout import PICTURES, Layout
from softrl.data.memory import reserved
from softrl.data.priority import LAP, Proportional, Recency, Ring, Sampler, Uniform, Unprioritised
from softrl.data.starts import StartMask
from softrl.data.windows import ReplayView, reader
from softrl.errors import UserError
from softrl.math.transfer import delivered, sent
from softrl.types import Obs, Spec, Step, Window

Columns = dict[str, Tensor]
SEGMENT_ROWS, SEGMENT_BYTES = 4096, 2**25
"""Most rows of time, and most bytes, that are saved in one file."""


class Bytes(NamedTuple):
    """What replay takes when it is full, without what a sampler remembers."""

    frames: int
    rest: int


@dataclass(frozen=True)
class ReplayConfig:
    """The replay buffer: how much is remembered, and how far a window looks ahead."""

    capacity: int = 1_000_000
    """Rows kept, over all environments; one takes 108 bytes in HalfCheetah, 21 kB with a picture of 84 x 84."""
    steps: int = 1
    """Decisions in an n-step return (Sutton and Barto 2018, chapter 7)."""
    sampler: Uniform | Proportional | LAP | Recency = field(default_factory=Uniform)
    """Which stored decisions an update learns from."""
    memory_map: bool = False
    """Keep frames in a file of the run's folder instead of in memory."""
    host: bool = False
    """Keep rows in the memory of the host and send windows to the GPU; else they are where the networks are."""
    dataset: str | None = None
    """Further experience to learn from: a run folder, an .npz file with the arrays of D4RL, or minari:ID."""
    dataset_share: float = 0.5
    """Share of each batch that comes from replay.dataset."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"replay.steps is {self.steps}: an n-step return needs at least one decision")
        if self.capacity <= self.steps:
            raise UserError(f"replay.capacity is {self.capacity}: keep more rows than the {self.steps} of one window")
        if not 0 < self.dataset_share < 1:
            raise UserError(f"replay.dataset_share is {self.dataset_share}: it must lie in (0, 1), try 0.5")

    def check(self, spec: Spec, folder: Path | None) -> None:
        """Raise UserError for what cannot be kept, or looked at, together."""
        if self.steps > 1 and spec.chunk > 1:
            raise UserError(
                f"replay.steps is {self.steps} and agent.chunk.length {spec.chunk}: a chunk looks as far ahead as it "
                "is long, so leave replay.steps at 1"
            )
        if spec.sequence and (self.steps > 1 or spec.chunk > 1 or self.sampler != Uniform()):
            raise UserError(
                "a world model learns from whole stretches of experience, each as likely as any other: leave "
                "replay.steps at 1, replay.sampler at Uniform and agent.chunk.length at 1"
            )
        if self.memory_map and (folder is None or PICTURES not in spec.obs):
            raise UserError("replay.memory_map keeps pictures in the run's folder, and none is here: leave it out")


class Replay:
    """Replay with windows of one decision, of an n-step return, of a chunk of `spec.chunk` actions, or sequences.

    A row holds what was observed, what was done there and what came of it; the next observation is the next row's.
    Rows marked `last` hold a final observation and never start a window of decisions; such windows stop at them. All
    numbers of a row lie side by side as float32: to fetch a window's rows is to touch one place in memory for each.

    Of stacked pictures the newest is kept, as uint8. Where the ring was overwritten, the oldest rows whose stacks reach
    back to pictures that are gone start no window.

    Where rows are on a GPU, neither adding one nor sampling waits for it: what is drawn without priorities is drawn on
    the host.

    Raises:
        UserError: there is less room than a window of each environment takes, windows of this kind cannot be drawn by
            that sampler, or frames cannot be kept in a file; see `ReplayConfig.check`.
    """

    def __init__(
        self,
        config: ReplayConfig,
        spec: Spec,
        envs: int,
        gamma: float,
        seed: int,
        device: str = "cpu",
        folder: Path | None = None,  # where frames are kept in a file
    ) -> None:
        config.check(spec, folder)
        self.envs, self.device, self.spec = envs, torch.device(device), spec
        self.place = torch.device("cpu") if config.host or config.memory_map else self.device  # of the rows
        self.length = config.capacity // envs
        self.newest = 0  # rows of time ever added: the absolute number of the next one
        self.opening = -1  # absolute number of a row where a window starts, as far as one was looked for
        self.draws = torch.Generator().manual_seed(seed)  # of starts that no priorities decide
        self.generator = self.draws if self.place.type == "cpu" else torch.Generator(self.place).manual_seed(seed)
        self.layout = Layout(spec)
        self.places, pictures = self.layout.places, self.layout.pictures
        self.context = spec.stack - 1 if pictures else 0  # rows before a row whose pictures belong to its stack
        self.ring = reserved((self.length, envs, self.layout.width), torch.float32, self.place)
        self.columns = self.layout.columns(self.ring)
        self.ranking = ranking(spec.best, self.length, envs, self.place)
        self.start_mask = StartMask(self.ring[..., self.layout.scalar_slice], self.layout.scalars, self.context)
        self.invalid = self.start_mask.invalid_on_device  # [L,N], where no window starts
        self.reader = reader(ReplayView(spec, gamma, self.places, self.invalid, self.generator), config.steps)
        # Of two decisions beside the newest row, whose outcome is not known, one at least starts a window.
        least = max(self.reader.rows, 3) + self.context
        if self.length < least:
            raise UserError(
                f"replay.capacity {config.capacity} leaves {self.length} rows for each of {envs} environments, and a "
                f"window and what lies beside it take {least}: raise it to {least * envs} or more"
            )
        file = folder / "frames.npy" if config.memory_map and folder else None
        self.frames = {
            name: FrameStore(self.length, envs, shape, spec.stack, self.place, file) for name, shape in pictures.items()
        }
        self.flat = self.ring.flatten(0, 1)  # one row of time is `envs` cells
        self.offsets = envs * torch.arange(self.reader.rows, device=self.place)[:, None]  # [T+1,1]
        self.sampler: Sampler = config.sampler.build(self.length, envs, self.place)
        self.prioritised = not isinstance(self.sampler, Unprioritised)
        self.uniform: Sampler = Uniform().build(self.length, envs, self.place)

    def __len__(self) -> int:
        """Rows of time behind which enough others lie for a window to start there; see `ready`."""
        return max(0, self.newest - self.reader.ahead - self.oldest)

    @property
    def ready(self) -> bool:
        """Whether a window starts anywhere; where a run was cut at once, all its rows may be final observations."""
        if self.opening < self.oldest + self.context:  # all rows are looked at once, until the one found makes room
            starts = (~self.start_mask.invalid[: self.newest]).any(1).nonzero()  # [S,1]
            ago = (self.newest - 1 - starts) % self.length
            self.opening = self.newest - 1 - int(ago.min()) if len(starts) else -1
        return self.opening >= 0

    @property
    def oldest(self) -> int:
        """Absolute number of the oldest row still here."""
        return max(0, self.newest - self.length)

    @property
    def bytes(self) -> Bytes:
        """What is taken by frames, and by all else."""
        return Bytes(sum(frames.ring.nbytes for frames in self.frames.values()), self.ring.nbytes + self.invalid.nbytes)

    @property
    def segment(self) -> int:
        """Rows of time that are saved in one file, at most 4096 and, unless a row takes more, 32 MiB."""
        return max(1, min(SEGMENT_ROWS, SEGMENT_BYTES * self.length // sum(self.bytes)))

    def add(self, step: Step) -> None:
        """Append one row for each environment; the oldest row makes room when the ring is full."""
        here = self.newest % self.length
        self.start_mask.write(here, step, opens=self.newest == 0)
        self.ranking.add(self.newest, step.reward, step.last)
        for name in self.layout.numbers:
            self.columns[f"obs.{name}"][here] = sent(step.obs[name], self.place)
        self.columns["action"][here] = sent(step.action, self.place)
        if self.spec.prefixes:
            self.columns["left"][here] = step.left
        for name, frames in self.frames.items():
            frames.write(here, step.obs[name])
        if self.newest >= self.reader.ahead:
            complete = here - self.reader.ahead  # a negative number counts from the ring's end
            self.start_mask.set_invalid(complete, self.reader.invalid_starts(self.start_mask.columns["last"][complete]))
        self.newest += 1
        self.start_mask.invalidate_broken_stacks(self.oldest)
        self.sampler.add(self.sampler_view(self.sampler))

    def sampler_view(self, sampler: Sampler) -> Ring:
        """What a sampler is told: beside the rows where it keeps priorities there, else on the host."""
        if sampler is self.sampler and self.prioritised:
            return Ring(self.invalid, self.newest, self.generator, self.context)
        return Ring(self.start_mask.invalid, self.newest, self.draws, self.context)

    def sample(self, batch: int, times: int = 1) -> Window:
        """`batch` windows whose starts the sampler draws from all that there are, with replacement.

        obs [B,2,..], action [B,T,A] or of chunks [B,T,A+1], reward, discount and first [B,1], weight and index [B]
        obs [B,T,..], action [B,T,A], reward, discount, first and last [B,T], weight and index [B] of sequences

        Behind them lie those of the next `times - 1` samples, fetched in one go.

        Raises:
            ValueError: nothing to sample, no window is complete.
        """
        return self.window(*self.sample_starts(self.sampler, batch, times))

    def peek(self, batch: int) -> Window:
        """A uniform sample that leaves no trace: the next samples are what they would have been.

        Raises:
            ValueError: nothing to sample, no window is complete.
        """
        generators = (self.draws, self.generator)
        states = [generator.get_state() for generator in generators]
        window = self.window(*self.sample_starts(self.uniform, batch))
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        return window

    def update_priorities(self, index: Tensor, error: Tensor) -> None:
        """Tell a sampler that asks for them the absolute temporal differences [B] of a window's rows."""
        if self.prioritised:
            self.sampler.update_priorities(index, error.to(self.place))

    def sample_starts(self, sampler: Sampler, batch: int, times: int = 1) -> tuple[Tensor, Tensor]:
        """Cells of the flattened ring where windows start, and the weights of their losses, [times * B] each."""
        if not self.ready:
            raise ValueError("nothing to sample: replay holds no complete window")
        draws = [sampler.draw(self.sampler_view(sampler), batch) for _ in range(times)]
        cells, weights = draws[0] if times == 1 else (torch.cat(parts) for parts in zip(*draws, strict=True))
        return sent(cells, self.place), sent(weights, self.place)

    def window(self, cells: Tensor, weight: Tensor) -> Window:
        """The windows that start at these cells, [B]."""
        index = cells + self.offsets  # [T+1,B]
        if self.newest + self.reader.rows > self.length:  # else no window reaches over the ring's end
            # A remainder takes four times as long.
            index = (index - len(self.flat)).where(index >= len(self.flat), index)
        rows = embedding(index, self.flat)  # [T+1,B,W], an index_select that needs no flat index
        read = self.reader.read(rows, index)
        obs, best = self.observations(read.rows, read.cells), self.ranking.best(cells)
        window = Window(obs, read.action, read.reward, read.discount, read.first, weight, cells, read.last, best)
        return delivered(window, self.device)

    def observations(self, rows: Tensor, cells: Tensor) -> Obs:
        """Observations in rows [O,B,W] at cells [O,B], [B,O,..]."""
        obs = {
            name: rows[..., self.places[f"obs.{name}"]].transpose(0, 1).unflatten(-1, self.spec.obs[name])
            for name in self.layout.numbers
        }
        for name, frames in self.frames.items():
            stacks = frames.successive if self.reader.successive else frames.stacks
            obs[name] = stacks(cells, rows[..., self.places["age"].start])
        return obs

    def rows(self, start: int, stop: int) -> Columns:
        """Rows by absolute number, [stop - start, N, ..], to be saved."""
        where = torch.arange(start, stop) % self.length
        rows = self.ring[where.to(self.place)]
        pictures = {f"obs.{name}": frames.ring[where.to(frames.ring.device)] for name, frames in self.frames.items()}
        return {name: rows[..., place] for name, place in self.places.items()} | pictures

    def restore(self, newest: int, blocks: Iterable[tuple[int, Columns]]) -> None:
        """Hold the rows before `newest` again, given as (absolute number of the first row, rows)."""
        self.newest, self.opening = newest, -1
        for start, columns in blocks:
            rows = torch.cat([columns[name] for name in self.places], -1)
            where = torch.arange(start, start + len(rows)) % self.length
            self.ring[where.to(self.place)] = rows.to(self.place)
            self.start_mask.restore(where, columns, self.reader.invalid_starts)
            for name, frames in self.frames.items():
                frames.ring[where.to(frames.ring.device)] = columns[f"obs.{name}"].to(frames.ring.device)
        for row in range(newest - self.reader.ahead, newest):
            self.start_mask.set_invalid(row % self.length, True)
        self.start_mask.invalidate_broken_stacks(self.oldest)

    def state_dict(self) -> dict[str, Any]:
        """The generators of samples, what the sampler goes by and the episodes; the rows are saved by `rows`."""
        generators = {"generator": self.generator.get_state(), "draws": self.draws.get_state()}
        return {**generators, "sampler": self.sampler.state_dict(), "ranking": self.ranking.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Draw the samples that would have come next; older states have one generator for all of them."""
        self.generator.set_state(state["generator"])
        self.draws.set_state(state.get("draws", state["generator"]))
        self.sampler.load_state_dict(state["sampler"])
        self.ranking.load_state_dict(state.get("ranking", {}))
