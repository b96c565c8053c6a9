"""`softrl recipes`: what each recipe changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from softrl.cli.options import parse
from softrl.cli.output import answer
from softrl.errors import UserError

if TYPE_CHECKING:
    from softrl.recipes.recipe import Recipe


@dataclass(frozen=True)
class Options:
    """This command has no flags."""


def main(words: Sequence[str]) -> None:
    """List, show or compare; raises UserError."""
    if parsed := parse("recipes", words, Options(), 0, 3):
        match parsed[0]:
            case [] | ["list"]:
                answer(listing())
            case ["show", name]:
                answer(show(name))
            case ["diff", one, other]:
                answer(diff(one, other))
            case _:
                raise UserError(f"write softrl recipes list, show NAME or diff A B, not '{' '.join(words)}'")


def listing() -> str:
    """Every recipe with its paper and its sentence."""
    from softrl.recipes import RECIPES

    return "\n".join(table((recipe.name, recipe.paper, recipe.about) for recipe in RECIPES.values()))


def show(names: str) -> str:
    """A recipe's entries, or what a stack of them changes; those that define it starred, and those by environment."""
    from softrl.recipes import apply, find
    from softrl.run.config import Run
    from softrl.run.fields import ABSENT, difference, get
    from softrl.run.kinds import show as typed

    recipes = [find(name) for name in names.split("+")]
    run = apply(names if len(recipes) > 1 else recipes[0].complete_name, Run())
    differing = difference(Run(), run)
    stacked = {path: new for path, _, new in differing if path != "recipe" and new != ABSENT}
    values = stacked if len(recipes) > 1 else {path: typed(value) for path, value in recipes[0].changes.items()}
    defining = dict.fromkeys(path for recipe in recipes for path in recipe.defines)
    values |= {path: typed(get(run, path)) for path in defining if path not in values}
    entries = [(f"{path}{'*' * (path in defining)}", value) for path, value in values.items()]
    note = ["(* defines the recipe: nothing stacked on it may put another part or value there)"] if defining else []
    heads = [f"{recipe.name} ({recipe.paper}): {recipe.about}" for recipe in recipes]
    return "\n".join((*heads, *table([*entries, *by_task(recipes)], "  "), *note))


def by_task(recipes: Iterable["Recipe"]) -> list[tuple[str, str]]:
    """What recipes change for some environments."""
    from softrl.run.kinds import show as typed

    return [
        (f"{path} in {pattern}", typed(value))
        for recipe in recipes
        for pattern, changes in recipe.tasks.items()
        for path, value in changes.items()
    ]


def diff(one: str, other: str) -> str:
    """Where two recipes, or stacks of them, differ."""
    from softrl.recipes import apply
    from softrl.run.config import Run
    from softrl.run.fields import difference

    rows = [row for row in difference(apply(one, Run()), apply(other, Run())) if row[0] != "recipe"]
    return "\n".join(table([("", one, other), *rows]))


def table(rows: Iterable[tuple[str, ...]], indent: str = "") -> list[str]:
    """Rows as lines with aligned columns."""
    filled = list(rows)
    widths = [max(map(len, column)) for column in zip(*filled, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in filled)
    return [indent + line.rstrip() for line in lines]
