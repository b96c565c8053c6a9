"""Shifts and crops equal a loop over images, for any place; what is not drawn stays in the middle."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from softrl.errors import UserError
from softrl.nn.augment import Crop, Shift, Still, padded, windows

SIZES = st.integers(1, 7)


def images_of(data: st.DataObject, height: int, width: int) -> torch.Tensor:
    shape = (data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3)), height, width)
    return torch.randint(256, shape, dtype=torch.uint8)


@settings(max_examples=40)
@given(SIZES, SIZES, st.integers(1, 4), st.data())
def test_a_shift_equals_numpy_image_by_image(height: int, width: int, pad: int, data: st.DataObject) -> None:
    images = images_of(data, height, width)
    places = [[data.draw(st.integers(0, 2 * pad)) for _ in range(2)] for _ in images]
    top, left = torch.tensor(places).T
    shifted = windows(padded(images, pad), top, left, (height, width))
    for image, (row, column), ours in zip(images.numpy(), places, shifted, strict=True):
        edged = np.pad(image, ((0, 0), (pad, pad), (pad, pad)), mode="edge")
        assert np.array_equal(ours.numpy(), edged[:, row : row + height, column : column + width])


@settings(max_examples=40)
@given(SIZES, SIZES, st.data())
def test_a_crop_equals_a_slice_of_each_image(height: int, width: int, data: st.DataObject) -> None:
    images = images_of(data, height, width)
    size = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    places = [[data.draw(st.integers(0, large - small)) for large, small in zip(images.shape[2:], size, strict=True)]
              for _ in images]  # fmt: skip
    top, left = torch.tensor(places).T
    for image, (row, column), ours in zip(images, places, windows(images, top, left, size), strict=True):
        assert torch.equal(ours, image[:, row : row + size[0], column : column + size[1]])


def places_of(views: torch.Tensor) -> set[tuple[int, int]]:
    """Where the upper left corners lie of views of an image whose pixel (i, j) holds 16 i + j."""
    return {(int(corner) // 16, int(corner) % 16) for corner in views[:, 0, 0, 0]}


def test_every_crop_is_drawn_and_each_image_has_its_own() -> None:
    image = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)[:, :, :8, :8]
    drawn = Crop(6).draw(image.expand(500, 3, 8, 8))
    assert drawn.shape == (500, 3, 6, 6)
    assert places_of(drawn) == {(i, j) for i in range(3) for j in range(3)}


def test_every_shift_is_drawn_and_each_image_has_its_own() -> None:
    image = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    middle = Shift(2).draw(image.expand(500, 3, 16, 16))[:, :, 8:, 8:]
    assert middle.shape == (500, 3, 8, 8)
    assert places_of(middle) == {(8 + i, 8 + j) for i in range(-2, 3) for j in range(-2, 3)}


def test_acting_sees_the_middle() -> None:
    images = torch.randint(256, (2, 3, 9, 10), dtype=torch.uint8)
    assert torch.equal(Crop(4).plain(images), images[:, :, 2:6, 3:7])
    assert torch.equal(Shift().plain(images), images)
    assert torch.equal(Still().plain(images), images)
    assert torch.equal(Still().draw(images), images)


def test_sizes_of_views() -> None:
    assert Still().size((5, 6)) == Shift().size((5, 6)) == (5, 6)
    assert Crop(4).size((5, 6)) == (4, 4)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Shift(0), "at least 1 pixel"),
        (lambda: Shift(views=0), "at least one view"),
        (lambda: Crop(0), "at least one"),
        (lambda: Crop(84, views=-1), "at least one view"),
        (lambda: Crop(84).size((84, 100)), "larger images"),
    ],
)
def test_bad_values(wrong, words: str) -> None:
    with pytest.raises(UserError, match=words):
        wrong()
