"""What a policy must know of its environment, kept in the run folder: it acts where the environment cannot be made."""

import json
from collections.abc import Callable, Iterator
from functools import singledispatch
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gymnasium import Env
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple
from gymnasium.spaces.utils import flatdim

from softrl.data import envs
from softrl.data.spaces import FlatActions, entries, spelled
from softrl.errors import UserError
from softrl.run.observations import own
from softrl.types import Spec

FILE = "spaces.json"
Json = dict[str, Any]


class Spaces(NamedTuple):
    """An environment as a policy sees it."""

    spec: Spec
    action: Space[Any]  # the environment's own
    observation: Space[Any] | None  # before it is flattened; none where agents see pictures, or where no JSON tells it


def of(env: Env[Any, Any]) -> Spaces:
    """The spaces of an environment from `softrl.data.envs.make`."""
    actions: FlatActions = env.action_space  # type: ignore[assignment]
    return Spaces(envs.spec(env), actions.space, own(env))


def to_json(spaces: Spaces) -> Json:
    """As plain JSON values; raises UserError for actions whose names no JSON has."""
    spec, action, observation = spaces
    if described(action) is None:
        raise UserError(f"{spelled(action)} has names that no file can keep: use text or whole numbers in its Dict")
    return {
        "obs": {name: list(shape) for name, shape in spec.obs.items()},
        "continuous": spec.continuous,
        "choices": list(spec.choices),
        "stack": spec.stack,
        "action": described(action),
        "observation": described(observation),
    }


def from_json(data: Json) -> Spaces:
    """What `to_json` wrote; raises KeyError, TypeError or ValueError for anything else."""
    spec = Spec(
        {name: tuple(shape) for name, shape in data["obs"].items()},
        continuous=data["continuous"],
        choices=tuple(data["choices"]),
        stack=data["stack"],
    )
    action = made(data["action"])
    if action is None:
        raise ValueError("it has no action space")
    return Spaces(spec, action, made(data["observation"]))


def read(run: Path) -> Spaces | None:
    """The spaces of a run folder, or None in one that was made before they were kept; raises UserError."""
    path = run / FILE
    if not path.exists():
        return None
    try:
        return from_json(json.loads(path.read_bytes()))
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is torn or was edited ({error}): put back a copy, or remove it and give env, as in "
            "softrl.load(run, env=make_env)"
        ) from error


def check_same_spec(learned: Spec, given: Spec) -> None:
    """Raise UserError where an agent of the one world cannot act in the other."""
    mine, other = (told(spec) for spec in (learned, given))
    if mine != other:
        raise UserError(f"the policy takes {mine}, and this environment has {other}: give one like that of its run")


def check_same_actions(learned: Space[Any], given: Space[Any]) -> None:
    """Raise UserError where an action means something else in the other world: of other bounds, or of another kind."""
    if learned != given:
        mine, other = spelled(learned), spelled(given)
        advice = "the name of its environment, as those of softrl.make are for loops of your own"
        like = advice if isinstance(given, FlatActions) else "one like that of its run"
        raise UserError(f"the policy's actions are {mine}, and this environment has {other}: give {like}")


def check_same_observations(learned: Space[Any] | None, given: Space[Any] | None) -> None:
    """Refuse observations whose entries are others, or in another order, than a policy reads them; raises UserError."""
    if learned is None or given is None or not (entries(learned) and entries(given)):
        return  # a flat array says nothing of its entries
    mine, other = list(layout(learned)), list(layout(given))
    if mine != other:
        raise UserError(
            f"the policy reads observations of {', '.join(mine)}, and this environment gives {', '.join(other)}: give "
            "one like that of its run"
        )


def layout(space: Space[Any], name: str = "") -> Iterator[str]:
    """The entries of a space in the order in which they are read, each with its numbers."""
    inner = entries(space)
    if not inner:
        yield f"{name} [{flatdim(space)}]"
    for key, entry in inner.items():
        yield from layout(entry, f"{name}.{key}" if name else str(key))


def told(spec: Spec) -> str:
    """Observations and actions in words."""
    seen = ", ".join(f"{name} {list(shape)}" for name, shape in spec.obs.items())
    chosen = f"choices of {', '.join(map(str, spec.choices))} options" if spec.choices else ""
    numbers = f"{spec.continuous} numbers" if spec.continuous else ""
    return f"{seen} and actions of {' and '.join(filter(None, (chosen, numbers)))}"


@singledispatch
def described(space: Space[Any] | None) -> Json | None:
    """A space as JSON, `type` and arguments; None for one of a kind that is not among those below."""
    return None


@described.register
def _(space: Box) -> Json:
    bounds = {"low": bound(space.low), "high": bound(space.high)}
    return {"type": "Box", **bounds, "shape": list(space.shape), "dtype": str(space.dtype)}


@described.register
def _(space: Discrete) -> Json:
    return {"type": "Discrete", "n": int(space.n), "start": int(space.start), "dtype": str(space.dtype)}


@described.register
def _(space: MultiDiscrete) -> Json:
    starts = {"nvec": space.nvec.tolist(), "start": space.start.tolist()}
    return {"type": "MultiDiscrete", **starts, "dtype": str(space.dtype)}


@described.register
def _(space: MultiBinary) -> Json:
    return {"type": "MultiBinary", "n": space.n if isinstance(space.n, int) else list(space.shape)}


@described.register(Tuple)
def _(space: Tuple[Any]) -> Json | None:
    entries = [described(entry) for entry in space.spaces]
    return {"type": "Tuple", "spaces": entries} if all(entries) else None


@described.register
def _(space: Dict) -> Json | None:
    # Pairs, because the order of the entries is that of the numbers in a flat observation.
    entries = [[name, described(entry)] for name, entry in space.spaces.items()]
    written = all(entry and type(name) in (str, int) for name, entry in entries)  # JSON has no tuples, say
    return {"type": "Dict", "spaces": entries} if written else None


def bound(values: np.ndarray) -> Any:
    """The bounds of a Box, one number where all are the same; infinities in words, because JSON has none."""
    listed = [value if np.isfinite(value) else str(value) for value in values.ravel().tolist()]
    return listed[0] if len(set(listed)) == 1 else listed


def box(low: Any, high: Any, shape: list[int], dtype: str) -> Box:
    """A Box, with what `bound` wrote of its bounds."""
    return Box(bounded(low, shape, dtype), bounded(high, shape, dtype), dtype=np.dtype(dtype).type)


def discrete(n: int, start: int, dtype: str) -> Space[Any]:
    """A Discrete."""
    kind: Any = np.dtype(dtype).type
    return Discrete(n, start=start, dtype=kind)


def multi_discrete(nvec: list[Any], start: list[Any], dtype: str) -> Space[Any]:
    """A MultiDiscrete of any shape."""
    kind: Any = np.dtype(dtype).type
    return MultiDiscrete(np.array(nvec), dtype=kind, start=np.array(start))


MAKERS: dict[str, Callable[..., Space[Any]]] = {
    "Box": box,
    "Discrete": discrete,
    "MultiDiscrete": multi_discrete,
    "MultiBinary": lambda n: MultiBinary(n),
    "Tuple": lambda spaces: Tuple([made(space) for space in spaces]),
    "Dict": lambda spaces: Dict([(name, made(space)) for name, space in spaces]),
}
"""What makes a space of its arguments, under its type."""


def made(data: Json | None) -> Any:
    """The space that `described` wrote; raises KeyError, TypeError or ValueError for anything else."""
    return None if data is None else MAKERS[data["type"]](**{name: data[name] for name in data.keys() - {"type"}})


def bounded(listed: Any, shape: list[int], dtype: str) -> np.ndarray:
    """Bounds of that shape."""
    numbers = [float(value) if isinstance(value, str) else value for value in np.ravel(np.array(listed, object))]
    values = np.array(numbers, dtype)
    return np.full(shape, values[0], dtype) if len(numbers) == 1 else values.reshape(shape)
