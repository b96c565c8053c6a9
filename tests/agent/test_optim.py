"""Adam against torch.optim.Adam, and its state as buffers."""

import pytest
import torch
from torch import nn

from softrl.agent.optim import Adam
from softrl.errors import UserError


def problem(seed: int = 0) -> tuple[nn.Linear, torch.Tensor]:
    torch.manual_seed(seed)
    return nn.Linear(6, 4), torch.randn(30, 6)


@pytest.mark.parametrize(("beta1", "epsilon"), [(0.9, 1e-8), (0.5, 1e-3)])
def test_equals_torch(beta1: float, epsilon: float) -> None:
    ours, x = problem()
    theirs, _ = problem()
    optimiser = Adam(1e-2, beta1, 0.999, epsilon).build(ours.parameters())
    reference = torch.optim.Adam(theirs.parameters(), lr=1e-2, betas=(beta1, 0.999), eps=epsilon)
    for _ in range(50):
        optimiser.step({"a": ours(x).square().mean(), "b": ours.weight.sum()})
        reference.zero_grad()
        (theirs(x).square().mean() + theirs.weight.sum()).backward()
        reference.step()
    torch.testing.assert_close(ours.weight, theirs.weight, atol=1e-6, rtol=1e-5)


def test_state_dict_brings_the_moments_back() -> None:
    ours, x = problem()
    optimiser = Adam(1e-2).build(ours.parameters())

    def walk(steps: int) -> torch.Tensor:
        for _ in range(steps):
            optimiser.step({"a": ours(x).square().mean()})
        return ours.weight.detach().clone()

    walk(3)
    weights = {name: value.clone() for name, value in ours.state_dict().items()}
    moments = {name: value.clone() for name, value in optimiser.state_dict().items()}
    expected = walk(3)
    ours.load_state_dict(weights)
    optimiser.load_state_dict(moments)
    assert torch.equal(walk(3), expected)


def test_weights_are_not_registered_twice() -> None:
    ours, _ = problem()
    optimiser = Adam().build(ours.parameters())
    assert list(optimiser.parameters()) == []
    assert set(optimiser.state_dict()) == {"learning_rate", "count", "mean_0", "square_0", "mean_1", "square_1"}


def test_frozen_parameters_are_left_out_and_nothing_to_learn_is_neutral() -> None:
    ours, x = problem()
    ours.requires_grad_(False)
    before = ours.weight.clone()
    Adam().build(ours.parameters()).step({"a": ours(x).sum()})
    assert torch.equal(ours.weight, before)


@pytest.mark.parametrize("wrong", [{"learning_rate": 0.0}, {"beta1": 1.0}, {"beta2": -0.1}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError):
        Adam(**wrong)
