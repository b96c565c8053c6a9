"""The checkpoints of a run: every stateful part, saved atomically, the newest few kept, the best beside them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from softrl.errors import UserError
from softrl.run.files import make_folder, run_errors, sync_folder
from softrl.run.saved import Saved, available, needed_segments, read, step_name, write_files
from softrl.run.segments import Reference, Segments

_PARTIAL = ".partial"  # suffix of a folder that is being written or deleted
_REPLACED = ".replaced"  # suffix of a folder that makes way for another of the same name
_LATER = {"settings"}  # parts that older checkpoints do not have, and do without


class Part(Protocol):
    """Anything stateful."""

    def state_dict(self) -> Any:
        """Nested dict of arrays and plain values."""

    def load_state_dict(self, state: Any, /) -> Any:
        """Take over what `state_dict` gave."""


class Checkpoints:
    """The checkpoints of the run in `folder`, written by the one process that holds the run's lock.

    `checkpoints/step_<nine digits>/` holds `agent.safetensors` (the agent's arrays), `arrays.safetensors` (those of
    all other parts), `state.json` (plain values) and `manifest.json` (format, step, sha256 and size of each file, and
    the replay segments it needs).
    A checkpoint appears whole or not at all: temporary folder, fsync, rename; only then is the oldest dropped.
    """

    def __init__(self, folder: Path, keep: int, *, agent: Part, replay: Segments | None = None, **others: Part) -> None:
        self.warnings: list[str] = []  # of the last load, for the caller to print
        self._run = folder
        self._folder = folder / "checkpoints"
        self._keep = keep
        self._replay = replay
        self._parts = {"agent": agent} | ({} if replay is None else {"replay": replay}) | others  # loaded in this order

    def save(self, step: int) -> Path:
        """Write the checkpoint of this step, then drop what is no longer kept; draws no random number.

        Raises:
            UserError: the disk is full or cannot be written; earlier checkpoints are intact.
        """
        folder = self._folder / step_name(step)
        with self._intact_after_errors(folder):
            states = {name: part.state_dict() for name, part in self._parts.items()}
            segments = [] if self._replay is None else self._replay.references
            self._install(folder, step, states, segments)
            self._drop(step)
        return folder

    def mark_best(self, step: int) -> Path:
        """Write the agent as it is now to `checkpoints/best`, in place of the best before it.

        Raises:
            UserError: the disk is full or cannot be written; earlier checkpoints are intact.
        """
        folder = self._folder / "best"
        with self._intact_after_errors(folder):
            self._install(folder, step, {"agent": self._parts["agent"].state_dict()}, [])
        return folder

    def load(self, which: str | int = "latest") -> int:
        """Load a checkpoint into the parts, tidy up after a crash and return the step; see `read` for `which`.

        Raises:
            UserError: no usable checkpoint, one from a newer softrl, one without the state of some part, or a leftover
                of a crash that cannot be removed.
        """
        return self.take(verified(self._run, which))

    def take(self, saved: Saved) -> int:
        """Load what `verified` gave into the parts and return its step; raises UserError where it lacks one of them."""
        missing = sorted(set(self._parts) - set(saved.parts) - _LATER)
        if missing:
            raise UserError(
                f"checkpoint {saved.step} of {self._run} lacks {', '.join(missing)}: resume the latest instead"
            )
        self.warnings = saved.warnings
        for name in (name for name in self._parts if name in saved.parts):
            self._parts[name].load_state_dict(saved.parts[name])
        with run_errors(self._run, self._run / "replay"):
            self._prune_segments()
        return saved.step

    @contextmanager
    def _intact_after_errors(self, folder: Path) -> Iterator[None]:
        try:
            with run_errors(self._run, folder):
                make_folder(self._folder)
                tidy(self._folder)
                yield
        except UserError:
            with suppress(OSError):  # where a leftover cannot be removed: it may be what was told
                tidy(self._folder)
                self._prune_segments()
            raise

    def _install(self, folder: Path, step: int, states: dict[str, Any], segments: list[Reference]) -> None:
        partial = folder.with_name(folder.name + _PARTIAL)
        partial.mkdir()
        write_files(partial, step, states, segments)
        if folder.exists():  # a folder cannot be renamed onto a full one; `tidy` mends a crash between the renames
            os.rename(folder, folder.with_name(folder.name + _REPLACED))
        os.rename(partial, folder)
        sync_folder(self._folder)
        tidy(self._folder)

    def _drop(self, step: int) -> None:
        """Drop the oldest, and those of a later step: a load of an earlier one has left that future."""
        steps = available(self._run)
        kept = [other for other in steps if other <= step][-self._keep :]
        for folder in (self._folder / step_name(other) for other in steps if other not in kept):
            os.rename(folder, folder.with_name(folder.name + _PARTIAL))
        tidy(self._folder)
        self._prune_segments()

    def _prune_segments(self) -> None:
        """Delete the segments that no checkpoint on disk needs."""
        if self._replay is None:
            return
        folders = [self._folder / step_name(step) for step in available(self._run)]
        try:
            needed = {reference.name for folder in folders for reference in needed_segments(folder)}
        except OSError:
            return  # what cannot be read now may need any of them; the next save asks again
        self._replay.prune(needed)


def verified(run: Path, which: str | int = "latest") -> Saved:
    """A checkpoint of the run whose lock is held, as `read` gives it, after tidying up what a crash left."""
    with run_errors(run, run / "checkpoints"):
        tidy(run / "checkpoints")
    return read(run, which)


def tidy(checkpoints: Path) -> None:
    """Remove what a crash left: partial folders go, a replaced one without a successor comes back."""
    for replaced in checkpoints.glob(f"*{_REPLACED}"):
        original = replaced.with_name(replaced.name.removesuffix(_REPLACED))
        if original.exists():
            shutil.rmtree(replaced)
        else:
            os.rename(replaced, original)
    for partial in checkpoints.glob(f"*{_PARTIAL}"):
        shutil.rmtree(partial)


@contextmanager
def shape_errors_named(origin: str | Path | None) -> Iterator[None]:
    """Turn torch's complaint about the shapes of loaded weights into a UserError that names where they came from."""
    try:
        yield
    except RuntimeError as error:
        raise UserError(
            f"the weights of {origin} do not fit this agent: use the same recipe, sizes and spaces as that run"
        ) from error
