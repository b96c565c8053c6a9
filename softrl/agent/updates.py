"""Which function is the update: one of softrl's by its name, or one of another module as `module:function`."""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from torch import Tensor

from softrl.agent.dream import update_dreamer
from softrl.agent.update import update
from softrl.agent.variants import update_v1
from softrl.errors import UserError, import_errors, nearest
from softrl.types import Metrics

Learn = Callable[..., tuple[Metrics, Tensor]]


class Update(NamedTuple):
    """An order of the lines, and what it builds on."""

    learn: Learn  # (agent, window, *, actor, follow) -> metrics, error of each row [B]
    needs: str = "action value"  # what it asks its lookahead to offer
    learns: str = "actions"  # whose values its critic learns


UPDATES = {
    "sac": Update(update),
    "sac_v1": Update(update_v1, needs="state value"),
    "dreamer": Update(update_dreamer, needs="imagined value", learns="states"),
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
