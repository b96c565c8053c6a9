"""What the pages of results have in common: tables in Markdown, and the evaluations that make a return."""

import csv
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

LAST = 3
"""Evaluations that are averaged: the last ones of a run, or the last ones before some moment."""


def line(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table with a header, line by line."""
    return [line(header), line(["---"] * len(header)), *map(line, rows)]


def evaluations(run: Path) -> list[dict[str, str]]:
    """The rows of a run's eval.csv."""
    with (run / "eval.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def mean_of_last(rows: Sequence[dict[str, str]]) -> float:
    """Mean return of the last evaluations."""
    return statistics.fmean(float(row["return_mean"]) for row in rows[-LAST:])
