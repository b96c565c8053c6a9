"""Temperatures: where they start, what they aim at, what is refused."""

import pytest

from softrl.agent.temperature import Fixed, Learned
from softrl.errors import UserError
from softrl.types import Spec

SPEC = Spec({"state": (4,)}, 3)


def test_learned_starts_at_its_initial_value_and_aims_at_minus_the_action_width() -> None:
    temperature = Learned(0.1).build(SPEC)
    assert temperature().tolist() == pytest.approx([0.1])
    assert temperature.target.tolist() == [-3.0]
    assert [p.requires_grad for p in temperature.parameters()] == [True]


def test_fixed_has_nothing_to_learn() -> None:
    temperature = Fixed(0.2).build(SPEC)
    assert temperature().tolist() == pytest.approx([0.2])
    assert not any(p.requires_grad for p in temperature.parameters())


def test_a_target_that_no_policy_reaches_is_refused() -> None:
    with pytest.raises(UserError, match=r"log 2"):
        Learned(target_per_action=1.0)


@pytest.mark.parametrize("kind", [Learned, Fixed])
def test_temperatures_are_positive(kind: type) -> None:
    with pytest.raises(UserError, match="positive"):
        kind(0.0)
