"""Paths and commands as people type them."""

import sys
from pathlib import Path

from softrl.errors import UserError


def expanded(path: str | Path) -> Path:
    """The path with `~` as the home folder: no shell has seen one from a file, from Python or behind `=`.

    Raises UserError for what is no path.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"'{path}' is in no home folder that is known here ({error}): write it out") from error
    except TypeError:
        raise UserError(f"a {type(path).__name__} is no path: give that of a folder or file as text") from None


def standing(path: str | Path) -> Path:
    """The same place from wherever: an environment may leave the working folder."""
    return expanded(path).absolute()


def typed() -> list[str]:
    """The command line of this process."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]
