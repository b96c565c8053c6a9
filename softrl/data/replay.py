"""Replay: a ring of rows in [time, environment] order, each observation stored once. Shapes: see `softrl.types`."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from softrl.data.chunks import shortened, told
from softrl.data.priority import LAP, Proportional, Recency, Ring, Sampler, Uniform
from softrl.errors import UserError
from softrl.math.returns import n_step
from softrl.types import Obs, Spec, Step, Window

Columns = dict[str, Tensor]
MARKS = ("reward", "terminated", "first", "last")
"""One number each, after the observations and the action."""


class Outcome(NamedTuple):
    """What windows of rows say: the actions, what came of them, and the rows of the observations around them."""

    action: Tensor  # [B,T,A]
    reward: Tensor  # [B]
    discount: Tensor  # [B]
    ends: Tensor  # [2,B,W]


@dataclass(frozen=True)
class ReplayConfig:
    """How much is remembered, and how far a window looks ahead."""

    capacity: int = 1_000_000
    """Rows kept, over all environments; a row of HalfCheetah takes 108 bytes."""
    steps: int = 1
    """Decisions in an n-step return (Sutton and Barto 2018, chapter 7)."""
    sampler: Uniform | Proportional | LAP | Recency = field(default_factory=Uniform)
    """Which stored decisions an update learns from."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"replay.steps is {self.steps}: an n-step return needs at least one decision")
        if self.capacity <= self.steps:
            raise UserError(f"replay.capacity is {self.capacity}: keep more rows than the {self.steps} of one window")


class Replay:
    """Replay with windows of one decision, of an n-step return, or of a chunk of `spec.chunk` actions.

    A row holds what was observed, what was done there and what came of it; the next observation is the next row's.
    Rows marked `last` hold a final observation and never start a window; windows stop at them. All numbers of a row
    lie side by side as float32: to fetch a window's rows is to touch one place in memory for each.

    Chunks start at every decision, also in the midst of a plan. Where `spec.prefixes` are valued, they also stop where
    the agent planned anew: an action that answers to what happened inside the window is no part of a plan made before.
    """

    def __init__(
        self, config: ReplayConfig, spec: Spec, envs: int, gamma: float, seed: int, device: str = "cpu"
    ) -> None:
        self.envs, self.device, self.spec = envs, torch.device(device), spec
        self.gamma = gamma
        if config.steps > 1 and spec.chunk > 1:
            raise UserError(
                f"replay.steps is {config.steps} and agent.chunk.length {spec.chunk}: a chunk looks as far ahead as it "
                "is long, so leave replay.steps at 1"
            )
        horizon = max(config.steps, spec.chunk)
        self.powers = gamma ** torch.arange(horizon + 1, device=self.device)  # [T+1]
        self.length = config.capacity // envs
        if self.length <= horizon:
            raise UserError(
                f"replay.capacity {config.capacity} leaves {self.length} rows for each of {envs} environments: raise it"
            )
        self.newest = 0  # rows of time ever added: the absolute number of the next one
        self.generator = torch.Generator(self.device).manual_seed(seed)
        widths = {f"obs.{name}": prod(shape) for name, shape in spec.obs.items()}
        widths |= {"action": spec.action} | dict.fromkeys(MARKS, 1) | dict.fromkeys(["fresh"] * spec.prefixes, 1)
        ends = list(accumulate(widths.values()))
        self.places = {name: slice(end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True)}
        self.ring = torch.empty(self.length, envs, ends[-1], device=self.device)
        shapes = {f"obs.{name}": shape for name, shape in spec.obs.items()} | {"action": (spec.action,)}
        self.columns = {
            name: self.ring[..., place].unflatten(-1, shapes[name]) if name in shapes else self.ring[..., place.start]
            for name, place in self.places.items()
        }
        self.flat = self.ring.flatten(0, 1)  # one row of time is `envs` cells
        self.stops = torch.ones(self.length, envs, dtype=torch.bool, device=self.device)  # no outcome here, or not yet
        self.offsets = envs * torch.arange(horizon + 1, device=self.device)[:, None]  # [T+1,1]
        self.read = self.chunks if spec.chunk > 1 else self.one_step if config.steps == 1 else self.n_steps
        self.sampler: Sampler = config.sampler.build(self.length, envs, self.device)
        self.uniform: Sampler = Uniform().build(self.length, envs, self.device)

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
        before = self.columns["last"][here - 1] if self.newest else True
        for name, value in step.obs.items():
            self.columns[f"obs.{name}"][here] = value
        self.columns["action"][here] = step.action
        self.columns["reward"][here] = step.reward
        self.columns["terminated"][here] = step.terminated
        self.columns["first"][here] = before
        self.columns["last"][here] = step.last
        if self.spec.prefixes:
            self.columns["fresh"][here] = step.fresh
        if self.newest:
            self.stops[here - 1] = before
        self.stops[here] = True
        self.newest += 1
        self.sampler.add(self.seen())

    def seen(self) -> Ring:
        """What a sampler is told."""
        return Ring(self.stops, self.newest, self.generator)

    def sample(self, batch: int) -> Window:
        """`batch` windows whose starts the sampler draws from all stored decisions, with replacement."""
        return self.window(*self.starts(self.sampler, batch))

    def peek(self, batch: int) -> Window:
        """A uniform sample that leaves no trace: the next samples are what they would have been."""
        state = self.generator.get_state()
        window = self.window(*self.starts(self.uniform, batch))
        self.generator.set_state(state)
        return window

    def reprioritise(self, index: Tensor, error: Tensor) -> None:
        """Tell the sampler the absolute temporal differences [B] of a window's rows."""
        self.sampler.reprioritise(index, error)

    def starts(self, sampler: Sampler, batch: int) -> tuple[Tensor, Tensor]:
        """Cells of the flattened ring where windows start, and the weights of their losses, [B] each."""
        if not len(self):
            raise ValueError("nothing to sample: replay holds no complete transition")
        return sampler.draw(self.seen(), batch)

    def window(self, cells: Tensor, weight: Tensor) -> Window:
        """The windows that start at these cells, [B]."""
        index = cells + self.offsets  # [T+1,B]
        index = (index - len(self.flat)).where(index >= len(self.flat), index)  # a remainder takes four times as long
        rows = self.flat.index_select(0, index.flatten()).unflatten(0, index.shape)  # [T+1,B,W]
        action, reward, discount, ends = self.read(rows, index)
        return Window(
            obs=self.observations(ends),
            action=action,
            reward=reward[:, None],
            discount=discount[:, None],
            first=rows[0, :, self.places["first"]].bool(),
            weight=weight,
            index=index[0],
        )

    def one_step(self, rows: Tensor, index: Tensor) -> Outcome:
        """What `n_steps` says of windows of one decision, in a quarter of its time."""
        terminated = rows[0, :, self.places["terminated"].start]
        gamma = self.gamma
        discount = terminated.mul(-gamma).add_(gamma)
        return Outcome(self.first_action(rows), rows[0, :, self.places["reward"].start], discount, rows)

    def n_steps(self, rows: Tensor, index: Tensor) -> Outcome:
        """The first action, and what came up to a final observation, the newest row or the horizon."""
        return self.outcome(self.first_action(rows), rows, self.inside(self.open(index)))

    def chunks(self, rows: Tensor, index: Tensor) -> Outcome:
        """All actions up to there, or to a new plan, with marks behind those that count; see `softrl.data.chunks`."""
        going = self.open(index)
        if self.spec.prefixes:
            fresh = rows[1:-1, :, self.places["fresh"].start].bool()
            inside = shortened(self.inside(going & ~fresh), self.generator)
        else:
            inside = self.inside(going)
        ended = (rows[:-1, :, self.places["terminated"].start].bool() & inside).any(0)
        action = rows[:-1, :, self.places["action"]]
        return self.outcome(told(action, inside, ended, self.spec.prefixes, self.generator), rows, inside)

    def first_action(self, rows: Tensor) -> Tensor:
        """What was done where windows start, [B,1,A]."""
        return rows[0, :, None, self.places["action"]]

    def open(self, index: Tensor) -> Tensor:
        """Whether a decision with an outcome follows the ones before it, [T-1,B]."""
        return ~self.stops.flatten().take(index[1:-1])

    def inside(self, going: Tensor) -> Tensor:
        """Which decisions of windows count, [T,B]: the first, and the others up to where it does not go on, [T-1,B]."""
        return torch.cat([going.new_ones(1, going.shape[1]), going.cumprod(0).bool()])

    def outcome(self, action: Tensor, rows: Tensor, inside: Tensor) -> Outcome:
        """Return and discount of the decisions inside windows, and the observations before and after them."""
        reward, terminated = (rows[:-1, :, self.places[name].start] for name in ("reward", "terminated"))
        after = rows.take_along_dim(inside.sum(0)[None, :, None], 0)[0]
        total, discount = n_step(reward, terminated.bool(), inside, self.powers)
        return Outcome(action, total, discount, torch.stack([rows[0], after]))

    def observations(self, rows: Tensor) -> Obs:
        """Observations in rows [T,B,W], [B,T,..]."""
        return {
            name: rows[..., self.places[f"obs.{name}"]].transpose(0, 1).unflatten(-1, shape)
            for name, shape in self.spec.obs.items()
        }

    def rows(self, start: int, stop: int) -> Columns:
        """Rows by absolute number, [stop - start, N, ..], to be saved."""
        rows = self.ring[torch.arange(start, stop, device=self.device) % self.length]
        return {name: rows[..., place] for name, place in self.places.items()}

    def restore(self, oldest: int, newest: int, blocks: Iterable[tuple[int, Columns]]) -> None:
        """Hold exactly the rows [oldest, newest) again, given as (absolute number of the first row, rows)."""
        self.newest = newest
        for start, columns in blocks:
            rows = torch.cat([columns[name] for name in self.places], -1)
            where = torch.arange(start, start + len(rows), device=self.device) % self.length
            self.ring[where] = rows.to(self.device)
            self.stops[where] = columns["last"][..., 0].bool().to(self.device)
        self.stops[(newest - 1) % self.length] = True

    def state_dict(self) -> dict[str, Any]:
        """The generator of samples and what the sampler goes by; the rows are saved by `rows`."""
        return {"generator": self.generator.get_state(), "sampler": self.sampler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Draw the samples that would have come next."""
        self.generator.set_state(state["generator"])
        self.sampler.load_state_dict(state["sampler"])
