"""Learning curves: the mean over seeds with bootstrap bands, and published points beside them."""

from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from softrl.errors import UserError
from softrl.math.stats import bootstrap_interval, mean
from softrl.plots.load import Run, found, load
from softrl.plots.names import differences, folders, recipe_of
from softrl.plots.reference import Score, published
from softrl.plots.style import DODGE, GREY, MARKERS, SETTINGS, Look, canvas, check_suffix, legend, line, save, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

By = Literal["recipe", "env", "seed"]
Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)

PANEL: dict[By, Callable[[Run], str]] = {"recipe": lambda run: run.env, "env": recipe_of, "seed": lambda run: run.env}


def names(runs: list[Run], by: By) -> list[str]:
    """What the line of each run is called; runs whose lines have one name are seeds of one experiment."""
    if by == "seed":
        return folders(runs)
    own = [recipe_of(run) if by == "recipe" else run.env for run in runs]
    return [f"{name}, {more}" if more else name for name, more in zip(own, differences(runs), strict=True)]


def plot(runs: list[Path], out: Path, by: By = "recipe", reference: str | None = None) -> Path:
    """Draw the evaluations of runs into a PNG or SVG file, and return its path.

    A folder of runs stands for all of them. `by` names what the lines are: recipes (a panel for each environment),
    environments (a panel for each recipe), or single runs, by their folders. Runs of a recipe that differ in more than
    their seed are different experiments: each has a line, whose name says the differing fields. The shade is the 95%
    bootstrap interval of the mean over seeds. `reference` is a published method, such as `sac[pytorch_sac]`, or `sac`
    for every source of it. Raises UserError for what cannot be read, drawn or written.
    """
    import matplotlib

    check_suffix(out)
    if not runs:
        raise UserError("there is nothing to plot: give one run folder or more")
    loaded = [load(run) for run in {run.resolve(): run for path in runs for run in found(path)}.values()]
    points = published(reference, {run.env for run in loaded}) if reference else []
    named = dict(zip((run.path for run in loaded), names(loaded, by), strict=True))
    looks = {name: line(i) for i, name in enumerate(dict.fromkeys(named.values()))}
    panels = _grouped(loaded, PANEL[by])
    with matplotlib.rc_context(SETTINGS):
        figure, axes = canvas(len(panels))
        for axis, (title, members) in zip(axes, panels.items(), strict=True):
            axis.set_title(title)
            groups = _grouped(members, lambda run: named[run.path])
            for name, group in groups.items():
                draw_line(axis, group, name, looks[name])
            if any(len(group) > 1 for group in groups.values()):
                axis.fill_between([], [], color=GREY, alpha=0.2, label="95% bootstrap interval")
            draw_points(axis, _in_reach(points, members), {name: look["color"] for name, look in looks.items()})
        legend(figure, axes)
        return save(figure, out)


def curve(run: Path) -> Path:
    """Draw one run's evaluations into RUN/curve.png: mean return, and one standard deviation over the episodes."""
    import matplotlib

    loaded = load(run)
    with matplotlib.rc_context(SETTINGS):
        figure, (axis,) = canvas(1)
        axis.set_title(f"{loaded.env}: {recipe_of(loaded)}, seed {loaded.seed}")
        axis.plot(loaded.steps, loaded.returns, marker=".", label="mean return", **line(0))
        spread = loaded.table["return_sd"]
        low, high = loaded.returns - spread, loaded.returns + spread
        axis.fill_between(loaded.steps, low, high, alpha=0.2, linewidth=0, label="one sd over episodes", **line(0))
        legend(figure, [axis])
        return save(figure, run / "curve.png")


def draw_line(axis: "Axes", runs: list[Run], name: str, look: Look) -> None:
    """One curve: mean over runs with its band, each run thin behind it to its own end."""
    steps, table = aligned(runs)
    several = "seeds" if len({run.seed for run in runs}) == len(runs) else "runs"
    label = name if len(runs) == 1 else f"{name} ({len(runs)} {several})"
    axis.plot(steps, mean(table), label=visible(label), marker="." if len(steps) < 2 else "", **look)
    if len(runs) > 1:
        low, high = bootstrap_interval([table])
        axis.fill_between(steps, low, high, color=look["color"], alpha=0.2, linewidth=0)
        for run in runs:
            axis.plot(run.steps, run.returns, color=look["color"], linewidth=0.5, alpha=0.4)


def draw_points(axis: "Axes", points: list[Score], colors: dict[str, str]) -> None:
    """Published means with one standard deviation over seeds where it is known, in the colour of their task's line."""
    from matplotlib.transforms import offset_copy

    markers = {
        method: MARKERS[i % len(MARKERS)] for i, method in enumerate(_grouped(points, lambda point: point.method))
    }
    groups = _grouped(points, lambda point: (point.method, point.repeat, point.task, point.pixels))
    for i, ((method, repeat, task, pixels), group) in enumerate(groups.items()):
        shape: Look = {"marker": markers[method], "markersize": 4.5, "markerfacecolor": "white", "linestyle": "none"}
        label = f"{method} published, from {'pixels' if pixels else 'states'}, repeat {repeat}"
        aside = DODGE * (i - (len(groups) - 1) / 2)
        axis.errorbar(
            [point.env_steps for point in group],
            [point.mean for point in group],
            yerr=[point.sd or 0.0 for point in group],
            transform=offset_copy(axis.transData, axis.get_figure(root=True), x=aside, units="points"),
            color=colors.get(task, GREY),
            elinewidth=0.9,
            capsize=2,
            clip_on=False,  # points beside the last evaluation stand in the margin
            **shape,
        )
        axis.plot([], [], color=GREY, label=label, **shape)
        # what is drawn aside does not widen the axes by itself
        spans = [(point.env_steps, point.mean + sign * (point.sd or 0.0)) for point in group for sign in (-1, 1)]
        axis.update_datalim(spans)
    axis.autoscale_view()


def aligned(runs: list[Run]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns [R,X] at every step [X] that some run was evaluated at and all of them have reached.

    Between its own evaluations a run is interpolated linearly.
    """
    start, end = max(run.steps[0] for run in runs), min(run.steps[-1] for run in runs)
    steps = np.unique(np.concatenate([run.steps for run in runs]))
    steps = steps[(steps >= start) & (steps <= end)]
    return steps, np.stack([np.interp(steps, run.steps, run.returns) for run in runs])


def _in_reach(points: list[Score], runs: list[Run]) -> list[Score]:
    """Points on these runs' tasks that do not stretch the axis: budgets up to the runs' end, or else the smallest."""
    here = [point for point in points if point.task in {run.env for run in runs}]
    end = max(run.steps[-1] for run in runs)
    limit = max(1.05 * end, min((point.env_steps for point in here), default=0))
    return [point for point in here if point.env_steps <= limit]


def _grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
