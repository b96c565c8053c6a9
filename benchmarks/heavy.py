"""The speed figures of the heavy updates, from pixels and of world models: over their floor, and beside plain code.

    .venv/bin/python benchmarks/heavy.py pixels [--size 84] [--batch 128] [--precision float32,bfloat16]
    .venv/bin/python benchmarks/heavy.py sampling [--size 84] [--batch 128] [--precision float32,bfloat16]
    .venv/bin/python benchmarks/heavy.py worlds [--only dreamer,latent_sac,smac] [--size 64] [--batch 50] [--length 50]
        [--precision float32,bfloat16]
    .venv/bin/python benchmarks/heavy.py smac [--particles 8,16,32]

All contenders of a table take turns inside one process; raw numbers are added to benchmarks/results/speed/.
"""

import argparse
import math
import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle
from typing import Any

import torch
from arguments import answered, one_of, positive, several
from plain.dreamer import Dreamer, Smac
from plain.sac_ae import SacAe, Sizes as PixelSizes
from plain.windows import GAMMA, decisions, sequences, stretches, transitions
from plain.world import Sizes as WorldSizes
from speed import keep, keep_processors
from torch import Tensor

from softrl.agent.compile import Mode, compiled, packed
from softrl.bench.floor import floor, products
from softrl.bench.timing import Call, timed
from softrl.data.replay import Replay, ReplayConfig
from softrl.nn.layers import set_precision
from softrl.nn.processor import quicken_products
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.run.heap import keep_freed
from softrl.run.trainer import DTYPES
from softrl.types import Spec, Step, Window

ACTIONS, STACK, COLOURS = 6, 3, 3
WINDOWS = 4  # that updates learn from in turn
SIZES = {"pixels": (84, 128), "sampling": (84, 128), "worlds": (64, 50), "smac": (64, 50)}
"""Height and width of pictures, and rows of a batch, where the flags say nothing: those of the papers."""
SAMPLED = {"sac_ae": 0, "drq": 0, "curl": 16}
"""Recipes whose pictures are learned from as they are, moved, and cropped; pixels by which these are larger."""
STORED, LASTS = 2_000, 125
"""Rows of replay that samples are drawn from, and of an episode."""
MODES: dict[str, dict[str, Mode]] = {
    "both": {"compiled": "graph", "eager": "off"},
    "graph": {"compiled": "graph"},
    "off": {"eager": "off"},
}
PEERS: dict[str, Callable[[WorldSizes, int], Any]] = {
    "dreamer": lambda sizes, particles: Dreamer(sizes),
    "latent_sac": lambda sizes, particles: Smac(sizes),
    "smac": Smac,
}
FLOOR, PLAIN, FEWEST = "floor", "plain", "latent_sac"
YARDSTICKS = {FLOOR: "of the floor", PLAIN: "times as fast as plain code", FEWEST: "of latent_sac"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=SIZES)
    parser.add_argument("--rounds", type=positive, default=5, help="turns of each contender (default 5)")
    parser.add_argument("--threads", type=positive, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn, at least one update (default 1)")
    parser.add_argument(
        "--size", type=positive, help="height and width of the pictures; world models: 16, 32, 48 or 64"
    )
    parser.add_argument("--batch", type=positive, help="rows of a batch")
    parser.add_argument("--length", type=positive, default=50, help="rows of a sequence (default 50)")
    parser.add_argument("--compile", choices=MODES, default="both", help="which updates of softrl (default both)")
    parser.add_argument(
        "--precision", type=several(one_of(DTYPES)), default=list(DTYPES), help="of products, in pixels and worlds"
    )
    parser.add_argument(
        "--only", type=several(one_of(PEERS)), default=list(PEERS), help="world models' recipes (default all three)"
    )
    parser.add_argument(
        "--particles", type=several(positive), default=[8, 16, 32], help="K of smac, as many numbers as wanted"
    )
    options = parser.parse_args(arguments)
    size, batch = SIZES[options.what]
    options.size, options.batch = options.size or size, options.batch or batch
    keep_processors(options.threads)
    torch.set_num_threads(options.threads)
    keep_freed()  # as a run does; floor and plain code have the same heap, and their products from the same library
    quicken_products()
    {"pixels": pixels, "sampling": sampling, "worlds": worlds, "smac": smac}[options.what](options)


# ------------------------------------------------------------ what is measured


def pixels(options: argparse.Namespace) -> None:
    """SAC+AE in every form, its floor, and the plain code."""
    spec = Spec({"pixels": (COLOURS * STACK, options.size, options.size)}, ACTIONS, stack=STACK)
    run, windows = configured("sac_ae", options), [decisions(spec, options.batch) for _ in range(WINDOWS)]
    plain = SacAe(PixelSizes(COLOURS * STACK, options.size, ACTIONS))
    given = [transitions(window) for window in windows]
    calls = {FLOOR: least(run, spec, windows, options.seconds), PLAIN: turning(plain.update, given, period(run))}
    race("pixels", calls | forms(run, spec, windows, options), period(run), options)


def sampling(options: argparse.Namespace) -> None:
    """What updates learn from: fetching it from replay, and moving its pictures, which is in the update as well."""
    for recipe, margin in SAMPLED.items():
        run, size = configured(recipe, options), options.size + margin
        if margin:
            run = override(run, {"agent.encoder.augmentation.pixels": options.size})
        spec = Spec({"pixels": (COLOURS * STACK, size, size)}, ACTIONS, stack=STACK)
        replay, updates = filled(spec), period(run)
        windows = [replay.sample(options.batch) for _ in range(WINDOWS)]
        given = [(pictures,) for window in windows for pictures in window.obs["pixels"].unbind(1)]
        calls = {
            "fetching": turning(partial(replay.sample, options.batch), [()], updates),
            "moving": turning(run.agent.build(spec).encoder.views, given, 2 * updates),
        }
        race(f"sampling-{recipe}", calls | forms(run, spec, windows, options), updates, options)


def worlds(options: argparse.Namespace) -> None:
    """A world model's update in every form, its floor, and the plain code, one recipe after the other."""
    for recipe in options.only:
        run, spec = configured(recipe, options), pictures(options)
        windows = [sequences(spec, options.batch, options.length) for _ in range(WINDOWS)]
        particles = run.agent.encoder.particles.count  # type: ignore[union-attr]  # a recipe with a world model
        plain = PEERS[recipe](WorldSizes(COLOURS, options.size, ACTIONS), particles)
        given = [stretches(window) for window in windows]
        calls = {FLOOR: least(run, spec, windows, options.seconds), PLAIN: turning(plain.update, given, period(run))}
        race(recipe, calls | forms(run, spec, windows, options), period(run), options)


def smac(options: argparse.Namespace) -> None:
    """SMAC with every number of particles beside latent SAC, eager with eager and compiled with compiled."""
    spec = pictures(options)
    windows = [sequences(spec, options.batch, options.length) for _ in range(WINDOWS)]
    runs = {FEWEST: configured(FEWEST, options)}
    for particles in options.particles:
        run = configured("smac", options)
        runs[f"smac {particles}"] = override(run, {"agent.encoder.particles.count": particles})
    for name, mode in MODES[options.compile].items():
        calls = {contender: ours(run, spec, windows, mode) for contender, run in runs.items()}
        race(f"particles-{name}", calls, period(runs[FEWEST]), options)


# ------------------------------------------------------------ contenders


def configured(recipe: str, options: argparse.Namespace) -> Run:
    """The recipe's run at the options' sizes."""
    run = apply(recipe, Run())
    sizes = {} if options.what in ("pixels", "sampling") else {"agent.encoder.sequence": options.length}
    return override(run, {"env.pixels.size": options.size, "train.batch": options.batch, **sizes})


def filled(spec: Spec) -> Replay:
    """Replay of noise, in more rows than a processor's caches hold."""
    replay = Replay(ReplayConfig(capacity=STORED), spec, envs=1, gamma=GAMMA, seed=0)
    for row in range(STORED):
        picture = torch.randint(256, (1, *spec.obs["pixels"]), dtype=torch.uint8)
        last = torch.tensor([row % LASTS == LASTS - 1])
        replay.add(Step({"pixels": picture}, torch.zeros(1, spec.action), torch.zeros(1), last, last))
    return replay


def pictures(options: argparse.Namespace) -> Spec:
    """What a world model observes: one picture at a time."""
    return Spec({"pixels": (COLOURS, options.size, options.size)}, ACTIONS, sequence=options.length)


def period(run: Run) -> int:
    """Updates until those that move policy and target come again."""
    return math.lcm(run.train.actor_every, run.train.target_every)


def least(run: Run, spec: Spec, windows: list[Window], seconds: float) -> Call:
    """The convolutions and matrix products of a period, and nothing else.

    Equal ones share their memory, as the steps of a recurrent model share its weights.
    """
    agent = run.agent.build(spec)
    updates = range(1, period(run) + 1)
    needed = [work for i in updates for work in products(agent, windows[0], i % run.train.actor_every == 0)]
    calls = {work: floor([work], min(0.005, seconds / 50)) for work in set(needed)}
    listed = [calls[work] for work in needed]
    return lambda: [call() for call in listed]


def forms(run: Run, spec: Spec, windows: list[Window], options: argparse.Namespace) -> dict[str, Call]:
    """A period of softrl's updates in every form that is asked for."""
    return {
        f"{name} {precision}": ours(run, spec, windows, mode, precision)
        for precision in options.precision
        for name, mode in MODES[options.compile].items()
    }


def ours(run: Run, spec: Spec, windows: list[Window], mode: Mode, precision: str = "float32") -> Call:
    """A period of softrl's updates, as the trainer makes them."""
    agent = run.agent.build(spec)
    set_precision(agent, DTYPES[precision])
    step, source, train = compiled(packed(agent.update_fn), mode), cycle(windows), run.train

    def call() -> None:
        for i in range(1, period(run) + 1):
            step(agent, next(source), actor=i % train.actor_every == 0, follow=i % train.target_every == 0)

    return call


def turning(update: Callable[..., Any], given: list[tuple[Tensor, ...]], updates: int) -> Call:
    """So many updates of plain code."""
    source = cycle(given)
    return lambda: [update(*next(source)) for _ in range(updates)]


# ------------------------------------------------------------ the race


def race(table: str, calls: dict[str, Call], updates: int, options: argparse.Namespace) -> None:
    """Turns of every contender, whose calls make so many updates each; raw milliseconds are kept after every round."""
    counts = {name: turns(call, options.seconds) for name, call in calls.items()}
    times: dict[str, list[float]] = defaultdict(list)
    sizes = {name: float(getattr(options, name)) for name in ("size", "batch", "length")}
    for turn in range(1, options.rounds + 1):
        for name, call in calls.items():
            times[name].append(1e3 * timed(call, counts[name]) / updates)
            print(f"{table}, round {turn}: {name} {times[name][-1]:.2f} ms", flush=True)
        for name, taken in times.items():
            keep(table, name, options.threads, [sys.executable, *sys.argv], turn, {"ms": taken[-1], **sizes})
    for line in compared(times):
        print(f"{table}, {line}", flush=True)


def turns(call: Call, seconds: float) -> int:
    """Calls in a turn of so many seconds; the first call of all, which may compile, counts for nothing."""
    call()
    return max(1, int(seconds / timed(call, 1)))


def compared(times: dict[str, list[float]]) -> Iterator[str]:
    """Every contender's times, and its ratios to the others that it is measured by, taken within each round."""
    for name, own in times.items():
        told = [f"{name}: {spread(own)} ms"]
        for other, words in YARDSTICKS.items():
            if other in times and other != name:
                pairs = zip(own, times[other], strict=True)
                ratios = [theirs / mine if other == PLAIN else mine / theirs for mine, theirs in pairs]
                told.append(f"{spread(ratios)} {words}")
        yield "; ".join(told)


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


if __name__ == "__main__":
    answered(main)
