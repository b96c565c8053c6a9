"""Copies finished runs to benchmarks/results, and writes the table of all results beside the published ones."""

import csv
import json
import shutil
import statistics
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from clocked import clocked, limit
from jobs import Job
from reached import reached
from tables import LAST, evaluations, mean_of_last, table

KEPT = ("eval.csv", "episodes.csv", "train.csv", "config.json", "versions.json", "command.txt")
BEGIN, END = "<!-- learning: begin -->", "<!-- learning: end -->"
OURS, PEER = "these runs", "sb3_sac"
HEADER = (
    "task",
    "method",
    "sees",
    "env steps",
    "repeat",
    "mean",
    "sd over seeds",
    "range",
    "seeds",
    "planned",
    "source",
)
TARGETS = {
    "state": {"sac_v1": [PEER], "simba": ["simba"], "xqc": ["xqc"], "": ["sac[pytorch_sac]"]},
    "pixels": {
        "sac_ae": ["sac_ae"],
        "sac_pixels": ["sac_pixels[sac_ae]"],
        "drq": ["drq[planet]", "drq[dreamer]"],
        "curl": ["curl"],
        "dreamer": ["dreamer"],
    },
}
"""What the methods whose names begin so are held against: the first of these rows that there is."""


class Row(NamedTuple):
    """One method on one task, ours or published."""

    task: str
    method: str
    sees: str  # pixels or state
    steps: int
    repeat: int
    mean: float
    sd: float | None
    seeds: int
    source: str
    range: tuple[float, float] | None = None  # of the seeds
    planned: float | None = None  # executed actions of a plan, of an agent that plans

    @property
    def contest(self) -> tuple[str, str, int]:
        """What rows have in common that are compared: task, kind of observations and budget."""
        return self.task, self.sees, self.steps

    def cells(self) -> list[str]:
        """The row as text."""
        sd = "" if self.sd is None else f"{self.sd:.1f}"
        ends = "" if self.range is None else "{:.1f} to {:.1f}".format(*self.range)
        planned = "" if self.planned is None else f"{self.planned:.2f}"
        head = [self.task, self.method, *map(str, self[2:5]), f"{self.mean:.1f}"]
        return [*head, sd, ends, str(self.seeds), planned, self.source]


def collect(jobs: list[Job], benchmarks: Path) -> int:
    """Copy the runs that are done and write the table anew; answers 1 when some are not done."""
    results = benchmarks / "results"
    for job in jobs:
        if job.done():
            config = job.config()
            copy(job.folder, results / job.folder.parent.name / config["env"]["name"] / f"seed{config['seed']}")
        else:
            print(f"{job.folder}: not done, left out")
    ours = [row for recipe in sorted(results.iterdir()) if recipe.is_dir() for row in measured(recipe)]
    rows = sorted(ours + published(benchmarks / "reference.csv", ours), key=lambda row: (row.task, row.steps))
    learned = table(HEADER, (row.cells() for row in rows))
    write(
        results / "README.md",
        [*learned, "", *verdicts(rows), "", *clocked(results), "", *reached(results), *altered(results)],
    )
    return 0 if all(job.done() for job in jobs) else 1


def copy(run: Path, target: Path) -> None:
    """Copy the small files of a run."""
    target.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        if (run / name).exists():
            shutil.copyfile(run / name, target / name)


def measured(recipe: Path) -> list[Row]:
    """A row for each task of one recipe's results: the mean over seeds of the mean of the last three evaluations."""
    runs: dict[tuple[str, str, int, int], list[tuple[float, float | None]]] = defaultdict(list)
    for path in sorted(recipe.glob("**/seed*/eval.csv")):
        if limit(path.parent) is not None:
            continue  # has a table of its own, its steps are those that it would have made
        config = json.loads(path.with_name("config.json").read_text())
        rows = evaluations(path.parent)
        lengths = [float(row["chunk_length"]) for row in rows[-LAST:] if row.get("chunk_length")]
        env = config["env"]
        sees = "pixels" if env.get("pixels") else "state"
        key = (env["name"], sees, config["steps"], env.get("repeat", 1))
        runs[key].append((mean_of_last(rows), statistics.fmean(lengths) if lengths else None))
    return [summed(recipe.name, *key, found) for key, found in runs.items()]


def summed(method: str, task: str, sees: str, steps: int, repeat: int, found: list[tuple[float, float | None]]) -> Row:
    """The row of runs with these returns and lengths of plans, a pair each."""
    means, lengths = zip(*found, strict=True)
    several = len(means) > 1
    known = [length for length in lengths if length is not None]
    return Row(
        task,
        method,
        sees,
        steps,
        repeat,
        statistics.fmean(means),
        statistics.stdev(means) if several else None,
        len(means),
        OURS,
        (min(means), max(means)) if several else None,
        statistics.fmean(known) if known else None,
    )


def published(reference: Path, ours: list[Row]) -> list[Row]:
    """The published rows for our tasks, from pixels where ours are: at our budgets, else at the next larger one."""
    with reference.open(newline="") as file:
        rows = [
            Row(
                row["task"],
                row["method"],
                seen(row),
                int(row["env_steps"]),
                int(row["action_repeat"]),
                float(row["mean"]),
                float(row["sd"]) if row["sd"] else None,
                int(row["seeds"]),
                row["source"],
            )
            for row in csv.DictReader(file)
        ]
    wanted = {nearest(row, rows) for row in ours}
    return [row for row in rows if row.contest in wanted]


def nearest(ours: Row, rows: list[Row]) -> tuple[str, str, int]:
    """The contest whose published rows stand beside ours: with the smallest budget that is not below ours."""
    budgets = [row.steps for row in rows if row.contest[:2] == ours.contest[:2] and row.steps >= ours.steps]
    return (*ours.contest[:2], min(budgets, default=ours.steps))


def seen(row: dict[str, str]) -> str:
    """What the agent of a published row sees."""
    return "pixels" if row["suite"].endswith("_pixels") else "state"


def verdicts(rows: list[Row]) -> list[str]:
    """Our results held against their targets, a line each."""
    lines = []
    for row in rows:
        peer = target(row, rows)
        if row.source != OURS or row.method == PEER or peer is None:
            continue
        if peer.method == PEER:
            bar, rule = 0.8 * peer.mean, "0.8 of Stable-Baselines3's SAC in the same budget"
        else:
            bar = peer.mean - max(peer.sd or 0.0, 0.15 * abs(peer.mean))
            rule = f"{peer.method} less the larger of one sd and 15%"
        if bar <= 0:
            continue  # whoever earns nothing meets it
        word = "met" if row.mean >= bar else "missed"
        seeds = "one seed" if row.seeds == 1 else f"{row.seeds} seeds"
        lines.append(f"- {row.task}, {row.method}, {seeds}: {row.mean:.1f}, target {bar:.1f} ({rule}): {word}")
    return lines


def target(row: Row, rows: list[Row]) -> Row | None:
    """The row that one is held against, published or of a peer; none where there is none in its contest."""
    others = [other for other in rows if other.source != OURS or other.method == PEER]
    beside = {other.method: other for other in others if other.contest == row.contest}
    names = next((names for start, names in TARGETS[row.sees].items() if row.method.startswith(start)), [])
    return next((beside[name] for name in names if name in beside), None)


def altered(folder: Path) -> list[str]:
    """A line on the runs whose code had changes beside the commit that they name; none where there are none."""
    runs = sorted(folder.glob("**/seed*/versions.json"))
    dirty = [run for run in runs if json.loads(run.read_text()).get("commit", "").endswith("-dirty")]
    if not dirty:
        return []
    names = ", ".join(f"`{run.parent.relative_to(folder)}`" for run in dirty)
    return [f"The code of {len(dirty)} of these {len(runs)} runs had changes beside the commit it names: {names}."]


def write(path: Path, lines: list[str]) -> None:
    """Put the lines between the marks of the file, which is made where there is none."""
    text = path.read_text() if path.exists() else f"# Results\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text("\n".join([f"{before}{BEGIN}", *lines, f"{END}{after}"]))
