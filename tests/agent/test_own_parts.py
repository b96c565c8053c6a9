"""Parts from elsewhere: what works, and what is refused with a sentence that names it."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softrl.agent.config import AgentConfig
from softrl.agent.diagnose import diagnose
from softrl.agent.explore import Explorer
from softrl.agent.imitate import Unguided
from softrl.agent.penalty import Unpenalized
from softrl.agent.regress import Plain
from softrl.errors import UserError
from softrl.nn.actors import Actor
from softrl.nn.actors.categorical import Categorical
from softrl.nn.layers import Linear
from softrl.nn.trunks.mlp import MLP, MLPTrunk
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.types import Actions, Carry, Spec

SPEC = Spec({"state": (5,)}, 2)


@dataclass(frozen=True)
class Counting:
    """Acts in steps of a tenth, from the memory of each environment."""

    needs = frozenset[str]()

    def build(self, actor: Any, latent: int, spec: Spec) -> "CountingExplorer":
        return CountingExplorer(spec.continuous)


class CountingExplorer(Explorer):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def initial(self, count: int) -> Carry:
        return {"explorer.count": torch.zeros(count)}

    def act(self, actor: Any, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        count = carry["explorer.count"] + 1
        return (0.1 * count)[:, None].expand(-1, self.width), carry | {"explorer.count": count}

    def losses(self, agent: Any, z: Tensor, critic_z: Tensor) -> dict[str, Tensor]:
        return {}


def test_an_explorer_that_remembers_is_asked_for_plans_of_those_environments_that_need_one() -> None:
    run = override(apply("qc", Run()), {"agent.explorer": Counting(), "agent.chunk.length": 2})
    agent = run.agent.build(SPEC)
    obs, carry = {"state": torch.zeros(3, 5)}, agent.initial(3)
    executed = []
    for step in range(4):
        if step == 1:  # an episode of the second environment begins anew
            for name, fresh in agent.initial(3).items():
                carry[name][1] = fresh[1]
        action, carry = agent.act(obs, carry)
        executed.append(action[:, 0])
    expected = [[0.1, 0.1, 0.1], [0.1, 0.1, 0.1], [0.2, 0.1, 0.2], [0.2, 0.2, 0.2]]
    torch.testing.assert_close(torch.stack(executed), torch.tensor(expected))


@dataclass(frozen=True)
class Straight:
    """An actor with no trunk of softrl's."""

    needs = frozenset[str]()
    offers = frozenset[str]()

    def build(self, latent: int, spec: Spec) -> "StraightActor":
        return StraightActor(latent, spec.continuous)


class StraightActor(Actor):
    def __init__(self, latent: int, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(latent, 8), nn.Tanh(), nn.Linear(8, width))

    def forward(self, z: Tensor) -> Actions:
        value = self.mode(z)
        return Actions(value[None], value.sum(-1)[None, :, None], torch.ones(1, len(z)))

    def sample(self, z: Tensor) -> Tensor:
        return self.mode(z)

    def mode(self, z: Tensor) -> Tensor:
        return self.net(z).tanh()


def test_an_actor_without_a_trunk_learns_and_is_measured_as_far_as_it_can_be(window: Any) -> None:
    agent = AgentConfig(actor=Straight()).build(SPEC)  # type: ignore[arg-type]
    agent.update(window())
    measured = diagnose(agent, window())
    assert "actor_weight_norm" in measured
    assert "critic_effective_rank" in measured
    assert "actor_effective_rank" not in measured
    assert "actor_dormant_share" not in measured


@dataclass(frozen=True)
class Own(Categorical):
    """An actor of one's own for choices."""


def test_an_actor_for_choices_serves_them() -> None:
    agent = AgentConfig(actor=Own()).build(Spec({"state": (5,)}, 0, choices=(3,)))
    assert type(agent.config.actor) is Own
    action, _ = agent.act({"state": torch.zeros(4, 5)}, {})
    assert action.shape == (4, 3)
    assert (action.sum(-1) == 1).all()


@dataclass(frozen=True)
class Copying(Unguided):
    """A prior that needs nothing of the other parts."""


@dataclass(frozen=True)
class Rough(Plain):
    """A loss of critics."""


@pytest.mark.parametrize(("name", "part"), [("imitation", Copying()), ("regression", Rough())])
def test_dreamer_refuses_what_it_would_not_ask(name: str, part: Any) -> None:
    run = apply("dreamer+states", Run())
    with pytest.raises(UserError, match=f"agent.{name}"):
        override(run, {f"agent.{name}": part}).agent.build(SPEC)


@dataclass(frozen=True)
class Heavy(Unpenalized):
    """A penalty with weights, which no optimiser knows."""

    def build(self, actor: Any, spec: Spec) -> Any:
        built = super().build(actor, spec)
        built.scale = nn.Parameter(torch.ones(()))
        return built


class Greedy(Unpenalized):
    """A penalty that takes the name of the policy's own loss, which it would push aside."""

    def build(self, actor: Any, spec: Spec) -> Any:
        built = super().build(actor, spec)
        built.forward = lambda actor, z, actions: {"actor_loss": actions.value.square().mean()}
        return built


def test_a_loss_under_the_name_of_another_is_refused(window: Any) -> None:
    agent = AgentConfig(penalty=Greedy()).build(SPEC)
    with pytest.raises(UserError, match="the name 'actor_loss'"):
        agent.update(window())


def test_parameters_that_nothing_moves_are_refused() -> None:
    with pytest.raises(UserError, match=r"no optimiser moves agent\.penalty\.scale"):
        AgentConfig(penalty=Heavy()).build(SPEC)


@dataclass(frozen=True)
class Spare(MLP):
    """A trunk with a layer that it does not use."""

    hidden: tuple[int, ...] = field(default=(8,))
    """Units."""

    def build(self, inputs: int, members: int = 1) -> MLPTrunk:
        trunk = MLPTrunk(self, inputs, members)
        trunk.spare = Linear(2, 2)
        return trunk


def test_parameters_that_no_loss_depends_on_are_named(window: Any) -> None:
    agent = override(AgentConfig(), {"critic.trunk": Spare()}).build(SPEC)
    with pytest.raises(UserError, match=r"no loss depends on trunk\.spare\.weight, trunk\.spare\.bias"):
        agent.update(window())
