"""`softrl recipes`: what each recipe changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from softrl.cli.options import parse
from softrl.errors import UserError


@dataclass(frozen=True)
class Options:
    """This command has no flags."""


def main(words: Sequence[str]) -> None:
    """List, show or compare; raises UserError."""
    if parsed := parse("recipes", words, Options(), 0, 3):
        match parsed[0]:
            case [] | ["list"]:
                print(listing())
            case ["show", name]:
                print(show(name))
            case ["diff", one, other]:
                print(diff(one, other))
            case _:
                raise UserError(f"write softrl recipes list, show NAME or diff A B, not '{' '.join(words)}'")


def listing() -> str:
    """Every recipe with its paper and its sentence."""
    from softrl.recipes import RECIPES

    return "\n".join(table((recipe.name, recipe.paper, recipe.about) for recipe in RECIPES.values()))


def show(name: str) -> str:
    """A recipe's entries, those that define it starred, and what it changes for some environments."""
    from softrl.recipes import find
    from softrl.run import kinds

    recipe = find(name)
    entries = [(f"{path}{'*' * (path in recipe.defines)}", kinds.show(value)) for path, value in recipe.changes.items()]
    tasks = [
        (f"{path} in {pattern}", kinds.show(value))
        for pattern, changes in recipe.tasks.items()
        for path, value in changes.items()
    ]
    note = ["(* defines the recipe: nothing stacked on it may change it)"] if recipe.defines else []
    return "\n".join((f"{name} ({recipe.paper}): {recipe.about}", *table(entries + tasks, "  "), *note))


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
