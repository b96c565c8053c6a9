"""A recipe: a paper's settings as data, dotted path -> value, and how recipes are stacked on a run."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from softrl.errors import UserError
from softrl.run.config import Run
from softrl.run.fields import difference, fields, override

Say = Callable[[str], None]


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
    """Those paths without which it would be another algorithm: no recipe stacked on this one may change them."""
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Further changes for environments whose name matches a pattern; the first that matches holds."""

    @property
    def paper(self) -> str:
        """Where it was published."""
        return f"arXiv {self.arxiv}" if self.arxiv else "modifier"

    def entries(self, run: Run) -> dict[str, Any]:
        """Dotted path -> value for the environment and the parts of `run`."""
        task = next((more for pattern, more in self.tasks.items() if fnmatchcase(run.env.name, pattern)), {})
        changes = {**self.changes, **task}
        exact = {path: value for path, value in changes.items() if "*" not in path}
        paths = [field.path for field in fields(override(run, exact))]
        matched = {
            path: value
            for pattern, value in changes.items()
            if "*" in pattern
            for path in paths
            if fnmatchcase(path, pattern)
        }
        return matched | exact


def stack(recipes: Iterable[Recipe], run: Run, say: Say = say_nothing) -> Run:
    """`run` with the values of the recipes, one after the other.

    A recipe that changes what defines an earlier one is refused with a UserError; every other value that it takes over
    from an earlier one is reported through `say`.
    """
    owners: dict[str, str] = {}
    defined: dict[str, str] = {}
    for recipe in recipes:
        try:
            entries = recipe.entries(run)
            changed = override(run, entries)
        except UserError as error:
            if not owners:
                raise
            raise UserError(f"recipe '{recipe.name}' cannot be stacked on the ones before it: {error}") from None
        for path, old, new in difference(run, changed):
            if path in defined:
                raise UserError(
                    f"recipes '{defined[path]}' and '{recipe.name}' cannot be stacked, because {path} is {old} in the "
                    f"first and {new} in the second: use one of them"
                )
            owner = next((name for owned, name in owners.items() if f"{path}.".startswith(f"{owned}.")), None)
            if owner:
                say(f"recipe '{recipe.name}' changes {path} from {old}, set by '{owner}', to {new}")
        owners |= dict.fromkeys(entries, recipe.name)
        defined |= dict.fromkeys(recipe.defines, recipe.name)
        run = changed
    return run
