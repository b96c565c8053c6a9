"""Joint distributions of choices: independent ones and free ones."""

import itertools
import math

import pytest
import torch
from hypothesis import given, strategies as st

from softrl.nn.choices import JointChoices

SIZES = st.lists(st.integers(2, 4), min_size=1, max_size=3).map(tuple)


@given(SIZES, st.booleans())
def test_log_probabilities_are_of_the_combinations_in_order(choices: tuple[int, ...], joint: bool) -> None:
    part = JointChoices(choices, joint)
    logits = 2 * torch.randn(3, part.logits)
    found = part.joint(logits)
    torch.testing.assert_close(found.exp().sum(0), torch.ones(3))
    if joint:
        torch.testing.assert_close(found, logits.log_softmax(-1).T)
    else:
        blocks = [block.log_softmax(-1) for block in logits.split(choices, -1)]
        for k, options in enumerate(itertools.product(*map(range, choices))):
            torch.testing.assert_close(found[k], sum(x[:, a] for x, a in zip(blocks, options, strict=True)))


@pytest.mark.parametrize("joint", [True, False])
def test_draws_and_mode_are_those_of_the_joint(joint: bool) -> None:
    part = JointChoices((3, 2), joint)
    logits = torch.randn(1, part.logits)
    chance, value = part.joint(logits)[:, 0].exp(), part.value(1)[:, 0]
    draws = part.sample(logits.expand(40_000, -1))
    for one_hots, prob in zip(value, chance, strict=True):
        assert abs((draws == one_hots).all(-1).float().mean() - prob) < 5 * (0.25 / 40_000) ** 0.5
    assert torch.equal(part.mode(logits)[0], value[chance.argmax()])


def test_only_the_free_one_expresses_choices_that_depend_on_each_other() -> None:
    """Two coins that always fall alike."""
    alike = JointChoices((2, 2), True)
    logits = torch.tensor([[20.0, 0.0, 0.0, 20.0]])
    torch.testing.assert_close(alike.joint(logits)[:, 0].exp(), torch.tensor([0.5, 0.0, 0.0, 0.5]), atol=1e-6, rtol=0)
    chance = JointChoices((2, 2), False).joint(torch.randn(100, 4)).exp()
    torch.testing.assert_close(chance[0] * chance[3], chance[1] * chance[2])


@given(SIZES)
def test_without_a_joint_there_are_as_many_logits_as_options(choices: tuple[int, ...]) -> None:
    assert JointChoices(choices, False).logits == sum(choices)
    assert JointChoices(choices, True).logits == math.prod(choices)
