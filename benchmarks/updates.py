"""Updates of SAC a second against those of the peers, a sample of replay and the log included, also on a GPU.

    .venv/bin/python benchmarks/updates.py [--device auto|cuda|cpu] [--rounds 5] [--seconds 3] [--threads 2]

Contenders take turns in processes of their own; raw numbers are added to benchmarks/results/speed/, whose page and
picture are made anew. A GPU is held against eager Stable-Baselines3 and TorchRL with CUDA graphs.
"""

import argparse
import os
import sys
from collections.abc import Sequence

import torch
from arguments import answered, one_of, positive, several
from interpreter import interpreter
from ratios import OURS, OURS_AT_ONCE
from speed import BEGUN, PICTURE, RESULTS, ROOT, keep, keep_processors, tried
from speed_page import write

ON_CPU, ON_GPU = [OURS, "sb3", "torchrl", "torchrl compiled"], ["torchrl CUDA graph", OURS_AT_ONCE]
"""Contenders."""
PROGRAM = str(ROOT / "benchmarks" / "peers" / "rate.py")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument("--rounds", type=positive, default=5, help="turns of each contender (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a turn (default 3)")
    parser.add_argument("--threads", type=positive, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--rows", type=positive, default=100_000, help="rows of replay (default 100000)")
    parser.add_argument("--env", default="HalfCheetah-v5", help="whose sizes networks have")
    parser.add_argument("--peers", help="interpreter; default $PEERS_PYTHON, or one that is made in .peers")
    parser.add_argument("--only", type=several(one_of(ON_CPU + ON_GPU)), help="contenders; default all there are")
    options = parser.parse_args(arguments)
    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    here = ON_CPU + ON_GPU if options.device == "cuda" else ON_CPU
    options.only = options.only or here
    if absent := sorted(set(options.only) - set(here)):
        parser.error(f"{', '.join(absent)} needs a GPU")
    options.peers = interpreter(ROOT, options.peers)
    keep_processors(options.threads)
    for turn in range(1, options.rounds + 1):
        for name, command in commands(options).items():
            if result := tried(name, command, options.threads):
                print(f"round {turn}: {name} {result['updates_per_second']:.0f} updates/s", flush=True)
                keep("updates", name, options.threads, command, turn, result)
    for figure in write(RESULTS, PICTURE):
        if figure.turns[-1][0]["measurement"] == BEGUN:
            print(figure.sentence())


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """How each contender is run; what needs a GPU is left out elsewhere."""
    common = ["--env", options.env, "--device", options.device, "--threads", str(options.threads)]
    common += ["--rows", str(options.rows), "--seconds", str(options.seconds)]
    on_gpu = options.device == "cuda"
    ours = [sys.executable, PROGRAM, "softrl", *common, "--compile", "cudagraph" if on_gpu else "graph"]
    theirs = {name: [options.peers, PROGRAM, name, *common] for name in ("sb3", "torchrl")}
    found = {OURS: ours, **theirs, "torchrl compiled": [*theirs["torchrl"], "--how", "compiled"]}
    if on_gpu:
        found |= {"torchrl CUDA graph": [*theirs["torchrl"], "--how", "graph"], OURS_AT_ONCE: [*ours, "--launch", "16"]}
    return {name: command for name, command in found.items() if name in options.only}


if __name__ == "__main__":
    answered(main)
