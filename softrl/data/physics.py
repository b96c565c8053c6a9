"""Exact state of a MuJoCo simulation: its integration state, its buffer, and what was written into its model."""

import copy
import logging
from typing import Any

import numpy as np

State = dict[str, dict[str, Any]]


def quiet() -> None:
    """Send MuJoCo's warnings to the log "mujoco" instead of the terminal and a MUJOCO_LOG.TXT in the working folder."""
    import mujoco

    mujoco.set_mju_user_warning(logging.getLogger("mujoco").info)


def compiled(model: Any) -> Any:
    """A copy of an untouched mjModel, to tell later what was written into it."""
    return copy.deepcopy(model)


def capture(model: Any, data: Any, original: Any) -> State:
    """Everything the next step, the next observation and the next reset can depend on.

    mjData's integration state would do for a simulation that recomputes everything from it, but observations read
    arrays that lag behind it (Gymnasium's mj_step) and dm_control's step begins in the middle (mj_step2), so the whole
    buffer is kept. Tasks write targets, sizes and terrains into mjModel: what differs from `original` is kept as well.
    """
    import mujoco

    size = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION)
    integration = np.empty(size)
    mujoco.mj_getState(model, data, integration, mujoco.mjtState.mjSTATE_INTEGRATION)
    return {
        "integration": {"state": integration},
        "buffer": {name: array.copy() for name, array in buffer(data).items()},
        "flags": flags(data),
        "model": {name: array.copy() for name, array in written(model, original).items()},
        "options": {name: np.array(value) for name, value in changed_options(model, original).items()},
    }


def apply(model: Any, data: Any, original: Any, state: State) -> None:
    """The inverse of `capture`, into a simulation of the same model."""
    import mujoco

    for name in written(model, original):
        getattr(model, name)[...] = getattr(original, name)
    for name, array in state["model"].items():
        getattr(model, name)[...] = array
    for name in changed_options(model, original):
        set_option(model, name, getattr(original.opt, name))
    for name, value in state["options"].items():
        set_option(model, name, value)

    # The forward pass finds contacts and constraints, which lie outside the buffer; then everything it recomputed is
    # put back, the solver's warm start first of all.
    integration = state["integration"]["state"]
    mujoco.mj_setState(model, data, integration, mujoco.mjtState.mjSTATE_INTEGRATION)
    mujoco.mj_forward(model, data)
    mujoco.mj_setState(model, data, integration, mujoco.mjtState.mjSTATE_INTEGRATION)
    arrays = buffer(data)
    for name, array in state["buffer"].items():
        arrays[name][...] = array
    for name, flag in state["flags"].items():
        setattr(data, name, flag)


def buffer(data: Any) -> dict[str, np.ndarray]:
    """The arrays of mjData whose size does not change, as views; contacts and constraints are not among them."""
    start = address(data.qpos)
    inside = {name: array for name, array in arrays(data).items() if 0 <= address(array) - start < data.nbuffer}
    return {**inside, "energy": data.energy}


def flags(data: Any) -> dict[str, bool]:
    """Which quantities MuJoCo has already computed for the present state."""
    return {name: getattr(data, name) for name in dir(data) if name.startswith("flg_")}


def written(model: Any, original: Any) -> dict[str, np.ndarray]:
    """The arrays of mjModel that differ from the compiled ones, as views."""
    before = arrays(original)
    return {name: array for name, array in arrays(model).items() if not np.array_equal(array, before[name])}


def changed_options(model: Any, original: Any) -> dict[str, Any]:
    """The physics options (gravity, wind, switches ...) that differ from the compiled ones."""
    names = [name for name in dir(model.opt) if not name.startswith("_") and not callable(getattr(model.opt, name))]
    now = {name: getattr(model.opt, name) for name in names}
    return {name: value for name, value in now.items() if not np.array_equal(value, getattr(original.opt, name))}


def set_option(model: Any, name: str, value: Any) -> None:
    """Write one physics option: a number, a switch or a vector."""
    present = getattr(model.opt, name)
    setattr(model.opt, name, value if isinstance(present, np.ndarray) else type(present)(value))


def arrays(struct: Any) -> dict[str, np.ndarray]:
    """The writable arrays of a MuJoCo structure that hold something."""
    named = {name: getattr(struct, name) for name in dir(struct) if not name.startswith("_")}
    return {
        name: value
        for name, value in named.items()
        if isinstance(value, np.ndarray) and value.size and value.flags.writeable
    }


def address(array: np.ndarray) -> int:
    """Where an array begins in memory."""
    return array.__array_interface__["data"][0]
