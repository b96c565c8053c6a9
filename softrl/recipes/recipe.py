"""A recipe: a paper's settings as data, dotted path -> value, and how recipes are stacked on a run."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from softrl.data.names import TASKS
from softrl.errors import UserError
from softrl.run.config import Run
from softrl.run.fields import NoFieldError, difference, fields, flat, get, override

Say = Callable[[str], None]
CONTROL = "tasks of DeepMind Control from states"
"""In the place of a pattern: any of their names, which no pattern tells from those of other environments.

From pixels action repeat and critics are those of the recipes for pixels.
"""

BOUNDS = ("log_std_bound", "log_std_min", "log_std_max")
NETWORK = {path: path for path in ("agent.actor.trunk", *(f"agent.actor.{name}" for name in BOUNDS))}
"""What a policy of another kind keeps of the one before it."""


class OrderError(UserError):
    """A recipe lacks what another one sets, which it may have where it comes first."""


def say_nothing(sentence: str) -> None:
    """Drop a report."""


@dataclass(frozen=True)
class Recipe:
    """What one paper changes of the defaults."""

    name: str
    """What is typed after --recipe."""
    about: str
    """One sentence on the idea."""
    arxiv: str | None
    """The paper; none for a modifier such as `tiny`."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Dotted path -> value or part; a path with `*` stands for every field that it matches."""
    defines: tuple[str, ...] = ()
    """Those paths without which it would be another algorithm: no recipe stacked on this one may change them.

    A part's path stands for its kind; a value inside it that must stay has a path of its own.
    """
    keeps: Mapping[str, str] = field(default_factory=dict)
    """Paths inside parts that it replaces -> where in the new part recipes before it decide on them, if it has that."""
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Further changes for environments whose name matches a pattern, or for CONTROL; the first that matches holds.

    They give way to what defines a recipe before this one in a stack.
    """
    on: str | None = None
    """A recipe with the parts whose fields it changes, for one that is stacked on such recipes only."""

    @property
    def complete_name(self) -> str:
        """What can be trained: the recipe by itself, or on the one that has the parts whose fields it changes."""
        return f"{self.on}+{self.name}" if self.on else self.name

    @property
    def paper(self) -> str:
        """Where it was published."""
        return f"arXiv {self.arxiv}" if self.arxiv else "modifier"

    def entries(self, run: Run, settled: Container[str] = (), pixels: bool = False) -> dict[str, Any]:
        """Dotted path -> value for the environment and the parts of `run`; a task leaves `settled` paths alone.

        `pixels` says whether the stack that the recipe is in learns from pixels.
        """
        matching = (more for name, more in self.tasks.items() if belongs(run.env.name, name, pixels))
        task: Mapping[str, Any] = next(matching, {})
        changes = {**self.changes, **{path: value for path, value in task.items() if path not in settled}}
        patterns = {path: value for path, value in changes.items() if "*" in path}
        exact = {path: value for path, value in changes.items() if path not in patterns}
        paths = [field.path for field in fields(override(run, exact))] if patterns else []
        matched = {path: value for pattern, value in patterns.items() for path in paths if fnmatchcase(path, pattern)}
        return matched | exact

    def kept(self, run: Run) -> dict[str, Any]:
        """What stays of the parts of `run` that this recipe replaces, dotted path -> value."""
        exact = {path: value for path, value in self.changes.items() if "*" not in path}
        before, after = (flat(run), flat(override(run, exact))) if self.keeps else ({}, {})
        return {new: get(run, old) for old, new in self.keeps.items() if old in before and new in after}


def within(path: str, parts: Iterable[str]) -> bool:
    """Whether a dotted path is one of these, or leads into one of them."""
    return any(f"{path}.".startswith(f"{part}.") for part in parts)


def belongs(env: str, pattern: str, pixels: bool) -> bool:
    """Whether an environment's name is one of those that a key of `Recipe.tasks` means."""
    name = env.rpartition(":")[2]  # without the module that registers it
    if pattern == CONTROL:
        return name in TASKS and not pixels
    return fnmatchcase(env, pattern) or fnmatchcase(name, pattern)


def from_pixels(recipes: Iterable[Recipe], run: Run) -> bool:
    """Whether a stack of recipes on `run` learns from pixels, wherever in it the recipe stands that says so."""
    said = [recipe.changes["env.pixels"] for recipe in recipes if "env.pixels" in recipe.changes]
    return [run.env.pixels, *said][-1] is not None


def stack(recipes: Sequence[Recipe], run: Run, say: Say = say_nothing) -> Run:
    """`run` with the values of the recipes, one after the other.

    A recipe that changes what defines an earlier one is refused with a UserError; every other value that it takes over
    from an earlier one is reported through `say`.
    """
    try:
        return stacked(recipes, run, say)
    except OrderError as error:
        if stackable(list(reversed(recipes)), run):
            raise UserError(f"{error}, or try them in the other order") from None
        raise


def stackable(recipes: Sequence[Recipe], run: Run) -> bool:
    """Whether recipes can be stacked in this order."""
    try:
        stacked(recipes, run, say_nothing)
    except UserError:
        return False
    return True


def stacked(recipes: Sequence[Recipe], run: Run, say: Say) -> Run:
    """What `stack` answers, which also looks at the other order where this one does not fit."""
    owners: dict[str, str] = {}  # who set each value last
    defined: dict[str, str] = {}
    pixels = from_pixels(recipes, run)
    for recipe in recipes:
        try:
            entries = recipe.entries(run, defined, pixels)
            kept = recipe.kept(run)
            changed = override(run, kept | entries)
        except UserError as error:
            raise unfit(recipe, error, owners) from None
        for path, old, new in difference(run, changed):
            if path in defined:
                raise UserError(
                    f"recipes '{defined[path]}' and '{recipe.name}' cannot be stacked, because {path} is {old} in the "
                    f"first and {new} in the second: use one of them"
                )
            if path in owners:
                say(f"recipe '{recipe.name}' changes {path} from {old}, set by '{owners[path]}', to {new}")
        values = [path for path in flat(changed) if within(path, entries) and not within(path, kept)]
        owners |= dict.fromkeys(values, recipe.name)
        defined |= dict.fromkeys(recipe.defines, recipe.name)
        run = changed
    return run


def unfit(recipe: Recipe, error: UserError, owners: Mapping[str, str]) -> UserError:
    """What is said of a recipe that does not fit on those before it, which set the values in `owners`."""
    name = f"recipe '{recipe.name}'"
    if recipe.on:
        return UserError(
            f"{name} changes parts that are not there: stack it on a recipe that has them, such as "
            f"{recipe.complete_name}"
        )
    if isinstance(error, NoFieldError) and error.part in owners:
        other = owners[error.part]
        return OrderError(
            f"recipes '{other}' and '{recipe.name}' cannot be stacked, because {error.part} of the first has no "
            f"{error.name}, which the second sets: use one of them"
        )
    where = "stacked on the ones before it" if owners else "used by itself"
    return UserError(f"{name} cannot be {where}: {error}")
