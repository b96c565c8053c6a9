"""What plans of several actions cost: deciding, for each environment step, and a batch with its update.

    .venv/bin/python benchmarks/chunks.py act [--lengths 1,3,5] [--envs 1]
    .venv/bin/python benchmarks/chunks.py update [--batches 256,1024] [--compile both]

All contenders of a table take turns inside one process, at the same widths, with the sizes of HalfCheetah; a row of raw
milliseconds for each round, all contenders side by side, is added to benchmarks/results/speed/.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence

import torch
from arguments import answered, positive, several
from heavy import spread, turns
from speed import keep, keep_processors

from softrl.agent.agent import Agent
from softrl.agent.compile import Mode
from softrl.bench.timing import Call, table, timed
from softrl.bench.update import MODES, NAMES, Options, configured, filled, space, updates
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.run.heap import keep_freed
from softrl.types import Spec

OBSERVATIONS, ACTIONS = 17, 6
STEPS = 60  # environment steps of one call, a multiple of every executed length
PLAIN, RECIPES = "sac", ("sac", "qc", "qc_adaptive")
OVER_PLAIN = 1.25
"""What sampling and learning with chunks of 5 may take, over the plain ones."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("act", "update"))
    parser.add_argument("--rounds", type=positive, default=7, help="turns of each contender (default 7)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn (default 1)")
    parser.add_argument("--threads", type=positive, default=1, help="of torch (default 1)")
    parser.add_argument("--lengths", type=several(positive), default=[1, 3, 5], help="executed lengths (default 1,3,5)")
    parser.add_argument("--envs", type=positive, default=1, help="environments that are acted for together (default 1)")
    batches = "rows of a batch (default 256,1024)"
    parser.add_argument("--batches", type=several(positive), default=[256, 1024], help=batches)
    parser.add_argument("--compile", choices=MODES, default="both", help="which updates (default both)")
    options = parser.parse_args(arguments)
    keep_processors(options.threads)
    torch.set_num_threads(options.threads)
    keep_freed()  # as training does
    {"act": act, "update": update}[options.what](options)


# ------------------------------------------------------------ deciding


def act(options: argparse.Namespace) -> None:
    """Milliseconds of the policy for each environment step, and how often its network is asked."""
    lengths, longest = options.lengths, max(options.lengths)
    agents = {f"fixed {length}": fixed(length) for length in lengths}
    agents |= {f"adaptive {length}": adaptive(length, longest) for length in lengths if longest > 1}
    times = race("act", {name: acting(agent, options.envs) for name, agent in agents.items()}, STEPS, options)
    rows = [("", "plans a step", "ms a step", "lowest", "highest")]
    for name, own in times.items():
        figures = (asked(agents[name]), statistics.median(own), min(own), max(own))
        rows.append((name, *(f"{figure:.3f}" for figure in figures)))
    print("\n".join(table(rows)))


def fixed(length: int) -> Agent:
    """An agent whose plans are executed to their end; with length 1 recipe sac's."""
    run = configured(Options(recipe="qc", threads=1))
    return override(run, {"agent.chunk.length": length}).agent.build(Spec({"state": (OBSERVATIONS,)}, ACTIONS))


@torch.no_grad()
def adaptive(length: int, horizon: int) -> Agent:
    """An agent that plans `horizon` actions and is confident of `length` in every state, which its network says."""
    run = override(configured(Options(recipe="qc_adaptive", threads=1)), {"agent.chunk.length": horizon})
    agent = run.agent.build(Spec({"state": (OBSERVATIONS,)}, ACTIONS))
    out = agent.actor.lengths.out
    out.weight.zero_()
    out.bias.copy_(torch.where(torch.arange(1, horizon) < length, 9.0, -9.0))
    return agent


def acting(agent: Agent, envs: int) -> Call:
    """A call that decides for STEPS steps of so many environments, whose plans begin together."""
    observations = torch.randn(STEPS, envs, OBSERVATIONS)

    def call() -> None:
        carry = agent.initial(envs)
        for observation in observations:
            _, carry = agent.act({"state": observation}, carry, deterministic=True)

    return call


def asked(agent: Agent) -> float:
    """Plans made for each step."""
    carry, plans = agent.initial(1), 0
    for observation in torch.randn(STEPS, 1, OBSERVATIONS):
        _, carry = agent.act({"state": observation}, carry, deterministic=True)
        plans += bool(carry.get("plan.done", 1) == 1)
    return plans / STEPS


# ------------------------------------------------------------ learning


def update(options: argparse.Namespace) -> None:
    """Milliseconds of a batch and its update with chunks, and their ratio to the plain ones in the same round."""
    for batch in options.batches:
        for mode in MODES[options.compile]:
            calls = {}
            for recipe in RECIPES:
                sizes = Options(recipe=recipe, batch=batch, threads=options.threads)
                run = configured(sizes)
                spec = run.agent.build(space(run, sizes)).spec
                calls[recipe] = learning(run, spec, mode)
            name = f"update {NAMES[mode]} {batch}"
            times = race(name, calls, 1, options)
            for recipe in RECIPES[1:]:
                ratios = [ours / plain for ours, plain in zip(times[recipe], times[PLAIN], strict=True)]
                word = "met" if statistics.median(ratios) <= OVER_PLAIN else "missed"
                print(f"{name}: {recipe} over {PLAIN} {spread(ratios)}, target {OVER_PLAIN}: {word}", flush=True)


def learning(run: Run, spec: Spec, mode: Mode) -> Call:
    """A call that samples a batch, of which chunks read several rows a window, and makes an update."""
    replay = filled(run, spec)
    step = updates(run, spec, replay, mode, 1)

    def call() -> None:
        replay.sample(run.train.batch)
        step()

    return call


# ------------------------------------------------------------ the race


def race(name: str, calls: dict[str, Call], steps: int, options: argparse.Namespace) -> dict[str, list[float]]:
    """Milliseconds of every contender, whose calls make so many steps each, in turns; a round is a row that is kept."""
    counts = {contender: turns(call, options.seconds) for contender, call in calls.items()}
    times: dict[str, list[float]] = {contender: [] for contender in calls}
    for turn in range(1, options.rounds + 1):
        for contender, call in calls.items():
            times[contender].append(1e3 * timed(call, counts[contender]) / steps)
        last = {f"{contender} ms": own[-1] for contender, own in times.items()}
        keep("chunks", name, options.threads, [sys.executable, *sys.argv], turn, last)
        print(f"{name}, round {turn}: {', '.join(f'{key} {value:.3f}' for key, value in last.items())}", flush=True)
    return times


if __name__ == "__main__":
    answered(main)
