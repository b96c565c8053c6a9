"""Additive noise: how much of it, where it ends, and whom it leaves alone."""

from types import SimpleNamespace

import pytest
import torch

from softrl.agent.noise import AdditiveNoise
from softrl.errors import UserError
from softrl.types import Spec

SPEC = Spec({"state": (3,)}, 2)
Z = torch.zeros(20_000, 3)


def acting(value: float) -> SimpleNamespace:
    """A policy that always does the same."""
    return SimpleNamespace(sample=lambda z: torch.full((len(z), 2), value))


def test_the_noise_is_as_large_as_asked_for_and_of_every_number_by_itself() -> None:
    explorer = AdditiveNoise(0.2).build(None, 3, SPEC)
    action, carry = explorer.act(acting(0.1), Z, {"other": Z})
    assert list(carry) == ["other"]
    assert action.mean(0).tolist() == pytest.approx([0.1, 0.1], abs=0.01)
    assert action.std(0).tolist() == pytest.approx([0.2, 0.2], abs=0.005)
    assert abs(torch.corrcoef(action.T)[0, 1]) < 0.04


def test_actions_stay_within_their_bounds() -> None:
    action, _ = AdditiveNoise(0.3).build(None, 3, SPEC).act(acting(1.0), Z, {})
    assert action.abs().max() == 1
    assert (action == 1).float().mean() == pytest.approx(0.5, abs=0.02)


def test_it_has_nothing_to_learn_or_to_remember() -> None:
    explorer = AdditiveNoise().build(None, 3, SPEC)
    assert explorer.initial(3) == explorer.losses(SimpleNamespace(), Z, Z) == explorer.state_dict() == {}  # type: ignore[arg-type]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="positive"):
        AdditiveNoise(0.0)
    with pytest.raises(UserError, match="choices"):
        AdditiveNoise().build(None, 3, Spec({"state": (3,)}, 0, (2,)))
