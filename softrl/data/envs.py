"""Environments as the rest of the library sees them: `make` gives one, `vector` gives N side by side.

Shapes: see `softrl.types`.
"""

import os
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import Autoreset

from softrl.data.envpool import Pool
from softrl.data.failures import one_line
from softrl.data.names import aliases, canonical, registry
from softrl.data.partial import Partial
from softrl.data.pictured import COLOURS, stated
from softrl.data.pixels import Pixels, Stack, seen, usual_repeat
from softrl.data.push import Push
from softrl.data.room import check_room
from softrl.data.snapshot import Resumable
from softrl.data.sources import Source, build
from softrl.data.spaces import FlatActions, spelled
from softrl.data.workers import Workers, outlive_signals, start_method, told_once, unimported_main, worker_errors
from softrl.data.wrappers import AnyEnv, Brief, Flat, Frames, Spoken, UnitBox, VectorStepResult
from softrl.errors import UserError

if TYPE_CHECKING:
    from softrl.types import Spec

registry()  # so that Gymnasium knows this library's task wherever environments are made


CHOSEN = {"render_mode": "leave it out", "max_episode_steps": "use env.time_limit"}
"""Arguments of environments that are not for people to choose, and what they do instead."""


@dataclass(frozen=True)
class EnvConfig:
    """The environment of a run."""

    name: str = ""
    """A Gymnasium id or a DeepMind Control task such as cheetah_run."""
    repeat: int | None = None
    """Frames each action is held for; none is 1, and the usual number of a DeepMind Control task from pixels."""
    time_limit: int | None = None
    """Frames after which an episode is cut; the environment's own limit when not given."""
    workers: Literal["auto", "sync", "async", "envpool"] = "auto"
    """sync: in this process; async: each in its own; envpool: in threads; auto: async for several and for pixels."""
    arguments: dict[str, bool | int | float | str | None] | None = None
    """What the constructor of a Gymnasium id is given, as in size=48,wind=true; none gives what its id registers."""
    pixels: Pixels | None = None
    """Pictures in the place of states; none gives the environment's own observations."""
    partial: Partial = field(default_factory=Partial)
    """What is lost of the observations."""
    push: Push = field(default_factory=Push)
    """What disturbs the simulation."""

    def __post_init__(self) -> None:
        if self.repeat is not None and self.repeat < 1:
            raise UserError(f"env.repeat is {self.repeat}: an action is held for at least 1 frame")
        if self.time_limit is not None and self.time_limit < 1:
            raise UserError(f"env.time_limit is {self.time_limit}: an episode has at least 1 frame")
        for name, advice in CHOSEN.items():
            if name in (self.arguments or {}):
                raise UserError(f"env.arguments has {name}, which softrl gives itself: {advice}")
        losing = self.pixels or self.arguments or self.partial != Partial() or self.push.probability
        if self.workers == "envpool" and losing:
            raise UserError(
                "env.workers is envpool, whose simulations cannot be reached, which leaves env.arguments, env.pixels, "
                "env.partial and env.push without effect: use --env.workers async"
            )


def repeats(source: Source, config: EnvConfig) -> int:
    """Frames for which each action is held, also where the configuration leaves it open."""
    return config.repeat or (usual_repeat(source) if config.pixels and isinstance(source, str) else 1)


def make(
    source: Source, config: EnvConfig = EnvConfig(), seed: int | None = None, render: int | None = None
) -> Resumable:
    """A Gymnasium environment with float32 observations [D], or stacked pictures, and flat float32 actions [A].

    `seed` is used by the first reset that is given none. With `render`, `.render()` gives pictures, uint8, that many
    pixels high and wide in tasks of DeepMind Control and MuJoCo. Raises UserError.
    """
    pixels = config.pixels.size if config.pixels else None
    built = build(source, config.time_limit, render, pixels, config.arguments)
    env = UnitBox(observed(Frames(config.push.applied(built), repeats(source, config)), config))
    return Resumable(Spoken(env), seed)


def observed(env: AnyEnv, config: EnvConfig) -> AnyEnv:
    """The environment with the observations that an agent gets: states [D], or stacked frames."""
    if config.pixels is None:
        return config.partial.applied(Flat(stated(env)))
    # Losses come before the stack: a frame that is lost stays lost while it is in it.
    return Stack(config.partial.applied(seen(env, config.pixels)), config.pixels.stack)


def worker(source: Source, config: EnvConfig, seed: int, parent: int, known: EnvSpec | None = None) -> Resumable:
    """One environment of a vector: a step after an episode's end is its reset, also right after a restore.

    `known` is what the parent process knows under the environment's name, registered in a script for instance.

    In a process of its own the global generators are the environment's, and part of its state; forks of one server
    would all draw the same from them.
    """
    alone = os.getpid() != parent
    if alone:
        outlive_signals()
        random.seed(seed)
        np.random.seed(seed)
        if known:
            gymnasium.registry.setdefault(known.id, known)
    env = make(source, config)
    return Resumable(Autoreset(Brief(env.env)), seed, alone)


def vector(source: Source, config: EnvConfig, envs: int, seed: int) -> VectorEnv[Any, Any, Any]:
    """N environments side by side, each with a seed of its own derived from `seed`, with NEXT_STEP autoreset.

    Raises UserError.
    """
    if envs < 1:
        raise UserError(f"envs is {envs}: a run needs at least 1 environment")
    if config.workers == "envpool":
        return pooled(source, config, envs, seed)
    seeds = np.random.SeedSequence(seed).generate_state(envs)
    parent, known = os.getpid(), custom_spec(source) if apart(config, envs) else None
    factories = [partial(worker, source, config, int(child), parent, known) for child in seeds]
    if not apart(config, envs):
        return SyncVectorEnv(factories, autoreset_mode=AutoresetMode.NEXT_STEP)
    check_room(envs)
    try:
        with unimported_main(), told_once():
            return Workers(
                factories, context=start_method(config.pixels is not None), autoreset_mode=AutoresetMode.NEXT_STEP
            )
    except UserError:
        raise
    except OSError as error:
        advice = "set TMPDIR to a shorter path" if "AF_UNIX" in str(error) else "lower envs"
        why = error.strerror or one_line(error)
        text = f"the system starts no {envs} processes ({why}): {advice}, or use --env.workers sync"
        raise UserError(text) from error
    except Exception as error:
        raise UserError(
            f"the environment cannot be sent to a worker process: use --env.workers sync, or give a factory "
            f"({type(error).__name__}: {one_line(error)})"
        ) from error


def custom_spec(source: Source) -> EnvSpec | None:
    """What this process knows under a name, where a new one may not: what neither Gymnasium nor softrl registers."""
    known = gymnasium.registry.get(source) if isinstance(source, str) else None
    home = known.entry_point.partition(".")[0] if known and isinstance(known.entry_point, str) else ""
    return None if home in ("gymnasium", "softrl") else known


def apart(config: EnvConfig, envs: int) -> bool:
    """Whether environments have processes of their own; a single one where it draws, while the agent learns."""
    return config.workers == "async" or (config.workers == "auto" and (envs > 1 or config.pixels is not None))


def pooled(source: Source, config: EnvConfig, envs: int, seed: int) -> Pool:
    """The vector of a named task in EnvPool; raises UserError where that cannot be."""
    if not isinstance(source, str):
        raise UserError(
            "env.workers is envpool, which makes its environments itself: give the name of a task, or use "
            "--env.workers async"
        )
    like: Any = make(source, config)  # the face to have
    like.close()
    spaces = like.observation_space, like.action_space
    return Pool(canonical(source), spaces, limit(like), repeats(source, config), envs, seed)


def limit(env: AnyEnv) -> int | None:
    """Frames after which an episode is cut, if any."""
    return env.get_wrapper_attr("_max_episode_steps") if env.has_wrapper_attr("_max_episode_steps") else None


ASYNCHRONOUS = (AsyncVectorEnv, Pool)
"""Vectors that step while their caller does something else."""


def begin(vec: VectorEnv[Any, Any, Any], actions: np.ndarray) -> Callable[[], VectorStepResult]:
    """Start a step; calling what is returned ends it.

    Environments in processes or threads of their own step meanwhile, the others when the step ends: the outcome is the
    same. Both halves raise UserError when an environment fails or its process dies; the vector is then closed.
    """
    if not isinstance(vec, ASYNCHRONOUS):
        return partial(ended, vec, partial(vec.step, actions))
    with worker_errors(vec):
        vec.step_async(actions)
    return partial(ended, vec, vec.step_wait)


def ended(vec: VectorEnv[Any, Any, Any], outcome: Callable[[], VectorStepResult]) -> VectorStepResult:
    """The outcome of a step that was begun."""
    with worker_errors(vec):
        return outcome()


def step(vec: VectorEnv[Any, Any, Any], actions: np.ndarray) -> VectorStepResult:
    """One whole step; raises UserError as `begin` does."""
    return begin(vec, actions)()


def spec(env: AnyEnv | VectorEnv[Any, Any, Any]) -> "Spec":
    """What an agent must know of an environment from `make`, or of a vector of them."""
    from softrl.types import Spec  # imports torch, which worker processes do without

    observation: Any = getattr(env, "single_observation_space", env.observation_space)
    action: Any = getattr(env, "single_action_space", env.action_space)
    shape = tuple(observation.shape)
    told = Spec({"state": shape}, continuous=action.continuous, choices=action.choices)
    return told._replace(obs={"pixels": shape}, stack=shape[0] // COLOURS) if len(shape) == 3 else told


def describe(name: str) -> dict[str, Any]:
    """What `softrl envs show` says of an environment: spaces, the actions of an agent, time limit in frames, aliases.

    Raises UserError for an unknown name, and for an action space in which no agent of softrl can act.
    """
    env = build(name, None, None)
    layout = {key: list(shape) for key, shape in getattr(env.unwrapped, "layout", {}).items()}
    flat = FlatActions(env.action_space)
    drawn = "rgb_array" in env.metadata.get("render_modes", [])
    told = {
        "name": canonical(name),
        "aliases": aliases(canonical(name)),
        "observation": layout or str(env.observation_space),
        "action": spelled(env.action_space),
        "choices": list(flat.choices),
        "continuous": flat.continuous,
        "time_limit": limit(env),
        "pixels": f"action repeat {usual_repeat(name)} unless set" if drawn else None,
    }
    with suppress(Exception, SystemExit):  # nothing depends on it any more
        env.close()
    return told
