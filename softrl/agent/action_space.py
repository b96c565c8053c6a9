"""Actor and critic of the kind that the action space asks for, so that any recipe serves any space."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from softrl.agent.explore import OnPolicy
from softrl.errors import UserError
from softrl.math.choices import LARGEST_JOINT, check_choices, enumerable
from softrl.nn.actors.categorical import Categorical
from softrl.nn.actors.factored import Factored
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.actors.hybrid import Hybrid
from softrl.nn.critics import ActionIn, ActionOut, ChoiceOut
from softrl.types import Spec

if TYPE_CHECKING:
    from softrl.agent.config import AgentConfig

Part = Any  # a frozen dataclass
CONTINUOUS, DISCRETE, HYBRID, MANY = "continuous", "discrete", "hybrid", "one of many choices"
"""Kinds of action space: numbers, a few joint choices, both, and joint choices too many to list, with or without."""


def converted_to(kind: type) -> Callable[[Part], Part]:
    """A part of another kind with the fields that both have."""
    names = {field.name for field in dataclasses.fields(kind)}

    def carry(part: Part) -> Part:
        common = [field.name for field in dataclasses.fields(part) if field.name in names]
        return kind(**{name: getattr(part, name) for name in common})

    return carry


def unchanged(part: Part) -> Part:
    """The part itself."""
    return part


ACTORS: dict[tuple[str, type], Callable[[Part], Part]] = {
    (DISCRETE, Gaussian): converted_to(Categorical),
    (HYBRID, Gaussian): converted_to(Hybrid),
    (MANY, Gaussian): converted_to(Factored),
    (DISCRETE, Categorical): unchanged,
    (HYBRID, Hybrid): unchanged,
    **{(space, Factored): unchanged for space in (DISCRETE, HYBRID, MANY)},
}
"""What becomes of an actor in a space with choices; one that is not listed is for another kind of space."""

CHOOSERS = (Categorical, Hybrid, Factored)
"""Actors that need choices."""

CRITICS: dict[tuple[bool, type], Callable[[Part], Part]] = {
    (True, ActionIn): converted_to(ActionOut),
    (False, ActionIn): converted_to(ChoiceOut),
}
"""What becomes of a critic where joint choices are listed, and the weighted actions share their parameters or not."""


MOST_ROWS = 128
"""Joint choices up to which a critic has a row for each, where each has numbers of its own: it is asked as often as
there are choices, so its outputs grow with their square."""


MANY_DRAWS = 64
"""Joint choices from which on to draw numbers for each of them is worth a warning: there an update takes
about 20 times as long as with one set of numbers for all."""


def space_of(spec: Spec) -> str:
    """The kind of a space; raises UserError for choices that leave none."""
    if not spec.choices:
        return CONTINUOUS
    check_choices("an agent", spec.choices)
    if not enumerable(spec.choices):
        return MANY
    return HYBRID if spec.continuous else DISCRETE


def adapt_to_action_space(config: "AgentConfig", spec: Spec) -> "AgentConfig":
    """The configuration with parts for continuous actions replaced by their counterparts for the choices of `spec`.

    Trunk, head, members and whatever else both kinds have are carried over, and an explorer that moves the policy's
    numbers gives way to the policy; where there are no choices nothing changes. Raises UserError for parts that have no
    counterpart.
    """
    space, name = space_of(spec), type(config.actor).__name__
    if space == CONTINUOUS and type(config.actor) in CHOOSERS:
        raise UserError(f"the {name} actor decides between choices, and this action space has none: use recipe sac")
    if space == CONTINUOUS:
        return config
    if from_elsewhere(config.actor):  # which knows itself what it decides on
        return with_fitting_critic(config, config.actor, space, spec)
    if (space, type(config.actor)) not in ACTORS and type(config.actor) not in CHOOSERS:
        raise UserError(
            f"the {name} actor is for continuous actions, and this action space has choices: leave out the recipe that "
            "brings it, and plain sac takes one for choices"
        )
    if (space, type(config.actor)) not in ACTORS:
        listed = f" ({math.prod(spec.choices)} joint ones, and at most {LARGEST_JOINT} are listed)"
        raise UserError(
            f"the {name} actor does not fit this action space, which is {space}{listed * (space == MANY)}: use recipe "
            "sac, whose actor does"
        )
    if "exploration matrix" in config.explorer.needs:
        raise UserError(
            f"agent.explorer {type(config.explorer).__name__} moves continuous actions, and this action space has "
            "choices: leave out the recipe that brings it"
        )
    actor = ACTORS[space, type(config.actor)](config.actor)
    config = dataclasses.replace(config, explorer=OnPolicy() if moves_numbers(config.explorer) else config.explorer)
    return with_fitting_critic(config, actor, space, spec)


def with_fitting_critic(config: "AgentConfig", actor: Part, space: str, spec: Spec) -> "AgentConfig":
    """The configuration with an actor for choices and the critic that it asks for in the space of `spec`."""
    shared = "shared parameters" in actor.offers
    if space == MANY or (not shared and math.prod(spec.choices) > MOST_ROWS):  # whole actions are judged one by one
        return dataclasses.replace(config, actor=actor)
    critic = CRITICS.get((shared, type(config.critic)), unchanged)(config.critic)
    return dataclasses.replace(config, actor=actor, critic=critic)


def from_elsewhere(part: Part) -> bool:
    """Whether a part is not one of softrl's own."""
    return type(part).__module__.partition(".")[0] != __name__.partition(".")[0]


def moves_numbers(explorer: Part) -> bool:
    """Whether an explorer moves the numbers of a policy that has a `distribution`."""
    return "distribution" in explorer.needs


def replaced(config: "AgentConfig", spec: Spec) -> list[str]:
    """Sentences to tell before a run begins, on what becomes of parts in the space of `spec`."""
    told = []
    if spec.choices and moves_numbers(config.explorer):
        name = type(config.explorer).__name__
        told.append(
            f"agent.explorer {name} moves continuous actions, and this action space has choices: the policy explores"
        )
    joint, space = math.prod(spec.choices), space_of(spec)
    if space == MANY:
        told.append(
            f"the choices have {joint} joint values, and at most {LARGEST_JOINT} are listed: the policy takes each "
            "choice as independent of the others given the state, and judges its options with the others drawn"
        )
    separate = "shared parameters" not in adapt_to_action_space(config, spec).actor.offers
    if space == HYBRID and separate and joint >= MANY_DRAWS:
        told.append(
            f"an update draws numbers for each of {joint} joint choices and judges them all, which takes long: recipe "
            "sac_hybrid with --agent.actor.dependent false draws one set for all of them"
        )
    return told


def without_effect(config: "AgentConfig", recipe: "AgentConfig", spec: Spec) -> list[str]:
    """Sentences on settings of an actor, unlike its recipe's, that are lost where another actor takes its place."""
    if not spec.choices or type(config.actor) is not type(recipe.actor):
        return []
    kept = {field.name for field in dataclasses.fields(adapt_to_action_space(config, spec).actor)}
    named = [field.name for field in dataclasses.fields(config.actor) if field.name not in kept]
    changed = [name for name in named if getattr(config.actor, name) != getattr(recipe.actor, name)]
    return [f"agent.actor.{name} has no effect: this action space has choices" for name in changed]


def nested_parts(part: Part) -> Iterator[Part]:
    """A part, and all parts in it."""
    yield part
    for value in vars(part).values():
        if dataclasses.is_dataclass(value):
            yield from nested_parts(value)


def with_policy_bottlenecks(config: "AgentConfig") -> "AgentConfig":
    """The configuration with the trunks that read what the policy reads put behind what the encoder puts there."""
    policy_trunk = config.encoder.policy_trunk
    parts = {name: getattr(config, name) for name in ("actor", "explorer", "chunk")}
    trunked = {name: part for name, part in parts.items() if "trunk" in {f.name for f in dataclasses.fields(part)}}
    changed = {name: dataclasses.replace(part, trunk=policy_trunk(part.trunk)) for name, part in trunked.items()}
    return dataclasses.replace(config, **changed)
