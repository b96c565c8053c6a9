"""A part from elsewhere that returns another shape than is read is refused before anything is learned."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softrl.agent.config import AgentConfig
from softrl.agent.penalty import Unpenalized
from softrl.agent.shapes import check_shapes
from softrl.errors import Caution, UserError
from softrl.math.rules import Average, Minimum
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.heads import Quantile, Scalar
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.types import Actions, Atoms, Spec

SPEC = Spec({"state": (5,)}, 2)


@dataclass(frozen=True)
class Flat(Gaussian):
    """Forgets that log-probabilities have components: [K,B] would meet a temperature [C] without complaint."""

    def build(self, latent: int, spec: Spec) -> Any:
        actor = super().build(latent, spec)
        whole = actor.forward
        actor.forward = lambda z: Actions(whole(z).value, whole(z).log_prob[..., 0], whole(z).prob)  # type: ignore[method-assign]
        return actor


@dataclass(frozen=True)
class Averaged(Scalar):
    """Averages its loss over the rows, whose weights would then multiply the average."""

    def loss(self, output: Tensor, target: Atoms) -> Tensor:
        return super().loss(output, target).mean(-1, keepdim=True)


@dataclass(frozen=True)
class Reduced(Average):
    """Leaves one axis out."""

    def __call__(self, q: Atoms) -> Atoms:
        value, prob = super().__call__(q)
        return Atoms(value[0], prob[0])


class PerRow(nn.Module):
    def forward(self, actor: Any, z: Tensor, actions: Actions) -> dict[str, Tensor]:
        return {"size_loss": actions.value.square().mean((0, -1))}


@dataclass(frozen=True)
class RowWise(Unpenalized):
    """A loss for each row."""

    def build(self, actor: Any, spec: Spec) -> Any:
        return PerRow()


@pytest.mark.parametrize(
    ("name", "part", "told"),
    [
        ("actor", Flat(), r"agent\.actor: log_prob has the shape \[1, 11\] for 11 rows, .* \[1, 11, 1\], \[K,B,C\]"),
        ("critic.head", Averaged(), r"agent\.critic\.head: loss has the shape \[2, 1\] .* reads \[2, 11\], \[E,B\]"),
        ("target_rule", Reduced(), r"agent\.target_rule: value has the shape \[11, 2\] .* \[2, 11, 2\], \[K,B,M\]"),
        ("actor_rule", Reduced(), r"agent\.actor_rule: value has the shape"),
        ("penalty", RowWise(), r"agent\.penalty: size_loss has the shape \[11\] .* reads \[\], a scalar"),
    ],
)
def test_what_would_be_broadcast_in_silence(name: str, part: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        override(AgentConfig(), {name: part}).build(SPEC)


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.asked, self.strength = 0, 0.5

    def forward(self, actor: Any, z: Tensor, actions: Actions) -> dict[str, Tensor]:
        self.asked += 1
        return {"size_loss": self.strength * actions.value.square().mean()}


@dataclass(frozen=True)
class Counted(Unpenalized):
    """A loss that counts how often it was asked."""

    def build(self, actor: Any, spec: Spec) -> Any:
        return Counter()


def test_plain_numbers_that_change_are_told() -> None:
    with pytest.warns(Caution, match=r"^agent\.penalty\.asked changes when it is asked") as told:
        AgentConfig(penalty=Counted()).build(SPEC)
    assert len(told) == 1


class Slope(nn.Module):
    def forward(self, actor: Any, z: Tensor, actions: Actions) -> dict[str, Tensor]:
        z = z.detach().requires_grad_()
        (slope,) = torch.autograd.grad(actor(z).value.sum(), z, create_graph=True)
        return {"slope_loss": slope.square().mean()}


@dataclass(frozen=True)
class Smooth(Unpenalized):
    """A loss that is made of a gradient."""

    def build(self, actor: Any, spec: Spec) -> Any:
        return Slope()


def test_a_loss_that_differentiates_can_be_asked_even_where_nothing_is_to_be_learned() -> None:
    """As in a reset, which builds a fresh agent."""
    with torch.no_grad():
        agent = override(AgentConfig(), {"penalty": Smooth()}).build(SPEC)
    assert all(p.grad is None for p in agent.parameters())


@dataclass(frozen=True)
class Same(Minimum):
    """A rule from elsewhere with which nothing is amiss."""


WORLDS = [
    ("sac", SPEC),
    ("sac", Spec({"state": (5,)}, 0, (3, 2))),
    ("sac", Spec({"state": (5,)}, 2, (3,))),
    ("crossq+tqc", SPEC),
    ("xqc", SPEC),
    ("gsde", SPEC),
    ("optimistic", SPEC),
    ("qc", SPEC),
    ("qc_adaptive", SPEC),
    ("smac_state", SPEC),
    ("sac_v1", SPEC),
    ("drq+tiny", Spec({"pixels": (9, 24, 24)}, 2, stack=3)),
    ("smac+states+tiny", SPEC),
]


@pytest.mark.parametrize(("recipe", "spec"), WORLDS)
def test_parts_of_every_kind_pass_and_are_left_as_they_were(recipe: str, spec: Spec) -> None:
    run = apply(recipe, Run())
    rule = "actor_rule" if recipe == "crossq+tqc" else "target_rule"
    torch.manual_seed(0)
    plain = run.agent.build(spec)
    drawn = torch.rand(3)
    torch.manual_seed(0)
    agent = override(run.agent, {rule: Same()}).build(spec)
    assert torch.equal(torch.rand(3), drawn)
    for name, value in plain.state_dict().items():
        assert torch.equal(agent.state_dict()[name], value), name


def test_parts_of_softrl_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = override(AgentConfig(), {"critic.head": Quantile(5)}).build(SPEC)
    monkeypatch.setattr("softrl.agent.shapes.ask_critic", lambda trial: pytest.fail("it was asked"))
    check_shapes(agent)
