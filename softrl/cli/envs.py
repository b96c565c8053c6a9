"""`softrl envs`: which environments there are, and what they look like to an agent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from softrl.cli.options import parse
from softrl.cli.output import answer
from softrl.errors import UserError


@dataclass(frozen=True)
class Options:
    """This command has no flags."""


def main(words: Sequence[str]) -> None:
    """List or show; raises UserError."""
    if parsed := parse("envs", words, Options(), 0, 2):
        match parsed[0]:
            case [] | ["list"]:
                answer(listing("*"))
            case ["list", pattern]:
                answer(listing(pattern))
            case ["show", name]:
                answer(shown(name))
            case _:
                raise UserError(f"write softrl envs list [PATTERN] or softrl envs show ENV, not '{' '.join(words)}'")


def listing(pattern: str) -> str:
    """The names that match a pattern, one a line; raises UserError where there is none."""
    from softrl.data.names import known

    names = known(pattern)
    if not names:
        raise UserError(f"no environment matches '{pattern}': softrl envs list names them all")
    return "\n".join(names)


def shown(name: str) -> str:
    """Spaces, time limit and aliases of an environment."""
    from softrl.data.envs import describe

    return "\n".join(f"{key.replace('_', ' '):<12} {readable(value)}" for key, value in describe(name).items())


def readable(value: Any) -> str:
    """A value of a description in words."""
    match value:
        case dict():
            return ", ".join(f"{key} {list(shape)}" for key, shape in value.items())
        case list():
            return ", ".join(map(str, value)) or "none"
        case None:
            return "none"
        case _:
            return str(value)
