"""Parts of other packages: taken where they can do what softrl's own parts can, and found again by module and class."""

import sys
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from softrl.errors import UserError, import_errors
from softrl.run.kinds import describe, parts

MAIN = "__main__"
"""What Python calls the module of the script that is running, whatever its file is called."""


def belongs(kind: Any, value: Any) -> bool:
    """Whether a value is a part from elsewhere that can stand in a field of this kind.

    It must have the methods and properties that all parts of the kind have. Raises ValueError where it lacks some.
    """
    if not is_dataclass(value) or isinstance(value, type) or ours(type(value)):
        return False
    expected = abilities(kind)
    if not expected:
        return False
    if lacking := sorted(expected - set(dir(value))):
        name = type(value).__name__
        raise ValueError(f"takes {describe(kind)}, or a part like them: {name} has no {', '.join(lacking)}")
    return True


def abilities(kind: Any) -> set[str]:
    """The public methods and properties that all parts of a kind have; what is a setting of each is left out."""
    known = parts(kind).values()
    if not known:
        return set()
    own: list[set[str]] = [attributes(part) for part in known]
    given: list[set[str]] = [settings(part) for part in known]
    common = own[0].intersection(*own) - given[0].intersection(*given)
    return {name for name in common if not name.startswith("_") or name == "__call__"}


def attributes(part: type) -> set[str]:
    """What objects of a class have."""
    return {*dir(part)} | settings(part)


def settings(part: Any) -> set[str]:
    """What is given to a class."""
    return {field.name for field in fields(part)}


def ours(part: type) -> bool:
    """Whether a class is one of this package."""
    return part.__module__.partition(".")[0] == __package__.partition(".")[0]


def tag(kind: Any, part: type) -> str:
    """What a configuration on disk calls a class: `Name` where its field knows it, else `module:Name`."""
    known = kind is None or parts(kind).get(part.__name__) is part
    home = script() if part.__module__ == MAIN else part.__module__
    return part.__name__ if known else f"{home}:{part.__qualname__}"


def script() -> str:
    """The name under which the script that is running can be imported; `__main__` for what is typed in."""
    running = vars(sys.modules[MAIN])
    if running.get("__spec__"):  # python -m package.module
        name: str = running["__spec__"].name
        return name
    return Path(running["__file__"]).stem if running.get("__file__") else MAIN


def find(kind: Any, name: str) -> Any:
    """The class with that tag, or None where its field knows none such.

    Raises UserError where its module fails, or where it is no part that can stand in a field of this kind.
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        return parts(kind).get(name)
    advice = "keep its class in a module that lies in the working folder, on PYTHONPATH or in an installed package"
    with import_errors(f"the configuration's part '{name}'", module, advice):
        # The script itself is there already: to import it as well would run it a second time.
        part = getattr(sys.modules[MAIN] if module == script() else import_module(module), attribute)
    expected = abilities(kind)
    if not expected or not isinstance(part, type) or not is_dataclass(part) or not expected <= attributes(part):
        raise UserError(f"the configuration holds '{name}' where {describe(kind)} or a part like them must stand")
    return part
