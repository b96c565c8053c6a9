"""Help pages: fields with their kinds, defaults and sentences."""

import shutil
import textwrap
from collections.abc import Collection, Iterable
from typing import Any

from softrl.cli.commands import COMMANDS
from softrl.run.fields import Field, fields, get
from softrl.run.kinds import describe, parts, show

ALWAYS = "always:\n  --help\n        This page.\n  --debug\n        Show the Python traceback of an error."


def usage(name: str) -> str:
    """How a command is called."""
    return f"softrl {name} {COMMANDS[name].usage}".strip()


def page(name: str, sections: Iterable[str], about: str = "") -> str:
    """The help page of a command, or of what it is about to do."""
    return "\n\n".join((f"usage: {usage(name)}", about or COMMANDS[name].about, *sections, ALWAYS))


def sections(config: Any, title: str, hidden: Collection[str] = (), present: str = "default") -> list[str]:
    """One section for each part of a configuration that has values to set, the first under `title`.

    `present` is what the values are that it has now.
    """
    by_part: dict[str, list[Field]] = {}
    for field in fields(config):
        if field.path not in hidden and not parts(field.kind):
            by_part.setdefault(field.path.rpartition(".")[0], []).append(field)
    listed = {part: [flag(field, present) for field in found] for part, found in by_part.items()}
    return ["\n".join((heading(config, part) or title, *flags)) for part, flags in listed.items()]


def heading(config: Any, path: str) -> str:
    """The path of a part, its class and the first line of its docstring; nothing for the whole."""
    if not path:
        return ""
    part = type(get(config, path))
    return f"{path} ({part.__name__}): {(part.__doc__ or '').splitlines()[0].rstrip('.')}"


def flag(field: Field, present: str) -> str:
    """One flag: what it accepts unless it is a switch, its present value, its sentence."""
    switch = field.kind is bool and "." not in field.path
    accepts = "" if switch else f"  ({describe(field.kind)}; {present} {show(field.value)})"
    return f"  --{field.path}{accepts}\n{fill(field.help, ' ' * 8)}"


def fill(text: str, indent: str) -> str:
    """Text as wide as the terminal, 100 columns at most."""
    width = min(shutil.get_terminal_size().columns, 100)
    return textwrap.fill(" ".join(text.split()), width, initial_indent=indent, subsequent_indent=indent)
