"""Modules that a configuration names: none of them may come with a run, whose configuration may be a stranger's."""

import json
import os
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from softrl.errors import UserError


def check_modules(config: Any, run: Path) -> None:
    """Raise UserError where the configuration of a run names a module that lies with runs; no module is imported.

    With them lies what is in a run folder, and in a folder of sys.path all that leads to this run: what was unpacked
    with it may be there. Modules beside that, and installed packages, are a person's own.
    """
    for text in texts(config):
        for module in modules(text):
            for place in places(module):
                if related(place, run) or any(holds_run(folder) for folder in (place, *place.parents)):
                    raise UserError(
                        f"{run} names the module '{module}', which lies with runs, in {place}, and no run may bring "
                        "code: keep modules of your own in another folder than runs"
                    )


def texts(config: Any) -> Iterator[str]:
    """All texts in nested dicts and lists."""
    match config:
        case str():
            yield config
        case dict() | list():
            for value in config.values() if isinstance(config, dict) else config:
                yield from texts(value)


def modules(text: str) -> set[str]:
    """What may be taken for a module in a text like `module:name`, or several of them joined by `+`."""
    pieces = [piece for piece in (text, *text.split("+")) if ":" in piece]
    return {piece.partition(":")[0] for piece in pieces} | {piece.rpartition(":")[0] for piece in pieces}


def places(module: str) -> Iterator[Path]:
    """The files and folders through which the import of a module leads, outermost first."""
    path: Sequence[str] = sys.path
    for name in accumulate(module.split("."), "{}.{}".format):
        file, path = located(name, path)
        yield from map(Path, (*file, *path))


def located(name: str, path: Sequence[str]) -> tuple[list[str], list[str]]:
    """The file of a module in the folders of a path, and the folders in which modules of its own are looked for.

    `importlib.util.find_spec` would import the packages that it is in.
    """
    portions: list[str] = []
    for entry in path:
        finder = pkgutil.get_importer(os.path.abspath(entry))
        spec = finder.find_spec(name) if finder else None
        if spec and spec.loader:
            return [spec.origin] if spec.origin else [], list(spec.submodule_search_locations or [])
        portions += (spec and spec.submodule_search_locations) or []
    return [], portions


def related(place: Path, run: Path) -> bool:
    """Whether a place is in a run's folder, or leads to it; links are followed and not followed."""
    for follow in (os.path.abspath, os.path.realpath):
        there, here = Path(follow(place)), Path(follow(run))
        if there.is_relative_to(here) or here.is_relative_to(there):
            return True
    return False


def holds_run(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    try:
        return bool({"format", "agent"} <= json.loads((folder / "config.json").read_bytes()).keys())
    except (OSError, ValueError, AttributeError):
        return False
