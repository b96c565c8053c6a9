"""Interventions: when they act, what they change to which values, and what they leave alone."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from softrl.agent.agent import Agent
from softrl.agent.chunk import AdaptiveChunk
from softrl.agent.compile import guards_of_the_call
from softrl.agent.config import AgentConfig
from softrl.agent.explore import Optimistic
from softrl.agent.lookahead import StateTarget
from softrl.agent.optim import Adam, Optimizers
from softrl.agent.penalty import EntropyPenalty
from softrl.agent.plasticity import ContinualBackprop, Keep, ReDo, Reset, ShrinkAndPerturb
from softrl.agent.regularize import L2Init
from softrl.agent.schedule import LinearDecay
from softrl.agent.temperature import Fixed
from softrl.errors import UserError
from softrl.nn.actors.categorical import Categorical
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.critics import ActionIn
from softrl.nn.trunks.d2rl import D2RL
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec, Window

SPEC = Spec({"state": (5,)}, 2)
SMALL = MLP((6, 4), norm="layer")
OPTIM = Optimizers(value=Adam(1e-2, weight_decay=0.1, schedule=LinearDecay(0.1, 50)))


def build(plasticity: Any, trunk: Any = SMALL, members: int = 2, **parts: Any) -> Agent:
    critic = ActionIn(trunk, members=members)
    return AgentConfig(critic=critic, actor=Gaussian(trunk), plasticity=plasticity, **parts).build(SPEC)


@pytest.fixture
def learned(window: Callable[..., Window]) -> Callable[[Agent], Agent]:
    """Gives an agent three updates."""

    def learn(agent: Agent) -> Agent:
        for _ in range(3):
            agent.update(window())
        return agent

    return learn


def state(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(module: torch.nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


def seeded(agent: Agent, n: int, w: Window) -> Agent:
    """Intervene after update `n`, and answer the agent that a fresh build draws from the same random numbers."""
    torch.manual_seed(11)
    agent.plasticity.intervene(agent, w, n)
    torch.manual_seed(11)
    return agent.config.build(SPEC)


# ------------------------------------------------------------ keep


def test_keep_changes_nothing_and_draws_nothing(window: Any, learned: Any) -> None:
    agent, w = learned(build(Keep())), window()
    before, generator = state(agent), torch.get_rng_state()
    agent.plasticity.intervene(agent, w, 1_000_000)
    assert changed(agent, before) == set()
    assert torch.equal(torch.get_rng_state(), generator)


# ------------------------------------------------------------ resets


@pytest.mark.parametrize(
    "extra", [{}, {"explorer": Optimistic()}, {"regularizer": L2Init(0.1)}], ids=["sac", "bro", "l2"]
)
def test_a_reset_agent_is_a_freshly_built_one_in_the_same_memory(
    extra: dict[str, Any], window: Any, learned: Any
) -> None:
    agent = learned(build(Reset(every=4), optim=OPTIM, **extra))
    memory = {name: value.data_ptr() for name, value in agent.state_dict().items()}
    fresh = seeded(agent, 8, window())
    assert changed(agent, state(fresh)) == set()
    assert {name: value.data_ptr() for name, value in agent.state_dict().items()} == memory
    torch.manual_seed(3)
    w = window()
    generator = torch.get_rng_state()
    agent.update(w)
    torch.set_rng_state(generator)
    fresh.update(w)
    assert changed(agent, state(fresh)) == set()  # and so it learns the same from here on


def test_resets_come_at_multiples_and_at_the_updates_named(window: Any, learned: Any) -> None:
    agent = learned(build(Reset(every=4, at=(3, 5))))
    acted = []
    for n in range(1, 13):
        agent.critic.out.bias.data.fill_(7)
        agent.plasticity.intervene(agent, window(), n)
        if not (agent.critic.out.bias == 7).all():
            acted.append(n)
    assert acted == [3, 4, 5, 8, 12]
    only = build(Reset(every=None, at=(2,)))
    before = state(only)
    only.plasticity.intervene(only, window(), 4)
    assert changed(only, before) == set()


def test_a_reset_policy_has_a_new_old_policy_to_be_penalised_by(window: Any) -> None:
    config = AgentConfig(actor=Categorical(SMALL), penalty=EntropyPenalty(), plasticity=Reset(every=1))
    agent = config.build(Spec({"state": (5,)}, 0, (3,)))
    agent.penalty.old.out.weight.add_(1.0)
    agent.plasticity.intervene(agent, window(), 1)
    assert torch.equal(agent.penalty.old.out.weight, agent.actor.out.weight)


@pytest.mark.parametrize("kept", ["critic", "actor", "temperature"])
def test_what_is_not_to_be_reset_stays(kept: str, window: Any, learned: Any) -> None:
    agent = learned(build(Reset(every=1, **{kept: False}), optim=OPTIM))
    before = state(agent)
    fresh = state(seeded(agent, 1, window()))
    parts = {
        "critic": ("critic.", "lookahead.", "optim.value."),
        "actor": ("actor.", "optim.actor."),
        "temperature": ("temperature.", "optim.temperature."),
    }
    for name, value in agent.state_dict().items():
        expected = before if name.startswith(parts[kept]) else fresh
        assert torch.equal(value, expected[name]), name
    assert {name for name in before if not torch.equal(before[name], fresh[name])} >= {
        "critic.out.weight", "actor.out.weight", "temperature.log_alpha",
    }  # fmt: skip


def test_a_reset_forgets_how_far_target_and_critic_were_apart(window: Any) -> None:
    agent = AgentConfig(chunk=AdaptiveChunk(length=2), plasticity=Reset(2)).build(SPEC)
    agent.chunk_execution.lag.fill_(3.0)
    agent.plasticity.intervene(agent, window(), 1)
    assert agent.chunk_execution.lag == 3
    agent.plasticity.intervene(agent, window(), 2)
    assert agent.chunk_execution.lag == 0


def test_the_state_value_and_its_target_are_reset_too(window: Any, learned: Any) -> None:
    agent = learned(
        build(Reset(every=1), update="sac_v1", lookahead=StateTarget(tau=0.5), temperature=Fixed(), optim=OPTIM)
    )
    before = state(agent.lookahead)
    agent.plasticity.intervene(agent, window(), 1)
    assert "value.out.weight" in changed(agent.lookahead, before)
    for value, target in zip(agent.lookahead.value.parameters(), agent.lookahead.target.parameters(), strict=True):
        assert torch.equal(value, target)
    assert all(not value.any() for name, value in agent.optim.value.state_dict().items() if name != "learning_rate")


def test_a_partial_reset_draws_the_last_layers_anew(window: Any, learned: Any) -> None:
    agent = learned(build(Reset(every=1, layers=2), optim=OPTIM, regularizer=L2Init(1.0)))
    before = state(agent)
    fresh = seeded(agent, 1, window())
    for network, model, name in ((agent.critic, fresh.critic, "critic"), (agent.actor, fresh.actor, "actor")):
        drawn = {f"trunk.layers.1.{p}" for p in ("weight", "bias")} | {f"out.{p}" for p in ("weight", "bias")}
        for key, value in network.state_dict().items():
            expected = model.state_dict()[key] if key in drawn else before[f"{name}.{key}"]
            assert torch.equal(value, expected), key
    for source, target in zip(agent.critic.parameters(), agent.lookahead.target.parameters(), strict=True):
        assert torch.equal(source, target)
    drawn_parameters = {id(p) for layer in (agent.critic.trunk.layers[1], agent.critic.out) for p in layer.parameters()}
    held = agent.optim.value.parameters_held
    touched = {f"{kind}_{i}" for kind in ("mean", "square") for i, p in enumerate(held) if id(p) in drawn_parameters}
    assert len(touched) == 8
    for name, value in agent.optim.value.state_dict().items():
        old = before[f"optim.value.{name}"]
        blank = old.mean().expand_as(old) if name.startswith("square") else torch.zeros_like(old)
        assert torch.equal(value, blank if name in touched else old), name
    renewed = changed(agent.regularizer, {k.removeprefix("regularizer."): v for k, v in before.items() if "regul" in k})
    # Biases start at zero in every draw; only two weight matrices of each network have moved their anchors.
    assert len(renewed) == 4


def test_more_layers_than_there_are_is_refused() -> None:
    with pytest.raises(UserError, match="reset fewer"):
        build(Reset(layers=4))
    build(Reset(layers=3))


# ------------------------------------------------------------ shrink and perturb


def test_shrink_and_perturb_by_hand(window: Any, learned: Any) -> None:
    agent = learned(build(ShrinkAndPerturb(every=2, shrink=0.3, noise=0.1), optim=OPTIM))
    for parameter in agent.critic.trunk.after.parameters():
        parameter.data.add_(0.5)  # norms have learned something, and keep it
    before, memory = state(agent), [p.data_ptr() for p in agent.parameters()]
    agent.plasticity.intervene(agent, window(), 3)
    assert changed(agent, before) == set()
    fresh = seeded(agent, 4, window())
    for name in ("critic", "actor"):
        network, model = getattr(agent, name), getattr(fresh, name)
        for key, value in network.state_dict().items():
            old, draw = before[f"{name}.{key}"], model.state_dict()[key]
            torch.testing.assert_close(value, old if "after" in key else 0.7 * old + 0.1 * draw, msg=key)
    for optimizer in (agent.optim.value, agent.optim.actor):
        assert all(not value.any() for name, value in optimizer.state_dict().items() if name != "learning_rate")
    assert {name for name in changed(agent, before) if name.startswith(("lookahead", "temperature"))} == set()
    assert [p.data_ptr() for p in agent.parameters()] == memory


# ------------------------------------------------------------ redo


@pytest.mark.parametrize("members", [2, 3])
def test_redo_draws_the_dormant_unit_of_one_member_anew_and_nothing_else(
    members: int, window: Any, learned: Any
) -> None:
    # A unit of tanh is hardly ever silent, so only the one made dormant below is.
    agent = learned(build(ReDo(every=10, threshold=1e-3), MLP((6, 4), activation="tanh"), members))
    agent.critic.trunk.layers[0].weight.data[1, :, 2] = 0
    agent.critic.trunk.layers[0].bias.data[1, 0, 2] = 0
    before, generator = state(agent), torch.get_rng_state()
    agent.plasticity.intervene(agent, window(), 9)
    assert changed(agent, before) == set()
    torch.set_rng_state(generator)
    fresh = seeded(agent, 10, window())
    expected = {name: value.clone() for name, value in before.items()}
    for kind in ("weight", "bias"):
        draw = fresh.critic.trunk.layers[0].get_parameter(kind)
        expected[f"critic.trunk.layers.0.{kind}"][1, :, 2] = draw[1, :, 2].detach()
    expected["critic.trunk.layers.1.weight"][1, 2] = 0
    places = {id(p): i for i, p in enumerate(agent.optim.value.parameters_held)}
    first, second = agent.critic.trunk.layers
    into: Any = (1, slice(None), 2)
    for weight, unit in ((first.weight, into), (first.bias, into), (second.weight, (1, 2))):
        mean, square = (f"optim.value.{kind}_{places[id(weight)]}" for kind in ("mean", "square"))
        expected[mean][unit] = 0
        expected[square][unit] = before[square].mean()
    assert changed(agent, expected) == set()
    assert len(changed(agent, before)) >= 6


@pytest.mark.parametrize(("rows", "silent"), [(4, True), (16, False)])
def test_looks_take_no_more_rows_than_asked(rows: int, silent: bool, window: Any) -> None:
    redo, continual = (build(kind(every=1, batch=rows), MLP((6,))) for kind in (ReDo, ContinualBackprop))
    w = window()
    w.obs["state"][..., 0] = 1.0
    w.obs["state"][::4, :, 0] = -1.0  # the four rows that are looked at where four are
    for agent in (redo, continual):
        agent.critic.trunk.layers[0].weight.data.zero_()
        agent.critic.trunk.layers[0].weight.data[:, 0] = 1.0  # units fire where the first observation is positive
        agent.plasticity.intervene(agent, w, 1)
    assert (not redo.critic.out.weight.any()) == silent  # dormant units are drawn anew
    assert (redo.critic.trunk.layers[0].weight[:, 1:] != 0).any() == silent
    assert (not continual.plasticity.populations["critic"][0].utility.any()) == silent


def test_redo_without_dormant_units_draws_no_random_numbers(window: Any) -> None:
    agent, w = build(ReDo(every=1, threshold=0.0), MLP((6, 4), activation="silu")), window()
    before, generator = state(agent), torch.get_rng_state()
    agent.plasticity.intervene(agent, w, 1)
    assert torch.equal(torch.get_rng_state(), generator)
    assert changed(agent, before) == set()


# ------------------------------------------------------------ continual backprop


def test_continual_backprop_gives_up_the_least_useful_unit_of_each_member(window: Any) -> None:
    # One unit of eight is owed at the first look.
    agent, w = build(ContinualBackprop(rate=1 / 8, maturity=0), MLP((8,), activation="tanh")), window()
    x = torch.cat([w.obs["state"][:, 0], w.action[:, 0]], -1)
    layer, out, before = agent.critic.trunk.layers[0], agent.critic.out, state(agent)
    useless = []
    for e in range(2):
        h = torch.stack([torch.tanh(row @ layer.weight[e] + layer.bias[e, 0]) for row in x])  # [B,U]
        use = [float(h[:, i].detach().abs().mean() * out.weight[e, i].detach().abs().mean()) for i in range(8)]
        useless.append(use.index(min(use)))
    fresh = seeded(agent, 1, w)
    for e, unit in enumerate(useless):
        others = [i for i in range(8) if i != unit]
        assert torch.equal(layer.weight[e, :, unit], fresh.critic.trunk.layers[0].weight[e, :, unit])
        assert torch.equal(layer.weight[e][:, others], before["critic.trunk.layers.0.weight"][e][:, others])
        assert not out.weight[e, unit].any()
        assert torch.equal(out.weight[e, others], before["critic.out.weight"][e, others])


def test_continual_backprop_looks_when_it_is_due(window: Any) -> None:
    agent = build(ContinualBackprop(every=3, rate=0.1, maturity=0), MLP((6,)))
    (population,) = agent.plasticity.populations["critic"]
    ages = []
    for n in range(1, 8):
        agent.plasticity.intervene(agent, window(), n)
        ages.append(float(population.age.max()))
    assert ages == [0, 0, 3, 3, 3, 6, 6]


# ------------------------------------------------------------ all of them


EVERY: dict[str, Callable[[], Any]] = {
    "keep": Keep,
    "reset": lambda: Reset(every=3),
    "partial": lambda: Reset(every=3, layers=1),
    "shrink": lambda: ShrinkAndPerturb(every=3),
    "redo": lambda: ReDo(every=3, threshold=0.5),
    "continual": lambda: ContinualBackprop(rate=0.1, maturity=2),
}


@pytest.mark.parametrize("name", EVERY)
def test_learning_goes_on_exactly_from_a_saved_state(name: str, window: Any) -> None:
    agent = build(EVERY[name]())

    def go(learner: Agent, first: int, last: int) -> None:
        for n in range(first, last + 1):
            w = window()
            learner.update(w)
            learner.plasticity.intervene(learner, w, n)

    go(agent, 1, 5)
    other, saved, generator = build(EVERY[name]()), state(agent), torch.get_rng_state()
    other.load_state_dict(saved)
    torch.set_rng_state(generator)
    go(agent, 6, 10)
    torch.set_rng_state(generator)
    go(other, 6, 10)
    assert changed(agent, state(other)) == set()
    assert all(torch.isfinite(value).all() for value in agent.state_dict().values())


@pytest.mark.slow
def test_a_compiled_update_sees_what_was_done_in_between(window: Any) -> None:
    """With everything on it is one graph, which keeps pointers to all weights and moments."""
    eager = build(Reset(every=2), optim=OPTIM, regularizer=L2Init(1e-3))
    graph = copy.deepcopy(eager)
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        guards = {"guard_filter_fn": guards_of_the_call}
        step = torch.compile(graph.update_fn, fullgraph=True, backend="eager", options=guards)
        for n in range(1, 6):
            w, generator = window(), torch.get_rng_state()
            eager.update(w)
            eager.plasticity.intervene(eager, w, n)
            torch.set_rng_state(generator)
            step(graph, w)
            graph.plasticity.intervene(graph, w, n)
    for (key, value), expected in zip(graph.state_dict().items(), eager.state_dict().values(), strict=True):
        torch.testing.assert_close(value, expected, msg=key, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", EVERY)
def test_a_copy_is_treated_on_its_own(name: str, window: Any, learned: Any) -> None:
    agent = learned(build(EVERY[name]()))
    twin, before = copy.deepcopy(agent), state(agent)
    for n in range(1, 7):
        twin.plasticity.intervene(twin, window(), n)
    assert changed(agent, before) == set()
    assert bool(changed(twin, before)) == (name != "keep")


@pytest.mark.parametrize("config", [ReDo(), ContinualBackprop()], ids=repr)
def test_trunks_without_units_of_their_own_are_refused(config: Any) -> None:
    with pytest.raises(UserError, match="choose another trunk"):
        build(config, D2RL((4, 4)))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Reset(every=0),
        lambda: Reset(every=None),
        lambda: Reset(at=(5, 0)),
        lambda: Reset(critic=False, actor=False, temperature=False),
        lambda: Reset(layers=0),
        lambda: ShrinkAndPerturb(every=0),
        lambda: ShrinkAndPerturb(shrink=0.0),
        lambda: ShrinkAndPerturb(shrink=1.5),
        lambda: ShrinkAndPerturb(noise=-0.1),
        lambda: ReDo(every=0),
        lambda: ReDo(threshold=-0.1),
        lambda: ReDo(threshold=1.0),
        lambda: ReDo(batch=0),
        lambda: ContinualBackprop(every=0),
        lambda: ContinualBackprop(rate=0.0),
        lambda: ContinualBackprop(every=100, rate=0.1),
        lambda: ContinualBackprop(maturity=-1),
        lambda: ContinualBackprop(decay=1.0),
        lambda: ContinualBackprop(batch=0),
    ],
)
def test_impossible_settings_are_refused(wrong: Callable[[], Any]) -> None:
    with pytest.raises(UserError):
        wrong()
