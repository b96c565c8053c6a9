"""Progress on the terminal: a live bar, plain lines where there is no terminal, or nothing."""

import math
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

FIGURES = {
    "train/batch_reward": "batch reward",
    "train/critic_loss": "critic",
    "train/actor_loss": "actor",
    "train/reconstruction_loss": "reconstruction",
}
"""Metrics that lines of progress show, and what they call them."""


COMPILING = "the first updates are compiled, which takes up to a minute, and minutes for large networks"
"""What is said of a pause in which nothing happens on the screen."""
ENDLESS = 1e9
"""Seconds, thirty years, beyond which a time that is left says nothing."""


class Console(Protocol):
    """What the trainer tells whoever is watching."""

    def progress(self, env_steps: int) -> None:
        """Say how far the run is; cheap enough for every decision."""

    def episode(self, number: int, episode_return: float, seconds: float) -> None:
        """Say which training episode has finished, with what return, and how long it took."""

    def learned(self, values: Mapping[str, float]) -> None:
        """Say the metrics of the last updates, by tag."""

    def evaluation(self, env_steps: int, return_mean: float) -> None:
        """Say the mean return of an evaluation."""

    def say(self, line: str) -> None:
        """Print a line."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def open_console(
    total: int, start: int = 0, quiet: bool = False, compiled: bool = False, left: float = math.inf
) -> Console:
    """The console that suits standard output, for a run from `start` to `total` environment steps.

    It ends after `left` seconds, whatever its steps. Where updates are compiled it says so first: the run seems to
    stand still meanwhile.
    """
    if quiet or sys.stdout is None:  # as in a daemon
        return Quiet()
    console: Console = Live(total, start, left=left) if sys.stdout.isatty() else Plain(total, left=left)
    if compiled and start < total:
        console.say(COMPILING)
    return console


@contextmanager
def audience() -> Iterator[None]:
    """Go on in silence where nobody listens any more: a pipe's reader has gone, or the terminal was closed."""
    try:
        yield
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # what is still buffered goes there as well
        os.close(nowhere)


def announce(line: str) -> None:
    """Print a line, at once even into a pipe, or nowhere where nobody listens."""
    with audience():
        print(line, flush=True)


class Quiet:
    """Says nothing."""

    def progress(self, env_steps: int) -> None:
        """Nothing."""

    def episode(self, number: int, episode_return: float, seconds: float) -> None:
        """Nothing."""

    def learned(self, values: Mapping[str, float]) -> None:
        """Nothing."""

    def evaluation(self, env_steps: int, return_mean: float) -> None:
        """Nothing."""

    def say(self, line: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Keeping:
    """Keeps the figures of episodes and updates until they are shown."""

    def __init__(self, total: int, seconds: float, left: float) -> None:
        self._total = total
        self._status = Status(total, seconds, left)
        self._details = ["episode 0"]

    def episode(self, number: int, episode_return: float, seconds: float) -> None:
        """Keep the figures for the next line."""
        self._status.episode_return = episode_return
        self._details[:1] = [f"episode {number} of {seconds:.1f} s"]

    def learned(self, values: Mapping[str, float]) -> None:
        """Keep the figures for the next line."""
        shown = [f"{name} {values[tag]:.4g}" for tag, name in FIGURES.items() if tag in values]
        self._details = [*self._details[:1], *shown]

    def line(self, env_steps: int, *figures: str) -> str:
        """How far the run is, and figures."""
        return "  ".join([f"{env_steps:,}/{self._total:,} steps", *figures])


class Plain(Keeping):
    """A line every few seconds and one for each evaluation."""

    def __init__(self, total: int, seconds: float = 5.0, left: float = math.inf) -> None:
        super().__init__(total, seconds, left)

    def progress(self, env_steps: int) -> None:
        """Print a line when some seconds have gone by."""
        if self._status.due(env_steps):
            self.say(self.line(env_steps, *self._details, self._status.text()))

    def evaluation(self, env_steps: int, return_mean: float) -> None:
        """Print the evaluation."""
        self._status.eval_return = return_mean
        self.say(self.line(env_steps, f"evaluation {return_mean:.1f}"))

    def say(self, line: str) -> None:
        """Print a line."""
        announce(line)

    def close(self) -> None:
        """Nothing to leave."""


class Live(Keeping):
    """A progress bar with the returns, the pace and the time left; above it a line with all figures an evaluation.

    It is drawn by the trainer's own calls: a thread that draws would take time from the update, and would be
    copied when environment workers are forked.
    """

    def __init__(self, total: int, start: int, seconds: float = 0.25, left: float = math.inf) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        super().__init__(total, seconds, left)
        columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.fields[status]}"))
        self._bar = Progress(*columns, auto_refresh=False)
        self._task = self._bar.add_task("train", total=total, completed=start, status="")
        self._bar.start()

    def progress(self, env_steps: int) -> None:
        """Draw the bar when a quarter of a second has gone by."""
        if self._status.due(env_steps):
            self._draw(env_steps)

    def evaluation(self, env_steps: int, return_mean: float) -> None:
        """Print the figures, for which a bar is not wide enough, and draw the bar with the evaluation."""
        self._status.eval_return = return_mean
        self.say(self.line(env_steps, *self._details, self._status.text()))
        self._draw(env_steps)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        with audience():
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the bar as it is and give the cursor back."""
        with audience():
            self._bar.refresh()
            self._bar.stop()

    def _draw(self, env_steps: int) -> None:
        with audience():
            self._bar.update(self._task, completed=env_steps, status=self._status.text(), refresh=True)


class Status:
    """The figures both consoles show, and when to show them next."""

    def __init__(self, total: int, seconds: float, left: float = math.inf) -> None:
        self.episode_return: float | None = None
        self.eval_return: float | None = None
        self._total = total
        self._seconds = seconds
        self._ends = time.monotonic() + left
        self._samples: deque[tuple[float, int]] = deque(maxlen=40)  # (time, steps): the pace is that of the last ones

    def due(self, env_steps: int) -> bool:
        """Whether the seconds have gone by; if so, the time and the steps are noted."""
        now = time.monotonic()
        if self._samples and now < self._samples[-1][0] + self._seconds:
            return False
        self._samples.append((now, env_steps))
        return len(self._samples) > 1

    def text(self) -> str:
        """Returns, steps a second, time left; what is not known yet is left out."""
        parts = []
        if self.episode_return is not None:
            parts.append(f"return {self.episode_return:.1f}")
        if self.eval_return is not None:
            parts.append(f"eval {self.eval_return:.1f}")
        if len(self._samples) > 1:
            (begin, first), (end, last) = self._samples[0], self._samples[-1]
            pace = (last - first) / (end - begin)
            parts.append(f"{pace:,.0f} steps/s")
            steps_take = max(0, self._total - last) / pace if pace > 0 else math.inf
            left = min(steps_take, max(0.0, self._ends - end))
            if left < ENDLESS:
                parts.append(f"{timedelta(seconds=round(left))} left")
        return "  ".join(parts)
