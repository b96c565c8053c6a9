"""Losses against hand-made numbers and naive loops."""

import torch
from torch import tensor

from softrl.math.losses import entropy, policy_loss, squared, temperature_loss
from softrl.types import Actions


def test_squared_is_halved() -> None:
    assert squared(tensor([3.0, 1.0]), tensor([1.0, 1.0])).tolist() == [2.0, 0.0]


def three_actions() -> tuple[torch.Tensor, Actions]:
    generator = torch.Generator().manual_seed(0)
    prob = torch.rand(3, 4, generator=generator).softmax(0)
    log_prob = torch.randn(3, 4, 2, generator=generator)
    return torch.randn(3, 4, generator=generator), Actions(torch.zeros(3, 4, 1), log_prob, prob)


def test_policy_loss_equals_a_loop() -> None:
    q, actions = three_actions()
    alpha = tensor([0.3, 2.0])
    expected = 0.0
    for b in range(4):
        for k in range(3):
            cost = sum(float(alpha[c] * actions.log_prob[k, b, c]) for c in range(2))
            expected += float(actions.prob[k, b]) * (cost - float(q[k, b])) / 4
    assert abs(float(policy_loss(q, actions, alpha)) - expected) < 1e-5


def test_temperature_falls_when_entropy_is_above_its_target() -> None:
    actions = Actions(torch.zeros(1, 2, 1), tensor([[[-3.0], [-1.0]]]), torch.ones(1, 2))
    log_alpha = torch.zeros(1, requires_grad=True)
    loss = temperature_loss(log_alpha.exp(), actions, tensor([0.5]))
    assert loss.item() == 1.5  # alpha (entropy - target) = 1 * (2 - 0.5)
    (gradient,) = torch.autograd.grad(loss, log_alpha)
    assert gradient.tolist() == [1.5]  # descent lowers log alpha


def test_temperature_loss_leaves_the_policy_alone() -> None:
    log_prob = torch.zeros(1, 2, 1, requires_grad=True)
    actions = Actions(torch.zeros(1, 2, 1), log_prob, torch.ones(1, 2))
    loss = temperature_loss(torch.ones(1, requires_grad=True), actions, tensor([1.0]))
    assert torch.autograd.grad(loss, log_prob, allow_unused=True) == (None,)


def test_entropy_is_weighted_by_the_policy() -> None:
    actions = Actions(torch.zeros(2, 1, 1), tensor([[[-1.0]], [[-5.0]]]), tensor([[0.75], [0.25]]))
    assert entropy(actions).tolist() == [2.0]
