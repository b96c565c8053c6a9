"""Whether the confidences of `qc_adaptive` tell what going on unseen costs: both ways are played from the same states.

    .venv/bin/python benchmarks/reliability.py runs/*/qc_adaptive/seed* [--states 300] [--horizon 100]

At states of deterministic episodes where the policy plans, the first 1, 2, .. actions of its plan are executed from the
very same state of the simulation, and each beginning is followed by the policy as it plans anew, all as in evaluations.
What action i brings that is executed unseen, instead of planning again before it, is the difference of the discounted
returns over the horizon: its gain. It is held against the confidence in that action, which the policy gave beforehand.

Raw gains and a summary go to benchmarks/results/reliability/. Intervals are bootstrap percentiles, 95%, from states
drawn again within each run: they hold for these policies. Confidences are learned of plans that are drawn, and of
values that count entropy; gains are of the plans of evaluations, and of returns alone.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from arguments import answered, positive
from tables import keep
from torch import Tensor

from softrl import api
from softrl.agent.agent import Agent
from softrl.data import envs
from softrl.data.collect import tensors
from softrl.data.snapshot import restore, snapshot
from softrl.errors import UserError
from softrl.math.stats import bootstrap_interval
from softrl.run.evaluate import Policy
from softrl.run.seed import derive
from softrl.types import Obs

RESULTS = Path(__file__).resolve().parent / "results" / "reliability"
SHARE = 1 / 16  # of the plans of an episode, those that are judged
EDGES = (0.0, 0.25, 0.5, 0.75, 1.0)
Env = gymnasium.Env[Any, Any]


@dataclass(frozen=True)
class Gain:
    """What one action of one plan brought."""

    task: str
    seed: int
    episode: int
    step: int  # decisions before the plan
    action: int  # 2 is the first that a plan may leave out
    confidence: float
    gain: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Play, keep, sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs of qc_adaptive")
    parser.add_argument("--states", type=positive, default=300, help="of each run (default 300)")
    parser.add_argument("--horizon", type=positive, default=100, help="decisions of a return (default 100)")
    options = parser.parse_args(arguments)
    found = [gain for run in options.runs for gain in judged(run, options.states, options.horizon)]
    RESULTS.mkdir(parents=True, exist_ok=True)
    keep(RESULTS / "gains.csv", [asdict(gain) for gain in found])
    lines = summary(found)
    keep(RESULTS / "summary.csv", lines)
    for line in lines:
        print("  ".join(f"{value:.3g}" if isinstance(value, float) else str(value) for value in line.values()))


# ------------------------------------------------------------ playing


def judged(run: Path, states: int, horizon: int) -> list[Gain]:
    """The gains of a run's plans at so many states, those of whole episodes."""
    policy, found = api.load(run), list[Gain]()
    if not policy.run.agent.chunk.prefixes:
        raise UserError(f"{run} has no confidences: give runs of qc_adaptive")
    env = envs.make(policy.run.env.name, policy.run.env)
    episode = 0
    while len(found) < states * (policy.agent.spec.chunk - 1):
        found += of_an_episode(policy, env, episode, horizon)
        episode += 1
    env.close()
    return found[: states * (policy.agent.spec.chunk - 1)]


def of_an_episode(policy: Policy, env: Env, episode: int, horizon: int) -> Iterator[Gain]:
    """The gains at some states of a deterministic episode."""
    agent, config = policy.agent, policy.run
    draw = np.random.default_rng(episode)
    observation, _ = env.reset(seed=derive(0, "evaluation", episode))
    carry, step, over = agent.initial(1), 0, False
    while not over:
        plans = bool(carry["plan.done"] >= carry["plan.length"])
        if plans and draw.random() < SHARE:
            confidences, returns = both_ways(agent, env, observation, horizon)
            for i in range(1, len(returns)):
                gain = returns[i] - returns[i - 1]
                yield Gain(config.env.name, config.seed, episode, step, i + 1, confidences[i - 1], gain)
        action, carry = agent.act(seen(agent, observation), carry, deterministic=True)
        observation, _, terminated, truncated, _ = env.step(action[0].cpu().numpy())
        over, step = bool(terminated or truncated), step + 1


@torch.no_grad()
def both_ways(agent: Agent, env: Env, observation: np.ndarray, horizon: int) -> tuple[list[float], list[float]]:
    """Confidences c_2..c_h here, and returns of beginnings of 1..h actions of a plan; the environment stays here."""
    here = snapshot(env)
    if here is None:
        raise UserError("this environment has no snapshots: it cannot be put back to execute a plan both ways")
    z, _ = agent.encoder.act(seen(agent, observation), agent.initial(1))
    plan = agent.actor.mode(z)[0].unflatten(-1, (agent.spec.chunk, -1))  # [h,A]
    returns = []
    for length in range(1, len(plan) + 1):
        restore(env, here)
        returns.append(outcome(agent, env, plan[:length], horizon))
    restore(env, here)
    return agent.actor.lengths.logits(z)[0].sigmoid().tolist(), returns


def outcome(agent: Agent, env: Env, beginning: Tensor, horizon: int) -> float:
    """The discounted return of these actions, [k,A], and of the deterministic policy after them."""
    carry, total, observation = agent.initial(1), 0.0, np.zeros(0)
    for t in range(horizon):
        if t < len(beginning):
            action = beginning[t : t + 1]
        else:
            action, carry = agent.act(seen(agent, observation), carry, deterministic=True)
        observation, reward, terminated, truncated, _ = env.step(action[0].cpu().numpy())
        total += agent.spec.gamma**t * float(reward)
        if terminated or truncated:
            break
    return total


def seen(agent: Agent, observation: np.ndarray) -> Obs:
    """One observation as the agent reads it, [1,..] where its weights are."""
    return tensors(agent.spec, observation[None], agent.temperature.target.device)


# ------------------------------------------------------------ summing up


def summary(gains: list[Gain]) -> list[dict[str, Any]]:
    """For each task: gains by confidence, and how well confidence tells plans that lose nothing from the others."""
    lines = []
    for task, runs in by_task(gains).items():
        for low, high in pairwise(EDGES):
            within = [
                np.where((low <= run[..., :1]) & (run[..., :1] < high + (high == 1)), run, np.nan) for run in runs
            ]
            name = f"confidence {low:g} to {high:g}"
            lines.append(line(task, name, "share no worse", within, no_worse))
            lines.append(line(task, name, "gain", within, mean_gain))
        lines.append(line(task, "all", "share no worse", runs, no_worse))
        lines.append(line(task, "all", "gain", runs, mean_gain))
        lines.append(line(task, "all", "told apart", runs, told_apart))
    return lines


def by_task(gains: list[Gain]) -> dict[str, list[np.ndarray]]:
    """Confidences and gains of every run of a task, [states,h-1,2]."""
    states: dict[str, dict[int, dict[tuple[int, int], list[tuple[float, float]]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for one in gains:
        states[one.task][one.seed][one.episode, one.step].append((one.confidence, one.gain))
    return {task: [np.array(list(run.values())) for run in runs.values()] for task, runs in states.items()}


def no_worse(pairs: np.ndarray) -> float:
    """Share of actions whose gain is not negative, of pairs [N,2]."""
    return float((pairs[:, 1] >= 0).mean()) if len(pairs) else np.nan


def mean_gain(pairs: np.ndarray) -> float:
    """Mean gain, of pairs [N,2]."""
    return float(pairs[:, 1].mean()) if len(pairs) else np.nan


def told_apart(pairs: np.ndarray) -> float:
    """P(confidence of an action that loses nothing > that of one that loses) of pairs [N,2]; 1/2 says nothing."""
    good = np.sort(pairs[pairs[:, 1] >= 0, 0])
    bad = pairs[pairs[:, 1] < 0, 0]
    if not len(good) or not len(bad):
        return np.nan
    above = len(good) - (np.searchsorted(good, bad, "left") + np.searchsorted(good, bad, "right")) / 2
    return float(above.mean() / len(good))


def line(
    task: str, name: str, of: str, runs: list[np.ndarray], statistic: Callable[[np.ndarray], float]
) -> dict[str, Any]:
    """A statistic of the pairs of all runs, [states,h-1,2] each, and its interval; pairs of NaN are left out.

    The interval is NaN where states that are drawn again may have no pair at all.
    """

    def of_each(drawn: np.ndarray, axis: int) -> np.ndarray:
        return np.array([statistic(pairs([sample])) for sample in drawn])

    low, high = bootstrap_interval(runs, of_each)
    here = pairs(runs)
    told = {"task": task, "where": name, "of": of, "value": statistic(here), "low": float(low), "high": float(high)}
    return told | {"actions": len(here), "runs": len(runs)}


def pairs(runs: list[np.ndarray]) -> np.ndarray:
    """All pairs that are known, [N,2]."""
    every = np.concatenate([run.reshape(-1, 2) for run in runs])
    return every[~np.isnan(every[:, 0])]


if __name__ == "__main__":
    answered(main)
