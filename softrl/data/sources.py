"""Where environments come from: a name, a factory or an environment object."""

import copy
import re
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from inspect import signature
from types import MappingProxyType
from typing import Any
from weakref import WeakValueDictionary

import gymnasium
from gymnasium.envs.registration import load_env_creator
from gymnasium.utils import EzPickle
from gymnasium.wrappers import HumanRendering, PassiveEnvChecker, TimeLimit

from softrl.data import graphics, physics
from softrl.data.control import ENDED, TIME_LIMIT, Control
from softrl.data.failures import one_line, place
from softrl.data.names import TASKS, canonical, imported_id
from softrl.data.pictured import pictured, remedy
from softrl.data.wrappers import AnyEnv
from softrl.errors import UserError

Arguments = Mapping[str, Any]
Source = str | Callable[[], AnyEnv] | AnyEnv
PICTURELESS = (
    "the environment gives no pictures: make it with render_mode='rgb_array', or ask for neither pixels nor videos"
)
SIZED = ("mujoco", "softrl.data.gears")
"""In the entry points of environments whose `width` and `height` are those of their pictures, not of their world."""
GIVEN: WeakValueDictionary[int, AnyEnv] = WeakValueDictionary()
"""What factories have returned, unwrapped and under its identity, because an environment need not be hashable."""


def build(
    source: Source,
    time_limit: int | None,
    render: int | None,
    pixels: int | None = None,
    arguments: Arguments | None = None,
) -> AnyEnv:
    """A new environment in its own units.

    An environment object is a template and is never stepped: others are deep copies, or made from its `spec`. A time
    limit, in frames, takes the place of the environment's own outermost one. Pictures are `render` pixels high and wide
    for people, `pixels` for agents, in tasks of DeepMind Control and MuJoCo. `arguments` are for what a name makes:
    factories and objects tell everything themselves. Raises UserError.
    """
    graphics.choose()
    if isinstance(source, str):
        env = from_name(canonical(source), time_limit, render, pixels, arguments or {})
    elif isinstance(source, gymnasium.Env):
        env = copied(source, time_limit, pixels or render)
    else:
        env = limited(made(source), time_limit)
    for space in ("observation_space", "action_space"):
        if getattr(env, space, None) is None:
            raise UserError(f"{type(env.unwrapped).__name__} has no {space}: set it in __init__, as gymnasium.Env asks")
    drawn = render or (pixels and not pictured(env.observation_space))
    if drawn and env.render_mode != "rgb_array":
        told = remedy(env.observation_space) if pixels else ""
        raise UserError(f"{PICTURELESS}; {told}" if told else PICTURELESS)
    return env


ONE = "softrl puts several side by side itself, as many as envs says"


def made(factory: Callable[[], AnyEnv]) -> AnyEnv:
    """What a factory returns; raises UserError where it raises, or that is no environment, or one returned before."""
    if not callable(factory):
        raise UserError(
            f"{type(factory).__name__} is no environment: give a name, a gymnasium.Env (for dm_env, wrap it with "
            f"shimmy) or a function that makes one; {ONE}"
        )
    try:
        env = factory()
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        name = getattr(factory, "__name__", type(factory).__name__)
        told = UserError(
            f"the environment cannot be made, {name}() raised {type(error).__name__}: {one_line(error)}{place(error)}"
        )
        told.add_note("".join(traceback.format_exception(error)))
        raise told from error
    if isinstance(env, gymnasium.vector.VectorEnv):
        raise UserError(f"the environment factory returned {type(env).__name__}, several at once: {ONE}")
    if not isinstance(env, gymnasium.Env):
        raise UserError(
            f"the environment factory returned {type(env).__name__}: it must return a gymnasium.Env (for dm_env and "
            "the old gym, wrap it with shimmy)"
        )
    bare = env.unwrapped
    if GIVEN.get(id(bare)) is bare:
        raise UserError(
            "the factory returned the same environment again: let it make a new one at each call, or give the object "
            "itself"
        )
    GIVEN[id(bare)] = bare
    return env


def from_name(
    name: str, time_limit: int | None, render: int | None, pixels: int | None, arguments: Arguments
) -> AnyEnv:
    """The environment of a canonical name.

    A task of DeepMind Control draws in any size at any time, one of MuJoCo in a single one, then that of the agent, and
    others in their own. Raises UserError where there is no such environment or its package is missing.
    """
    if name in TASKS:
        if arguments:
            raise UserError(f"{name} is a task of DeepMind Control, which takes no env.arguments: leave them out")
        return TimeLimit(Control(*TASKS[name], render=render or pixels), time_limit or TIME_LIMIT)
    try:
        return from_spec(described(name, arguments), time_limit, pixels or render)
    except UserError:
        raise
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        extra = "; pip install 'softrl[box2d]' brings it" if "box2d" in str(error).lower() else newer(name)
        raise UserError(f"{name} cannot be made with the packages installed: {one_line(error)}{extra}") from error
    except (Exception, SystemExit) as error:
        reason = untaken(name, arguments, error) or f"{name} cannot be made: {one_line(error)}{place(error)}"
        raise UserError(reason) from error


def shortest_episode(source: Source, time_limit: int | None) -> int:
    """Frames that every episode has at least: a time limit's, where nothing else ends one, in DeepMind Control."""
    domain, _ = TASKS.get(canonical(source), ("", "")) if isinstance(source, str) else ("", "")
    return time_limit or TIME_LIMIT if domain and domain not in ENDED else 1


def described(name: str, arguments: Arguments = MappingProxyType({})) -> gymnasium.envs.registration.EnvSpec:
    """The registered spec of `Id-v0`, or of `module:Id-v0` once the module is imported, with further arguments."""
    spec = gymnasium.spec(imported_id(name))
    return replace(spec, kwargs={**spec.kwargs, **arguments}) if arguments else spec


def newer(name: str) -> str:
    """The end of a sentence about an environment that has gone, with its newest version; nothing where it is that."""
    found = gymnasium.spec(imported_id(name))
    versions = [spec.version or 0 for spec in gymnasium.registry.values() if spec.name == found.name]
    return f"; use {found.name}-v{max(versions)}" if max(versions) > (found.version or 0) else ""


def untaken(name: str, arguments: Arguments, error: BaseException) -> str | None:
    """A sentence about the argument that an environment's constructor does not take, where that is what it raised."""
    refused = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if not refused or refused[1] not in arguments:
        return None
    creator: Any = described(name).entry_point
    made_by = load_env_creator(creator) if isinstance(creator, str) else creator
    parameters = signature(made_by).parameters.values()
    taken = [each.name for each in parameters if each.kind is not each.VAR_KEYWORD and each.name != "render_mode"]
    told = f"it takes {', '.join(taken)}" if taken else "it takes none"
    return f"env.arguments has '{refused[1]}', which {name} does not take: {told}"


def from_spec(spec: gymnasium.envs.registration.EnvSpec, time_limit: int | None, render: int | None) -> AnyEnv:
    """The environment of a Gymnasium spec."""
    if "mujoco" in str(spec.entry_point):
        graphics.prepare(render)
        physics.quiet()
    kept: dict[str, Any] = {"disable_env_checker": True, "max_episode_steps": time_limit}
    if "render_mode" in spec.kwargs:  # an object given as a template may have been made to show itself
        kept["render_mode"] = None
    with warnings.catch_warnings():
        for told in (".*is out of date", ".*is being initialised with render_mode"):  # of the latter we tell ourselves
            warnings.filterwarnings("ignore", message=told)
        if render is None:
            return gymnasium.make(spec, **kept)
        kept["render_mode"] = "rgb_array"
        try:
            return gymnasium.make(spec, **kept | dict.fromkeys(sides(spec), render))
        except TypeError:  # not every environment has these arguments
            return unsized(spec, kept)


def sides(spec: gymnasium.envs.registration.EnvSpec) -> set[str]:
    """Which sides of an environment's pictures are for softrl to choose: those that it knows and nobody has chosen."""
    sized = any(part in str(spec.entry_point) for part in SIZED)
    return {"width", "height"} - spec.kwargs.keys() if sized else set()


def unsized(spec: gymnasium.envs.registration.EnvSpec, kept: dict[str, Any]) -> AnyEnv:
    """The environment of a Gymnasium spec, which draws pictures of its own size, or none."""
    try:
        return gymnasium.make(spec, **kept)
    except TypeError as error:
        if "render_mode" not in str(error):
            raise
        del kept["render_mode"]
        return gymnasium.make(spec, **kept)  # whose observations may be pictures


def copied(env: AnyEnv, time_limit: int | None, render: int | None) -> AnyEnv:
    """Another environment like this object: a deep copy, which has what was set on it, where that serves.

    Otherwise it is made anew from its `spec`: where pictures are asked for and it draws none, or only on the screen,
    where a copy is made from its arguments anyway, and where it cannot be copied. Raises UserError.
    """
    alike = partial(duplicate, env, time_limit)
    ways: list[Callable[[], AnyEnv]] = [alike]
    if env.spec is not None:
        anew = partial(from_spec, env.spec, time_limit, render)
        ways = [alike, anew] if duplicable(env, render) else [anew, alike]
    refusals = []
    for way in ways:
        try:
            return way()
        except UserError:
            raise
        except Exception as error:  # a spec that does not tell everything, an attribute that cannot be copied
            refusals.append(error)
    told = refusals[ways.index(alike)]
    raise UserError(
        f"the environment {env} cannot be copied ({type(told).__name__}: {one_line(told)}): give a factory, a "
        "function without arguments that makes one"
    ) from told


def duplicate(env: AnyEnv, time_limit: int | None) -> AnyEnv:
    """A deep copy that stays off the screen, with the layers of the environment that `registered` makes."""
    twin = unchecked(copy.deepcopy(env, windows(env)))
    if twin.unwrapped.render_mode == "human":
        twin.unwrapped.render_mode = None
    return limited(twin, time_limit)


def windows(env: AnyEnv) -> dict[int, Any]:
    """What copies have in the place of windows on the screen, which cannot be copied: None, by their identity."""
    held = vars(env).values() if env.render_mode == "human" else ()
    inner = windows(env.env) if isinstance(env, gymnasium.Wrapper) else {}
    return inner | {id(value): None for value in held if type(value).__module__.startswith("pygame")}


def unchecked(env: AnyEnv) -> AnyEnv:
    """The environment without the layers in which Gymnasium checks its first steps and shows it on the screen.

    A run that learned in copies of an object is resumed by name where that tells everything: the layers must agree.
    """
    if isinstance(env, PassiveEnvChecker | HumanRendering):
        return unchecked(env.env)
    if isinstance(env, gymnasium.Wrapper):
        env.env = unchecked(env.env)
    return env


def duplicable(env: AnyEnv, render: int | None) -> bool:
    """Whether a deep copy keeps what was set on an object, and draws where it is to draw."""
    bare = env.unwrapped
    return (bare.render_mode == "rgb_array" or not render) and not isinstance(bare, EzPickle)


def limited(env: AnyEnv, time_limit: int | None) -> AnyEnv:
    """The environment under a limit of frames, instead of the outermost limit it brings."""
    if time_limit is None:
        return env
    layer = env
    while isinstance(layer, gymnasium.Wrapper):
        if isinstance(layer, TimeLimit):
            layer._max_episode_steps = time_limit
            return env
        layer = layer.env
    return TimeLimit(env, time_limit)
