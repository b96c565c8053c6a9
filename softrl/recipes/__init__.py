"""Recipes by name: papers as data, stacked with `+`. Configuration only: no tensors are made here."""

import reprlib
from importlib import import_module

from softrl.errors import UserError, import_errors, nearest
from softrl.recipes import actions, classic, critics, modifiers, scale, vision, worlds
from softrl.recipes.recipe import Recipe, Say, say_nothing, stack
from softrl.run.config import Run
from softrl.run.fields import override

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for family in (classic, critics, scale, modifiers, actions, vision, worlds)
    for recipe in family.RECIPES
}
"""Every recipe that --recipe knows; add your own under its name."""

OURS = dict(RECIPES)
"""Those that need no module in front."""


def find(name: str) -> Recipe:
    """The recipe of that name; raises UserError with the nearest name when there is none.

    `module:name` imports the module first, which is to put its recipe into RECIPES.
    """
    module, colon, plain = name.rpartition(":")
    if colon:
        with import_errors(f"recipe '{name}'", module):
            import_module(module)
        if plain in OURS and RECIPES[plain] is not OURS[plain]:
            RECIPES[plain] = OURS[plain]
            raise UserError(f"recipe '{plain}' is softrl's own: give the one in {module} another name")
    if plain not in RECIPES:
        names = [other if other in OURS or not colon else f"{module}:{other}" for other in RECIPES]
        hint = nearest(name, names) or "; softrl recipes lists them"
        raise UserError(f"there is no recipe '{name}'{hint} (one of your own is module:name)")
    return RECIPES[plain]


def apply(names: str, run: Run, say: Say = say_nothing) -> Run:
    """`run` with the recipes in `names`, joined by `+`; values taken over by a later recipe are reported through `say`.

    Raises UserError for an unknown name and for recipes that exclude each other.
    """
    if not isinstance(names, str):
        raise UserError(
            f"recipe is {reprlib.repr(names)}: give names joined by +, as in 'tqc+simba'; `softrl recipes` lists them"
        )
    return override(stack([find(name) for name in names.split("+")], run, say), {"recipe": names})
