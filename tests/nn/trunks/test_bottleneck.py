"""A bottleneck is Linear, LayerNorm and tanh, and passes everything else on to its trunk."""

import pytest
import torch
from torch import nn

from softrl.errors import UserError
from softrl.nn.norms import BATCH_STATISTICS
from softrl.nn.trunks.bottleneck import Bottleneck, Neck
from softrl.nn.trunks.mlp import MLP
from softrl.nn.trunks.xqc import XQC


@pytest.mark.parametrize("squashed", [True, False])
def test_a_neck_equals_torch(squashed: bool, shaken, member) -> None:
    neck, x = shaken(Neck(7, 4, 3, squashed)), torch.randn(5, 7)
    for e in range(3):
        state = member(neck, e)
        linear, norm = nn.Linear(7, 4), nn.LayerNorm(4)
        linear.load_state_dict({"weight": state["linear.weight"].T, "bias": state["linear.bias"]})
        norm.load_state_dict({"weight": state["norm.weight"], "bias": state["norm.bias"]})
        expected = norm(linear(x))
        torch.testing.assert_close(neck(x)[e], expected.tanh() if squashed else expected)


@pytest.mark.parametrize("squashed", [True, False])
def test_the_trunk_reads_what_the_neck_gives(squashed: bool) -> None:
    network = Bottleneck(4, MLP((8, 6)), squashed).build(7, 2)
    x = torch.randn(5, 7)
    torch.testing.assert_close(network(x), network.trunk(network.neck(x)))
    assert network.width == 6
    assert network(x).shape == (2, 5, 6)
    assert network.out(3)(network(x)).shape == (2, 5, 3)
    inside = (network.neck(x).abs() <= 1).all()
    assert bool(inside) is squashed
    assert network.hidden() == network.trunk.hidden()
    assert len(network.hidden()) == 2


def test_it_needs_what_its_trunk_needs() -> None:
    assert Bottleneck(4, MLP()).needs == frozenset()
    assert Bottleneck(4, XQC()).needs == {BATCH_STATISTICS}


def test_the_first_weights_are_orthogonal() -> None:
    weight = Neck(30, 5).linear.weight[0]
    torch.testing.assert_close(weight.T @ weight, torch.eye(5), atol=1e-5, rtol=0)


def test_no_features_are_refused() -> None:
    with pytest.raises(UserError, match="features is 0"):
        Bottleneck(0, MLP())
