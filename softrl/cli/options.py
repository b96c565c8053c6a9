"""How a command with a few options of its own reads its words."""

from collections.abc import Sequence
from typing import TypeVar

from softrl.cli.flags import check, choose, count_operands, split, switches
from softrl.cli.output import answer
from softrl.cli.page import page, sections, usage
from softrl.run.fields import fields

Options = TypeVar("Options")


def parse(
    name: str, words: Sequence[str], options: Options, least: int, most: float, about: str = ""
) -> tuple[list[str], Options] | None:
    """The operands and options of command `name`; None when its help page was asked for, and printed.

    `options` is a dataclass whose fields are the flags; `about` stands on its page instead of the command's. Raises
    UserError for words that make no sense.
    """
    found = split(words, switches(options) | {"help"})
    if "help" in found.switches:
        answer(page(name, sections(options, "options"), about))
        return None
    check(found, [field.path for field in fields(options)])
    count_operands(found.operands, least, most, usage(name))
    return found.operands, choose(options, found)
