"""Weights of one run in the agent of another place: to play with it as it is, or to learn on from it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from softrl.agent.agent import Agent
from softrl.run.checkpoint import shape_errors_named
from softrl.run.folder import located, read_config
from softrl.run.saved import read

OPTIMISERS = "optim."
TARGET, ALPHA = "temperature.target", "temperature.log_alpha"


def weights_of(path: str | Path, which: str | int = "latest") -> Mapping[str, Any]:
    """State of the agent in a run's checkpoint, or in a checkpoint's path; raises UserError where there is none."""
    run, which = located(path, which)
    read_config(run)
    state: Mapping[str, Any] = read(run, which, only=["agent"]).parts["agent"]
    return state


def take(agent: Agent, weights: Mapping[str, Any], origin: str | Path) -> None:
    """Bring an agent to where another stood, optimisers and all; raises UserError where its parts do not fit."""
    with shape_errors_named(origin):
        agent.load_state_dict(weights)


def start_from(agent: Agent, weights: Mapping[str, Any], origin: str | Path) -> None:
    """Give a new agent the networks, normalisers and learned temperature of another.

    What its own configuration sets is kept: learning rates, optimisers at their first step, the entropy target and a
    fixed temperature. Raises UserError where parts do not fit.
    """
    configured = {TARGET} if agent.config.temperature.learned else {TARGET, ALPHA}
    own = {name: value for name, value in agent.state_dict().items() if set_anew(name, configured)}
    others = {name: value for name, value in weights.items() if not set_anew(name, configured)}
    take(agent, others | own, origin)


def set_anew(name: str, configured: set[str]) -> bool:
    """Whether an entry of an agent's state belongs to the new configuration."""
    return name.startswith(OPTIMISERS) or name in configured
