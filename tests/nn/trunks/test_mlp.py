"""The perceptron against torch.nn, at one and at three members."""

import pytest
import torch
from torch import nn

from softrl.errors import UserError
from softrl.nn.trunks.mlp import MLP


@pytest.mark.parametrize("members", [1, 3])
def test_equals_torch(members: int) -> None:
    trunk, x = MLP((6, 5)).build(4, members), torch.randn(7, 4)
    assert trunk.width == 5
    for e in range(members):
        reference = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU())
        for theirs, ours in zip((reference[0], reference[2]), trunk.layers, strict=True):
            theirs.weight.data, theirs.bias.data = ours.weight[e].T, ours.bias[e, 0]
        torch.testing.assert_close(trunk(x)[e], reference(x))


def test_parameters_of_the_papers_network() -> None:
    # 17 inputs, 2 x 256: 17*256 + 256 + 256*256 + 256
    assert sum(p.numel() for p in MLP().build(17).parameters()) == 70_400


@pytest.mark.parametrize("hidden", [(), (0,), (256, -1)])
def test_widths_that_cannot_be(hidden: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="hidden"):
        MLP(hidden)
