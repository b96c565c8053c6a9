"""Exact state of environments: after a restore, all that follows is what would have followed, bit for bit.

How an environment's state is found, layer by layer from the outermost wrapper inwards:

1. A layer with methods `snapshot() -> dict | None` and `restore(state)` speaks for itself and all it wraps. This is how
   an environment of your own gives its state when rule 3 cannot: return nested dicts with string keys, lists and tuples
   whose leaves are numpy arrays, NumPy's numbers and plain JSON values; what `restore` is given is the same.
2. MuJoCo simulations among the attributes are read whole (`physics.py`).
3. All other attributes must be plain data or random generators (`plain.py`), and no class may draw for all its objects.

Where none of this holds the state is None: the environment is reset instead of restored.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Space

from softrl.data import answers, physics
from softrl.data.constants import common, nested, replaceable
from softrl.data.failures import failure
from softrl.data.plain import OpaqueError, Packer, Unpacker
from softrl.data.workers import worker_errors
from softrl.data.wrappers import AnyEnv
from softrl.errors import UserError

State = dict[str, Any]


class Resumable(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The outermost wrapper: seeds the first reset, and has the environment's exact state as an attribute.

    An attribute is what vector environments read and write in their workers. Writing None to it asks for a reset at
    the next step where the environment resets itself (`Autoreset`).
    """

    def __init__(self, env: AnyEnv, seed: int | None, alone: bool = False) -> None:
        """`alone` says that nothing else draws from the global generators of this process."""
        super().__init__(env)
        self.seed, self.alone = seed, alone
        self.originals = {name: physics.compiled(data.model) for name, data in simulations(env.unwrapped).items()}
        self.settings = [value for layer in chain(env) for value in vars(layer).values() if replaceable(value)]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        chosen = self.seed if seed is None else seed
        self.seed = None
        if chosen is not None:
            seed_spaces(self.env, chosen)
        if self.alone and seed is not None:  # else what draws from the process would meet the same episodes again
            random.seed(seed)
            np.random.seed(seed % 2**32)
        return self.env.reset(seed=chosen, options=options)

    @property
    def layers(self) -> list[str]:
        """The classes whose state this is."""
        return [type(layer).__name__ for layer in chain(self.env)]

    @property
    def exact_state(self) -> State | None:
        """The exact state, or None where the environment cannot give it."""
        packer = Packer()
        layers: State = {}
        try:
            for i, layer in enumerate(chain(self.env)):
                taken = said(layer) if speaks(layer) else self.taken(layer, packer)
                if taken is None:
                    return None
                layers[str(i)] = {"class": type(layer).__name__, "state": taken}
        except (OpaqueError, RecursionError):
            return None
        drawn = {"numpy": np.random.get_state(legacy=False), "python": random.getstate()}
        return {"layers": layers} | ({"process": Packer().value(drawn)} if self.alone else {})

    @exact_state.setter
    def exact_state(self, state: State | None) -> None:
        self.seed = None
        if state is None:
            self.env.set_wrapper_attr("autoreset", True)
            return
        layers, entries = chain(self.env), list(state["layers"].values())
        if self.layers != classes(state):
            raise UserError("the environment is not the one whose state was saved: resume with the same environment")
        unpacker = Unpacker()
        try:
            for layer, entry in zip(layers, entries, strict=True):
                if speaks(layer):
                    with own(layer, "restore"):
                        layer.restore(answers.unpacked(entry["state"]))
                else:
                    self.give(layer, entry["state"], unpacker)
            if self.alone and "process" in state:
                drawn = Unpacker().value(state["process"])
                np.random.set_state(drawn["numpy"])
                random.setstate(drawn["python"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                "the environment's saved state does not fit: resume with the packages named in the run's versions.json"
            ) from error

    def taken(self, layer: AnyEnv, packer: Packer) -> State:
        """State of one layer."""
        # What is constant is a setting while it is the one from the start, and a state where another took its place.
        if any(replaceable(value) and not any(value is one for one in self.settings) for value in vars(layer).values()):
            raise OpaqueError("a function, space or frozen dataclass that took the place of another")
        if any(True for _ in common(layer)):
            raise OpaqueError("a generator of the class, which draws for all its objects")
        found = simulations(layer)
        if not found.keys() <= self.originals.keys():
            raise OpaqueError("a simulation made after the environment was")
        captured = {name: physics.capture(data.model, data, self.originals[name]) for name, data in found.items()}
        return {"attributes": packer.attributes(vars(layer), skipped(layer)), "simulations": captured}

    def give(self, layer: AnyEnv, state: State, unpacker: Unpacker) -> None:
        """Put the state of one layer back."""
        unpacker.attributes(state["attributes"], vars(layer), skipped(layer))
        for name, data in simulations(layer).items():
            physics.apply(data.model, data, self.originals[name], state["simulations"][name])


def seed_spaces(env: AnyEnv, seed: int) -> None:
    """Seed the spaces of an environment and its wrappers, from which some draw actions or observations.

    Those of a class, which all its objects share, follow no seed, nor does what holds one of them.
    """
    # The seed itself would draw what the environment's own generator draws.
    acting, observing = (int(part) >> 1 for part in np.random.SeedSequence(seed).generate_state(2))
    own_seeds = {"action_space": acting, "observation_space": observing}
    layers = [env]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    common_to_all = {id(inner) for layer in layers for space in class_spaces(layer) for inner in nested(space)}
    for layer in layers:
        for name, own_seed in own_seeds.items():
            for space in (vars(layer).get(name), vars(layer).get(f"_{name}")):  # the latter is what wrappers have
                if isinstance(space, Space) and common_to_all.isdisjoint(map(id, nested(space))):
                    space.seed(own_seed)


def class_spaces(layer: AnyEnv) -> list[Space[Any]]:
    """The spaces that a layer's class has, or one that it inherits from."""
    return [value for kind in type(layer).__mro__ for value in vars(kind).values() if isinstance(value, Space)]


def classes(state: State) -> list[str]:
    """The classes whose exact state was taken, from the outermost inwards."""
    return [entry["class"] for entry in state["layers"].values()]


def chain(env: AnyEnv) -> list[Any]:
    """Wrappers from the outermost inwards, then the environment; nothing below a layer that speaks for itself."""
    layers: list[Any] = [env]
    while isinstance(layers[-1], gymnasium.Wrapper) and not speaks(layers[-1]):
        layers.append(layers[-1].env)
    return layers


def speaks(layer: Any) -> bool:
    """Whether a layer gives its state itself."""
    return hasattr(type(layer), "snapshot") and hasattr(type(layer), "restore")


def said(layer: Any) -> State | None:
    """What a layer says of its state; raises UserError for what no checkpoint can hold."""
    with own(layer, "snapshot"):
        answer = layer.snapshot()
    return None if answer is None else answers.packed(answer, type(layer).__name__)


@contextmanager
def own(layer: Any, method: str) -> Iterator[None]:
    """Turn whatever a layer's own method raises into a UserError; Gymnasium would take some for a missing attribute."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise failure(layer, method, error) from error


def simulations(layer: Any) -> dict[str, Any]:
    """The mjData among the attributes of a layer."""
    return {name: value for name, value in vars(layer).items() if mujoco_type(value) == "MjData"}


def skipped(layer: Any) -> list[str]:
    """Attributes that are not packed: the layer beneath, and simulations with their models."""
    return [name for name, value in vars(layer).items() if name == "env" or mujoco_type(value) in ("MjData", "MjModel")]


def mujoco_type(value: Any) -> str:
    """Name of a MuJoCo type, found without importing MuJoCo; empty for all others."""
    return type(value).__name__ if type(value).__module__.startswith("mujoco") else ""


def snapshot(env: AnyEnv) -> State | None:
    """Exact state of an environment from `make`: nested dicts of arrays and plain values; None where there is none.

    Raises UserError where an environment's own `snapshot()` returns what no checkpoint can hold.
    """
    return env.get_wrapper_attr("exact_state")


def restore(env: AnyEnv, state: State) -> None:
    """Put an environment, made with the same configuration, into a state from `snapshot`."""
    env.reset()  # gives the environment the attributes it only gets when an episode starts
    env.set_wrapper_attr("exact_state", state)


def snapshots(vec: Any) -> list[State | None]:
    """Exact states of the environments of a vector, None for each that cannot give its own."""
    with worker_errors(vec):
        return list(vec.get_attr("exact_state"))


def restores(vec: Any, states: list[State | None], seed: int | None = None) -> None:
    """Put the environments of a vector into their states.

    One whose state is None begins with a reset, in episodes of this seed, unless it is None as well: its next step is
    the reset row after an episode's end.
    """
    with worker_errors(vec):
        # A reset also clears what the vector remembers of ended episodes.
        vec.reset(seed=seed if None in states else None)
        vec.set_attr("exact_state", states)


def fitting(vec: Any, states: list[State | None]) -> list[State | None]:
    """The states, with None in the place of those that were taken of environments of other classes."""
    with worker_errors(vec):
        layers = vec.get_attr("layers")
    return [state if state and classes(state) == own else None for state, own in zip(states, layers, strict=True)]
