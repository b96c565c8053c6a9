"""Help pages: fields with their kinds, defaults and sentences."""

import shutil
import textwrap
from collections.abc import Collection, Iterable
from typing import Any

from softrl.cli.commands import COMMANDS
from softrl.run.fields import Field, fields, get
from softrl.run.kinds import describe, parts, show

ALWAYS = "always:\n  --help\n        This page.\n  --debug\n        Show where in the code a mistake was noticed."


def usage(name: str) -> str:
    """How a command is called."""
    return f"softrl {name} {COMMANDS[name].usage}".strip()


def page(name: str, sections: Iterable[str]) -> str:
    """The help page of a command."""
    return "\n\n".join((f"usage: {usage(name)}", COMMANDS[name].about, *sections, ALWAYS))


def sections(config: Any, title: str, hidden: Collection[str] = ()) -> list[str]:
    """One section for each part of a configuration that has values to set, the first under `title`."""
    by_part: dict[str, list[Field]] = {}
    for field in fields(config):
        if field.path not in hidden and not parts(field.kind):
            by_part.setdefault(field.path.rpartition(".")[0], []).append(field)
    return ["\n".join((heading(config, part) or title, *map(flag, listed))) for part, listed in by_part.items()]


def heading(config: Any, path: str) -> str:
    """The path of a part, its class and the first line of its docstring; nothing for the whole."""
    if not path:
        return ""
    part = type(get(config, path))
    return f"{path} ({part.__name__}): {(part.__doc__ or '').splitlines()[0].rstrip('.')}"


def flag(field: Field) -> str:
    """One flag: what it accepts, its default, its sentence."""
    accepts = "" if field.kind is bool else f"  ({describe(field.kind)}; default {show(field.value)})"
    return f"  --{field.path}{accepts}\n{fill(field.help, ' ' * 8)}"


def fill(text: str, indent: str) -> str:
    """Text as wide as the terminal, 100 columns at most."""
    width = min(shutil.get_terminal_size().columns, 100)
    return textwrap.fill(" ".join(text.split()), width, initial_indent=indent, subsequent_indent=indent)
