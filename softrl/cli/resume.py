"""`softrl resume`: go on with a run exactly where its newest checkpoint stands."""

from collections.abc import Sequence
from dataclasses import dataclass

from softrl.cli.options import parse
from softrl.cli.outcome import tell


@dataclass(frozen=True)
class Options:
    """Flags of the command."""

    steps: int | None = None
    """Environment steps to go on to; none are those that the run was started with."""
    minutes: float | None = None
    """Minutes on the clock of the whole run to go on to; none are those that it was started with."""
    quiet: bool = False
    """Print only the run's folder, at the end."""


def main(words: Sequence[str]) -> None:
    """Resume; raises UserError."""
    if parsed := parse("resume", words, Options(), 1, 1):
        (run,), options = parsed
        from softrl import api

        result = api.resume(run, steps=options.steps, minutes=options.minutes, quiet=options.quiet)
        tell(result, options.quiet)
