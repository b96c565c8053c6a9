"""Reward scales."""

from torch import tensor

from softrl.nn.normalize import Scale


def test_rewards_times_a_constant() -> None:
    assert Scale(5.0).build()(tensor([1.0, -2.0])).tolist() == [5.0, -10.0]


def test_the_default_is_neutral() -> None:
    assert Scale().build()(tensor([1.5])).tolist() == [1.5]
