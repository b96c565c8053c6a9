"""Temperatures: where they start, what they aim at, what is refused."""

import math

import pytest

from softrl.agent.temperature import Entropy, Fixed, Learned
from softrl.errors import UserError
from softrl.types import Spec

SPEC = Spec({"state": (4,)}, 3)


def test_learned_starts_at_its_initial_value_and_aims_at_minus_the_action_width() -> None:
    temperature = Learned(0.1).build(SPEC)
    assert temperature().tolist() == pytest.approx([0.1])
    assert temperature.target.tolist() == [-3.0]
    assert [p.requires_grad for p in temperature.parameters()] == [True]


def test_a_weight_decay_leaves_the_temperature_alone() -> None:
    """It would pull the logarithm to zero, and the temperature to one."""
    assert Learned(0.1).build(SPEC).log_alpha.decays is False  # type: ignore[attr-defined]


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


@pytest.mark.parametrize(
    ("choices", "continuous", "expected"),
    [
        ((4,), 0, [0.98 * math.log(4)]),
        ((5, 3), 0, [0.98 * math.log(15)]),
        ((5, 3), 2, [0.98 * math.log(15), -2.0]),
    ],
)
@pytest.mark.parametrize("kind", [Learned, Fixed])
def test_every_component_has_a_temperature_and_a_target(
    kind: type, choices: tuple[int, ...], continuous: int, expected: list[float]
) -> None:
    temperature = kind(0.3).build(Spec({"state": (4,)}, continuous, choices))
    assert temperature().tolist() == pytest.approx([0.3] * len(expected))
    assert temperature.target.tolist() == pytest.approx(expected)


def test_the_share_of_the_largest_entropy_can_be_chosen() -> None:
    temperature = Learned(target_share=0.5, target_per_action=-0.5).build(Spec({"state": (4,)}, 2, (8,)))
    assert temperature.target.tolist() == pytest.approx([0.5 * math.log(8), -1.0])


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_that_no_policy_keeps_is_refused(share: float) -> None:
    with pytest.raises(UserError, match="target_share"):
        Learned(target_share=share)


def test_entropy_counts_everywhere_unless_switched_off() -> None:
    temperature = Learned().build(SPEC)
    assert (temperature.in_backup, temperature.in_actor) == (1.0, 1.0)
    temperature = Learned(entropy=Entropy(in_backup=False)).build(SPEC)
    assert (temperature.in_backup, temperature.in_actor) == (0.0, 1.0)
    temperature = Fixed(entropy=Entropy(in_actor=False)).build(SPEC)
    assert (temperature.in_backup, temperature.in_actor) == (1.0, 0.0)


def test_a_temperature_that_the_actor_does_not_feel_is_not_learned() -> None:
    with pytest.raises(UserError, match="fixed"):
        Learned(entropy=Entropy(in_actor=False))
