"""One checkpoint folder: how its files are written, verified and read."""

import json
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import torch as safetensors

from softrl.errors import UserError
from softrl.run.files import digest, file_digest, sync_folder, write_durably
from softrl.run.segments import Reference
from softrl.run.state import State, join, split, to_json

FORMAT = 1  # of a checkpoint folder; a reader refuses a greater one


class Saved(NamedTuple):
    """A verified checkpoint in memory."""

    step: int
    parts: dict[str, Any]  # state by the name of the part
    warnings: list[str]  # one sentence for each checkpoint that was refused before this one


class TornError(Exception):
    """A checkpoint that is not whole, and why."""


def read(run: Path, which: str | int = "latest", only: Collection[str] | None = None) -> Saved:
    """Read a checkpoint of the run folder: "latest", "best" or a step. `only` names the parts wanted (None: all).

    A torn or altered "latest" is refused with a warning and the one before it is read. Nothing on disk is changed.
    Without the part "replay", its segments are neither needed nor verified.

    Raises:
        UserError: there is no such checkpoint, none is whole, or it was written by a newer softrl.
    """
    folders = _candidates(run, which)
    warnings: list[str] = []
    for folder in folders:
        try:
            return Saved(*_settled(folder, run / "replay", only), warnings)
        except TornError as torn:
            warnings.append(f"checkpoint {folder.name} of {run} is refused: {torn}")
    if _candidates(run, which) != folders:  # a run that goes on has dropped them meanwhile, for newer ones
        return read(run, which, only)
    again = f"train again in another folder, or with --run {run} if it was killed before its first one"
    advice = (
        f"{run} has no usable checkpoint: {again}{weights_left(folders)}" if which == "latest" else "use the latest"
    )
    raise UserError("; ".join([*warnings, advice]))


def _settled(folder: Path, replay: Path, only: Collection[str] | None) -> tuple[int, dict[str, Any]]:
    """The step and parts in a folder, which a run that goes on may replace between two of its files."""
    seal = _seal(folder)
    try:
        return _read_folder(folder, replay, only)
    except TornError:
        if _seal(folder) == seal:
            raise
        return _settled(folder, replay, only)


def _seal(folder: Path) -> bytes | None:
    """The manifest of a checkpoint as it is on the disk."""
    with suppress(OSError):
        return (folder / "manifest.json").read_bytes()
    return None


def weights_left(folders: Sequence[Path]) -> str:
    """What to say where the weights of a checkpoint are whole, though its replay is not."""
    for folder in folders:
        with suppress(TornError, UserError):
            _read_folder(folder, folder.parent.parent / "replay", {"agent"})
            return f", or with --init {folder}, whose weights are whole"
    return ""


def available(run: Path) -> list[int]:
    """Steps of the checkpoints on disk, ascending; whether they are whole shows when they are read."""
    names = (re.fullmatch(r"step_(\d{9,})", path.name) for path in (run / "checkpoints").glob("step_*"))
    return sorted(int(match[1]) for match in names if match)


def step_name(step: int) -> str:
    """Name of a checkpoint's folder."""
    return f"step_{step:09d}"


def needed_segments(folder: Path) -> list[Reference]:
    """Replay segments that a checkpoint's manifest names; none when it is torn.

    Raises OSError where the disk does not let it be read just now.
    """
    try:
        return [Reference(*entry) for entry in _manifest(folder)["segments"]]
    except TornError as torn:
        if isinstance(torn.__cause__, OSError) and not isinstance(torn.__cause__, FileNotFoundError):
            raise torn.__cause__ from None
        return []
    except UserError:
        return []


def write_files(folder: Path, step: int, states: dict[str, State], segments: Sequence[Reference]) -> None:
    """Fill an empty folder with the states of the parts ("agent" in a file of its own) and the manifest, durably."""
    agent, agent_arrays = split(states["agent"])
    others, other_arrays = split({name: state for name, state in states.items() if name != "agent"})
    contents = {
        "agent.safetensors": safetensors.save(agent_arrays),
        "arrays.safetensors": safetensors.save(other_arrays),
        "state.json": to_json({"agent": agent, **others}),
    }
    files = {name: {"sha256": digest(data), "bytes": len(data)} for name, data in contents.items()}
    manifest = {"format": FORMAT, "step": step, "files": files, "segments": [list(entry) for entry in segments]}
    for name, data in contents.items():
        write_durably(folder / name, data)
    write_durably(folder / "manifest.json", _sealed(manifest))
    sync_folder(folder)


def _candidates(run: Path, which: str | int) -> list[Path]:
    steps = available(run)
    checkpoints = run / "checkpoints"
    if which == "latest":
        return [checkpoints / step_name(step) for step in reversed(steps)]
    if not isinstance(which, int | str):
        raise UserError(f"{run} has no checkpoint {which!r}: give its step, or latest or best")
    name = step_name(int(which)) if isinstance(which, int) or which.isdecimal() else which
    if not (checkpoints / name).is_dir():
        best = ["best"] * (checkpoints / "best").is_dir()
        listed = ", ".join([*map(str, steps), *best]) or "none"
        raise UserError(f"{run} has no checkpoint '{which}': there are {listed}")
    return [checkpoints / name]


def _read_folder(folder: Path, replay: Path, only: Collection[str] | None) -> tuple[int, dict[str, Any]]:
    manifest = _manifest(folder)
    plain = json.loads(_verified(folder, "state.json", manifest))
    others = {name: value for name, value in plain.items() if name != "agent" and (only is None or name in only)}
    parts: dict[str, Any] = {}
    if "replay" in others:
        _verify_segments(replay, manifest)
    if others:
        parts = join(others, safetensors.load(_verified(folder, "arrays.safetensors", manifest)))
    if only is None or "agent" in only:
        parts["agent"] = join(plain["agent"], safetensors.load(_verified(folder, "agent.safetensors", manifest)))
    return manifest["step"], parts


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest, whole and of a format that is known here."""
    try:
        data = (folder / "manifest.json").read_bytes()
        manifest = json.loads(data)
        body = {key: value for key, value in manifest.items() if key != "sha256"}
    except OSError as error:
        raise TornError(f"manifest.json cannot be read ({error.strerror})") from error
    except (ValueError, AttributeError) as error:
        raise TornError("manifest.json is not whole") from error
    if data != _sealed(body):
        raise TornError("manifest.json was altered, its sha256 is not the one it holds")
    if manifest["format"] > FORMAT:
        raise UserError(
            f"{folder} was written by a newer softrl (format {manifest['format']}): update softrl to read it"
        )
    return body


def _sealed(manifest: dict[str, Any]) -> bytes:
    """A manifest with the sha256 of itself; this rule is the same in every format."""
    return to_json({**manifest, "sha256": digest(to_json(manifest))})


def _verify_segments(replay: Path, manifest: dict[str, Any]) -> None:
    for reference in (Reference(*entry) for entry in manifest["segments"]):
        try:
            whole = file_digest(replay / reference.name) == reference.sha256
        except OSError as error:
            raise TornError(f"its replay segment {reference.name} cannot be read ({error.strerror})") from error
        if not whole:
            raise TornError(f"its replay segment {reference.name} was altered, its sha256 is not the manifest's")


def _verified(folder: Path, name: str, manifest: dict[str, Any]) -> bytes:
    """Content of a file, whole and unaltered."""
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise TornError(f"{name} cannot be read ({error.strerror})") from error
    expected = manifest["files"][name]
    if len(data) != expected["bytes"]:
        raise TornError(f"{name} has {len(data)} bytes instead of {expected['bytes']}")
    if digest(data) != expected["sha256"]:
        raise TornError(f"{name} was altered, its sha256 is not the manifest's")
    return data
