"""Minutes after which `fast` has the return that Stable-Baselines3's SAC reaches in an hour, by the results of both.

benchmarks/run benchmarks/lists/hour.txt --workers 1
benchmarks/run benchmarks/lists/hour.txt --collect
.venv/bin/python benchmarks/reached.py
"""

import argparse
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import tables

OURS, PEER = "hour_fast", "hour_sb3_sac"
IN_A_ROW = tables.LAST  # evaluations that are the peer's return, and that have to reach it
TARGET = 20  # minutes
HEADER = ("task", "return in an hour", "seeds", "minutes, by seed", "target", "met")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    print("\n".join(reached(Path(__file__).resolve().parent / "results")) or "no results of lists/hour.txt yet")


def reached(results: Path) -> list[str]:
    """A line for each task that both have results of, as Markdown; nothing where there are none."""
    found = [
        cells(path.name, results)
        for path in sorted((results / PEER).glob("*"))
        if (results / OURS / path.name).is_dir()
    ]
    return tables.table(HEADER, found) if found else []


def cells(task: str, results: Path) -> tuple[str, ...]:
    """One task as text; the target is met where every seed meets it."""
    theirs = [statistics.fmean(total for _, total in run[-IN_A_ROW:]) for run in evaluations(results / PEER / task)]
    goal = statistics.fmean(theirs)
    took = [minutes(run, goal) for run in evaluations(results / OURS / task)]
    told = ", ".join("never" if time is None else f"{time:.1f}" for time in took)
    met = all(time is not None and time <= TARGET for time in took)
    return task, f"{goal:.1f}", f"{len(theirs)} and {len(took)}", told, f"<= {TARGET}", "yes" if met else "no"


def evaluations(folder: Path) -> Iterator[list[tuple[float, float]]]:
    """Minutes and mean return of every evaluation, of one run after the other."""
    for path in sorted(folder.glob("seed*/eval.csv")):
        yield [(float(row["seconds"]) / 60, float(row["return_mean"])) for row in tables.evaluations(path.parent)]


def minutes(run: list[tuple[float, float]], goal: float) -> float | None:
    """When the third evaluation in a row had reached a return; None where none had."""
    row = 0
    for time, total in run:
        row = row + 1 if total >= goal else 0
        if row == IN_A_ROW:
            return time
    return None


if __name__ == "__main__":
    main()
