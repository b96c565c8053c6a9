"""Environment steps a second of the runs that a clock ended, so that their curves can be read for one processor.

    .venv/bin/python benchmarks/rates.py benchmarks/lists/half_hour.txt benchmarks/lists/fast.txt [--rounds 2]

How returns follow steps does not depend on the processor; how many steps half an hour has does. Each method of the
lists is timed on each of its tasks by `softrl bench loop`, one after the other with nothing beside, and the raw numbers
are added to benchmarks/results/speed. `clocked.py` reads them.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import jobs
import speed
from arguments import answered, positive
from raw import RATES

from softrl.recipes import apply
from softrl.run.config import Run

FOREIGN = ("steps", "minutes", "seed", "run", "recipe", "train.warmup", "video.every")
"""Flags of a run that a measurement of its speed does not take, or has already."""
EACH = "train.updates_per_decision"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", type=Path, nargs="+")
    parser.add_argument("--rounds", type=positive, default=2, help="turns of each method (default 2)")
    parser.add_argument("--updates", type=positive, default=1_000, help="updates that are measured (default 1000)")
    options = parser.parse_args(arguments)
    speed.keep_processors(1)
    measured = {key: words for path in options.lists for key, words in commands(path, options.updates)}
    for turn in range(1, options.rounds + 1):
        for (task, method), command in measured.items():
            result = speed.measured(command, threads=1)
            speed.keep(RATES, method, 1, command, turn, result)
            print(f"round {turn}: {method} on {task} {result['steps_per_second']:.1f} env steps/s", flush=True)


def commands(path: Path, updates: int) -> Iterator[tuple[tuple[str, str], list[str]]]:
    """How the speed of each line of a list is measured, by its task and method; seeds of one are alike."""
    for job in jobs.read(path, Path()):
        if not job.resumable:
            continue
        flags = {name[2:]: value for name, value in pairwise(job.words) if name.startswith("--")}
        recipe = flags.get("recipe", "sac")
        each = int(flags.get(EACH, apply(recipe, Run()).train.updates_per_decision))
        counts = {"steps": max(1, updates // each), "settle": max(1, updates // each // 3), "threads": 1}
        counts |= {name: value for name, value in flags.items() if name not in FOREIGN}
        words = [word for name, value in counts.items() for word in (f"--{name}", str(value))]
        named = ["--recipe", recipe, "--env", job.words[2]]
        yield (job.words[2], job.folder.parent.name), [*speed.softrl("loop"), *named, *words]


if __name__ == "__main__":
    answered(main)
