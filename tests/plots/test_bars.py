"""Bars: one for each ratio, from nothing to its value, with the range and the target where they belong."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from softrl.errors import UserError
from softrl.plots import bars as module
from softrl.plots.bars import Bar, bars

PANELS = {
    "loops": [Bar("over one", 2.5, 2.0, 3.5, 2.3, "(>= 2.3)"), Bar("over another", 1.5, 1.4, 1.6, None)],
    "updates": [Bar("compiled", 1.2, 1.1, 70.0, 1.1)],
}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Figure:
    """The figure as it is saved."""
    found: list[Figure] = []
    monkeypatch.setattr(module, "save", lambda figure, out: found.append(figure) or out)
    assert bars(PANELS, tmp_path / "speed.png") == tmp_path / "speed.png"
    return found[0]


def test_a_panel_for_each_family_and_a_bar_for_each_ratio(drawn: Figure) -> None:
    assert [axis.get_title("left") for axis in drawn.axes] == ["loops", "updates"]
    assert [[bar.get_width() for bar in axis.patches] for axis in drawn.axes] == [[2.5, 1.5], [1.2]]
    assert [label.get_text() for label in drawn.axes[0].get_yticklabels()] == ["over one", "over another"]
    top, bottom = drawn.axes[0].get_ylim()
    assert top > bottom  # the first bar is the upper one
    assert [text.get_text() for text in drawn.axes[0].texts] == ["2.50  (>= 2.3)", "1.50"]


def test_ranges_and_targets_are_where_they_belong(drawn: Figure) -> None:
    ranges, target = drawn.axes[0].collections
    assert [segment[:, 0].tolist() for segment in ranges.get_segments()] == [[2.0, 3.5], [1.4, 1.6]]
    assert [segment[:, 0].tolist() for segment in target.get_segments()] == [[2.3, 2.3]]  # the other has none
    [disturbed] = drawn.axes[1].collections[0].get_segments()
    assert disturbed[:, 0].tolist() == pytest.approx([1.1, 1.5 * 1.2])


def test_a_picture_is_written(tmp_path: Path) -> None:
    assert bars(PANELS, tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


def test_a_name_without_a_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.png or \.svg"):
        bars(PANELS, tmp_path / "speed")
