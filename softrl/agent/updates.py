"""Which function is the update: one of softrl's by its name, or one of another module as `module:function`."""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from torch import Tensor

from softrl.agent.dream import update_dreamer
from softrl.agent.imitate import Unguided
from softrl.agent.penalty import Unpenalized
from softrl.agent.regress import Plain
from softrl.agent.update import update
from softrl.agent.variants import update_v1
from softrl.errors import UserError, import_errors, nearest
from softrl.math.rules import Minimum
from softrl.types import Metrics

Learn = Callable[..., tuple[Metrics, Tensor]]


class Refusal(NamedTuple):
    """What an update would leave without effect, or cannot do."""

    meets: Callable[[Any], bool]  # of an AgentConfig
    sentence: str  # behind the name of the update


class Update(NamedTuple):
    """An order of the lines, and what it builds on."""

    learn: Learn  # (agent, window, *, actor, follow) -> metrics, error of each row [B]
    needs: str = "action value"  # what it asks its lookahead to offer
    learns: str = "actions"  # whose values its critic learns
    offers: frozenset[str] = frozenset({"weighted actions"})  # what it makes of the actor's proposals
    refuses: tuple[Refusal, ...] = ()


SAC_V1 = (
    Refusal(lambda agent: agent.chunk.length > 1, "plans single actions: leave out the recipe that brings agent.chunk"),
    Refusal(
        lambda agent: agent.encoder.views > 1,
        "learns from one view of a row: choose recipe sac_pixels or sac_ae",
    ),
    Refusal(
        lambda agent: agent.encoder.latents > 1,
        "judges actions at one latent of a row: set agent.encoder.particles.count 0, or leave out recipe sac_v1",
    ),
    Refusal(
        lambda agent: agent.temperature.learned,
        "has no temperature loss: use a fixed temperature, as its recipe does",
    ),
)
DREAMER = (
    Refusal(
        lambda agent: not agent.encoder.sequence,
        "imagines with a world model: take agent.encoder from its recipe",
    ),
    Refusal(
        lambda agent: (agent.target_rule, agent.actor_rule) != (Minimum(), Minimum()),
        "learns one state value, which agent.target_rule and agent.actor_rule would not change: leave out the recipe "
        "that brings them",
    ),
    Refusal(
        lambda agent: agent.encoder.latents > 1,
        "imagines one trajectory from each start: set agent.encoder.particles.count 0, or leave out the recipe that "
        "brings particles",
    ),
    Refusal(
        lambda agent: agent.imitation != Unguided(),
        "learns from imagined actions, and agent.imitation clones replayed ones: leave out the recipe that brings it",
    ),
    Refusal(
        lambda agent: agent.regression != Plain(),
        "regresses to imagined returns with the head's own loss: leave out the recipe that brings agent.regression",
    ),
    Refusal(
        lambda agent: agent.penalty != Unpenalized(),
        "learns from imagined actions, to which it adds no agent.penalty: leave out the penalty, or the recipe that "
        "brings it",
    ),
)
UPDATES = {
    "sac": Update(update),
    "sac_v1": Update(update_v1, needs="state value", refuses=SAC_V1),
    "dreamer": Update(update_dreamer, needs="imagined value", learns="states", offers=frozenset(), refuses=DREAMER),
}


def check_name(name: str) -> None:
    """Raises UserError for a name that is neither one of softrl's updates nor looks like `module:function`."""
    if name not in UPDATES and ":" not in name:
        hint = nearest(name, UPDATES) or ""
        raise UserError(
            f"there is no update '{name}'{hint}: agent.update takes {', '.join(UPDATES)}, or a function of your own as "
            "module:function"
        )


def find(name: str) -> Update:
    """The update of that name; one from elsewhere stands in the place of `softrl.agent.update.update`.

    Raises UserError where there is none such, its module fails, or it cannot be called as that function is.
    """
    check_name(name)
    if name in UPDATES:
        return UPDATES[name]
    module, _, attribute = name.partition(":")
    advice = "keep the function in a module that lies in the working folder, on PYTHONPATH or in an installed package"
    with import_errors(f"agent.update '{name}'", module, advice):
        learn = getattr(import_module(module), attribute)
    try:
        inspect.signature(learn).bind(None, None, actor=True, follow=True)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"agent.update '{name}' cannot be called as update(agent, window, actor=..., follow=...): {error}; see "
            "softrl.agent.update"
        ) from error
    return Update(learn)
