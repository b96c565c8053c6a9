"""One-hots of several choices, counted and drawn by hand."""

import itertools

import pytest
import torch
from hypothesis import given, strategies as st

from softrl.errors import UserError
from softrl.math.choices import (
    check_choices,
    check_joint,
    combinations,
    components,
    gumbel_scores,
    likeliest,
    log_probs,
    other_options,
    places,
    sample_one_hot,
)
from softrl.types import Spec

SIZES = st.lists(st.integers(2, 5), min_size=1, max_size=4).map(tuple)


def test_combinations_of_two_choices_by_hand() -> None:
    expected = [[1, 0, 1, 0, 0], [1, 0, 0, 1, 0], [1, 0, 0, 0, 1], [0, 1, 1, 0, 0], [0, 1, 0, 1, 0], [0, 1, 0, 0, 1]]
    assert combinations((2, 3)).tolist() == expected
    assert places((2, 3)).tolist() == [0, 3, 0, 1, 2]
    assert other_options((2, 3)).tolist() == [[0, 0, 1, 1, 1]] * 2 + [[1, 1, 0, 0, 0]] * 3


@given(SIZES)
def test_combinations_are_all_different_and_counted_by_places(choices: tuple[int, ...]) -> None:
    every = combinations(choices)
    in_order = itertools.product(*(range(size) for size in choices))
    for row, options in zip(every, in_order, strict=True):
        assert [block.argmax().item() for block in row.split(choices)] == list(options)
        assert row.sum() == len(choices)
    assert torch.equal(every @ places(choices), torch.arange(len(every)).float())


@given(SIZES)
def test_log_probs_are_those_of_separate_categoricals(choices: tuple[int, ...]) -> None:
    logits = 3 * torch.randn(4, sum(choices))
    found = log_probs(logits, choices).split(choices, -1)
    for block, log_prob in zip(logits.split(choices, -1), found, strict=True):
        torch.testing.assert_close(log_prob, torch.distributions.Categorical(logits=block).logits)


def test_scores_of_two_options_by_hand() -> None:
    log_prob, exponential = torch.tensor([-0.5, -1.0]), torch.tensor([1.0, 2.0]).neg().exp()
    torch.testing.assert_close(gumbel_scores(log_prob, exponential), torch.tensor([0.5, 1.0]))


def test_draws_follow_the_probabilities_and_choices_are_independent() -> None:
    prob = torch.tensor([0.7, 0.3, 0.1, 0.2, 0.7])
    draws = sample_one_hot(prob.log().expand(40_000, -1), (2, 3))
    assert torch.equal(draws.sum(-1), torch.full((40_000,), 2.0))
    frequency = (draws.T @ draws) / len(draws)
    expected = torch.outer(prob, prob)
    expected[:2, :2], expected[2:, 2:] = prob[:2].diag(), prob[2:].diag()
    assert (frequency - expected).abs().max() < 5 * (0.25 / 40_000) ** 0.5


def test_the_likeliest_is_the_best_of_each_choice() -> None:
    assert likeliest(torch.tensor([[0.1, 0.9, 3.0, 4.0, -1.0]]), (2, 3)).tolist() == [[0, 1, 0, 1, 0]]


@pytest.mark.parametrize(
    ("choices", "continuous", "names"),
    [((3,), 0, ("choices",)), ((), 2, ("continuous",)), ((3, 2), 1, ("choices", "continuous"))],
)
def test_components_are_named_choices_first(choices: tuple[int, ...], continuous: int, names: tuple[str, ...]) -> None:
    assert components(Spec({"state": (1,)}, continuous, choices)) == names


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ((), "has none"),
        ((1,), "at least two options"),
        ((3, 0), "at least two options"),
        ((32, 33), "1056"),
        ((4097,), "4097 options, and at most 4096"),
        ((2, 5000), "5000 options"),
    ],
)
def test_spaces_that_cannot_be_enumerated_are_refused(choices: tuple[int, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_joint("the part", choices)


def test_the_largest_joint_and_a_larger_one_in_turn_are_fine() -> None:
    check_joint("the part", (32, 32))
    check_choices("the part", (32, 33))
    check_joint("the part", (4096,))  # of one choice every option is listed, which is as many as Factored would judge
