"""Five bits and a dither, contrast against a naive loop, and strips by hand."""

import math

import pytest
import torch
from hypothesis import given, strategies as st
from torch import tensor

from softrl.math.images import five_bits, info_nce, strip, visible


@given(st.integers(0, 255), st.integers(1, 9))
def test_a_byte_stays_within_its_fifth_bit(byte: int, count: int) -> None:
    low = math.floor(byte / 8) / 32 - 0.5
    x = five_bits(torch.full((count, 3), byte, dtype=torch.uint8))
    assert x.dtype == torch.float32
    assert x.shape == (count, 3)
    assert ((x > low) & (x < low + 1 / 32)).all()


def test_the_dither_is_uniform_and_independent_of_its_neighbours() -> None:
    pixels = torch.randint(256, (20, 50, 50), dtype=torch.uint8)
    dither = (five_bits(pixels) + 0.5 - (pixels // 8) / 32) * 32
    shares = torch.histc(dither, 16, 0, 1) / dither.numel()
    torch.testing.assert_close(shares, torch.full((16,), 1 / 16), atol=0.005, rtol=0)
    assert abs(float(dither.mean()) - 0.5) < 0.005
    assert abs(float(dither.var()) - 1 / 12) < 0.002
    for shift in (1, 2, 3, 4):
        flat = dither.flatten()
        assert abs(float(torch.corrcoef(torch.stack([flat[shift:], flat[:-shift]]))[0, 1])) < 0.02
    assert not torch.equal(five_bits(pixels), five_bits(pixels))


def test_the_error_of_five_bits_is_that_of_the_lost_ones() -> None:
    pixels = torch.randint(256, (400, 400), dtype=torch.uint8)
    error = five_bits(pixels) - ((pixels + 0.5) / 256 - 0.5)
    # The difference of two uniform numbers of width 1/32.
    assert abs(float(error.mean())) < 2e-4
    assert abs(float(error.std()) - math.sqrt(2 / 12) / 32) < 2e-4


def test_contrast_equals_a_loop_over_rows() -> None:
    anchor, positive, weight = torch.randn(6, 3), torch.randn(6, 3), torch.rand(3, 3)
    total = 0.0
    for i in range(6):
        logits = tensor([float(anchor[i] @ weight @ positive[j]) for j in range(6)])
        logits -= logits.max()
        total -= math.log(float(logits[i].exp() / logits.exp().sum()))
    torch.testing.assert_close(info_nce(anchor, positive, weight), tensor(total / 6))


def test_contrast_of_rows_alike_is_a_guess() -> None:
    row = torch.randn(1, 3).expand(5, 3)
    assert float(info_nce(row, row, torch.rand(3, 3))) == pytest.approx(math.log(5))


def test_what_is_visible_of_a_reconstruction_is_its_byte() -> None:
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(visible((pixels + 0.5) / 256 - 0.5), pixels)
    assert visible(tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_a_strip_has_rows_above_each_other_and_pictures_side_by_side() -> None:
    pictures = torch.arange(2 * 1 * 2 * 2).view(2, 1, 2, 2)
    assert strip(pictures, 10 * pictures).tolist() == [
        [[0, 1, 4, 5], [2, 3, 6, 7], [0, 10, 40, 50], [20, 30, 60, 70]],
    ]
