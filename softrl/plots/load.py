"""Run folders -> tables: config.json, init.json and eval.csv alone are read, so plots work during runs and anywhere."""

import csv
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from softrl.errors import UserError

Table = dict[str, NDArray[np.float64]]  # [evaluations] for each heading
Settings = dict[str, str]  # dotted path -> value, or for a part its class
FORMAT = 1  # of the newest run folder that is known here, as in `softrl.run.folder`
NEEDED = {"env_steps", "return_mean", "return_sd"}
NO_EXPERIMENT = {
    *("format", "recipe", "steps", "minutes", "seed", "device", "compile", "threads", "eval", "video", "checkpoint"),
    *("log", "env.name", "env.repeat", "env.workers", "replay.memory_map", "replay.host"),
}
"""What runs of one experiment may differ in: what labels say anyway, how long, where, and what is looked at."""


class Run(NamedTuple):
    """What a run was, and one column of numbers for each heading of its eval.csv."""

    path: Path
    env: str
    recipe: str
    seed: int
    repeat: int  # frames for each decision
    table: Table
    settings: Settings  # what else makes it the experiment that it is

    @property
    def steps(self) -> NDArray[np.float64]:
        """Environment steps (frames) at each evaluation."""
        return self.table["env_steps"]

    @property
    def returns(self) -> NDArray[np.float64]:
        """Mean return of each evaluation."""
        return self.table["return_mean"]


def found(path: Path) -> list[Path]:
    """The run folder at a path, or those below it but in hidden folders, by name; `load` refuses what is neither."""
    try:
        if (path / "config.json").is_file():
            return [path]
    except OSError as error:  # a name that is too long, or a folder of others
        raise UserError(f"{path} cannot be read, {error.strerror}: leave this run out") from error
    seen: set[str] = set()
    runs = []
    for folder, below, files in os.walk(path, followlinks=True):
        below[:] = [name for name in below if not name.startswith(".")]  # what a killed start has left, for instance
        real = os.path.realpath(folder)
        if real in seen:  # a link may lead back up
            below.clear()
        elif "config.json" in files:
            runs.append(Path(folder))
        seen.add(real)
    return sorted(runs) or [path]


def load(path: Path) -> Run:
    """The run in a folder; raises UserError when the folder is none, is damaged, or has not been evaluated yet."""
    source = path / "config.json"
    if not source.is_file():
        raise UserError(f"{path} is no run folder, it has no config.json: give one that `softrl train` printed")
    try:
        config = json.loads(source.read_text())
        if config["format"] > FORMAT:
            raise UserError(f"{path} was made by a newer softrl (format {config['format']}): update softrl to read it")
        env, recipe, seed = config["env"], config["recipe"], config["seed"]
        told = (env["name"], recipe, seed, env["repeat"])
        return Run(path, *told, evaluations(path / "eval.csv"), settings(config) | begun(path / "init.json"))
    except OSError as error:
        raise UserError(f"{source} cannot be read, {error.strerror}: leave this run out") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{source} is damaged or from another softrl ({error}): leave this run out") from error


def begun(file: Path) -> Settings:
    """Whose weights a run began with; raises UserError for a file that does not say."""
    try:
        return {"init": text(json.loads(file.read_text())["init"] if file.is_file() else None)}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is damaged ({error}): leave this run out") from error


def settings(config: dict[str, Any], prefix: str = "") -> Settings:
    """Every part and value of a config.json as text, without those of NO_EXPERIMENT."""
    told: Settings = {}
    for name, value in config.items():
        path = f"{prefix}{name}"
        if path in NO_EXPERIMENT or name == "type":
            continue
        if isinstance(value, dict):
            told |= {path: str(value.get("type")).rpartition(":")[2]} | settings(value, f"{path}.")
        else:
            told[path] = text(value)
    return told


def text(value: Any) -> str:
    """A value as it is typed after a flag."""
    if isinstance(value, list):
        return ",".join(text(item) for item in value)
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def evaluations(path: Path) -> Table:
    """The columns of an eval.csv by heading; blank cells are NaN. Raises UserError when there is nothing to read."""
    try:
        text = path.read_text() if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # the last line may be half written
        heading, *rows = [row for row in csv.reader(whole.splitlines()) if row] or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} cannot be read ({error}): put back a copy, or leave this run out of plots") from error
    if not rows:
        raise UserError(
            f"{path.parent} has no evaluation in eval.csv yet: wait for the first one, or leave this run out"
        )
    try:
        for number, row in enumerate(rows, start=2):
            if len(row) != len(heading):
                raise ValueError(f"line {number} has {len(row)} cells, and the heading {len(heading)}")
        columns = np.array([[float(cell or "nan") for cell in row] for row in rows]).T
        table = dict(zip(heading, columns, strict=True))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): leave this run out") from error
    if missing := NEEDED - table.keys():
        raise UserError(f"{path} lacks the columns {', '.join(sorted(missing))}: leave this run out")
    if (np.diff(table["env_steps"]) <= 0).any():
        raise UserError(f"{path} is damaged (env_steps does not increase from line to line): leave this run out")
    return table
