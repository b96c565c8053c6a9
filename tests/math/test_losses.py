"""Losses against hand-made numbers and naive loops."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, tensor
from torch.utils._python_dispatch import TorchDispatchMode

from softrl.errors import UserError
from softrl.math.losses import (
    cross_entropy,
    entropies,
    entropy,
    huber,
    joined,
    midpoints,
    policy_loss,
    quantile_huber,
    squared,
    temperature_loss,
)
from softrl.types import Actions, Atoms


def test_squared_is_halved() -> None:
    assert squared(tensor([3.0, 1.0]), tensor([1.0, 1.0])).tolist() == [2.0, 0.0]


def test_huber_is_a_square_near_zero_and_a_line_far_from_it() -> None:
    assert huber(tensor([2.5, 3.0, 5.0, -1.0]), tensor(2.0)).tolist() == [0.125, 0.5, 2.5, 2.5]


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


def quantiles_and_target(members: int, atoms: int = 7) -> tuple[Tensor, Atoms]:
    """Five quantiles of three rows, in float64, and target atoms with weights of their own."""
    quantiles = 2 * torch.randn(members, 3, 5, dtype=torch.float64)
    value = 2 * torch.randn(3, atoms, dtype=torch.float64)
    return quantiles, Atoms(value, torch.randn(3, atoms, dtype=torch.float64).softmax(-1))


def looped_quantile_huber(quantiles: Tensor, target: Atoms, kappa: float) -> Tensor:
    """The definition, pair by pair, differentiable: [E,B,N] -> [E,B]."""
    members, rows, count = quantiles.shape
    total = []
    for e in range(members):
        for b in range(rows):
            loss = quantiles.new_zeros(())
            for i in range(count):
                tau = (2 * i + 1) / (2 * count)
                for j in range(target.value.shape[-1]):
                    u = target.value[b, j] - quantiles[e, b, i]
                    small = u.abs() <= kappa
                    huber = torch.where(small, u * u / 2, kappa * (u.abs() - kappa / 2))
                    loss = loss + target.prob[b, j] * abs(tau - float(u < 0)) * huber / kappa
            total.append(loss / count)
    return torch.stack(total).reshape(members, rows)


def test_levels_are_the_middles_of_equal_shares() -> None:
    assert midpoints(torch.zeros(3, 4)).tolist() == [0.125, 0.375, 0.625, 0.875]


def test_quantile_huber_by_hand() -> None:
    """Levels 1/4 and 3/4, errors 3 and 1/2 of the first quantile, 2 and -1/2 of the second."""
    quantiles, target = tensor([[[0.0, 1.0]]]), Atoms(tensor([[3.0, 0.5]]), tensor([[0.25, 0.75]]))
    first = 0.25 * (0.25 * 2.5) + 0.75 * (0.25 * 0.125)
    second = 0.25 * (0.75 * 1.5) + 0.75 * (0.25 * 0.125)
    assert quantile_huber(quantiles, target, 1.0).item() == pytest.approx((first + second) / 2)


@pytest.mark.parametrize("kappa", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("members", [1, 3])
def test_quantile_huber_and_its_gradient_equal_a_loop(members: int, kappa: float) -> None:
    quantiles, target = quantiles_and_target(members)
    quantiles.requires_grad_()
    loss, expected = quantile_huber(quantiles, target, kappa), looped_quantile_huber(quantiles, target, kappa)
    torch.testing.assert_close(loss, expected)
    weight = torch.rand_like(loss)
    (gradient,) = torch.autograd.grad((weight * loss).sum(), quantiles)
    (slope,) = torch.autograd.grad((weight * expected).sum(), quantiles)
    torch.testing.assert_close(gradient, slope)


def test_quantile_huber_holds_the_target_fixed() -> None:
    quantiles, target = quantiles_and_target(1)
    value = target.value.requires_grad_()
    loss = quantile_huber(quantiles.requires_grad_(), target, 1.0).sum()
    assert torch.autograd.grad(loss, value, allow_unused=True) == (None,)


def test_quantile_regression_settles_at_the_quantiles() -> None:
    """With a bend near zero, the loss is least at the quantiles of the weighted target: 10, 20 and 40 here."""
    target = Atoms(tensor([[40.0, 10.0, 20.0]]), tensor([[0.4, 0.35, 0.25]]))
    quantiles = tensor([[[15.0, 15.0, 15.0]]], requires_grad=True)
    for _ in range(400):
        (gradient,) = torch.autograd.grad(quantile_huber(quantiles, target, 0.01).sum(), quantiles)
        quantiles.data -= gradient.sign() * 0.1
    torch.testing.assert_close(quantiles.data, tensor([[[10.0, 20.0, 40.0]]]), atol=0.2, rtol=0)


@pytest.mark.parametrize("members", [1, 3])
def test_cross_entropy_equals_a_loop(members: int) -> None:
    logits, prob = torch.randn(members, 4, 6), torch.randn(4, 6).softmax(-1)
    expected = [[F.cross_entropy(logits[e, b], prob[b]) for b in range(4)] for e in range(members)]
    torch.testing.assert_close(cross_entropy(logits, prob), tensor(expected))


def test_cross_entropy_is_least_at_the_target() -> None:
    prob = torch.randn(4, 6, dtype=torch.float64).softmax(-1)
    logits = prob.log()[None].requires_grad_()
    loss = cross_entropy(logits, prob)
    torch.testing.assert_close(loss[0], torch.special.entr(prob).sum(-1))
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    torch.testing.assert_close(gradient, torch.zeros_like(logits))


def test_gradients_equal_finite_differences() -> None:
    def double(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    quantiles, target = quantiles_and_target(2)
    prob, alpha = target.prob, tensor([0.3, 2.0], dtype=torch.float64)
    weights = torch.randn(3, 4, dtype=torch.float64).softmax(0)

    def policy(q: Tensor, log_prob: Tensor) -> Tensor:
        return policy_loss(q, Actions(torch.zeros(3, 4, 1), log_prob, weights), alpha)

    def price(log_alpha: Tensor) -> Tensor:
        return temperature_loss(
            log_alpha.exp(), Actions(weights, torch.ones(3, 4, 2) * weights[..., None], weights), alpha
        )

    check = torch.autograd.gradcheck
    assert check(lambda q: squared(q, target.value), double(2, 3, 7))
    assert check(lambda q: huber(q, target.value), double(2, 3, 7))
    assert check(lambda q: quantile_huber(q, target, 0.7), quantiles.requires_grad_())
    assert check(lambda x: cross_entropy(x, prob), double(2, 3, 7))
    assert check(policy, (double(3, 4), double(3, 4, 2)))
    assert check(price, double(2))


def test_quantile_huber_traces_without_breaks() -> None:
    quantiles, target = quantiles_and_target(3)
    traced = torch.compile(quantile_huber, fullgraph=True, backend="eager")
    torch.testing.assert_close(traced(quantiles, target, 1.0), quantile_huber(quantiles, target, 1.0))


def test_pairs_are_visited_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            sizes.append(out.numel() if isinstance(out, torch.Tensor) else 0)
            return out

    quantiles, target = torch.randn(2, 8, 5), Atoms(torch.randn(8, 400), torch.full((8, 400), 1 / 400))
    expected = quantile_huber(quantiles, target, 1.0)
    monkeypatch.setattr("softrl.math.losses.PAIRS", 4000)
    with Sizes():
        found = quantile_huber(quantiles, target, 1.0)
    torch.testing.assert_close(found, expected)
    assert max(sizes) <= 4000


def test_a_name_that_two_parts_give_is_refused() -> None:
    one, two = {"a": tensor(1.0)}, {"b": tensor(2.0)}
    assert joined(one, two, {}) == {"a": tensor(1.0), "b": tensor(2.0)}
    assert one == {"a": tensor(1.0)}
    with pytest.raises(UserError, match="the name 'a'"):
        joined(one, two, {"a": tensor(3.0)})


def test_entropies_of_two_states_by_hand() -> None:
    prob = tensor([[0.5, 1.0], [0.5, 0.0]])  # [K,B]: a fair coin, and a choice that is made
    actions = Actions(torch.zeros(2, 2, 1), prob.clamp_min(1e-30).log()[..., None], prob)
    torch.testing.assert_close(entropies(actions)[:, 0], tensor([0.693147, 0.0]))
    torch.testing.assert_close(entropy(actions), tensor([0.693147 / 2]))
