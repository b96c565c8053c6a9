"""Published scores to put beside a curve: the rows of benchmarks/reference.csv."""

import csv
import io
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from softrl.errors import UserError, nearest


class Score(NamedTuple):
    """One published number: a method on a task at a budget."""

    task: str
    method: str
    env_steps: int  # frames
    repeat: int  # frames for each decision
    mean: float
    sd: float | None  # over seeds, where published
    seeds: int
    pixels: bool  # what it was learned from


def scores() -> list[Score]:
    """Every published score that softrl knows."""
    return [
        Score(
            task=row["task"],
            method=row["method"],
            env_steps=int(row["env_steps"]),
            repeat=int(row["action_repeat"]),
            mean=float(row["mean"]),
            sd=float(row["sd"]) if row["sd"] else None,
            seeds=int(row["seeds"]),
            pixels=row["suite"].endswith("_pixels"),
        )
        for row in csv.DictReader(io.StringIO(_file().read_text()))
    ]


def published(method: str, tasks: set[str]) -> list[Score]:
    """Scores of a method on some of the tasks; a name without brackets, `sac`, means every source of it.

    Raises UserError when the method is unknown, or has no score on any of the tasks.
    """
    known = scores()
    chosen = [score for score in known if method in (score.method, score.method.split("[")[0])]
    if not chosen:
        names = sorted({score.method for score in known})
        near = nearest(method, [*names, *(name.split("[")[0] for name in names)])
        raise UserError(f"no published scores of '{method}', only of {', '.join(names)}{near}")
    here = [score for score in chosen if score.task in tasks]
    if not here:
        covered = ", ".join(sorted({score.task for score in chosen}))
        raise UserError(f"'{method}' has no published score on {', '.join(sorted(tasks))}, only on {covered}")
    return here


def _file() -> Traversable:
    installed = files("softrl.plots") / "reference.csv"  # a wheel carries a copy; a checkout has the original
    return installed if installed.is_file() else Path(__file__).parents[2] / "benchmarks" / "reference.csv"
