"""What tells runs apart in a figure: fields of their configurations, or their folders."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from softrl.plots.load import Run, Settings


def recipe_of(run: Run) -> str:
    """The recipe, with the action repeat where there is one."""
    return run.recipe if run.repeat == 1 else f"{run.recipe}, repeat {run.repeat}"


def differences(runs: Sequence[Run]) -> list[str]:
    """For each run the fields that differ among the runs of its recipe on one task, as `members 3, trunk MLP`."""
    tasks: defaultdict[tuple[str, str], list[Settings]] = defaultdict(list)
    for run in runs:
        tasks[run.recipe, run.env].append(run.settings)
    paths: defaultdict[str, list[str]] = defaultdict(list)
    for (recipe, _), settings in tasks.items():  # one by one, as a recipe may set a field by the task
        paths[recipe] += telling(settings)
    words = {recipe: shortest(paths[recipe]) for recipe in paths}
    return [
        ", ".join(f"{word} {run.settings[path]}" for path, word in words[run.recipe].items() if path in run.settings)
        for run in runs
    ]


def telling(settings: Sequence[Settings]) -> list[str]:
    """Paths with several values, among configurations whose parts around the field are of one kind.

    What lies in parts of different kinds is told by the kinds; a field that is missing in a part that has it elsewhere
    comes from another version of softrl, and tells nothing.
    """
    found = []
    for path in dict.fromkeys(path for each in settings for path in each):
        values: defaultdict[tuple[str | None, ...], set[str]] = defaultdict(set)
        for each in settings:
            if path in each:
                values[tuple(each.get(part) for part in around(path))].add(each[path])
        if any(len(several) > 1 for several in values.values()):
            found.append(path)
    return found


def around(path: str) -> list[str]:
    """The parts that a field lies in: `a.b.c` -> `a`, `a.b`."""
    names = path.split(".")
    return [".".join(names[:depth]) for depth in range(1, len(names))]


def shortest(paths: Iterable[str]) -> dict[str, str]:
    """The end of each path, of as few names as tell it from the others."""
    names = {path: path.split(".") for path in paths}

    def unique(path: str, length: int) -> bool:
        return sum(other[-length:] == names[path][-length:] for other in names.values()) == 1

    lengths = {path: next(n for n in range(1, len(names[path]) + 1) if unique(path, n)) for path in names}
    return {path: ".".join(names[path][-length:]) for path, length in lengths.items()}


def folders(runs: Sequence[Run]) -> list[str]:
    """The end of each run's folder, of as few names as tell it from the others on its environment."""
    parts = [run.path.resolve().parts for run in runs]
    depth = max(len(each) for each in parts)
    for length in range(1, depth + 1):
        ends = [each[-length:] for each in parts]
        if len({(run.env, end) for run, end in zip(runs, ends, strict=True)}) == len(runs):
            break
    return ["/".join(end) for end in ends]
