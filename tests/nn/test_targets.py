"""A target copy starts where its source is, has no gradient and moves a share of the way."""

import torch
from torch import nn

from softrl.nn.targets import frozen_copy, polyak_update


def test_a_copy_is_equal_apart_and_without_gradient() -> None:
    source = nn.Linear(3, 2)
    target = frozen_copy(source)
    torch.testing.assert_close(target.state_dict(), source.state_dict())
    assert not any(parameter.requires_grad for parameter in target.parameters())
    assert all(parameter.requires_grad for parameter in source.parameters())
    source.weight.data.add_(1)
    assert not torch.equal(target.weight, source.weight)


def test_it_moves_its_share_of_the_way() -> None:
    source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    expected = [0.9 * t + 0.1 * s for t, s in zip(target.parameters(), source.parameters(), strict=True)]
    polyak_update(target, source, 0.1)
    torch.testing.assert_close(list(target.parameters()), expected)
    polyak_update(target, source, 1.0)
    torch.testing.assert_close(target.state_dict(), source.state_dict())


def test_polyak_by_hand() -> None:
    target, source = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    target.weight.data.fill_(0.0)
    source.weight.data.fill_(1.0)
    values = []
    for _ in range(3):
        polyak_update(target, source, 0.5)
        values.append(target.weight.item())
    assert values == [0.5, 0.75, 0.875]
