"""Words of the command line -> operands and flags, over the same fields that recipes and the Python API set."""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from softrl.errors import UserError
from softrl.run.fields import fields, override, read, suggestion

Options = TypeVar("Options")


class Words(NamedTuple):
    """A command line, split."""

    operands: list[str]
    flags: dict[str, str]  # name without dashes -> text, empty where a value is missing
    switches: set[str]  # names of the flags that were given and take no value
    file: str = ""  # that of --config
    filed: Mapping[str, str] = {}  # flags that come from there alone
    task: str = ""  # the environment that it names


def split(words: Sequence[str], switches: Collection[str]) -> Words:
    """Operands, flags (`--f value`, `--f=value`) and switches; the last of a repeated flag counts. Raises UserError."""
    found, rest = Words([], {}, set()), deque(words)
    while rest:
        word = rest.popleft()
        name, equals, value = word.removeprefix("--").partition("=")
        if word.startswith("-") and not word.startswith("--"):
            raise UserError(f"there is no flag '{word}': flags have names in full after two dashes, --help lists them")
        if not word.startswith("--"):
            found.operands.append(word)
        elif name not in switches:
            # A single dash may begin a negative number; two begin the next flag.
            missing = not rest or rest[0].startswith("--")
            found.flags[name] = value if equals or missing else rest.popleft()
        elif equals:
            raise UserError(f"--{name} takes no value: leave out '={value}'")
        else:
            found.switches.add(name)
    return found


def switches(options: Any) -> set[str]:
    """The names of those options that are true or false, and so take no value."""
    return {field.path for field in fields(options) if field.kind is bool}


def nowhere(name: str) -> str:
    """What is said of a flag that no other command line knows either."""
    return ""


def check(
    found: Words, known: Collection[str], parts: Collection[str] = (), elsewhere: Callable[[str], str] = nowhere
) -> None:
    """Raise UserError for a flag that is neither known nor the path of one of `parts`, or that lacks its value.

    It says what `elsewhere` says of where such a flag is known, or else the nearest one that is known here. Parts are
    nobody's meaning: of them `read` says what they are.
    """
    for name, text in found.flags.items():
        where = f"{found.file}: " if name in found.filed else ""
        if name not in known and name not in parts:
            hint = elsewhere(name) or suggestion(name, known, "--") or "; --help lists them"
            raise UserError(f"{where}there is no flag '--{name}'{hint}")
        if not text:
            raise UserError(f"{where}--{name} needs a value: write --{name} VALUE")


def choose(options: Options, found: Words) -> Options:
    """Options with the values of the flags and switches that were found for them; raises UserError."""
    own = {field.path for field in fields(options)}
    texts = {name: text for name, text in found.flags.items() if name in own}
    return override(options, read(options, texts) | dict.fromkeys(found.switches & own, True))


def count_operands(given: Sequence[str], least: int, most: float, usage: str) -> None:
    """Raise UserError, with how the command is called, when words are missing or left over."""
    if len(given) < least:
        raise UserError(f"a word is missing; write {usage}")
    if len(given) > most:
        raise UserError(f"'{given[int(most)]}' is a word too many; write {usage}")
