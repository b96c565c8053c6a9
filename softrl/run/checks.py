"""What is found out about an environment, and an agent for it, before a run begins or goes on."""

import math
from collections.abc import Callable
from typing import Any

from gymnasium import Wrapper
from gymnasium.wrappers import NormalizeObservation, NormalizeReward

from softrl.agent.compile import compiled
from softrl.agent.update import update
from softrl.data import envs
from softrl.data.envs import EnvConfig
from softrl.data.pixels import overlooked
from softrl.data.sources import Source
from softrl.data.wrappers import AnyEnv
from softrl.errors import UserError
from softrl.run import spaces
from softrl.run.config import Run


def checked(env: Source, configured: Run, say: Callable[[str], None] = lambda line: None) -> spaces.Spaces:
    """What agents see; raises what training would raise before its first step, while no folder is made yet.

    What will hardly be meant is said.
    """
    check_arguments(env, configured.env)
    made = envs.make(env, configured.env)
    try:
        for told in filter(None, (overlooked(made), unshared(made))):
            say(told)
        seen = spaces.of(made)
        configured.agent.build(seen.spec)
        limit = envs.limit(made)
    finally:
        made.close()
    repeat = envs.repeats(env, configured.env)
    if limit is not None and configured.agent.chunk.length > (decisions := math.ceil(limit / repeat)):
        raise UserError(
            f"agent.chunk.length {configured.agent.chunk.length} is longer than an episode of {decisions} decisions: "
            "plan fewer actions at once"
        )
    compiled(update, configured.compile, configured.device)  # for its UserError alone, `Trainer` compiles by itself
    check_drawing(env, configured)
    return seen


def check_drawing(env: Source, configured: Run) -> None:
    """Raise UserError where videos are asked for and the environment, or this machine, gives no pictures."""
    if isinstance(configured.video.every, int):  # apart, because one that draws may be another than the one that learns
        envs.make(env, configured.env, render=configured.video.size).close()


def unshared(env: AnyEnv) -> str:
    """What is told of wrappers that normalise by statistics of their own; nothing where there are none."""
    layer: Any = env
    while isinstance(layer, Wrapper):
        if isinstance(layer, NormalizeObservation | NormalizeReward):
            recipe = "normalize" if isinstance(layer, NormalizeObservation) else "scale_rewards"
            return (
                f"{type(layer).__name__} has statistics of its own in every environment, those of evaluations among "
                f"them, and none where a policy is loaded: recipe {recipe} keeps them with the agent"
            )
        layer = layer.env
    return ""


def check_arguments(env: Source, config: EnvConfig) -> None:
    """Raise UserError for arguments beside an environment that is made without them."""
    if config.arguments and not isinstance(env, str):
        raise UserError(
            "env.arguments are for an environment that is given by its name: give a function that makes yours with "
            "them, such as functools.partial(MyEnv, size=48)"
        )


def seen_in(source: Source, config: EnvConfig, kept: spaces.Spaces | None) -> spaces.Spaces:
    """What agents see in an environment; raises UserError where a run's folder has kept something else of its own."""
    made = envs.make(source, config)
    try:
        seen = spaces.of(made)
    finally:
        made.close()
    if kept is not None:
        spaces.check_same_spec(kept.spec, seen.spec)
        spaces.check_same_actions(kept.action, seen.action)
        spaces.check_same_observations(kept.observation, seen.observation)
    return seen
