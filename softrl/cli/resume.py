"""`softrl resume`: go on with a run exactly where its newest checkpoint stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from softrl.cli.options import parse
from softrl.cli.outcome import tell
from softrl.errors import UserError


@dataclass(frozen=True)
class Options:
    """Flags of the command."""

    steps: int | None = None
    """Environment steps to go on to; none are those that the run was started with."""
    minutes: float | None = None
    """Minutes on the clock of the whole run to go on to; none are those that it was started with."""
    env: str | None = None
    """Another name for an environment that came from Python or cannot be found by its name; the run remembers it."""
    quiet: bool = False
    """Print only the run's folder, at the end."""


def main(words: Sequence[str]) -> None:
    """Resume; raises UserError."""
    if parsed := parse("resume", words, Options(), 1, 1):
        (run,), options = parsed
        from softrl import api

        if options.env is not None:
            check_env(run, options.env)
        result = api.resume(run, steps=options.steps, minutes=options.minutes, quiet=options.quiet, env=options.env)
        tell(result, options.quiet)


def check_env(run: str, env: str) -> None:
    """Raise UserError for another environment than a run's own where that is found by its name."""
    from softrl.api import configuration
    from softrl.data.names import canonical
    from softrl.data.origin import findable

    name = configuration(Path(run)).env.name
    if findable(name) and canonical(env) != name:
        raise UserError(
            f"{run} goes on in its own environment, {name}: to learn in {env} from its weights, write "
            f"softrl train {env} --init {run}"
        )
