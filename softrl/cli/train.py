"""`softrl train`: a new run, configured by a recipe and by flags for every field of its parts."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from softrl.cli.flags import Words, check, choose, count_operands, split, switches
from softrl.cli.outcome import tell
from softrl.cli.output import answer, leave_out_cautions
from softrl.cli.page import page, sections, usage
from softrl.cli.settings import check_parts, with_file, written
from softrl.errors import Caution
from softrl.run.fields import flat, override, read, settings
from softrl.run.kinds import show
from softrl.run.paths import expanded

if TYPE_CHECKING:
    from softrl.run.config import Run

NAME = "env.name"


@dataclass(frozen=True)
class Options:
    """What belongs to this command and not to the run."""

    recipe: str = "sac"
    """The algorithm: a recipe, or several joined by +, such as sac+tiny; module:name is one of your own."""
    run: str | None = None
    """Folder of the run; none makes runs/ENV/RECIPE/seedS, numbered where that exists. That of a run that was killed
    before its first checkpoint is taken over."""
    init: str | None = None
    """Another run, or a checkpoint of it such as RUN/checkpoints/best, whose weights to start from, and whose policy
    explores in place of the random actions before learning starts; optimisers begin anew, and settings are those of
    this run."""
    config: str | None = None
    """A TOML file of flags without their dashes, or the config.json of a run; what is typed wins."""
    print: bool = False
    """Print the whole configuration, as such a file, and do not train."""
    quiet: bool = False
    """Print only the run's folder, at the end."""


PLACED = ("recipe", "env.name")
"""Fields of a run that are said in a place of their own: --recipe above, and the first word."""

NAMED = 5
"""Recipes that a sentence names at most."""


def main(words: Sequence[str]) -> None:
    """Train; raises UserError."""
    found = with_file(split(words, switches(Options()) | {"help"}))
    if "help" in found.switches:
        answer(help_page(found))
        return
    count_operands(found.operands, 1, 1, usage("train"))
    options, values = understood(found)
    if options.quiet:
        leave_out_cautions()
    warn_of_another_task(found, values)
    if options.print:
        answer(written(override(configured(found), values)))
        return

    from softrl import api

    result = api.train(
        found.operands[0],
        recipe=options.recipe,
        run=options.run,
        init=options.init,
        quiet=options.quiet,
        command=["softrl", "train", *words],
        **values,
    )
    tell(result, options.quiet)


def understood(found: Words) -> tuple[Options, dict[str, Any]]:
    """The options of the command, and the values of the run's fields, dotted path -> value; raises UserError."""
    run, own = configured(found), flat(Options())
    if "recipe" in found.filed:
        check_parts(expanded(found.file), configured(found._replace(operands=[found.task] * bool(found.task))))
    known = [path for path in (*own, *settings(run)) if path != NAME]
    check(found, known, flat(run).keys() - {"env", NAME}, recipes_with)
    texts = {path: text for path, text in found.flags.items() if path not in own}
    return choose(Options(), found), read(run, texts)


def warn_of_another_task(found: Words, values: Mapping[str, Any]) -> None:
    """Say where a file of settings has what its recipe sets for the task that it names, and not for the one typed."""
    if found.task in ("", *found.operands):
        return
    here, there = flat(configured(found)), flat(configured(found._replace(operands=[found.task])))
    kept = [path for path in found.filed if path in values and here[path] != there[path] == show(values[path])]
    if kept:
        listed = ", ".join(f"{path} {show(values[path])} ({show(here[path])})" for path in kept)
        warnings.warn(
            f"{found.file} was written for {found.task} and sets what the recipe has for it, in brackets what it has "
            f"for {found.operands[0]}: {listed}",
            Caution,
            stacklevel=2,
        )


def recipes_with(path: str) -> str:
    """The end of a sentence about a flag that is not here, where there are recipes whose parts have such a field."""
    from softrl.recipes import OURS
    from softrl.recipes.recipe import stack
    from softrl.run.config import Run

    alone = [recipe for recipe in OURS.values() if not recipe.on] if "." in path and path != NAME else []
    names = [recipe.name for recipe in alone if path in flat(stack([recipe], Run()))]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f", which belongs to a part of other recipes: {', '.join(names[:NAMED])}{more}" if names else ""


def configured(found: Words) -> "Run":
    """The run that the environment and the recipe of a command line give, before its other flags."""
    from softrl.data.names import canonical
    from softrl.recipes import apply
    from softrl.run.config import Run

    name = {"env.name": canonical(found.operands[0])} if found.operands else {}
    return apply(found.flags.get("recipe") or "sac", override(Run(), name))


def help_page(found: Words) -> str:
    """The page with the flags of exactly those parts that the recipe has."""
    return page("train", [*sections(Options(), "options"), *sections(configured(found), "run", hidden=PLACED)])
