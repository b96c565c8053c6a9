"""Places of a row's numbers, by hand."""

import torch

from softrl.data.layout import Layout
from softrl.types import Spec


def test_numbers_lie_in_order_without_gaps() -> None:
    layout = Layout(Spec({"state": (2, 3), "goal": (1,)}, 2, (4,), chunk=2, prefixes=True))
    assert {name: (place.start, place.stop) for name, place in layout.places.items()} == {
        "obs.state": (0, 6),
        "obs.goal": (6, 7),
        "action": (7, 13),
        "reward": (13, 14),
        "terminated": (14, 15),
        "first": (15, 16),
        "last": (16, 17),
        "left": (17, 18),
    }
    assert layout.width == 18
    assert (layout.scalar_slice.start, layout.scalar_slice.stop) == (13, 17)  # not what the agent says of its plans


def test_pictures_lie_elsewhere_and_the_age_of_their_rows_is_a_scalar() -> None:
    layout = Layout(Spec({"state": (2,), "pixels": (9, 8, 8)}, 1, stack=3))
    assert layout.numbers == ["state"]
    assert list(layout.pictures) == ["pixels"]
    assert layout.scalars == ["reward", "terminated", "first", "last", "age"]
    assert layout.width == 2 + 1 + 5
    assert (layout.scalar_slice.start, layout.scalar_slice.stop) == (3, 8)


def test_columns_are_views_of_the_ring() -> None:
    layout = Layout(Spec({"state": (2, 3)}, 1))
    ring = torch.arange(5 * 2 * layout.width).view(5, 2, layout.width)
    columns = layout.columns(ring)
    assert columns["obs.state"].shape == (5, 2, 2, 3)
    assert columns["reward"].shape == (5, 2)
    assert torch.equal(columns["obs.state"][1, 0], ring[1, 0, :6].view(2, 3))
    columns["last"][3, 1] = -1
    assert ring[3, 1, layout.places["last"].start] == -1
