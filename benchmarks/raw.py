"""The raw numbers of benchmarks/results/speed: files of rows, and turns that can be compared."""

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

Row = dict[str, str]
Turn = tuple[Row, ...]
"""The raw rows that one ratio comes from."""
RATES = "rates"
"""The table with the environment steps a second of runs that a clock ends."""


def path(folder: Path, table: str, name: str) -> Path:
    """The file with a contender's raw numbers."""
    return folder / f"{table}-{name.replace(' ', '_')}.csv"


def read(folder: Path, table: str, name: str) -> list[Row]:
    """The raw rows of a contender, oldest first."""
    file = path(folder, table, name)
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def add(folder: Path, table: str, name: str, row: Row) -> None:
    """Add a contender's row; columns that its file has not had yet are empty in the rows before."""
    file, before = path(folder, table, name), read(folder, table, name)
    columns = dict.fromkeys([*(before[0] if before else {}), *row])
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = file.with_suffix(".new")
    with whole.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, list(columns))
        writer.writeheader()
        writer.writerows([*before, row])
    whole.replace(file)


def single(rows: list[Row]) -> list[Turn]:
    """Each row as a turn of its own."""
    return [(row,) for row in rows]


def joined(*contenders: list[Row]) -> list[Turn]:
    """What all of them did in the same round of the same measurement."""
    turns = [{(row["measurement"], row["round"]): row for row in rows} for rows in contenders]
    return [tuple(turn[key] for turn in turns) for key in turns[0] if all(key in turn for turn in turns)]


def newest(turns: Iterable[Turn], least: int) -> list[tuple[Turn, ...]]:
    """For each machine and setting, the newest measurement with at least so many turns."""
    found: dict[tuple[str, ...], dict[str, list[Turn]]] = defaultdict(lambda: defaultdict(list))
    for turn in turns:
        found[machine(turn[0]), *setting(turn[0])][turn[0]["measurement"]].append(turn)
    groups = ([group for _, group in sorted(each.items()) if len(group) >= least] for each in found.values())
    return [tuple(enough[-1]) for enough in groups if enough]


def by_name(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows by what they measure."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["name"]].append(row)
    return found


def machine(row: Row) -> str:
    """Where a row was measured."""
    gpu = f", {row['gpu']}" if row.get("gpu") else ""
    return f"{row['cpu']}, {row['processors']} processors, {row['threads']} threads{gpu}"


def setting(row: Row) -> tuple[str, ...]:
    """What was measured of what a contender can do: an environment, or sizes."""
    return (flag(row, "--env"), *(row.get(size, "") for size in ("size", "batch", "length")))


def flag(row: Row, name: str) -> str:
    """The value of a flag in a row's command, or nothing."""
    _, _, rest = row["command"].partition(f"{name} ")
    return rest.split(" ")[0]


def parts(row: Row) -> dict[str, float]:
    """Milliseconds of a step by part."""
    named = {name.removeprefix("ms "): value for name, value in row.items() if name.startswith("ms ")}
    return {name: float(value) for name, value in named.items() if value}
