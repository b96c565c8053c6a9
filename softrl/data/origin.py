"""What a run's environment is called, and whether that name tells how to make it again."""

import functools
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import EzPickle

from softrl.data.names import canonical, control_task, registry
from softrl.data.sources import Source, copied, from_spec
from softrl.data.wrappers import AnyEnv
from softrl.errors import UserError

OWN = "+own"
"""Follows a name that stands for another environment than this one, which was made in a way of its own."""
DRAWING = "render_mode"
"""An argument, and then an attribute, that changes no step."""
SCALARS = (bool, int, float, str)


def name_of(source: Source) -> str:
    """What a run folder is called after: an environment's name, id, class or function.

    Where a name that softrl knows would make another environment, `+own` tells them apart. Raises UserError.
    """
    if isinstance(source, str):
        return canonical(source)
    if isinstance(source, gymnasium.Env) and source.spec is not None:
        return source.spec.id + OWN * (not plain(source))
    named: Any = type(source.unwrapped) if isinstance(source, gymnasium.Env) else source
    while isinstance(named, functools.partial):
        named = named.func
    name = getattr(named, "__name__", "environment").strip("<>")
    return name + OWN * known(name)


def source_of(given: Source | None, remembered: Source) -> Source:
    """The environment that was given, or else the remembered one; raises UserError for a name that does not tell it."""
    if given is not None:
        return given
    if not isinstance(remembered, str):
        return remembered
    if remembered.endswith(OWN) or not (":" in remembered or "/" in remembered or known(remembered)):
        raise UserError(
            f"the run learned in an environment of your own, '{remembered}', whose name does not tell how to make it: "
            "give it again from Python, as env=make_env, or a registered one on the command line, "
            "as in --env my_envs:Mine-v0"
        )
    return remembered


def findable(name: str) -> bool:
    """Whether the name that a run remembers makes its environment here and now."""
    try:
        source_of(None, name)
        canonical(name)
    except UserError:
        return False
    return True


def known(name: str) -> bool:
    """Whether softrl makes an environment of that name without further words."""
    return name in registry() or control_task(name) is not None


def plain(env: AnyEnv) -> bool:
    """Whether the id of an object alone makes one like it: without wrappers, arguments or numbers of its own."""
    spec: Any = env.spec
    usual = gymnasium.registry.get(spec.id)
    return (
        usual is not None
        and not spec.additional_wrappers
        and spec.max_episode_steps == usual.max_episode_steps
        and same(spec.kwargs, usual.kwargs)
        and not changed(env)
    )


def same(arguments: dict[str, Any], usual: dict[str, Any]) -> bool:
    """Whether an environment was made with the arguments that its registration names."""
    names = (arguments.keys() | usual.keys()) - {DRAWING}
    pairs: list[tuple[Any, Any]] = [(arguments.get(name), usual.get(name)) for name in names]
    return all(np.array_equal(given, known) for given, known in pairs)


def changed(env: AnyEnv) -> bool:
    """Whether numbers were set on an object after it was made, and so belong to its copies as well.

    Looked at are attributes that do not depend on the seed of an episode's first step. What pickles by its arguments is
    always made anew from them.
    """
    if isinstance(env.unwrapped, EzPickle):
        return False
    spec: Any = env.spec
    try:
        mine = numbers(copied(env, None, None), 0)
        usual, other = (numbers(from_spec(spec, None, None), seed) for seed in (0, 1))
    except Exception:  # one that cannot be reset says so when the run begins
        return False
    names = (mine.keys() | usual.keys()) - {DRAWING}
    held: list[list[Any]] = [[one.get(name) for one in (mine, usual, other)] for name in names]
    return any(np.array_equal(new, again) and not np.array_equal(new, here) for here, new, again in held)


def numbers(env: AnyEnv, seed: int) -> dict[str, Any]:
    """Numbers, truth values and words, also in arrays, among the attributes of an environment and of its class.

    One step has been taken, because some attributes appear with the first.
    """
    env.action_space.seed(seed)
    env.reset(seed=seed)
    env.step(env.action_space.sample())
    bare = env.unwrapped
    held = {name: value for home in (*reversed(type(bare).__mro__), bare) for name, value in vars(home).items()}
    env.close()
    return {name: value for name, value in held.items() if number(value)}


def number(value: Any) -> bool:
    """Whether a value is a number, a truth value, a word, or holds nothing but such."""
    if isinstance(value, list | tuple):
        return all(isinstance(entry, SCALARS) for entry in value)
    return isinstance(value, SCALARS) or (isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf")
