"""What the pages of results have in common: tables in Markdown and CSV, and the evaluations that make a return."""

import csv
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

LAST = 3
"""Evaluations that are averaged: the last ones of a run, or the last ones before some moment."""


def line(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table with a header, line by line."""
    return [line(header), line(["---"] * len(header)), *map(line, rows)]


def keep(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """Write a CSV file, a row for each line."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def evaluations(run: Path) -> list[dict[str, str]]:
    """The rows of a run's eval.csv."""
    with (run / "eval.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def mean_of_last(rows: Sequence[dict[str, str]]) -> float:
    """Mean return of the last evaluations."""
    return statistics.fmean(float(row["return_mean"]) for row in rows[-LAST:])
