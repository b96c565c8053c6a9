"""Weights of one run in the agent of another place: to play with it as it is, or to learn on from it."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from softrl.agent.agent import Agent
from softrl.errors import Refused, UserError
from softrl.run.checkpoint import shape_errors_named
from softrl.run.folder import located, read_config
from softrl.run.paths import standing
from softrl.run.saved import read, step_name

FILE = "init.json"
"""The file of a run folder that says whose weights the run began with."""
BEGUN_ANEW = ("optim.", "regularizer.", "plasticity.")
TEMPERATURE, ALPHA, SCALE = "temperature.", "temperature.log_alpha", "reward_scale."


def weights_of(path: str | Path, which: str | int = "latest") -> Mapping[str, Any]:
    """State of the agent in a run's checkpoint, or in a checkpoint's path.

    A torn "latest" is refused with a warning and the one before it is read. Raises UserError where there is none.
    """
    run, which = located(path, which)
    read_config(run)
    saved = read(run, which, only=["agent"])
    if saved.warnings:
        warnings.warn(f"{'; '.join(saved.warnings)}; {step_name(saved.step)} is used", Refused, stacklevel=3)
    state: Mapping[str, Any] = saved.parts["agent"]
    return state


def told(init: str | Path | None) -> dict[str, Any]:
    """The file of a run that begins with the weights of another: name -> content; none where it does not."""
    return {} if init is None else {FILE: {"init": str(standing(init))}}


def take(agent: Agent, weights: Mapping[str, Any], origin: str | Path) -> None:
    """Bring an agent to where another stood, optimisers and all; raises UserError where its parts do not fit."""
    with shape_errors_named(origin):
        agent.load_state_dict(weights)


def start_from(agent: Agent, weights: Mapping[str, Any], origin: str | Path) -> None:
    """Give a new agent the networks, normalisers and learned temperature of another.

    What its own configuration sets is kept: learning rates, optimisers at their first step, the entropy target, a fixed
    temperature, and a scale of rewards that the other has not. A regulariser pulls towards the weights that it starts
    from. Raises UserError where parts do not fit.
    """
    state = agent.state_dict()
    scaled = kept_under(SCALE, state) == kept_under(SCALE, weights)
    own = {name: value for name, value in state.items() if set_anew(agent, name, scaled)}
    others = {name: value for name, value in weights.items() if not set_anew(agent, name, scaled)}
    take(agent, others | own, origin)
    agent.regularizer.renew(agent)


def kept_under(prefix: str, state: Mapping[str, Any]) -> set[str]:
    """The entries of an agent's state whose names begin so."""
    return {name for name in state if name.startswith(prefix)}


def set_anew(agent: Agent, name: str, scaled: bool) -> bool:
    """Whether an entry of an agent's state belongs to the new configuration; `scaled` if both scale rewards alike."""
    if name == ALPHA:
        return not agent.config.temperature.learned
    return name.startswith((*BEGUN_ANEW, TEMPERATURE)) or (name.startswith(SCALE) and not scaled)


def check_finite(agent: Agent, updates: int) -> None:
    """Raise UserError where weights are not finite."""
    names, values = zip(*agent.named_parameters(), strict=True)
    finite = torch.stack([torch.isfinite(value).all() for value in values]).tolist()  # one wait for a GPU
    if not all(finite):
        raise UserError(
            f"learning diverged: weights {names[finite.index(False)]} are not finite after {updates} updates; the last "
            "good checkpoint is kept, try a smaller learning rate or reward scale"
        )
