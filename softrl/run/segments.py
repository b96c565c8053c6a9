"""Replay rows on disk: immutable segments, each written once, so that a checkpoint costs what is new."""

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from safetensors import torch as safetensors

from softrl.run.files import digest, make_folder, replace_file
from softrl.run.state import Arrays, snapshot


class Rows(Protocol):
    """What a replay ring shows of itself: the absolute rows [oldest, newest), counted from the start of the run."""

    @property
    def oldest(self) -> int:
        """First absolute row still held."""

    @property
    def newest(self) -> int:
        """Number of rows ever added."""

    def rows(self, start: int, stop: int) -> Arrays:
        """Arrays by name with the leading axis `stop - start` (time)."""

    def restore(self, newest: int, blocks: Iterable[tuple[int, Arrays]]) -> None:
        """Hold the rows before `newest` again; `blocks` gives (absolute first row, arrays) in order, without gaps."""


class Reference(NamedTuple):
    """A segment that a checkpoint needs."""

    name: str
    sha256: str
    bytes: int


class Segments:
    """The replay as a part of a checkpoint: whole segments in `folder`, the rows around them in the checkpoint itself.

    Segment k holds the absolute rows [k * length, (k + 1) * length). It is written by the first checkpoint at which
    it is full and never again; `prune` deletes it once no kept checkpoint needs it.
    """

    def __init__(self, folder: Path, replay: Rows, length: int = 4096) -> None:
        self.folder = folder
        self.references: list[Reference] = []  # of the state given or loaded last
        self._replay = replay
        self._length = length
        self._known: dict[str, Reference] = {}

    def state_dict(self) -> dict[str, Any]:
        """Write the segments that are new and return what the checkpoint must hold beside them."""
        oldest, newest = self._replay.oldest, self._replay.newest
        first, last = oldest // self._length, newest // self._length
        if _name(first * self._length) not in self._known:
            first = -(-oldest // self._length)  # its first rows were overwritten before any checkpoint saw it
        starts = [index * self._length for index in range(first, last)]
        self.references = [self._written(start) for start in starts]
        self._known = {reference.name: reference for reference in self.references}
        head = min(newest, first * self._length)
        tail = max(oldest, last * self._length)
        return {
            "oldest": oldest,
            "newest": newest,
            "length": self._length,
            "segments": [list(reference) for reference in self.references],
            "head": self._replay.rows(oldest, head) if oldest < head <= tail else {},
            "tail": self._replay.rows(tail, newest) if tail < newest else {},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Read the rows back into the replay; the caller has verified the segments."""
        self._length = state["length"]
        self.references = [Reference(*reference) for reference in state["segments"]]
        self._known = {reference.name: reference for reference in self.references}
        self._replay.restore(state["newest"], blocks(self.folder, state))

    def prune(self, needed: Collection[str]) -> None:
        """Delete every segment and leftover whose name is not `needed`."""
        for path in self.folder.glob("*rows_*"):
            if path.name not in needed:
                path.unlink()
        self._known = {name: reference for name, reference in self._known.items() if name in needed}

    def _written(self, start: int) -> Reference:
        name = _name(start)
        if name not in self._known:
            rows = self._replay.rows(start, start + self._length)
            data = safetensors.save({key: snapshot(array) for key, array in rows.items()})
            make_folder(self.folder)
            replace_file(self.folder / name, data)
            self._known[name] = Reference(name, digest(data), len(data))
        return self._known[name]


def blocks(folder: Path, state: dict[str, Any]) -> Iterator[tuple[int, Arrays]]:
    """What a state of `Segments`, whose files are in `folder`, stands for: pairs of absolute first row and arrays."""
    oldest, newest = state["oldest"], state["newest"]
    if state["head"]:
        yield oldest, state["head"]
    for name, *_ in state["segments"]:
        start = _first_row(name)
        arrays = safetensors.load_file(folder / name)
        skip = max(0, oldest - start)
        yield start + skip, {key: array[skip:] for key, array in arrays.items()}
    if state["tail"]:
        yield max(oldest, newest // state["length"] * state["length"]), state["tail"]


def _name(start: int) -> str:
    return f"rows_{start:012d}.safetensors"


def _first_row(name: str) -> int:
    return int(os.path.splitext(name)[0].removeprefix("rows_"))
