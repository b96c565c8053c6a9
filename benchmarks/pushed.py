"""How finished runs bear random pushes: returns and executed lengths, with and without, on the same seeds.

    .venv/bin/python benchmarks/pushed.py runs/*/*_pushed/seed* [--probability 0.02] [--size 2] [--episodes 10]

Every run plays its episodes once without pushes and once with them, deterministically. What is compared inside an
episode is the length of the first plan made after a step: over the steps that were pushed, and over those from which
every push is at least FAR steps away. Both kinds of step come at random, whatever the plans are, so where pushes say
nothing to the policy the two means are one. Raw episodes and a summary go to benchmarks/results/pushes/.

Intervals are bootstrap percentiles, 95%, from episodes drawn again within each run: they hold for these policies, and
do not say how much other seeds of training would differ.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from arguments import answered, positive
from tables import keep

from softrl import api
from softrl.data import envs
from softrl.data.collect import tensors
from softrl.data.push import Push
from softrl.math.stats import bootstrap_interval
from softrl.run.evaluate import Policy
from softrl.run.seed import derive

RESULTS = Path(__file__).resolve().parent / "results" / "pushes"
FAR = 10  # steps; no plan is longer than half of it
STILL, PUSHED = "still", "pushed"


@dataclass(frozen=True)
class Episode:
    """One episode of one run; lengths are None of a policy that does not plan, and where there was no such step."""

    task: str
    method: str
    seed: int
    world: str
    episode: int
    total: float
    length: float | None  # decisions for each plan
    after: float | None  # mean length of the first plan after a pushed step
    elsewhere: float | None  # and after a step far from every push


def main(arguments: Sequence[str] | None = None) -> None:
    """Play, keep, sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders; a method is called as the folder of its seeds")
    parser.add_argument("--probability", type=float, default=0.02, help="of a push before a frame (default 0.02)")
    parser.add_argument("--size", type=float, default=2.0, help="of a push (default 2)")
    parser.add_argument("--episodes", type=positive, default=10, help="with pushes, and as many without (default 10)")
    options = parser.parse_args(arguments)
    push, played = Push(options.probability, options.size), list[Episode]()
    for run in options.runs:
        played += evaluated(run, push, options.episodes)
        print(f"{run}: {', '.join(told(played[-2 * options.episodes :]))}", flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    keep(RESULTS / "episodes.csv", [asdict(episode) for episode in played])
    lines = [*summary(played), *contests(played)]
    keep(RESULTS / "summary.csv", lines)
    for line in lines:
        print("  ".join(shown(value) for value in line.values()))


# ------------------------------------------------------------ playing


def evaluated(run: Path, push: Push, episodes: int) -> list[Episode]:
    """The episodes of a run, without pushes and with them; the same numbers stand for the same seeds in every run."""
    policy = api.load(run)
    config = policy.run
    played = []
    for world, chosen in ((STILL, Push()), (PUSHED, push)):
        env = envs.make(config.env.name, replace(config.env, push=chosen))
        for i in range(episodes):
            total, plans, pushed = play(policy, env, derive(0, "evaluation", i))
            lengths = executed(plans)
            after, elsewhere = split(following(lengths), pushed)
            name = (config.env.name, run.parent.name, config.seed, world, i)
            played.append(Episode(*name, total, mean(lengths[lengths > 0]), mean(after), mean(elsewhere)))
        env.close()
    return played


def play(policy: Policy, env: gymnasium.Env[Any, Any], seed: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Return of an episode, and of its steps which ones opened a plan and which ones were pushed, [T] bool."""
    agent = policy.agent
    device = agent.temperature.target.device
    observation, _ = env.reset(seed=seed)
    carry, total, over = agent.initial(1), 0.0, False
    opened, pushes = list[bool](), [count(env)]
    while not over:
        action, carry = agent.act(tensors(agent.spec, observation[None], device), carry, deterministic=True)
        observation, reward, terminated, truncated, _ = env.step(action[0].cpu().numpy())
        total, over = total + float(reward), bool(terminated or truncated)
        opened += [bool(carry["plan.done"] == 1)] if "plan.done" in carry else []
        pushes.append(count(env))
    return total, np.array(opened, bool), np.diff(pushes) > 0


def count(env: gymnasium.Env[Any, Any]) -> int:
    """Pushes so far."""
    return env.get_wrapper_attr("pushes") if env.has_wrapper_attr("pushes") else 0


# ------------------------------------------------------------ lengths


def executed(opened: np.ndarray) -> np.ndarray:
    """Decisions of the plan that each step opened, 0 where none was, [T]; the end of an episode cuts its last plan."""
    starts = np.flatnonzero(opened)
    lengths = np.zeros(len(opened), np.int64)
    lengths[starts] = np.diff([*starts, len(opened)])
    return lengths


def following(lengths: np.ndarray) -> np.ndarray:
    """Of every step, the length of the first plan made after it, [T]; 0 where there is none that the end leaves whole.

    The newest plan of an episode is none: nobody knows how long it would have become.
    """
    starts = np.flatnonzero(lengths)[:-1]
    index = np.searchsorted(starts, np.arange(len(lengths)), side="right")
    return np.append(lengths[starts], 0)[index]


def split(following: np.ndarray, pushed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lengths that follow pushed steps, and those that follow steps far from every push."""
    if not len(following):  # single actions make no plans
        return following, following
    near = np.convolve(pushed, np.ones(2 * FAR - 1))[FAR - 1 :][: len(pushed)] > 0.5
    known = following > 0
    return following[known & pushed], following[known & ~near]


def mean(values: np.ndarray) -> float | None:
    """The mean, None of nothing."""
    return float(values.mean()) if len(values) else None


# ------------------------------------------------------------ summing up


def summary(played: Iterable[Episode]) -> list[dict[str, Any]]:
    """Mean and interval of every quantity, for each task, method and world: episodes over their runs."""
    found = grouped(played)
    lines = []
    for (task, method, world), runs in found.items():
        quantities: dict[str, list[list[Any]]] = {
            "return": [[episode.total for episode in run] for run in runs],
            "length": [[episode.length for episode in run] for run in runs],
        }
        if world == PUSHED:
            both = [[(e.after, e.elsewhere) for e in run if e.after and e.elsewhere] for run in runs]
            quantities["after a push"] = [[after for after, _ in run] for run in both]
            quantities["elsewhere"] = [[elsewhere for _, elsewhere in run] for run in both]
            quantities["after less elsewhere"] = [[after - elsewhere for after, elsewhere in run] for run in both]
        for name, values in quantities.items():
            if all(run and None not in run for run in values):
                lines.append(line(task, method, world, name, values))
    return lines


def contests(played: Iterable[Episode]) -> list[dict[str, Any]]:
    """Differences of returns between methods, episode by episode of equal seeds, with their intervals."""
    found, lines = grouped(played), []
    for (task, first, world), (other, second, beside) in combinations(found, 2):
        if (task, world) == (other, beside) and len(found[task, first, world]) == len(found[task, second, world]):
            runs = zip(found[task, first, world], found[task, second, world], strict=True)
            values = [[a.total - b.total for a, b in zip(*pair, strict=True)] for pair in runs]
            lines.append(line(task, f"{first} less {second}", world, "return", values))
    return lines


def grouped(played: Iterable[Episode]) -> dict[tuple[str, str, str], list[list[Episode]]]:
    """Episodes by task, method and world, and in these by run."""
    by_run: dict[tuple[str, str, str], dict[int, list[Episode]]] = defaultdict(lambda: defaultdict(list))
    for episode in played:
        by_run[episode.task, episode.method, episode.world][episode.seed].append(episode)
    return {key: [runs[seed] for seed in sorted(runs)] for key, runs in sorted(by_run.items())}


def line(task: str, method: str, world: str, name: str, runs: list[list[float]]) -> dict[str, Any]:
    """The mean of a quantity over all episodes of some runs, and its interval."""
    strata = [np.array(run, np.float64) for run in runs]
    low, high = bootstrap_interval(strata)
    told = {"task": task, "method": method, "world": world, "of": name}
    return {
        **told,
        "mean": float(np.concatenate(strata).mean()),
        "low": float(low),
        "high": float(high),
        "runs": len(runs),
    }


def told(played: list[Episode]) -> Iterable[str]:
    """Mean returns of one run."""
    for world in (STILL, PUSHED):
        yield f"{world} {np.mean([episode.total for episode in played if episode.world == world]):.1f}"


def shown(value: Any) -> str:
    """A cell for people."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    answered(main)
