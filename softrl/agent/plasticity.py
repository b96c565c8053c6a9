"""What is done to weights, now and then and beside the gradient, for networks that stop learning."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from softrl.agent.diagnose import activities, dormant
from softrl.agent.population import Population
from softrl.agent.renew import NETWORKS, Marks, check_layers, check_units, draw_units, layers_of, outgoing, restore
from softrl.errors import UserError
from softrl.nn.layers import project
from softrl.nn.weights import weights
from softrl.types import Window

if TYPE_CHECKING:
    from softrl.agent.agent import Agent


class Plasticity(nn.Module, ABC):
    """An intervention in learning."""

    @abstractmethod
    def intervene(self, agent: "Agent", window: Window, n: int) -> None:
        """What stands between update number `n`, counted from 1, and the next one, which learns from `window`."""


class Stateless(Plasticity):
    """An intervention that remembers nothing."""

    def __init__(self, act: Callable[["Agent", Window, int], None]) -> None:
        super().__init__()
        self.act = act

    @torch.no_grad()
    def intervene(self, agent: "Agent", window: Window, n: int) -> None:
        self.act(agent, window, n)


class Untouched(Plasticity):
    """The agent is left as it is."""

    def intervene(self, agent: "Agent", window: Window, n: int) -> None:
        pass


def check_period(updates: int) -> None:
    """Refuse an intervention before the first update."""
    if updates < 1:
        raise UserError(f"agent.plasticity has a period of {updates}: it counts updates and must be at least 1")


def check_rows(batch: int) -> None:
    """Refuse a look at no rows."""
    if batch < 1:
        raise UserError(f"agent.plasticity.batch is {batch}: activity is averaged over at least one row")


@dataclass(frozen=True)
class Keep:
    """None: gradients alone change weights."""

    first = None

    def build(self, agent: "Agent") -> Plasticity:
        """The module, without state."""
        return Untouched()


@dataclass(frozen=True)
class Reset:
    """Critic and policy, their targets and optimisers start again (Nikishin et al. 2022, arXiv 2205.07802).

    Replay, normalisers and an encoder of pictures stay, as published, but the optimiser that critic and encoder share
    forgets both. A schedule of the learning rate starts again with its optimiser.
    """

    every: int | None = 200_000
    """Updates between resets; none: only those of `at`."""
    at: tuple[int, ...] = ()
    """Further updates after which to reset."""
    critic: bool = True
    """Whether critic, its targets and state value are reset."""
    actor: bool = True
    """Whether policy and explorer are reset."""
    temperature: bool = True
    """Whether the temperature is reset."""
    layers: int | None = None
    """Layers of critic and policy to draw anew, counted from the outputs, norms left alone; none: whole networks."""

    def __post_init__(self) -> None:
        if self.every is None and not self.at:
            raise UserError("agent.plasticity.every is none and agent.plasticity.at is empty: say when to reset")
        check_period(self.first)
        if not (self.critic or self.actor or self.temperature):
            raise UserError("agent.plasticity resets neither critic nor actor nor temperature: choose one of them")
        if self.layers is not None and self.layers < 1:
            raise UserError(f"agent.plasticity.layers is {self.layers}: give at least 1, or none for whole networks")

    @property
    def first(self) -> int:
        """Updates before the first reset."""
        return min(self.at if self.every is None else (*self.at, self.every))

    def last(self, updates: float) -> float:
        """The update after which the last reset of a run comes that makes so many; 0 where there is none."""
        regular = () if self.every is None else (max(0, math.ceil(updates / self.every) - 1) * self.every,)
        return max((n for n in (*self.at, *regular) if n < updates), default=0)

    def build(self, agent: "Agent") -> Plasticity:
        """The module, without state; raises UserError when a network has fewer layers than are to be reset."""
        for name in NETWORKS:
            if self.layers is not None and getattr(self, name):
                check_layers(agent, name, self.layers)
        return Stateless(self.intervene)

    def intervene(self, agent: "Agent", window: Window, n: int) -> None:
        """Copy the state of a fresh agent's parts into the agent's own."""
        if n not in self.at and (self.every is None or n % self.every):
            return
        fresh, optim = agent.config.build(agent.spec), agent.optim
        if self.critic:
            self.redraw(agent, agent.critic, fresh.critic, optim.value)
            if self.layers is not None and (state_value := getattr(agent.lookahead, "value", None)) is not None:
                self.redraw(agent, state_value, fresh.lookahead.value, optim.value)
                agent.lookahead.target.load_state_dict(state_value.state_dict())
            else:  # built from the new critic, and so with a hard copy of it for a target
                ahead = agent.config.lookahead.build(agent.critic, agent.encoder.width, agent.spec)
                restore(agent, agent.lookahead, ahead, optim.value)
            agent.chunk_execution.load_state_dict(fresh.chunk_execution.state_dict())  # how far both were apart
        if self.actor:
            self.redraw(agent, agent.actor, fresh.actor, optim.actor)
            restore(agent, agent.explorer, fresh.explorer, optim.actor)
            agent.penalty.load_state_dict(agent.config.penalty.build(agent.actor, agent.spec).state_dict())
        if self.temperature:
            for own, drawn in zip(agent.temperature.parameters(), fresh.temperature.parameters(), strict=True):
                own.copy_(drawn)  # not the target entropy, which a callback may have set
            optim.temperature.restart()

    def redraw(self, agent: "Agent", network: nn.Module, fresh: nn.Module, optimizer: Any) -> None:
        """Draw the last layers of a network anew, or all of it and its optimiser."""
        if self.layers is None:
            restore(agent, network, fresh, optimizer)
            optimizer.restart()
            return
        last = slice(-self.layers, None)
        for layer, model in zip(layers_of(network)[last], layers_of(fresh)[last], strict=True):
            restore(agent, layer, model, optimizer)


@dataclass(frozen=True)
class ShrinkAndPerturb:
    """theta <- (1 - shrink) theta + noise theta', theta' a fresh draw (Ash and Adams 2020, arXiv 1910.08475).

    Critic, state value and policy change but for their norms, and their optimisers start again; targets follow as ever,
    and what a regulariser pulls to stays. What starts at one value, as a log deviation or a scale does, has no law
    around zero: it moves towards that value by the share `shrink`.
    """

    every: int = 100_000
    """Updates between interventions."""
    shrink: float = 0.2
    """Share of each weight that is taken away."""
    noise: float = 0.2
    """Share of a freshly drawn weight that is added."""

    def __post_init__(self) -> None:
        check_period(self.every)
        if not 0 < self.shrink <= 1:
            raise UserError(f"agent.plasticity.shrink is {self.shrink}: a share of the weights must lie in (0, 1]")
        if self.noise < 0:
            raise UserError(f"agent.plasticity.noise is {self.noise}: it must not be negative")

    @property
    def first(self) -> int:
        """Updates before the first intervention."""
        return self.every

    def build(self, agent: "Agent") -> Plasticity:
        """The module, without state."""
        return Stateless(self.intervene)

    def intervene(self, agent: "Agent", window: Window, n: int) -> None:
        """Move weights towards those of a fresh agent."""
        if n % self.every:
            return
        fresh, optim = agent.config.build(agent.spec), agent.optim
        networks = [(agent.critic, fresh.critic, optim.value), (agent.actor, fresh.actor, optim.actor)]
        if (state_value := getattr(agent.lookahead, "value", None)) is not None:
            networks.append((state_value, fresh.lookahead.value, optim.value))
        for network, model, optimizer in networks:
            for weight, draw in zip(weights(network), weights(model), strict=True):
                share = self.shrink if (draw == draw.flatten()[0]).all() else self.noise
                weight.mul_(1 - self.shrink).add_(draw.to(weight.device), alpha=share)
            project(network)
            optimizer.restart()


@dataclass(frozen=True)
class ReDo:
    """Dormant hidden units of critic and policy are drawn anew (Sokar et al. 2023, arXiv 2302.12902, algorithm 1)."""

    every: int = 1_000
    """Updates between two looks at the units."""
    threshold: float = 0.025
    """A unit is dormant when its mean activity is at most this share of its layer's mean."""
    batch: int = 64
    """Rows of the next update's batch over which activity is averaged, at most all of them."""

    def __post_init__(self) -> None:
        check_period(self.every)
        if not 0 <= self.threshold < 1:
            raise UserError(
                f"agent.plasticity.threshold is {self.threshold}: a share of the mean activity must lie in [0, 1)"
            )
        check_rows(self.batch)

    @property
    def first(self) -> int:
        """Updates before the first intervention."""
        return self.every

    def build(self, agent: "Agent") -> Plasticity:
        """The module, without state; raises UserError for trunks without units of their own."""
        check_units(agent)
        return Stateless(self.intervene)

    def intervene(self, agent: "Agent", window: Window, n: int) -> None:
        """Look for dormant units, and draw them anew."""
        if n % self.every:
            return
        active = activities(agent, window, self.batch)
        draw_units(agent, {name: [dormant(layer, self.threshold) for layer in active[name]] for name in active})


@dataclass(frozen=True)
class ContinualBackprop:
    """The least useful mature units are drawn anew, few at a time (Dohare et al. 2024, Nature 632, algorithm 1)."""

    every: int = 1
    """Updates between two looks at the units; each costs a forward pass of encoder, critic and policy."""
    rate: float = 1e-4
    """Share of a layer's mature units that is drawn anew, for each update."""
    maturity: int = 10_000
    """Updates during which a new unit is left alone."""
    decay: float = 0.99
    """Share of a unit's utility that is kept from look to look."""
    batch: int = 64
    """Rows of the next update's batch over which activity is averaged, at most all of them."""

    def __post_init__(self) -> None:
        check_period(self.every)
        check_rows(self.batch)
        if not 0 < self.rate * self.every <= 1:
            raise UserError(f"agent.plasticity.rate is {self.rate}: rate times every must be a share in (0, 1]")
        if self.maturity < 0:
            raise UserError(f"agent.plasticity.maturity is {self.maturity}: an age in updates cannot be negative")
        if not 0 <= self.decay < 1:
            raise UserError(f"agent.plasticity.decay is {self.decay}: it must lie in [0, 1)")

    @property
    def first(self) -> int:
        """Updates before the first look that finds mature units, of which it may give one up."""
        return self.every * (self.maturity // self.every + 1)

    def build(self, agent: "Agent") -> Plasticity:
        """The module, with a population for each layer; raises UserError for trunks without units of their own."""
        check_units(agent)
        return ContinualReplacement(self, agent)


class ContinualReplacement(Plasticity):
    """Keeps a population for each hidden layer, and draws anew what they give up."""

    def __init__(self, config: ContinualBackprop, agent: "Agent") -> None:
        super().__init__()
        self.every, self.batch = config.every, config.batch
        self.populations = nn.ModuleDict()
        for name in NETWORKS:
            layers = [Population(config, *weight.shape[:2]) for weight in outgoing(getattr(agent, name))]
            self.populations[name] = nn.ModuleList(layers)

    @torch.no_grad()
    def intervene(self, agent: "Agent", window: Window, n: int) -> None:
        if n % self.every:
            return
        marks: Marks = {}
        for name, active in activities(agent, window, self.batch).items():
            layers: Any = self.populations[name]
            seen = zip(layers, active, outgoing(getattr(agent, name)), strict=True)
            marks[name] = [layer.give_up(activity, weight) for layer, activity, weight in seen]
        draw_units(agent, marks)
