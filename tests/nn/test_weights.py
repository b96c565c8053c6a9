"""Weights without norms, and who has a constraint."""

import pytest
from torch import nn

from softrl.nn.layers import DiracLinear, Linear, UnitLinear
from softrl.nn.norms import BatchNorm, LayerNorm, RMSNorm, UnitBatchNorm, UnitRMSNorm
from softrl.nn.targets import frozen_copy
from softrl.nn.trunks.flash import FlashSAC
from softrl.nn.trunks.mlp import MLP
from softrl.nn.weights import constrained, weights


def test_norms_and_frozen_parameters_are_left_out() -> None:
    norms = [norm(4) for norm in (LayerNorm, RMSNorm, BatchNorm, UnitBatchNorm, UnitRMSNorm)]
    one, two, frozen = Linear(4, 4), DiracLinear(4, 4), Linear(4, 4).requires_grad_(False)
    network = nn.Sequential(one, *norms, nn.Sequential(two, frozen))
    assert {id(p) for p in weights(network)} == {id(p) for p in (*one.parameters(), *two.parameters())}
    assert len(weights(network)) == 6


@pytest.mark.parametrize(
    ("module", "count"),
    [
        (Linear(2, 2), 0),
        (UnitLinear(2, 2), 1),
        (UnitBatchNorm(2), 1),
        (UnitRMSNorm(2), 1),
        (DiracLinear(2, 2), 0),
        (MLP((4,)).build(2), 0),
        (MLP((4, 4), unit_norm=True).build(2), 2),
        (FlashSAC(4, 1).build(2), 7),
    ],
    ids=lambda value: type(value).__name__,
)
def test_constraints_are_found_at_any_depth_where_something_learns(module: nn.Module, count: int) -> None:
    assert len(constrained(module)) == count
    assert constrained(nn.ModuleList([nn.ModuleList([module]), frozen_copy(module)])) == constrained(module)
