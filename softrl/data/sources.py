"""Where environments come from: a name, a factory or an environment object."""

import copy
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import gymnasium
from gymnasium.wrappers import TimeLimit

from softrl.data import graphics, physics
from softrl.data.control import TIME_LIMIT, Control
from softrl.data.names import TASKS, canonical
from softrl.data.wrappers import one_line
from softrl.errors import UserError

AnyEnv = gymnasium.Env[Any, Any]
Source = str | Callable[[], AnyEnv] | AnyEnv
PICTURELESS = (
    "the environment gives no pictures: make it with render_mode='rgb_array', or ask for neither pixels nor videos"
)


def build(source: Source, time_limit: int | None, render: int | None, pixels: int | None = None) -> AnyEnv:
    """A new environment in its own units.

    An environment object is a template and is never stepped: others are made from its `spec`, or by deep copy. A time
    limit, in frames, takes the place of the environment's own outermost one. Pictures are `render` pixels high and wide
    for people, `pixels` for agents, where the environment lets its caller choose. Raises UserError.
    """
    graphics.choose()
    if isinstance(source, str):
        env = named(canonical(source), time_limit, render, pixels)
    elif isinstance(source, gymnasium.Env):
        env = copied(source, time_limit, pixels or render)
    else:
        env = limited(made(source), time_limit)
    for space in ("observation_space", "action_space"):
        if getattr(env, space, None) is None:
            raise UserError(f"{type(env.unwrapped).__name__} has no {space}: set it in __init__, as gymnasium.Env asks")
    if (render or pixels) and env.render_mode != "rgb_array":
        raise UserError(PICTURELESS)
    return env


def made(factory: Callable[[], AnyEnv]) -> AnyEnv:
    """What a factory returns."""
    if not callable(factory):
        raise UserError(
            f"{type(factory).__name__} is no environment: give a name, a gymnasium.Env or a function that makes one; "
            "softrl puts several side by side itself, as many as envs says"
        )
    env = factory()
    if not isinstance(env, gymnasium.Env):
        raise UserError(
            f"the environment factory returned {type(env).__name__}: it must return a gymnasium.Env (for the old gym, "
            "wrap it with shimmy)"
        )
    return env


def named(name: str, time_limit: int | None, render: int | None, pixels: int | None) -> AnyEnv:
    """The environment of a canonical name.

    A task of DeepMind Control draws in any size at any time; one of Gymnasium in a single one, then that of the agent.
    """
    if name in TASKS:
        return TimeLimit(Control(*TASKS[name], render=render or pixels), time_limit or TIME_LIMIT)
    try:
        return registered(described(name), time_limit, pixels or render)
    except UserError:
        raise
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        extra = "; pip install 'softrl[box2d]' brings it" if "box2d" in str(error).lower() else ""
        raise UserError(f"{name} cannot be made with the packages installed: {one_line(error)}{extra}") from error
    except Exception as error:
        raise UserError(f"{name} cannot be made: {one_line(error)}") from error


def described(name: str) -> gymnasium.envs.registration.EnvSpec:
    """The registered spec of `Id-v0`, or of `module:Id-v0` once the module is imported, which registers it."""
    module, _, identifier = name.rpartition(":")
    if module:
        import_module(module)
    return gymnasium.spec(identifier)


def registered(spec: gymnasium.envs.registration.EnvSpec, time_limit: int | None, render: int | None) -> AnyEnv:
    """The environment of a Gymnasium spec."""
    if "mujoco" in str(spec.entry_point):
        graphics.prepare(render)
        physics.quiet()
    kept: dict[str, Any] = {"disable_env_checker": True, "max_episode_steps": time_limit}
    if "render_mode" in spec.kwargs:  # an object given as a template may have been made to show itself
        kept["render_mode"] = None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is out of date")
        if render is None:
            return gymnasium.make(spec, **kept)
        kept["render_mode"] = "rgb_array"
        try:
            return gymnasium.make(spec, width=render, height=render, **kept)
        except TypeError:  # not every environment lets its caller choose the size
            return unsized(spec, kept)


def unsized(spec: gymnasium.envs.registration.EnvSpec, kept: dict[str, Any]) -> AnyEnv:
    """The environment of a Gymnasium spec, which draws pictures of its own size."""
    try:
        return gymnasium.make(spec, **kept)
    except TypeError as error:
        if "render_mode" not in str(error):
            raise
        raise UserError(PICTURELESS) from error


def copied(env: AnyEnv, time_limit: int | None, render: int | None) -> AnyEnv:
    """Another environment like this object."""
    try:
        if env.spec is not None:
            return registered(env.spec, time_limit, render)
    except UserError:
        raise
    except Exception:  # a spec that does not tell everything: the object itself does
        pass
    try:
        return limited(copy.deepcopy(env), time_limit)
    except Exception as error:
        raise UserError(
            f"the environment {env} cannot be copied ({type(error).__name__}: {one_line(error)}): give a factory, a "
            "function without arguments that makes one"
        ) from error


def limited(env: AnyEnv, time_limit: int | None) -> AnyEnv:
    """The environment under a limit of frames, instead of the outermost limit it brings."""
    if time_limit is None:
        return env
    return TimeLimit(env.env if isinstance(env, TimeLimit) else env, time_limit)
