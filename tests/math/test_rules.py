"""Rules on integers that can be sorted in the head."""

import torch
from torch import tensor

from softrl.math.rules import Minimum
from softrl.types import Atoms


def test_minimum_of_scalars_is_the_elementwise_minimum() -> None:
    value = tensor([[[[3.0], [7.0]]], [[[5.0], [2.0]]]])  # [E=2,K=1,B=2,M=1]
    assert Minimum()(Atoms(value, torch.ones_like(value))).value.tolist() == [[[3.0], [2.0]]]


def test_minimum_keeps_the_whole_member_with_the_smallest_mean() -> None:
    value = tensor([[[[0.0, 10.0]]], [[[4.0, 5.0]]], [[[9.0, 9.0]]]])  # means 5, 4.5, 9
    kept = Minimum()(Atoms(value, torch.full_like(value, 0.5)))
    assert kept.value.tolist() == [[[4.0, 5.0]]]
    assert kept.prob.tolist() == [[[0.5, 0.5]]]


def test_gradient_reaches_only_the_smaller_member() -> None:
    value = tensor([[[[3.0]]], [[[5.0]]]], requires_grad=True)
    Minimum()(Atoms(value, torch.ones_like(value))).mean().sum().backward()
    assert value.grad is not None
    assert value.grad.flatten().tolist() == [1.0, 0.0]
