"""The tables of runs that the clock ends: what each recipe has reached after a third, two thirds and all of its time.

How returns follow steps does not depend on the processor, but how many steps a time has does. Where `rates.py` has
measured methods on one processor, their curves are read at the steps that the time has there,

    N = (T - c + w v) / (v + e / E),

with T seconds, c of them for compiling, v a step, the first w steps free as they are random, and an evaluation of e
seconds every E steps. Where the clock ended a run it was evaluated once more: that one, at no multiple of E, is left
out. Methods with a run that is shorter are named below that table. Others are read at their own time.
"""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import raw
from tables import evaluations, mean_of_last, table

HEADER = ("task", "method", "minutes", "env steps", "at 1/3", "at 2/3", "at the end", "sd over seeds", "seeds")
PARTS = (1 / 3, 2 / 3, 1.0)
ALIKE = {"equal_sac": "half_hour_sac", "equal_fast": "half_hour_flashsac"}
"""Methods of lists/fast.txt -> the same settings in lists/half_hour.txt, under which they were timed."""


class Clocked(NamedTuple):
    """The runs of one method on one task, all given so much time: the rows of their eval.csv."""

    task: str
    minutes: float
    method: str
    runs: Sequence[list[dict[str, str]]]
    steps: float | None = None  # that the time has on the processor that was measured

    @property
    def reaches(self) -> bool:
        """Whether every run has the last evaluation that the time has there."""
        last = (float(scheduled(rows)[-1]["env_steps"]) + every(rows) for rows in self.runs)
        return self.steps is None or min(last) > self.steps

    def returns(self) -> list[list[float]]:
        """For a third, two thirds and all of the time, each run's mean of the last three evaluations."""
        return [[mean_of_last(self.until(rows, part)) for rows in self.runs] for part in PARTS]

    def until(self, rows: list[dict[str, str]], part: float) -> list[dict[str, str]]:
        """The evaluations of a run up to such a part of its time."""
        if self.steps is not None:
            return [row for row in scheduled(rows) if float(row["env_steps"]) <= part * self.steps]
        return [row for row in rows if float(row["seconds"]) <= part * float(rows[-1]["seconds"])]

    def cells(self) -> tuple[str, ...]:
        """A line of a table."""
        ends = statistics.fmean(float(rows[-1]["env_steps"]) for rows in self.runs)
        *_, last = returns = self.returns()
        means = (f"{statistics.fmean(each):.1f}" for each in returns)
        sd = f"{statistics.stdev(last):.1f}" if len(last) > 1 else ""
        return self.task, self.method, f"{self.minutes:g}", f"{self.steps or ends:.0f}", *means, sd, str(len(last))


def limit(run: Path) -> float | None:
    """Minutes after which a run ends, by its configuration; none where steps end it."""
    minutes = json.loads((run / "config.json").read_text()).get("minutes")
    return None if minutes is None else float(minutes)


def clocked(results: Path) -> list[str]:
    """All such runs under a folder of results as Markdown; nothing where there are none."""
    speeds = rates(results / "speed")
    groups = list(found(results))
    # A run may have been given longer, so that it comes as far as the time has steps on that processor.
    minutes = min((group.minutes for group in groups if speeds.get(timed(group))), default=0.0)
    groups = [
        on(group._replace(minutes=minutes), turns) if (turns := speeds.get(timed(group))) else group for group in groups
    ]
    level = [group for group in groups if group.steps is not None and group.reaches]
    own = [group for group in groups if group.steps is None]
    lines = []
    if level:
        lines += [f"Read at the steps that the time has on one core of {processor(speeds)}:", "", *ordered(level), ""]
    if short := [f"`{group.method}` on {group.task}" for group in groups if not group.reaches]:
        lines += [f"Not long enough for that: {', '.join(short)}.", ""]
    if own:
        lines += ["Read at the end of their own time, on processors of different speeds:", "", *ordered(own), ""]
    return lines[:-1]


def found(results: Path) -> Iterator[Clocked]:
    """The runs by task and method, with the least time that one of them was given."""
    groups, times = defaultdict(list), defaultdict(list)
    for path in sorted(results.glob("*/**/seed*/eval.csv")):
        minutes = limit(path.parent)
        if minutes is not None:
            task = json.loads(path.with_name("config.json").read_text())["env"]["name"]
            method = path.relative_to(results).parts[0]
            groups[task, method].append(evaluations(path.parent))
            times[task, method].append(minutes)
    for (task, method), runs in groups.items():
        yield Clocked(task, min(times[task, method]), method, runs)


# ------------------------------------------------------------ the steps that a time has


def rates(speed: Path) -> dict[tuple[str, str], list[raw.Row]]:
    """The rounds of each method and task, of the processor that was measured last."""
    methods = [file.stem.removeprefix(f"{raw.RATES}-") for file in speed.glob(f"{raw.RATES}-*.csv")]
    rows = {method: raw.read(speed, raw.RATES, method) for method in methods}
    newest = max((row for each in rows.values() for row in each), key=lambda row: row["time"], default={})
    found = defaultdict(list)
    for method, each in rows.items():
        for row in each:
            if raw.machine(row) == raw.machine(newest):
                found[method, raw.flag(row, "--env")].append(row)
    return found


def processor(speeds: dict[tuple[str, str], list[raw.Row]]) -> str:
    """Whose steps they are."""
    return next(iter(speeds.values()))[0]["cpu"]


def timed(group: Clocked) -> tuple[str, str]:
    """Under what method and task the runs' settings were timed."""
    return ALIKE.get(group.method, group.method), group.task


def on(group: Clocked, turns: list[raw.Row]) -> Clocked:
    """The runs with the steps that their time has on a processor."""
    rows = group.runs[0]
    second = statistics.median(1 / float(turn["steps_per_second"]) for turn in turns)
    evaluation = statistics.median(float(turn["evaluation_seconds"]) for turn in turns)
    compiling = statistics.median(float(turn["first_seconds"]) for turn in turns if turn["first_seconds"])
    steps = (60 * group.minutes - compiling + random_steps(rows) * second) / (second + evaluation / every(rows))
    return group._replace(steps=steps)


def scheduled(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The evaluations that steps asked for, and no clock."""
    return [row for row in rows if float(row["env_steps"]) % every(rows) == 0]


def every(rows: list[dict[str, str]]) -> float:
    """Steps between evaluations."""
    return float(rows[1]["env_steps"]) - float(rows[0]["env_steps"])


def random_steps(rows: list[dict[str, str]]) -> float:
    """Steps before the first update, from how updates follow steps at the end."""
    middle, last = rows[len(rows) // 2], rows[-1]
    steps, updates = (float(last[count]) - float(middle[count]) for count in ("env_steps", "updates"))
    return float(last["env_steps"]) - float(last["updates"]) * steps / updates


# ------------------------------------------------------------ the table


def ordered(groups: Iterable[Clocked]) -> list[str]:
    """A table, the best of a task first."""
    best = sorted(groups, key=lambda group: (group.task, group.minutes, -statistics.fmean(group.returns()[-1])))
    return table(HEADER, (group.cells() for group in best))
