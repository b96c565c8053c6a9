"""`softrl bench`: how fast the update, the loop or the environments are here."""

from collections.abc import Sequence
from importlib import import_module

from softrl.cli.options import parse
from softrl.cli.output import answer
from softrl.cli.page import page
from softrl.errors import UserError, nearest

MEASURED = ("update", "loop", "envs")
"""What can be measured, each by a module of `softrl.bench` with `Options` and `report(options) -> lines`."""


def main(words: Sequence[str]) -> None:
    """Measure; raises UserError."""
    if list(words) == ["--help"]:
        answer(page("bench", [f"softrl bench {' | '.join(MEASURED)} --help says more of each; update is the default."]))
        return
    named = bool(words) and not words[0].startswith("--")
    what, rest = (words[0], words[1:]) if named else (MEASURED[0], words)
    if what not in MEASURED:
        raise UserError(f"there is nothing to measure called '{what}'{nearest(what, MEASURED)}")
    module = import_module(f"softrl.bench.{what}")
    about = (module.__doc__ or "").partition(": ")[2].strip()
    if parsed := parse("bench", rest, module.Options(), 0, 0, about[:1].upper() + about[1:]):
        for line in module.report(parsed[1]):
            answer(line)
