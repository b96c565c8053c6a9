"""The speed figures in one go: softrl's loop and its peers' in turns, the update over its floor, memory.

    .venv/bin/python benchmarks/speed.py [loop | update | all] [--algorithm sac] [--rounds 5]
    .venv/bin/python benchmarks/speed.py envs [--counts 1,4,16,64] [--rounds 5]
    .venv/bin/python benchmarks/speed.py [recipes | memory] [--only tqc,crossq] [--threads 2]
    .venv/bin/python benchmarks/speed.py [update | recipes] --device cuda
    .venv/bin/python benchmarks/speed.py waiting [--only sac_ae,drq] [--rounds 5]
    .venv/bin/python benchmarks/speed.py everything [--rounds 3]
    .venv/bin/python benchmarks/speed.py table

Each measurement is a process of its own, on the same processors; raw numbers are added to benchmarks/results/speed/.
Its page and docs/speed.png are made anew after each measurement, and by `table`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import raw
import torch
from arguments import answered, positive
from interpreter import interpreter
from ratios import IN_BFLOAT16, OURS, OURS_IN_BFLOAT16, SET, TARGETS, loop_table
from speed_page import write

from softrl.bench.update import NAMES
from softrl.data.names import GEARS
from softrl.nn.processor import multiplies_bfloat16
from softrl.recipes import RECIPES, apply
from softrl.run.config import Run
from softrl.run.versions import versions

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "speed"
PICTURE = ROOT / "docs" / "speed.png"
QUIET = 0.5  # load average above which the machine has something else to do
UPDATES, SETTLING = 3_000, 500
"""Updates of a loop that are measured, where nothing else is asked for, and those before them."""
ROWS = 100_000
"""Rows of replay before the first of them: as many as a run has after a while, and more than caches hold."""
BEGUN = time.strftime("%Y-%m-%d %H:%M:%S")
"""What the rows of one measurement have in common."""
COMPILED = tempfile.TemporaryDirectory(prefix="compiled-")
"""Where torch keeps what it compiles: nothing at first, so that the time for it is that of a first run."""
HERE = versions()
"""Ours, once: the raw numbers that are kept change the working tree, and so what its commit is called."""
MACHINE = ("commit", "platform", "cpu")
"""What `versions` tells beside packages."""
DISCRETE = ("sac_discrete", "sd_sac", "ddsac")
CHOICES = ["--choices", "6", "--actions", "0"]
ACTIONS = {**dict.fromkeys(DISCRETE, CHOICES), "sac_hybrid": ["--choices", "6"]}
"""Flags of the recipes that have something to choose; all others have HalfCheetah's actions."""
WORLDS = ("dreamer", "dreamer_discrete", "latent_sac", "smac")
"""Recipes with a world model of pictures, which have no choices."""
MODES = {"cpu": "graph", "cuda": "cudagraph"}
"""How the fastest update of each device runs."""
SHORT = ["--settle", "20", "--steps", "20", "--rows", "0"]
"""Steps with updates before the memory of a run is read; world models make few of them in a minute."""
FROM_PIXELS = "sac_ae,sac_pixels,drq"
"""Recipes whose loops are held against the time that they wait for pictures."""
DRAWN = ["--env", "cartpole_swingup", "--settle", "80"]
"""Where: 8 steps a decision, 10 updates before anything is measured."""
DRAWN_STEPS = 480
"""Steps of such a loop that are measured, where nothing else is asked for: 60 updates of half a second or so."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what",
        nargs="?",
        choices=(*MEASURES, "all", "everything", "table"),
        default="all",
    )
    parser.add_argument("--rounds", type=positive, default=5, help="turns of each contender (default 5)")
    parser.add_argument("--threads", type=positive, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument(
        "--steps", type=positive, help="environment steps of each loop (default: those of 3000 updates)"
    )
    parser.add_argument("--counts", default="1,4,16,64", help="environments side by side (default 1,4,16,64)")
    parser.add_argument("--env", default="HalfCheetah-v5")
    parser.add_argument("--algorithm", choices=TARGETS, default="sac", help="recipe of the loops (default sac)")
    parser.add_argument("--peers", help="interpreter; default $PEERS_PYTHON, or one that is made in .peers")
    parser.add_argument("--only", help="recipes, separated by commas; default all")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of update and recipes (default cpu)")
    options = parser.parse_args(arguments)
    if options.what != "table":
        keep_processors(options.threads)
    for name in {"all": ALL, "everything": MEASURES, "table": ()}.get(options.what, (options.what,)):
        for algorithm in TARGETS if name == "loop" and options.what == "everything" else (options.algorithm,):
            MEASURES[name](argparse.Namespace(**{**vars(options), "algorithm": algorithm}))
    for figure in write(RESULTS, PICTURE):
        if options.what == "table" or figure.turns[-1][0]["measurement"] == BEGUN:
            print(figure.sentence())


def keep_processors(count: int) -> None:
    """Run on so many processors alone, and warn where something else does as well."""
    load = os.getloadavg()[0]
    if load > QUIET:
        print(f"warning: the load is {load:.1f}, something else is running; ratios may hold, times will not")
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:count]))


# ------------------------------------------------------------ what is measured


def loops(options: argparse.Namespace) -> None:
    """Environment steps a second of every contender, in turns."""
    options.peers = interpreter(ROOT, options.peers)
    for turn in range(1, options.rounds + 1):
        for name, command in commands(options).items():
            result = measured(command, options.threads)
            print(f"round {turn}: {name} {result['steps_per_second']:.1f} env steps/s", flush=True)
            keep(loop_table(options.algorithm), name, options.threads, command, turn, result)


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """How each contender of a race of loops is run; ours also in bfloat16 where there is a target and the processor."""
    recipe, settings = SET.get(options.algorithm, (options.algorithm, {}))
    each = apply(recipe, Run()).train.updates_per_decision
    steps, settle = options.steps or int(UPDATES / each), int(SETTLING / each)
    common = ["--env", options.env, "--steps", str(steps), "--settle", str(settle), "--rows", str(ROWS)]
    common += ["--threads", str(options.threads)]
    ours = [*softrl("loop"), "--recipe", recipe, *common]
    ours += [word for path, value in settings.items() for word in (f"--{path}", str(value))]
    found = {OURS: ours}
    if options.algorithm in IN_BFLOAT16 and multiplies_bfloat16():
        found[OURS_IN_BFLOAT16] = [*ours, "--precision", "bfloat16"]
    for peer in TARGETS[options.algorithm]:
        name, *compiled = peer.split()
        loop = [options.peers, str(ROOT / "benchmarks" / "peers" / "loop.py"), name]
        found[peer] = [*loop, "--algorithm", options.algorithm, *common, *["--compile"][: len(compiled)]]
    return found


def updates(options: argparse.Namespace) -> None:
    """The update over its floor, which takes turns with it inside one process; several processes show the spread."""
    command = [*softrl("update", options.device), "--threads", str(options.threads)]
    mode = MODES[options.device]
    half = [*command, "--compile", mode, "--precision", "bfloat16"]
    graph = [[*command, "--compile", mode]] if options.device == "cuda" else []
    for turn in range(1, options.rounds + 1):
        parts = {}
        for words in (command, *graph):
            parts |= {name: (words, part) for name, part in measured(words, options.threads)["measured"].items()}
        if options.device == "cuda" or multiplies_bfloat16():
            parts["bfloat16"] = (half, measured(half, options.threads)["measured"][NAMES[mode]])
        for name, (words, part) in parts.items():
            keep("update", name, options.threads, words, turn, part)
            print(f"round {turn}: {name} {part['ms']:.3f} ms, {part['median']:.3f} of the floor", flush=True)


def environments(options: argparse.Namespace) -> None:
    """Environments side by side in every kind of workers, stepped alone and in training: a process a round."""
    command = [*softrl("envs"), "--env", options.env, "--envs", options.counts, "--threads", str(options.threads)]
    command += ["--steps", str(options.steps)] if options.steps else []
    for turn in range(1, options.rounds + 1):
        result = measured(command, options.threads)
        for kind, cells in result["training"].items():
            row = {"stepping": result["decisions_per_second"][kind]}
            row |= {"training": {count: cell["steps_per_second"] for count, cell in cells.items()}}
            row |= {"updates": {count: cell["updates_per_step"] for count, cell in cells.items()}}
            keep("envs", kind, options.threads, command, turn, row)
            speeds = ", ".join(f"{speed:.1f} with {count}" for count, speed in row["training"].items())
            print(f"round {turn}: {kind} {speeds} env steps/s", flush=True)


def recipes(options: argparse.Namespace) -> None:
    """The compiled update of every recipe over the floor of its own products, one process each."""
    for name in named(options):
        mode = MODES[options.device]
        command = [*softrl("update", options.device), "--recipe", name, "--threads", str(options.threads)]
        command += ["--compile", mode, *ACTIONS.get(name, [])]
        if result := tried(name, command, options.threads):
            figures = result["measured"][NAMES[mode]] | {"gflop": result["gflop"]}
            keep("recipes", "update", options.threads, command, 1, figures, name)
            spread = f"{figures['median']:.2f} ({figures['lowest']:.2f} to {figures['highest']:.2f}) of the floor"
            print(f"{name}: {figures['ms']:.2f} ms, {spread}", flush=True)


def memory(options: argparse.Namespace) -> None:
    """The most memory that a short run of every recipe holds, one process each."""
    for name in named(options):
        command = [*softrl("loop"), "--recipe", name, "--threads", str(options.threads)]
        command += ["--env", task(name, options.env), *SHORT]
        if result := tried(name, command, options.threads):
            keep("recipes", "memory", options.threads, command, 1, result, name)
            print(f"{name}: {result['peak_mib']:.0f} MiB", flush=True)


def waiting(options: argparse.Namespace) -> None:
    """Where the time of a step from pixels goes, which are drawn beside learning: a process a round and recipe."""
    for turn in range(1, options.rounds + 1):
        for name in (options.only or FROM_PIXELS).split(","):
            command = [*softrl("loop"), "--recipe", name, *DRAWN, "--steps", str(options.steps or DRAWN_STEPS)]
            command += ["--threads", str(options.threads)]
            result = measured(command, options.threads)
            keep("waiting", name, options.threads, command, turn, result)
            share = result["ms"]["environment"] / sum(result["ms"].values())
            print(f"round {turn}: {name} waits {share:.1%} of {sum(result['ms'].values()):.0f} ms a step", flush=True)


def named(options: argparse.Namespace) -> list[str]:
    """The recipes that are asked for."""
    every = (recipe.complete_name for recipe in RECIPES.values() if recipe.name != "tiny")
    return options.only.split(",") if options.only else list(every)


def tried(recipe: str, command: list[str], threads: int) -> dict[str, Any] | None:
    """What is measured; what cannot be is told, so that the next recipe has its turn."""
    try:
        return measured(command, threads)
    except SystemExit as failure:
        print(f"{recipe}: {str(failure).splitlines()[-1]}", flush=True)
        return None


def task(recipe: str, env: str) -> str:
    """Where the memory of a recipe is measured: here, unless it has choices, or sees pictures that would be slow."""
    if recipe in DISCRETE:
        return "CartPole-v1"
    if recipe.split("+")[0] in WORLDS:
        return "cartpole_swingup"
    return GEARS if recipe in ACTIONS or apply(recipe, Run()).env.pixels else env


def softrl(what: str, device: str = "cpu") -> list[str]:
    """The command of a measurement of ours, on the processors that its peers have as well."""
    return [sys.executable, "-m", "softrl.cli.main", "bench", what, "--json", "--device", device]


def measured(command: list[str], threads: int) -> dict[str, Any]:
    """The JSON object that a process prints on its last line."""
    kernels = Path(COMPILED.name) / f"{hash(tuple(command)):x}"  # of this contender: none finds those of another
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TORCHINDUCTOR_CACHE_DIR": str(kernels)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


MEASURES: dict[str, Callable[[argparse.Namespace], None]] = {
    "loop": loops,
    "update": updates,
    "envs": environments,
    "recipes": recipes,
    "memory": memory,
    "waiting": waiting,
}
"""What can be measured, by name; `everything` is all of it, with the loops of all recipes that have a peer."""
ALL = ("loop", "update")


# ------------------------------------------------------------ what is kept


def keep(
    table: str, file: str, threads: int, command: list[str], turn: int, result: dict[str, Any], name: str | None = None
) -> None:
    """Add one measurement to a file of a table, with the machine, the versions and the command.

    `name` says what was measured where that is not the file's name.
    """
    packages = result.get("versions") or {name: number for name, number in HERE.items() if name not in MACHINE}
    row = {
        "measurement": BEGUN,
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "round": turn,
        "name": name or file,
        "threads": threads,
        **dict(numbers(result)),
        "load": round(os.getloadavg()[0], 2),
        "cpu": HERE["cpu"],
        **({"gpu": result.get("gpu") or torch.cuda.get_device_name()} if "cuda" in command else {}),
        "processors": os.cpu_count(),
        "bfloat16": "yes" if multiplies_bfloat16() else "no",
        "commit": HERE["commit"],
        "versions": " ".join(f"{package}={number}" for package, number in packages.items()),
        "command": " ".join(shown(word) for word in command),
    }
    raw.add(RESULTS, table, file, {column: str(value) for column, value in row.items()})


def numbers(result: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a result by name, those of its parts included."""
    for name, value in result.items():
        if isinstance(value, dict) and name != "versions":
            yield from numbers(value, f"{name} ")
        elif isinstance(value, float):
            yield f"{prefix}{name}", value


def shown(word: str) -> str:
    """A word of a command as it would be typed from the root of the project."""
    if word == sys.executable:
        return "python"
    return "$PEERS_PYTHON" if word == os.environ.get("PEERS_PYTHON") else word.replace(f"{ROOT}/", "")


if __name__ == "__main__":
    answered(main)
