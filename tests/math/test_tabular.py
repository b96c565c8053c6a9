"""The tabular solver against hand arithmetic, brute force, and the properties that the theory promises."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings, strategies as st

from softrl.math.returns import bellman, soft_value
from softrl.math.tabular import (
    Problem,
    backup,
    entropy,
    soft_evaluation,
    soft_improvement,
    soft_maximum,
    soft_policy_iteration,
    soft_value_iteration,
)
from softrl.types import Actions, Atoms

# In state 0 action 0 stays (reward 1) and action 1 moves on (reward 0); state 1 pays 2, and then everything ends.
CHAIN = Problem(
    transition=torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]).double(),
    reward=torch.tensor([[1.0, 0.0], [2.0, 2.0]]).double(),
    gamma=0.5,
    alpha=1.0,
)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    states, actions = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    transition = torch.rand(states, actions, states, generator=generator).double()
    transition = draw(st.sampled_from([1.0, 0.7])) * transition / transition.sum(-1, keepdim=True)
    reward = 4 * torch.rand(states, actions, generator=generator).double() - 2
    return Problem(transition, reward, draw(st.sampled_from([0.0, 0.5, 0.95])), draw(st.sampled_from([0.05, 0.3, 2.0])))


def some_policy(problem: Problem, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(3 * torch.randn(problem.reward.shape, generator=generator).double(), -1)


def test_evaluation_of_the_uniform_policy_by_hand() -> None:
    q, value = soft_evaluation(CHAIN, torch.full((2, 2), 0.5).double())
    v1 = 2 + math.log(2)  # both actions pay 2 and end; one bit of entropy
    v0 = (0.5 + math.log(2) + 0.25 * v1) / 0.75  # v0 = 1/2 (1 + v0/2) + 1/2 (v1/2) + log 2
    assert value.tolist() == pytest.approx([v0, v1], abs=1e-12)
    assert q.tolist() == [pytest.approx([1 + v0 / 2, v1 / 2]), pytest.approx([2, 2])]


def test_evaluation_of_a_deterministic_policy_has_no_entropy() -> None:
    _, value = soft_evaluation(CHAIN, torch.tensor([[1.0, 0.0], [1.0, 0.0]]).double())
    assert value.tolist() == pytest.approx([2.0, 2.0])  # 1 + 1/2 + 1/4 + ..


def test_soft_optimum_of_the_chain_by_hand() -> None:
    solution = soft_policy_iteration(CHAIN)
    v1 = 2 + math.log(2)
    # v0 = log(exp(1 + v0/2) + exp(v1/2)), so x = exp(v0/2) solves x^2 = e x + exp(v1/2)
    x = (math.e + math.sqrt(math.e**2 + 4 * math.exp(v1 / 2))) / 2
    assert solution.value.tolist() == pytest.approx([2 * math.log(x), v1], abs=1e-9)
    assert solution.policy[1].tolist() == pytest.approx([0.5, 0.5])


def test_one_state_is_a_softmax_bandit() -> None:
    reward = torch.tensor([[1.0, 0.0, -1.0]]).double()
    bandit = Problem(torch.ones(1, 3, 1).double(), reward, gamma=0.9, alpha=0.5)
    solution = soft_policy_iteration(bandit)
    log_sum = 0.5 * math.log(math.exp(2) + 1 + math.exp(-2))
    assert solution.value.item() == pytest.approx(log_sum / 0.1, abs=1e-9)
    assert solution.policy[0].tolist() == pytest.approx(torch.softmax(reward[0] / 0.5, 0).tolist())


@given(problems())
@settings(deadline=None, max_examples=40)
def test_policy_iteration_and_value_iteration_agree(problem: Problem) -> None:
    by_policy, by_value = soft_policy_iteration(problem), soft_value_iteration(problem)
    for left, right in zip(by_policy, by_value, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-8, atol=1e-8)


@given(problems(), st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_every_improvement_raises_q_everywhere(problem: Problem, seed: int) -> None:
    policy = some_policy(problem, seed)
    q, _ = soft_evaluation(problem, policy)
    for _ in range(4):
        better, _ = soft_evaluation(problem, soft_improvement(problem, q))
        assert (better - q).min() > -1e-9
        q = better
    assert (soft_policy_iteration(problem).q - q).min() > -1e-9  # and none beats the optimum


@given(problems(), st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_evaluation_is_the_fixed_point_of_the_backup_that_agents_use(problem: Problem, seed: int) -> None:
    policy = some_policy(problem, seed)
    q, value = soft_evaluation(problem, policy)
    actions = Actions(
        torch.empty(*policy.T.shape, 0), policy.T.log()[..., None], policy.T
    )  # K = every action, B = states
    critic = Atoms(q.T[..., None], torch.ones_like(q.T)[..., None])
    mixed = soft_value(critic, actions, torch.tensor([problem.alpha]).double()).mean()
    torch.testing.assert_close(mixed, value)
    state, action = 0, q.shape[1] - 1
    after = Atoms(mixed[:, None], torch.ones_like(mixed)[:, None])
    reward = problem.reward[state, action].expand(len(mixed))
    target = bellman(reward, torch.full_like(mixed, problem.gamma), after).mean()
    expected = (problem.transition[state, action] * (target - reward)).sum() + reward[0]
    torch.testing.assert_close(expected, q[state, action])


@given(problems(), st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_value_iteration_contracts(problem: Problem, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    left, right = 5 * torch.randn(2, *problem.reward.shape, generator=generator).double()
    moved = [backup(problem, soft_maximum(problem, q)) for q in (left, right)]
    assert (moved[0] - moved[1]).abs().max() <= problem.gamma * (left - right).abs().max() + 1e-12


def test_little_temperature_is_the_hard_optimum() -> None:
    generator = torch.Generator().manual_seed(3)
    transition = torch.rand(3, 2, 3, generator=generator).double()
    reward = torch.rand(3, 2, generator=generator).double()
    cold = Problem(transition / transition.sum(-1, keepdim=True), reward, gamma=0.9, alpha=1e-4)
    deterministic = [torch.eye(2).double()[list(choice)] for choice in product(range(2), repeat=3)]
    best = torch.stack([soft_evaluation(cold, policy)[1] for policy in deterministic]).amax(0)
    torch.testing.assert_close(soft_policy_iteration(cold).value, best, rtol=1e-3, atol=1e-3)


def test_cells_make_densities() -> None:
    """With alpha 1, Q(a) = a on [-1, 1] has log-integral log(e - 1/e), and its policy the density e^a / (e - 1/e)."""
    width = 2 / 1000
    middle = torch.linspace(-1 + width / 2, 1 - width / 2, 1000).double()
    problem = Problem(torch.zeros(1, 1000, 1).double(), middle[None], gamma=0.9, alpha=1.0, cell=width)
    solution = soft_policy_iteration(problem)
    constant = math.e - 1 / math.e
    assert solution.value.item() == pytest.approx(math.log(constant), abs=1e-6)
    mean = 2 / math.e / constant  # E[a] = integral of a e^a / constant
    assert entropy(problem, solution.policy).item() == pytest.approx(math.log(constant) - mean, abs=1e-6)
    uniform = torch.full((1, 1000), 1e-3).double()
    assert entropy(problem, uniform).item() == pytest.approx(math.log(2))  # not log 1000


def test_what_never_ends_and_is_not_discounted_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softrl.math.tabular.LIMIT", 1000)
    endless = Problem(torch.ones(1, 2, 1).double(), torch.ones(1, 2).double(), gamma=1.0, alpha=1.0)
    with pytest.raises(torch.linalg.LinAlgError):
        soft_policy_iteration(endless)
    with pytest.raises(ArithmeticError, match="gamma"):
        soft_value_iteration(endless)
