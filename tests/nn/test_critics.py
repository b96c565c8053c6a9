"""Critics judge K actions as K separate calls would, and members as single critics would."""

import pytest
import torch

from softrl.errors import UserError
from softrl.nn.critics import ActionIn, StateValue
from softrl.nn.trunks.mlp import MLP
from softrl.types import Atoms, Spec

SPEC = Spec({"state": (4,)}, 2)
SMALL = MLP((8, 8))


@pytest.mark.parametrize("members", [1, 3])
def test_k_actions_at_once_equal_one_at_a_time(members: int) -> None:
    critic = ActionIn(SMALL, members=members).build(4, SPEC)
    z, action = torch.randn(5, 4), torch.randn(6, 5, 2)
    together = critic(z, action)
    assert together.row.shape == (members, 6, 5, 1)
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
    expected = 0.5 * (q.row[:, 0, :, 0] - 2.5) ** 2
    torch.testing.assert_close(critic.loss(q, target), expected)


def test_state_value_has_one_member_and_no_action() -> None:
    value = StateValue(SMALL).build(4)
    v = value(torch.randn(5, 4))
    assert v.row.shape == (1, 1, 5, 1)
    assert value.loss(v, Atoms(torch.zeros(5, 1), torch.ones(5, 1))).shape == (1, 5)


def test_an_ensemble_without_members_is_refused() -> None:
    with pytest.raises(UserError, match="at least one member"):
        ActionIn(members=0)
