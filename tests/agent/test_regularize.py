"""Pulls towards the initial weights: by hand, member by member, and what they leave alone."""

from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import nn

from softrl.agent.config import AgentConfig
from softrl.agent.multiplier import Multiplier
from softrl.agent.regularize import Free, L2Init, Wasserstein, of_same_rank
from softrl.errors import UserError
from softrl.nn.convolutions import Convolutions
from softrl.nn.encoders.pixels import Body
from softrl.nn.layers import Linear, UnitLinear
from softrl.nn.norms import BatchNorm, LayerNorm, RMSNorm
from softrl.nn.trunks.bottleneck import Neck
from softrl.types import Spec


def total(part: Any) -> float:
    """The loss of the value modules."""
    return float(sum(loss.detach() for loss in part.critic_losses().values()))


def moved(module: nn.Module, seed: int = 1) -> None:
    """Put the weights somewhere else."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator))


def test_free_is_nothing() -> None:
    part = Free().build([Linear(2, 2)], [])
    part.renew(Linear(2, 2))
    assert part.critic_losses() == part.actor_losses() == part.state_dict() == {}


@pytest.mark.parametrize("kind", [L2Init, Wasserstein])
def test_nothing_is_lost_at_the_start(kind: Any) -> None:
    part = kind(0.1).build([Linear(3, 4, 2)], [Linear(4, 1)])
    assert [loss.item() for loss in (part.critic_losses() | part.actor_losses()).values()] == [0, 0]


def test_l2_init_and_its_gradient_by_hand() -> None:
    value, actor = Linear(3, 4, 2), Linear(3, 2)
    part = L2Init(0.3).build([value], [actor])
    starts = [p.detach().clone() for p in (*value.parameters(), *actor.parameters())]
    moved(value)
    moved(actor, 2)
    losses = (part.critic_losses()["value_l2_init_loss"], part.actor_losses()["actor_l2_init_loss"])
    for module, loss, initial in zip((value, actor), losses, (starts[:2], starts[2:]), strict=True):
        parameters = list(module.parameters())
        distance = sum(float((p.detach() - p0).square().sum()) for p, p0 in zip(parameters, initial, strict=True))
        assert loss.item() == pytest.approx(0.15 * distance, rel=1e-5)
        for p, p0, gradient in zip(parameters, initial, torch.autograd.grad(loss, parameters), strict=True):
            torch.testing.assert_close(gradient, 0.3 * (p.detach() - p0))


@pytest.mark.parametrize("kind", [L2Init, Wasserstein])
def test_multipliers_are_no_weights(kind: Any) -> None:
    actor, price = Linear(3, 2), Multiplier(1.0, 0.1)
    part = kind(0.3).build([Linear(3, 2)], [actor, price])
    moved(price)
    assert [loss.item() for loss in part.actor_losses().values()] == [0]


def test_wasserstein_and_its_gradient_by_hand() -> None:
    layer = Linear(3, 1)
    layer.weight.data = torch.tensor([[[3.0], [1.0], [2.0]]])
    part = Wasserstein(0.5).build([layer], [Linear(2, 1)])
    layer.weight.data = torch.tensor([[[5.0], [0.0], [1.0]]])  # sorted 0, 1, 5 where it was 1, 2, 3
    part.refresh(10)
    loss = part.critic_losses()["value_wasserstein_loss"]
    assert loss.item() == pytest.approx(0.25 * (1 + 1 + 4))
    (gradient,) = torch.autograd.grad(loss, layer.weight)
    torch.testing.assert_close(gradient, torch.tensor([[[1.0], [-0.5], [-0.5]]]))


@given(st.permutations(range(12)))
def test_wasserstein_does_not_mind_who_holds_which_weight(order: list[int]) -> None:
    layer = Linear(4, 3, 2)
    part = Wasserstein(1.0).build([layer], [Linear(2, 1)])
    layer.weight.data = layer.weight.data.flatten(1)[:, order].unflatten(1, (4, 3)).contiguous()
    part.refresh(10)
    assert total(part) == 0
    layer.weight.data = layer.weight.data.flip(0)  # but a member does not answer for another
    part.refresh(20)
    assert total(part) > 0


def test_weights_keep_their_ranks_between_two_looks() -> None:
    layer = Linear(2, 1)
    layer.weight.data = torch.tensor([[[1.0], [2.0]]])
    part = Wasserstein(1.0, every=3).build([layer], [Linear(2, 1)])
    layer.weight.data = torch.tensor([[[2.0], [1.0]]])
    seen = []
    for n in range(1, 5):
        part.refresh(n)
        seen.append(total(part))
    assert seen == [1, 1, 0, 0]
    with pytest.raises(UserError, match="every is 0"):
        Wasserstein(every=0)


@given(st.permutations(range(6)), st.permutations(range(6)))
def test_looking_often_forgets_no_value(one: list[int], two: list[int]) -> None:
    layer = Linear(3, 2)
    start = layer.weight.detach().clone()
    part = Wasserstein(1.0, every=1).build([layer], [Linear(2, 1)])
    for n, order in enumerate((one, two), 1):
        layer.weight.data = start.flatten(1)[:, order].view(1, 3, 2) * n
        part.refresh(n)
    torch.testing.assert_close(part.of_value.initial_0, layer.weight.detach() / 2)


def test_sorted_anchors_of_older_runs_find_their_places() -> None:
    layer = Linear(3, 2, 2)
    part = Wasserstein(1.0).build([layer], [Linear(2, 1)])
    state = part.state_dict()
    name = "of_value.initial_0"
    part.load_state_dict(state | {name: state[name].flatten(1).sort(-1).values})
    assert total(part) > 0
    part.refresh(10)
    assert total(part) == 0


def test_the_agent_looks_at_ranks_where_a_loop_intervenes() -> None:
    agent = AgentConfig(regularizer=Wasserstein(1.0, every=2)).build(Spec({"state": (3,)}, 1))
    layer = agent.critic.trunk.layers[0]
    with torch.no_grad():
        layer.weight.copy_(layer.weight.flip(-1))
    before = total(agent.regularizer)
    agent.intervene(None, 1)
    assert total(agent.regularizer) == before > 0
    agent.intervene(None, 2)
    assert total(agent.regularizer) == 0


@pytest.mark.parametrize("kind", [L2Init, Wasserstein])
def test_members_are_single_networks(kind: Any) -> None:
    many, singles = Linear(5, 4, 3), [Linear(5, 4) for _ in range(3)]

    def give(member: int) -> None:
        singles[member].weight.data = many.weight.data[member : member + 1].clone()
        singles[member].bias.data = many.bias.data[member : member + 1].clone()

    for e in range(3):
        give(e)
    part, parts = kind(0.2).build([many], [Linear(2, 1)]), [kind(0.2).build([one], [many]) for one in singles]
    moved(many)
    for e in range(3):
        give(e)
    for each in (part, *parts):
        each.refresh(10)
    assert total(part) == pytest.approx(sum(map(total, parts)), rel=1e-5)


def test_norms_projected_and_frozen_weights_are_left_out() -> None:
    norms = [LayerNorm(4), RMSNorm(4), BatchNorm(4)]
    frozen = Linear(4, 4).requires_grad_(False)
    unit = UnitLinear(4, 4)
    network = nn.Sequential(*norms, frozen, unit)
    part = L2Init(2.0).build([network, Linear(4, 1)], [Linear(2, 1)])
    moved(network)
    assert total(part) == pytest.approx(float(unit.bias.detach().square().sum()))  # a bias starts at zero
    with pytest.raises(UserError, match="no weights to pull in the actor"):
        L2Init().build([Linear(4, 1)], [network])


@pytest.mark.parametrize("kind", [L2Init, Wasserstein])
def test_convolutions_and_the_neck_are_pulled_though_they_do_not_decay(kind: Any) -> None:
    """All weights of a network are regularised in both papers, norms excepted."""
    body = Body(Convolutions(2, (1,)).build(3, (4, 4)), Neck(8, 5))
    part = kind(2.0).build([body, Linear(4, 1)], [Linear(2, 1)])
    for name, weight in body.named_parameters():
        before, old = total(part), weight.detach().clone()
        weight.data[..., -1] += 3.0
        assert (total(part) > before) == ("norm" not in name), name
        weight.data = old
    assert total(part) == 0


def test_anchors_have_the_rank_of_their_weights() -> None:
    weight = torch.randn(2, 5, 7)
    weight[0, 0, :3] = torch.tensor([-0.0, -1e-42, 1e30])
    values = torch.randn(2, 5, 7)
    expected = torch.stack(
        [
            each.sort().values[row.argsort().argsort()]
            for each, row in zip(values.flatten(1), weight.flatten(1), strict=True)
        ]
    )
    assert torch.equal(of_same_rank(weight, values), expected.view(2, 5, 7))


def test_wasserstein_sorts_a_kernel_as_a_whole() -> None:
    body = Body(Convolutions(2, (1,)).build(3, (4, 4)), Neck(8, 5))
    kernel = body.convolutions.first.weight
    part = Wasserstein(1.0).build([body], [Linear(2, 1)])
    kernel.data = kernel.data.flip(0)  # which output has which kernel
    part.refresh(10)
    assert total(part) == 0


@pytest.mark.parametrize("kind", [L2Init, Wasserstein])
def test_a_network_that_is_inside_two_parts_is_pulled_once(kind: Any) -> None:
    one = Linear(3, 3)
    once, twice = (kind(1.0).build(parts, [Linear(2, 1)]) for parts in ([one], [one, nn.ModuleList([one])]))
    moved(one)
    assert total(twice) == total(once) > 0


@pytest.mark.parametrize("kind", [L2Init, Wasserstein])
def test_renewed_anchors_are_where_the_weights_are_now(kind: Any) -> None:
    one, two = Linear(3, 3), Linear(3, 3)
    part = kind(1.0).build([one, two], [Linear(2, 1)])
    memory = [value.data_ptr() for value in part.state_dict().values()]
    moved(one)
    moved(two, 2)
    both = total(part)
    part.renew(one)
    rest = total(part)
    part.renew(two)
    assert both > rest > 0
    assert total(part) == 0
    assert [value.data_ptr() for value in part.state_dict().values()] == memory


@pytest.mark.parametrize("kind", [L2Init, Wasserstein])
def test_weights_belong_to_their_networks_and_anchors_to_the_state(kind: Any) -> None:
    part = kind().build([Linear(3, 3)], [Linear(3, 3)])
    assert list(part.parameters()) == []
    assert len(part.state_dict()) == 4


@pytest.mark.parametrize("kind", [L2Init, Wasserstein])
def test_it_is_one_graph(kind: Any) -> None:
    layer = Linear(3, 3)
    part = kind().build([layer], [Linear(2, 1)])
    moved(layer)
    traced = torch.compile(part.critic_losses, fullgraph=True, backend="eager")()
    torch.testing.assert_close(traced, part.critic_losses())


@pytest.mark.parametrize("kind", [L2Init, Wasserstein])
@pytest.mark.parametrize("strength", [0.0, -1.0])
def test_strengths_that_do_not_pull_are_refused(kind: Any, strength: float) -> None:
    with pytest.raises(UserError, match="strength"):
        kind(strength)
