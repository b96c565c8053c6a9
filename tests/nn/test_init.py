"""Initial weights have the statistics that their papers name, member by member."""

import math

import pytest
import torch

from softrl.nn.init import INITIALISERS, Init, delta_orthogonal, initialise


@pytest.mark.parametrize("shape", [(3, 40, 25), (2, 25, 40), (1, 32, 32)])
def test_orthogonal_members_are_orthogonal_and_different(shape: tuple[int, int, int]) -> None:
    weight = torch.empty(shape)
    INITIALISERS["orthogonal"](weight)
    for member in weight:
        gram = member @ member.T if shape[1] < shape[2] else member.T @ member
        torch.testing.assert_close(gram, torch.eye(len(gram)), atol=1e-5, rtol=0)
    if shape[0] > 1:
        assert not torch.allclose(weight[0], weight[1])


def test_xavier_bound_counts_one_members_fans() -> None:
    weight = torch.empty(5, 30, 70)
    INITIALISERS["xavier"](weight)
    bound = math.sqrt(6 / (30 + 70))
    assert 0.99 * bound < weight.abs().max() <= bound
    assert abs(float(weight.std()) - bound / math.sqrt(3)) < 0.02 * bound


def test_lecun_bound_counts_inputs() -> None:
    weight = torch.empty(2, 25, 400)
    INITIALISERS["lecun"](weight)
    assert 0.99 / 5 < weight.abs().max() <= 1 / 5


def test_he_deviation_counts_inputs() -> None:
    weight = torch.empty(2, 200, 300)
    INITIALISERS["he"](weight)
    for member in weight:
        assert abs(float(member.std()) - math.sqrt(2 / 200)) < 0.01 * math.sqrt(2 / 200)
    assert not torch.equal(weight[0], weight[1])


@pytest.mark.parametrize("init", INITIALISERS)
def test_a_gain_scales_what_is_drawn(init: Init) -> None:
    torch.manual_seed(0)
    drawn, scaled, silent = torch.empty(2, 4, 3), torch.empty(2, 4, 3), torch.empty(2, 4, 3)
    INITIALISERS[init](drawn)
    torch.manual_seed(0)
    initialise(scaled, init, 2.0)
    initialise(silent, init, 0.0)
    assert torch.equal(scaled, 2 * drawn)
    assert not silent.any()


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (4, 6, 5, 3), (4, 4, 2, 2)])
def test_delta_orthogonal_kernels_are_an_orthogonal_matrix_in_the_middle_of_zeros(shape: tuple[int, ...]) -> None:
    kernel = torch.ones(shape)
    delta_orthogonal(kernel, 3.0)
    middle = kernel[:, :, shape[2] // 2, shape[3] // 2] / 3
    gram = middle.T @ middle if shape[0] > shape[1] else middle @ middle.T
    torch.testing.assert_close(gram, torch.eye(4), atol=1e-5, rtol=0)
    assert kernel.count_nonzero() == middle.count_nonzero() == shape[0] * shape[1]
