"""A list of training commands: the run folder of each, and how far it is."""

import csv
import fcntl
import json
import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """One line of a list: `softrl train ...`, or another program that keeps a run folder and begins anew when cut."""

    words: tuple[str, ...]
    folder: Path

    @property
    def resumable(self) -> bool:
        """Whether `softrl resume` can go on with it."""
        return self.words[:2] == ("softrl", "train")

    @property
    def output(self) -> Path:
        """Where its standard output and error go, beside the folder, which must be new when a run starts."""
        return self.folder.with_name(f"{self.folder.name}.out")

    def config(self) -> dict[str, Any]:
        """The configuration that the run keeps; empty before there is one."""
        try:
            return dict(json.loads((self.folder / "config.json").read_text()))
        except (OSError, ValueError):
            return {}

    def evaluations(self) -> list[dict[str, str]]:
        """The rows of eval.csv."""
        try:
            with (self.folder / "eval.csv").open(newline="") as file:
                return list(csv.DictReader(file))
        except OSError:
            return []

    def done(self) -> bool:
        """Whether the last evaluation and, where there are checkpoints, the last of those are in the folder."""
        config, rows = self.config(), self.evaluations()
        if not config or not rows:
            return False
        last, minutes = int(rows[-1]["env_steps"]), config.get("minutes")
        if last < config["steps"] and (minutes is None or float(rows[-1]["seconds"]) < 60 * minutes):
            return False
        return not self.resumable or max(self.checkpoints(), default=0) >= last

    def checkpoints(self) -> list[int]:
        """Steps that the run can be resumed from."""
        found = (self.folder / "checkpoints").glob("step_*")
        return [int(path.name[5:]) for path in found if path.name[5:].isdigit()]

    def occupied(self) -> bool:
        """Whether a process holds the folder: one that outlived the program which started it, or somebody else's."""
        try:
            with (self.folder / ".lock").open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def command(self) -> list[str]:
        """What to run next: go on from a checkpoint, or begin, on what a run without a checkpoint has left."""
        if self.resumable and self.checkpoints():
            return [softrl(), "resume", str(self.folder)]
        if self.config():
            shutil.rmtree(self.folder)
        if not self.resumable:
            return list(self.words)
        threads = [] if "--threads" in self.words else ["--threads", "1"]
        run = [] if "--run" in self.words else ["--run", str(self.folder)]
        return [softrl(), *self.words[1:], *threads, *run]


def softrl() -> str:
    """The command: $SOFTRL, or the one installed beside this interpreter."""
    return os.environ.get("SOFTRL") or str(Path(sys.executable).with_name("softrl"))


def read(path: Path, root: Path) -> list[Job]:
    """The jobs of a list: a command a line, # for comments, $NAME for the environment's. Raises SystemExit."""
    jobs = []
    for line in path.read_text().splitlines():
        text = os.path.expandvars(line.partition("#")[0])
        if "$" in text:
            raise SystemExit(f"{path}: a variable is not set in '{text.strip()}'; benchmarks/README.md says what it is")
        if words := shlex.split(text):
            jobs.append(Job(tuple(words), root / run_folder(words)))
    if doubled := [str(job.folder) for i, job in enumerate(jobs) if job.folder in [other.folder for other in jobs[:i]]]:
        raise SystemExit(f"{path}: two lines train in {doubled[0]}; give one of them another --run")
    return jobs


def run_folder(words: list[str]) -> Path:
    """`--run`, or where `softrl train` puts the first run of an environment, recipe and seed. Raises SystemExit."""
    flags = {name.removeprefix("--"): value for name, value in pairwise(words) if name[:2] == "--"}
    if "run" in flags:
        return Path(flags["run"])
    if words[:2] != ["softrl", "train"] or len(words) < 3:
        raise SystemExit(f"'{shlex.join(words)}' is not a softrl train command: give it --run FOLDER")
    return Path("runs", words[2], flags.get("recipe", "sac"), f"seed{flags.get('seed', '0')}")
