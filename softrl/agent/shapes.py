"""What parts of other packages return is measured once, before anything is learned. Shapes: see `softrl.types`."""

import copy
import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from softrl.agent.action_space import from_elsewhere, nested_parts
from softrl.agent.chunk import actor_spec, critic_spec
from softrl.errors import Caution, UserError
from softrl.math.generators import forked_generators
from softrl.types import Atoms

if TYPE_CHECKING:
    from softrl.agent.agent import Agent

ROWS = 11
"""Rows of the trial: hardly ever as many as there are members, actions or components."""


def check_shapes(agent: "Agent") -> None:
    """Ask the parts of an agent for a few rows, where one is from elsewhere; the agent stays as it is.

    Raises UserError for a shape other than the update reads, most of which it would broadcast in silence. Warns of
    plain numbers that change.
    """
    if any(from_elsewhere(part) for part in nested_parts(agent.config)):
        with torch.enable_grad(), forked_generators(torch.empty(0)):  # a loss may differentiate on its own
            trial = copy.deepcopy(agent)
            before = plain_numbers(trial)
            ask_actor(trial)
            ask_critic(trial)
            warn_of_counters(before, plain_numbers(trial))


def plain_numbers(agent: "Agent") -> dict[str, float]:
    """Numbers that are attributes of the agent's modules, by path."""
    parts = [(name, vars(module)) for name, module in agent.named_modules()]
    return {f"agent.{name}.{key}": x for name, own in parts for key, x in own.items() if x.__class__ in (int, float)}


def warn_of_counters(before: dict[str, float], after: dict[str, float]) -> None:
    """Warn of numbers that a part changes when it is asked."""
    for path in [path for path, number in before.items() if after.get(path) != number]:
        warnings.warn(
            f"{path} changes when it is asked: a compiled update keeps its first value, and checkpoints have none of "
            "it; if anything depends on it, make it a buffer that is changed in place",
            Caution,
            stacklevel=2,
        )


def ask_actor(agent: "Agent") -> None:
    """What the policy, its explorer and the losses of its actions return."""
    latents, width = agent.encoder.policy_width * agent.config.encoder.latents, actor_spec(agent.spec).action
    z, components = torch.randn(ROWS, latents), len(agent.temperature())
    actions, carry = agent.actor(z), agent.explorer.initial(ROWS)
    count = len(actions.value)
    expect("agent.actor", "value", "[K,B,A]", actions.value, (count, ROWS, critic_spec(agent.spec).action))
    expect("agent.actor", "log_prob", "[K,B,C]", actions.log_prob, (count, ROWS, components))
    expect("agent.actor", "prob", "[K,B]", actions.prob, (count, ROWS))
    for name, loss in agent.penalty(agent.actor, z, actions).items():
        expect("agent.penalty", name, "a scalar", loss, ())
    with torch.no_grad():
        expect("agent.actor", "sample", "[B,A]", agent.actor.sample(z), (ROWS, width))
        expect("agent.actor", "mode", "[B,A]", agent.actor.mode(z), (ROWS, width))
        expect("agent.explorer", "act", "[N,A]", agent.explorer.act(agent.actor, z, carry)[0], (ROWS, width))


def ask_critic(agent: "Agent") -> None:
    """What the critic's trunk, its head and the rules of its members return."""
    head, members = agent.critic.head, agent.config.critic.members
    z, action = torch.randn(ROWS, agent.encoder.width), torch.zeros(2, ROWS, critic_spec(agent.spec).action)
    output, atoms = agent.critic(z, action)
    count, weights = output.shape[1], atoms.value.shape[-1]
    expect("agent.critic", "output", "[E,K,B,W]", output, (members, count, ROWS, head.width))
    expect("agent.critic.head", "atoms' value", "[E,K,B,M]", atoms.value, (members, count, ROWS, weights))
    expect("agent.critic.head", "atoms' prob", "[E,K,B,M]", atoms.prob, (members, count, ROWS, weights))
    for name, rule in (("agent.target_rule", agent.target_rule), ("agent.actor_rule", agent.actor_rule)):
        value, prob = rule(atoms)
        expect(name, "value", "[K,B,M]", value, (count, ROWS, value.shape[-1]))
        expect(name, "prob", "[K,B,M]", prob, tuple(value.shape))
    target = Atoms(atoms.value[0, 0], atoms.prob[0, 0])  # [B,M]
    expect("agent.critic.head", "loss", "[E,B]", head.loss(output[:, 0], target), (members, ROWS))
    expect("agent.critic.head", "clipped", "a scalar", head.clipped(target), ())


def expect(part: str, what: str, meaning: str, found: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse another shape than is read; raises UserError."""
    if tuple(found.shape) != shape:
        raise UserError(
            f"{part}: {what} has the shape {list(found.shape)} for {ROWS} rows, and the update reads {list(shape)}, "
            f"{meaning} in the words of softrl.types"
        )
