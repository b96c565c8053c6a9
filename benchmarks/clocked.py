"""The table of runs that the clock ends: what each recipe has reached after a third, two thirds and all of its time."""

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from tables import evaluations, mean_of_last, table

HEADER = ("task", "method", "minutes", "env steps", "at 1/3", "at 2/3", "at the end", "sd over seeds", "seeds")


class Ended(NamedTuple):
    """One run: what it was given, how far it came, and the mean of the last three evaluations at three times."""

    task: str
    method: str
    minutes: float
    env_steps: float
    returns: tuple[float, ...]


def limit(run: Path) -> float | None:
    """Minutes after which a run ends, by its configuration; none where steps end it."""
    minutes = json.loads((run / "config.json").read_text()).get("minutes")
    return None if minutes is None else float(minutes)


def ended(run: Path, method: str, minutes: float) -> Ended:
    """What the evaluations of a run tell."""
    rows = evaluations(run)
    returns = []
    for part in (1, 2, 3):
        before = [row for row in rows if float(row["seconds"]) <= 60 * minutes * part / 3 or part == 3]
        returns.append(mean_of_last(before))
    task = json.loads((run / "config.json").read_text())["env"]["name"]
    return Ended(task, method, minutes, float(rows[-1]["env_steps"]), tuple(returns))


def clocked(results: Path) -> list[str]:
    """All such runs under a folder of results as Markdown, the best of a task first; nothing where there are none."""
    groups: dict[tuple[str, float, str], list[Ended]] = defaultdict(list)
    for path in sorted(results.glob("*/**/seed*/eval.csv")):
        minutes = limit(path.parent)
        if minutes is not None:
            run = ended(path.parent, path.relative_to(results).parts[0], minutes)
            groups[run.task, run.minutes, run.method].append(run)
    if not groups:
        return []
    best_first = sorted(groups, key=lambda key: (*key[:2], -mean(groups[key], 2)))
    return table(HEADER, (cells(groups[key]) for key in best_first))


def mean(runs: list[Ended], time: int) -> float:
    """Mean over seeds at one of the three times."""
    return statistics.fmean(run.returns[time] for run in runs)


def cells(runs: list[Ended]) -> tuple[str, ...]:
    """One method on one task as text."""
    last = [run.returns[-1] for run in runs]
    sd = f"{statistics.stdev(last):.1f}" if len(last) > 1 else ""
    reached = statistics.fmean(run.env_steps for run in runs)
    returns = (f"{mean(runs, time):.1f}" for time in range(3))
    return runs[0].task, runs[0].method, f"{runs[0].minutes:g}", f"{reached:.0f}", *returns, sd, str(len(runs))
