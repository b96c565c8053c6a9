"""The speed figures in one go: softrl's loop and its peers' in turns, and the update over its floor.

    PEERS_PYTHON=... .venv/bin/python benchmarks/speed.py [loop | update | all] [--algorithm sac] [--rounds 5]
    .venv/bin/python benchmarks/speed.py recipes [--only tqc,crossq] [--threads 2]

Each measurement is a process of its own, on the same processors; raw numbers are added to benchmarks/results/speed/.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from softrl.recipes import RECIPES
from softrl.run.versions import versions

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "speed"
TARGETS = {
    "sac": {"sb3": 1.8, "sbx": 1.4},
    "tqc": {"sb3": 2.0},
    "crossq": {"sb3": 2.0, "sbx": 1.0},
    "droq": {"sbx": 1.0},
}
"""What each recipe's loop is to be times its peers'."""
OVER_FLOOR = 1.5
"""What a recipe's compiled update may take, over its floor."""
QUIET = 0.5  # load average above which the machine has something else to do


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("loop", "update", "all", "recipes"), default="all")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender (default 5)")
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--steps", type=int, default=3_000, help="measured environment steps of each loop")
    parser.add_argument("--env", default="HalfCheetah-v5")
    parser.add_argument("--algorithm", choices=TARGETS, default="sac", help="recipe of the loops (default sac)")
    parser.add_argument("--peers", default=os.environ.get("PEERS_PYTHON"), help="interpreter; default $PEERS_PYTHON")
    parser.add_argument("--only", help="recipes, separated by commas; default all")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    if load > QUIET:
        print(f"warning: the load is {load:.1f}, something else is running; ratios may hold, times will not")
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: options.threads]))
    if options.what in ("loop", "all"):
        loops(options)
    if options.what in ("update", "all"):
        updates(options)
    if options.what == "recipes":
        recipes(options)


def loops(options: argparse.Namespace) -> None:
    """Environment steps a second of every contender, in turns, and softrl's ratio to each in the same round."""
    if not options.peers:
        raise SystemExit("set PEERS_PYTHON to an interpreter with the peers; benchmarks/README.md says how to make one")
    common = ["--env", options.env, "--steps", str(options.steps), "--threads", str(options.threads)]
    loop, targets = str(ROOT / "benchmarks" / "peers" / "loop.py"), TARGETS[options.algorithm]
    ours = [sys.executable, "-m", "softrl.cli.main", "bench", "loop", "--json", "--recipe", options.algorithm]
    contenders = {"softrl": [*ours, *common]}
    for peer in targets:
        contenders[peer] = [options.peers, loop, peer, "--algorithm", options.algorithm, *common]
    speeds: dict[str, list[float]] = defaultdict(list)
    outside = []
    for turn in range(1, options.rounds + 1):
        for name, command in contenders.items():
            result = measured(command, options.threads)
            speeds[name].append(result["steps_per_second"])
            outside += [result["outside"]] if "outside" in result else []
            print(f"round {turn}: {name} {speeds[name][-1]:.1f} env steps/s", flush=True)
            keep(
                "loop" if options.algorithm == "sac" else f"loop-{options.algorithm}",
                name,
                options.threads,
                command,
                turn,
                result,
            )
    print(f"softrl, time outside the update: {statistics.median(outside):.1%} (target 15%)")
    for peer, target in targets.items():
        ratios = [ours / theirs for ours, theirs in zip(speeds["softrl"], speeds[peer], strict=True)]
        print(
            f"softrl over {peer}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}; "
            f"target {target}); medians {statistics.median(speeds['softrl']):.1f} and "
            f"{statistics.median(speeds[peer]):.1f} env steps/s"
        )


def updates(options: argparse.Namespace) -> None:
    """The update over its floor, which takes turns with it inside one process; several processes show the spread."""
    ratios: dict[str, list[float]] = defaultdict(list)
    command = [sys.executable, "-m", "softrl.cli.main", "bench", "update", "--json", "--threads", str(options.threads)]
    for turn in range(1, options.rounds + 1):
        result = measured(command, options.threads)
        for name, figures in result["measured"].items():
            ratios[name].append(figures["median"])
            keep("update", name, options.threads, command, turn, figures)
            text = (
                f"{figures['ms']:.3f} ms, {figures['median']:.3f} ({figures['lowest']:.3f} to {figures['highest']:.3f})"
            )
            print(f"round {turn}: {name} {text} of the floor", flush=True)
    for name, values in ratios.items():
        print(f"{name} over its floor: {statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})")


def recipes(options: argparse.Namespace) -> None:
    """The compiled update of every recipe over the floor of its own products, one process each."""
    names = options.only.split(",") if options.only else [name for name in RECIPES if name != "tiny"]
    bench = [sys.executable, "-m", "softrl.cli.main", "bench", "update", "--json", "--compile", "graph"]
    for name in names:
        command = [*bench, "--recipe", name, "--threads", str(options.threads)]
        result = measured(command, options.threads)
        figures = result["measured"]["compiled"]
        keep("recipe", name, options.threads, command, 1, {**figures, "gflop": result["gflop"]})
        spread = f"{figures['lowest']:.2f} to {figures['highest']:.2f}"
        over = "" if figures["median"] <= OVER_FLOOR else f"  above {OVER_FLOOR}"
        print(f"{name}: {figures['ms']:.2f} ms, {figures['median']:.2f} ({spread}) of the floor{over}", flush=True)


def measured(command: list[str], threads: int) -> dict[str, Any]:
    """The JSON object that a process prints on its last line."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def keep(table: str, name: str, threads: int, command: list[str], turn: int, result: dict[str, Any]) -> None:
    """Add one measurement to a table, with the machine, the versions and the command."""
    mine = versions()
    packages = result.get("versions") or {name: mine[name] for name in mine.keys() - {"commit", "platform", "cpu"}}
    row = {
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "round": turn,
        "name": name,
        "threads": threads,
        **dict(numbers(result)),
        "load": round(os.getloadavg()[0], 2),
        "cpu": mine["cpu"],
        "processors": os.cpu_count(),
        "commit": mine["commit"],
        "versions": " ".join(f"{package}={number}" for package, number in packages.items()),
        "command": " ".join(shown(word) for word in command),
    }
    path = RESULTS / f"{table}-{name.replace(' ', '_')}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


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
    main()
