"""Recorded experience as rows of replay: episodes from an .npz file or from Minari. Shapes: see `softrl.types`."""

import zlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from gymnasium.vector.utils import batch_space, iterate
from torch import Tensor

from softrl.data.spaces import FlatActions, spelled
from softrl.data.wrappers import flat_rows
from softrl.errors import UserError

MINARI = "minari:"
"""What the name of a data set of Minari begins with."""
KEYS = ("observations", "actions", "rewards", "terminals", "timeouts")
"""Arrays of a file, [n,..] each, with n decisions one after the other; `next_observations` may come with them."""
SINGLE = ("rewards", "terminals", "timeouts")
"""Those with one number a decision, which some files keep in a column."""
UNREADABLE = (OSError, ValueError, TypeError, EOFError, BadZipFile, zlib.error)
"""What numpy raises for files that are torn, or none of .npz."""


class Recorded(NamedTuple):
    """An episode, or the piece of one that was recorded."""

    observations: np.ndarray  # [T+1,D]
    actions: list[Any]  # T of them, as the environment takes them
    rewards: np.ndarray  # [T]
    terminated: bool  # whether the last decision ended the task; else the episode was cut


def episodes(name: str) -> Iterable[Recorded]:
    """The episodes of a data set by its name; raises UserError where there is none that can be read."""
    return minari(name.removeprefix(MINARI)) if name.startswith(MINARI) else file(Path(name))


def file(path: Path) -> Iterator[Recorded]:
    """Episodes of an .npz file with the arrays of D4RL (arXiv 2004.07219), whose decisions follow each other.

    An episode ends where `terminals` or `timeouts` say so, and with the file. Without `next_observations` nobody knows
    what the last action of an episode that was cut led to: its last observation is the final one, the action left out.
    Raises UserError for a file that is not such a one.
    """
    try:
        with np.load(path) as archive:
            arrays = {key: archive[key] for key in archive.files}
            arrays |= {key: np.ravel(arrays[key]) for key in SINGLE if key in arrays}
    except UNREADABLE as error:
        raise UserError(
            f"the data set {path} cannot be read ({cause(error)}): give the folder of a run, {MINARI}ID, or an .npz "
            f"file with {', '.join(KEYS)}"
        ) from error
    absent = [key for key in KEYS if key not in arrays]
    if absent or len({arrays[key].shape[:1] for key in {*KEYS, "next_observations"} & arrays.keys()}) > 1:
        wrong = f"has no {', '.join(absent)}" if absent else "has arrays of several lengths"
        raise UserError(f"the data set {path} {wrong}: it needs {', '.join(KEYS)}, one entry a decision in each")
    if odd := [key for key in {*KEYS, "next_observations"} & arrays.keys() if arrays[key].dtype.kind not in "biuf"]:
        raise UserError(f"the data set {path} has no numbers in {', '.join(sorted(odd))}: give numbers or truth values")
    observations, actions, rewards, terminals, timeouts = (arrays[key] for key in KEYS)
    followed = "next_observations" in arrays
    finals = arrays["next_observations"] if followed else observations
    ends = np.flatnonzero(terminals.astype(bool) | timeouts.astype(bool)) + 1
    for begun, end in pairwise(sorted({0, *ends.tolist(), len(rewards)})):
        terminated = bool(terminals[end - 1])
        known = end if followed or terminated else end - 1  # behind the last action whose outcome is known
        if known > begun:
            seen = np.concatenate([observations[begun:known], finals[end - 1 : end]])
            yield Recorded(seen.reshape(len(seen), -1), list(actions[begun:known]), rewards[begun:known], terminated)


def cause(error: Exception) -> str:
    """What is wrong with a file, without numpy's advice to run whatever lies in it."""
    return "it is no archive of arrays" if "pickle" in str(error) else str(error)


def minari(name: str) -> Iterator[Recorded]:
    """Episodes of a data set of Minari, which is fetched where it is not there yet; raises UserError without it."""
    try:
        from minari import load_dataset
    except ImportError as error:
        raise UserError(f"{MINARI}{name} needs Minari: pip install 'minari[hdf5,hf]'") from error
    try:
        found = load_dataset(name, download=True)
    except Exception as error:
        raise UserError(f"Minari has no data set {name} for us ({error}): see `minari list remote`") from error
    for episode in found.iterate_episodes():
        count = len(episode.rewards)
        yield Recorded(
            flat_rows(found.observation_space, episode.observations, count + 1),
            list(iterate(batch_space(found.action_space, count), episode.actions)),
            episode.rewards,
            bool(episode.terminations[-1]),
        )


def columns(name: str, space: FlatActions, size: int) -> dict[str, Tensor]:
    """Rows of replay for all episodes of a data set, [n,1,..] by name, with observations of `size` numbers.

    A row for each observation, the final ones marked `last`. Raises UserError where it does not fit the environment.
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold is found below
        parts = [rows(name, episode, space, size) for episode in episodes(name)]
    if not parts:
        raise UserError(f"the data set {name} holds no whole decision: nothing can be learned from it")
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    if not all(np.isfinite(value).all() for value in joined.values()):
        raise UserError(f"the data set {name} holds numbers that are not finite: leave these episodes out of it")
    return {key: torch.from_numpy(value)[:, None] for key, value in joined.items()}


def rows(name: str, episode: Recorded, space: FlatActions, size: int) -> dict[str, np.ndarray]:
    """One episode, [T+1,..] by name: no action, reward or end belongs to its final observation.

    Raises UserError where its observations or actions are not those of the environment.
    """
    count, width = len(episode.actions), episode.observations.shape[1]
    if width != size:
        raise UserError(f"the data set {name} has observations of {width} numbers, and the environment of {size}")
    try:
        actions = np.stack([space.encode(action) for action in episode.actions])
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise UserError(f"the data set {name} has actions that are none of {spelled(space.space)} ({error})") from error
    mark = np.zeros((count + 1, 1), np.float32)
    first, last, terminated, reward = mark.copy(), mark.copy(), mark.copy(), mark.copy()
    first[0], last[-1], terminated[-2], reward[:-1, 0] = 1.0, 1.0, episode.terminated, episode.rewards
    return {
        "obs.state": episode.observations.astype(np.float32),
        "action": np.concatenate([actions, np.zeros_like(actions[:1])]),
        "reward": reward,
        "terminated": terminated,
        "first": first,
        "last": last,
    }
