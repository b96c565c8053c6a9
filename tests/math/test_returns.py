"""Golden numbers of the soft backup."""

import torch
from hypothesis import given, strategies as st
from torch import tensor

from softrl.math.returns import bellman, lambda_return, n_step, soft_value
from softrl.types import Actions, Atoms


def test_soft_value_of_one_action() -> None:
    # V = Q - alpha log pi = 3 - 0.5 * (-2) = 4
    q = Atoms(tensor([[[3.0]]]), tensor([[[1.0]]]))
    action = Actions(tensor([[[0.0]]]), tensor([[[-2.0]]]), tensor([[1.0]]))
    assert soft_value(q, action, tensor([0.5])).mean().tolist() == [4.0]


def test_soft_value_of_three_actions_is_the_exact_expectation() -> None:
    prob = tensor([[0.5], [0.25], [0.25]])  # [K,B]
    q = Atoms(tensor([[[4.0]], [[8.0]], [[0.0]]]), torch.ones(3, 1, 1))
    actions = Actions(torch.zeros(3, 1, 1), tensor([[[-1.0]], [[-2.0]], [[-2.0]]]), prob)
    value = soft_value(q, actions, tensor([2.0]))
    # 0.5 (4 + 2) + 0.25 (8 + 4) + 0.25 (0 + 4) = 3 + 3 + 1
    assert value.mean().tolist() == [7.0]
    assert value.prob.sum(-1).tolist() == [1.0]
    assert value.value.tolist() == [[6.0, 12.0, 4.0]]


def test_soft_value_prices_each_component() -> None:
    q = Atoms(tensor([[[0.0]]]), tensor([[[1.0]]]))
    action = Actions(tensor([[[0.0]]]), tensor([[[-1.0, -10.0]]]), tensor([[1.0]]))
    assert soft_value(q, action, tensor([2.0, 0.5])).mean().tolist() == [7.0]


def test_soft_value_keeps_the_shape_of_a_distribution() -> None:
    q = Atoms(tensor([[[1.0, 5.0]]]), tensor([[[0.75, 0.25]]]))
    action = Actions(tensor([[[0.0]]]), tensor([[[1.0]]]), tensor([[1.0]]))
    value = soft_value(q, action, tensor([1.0]))
    assert value.value.tolist() == [[0.0, 4.0]]
    assert value.prob.tolist() == [[0.75, 0.25]]


def test_bellman_moves_every_atom() -> None:
    y = bellman(
        tensor([1.0, 2.0]), tensor([0.5, 0.0]), Atoms(tensor([[2.0, 4.0], [8.0, 8.0]]), torch.full((2, 2), 0.5))
    )
    assert y.value.tolist() == [[2.0, 3.0], [2.0, 2.0]]  # a discount of 0 leaves the reward alone


def test_n_step_by_hand() -> None:
    reward = tensor([[1.0], [2.0], [4.0]]).expand(3, 4)  # [T,B]
    terminated = tensor([[False] * 4, [False, False, True, False], [False, False, False, True]])
    inside = tensor([[True] * 4, [True] * 4, [True, False, False, False]])
    total, discount = n_step(reward, inside, (terminated & inside).any(0), tensor([1.0, 0.5, 0.25, 0.125]))
    assert total.tolist() == [3.0, 2.0, 2.0, 2.0]  # 1 + 2/2 + 4/4, then 1 + 2/2
    # three decisions; a cut after two bootstraps; a terminal does not; a terminal beyond the window does not count
    assert discount.tolist() == [0.125, 0.25, 0.0, 0.25]


@given(st.integers(1, 6), st.floats(0.1, 1.0), st.integers(0, 2**31))
def test_n_step_equals_a_loop(horizon: int, gamma: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    reward = torch.randn(horizon, 5, generator=generator)
    terminated = torch.rand(horizon, 5, generator=generator) < 0.2
    decisions = torch.randint(1, horizon + 1, (5,), generator=generator)
    inside = torch.arange(horizon)[:, None] < decisions
    total, discount = n_step(reward, inside, (terminated & inside).any(0), gamma ** torch.arange(horizon + 1))
    for row in range(5):
        expected, alive = 0.0, 1.0
        for i in range(int(decisions[row])):
            expected += gamma**i * float(reward[i, row])
            alive *= 1.0 - float(terminated[i, row])
        assert abs(float(total[row]) - expected) < 1e-4
        assert abs(float(discount[row]) - alive * gamma ** int(decisions[row])) < 1e-5


def test_lambda_return_by_hand() -> None:
    # last: 4 + 0.5 * 8 = 8;  first: 1 + 0.5 * (0.75 * 2 + 0.25 * 8) = 2.75
    returns = lambda_return(tensor([[1.0], [4.0]]), tensor([[0.5], [0.5]]), tensor([[2.0], [8.0]]), 0.25)
    assert returns.tolist() == [[2.75], [8.0]]


@given(st.integers(1, 6), st.floats(0.0, 1.0), st.integers(0, 2**31))
def test_lambda_return_is_the_average_of_returns_of_all_lengths(horizon: int, decay: float, seed: int) -> None:
    """(1 - decay) sum_n decay^(n-1) G_n, with the rest of the weight on the longest."""
    generator = torch.Generator().manual_seed(seed)
    reward, discount, value = (torch.rand(horizon, 3, generator=generator) for _ in range(3))
    returns = lambda_return(reward, discount, value, decay)
    for t in range(horizon):
        for row in range(3):
            expected, longest = 0.0, horizon - t
            for n in range(1, longest + 1):
                total, reached = 0.0, 1.0
                for i in range(t, t + n):
                    total += reached * float(reward[i, row])
                    reached *= float(discount[i, row])
                total += reached * float(value[t + n - 1, row])
                expected += (decay ** (n - 1)) * (1.0 if n == longest else 1 - decay) * total
            assert abs(float(returns[t, row]) - expected) < 1e-4
