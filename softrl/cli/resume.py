"""`softrl resume`: go on with a run exactly where its newest checkpoint stands, or with other values from there on."""

from collections.abc import Sequence
from dataclasses import dataclass

from softrl.cli.flags import Words, check, choose, count_operands, split, switches
from softrl.cli.outcome import tell
from softrl.cli.output import answer, leave_out_cautions
from softrl.cli.page import page, sections, usage
from softrl.run.fields import fields, flat, read, settings
from softrl.run.paths import expanded


@dataclass(frozen=True)
class Options:
    """Flags of the command."""

    steps: int | None = None
    """Environment steps of the whole run; none keeps those that it was started with."""
    minutes: float | None = None
    """Minutes on the clock of the whole run, those so far included; none keeps what it was started with."""
    env: str | None = None
    """Another name for an environment that came from Python or cannot be found by its name; the run remembers it."""
    quiet: bool = False
    """Print only the run's folder, at the end."""


def main(words: Sequence[str]) -> None:
    """Resume; raises UserError."""
    found = split(words, switches(Options()) | {"help"})
    if "help" in found.switches:
        answer(help_page(found))
        return
    count_operands(found.operands, 1, 1, usage("resume"))

    from softrl import api
    from softrl.run.change import NAME

    [run], own = found.operands, flat(Options())
    configured = api.configuration(expanded(run))
    known = [path for path in (*own, *settings(configured)) if path != NAME]
    check(found, known, flat(configured).keys() - {"checkpoint", NAME})
    options = choose(Options(), found)
    values = read(configured, {path: text for path, text in found.flags.items() if path not in own})
    if options.quiet:
        leave_out_cautions()
    result = api.resume(
        run,
        steps=options.steps,
        minutes=options.minutes,
        quiet=options.quiet,
        env=options.env,
        command=["softrl", "resume", *words],
        **values,
    )
    tell(result, options.quiet)


def help_page(found: Words) -> str:
    """The page with the options, and of a run that is given the flags of what can change."""
    own = sections(Options(), "options")
    if not found.operands:
        return page("resume", own)

    from softrl import api
    from softrl.run.change import EXTENDED, can_change

    run = api.configuration(expanded(found.operands[0]))
    hidden = {field.path for field in fields(run) if field.path in EXTENDED or not can_change(field.path)}
    return page("resume", [*own, *sections(run, "run, from here on", hidden, "now")])
