"""Drawing units, layers and parts anew, in place, entry by entry."""

from typing import Any

import pytest
import torch
from torch import nn

from softrl.agent.agent import Agent
from softrl.agent.config import AgentConfig
from softrl.agent.lookahead import StateTarget, StateValue
from softrl.agent.optim import Adam, AdamOptimizer
from softrl.agent.plasticity import Reset
from softrl.agent.regularize import FreeRegularizer, L2Init, Wasserstein
from softrl.agent.renew import check_layers, check_units, draw_network, draw_units, layers_of, outgoing, restore
from softrl.agent.temperature import Fixed
from softrl.errors import UserError
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.actors.latent import Latent, Marginal
from softrl.nn.critics import ActionIn
from softrl.nn.latents import Normal
from softrl.nn.layers import Linear
from softrl.nn.trunks.d2rl import D2RL
from softrl.nn.trunks.mlp import MLP
from softrl.nn.trunks.simba import SimBa
from softrl.types import Spec

SPEC = Spec({"state": (5,)}, 2)
FREE = FreeRegularizer()


class Network(nn.Module):
    """Two inputs, hidden layers of three and two units, one output."""

    def __init__(self, members: int = 1, **options: Any) -> None:
        super().__init__()
        self.trunk = MLP((3, 2), **options).build(2, members)
        self.out = Linear(2, 1, members)


def worn(network: nn.Module) -> AdamOptimizer:
    """An optimiser with a past of ones."""
    optimizer = Adam().build(network)
    for name, buffer in optimizer.named_buffers():
        if name != "learning_rate":
            buffer.fill_(1)
    return optimizer


def filled(network: Any, start: float) -> Any:
    """Weights start, start + 1, start + 2, ..: as easy to read as they are wrong."""
    for parameter in network.parameters():
        parameter.data = torch.arange(start, start + parameter.numel()).reshape(parameter.shape)
        start += parameter.numel()
    return network


def test_three_units_by_hand() -> None:
    """Unit 1 of three in the first layer and unit 0 of two in the second are drawn anew."""
    network, fresh = filled(Network(), 1.0), filled(Network(), 101.0)
    optimizer = worn(network)
    memory = [parameter.data_ptr() for parameter in network.parameters()]
    draw_network(network, fresh, optimizer, FREE, [torch.tensor([[False, True, False]]), torch.tensor([[True, False]])])
    first, second, out = *network.trunk.layers, network.out
    assert first.weight.tolist() == [[[1, 102, 3], [4, 105, 6]]]
    assert first.bias.tolist() == [[[7, 108, 9]]]
    assert second.weight.tolist() == [[[110, 11], [0, 0], [114, 15]]]  # silence is louder than a fresh draw
    assert second.bias.tolist() == [[[116, 17]]]
    assert out.weight.tolist() == [[[0], [19]]]
    assert out.bias.tolist() == [[[20]]]
    expected = [
        [[[1, 0, 1], [1, 0, 1]]],
        [[[1, 0, 1]]],
        [[[0, 1], [0, 0], [0, 1]]],
        [[[0, 1]]],
        [[[0], [1]]],
        [[[1]]],
    ]
    means, squares = optimizer.moments()
    assert [mean.tolist() for mean in means] == expected
    assert all(square.eq(1).all() for square in squares)
    assert optimizer.count == 1
    assert [parameter.data_ptr() for parameter in network.parameters()] == memory


def test_members_are_marked_one_by_one() -> None:
    network, fresh = filled(Network(3), 1.0), filled(Network(3), 1001.0)
    before = [parameter.clone() for parameter in network.parameters()]
    masks = [torch.zeros(3, 3, dtype=torch.bool), torch.zeros(3, 2, dtype=torch.bool)]
    masks[0][1, 2] = True
    draw_network(network, fresh, worn(network), FREE, masks)
    for parameter, old in zip(network.parameters(), before, strict=True):
        assert torch.equal(parameter[[0, 2]], old[[0, 2]])
    first, second = network.trunk.layers
    assert torch.equal(first.weight[1, :, 2], fresh.trunk.layers[0].weight[1, :, 2])
    assert torch.equal(first.weight[1, :, :2], before[0][1, :, :2])
    assert second.weight[1, 2].tolist() == [0, 0]
    assert torch.equal(second.weight[1, :2], before[2][1, :2])


def test_a_reborn_unit_does_not_change_what_the_network_says_while_it_was_silent() -> None:
    """A dead ReLU unit hands on nothing; nor does its successor, until something is learned."""
    network, fresh = Network(), Network()
    network.trunk.layers[0].bias.data[0, 0, 1] = -1e6
    x = torch.randn(20, 2)
    before = network.out(network.trunk(x))
    draw_network(network, fresh, worn(network), FREE, [torch.tensor([[False, True, False]]), torch.zeros(1, 2).bool()])
    torch.testing.assert_close(network.out(network.trunk(x)), before)
    assert torch.equal(network.trunk.layers[0].bias, torch.zeros(1, 1, 3))


def test_constrained_weights_are_put_back() -> None:
    network, fresh = Network(3, unit_norm=True), Network(3, unit_norm=True)
    masks = [torch.tensor([[False, True, False]] * 3), torch.tensor([[True, False]] * 3)]
    draw_network(network, fresh, worn(network), FREE, masks)
    for layer in network.trunk.layers:
        lengths = torch.cat([layer.weight, layer.bias], 1).norm(dim=1)
        torch.testing.assert_close(lengths, torch.ones_like(lengths))
    assert not network.trunk.layers[1].weight[:, 1].any()


def test_outgoing_weights_and_layers_are_those_of_the_trunk() -> None:
    network = Network()
    first, second = network.trunk.layers
    assert layers_of(network) == [first, second, network.out]
    assert [id(weight) for weight in outgoing(network)] == [id(second.weight), id(network.out.weight)]


def test_layers_of_a_residual_trunk_are_met_from_the_outputs_one_after_the_other() -> None:
    """A block's last layer stands between its first and the output."""
    critic = ActionIn(SimBa(4, 2)).build(5, SPEC)
    first, second = critic.trunk.blocks
    assert layers_of(critic) == [first.expand, first.contract, second.expand, second.contract, critic.out]


def test_a_redrawn_unit_is_pulled_to_what_it_is_now_and_the_others_to_what_they_were() -> None:
    network, fresh = filled(Network(), 1.0), filled(Network(), 101.0)
    pull = L2Init(2.0).build([network], [Network()])
    draw_network(network, fresh, worn(network), pull, [torch.tensor([[False, True, False]]), torch.zeros(1, 2).bool()])
    assert pull.critic_losses()["value_l2_init_loss"] == 0
    network.trunk.layers[0].weight.data[0, 0] += torch.tensor([1.0, 1.0, 0.0])  # of a kept unit and of the new one
    assert pull.critic_losses()["value_l2_init_loss"] == 2


def test_a_distribution_to_be_kept_stays_when_a_unit_is_redrawn() -> None:
    network = Network()
    pull = Wasserstein(1.0).build([network], [Network()])
    before = {name: value.clone() for name, value in pull.state_dict().items()}
    draw_network(network, Network(), worn(network), pull, [torch.ones(1, 3).bool(), torch.ones(1, 2).bool()])
    assert all(torch.equal(value, before[name]) for name, value in pull.state_dict().items())


def test_a_reset_temperature_keeps_the_target_that_a_callback_set() -> None:
    once = Reset(every=1, critic=False, actor=False)
    agent = AgentConfig(critic=ActionIn(MLP((4,))), plasticity=once).build(SPEC)
    agent.temperature.target.fill_(-0.5)
    agent.temperature.log_alpha.data.fill_(3.0)
    agent.plasticity.intervene(agent, None, 1)
    assert agent.temperature.target == -0.5
    assert agent.temperature() == 1


def build(trunk: Any, **parts: Any) -> Agent:
    return AgentConfig(critic=ActionIn(trunk), actor=Gaussian(MLP((4,))), **parts).build(SPEC)


@pytest.mark.parametrize("trunk", [MLP((4, 3)), MLP((4, 3), norm="layer", norm_place="after"), SimBa(4, 2)], ids=repr)
def test_marked_units_of_an_agent_are_those_of_one_freshly_built(trunk: Any) -> None:
    agent = build(trunk)
    marks = {
        name: [torch.rand(weight.shape[:2]) < 0.5 for weight in outgoing(network)]
        for name, network in (("critic", agent.critic), ("actor", agent.actor))
    }
    before = [draw.weight.detach().clone() for draw in layers_of(agent.critic)]
    torch.manual_seed(5)
    draw_units(agent, marks)
    torch.manual_seed(5)
    fresh = agent.config.build(SPEC)
    maker, model = layers_of(agent.critic)[0], layers_of(fresh.critic)[0]
    expected = torch.where(marks["critic"][0][:, None], model.weight, before[0])
    torch.testing.assert_close(maker.weight, expected)
    for network, masks in ((agent.critic, marks["critic"]), (agent.actor, marks["actor"])):
        for weight, mask in zip(outgoing(network), masks, strict=True):
            assert not weight[mask].any()
            assert weight[~mask].all()


def test_without_marks_nothing_is_drawn() -> None:
    agent, state = build(MLP((4,))), torch.get_rng_state()
    before = {name: value.clone() for name, value in agent.state_dict().items()}
    draw_units(agent, {"critic": [torch.zeros(2, 4).bool()], "actor": [torch.zeros(1, 4).bool()]})
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in agent.state_dict().items())


def test_a_restored_part_has_no_past() -> None:
    agent = build(MLP((4,)), regularizer=L2Init(1.0))
    agent.optim.value.get_buffer("mean_0").fill_(1)
    agent.optim.value.count.fill_(9)
    fresh = agent.config.build(SPEC)
    restore(agent, agent.critic, fresh.critic, agent.optim.value)
    assert torch.equal(agent.critic.out.weight, fresh.critic.out.weight)
    assert agent.critic.out.weight is not fresh.critic.out.weight
    assert not agent.optim.value.get_buffer("mean_0").any()
    assert agent.optim.value.count == 9
    assert float(agent.regularizer.critic_losses()["value_l2_init_loss"].detach()) == 0


def test_what_cannot_be_drawn_anew_is_refused() -> None:
    agent = build(D2RL((4, 4)))
    with pytest.raises(UserError, match="units of agent"):
        check_units(agent)
    with pytest.raises(UserError, match="critic has 1"):
        check_layers(agent, "critic", 2)
    check_layers(agent, "actor", 2)
    check_units(build(MLP((4,))))
    agent = build(MLP((4,)))
    agent.actor = nn.Linear(5, 2)  # as an actor from elsewhere may be: nothing to be seen inside
    with pytest.raises(UserError, match=r"single units of agent\.actor"):
        check_units(agent)


def test_layers_of_a_latent_policy_are_counted_from_its_actions() -> None:
    policy = Latent(MLP((8,)), Normal(4), 2, Marginal(MLP((8,))))
    once = Reset(every=1, critic=False, temperature=False, layers=1)
    agent = AgentConfig(critic=ActionIn(MLP((8,))), actor=policy, plasticity=once).build(SPEC)
    first, last = agent.actor.out.weight.clone(), agent.actor.policy.out.weight.clone()
    once.intervene(agent, None, 1)
    assert torch.equal(agent.actor.out.weight, first)
    assert not torch.equal(agent.actor.policy.out.weight, last)
    assert len(layers_of(agent.actor)) == 4


def test_a_state_value_is_drawn_anew_as_far_as_its_critic() -> None:
    """And its target is a copy of it, whose layers are not drawn again."""
    small = MLP((6, 4))
    parts = {"lookahead": StateTarget(StateValue(small)), "update": "sac_v1", "temperature": Fixed()}
    config = AgentConfig(critic=ActionIn(small), plasticity=Reset(1, layers=1), **parts)  # type: ignore[arg-type]
    agent = config.build(SPEC)
    before = {name: value.clone() for name, value in agent.state_dict().items()}
    agent.plasticity.intervene(agent, None, 1)  # type: ignore[arg-type]
    for network, name in ((agent.critic, "critic"), (agent.lookahead.value, "lookahead.value")):
        changed = {
            key for key, value in network.state_dict().items() if not torch.equal(value, before[f"{name}.{key}"])
        }
        assert changed == {"out.weight"}  # its bias is 0 in every draw
    copied = zip(agent.lookahead.value.state_dict().values(), agent.lookahead.target.state_dict().values(), strict=True)
    assert all(torch.equal(value, copy) for value, copy in copied)
