"""Initial weights have the statistics that their papers name, member by member."""

import math

import pytest
import torch

from softrl.nn.init import INITIALISERS


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
