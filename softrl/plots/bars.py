"""Bars: ratios with their ranges and targets, a panel for each family."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from softrl.plots.style import GREY, SETTINGS, check_suffix, line, save

WIDTH, ROW, FRAME, LINE = 8.4, 0.24, 0.75, 0.2  # inches: the figure, a bar, what a panel needs around its bars, a line
THICKNESS = 0.62  # of a bar, in rows
MARK = 0.9  # height of a target's mark, in rows
LONGEST = 1.5  # times the longest bar or mark: ranges end there, so that one disturbed moment does not squeeze all bars


class Bar(NamedTuple):
    """A ratio with what it is held against."""

    label: str
    value: float
    lowest: float
    highest: float
    target: float | None  # drawn as a mark across the bar
    note: str = ""  # told behind the value


def bars(panels: Mapping[str, Sequence[Bar]], out: Path) -> Path:
    """Draw a panel of horizontal bars under each name; thin lines are ranges, black marks are targets.

    Behind a bar stand its value and its note, such as what the target asks for.

    Raises UserError when the name of the file says no format, or when it cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    check_suffix(out)
    heights = [FRAME + LINE * name.count("\n") + ROW * len(panel) for name, panel in panels.items()]
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
        grid = figure.add_gridspec(len(panels), 1, height_ratios=heights)
        for index, (name, panel) in enumerate(panels.items()):
            axis = figure.add_subplot(grid[index])
            places = range(len(panel))
            values = [bar.value for bar in panel]
            edge = LONGEST * max(max(bar.value, bar.target or 0.0) for bar in panel)
            highest = [min(bar.highest, edge) for bar in panel]
            reach = [[bar.value - bar.lowest for bar in panel], np.subtract(highest, values)]
            range_look = {"ecolor": GREY, "elinewidth": 1.0}
            axis.barh(places, values, THICKNESS, xerr=reach, color=line(0)["color"], error_kw=range_look)
            marks = [(place, bar.target) for place, bar in zip(places, panel, strict=True) if bar.target is not None]
            for place, target in marks:
                axis.vlines(target, place - MARK / 2, place + MARK / 2, color="black", linewidth=2.0)
            for place, bar, far in zip(places, panel, highest, strict=True):
                end = max(far, bar.target or 0.0)
                told = f"{bar.value:.2f}  {bar.note}".rstrip()
                axis.annotate(told, (end, place), (4, 0), textcoords="offset points", va="center")
            axis.set_title(name, loc="left")
            axis.set_yticks(places, [bar.label for bar in panel])
            axis.set_ylim(len(panel) - 0.5, -0.5)
            axis.margins(x=0.25)  # for the text behind the longest
            axis.grid(axis="y", visible=False)
        axis.set_xlabel("ratio; thin lines: range, cut where it is long; black marks: target")
        return save(figure, out)
