"""What keeps networks able to learn: dormant share, effective rank and return of the runs of lists/plasticity.txt.

benchmarks/run benchmarks/lists/plasticity.txt
benchmarks/run benchmarks/lists/plasticity.txt --collect
.venv/bin/python benchmarks/dormant.py

Writes results/plasticity/diagnostics.csv from the metrics of the runs that are here, and prints a table of what that
file and the evaluations beside it say.
"""

import argparse
import csv
import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from tables import evaluations, mean_of_last, table

HERE = Path(__file__).resolve().parent
PREFIX = "plasticity_"
MEASURED = tuple(
    f"{network}_{what}"
    for network in ("critic", "actor")
    for what in ("dormant_share", "effective_rank", "weight_norm")
)
COLUMNS = ("method", "seed", "env_steps", "updates", *MEASURED, "value_churn", "policy_churn")
HEADER = ("method", "seeds", "return", "by seed", *(name.replace("_", " ") for name in MEASURED))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the raw numbers, where runs are here, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    logs = sorted((HERE.parent / "runs").glob(f"*/{PREFIX}*/seed*/metrics.jsonl"))
    rows = [row for log in logs for row in diagnostics(log.parent)]
    kept = HERE / "results" / "plasticity" / "diagnostics.csv"
    if rows:
        kept.parent.mkdir(exist_ok=True)
        with kept.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    print("\n".join(told(HERE / "results")))


def diagnostics(run: Path) -> Iterator[tuple[str, ...]]:
    """What a run has logged of its networks, a row for each time that it looked."""
    method, seed = run.parent.name.removeprefix(PREFIX), run.name.removeprefix("seed")
    with (run / "metrics.jsonl").open() as file:
        for told in map(json.loads, file):
            if "train/critic_dormant_share" in told:
                values = (told.get(f"train/{name}", "") for name in COLUMNS[4:])
                updates = int(told["train/n_updates"])
                yield method, seed, str(told["env_steps"]), str(updates), *(f"{value:.6g}" for value in values)


def told(results: Path) -> list[str]:
    """A line a method as Markdown, the best return first: means over seeds, diagnostics those of the last look."""
    newest: dict[tuple[str, str], dict[str, str]] = {}
    with (results / "plasticity" / "diagnostics.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            newest[row["method"], row["seed"]] = row
    methods = []
    for method in dict.fromkeys(name for name, _ in newest):
        looks = [row for (name, _), row in newest.items() if name == method]
        runs = sorted((results / f"{PREFIX}{method}").glob("*/seed*"))
        returns = [mean_of_last(evaluations(run)) for run in runs]
        means = [f"{statistics.fmean(float(look[name]) for look in looks):.3g}" for name in MEASURED]
        by_seed = ", ".join(f"{value:.0f}" for value in returns)
        methods.append((statistics.fmean(returns), (method, str(len(returns)), by_seed, *means)))
    lines = [(name, seeds, f"{value:.0f}", *rest) for value, (name, seeds, *rest) in sorted(methods, reverse=True)]
    return table(HEADER, lines)


if __name__ == "__main__":
    main()
