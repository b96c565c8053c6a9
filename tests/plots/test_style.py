"""Lines differ, panels are laid out, and a picture ends where it can be opened."""

from pathlib import Path

import pytest

from softrl.errors import UserError
from softrl.plots.style import canvas, check_suffix, legend, line, save, visible


def test_twenty_eight_lines_differ() -> None:
    assert len({(look["color"], look["linestyle"]) for look in map(line, range(28))}) == 28


@pytest.mark.parametrize(
    ("panels", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 2, 2), (5, 3, 2), (7, 3, 3)]
)
def test_panels_in_rows(panels: int, columns: int, rows: int) -> None:
    _, axes = canvas(panels)
    grid = axes[0].get_subplotspec().get_gridspec()
    assert (len(axes), grid.ncols, grid.nrows) == (panels, columns, rows)
    assert [axis.get_xlabel() != "" for axis in axes] == [i + columns >= panels for i in range(panels)]
    assert all(axis.get_xlabel() in ("", "environment steps (frames)") for axis in axes)


def test_the_legend_has_each_label_once_and_does_not_cover_the_panels() -> None:
    figure, axes = canvas(2)
    for axis in axes:
        axis.plot([0, 1], [0, 1], label="a rather long name of a recipe, repeat 4 (3 seeds)")
    axes[1].plot([0, 1], [1, 0], label="another")
    legend(figure, axes)
    figure.draw_without_rendering()
    (box,) = figure.legends
    assert len(box.get_texts()) == 2
    extent = box.get_window_extent()
    assert extent.x0 >= 0
    assert extent.x1 <= figure.bbox.x1
    assert all(extent.y1 <= axis.get_tightbbox().y0 for axis in axes)


def test_a_name_that_begins_with_an_underscore_is_in_the_legend() -> None:
    figure, (axis,) = canvas(1)
    axis.plot([0, 1], [0, 1], label=visible("_make_env"))
    legend(figure, [axis])
    assert [text.get_text().strip("\u200b") for text in figure.legends[0].get_texts()] == ["_make_env"]
    assert visible("sac") == "sac"


def test_a_legend_of_nothing_is_none_to_speak_of() -> None:
    figure, axes = canvas(1)
    legend(figure, axes)
    assert not figure.legends[0].get_texts()


def test_frames_are_counted_in_thousands() -> None:
    figure, (axis,) = canvas(1)
    axis.plot([0, 1_000_000], [0, 1])
    figure.draw_without_rendering()
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert "200k" in labels
    assert "1M" in labels


@pytest.mark.parametrize("name", ["curve", "curve.pdf", "curve.jpg"])
def test_a_suffix_that_says_no_format(name: str) -> None:
    with pytest.raises(UserError, match=r"\.png or \.svg"):
        check_suffix(Path(name))


def test_folders_are_made_and_what_is_in_the_way_is_said(tmp_path: Path) -> None:
    figure, _ = canvas(1)
    assert save(figure, tmp_path / "new" / "curve.PNG").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        save(figure, tmp_path / "file" / "curve.png")


def test_the_same_figure_is_the_same_svg(tmp_path: Path) -> None:
    import matplotlib

    from softrl.plots.style import SETTINGS

    with matplotlib.rc_context(SETTINGS):
        pictures = [save(canvas(1)[0], tmp_path / f"{i}.svg").read_bytes() for i in range(2)]
    assert pictures[0] == pictures[1]
