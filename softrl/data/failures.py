"""What is said where an environment raises, or returns what it should not: looked into only once something failed."""

import re
import reprlib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium

from softrl.errors import UserError

LIBRARIES = ("softrl", "gymnasium", "numpy")
WRAPPERS = "gymnasium.wrappers"
RETURNS = {"reset": ("observation", "info"), "step": ("observation", "reward", "terminated", "truncated", "info")}
FITTING: dict[str, tuple[Callable[[Any], Any], str]] = {
    "reward": (lambda given: float(0.0 + given), "one number"),
    "terminated": (bool, "one truth value"),
    "truncated": (bool, "one truth value"),
    "info": (lambda given: {**given}, "a dict"),
}
"""What is made of the things that an environment returns, and what they should be."""


def one_line(error: BaseException) -> str:
    """An exception's message on one line, without a full stop."""
    return re.sub(r"\s+", " ", str(error)).strip().rstrip(".")


def place(error: BaseException) -> str:
    """` (file:line)` of the innermost frame that belongs to none of the LIBRARIES; nothing where all of them do."""
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if module(frame).partition(".")[0] not in LIBRARIES:
            found = f" ({Path(frame.f_code.co_filename).name}:{line})"
    return found


def module(frame: Any) -> str:
    """The name of the module that a frame runs in."""
    return str(frame.f_globals.get("__name__", ""))


def failure(env: gymnasium.Env[Any, Any], method: str, error: BaseException, advice: str = "") -> UserError:
    """What went wrong in an environment's method, in one sentence that may end with advice."""
    if isinstance(error, UserError):
        return error
    where, reason, kind = place(error), one_line(error), type(error).__name__
    *_, (last, _) = traceback.walk_tb(error.__traceback__)
    # Gymnasium's wrappers read what the environment has returned by then.
    read = not where and module(last).startswith(WRAPPERS) and isinstance(error, TypeError | ValueError)
    if read and method in RETURNS:
        told = UserError(
            f"the environment {class_name(env)} returned from {method} what Gymnasium cannot read ({kind}: {reason}): "
            f"return {listed(method)}"
        )
    else:
        raised = f"the environment {class_name(env)} raised {kind} in {method}"
        told = UserError((f"{raised}: {reason}" if reason else raised) + where + (f"; {advice}" if advice else ""))
    told.add_note("".join(traceback.format_exception(error)))  # which survives the way out of a worker process
    return told


def misreturned(env: gymnasium.Env[Any, Any], method: str, outcome: Any) -> UserError:
    """What is wrong with what an environment's method has returned, which could not be read."""
    names = RETURNS[method]
    if not isinstance(outcome, tuple) or len(outcome) != len(names):
        given = f"{len(outcome)} values" if isinstance(outcome, tuple) else f"a {type(outcome).__name__}"
        return UserError(f"the environment {class_name(env)} returned {given} from {method}: return {listed(method)}")
    for name, value in zip(names, outcome, strict=True):
        if name in FITTING:
            read, advice = FITTING[name]
            try:
                read(value)
            except Exception:
                shown = " ".join(reprlib.repr(value).split())
                return UserError(
                    f"the {name} that {class_name(env)} returned from {method} is {shown}: let it be {advice}"
                )
    return UserError(f"what {class_name(env)} returned from {method} cannot be read: return {listed(method)}")


def listed(method: str) -> str:
    """What a method returns."""
    return f"({', '.join(RETURNS[method])})"


def class_name(env: gymnasium.Env[Any, Any]) -> str:
    """An environment's class."""
    return type(env.unwrapped).__name__
