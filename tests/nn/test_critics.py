"""Critics judge K actions as K separate calls would, and members as single critics would."""

import pytest
import torch

from softrl.errors import UserError
from softrl.math.choices import combinations
from softrl.nn.critics import ActionIn, ActionOut, ChoiceOut, StateValue
from softrl.nn.heads import Categorical, Quantile, Scalar
from softrl.nn.trunks.mlp import MLP
from softrl.types import Atoms, Spec

SPEC = Spec({"state": (4,)}, 2)
SMALL = MLP((8, 8))
CHOICES = (3, 2)
JOINT = combinations(CHOICES)
HEADS = [Scalar(), Quantile(4), Categorical(7)]


@pytest.mark.parametrize("members", [1, 3])
def test_k_actions_at_once_equal_one_at_a_time(members: int) -> None:
    critic = ActionIn(SMALL, members=members).build(4, SPEC)
    z, action = torch.randn(5, 4), torch.randn(6, 5, 2)
    together = critic(z, action)
    assert together.output.shape == (members, 6, 5, 1)
    for k in range(6):
        alone = critic(z, action[k : k + 1])
        torch.testing.assert_close(together.atoms.mean()[:, k], alone.atoms.mean()[:, 0])


def test_each_member_sees_the_same_input_and_has_weights_of_its_own() -> None:
    critic = ActionIn(SMALL, members=2).build(4, SPEC)
    z, action = torch.randn(5, 4), torch.randn(1, 5, 2)
    q = critic(z, action).atoms.mean()
    assert not torch.allclose(q[0], q[1])
    x = torch.cat([z, action[0]], -1)
    for layer in critic.trunk.layers:
        x = torch.relu(x @ layer.weight[1] + layer.bias[1])
    torch.testing.assert_close(q[1, 0], (x @ critic.out.weight[1] + critic.out.bias[1])[:, 0])


def test_loss_is_half_the_squared_distance_to_the_mean_target() -> None:
    critic = ActionIn(SMALL).build(4, SPEC)
    q = critic(torch.randn(5, 4), torch.randn(1, 5, 2))
    target = Atoms(torch.tensor([[1.0, 3.0]]).expand(5, 2), torch.tensor([[0.25, 0.75]]).expand(5, 2))
    expected = 0.5 * (q.output[:, 0, :, 0] - 2.5) ** 2
    torch.testing.assert_close(critic.loss(q, target), expected)


def test_state_value_has_one_member_and_no_action() -> None:
    value = StateValue(SMALL).build(4)
    v = value(torch.randn(5, 4))
    assert v.output.shape == (1, 1, 5, 1)
    assert value.loss(v, Atoms(torch.zeros(5, 1), torch.ones(5, 1))).shape == (1, 5)


@pytest.mark.parametrize("kind", [ActionIn, ActionOut, ChoiceOut])
def test_an_ensemble_without_members_is_refused(kind: type) -> None:
    with pytest.raises(UserError, match="at least one member"):
        kind(members=0)


def by_hand(critic, x: torch.Tensor, member: int) -> torch.Tensor:
    """Every output of one member, [B,J,W]."""
    for layer in critic.trunk.layers:
        x = torch.relu(x @ layer.weight[member] + layer.bias[member])
    return (x @ critic.out.weight[member] + critic.out.bias[member]).unflatten(-1, (len(JOINT), -1))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("continuous", [0, 2])
def test_action_out_picks_the_rows_of_given_choices_from_one_pass(head, members: int, continuous: int) -> None:
    critic = ActionOut(SMALL, head, members).build(4, Spec({"state": (4,)}, continuous, CHOICES))
    z, number, shared = torch.randn(5, 4), torch.randint(6, (8, 5)), torch.rand(5, continuous)
    found = critic(z, torch.cat([JOINT[number], shared.expand(8, -1, -1)], -1))
    assert found.output.shape == (members, 8, 5, head.width)
    for e in range(members):
        rows = by_hand(critic, torch.cat([z, shared], -1), e)
        for k in range(8):
            torch.testing.assert_close(found.output[e, k], rows[torch.arange(5), number[k]])
    torch.testing.assert_close(found.atoms.mean(), head.atoms(found.output).mean())


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("members", [1, 3])
def test_choice_out_judges_each_action_with_its_own_parameters(head, members: int) -> None:
    critic = ChoiceOut(SMALL, head, members).build(4, Spec({"state": (4,)}, 2, CHOICES))
    z, number, parameters = torch.randn(5, 4), torch.randint(6, (8, 5)), torch.rand(8, 5, 2)
    found = critic(z, torch.cat([JOINT[number], parameters], -1))
    assert found.output.shape == (members, 8, 5, head.width)
    for e in range(members):
        for k in range(8):
            rows = by_hand(critic, torch.cat([z, parameters[k]], -1), e)
            torch.testing.assert_close(found.output[e, k], rows[torch.arange(5), number[k]])


@pytest.mark.parametrize("kind", [ActionOut, ChoiceOut])
def test_the_loss_of_a_taken_action_moves_its_own_row_alone(kind: type) -> None:
    critic = kind(SMALL, members=1).build(4, Spec({"state": (4,)}, 1, CHOICES))
    taken = torch.cat([JOINT[[4]], torch.zeros(1, 1)], -1)[None]
    loss = critic.loss(critic(torch.randn(1, 4), taken), Atoms(torch.ones(1, 1), torch.ones(1, 1))).sum()
    (gradient,) = torch.autograd.grad(loss, critic.out.bias)
    assert gradient[0, 0].nonzero().flatten().tolist() == [4]


@pytest.mark.parametrize("kind", [ActionOut, ChoiceOut])
@pytest.mark.parametrize(("choices", "words"), [((), "has none"), ((1,), "at least two"), ((40, 40), "1600")])
def test_choices_that_cannot_be_rows_are_refused(kind: type, choices: tuple[int, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        kind().build(4, Spec({"state": (4,)}, 1, choices))
