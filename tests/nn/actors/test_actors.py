"""What holds of every actor: weights that sum to one, whole actions, one draw for acting and learning, a graph."""

from typing import Any

import pytest
import torch
from torch import Tensor

from softrl.nn.actors import Actor
from softrl.nn.actors.beta import Beta
from softrl.nn.actors.categorical import Categorical
from softrl.nn.actors.deterministic import Deterministic
from softrl.nn.actors.factored import Factored
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.actors.gsde import GSDE
from softrl.nn.actors.hybrid import Hybrid
from softrl.nn.actors.mixture import Mixture
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec

B, D = 5, 4
SMALL = MLP((8, 8))
NUMBERS = Spec({"state": (D,)}, 2)
CHOICES = Spec({"state": (D,)}, 0, (3, 2))
BOTH = Spec({"state": (D,)}, 2, (3, 2))

EVERY: dict[str, tuple[Any, Spec, int]] = {
    "gaussian": (Gaussian(SMALL), NUMBERS, 1),
    "gsde": (GSDE(SMALL), NUMBERS, 1),
    "beta": (Beta(SMALL), NUMBERS, 1),
    "mixture": (Mixture(SMALL), NUMBERS, 4),
    "deterministic": (Deterministic(SMALL), NUMBERS, 1),
    "categorical": (Categorical(SMALL), CHOICES, 6),
    "hybrid": (Hybrid(SMALL), BOTH, 6),
    "factored": (Factored(SMALL), BOTH, 5),
}
"""A configuration, a space for it, and how many weighted actions it answers there."""


def built(name: str) -> Actor:
    torch.manual_seed(0)
    config, spec, _ = EVERY[name]
    actor: Actor = config.build(D, spec)
    return actor


def out(actor: Any) -> Tensor:
    """The weights of the output layer."""
    weight: Tensor = actor.out.weight
    return weight


@pytest.mark.parametrize("name", EVERY)
def test_answers_have_the_promised_shapes_and_weights(name: str) -> None:
    _, spec, count = EVERY[name]
    policy, z = built(name), torch.randn(B, D)
    actions = policy(z)
    components = bool(spec.choices) + bool(spec.continuous)
    assert actions.value.shape == (count, B, spec.action)
    assert actions.log_prob.shape == (count, B, components)
    torch.testing.assert_close(actions.prob.sum(0), torch.ones(B))
    for action in (*actions.value, policy.sample(z), policy.mode(z)):
        picks, numbers = action[:, : sum(spec.choices)], action[:, sum(spec.choices) :]
        assert action.shape == (B, spec.action)
        assert (numbers.abs() <= 1).all()
        assert set(picks.unique().tolist()) <= {0.0, 1.0}
        for pick in picks.split(spec.choices, -1):
            assert torch.equal(pick.sum(-1), torch.ones(B))


@pytest.mark.parametrize("name", ["gaussian", "gsde", "beta"])
def test_acting_and_learning_draw_the_same_action_from_the_same_generator(name: str) -> None:
    policy, z = built(name), torch.randn(B, D)
    torch.manual_seed(1)
    drawn = policy.sample(z)
    torch.manual_seed(1)
    assert torch.equal(policy(z).value[0], drawn)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_it_traces_into_one_graph_with_its_gradient(name: str) -> None:
    policy, z = built(name), torch.randn(B, D)

    def gradient(z: Tensor) -> tuple[Tensor, Tensor]:
        actions = policy(z)
        loss = actions.expectation(actions.log_prob).sum() + actions.expectation(actions.value.square()).sum()
        return torch.autograd.grad(loss, [out(policy)])[0], policy.sample(z)

    torch.manual_seed(1)
    expected = gradient(z)
    assert expected[0].abs().sum() > 0
    torch.manual_seed(1)
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        torch.testing.assert_close(torch.compile(gradient, fullgraph=True, backend="eager")(z), expected)
