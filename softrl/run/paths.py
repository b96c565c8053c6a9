"""Paths and commands as people type them."""

import sys
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """The path with `~` as the home folder: no shell has seen one from a file, from Python or behind `=`."""
    return Path(path).expanduser()


def standing(path: str | Path) -> Path:
    """The same place from wherever: an environment may leave the working folder."""
    return expanded(path).absolute()


def typed() -> list[str]:
    """The command line of this process."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]
