"""What a run writes down: CSV tables, metrics.jsonl, TensorBoard events and log.txt, all cut back on resume."""

import json
import math
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softrl.errors import UserError, own_traceback
from softrl.run.events import Events
from softrl.run.files import AppendedFile
from softrl.run.means import Means

TABLES = {
    "train.csv": ("env_steps", "episode", "return", "length", "success", "seconds"),
    "eval.csv": (
        *("env_steps", "decisions", "updates", "return_mean", "return_sd", "return_min", "return_max"),
        *("length_mean", "success_mean", "seconds"),
    ),
    "episodes.csv": ("env_steps", "episode", "return", "length"),
}
PLANNED = ("chunk_length", "confidence")
"""Last columns of train.csv and eval.csv where several actions are planned at once: means over the plans executed."""
_RECENT = 100  # training episodes behind the rollout tags, as Stable-Baselines3 has it


class Logger:
    """The log files of a run folder, appended to; the tags are those of Stable-Baselines3 where it has one.

    Every append reaches the operating system at once, `state_dict` makes the disk have it. The columns called seconds,
    the tags under `time/` and the time stamps of log.txt are the only values that depend on the clock.
    """

    def __init__(self, folder: Path, device: torch.device | str = "cpu", planned: bool = False) -> None:
        self.events = Events(folder)
        self._means = Means(device)
        self._recent: deque[tuple[float, int, float | None]] = deque(maxlen=_RECENT)
        more = {name: (*TABLES[name], *PLANNED) for name in ("train.csv", "eval.csv") if planned}
        headers = {name: ",".join(columns) + "\n" for name, columns in (TABLES | more).items()}
        headers |= {"metrics.jsonl": "", "log.txt": ""}
        self._files = {name: AppendedFile(folder / name, header.encode()) for name, header in headers.items()}

    def add(self, names: tuple[str, ...], values: Tensor) -> None:
        """Take the metrics of one update, [n], into running means, without waiting for the device."""
        self._means.add(names, values)

    def write(self, env_steps: int, extra: Mapping[str, float], keep: bool = False) -> dict[str, float]:
        """Write the means since the last write under `train/`, the recent episodes and the `extra` tags; return all.

        With `keep` the next means go on from these.
        """
        values = {f"train/{name}": value for name, value in self._means.take(keep).items()}
        if self._recent:
            returns, lengths, told = zip(*self._recent, strict=True)
            values["rollout/ep_rew_mean"] = float(np.mean(returns))
            values["rollout/ep_len_mean"] = float(np.mean(lengths))
            successes = [success for success in told if success is not None]
            values |= {"rollout/success_rate": float(np.mean(successes))} if successes else {}
        values |= extra
        self._scalars(env_steps, values)
        return values

    def episode(
        self,
        env_steps: int,
        episode: int,
        episode_return: float,
        length: int,
        success: float | None,
        seconds: float,
        planned: Sequence[float | None] = (),
    ) -> None:
        """Write a finished training episode; `success` is None where the environment does not say.

        `planned` holds the values of the columns PLANNED, None where no plan was made.
        """
        self._recent.append((float(episode_return), int(length), None if success is None else float(success)))
        self._row("train.csv", env_steps, episode, float(episode_return), int(length), success, seconds, *planned)

    def evaluation(
        self,
        env_steps: int,
        decisions: int,
        updates: int,
        returns: Sequence[float],
        lengths: Sequence[int],
        successes: Sequence[float] | None,
        seconds: float,
        planned: Sequence[float] = (),
        measured: Mapping[str, float] | None = None,
    ) -> dict[str, float]:
        """Write one evaluation: a row, a row for each episode, and the tags, which are returned; `measured` are tags.

        The standard deviation is the population's (ddof 0); `successes` is None where the environment does not say.
        """
        for episode, (episode_return, length) in enumerate(zip(returns, lengths, strict=True)):
            self._row("episodes.csv", env_steps, episode, float(episode_return), int(length))
        mean, spread = float(np.mean(returns)), float(np.std(returns))
        length_mean = float(np.mean(lengths))
        success = None if successes is None else float(np.mean(successes))
        extremes = (float(min(returns)), float(max(returns)))
        cells = (mean, spread, *extremes, length_mean, success, seconds, *planned)
        self._row("eval.csv", env_steps, decisions, updates, *cells)
        values = {"eval/mean_reward": mean, "eval/std_reward": spread, "eval/mean_ep_length": length_mean}
        values |= {} if success is None else {"eval/success_rate": success}
        values |= {f"eval/{name}": value for name, value in zip(PLANNED, planned, strict=False)}
        values |= {f"eval/{name}": value for name, value in (measured or {}).items()}
        self._scalars(env_steps, values)
        return values

    def text(self, line: str) -> None:
        """Write a line with the time to log.txt."""
        stamped = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n"
        self._files["log.txt"].append(stamped.encode(errors="surrogateescape"))  # it may name files

    @contextmanager
    def last_words(self) -> Iterator[None]:
        """Write to log.txt what ends a run, with the traceback of a person's own code, and let it pass."""
        try:
            yield
        except UserError as error:
            with suppress(UserError):  # a full disk takes no words either
                self.text(f"the run ended: {error}\n{own_traceback(error)}".rstrip())
            raise
        except Exception as error:  # of a person's own part, or a defect
            with suppress(UserError):
                self.text(f"the run ended: {''.join(traceback.format_exception(error))}".rstrip())
            raise

    def close(self) -> None:
        """Close the files; nothing is lost when a killed process does not."""
        self.events.close()
        for file in self._files.values():
            file.close()

    def state_dict(self) -> dict[str, Any]:
        """Lengths of all files that the disk has for certain, and what is not written yet."""
        return {
            "positions": {name: file.position() for name, file in self._files.items()},
            "events": self.events.state_dict(),
            "means": self._means.state_dict(),
            "recent": [list(episode) for episode in self._recent],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Cut every file back to where the state was taken and go on from there."""
        for name, file in self._files.items():
            file.cut(state["positions"][name])
            if file.position() < state["positions"][name]:
                file.drop_half_line()
        self.events.load_state_dict(state["events"])
        self._means.load_state_dict(state["means"])
        recent = ((*episode, None)[:3] for episode in state["recent"])  # those of older runs hold no success
        self._recent = deque(recent, maxlen=_RECENT)

    def _row(self, table: str, *cells: float | None) -> None:
        self._files[table].append((",".join(_cell(cell) for cell in cells) + "\n").encode())

    def _scalars(self, env_steps: int, values: Mapping[str, float]) -> None:
        # JSON has no NaN: null is what its readers turn back into one
        finite = {tag: value if math.isfinite(value) else None for tag, value in values.items()}
        self._files["metrics.jsonl"].append((json.dumps({"env_steps": env_steps, **finite}) + "\n").encode())
        self.events.scalars(env_steps, values)


def _cell(value: float | None) -> str:
    """A number with all its digits, whole ones without a point; empty for None."""
    return "" if value is None else str(int(value)) if isinstance(value, int) else repr(float(value))
