"""How plots look: colours that colour-blind readers tell apart, small titles, frames in k and M."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from softrl.errors import UserError, disk_errors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Look = dict[str, Any]  # keywords of matplotlib's drawing functions

PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
"""Okabe and Ito 2008, without the yellow that is lost on white."""
DASHES = ["-", "--", ":", "-."]
"""One round of the palette each, so that 28 lines differ."""
MARKERS = ["D", "s", "^", "v", "o", "P", "X", "<", ">"]
GREY = "#555555"
DODGE = 5.0  # points between the markers of methods that share a budget
SUFFIXES = (".png", ".svg")
COLUMNS = 3
PANEL = (4.4, 3.1)  # inches
LEGEND_ROW, KEY, LETTER = 0.22, 0.5, 0.06  # inches: height of an entry, width of its key, of a letter
SETTINGS: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "svg.hashsalt": "softrl",  # the same plot is the same bytes
}


def line(index: int) -> Look:
    """Colour and dashes of the curve with this number."""
    return {"color": PALETTE[index % len(PALETTE)], "linestyle": DASHES[index // len(PALETTE) % len(DASHES)]}


def canvas(panels: int) -> tuple["Figure", list["Axes"]]:
    """A figure with this many panels, at most three in a row, and its axes."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    columns = 2 if panels == 4 else min(COLUMNS, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows), layout="constrained")
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(panels)]
    for i, axis in enumerate(axes):
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        if i + columns >= panels:
            axis.set_xlabel("environment steps (frames)")
        if i % columns == 0:
            axis.set_ylabel("evaluation return")
    return figure, axes


def legend(figure: "Figure", axes: list["Axes"]) -> None:
    """One legend below all panels, in which each label stands once."""
    entries = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    width = KEY + LETTER * max(map(len, entries), default=0)
    columns = max(1, min(len(entries), int(figure.get_figwidth() / width)))
    rows = -(-len(entries) // columns)
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * rows)
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns)


def visible(label: str) -> str:
    """A label that matplotlib shows: it leaves those out that begin with an underscore."""
    return f"\u200b{label}" if label.startswith("_") else label


def check_suffix(out: Path) -> None:
    """Refuse a file name whose ending says no picture format that softrl writes."""
    if out.suffix.lower() not in SUFFIXES:
        raise UserError(f"cannot tell the picture's format from '{out.name}': end the name in .png or .svg")


def save(figure: "Figure", out: Path) -> Path:
    """Write the figure as PNG or SVG by its suffix; raises UserError when the place cannot be written."""
    stamp: Look = {"Date": None} if out.suffix.lower() == ".svg" else {}
    with disk_errors(f"{out}", "make room or choose another place"):
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=144, metadata=stamp)
    return out
