"""What a user's callback is told, and how it is asked."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from gymnasium.vector import VectorEnv

from softrl.agent.agent import Agent
from softrl.data.sources import Source
from softrl.errors import Caution, UserError
from softrl.run.config import Run
from softrl.run.evaluate import Policy
from softrl.run.observations import own
from softrl.run.seed import evaluation_seed, isolated_generators


class Progress(NamedTuple):
    """What a callback is told after each log write and each evaluation."""

    env_steps: int
    decisions: int
    updates: int
    episodes: int
    values: dict[str, float]  # the tags just written, such as eval/mean_reward
    folder: Path  # of the run
    policy: Policy  # as it is at this moment; it goes on learning with the run


Callback = Callable[[Progress], bool | None]
"""Returns True to stop the run, where other programs' return False."""


def check_callable(callback: Callback | None) -> None:
    """Raise UserError for a callback that cannot be called: a list, or an object of another program's class."""
    if callback is not None and not callable(callback):
        raise UserError(
            f"callback is a {type(callback).__name__}, which cannot be called: give one function, which takes a "
            "softrl.Progress and returns True to stop the run"
        )


def present(agent: Agent, env: VectorEnv[Any, Any, Any], run: Run, source: Source) -> Policy:
    """The policy of an agent at work in environments like those of a vector in this process."""
    vec: Any = env
    return Policy(agent, vec.single_action_space.space, run, own(vec.envs[0]), source)


def asks_to_stop(callback: Callback, told: Progress) -> bool:
    """Whether a callback asks to stop; what it draws from the global generators changes nothing of the run."""
    seed = evaluation_seed(told.policy.run.seed, told.env_steps, 0)
    with isolated_generators(seed, told.policy.agent.temperature.target):
        asks = bool(callback(told))
    if asks and told.env_steps == 0:
        warnings.warn(
            "the callback returned True when it was first asked, which stops the run before it has learned: return "
            "None, or False, to go on",
            Caution,
            stacklevel=2,
        )
    return asks
