"""The speed figures as a page, benchmarks/results/speed/README.md, and as a picture, docs/speed.png."""

import re
import statistics
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from ratios import LEAST, OURS, Figure, figures, loop_table
from raw import Row, by_name, machine, newest, parts, read, single
from tables import line

from softrl.plots.bars import Bar, bars

HEAD = """\
# Speed

Made by `benchmarks/speed.py table` from the raw numbers beside it. A ratio is taken within a turn: of the loops,
environment steps a second of ours over theirs, which took turns on the same processors; of the updates, the time of an
update over that of its matrix products alone, in blocks that took turns. Ratios are medians, with the range of all
turns; where a measurement was repeated the newest counts, for each machine. Compiling, warming up, evaluations and
checkpoints are left out of all of them. Targets are softrl's own, written down in `benchmarks/ratios.py` beforehand.

Before the first update of a loop, ours or a peer's, replay holds as many rows as `--rows` in its command says, those of
warming up repeated: more than the processor's caches hold. Loops whose commands have no `--rows` sampled from what they
had brought themselves, at most 7,500 rows, which do stay in a cache. `tqc` has one peer: SBX's TQC has two critics
whatever it is told, where ours and that of Stable-Baselines3's contrib have five.

An end of a range below 1, for an update in float32 over its floor, is a block of the floor that something else on the
machine held up; in bfloat16 an update may really be below its floor, which is in float32. The seconds for the first
update are those of compiling, in a process that finds nothing compiled, then in one that finds what the first has left.
The last column tells the number in the last table under which machine, commit, versions and commands are found.

On AMD, measurements begun before 2026-11-22 06:07 had MKL's products, in update and floor alike; with oneDNN's, which
later ones have, the floor takes about half the time, so ratios from before are flattered and their verdicts stand for
MKL alone. Recipes were measured in one process each. Where a turn took twice the median, or half of it, the machine was
disturbed, and there is no verdict. A row stands for the commit in the last table; one that ends in `-dirty` had changes
besides, which are not kept. "AMD EPYC" alone is the name of several processors, one of them nearly twice as fast as
another, whose family and model are kept since 2026-11-23: rows of different measurements under it need not be of one.
"""
COLUMNS = ("", "ratio", "range", "turns", "target", "met")
BREAKDOWN = "sac: where the time of a step goes"


def write(folder: Path, picture: Path) -> list[Figure]:
    """Write the page and the picture from a folder's raw numbers; answers the figures."""
    found = figures(folder)
    (folder / "README.md").write_text("\n".join(page(folder, found)) + "\n")
    drawn = [figure for figure in found if figure.ratios]
    if drawn:
        bars({title(group): [bar(figure, group) for figure in group] for _, group in families(drawn)}, picture)
    return found


def page(folder: Path, found: list[Figure]) -> Iterator[str]:
    """The lines of the page."""
    sources: dict[tuple[str, ...], int] = {}
    yield HEAD
    for name, group in families(found):
        more = list(dict.fromkeys(name for figure in group for name in figure.more))
        yield from heading(name, [*COLUMNS, *more, "processor", "from"])
        for figure in group:
            marks = sorted({sources.setdefault(source(row), len(sources) + 1) for turn in figure.turns for row in turn})
            ratio = f"{figure.ratios[0]:.3f}" if figure.ratios else ""
            cells = [figure.what, ratio, figure.spread, str(len(figure.turns)), figure.bound, figure.verdict]
            yield line(
                [*cells, *(figure.more.get(name, "") for name in more), processor(figure), ", ".join(map(str, marks))]
            )
        yield ""
    for group in newest(single(read(folder, loop_table("sac"), OURS)), LEAST):
        yield from breakdown([row for (row,) in group])
    yield from memory(folder, sources)
    yield from heading("Measurements", ["", "begun", "machine", "commit", "versions", "command"])
    for entry, number in sources.items():
        yield line([str(number), *entry])


def breakdown(rows: list[Row]) -> Iterator[str]:
    """Milliseconds of a step and shares of it, by part."""
    yield from heading(f"{BREAKDOWN} ({machine(rows[0])})", ["", "ms", "share"])
    medians = {name: statistics.median(parts(row)[name] for row in rows) for name in parts(rows[0])}
    for name, value in medians.items():
        yield line([name, f"{value:.3f}", f"{value / sum(medians.values()):.1%}"])
    yield ""


def memory(folder: Path, sources: dict[tuple[str, ...], int]) -> Iterator[str]:
    """The most memory that a short run of each recipe has held, by its newest measurement."""
    rows = by_name(read(folder, "recipes", "memory"))
    if rows:
        yield from heading("recipes: most memory of a run's process", ["", "MiB", "processor", "from"])
    for name, each in rows.items():
        mark = sources.setdefault(source(each[-1]), len(sources) + 1)
        yield line([name, f"{float(each[-1]['peak_mib']):.0f}", each[-1]["cpu"], str(mark)])
    yield ""


def families(found: list[Figure]) -> list[tuple[str, list[Figure]]]:
    """Figures that share a table and a panel, in their order."""
    return [(name, list(group)) for name, group in groupby(found, key=lambda figure: figure.family)]


def source(row: Row) -> tuple[str, ...]:
    """Where a row comes from; rows that differ in the recipe only come from the same."""
    command = row["command"].replace(f"--recipe {row['name']} ", "--recipe NAME ")
    return row["measurement"], machine(row), row["commit"], row["versions"], f"`{command}`"


def heading(name: str, columns: list[str]) -> list[str]:
    """A section's name and the first lines of its table."""
    return [f"## {name}", "", line(columns), line(["---"] * len(columns))]


def title(group: list[Figure]) -> str:
    """What a panel is called: a family, and the processor where there is one."""
    processors = {processor(figure) for figure in group}
    return group[0].family if len(processors) > 1 else f"{group[0].family}\n{processors.pop()}"


def bar(figure: Figure, beside: list[Figure]) -> Bar:
    """A figure as it is drawn, with its processor where those of several are drawn together."""
    several = len({processor(each) for each in beside}) > 1
    what = f"{figure.what} ({processor(figure)})" if several else figure.what
    note = "disturbed" if figure.verdict == "disturbed" else f"({figure.bound})" if figure.bound else ""
    return Bar(what, *figure.ratios, figure.target, note)


def processor(figure: Figure) -> str:
    """Its name, as short as it can be told."""
    (row, *_), *_ = figure.turns
    return row.get("gpu") or re.sub(r"\(R\)|\(TM\)| Processor| CPU", "", row["cpu"])
