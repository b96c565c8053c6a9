"""The factored policy has the expectations and gradients of full enumeration: exactly, over every possible draw."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from softrl.errors import UserError
from softrl.math.choices import combinations
from softrl.math.losses import entropy, policy_loss
from softrl.math.returns import soft_value
from softrl.nn.actors import factored
from softrl.nn.actors.categorical import Categorical
from softrl.nn.actors.factored import Factored
from softrl.nn.trunks.mlp import MLP
from softrl.types import Actions, Atoms, Spec

D, CHOICES = 4, (3, 2, 2)
SMALL = MLP((8, 8))
SPEC = Spec({"state": (D,)}, 0, CHOICES)
JOINT = combinations(CHOICES)


def outcomes(actions: Actions, table: Tensor, weights: list[Tensor]) -> list[Tensor]:
    """Soft value, entropy and the gradient of the policy's loss in one state, whose joint actions have values [J]."""
    q = table[(actions.value @ JOINT.T).argmax(-1)]  # [K,1]
    alpha = torch.tensor([0.3])
    value = soft_value(Atoms(q[..., None], torch.ones(1)), actions, alpha).mean()
    gradient = torch.autograd.grad(policy_loss(q, actions, alpha), weights)
    return [value.detach(), entropy(actions).detach(), *gradient]


def test_the_mean_over_all_draws_is_the_full_enumeration(monkeypatch: pytest.MonkeyPatch) -> None:
    actor, exact = Factored(SMALL).build(D, SPEC), Categorical(SMALL).build(D, SPEC)
    exact.load_state_dict(actor.state_dict())
    z, table = torch.randn(1, D), torch.randn(len(JOINT))  # values that are no sum over choices
    expected = outcomes(exact(z), table, list(exact.parameters()))
    mean = [torch.zeros_like(x) for x in expected]
    for draw, chance in zip(JOINT, exact(z).prob.detach(), strict=True):
        monkeypatch.setattr(factored, "sample_one_hot", lambda log_prob, choices, draw=draw: draw.expand_as(log_prob))
        for total, found in zip(mean, outcomes(actor(z), table, list(actor.parameters())), strict=True):
            total.add_(chance * found)
    for found, wanted in zip(mean, expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_each_action_changes_one_choice_of_a_shared_draw() -> None:
    actor = Factored(SMALL).build(D, SPEC)
    actions = actor(torch.randn(5, D))
    assert actions.value.shape == (7, 5, 7)
    torch.testing.assert_close(actions.prob.sum(0), torch.ones(5))
    for block in actions.value.split(CHOICES, -1):
        assert torch.equal(block.sum(-1), torch.ones(7, 5))
    owner = [0, 0, 0, 1, 1, 2, 2]
    for one in range(7):
        assert torch.equal(actions.value[one, :, one], torch.ones(5))
        for other in range(7):
            changed = (actions.value[one] != actions.value[other]).any(0)  # [S]
            concerned = {i for i, block in enumerate(changed.split(CHOICES)) if block.any()}
            assert concerned <= {owner[one], owner[other]}


def test_a_million_combinations_take_sixty_actions() -> None:
    spec = Spec({"state": (D,)}, 2, (10,) * 6)
    actor, z = Factored(SMALL).build(D, spec), torch.randn(5, D)
    actions = actor(z)
    assert (actions.value.shape, actions.log_prob.shape) == ((60, 5, 62), (60, 5, 2))
    assert actor.sample(z).shape == actor.mode(z).shape == (5, 62)


def test_the_continuous_part_is_one_draw_with_its_density() -> None:
    actor, z = Factored(SMALL, -1.0, 0.0).build(D, Spec({"state": (D,)}, 2, (3,))), torch.randn(5, D)
    actions = actor(z)
    assert torch.equal(actions.value[:, :, 3:], actions.value[:1, :, 3:].expand(3, -1, -1))
    mean, raw = actor.out(actor.trunk(z))[0, :, 3:].chunk(2, -1)
    density = TransformedDistribution(Normal(mean, raw.clamp(-1, 0).exp()), TanhTransform())
    expected = density.log_prob(actions.value[0, :, 3:]).sum(-1)
    torch.testing.assert_close(actions.log_prob[..., 1], expected.expand(3, -1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(actor.mode(z)[:, 3:], mean.tanh())


def test_samples_are_of_the_policy() -> None:
    actor, exact, z = Factored(SMALL).build(D, SPEC), Categorical(SMALL).build(D, SPEC), torch.randn(1, D)
    exact.load_state_dict(actor.state_dict())
    draws, actions = actor.sample(z.expand(40_000, -1)), exact(z)
    for value, prob in zip(actions.value[:, 0], actions.prob[:, 0], strict=True):
        assert abs((draws == value).all(-1).float().mean() - prob) < 5 * (0.25 / 40_000) ** 0.5
    assert torch.equal(actor.mode(z), exact.mode(z))


@pytest.mark.parametrize(("choices", "words"), [((), "has none"), ((3, 1), "at least two")])
def test_spaces_without_choices_are_refused(choices: tuple[int, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Factored().build(D, Spec({"state": (D,)}, 2, choices))


def test_bounds_without_room_are_refused() -> None:
    with pytest.raises(UserError, match="log_std"):
        Factored(log_std_min=2.0, log_std_max=1.0)
