"""Exact resume: killed with -9 at random moments, a run ends with the bytes of the run that was never killed."""

import csv
import itertools
import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from softrl import api
from softrl.data.names import GEARS
from softrl.run.saved import available

FORK = multiprocessing.get_context("fork")  # a child starts in milliseconds, with everything imported
SMALL = {
    "threads": 1,  # a pool of threads does not survive a fork
    "train.updates_per_decision": 0.25,
    "video.every": "never",
    "eval.every": 150,
    "eval.episodes": 1,
    "log.every": 70,
    "train.warmup": 60,
    "env.time_limit": 90,
}


def forked(work: Callable[[], Any], kill_after: float | None = None) -> bool:
    """Run `work` in a child, killed with -9 after some seconds; returns whether it came to its end."""
    child = FORK.Process(target=work)
    child.start()
    child.join(kill_after)
    if child.is_alive() and child.pid:
        os.kill(child.pid, signal.SIGKILL)
    child.join(120)
    assert child.exitcode in (0, -signal.SIGKILL), f"the run failed with exit code {child.exitcode}"
    return child.exitcode == 0


def training(env: Any, path: Path, recipe: str, **options: Any) -> Callable[[], Any]:
    return lambda: api.train(env, recipe, seed=3, run=path, **{**SMALL, **options})


def columns(path: Path, without: tuple[str, ...]) -> list[dict[str, str]]:
    with path.open() as file:
        return [{k: v for k, v in row.items() if k not in without} for row in csv.DictReader(file)]


def scalars(path: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{tag: value for tag, value in line.items() if not tag.startswith("time/")} for line in lines]


def assert_same_run(one: Path, other: Path, end: float | None = None) -> None:
    """The same checkpoints and tables; `other` has a row of its own where it was at its end for a while."""
    steps = available(one)
    assert steps == available(other)
    for step in steps:
        name = f"checkpoints/step_{step:09d}/agent.safetensors"
        assert (one / name).read_bytes() == (other / name).read_bytes(), f"weights differ at {step}"
    for table in ("eval.csv", "episodes.csv", "train.csv"):
        assert columns(one / table, ("seconds",)) == columns(other / table, ("seconds",)), table
    assert scalars(one / "metrics.jsonl") == [row for row in scalars(other / "metrics.jsonl") if not of_end(row, end)]
    best = "checkpoints/best/agent.safetensors"
    assert (one / best).read_bytes() == (other / best).read_bytes()


def of_end(row: dict[str, float], end: float | None) -> bool:
    """Whether a row tells of the updates up to the end of a run."""
    return row["env_steps"] == end and "train/n_updates" in row


def killed_again_and_again(env: Any, folder: Path, recipe: str, kills: int, seed: int, **options: Any) -> None:
    """Train once undisturbed, and under fire until there were so many kills; every ending must be the same."""
    whole = folder / "whole"
    began = time.perf_counter()
    assert forked(training(env, whole, recipe, **options))
    duration = time.perf_counter() - began
    chance = random.Random(seed)
    for attempt in itertools.count():
        torn = folder / f"torn{attempt}"
        ended = forked(training(env, torn, recipe, **options), chance.uniform(0.2, 0.8) * duration)
        if not any(available(torn)):  # a kill before the first checkpoint after that of step 0 proves nothing
            continue
        kills -= not ended
        while kills > 0:
            if forked(lambda: api.resume(torn), chance.uniform(0.02, 0.5) * duration):  # noqa: B023
                break
            kills -= 1
        assert forked(lambda: api.resume(torn))  # noqa: B023
        assert_same_run(whole, torn)
        if kills <= 0:
            return


@pytest.mark.parametrize(("seed", "kills"), [(0, 3), pytest.param(1, 30, marks=pytest.mark.slow)])
def test_kills_at_random_moments_leave_no_trace(tmp_path: Path, seed: int, kills: int) -> None:
    killed_again_and_again("Pendulum-v1", tmp_path, "sac+tiny", kills=kills, seed=seed, steps=400)


@pytest.mark.slow
def test_two_environments_and_sac_v1(tmp_path: Path) -> None:
    options = {"envs": 2, "env.workers": "sync", "replay.capacity": 200, "steps": 400}
    killed_again_and_again("Pendulum-v1", tmp_path, "sac_v1_hard+tiny", kills=1, seed=9, **options)


@pytest.mark.slow
def test_normalisers_priorities_held_noise_and_new_units(tmp_path: Path) -> None:
    """What the improvements remember beside weights: in buffers, in the carry and in the sampler."""
    options = {"steps": 300, "agent.plasticity.every": 20, "agent.plasticity.threshold": 0.3, "log.diagnostics": 50}
    killed_again_and_again("Pendulum-v1", tmp_path, "flashsac+per+redo+tiny", kills=2, seed=4, **options)


@pytest.mark.slow
@pytest.mark.parametrize(("env", "recipe"), [(GEARS, "sac_ae+tiny"), ("Pendulum-v1", "smac+states+tiny")])
def test_pictures_and_what_a_world_model_remembers(tmp_path: Path, env: str, recipe: str) -> None:
    options = {"steps": 200, "eval.every": 100, "train.warmup": 50, "train.batch": 4, "env.workers": "sync"}
    killed_again_and_again(env, tmp_path, recipe, kills=1, seed=2, **options)


@pytest.mark.slow
@pytest.mark.parametrize("env", ["cheetah_run", "reacher_easy", "Hopper-v5"])
def test_full_runs(tmp_path: Path, env: str) -> None:
    options = {"steps": 6000, "eval.every": 1000, "env.time_limit": None, "train.warmup": 500}
    killed_again_and_again(env, tmp_path, "sac+tiny", kills=8, seed=1, **options)


@pytest.mark.slow
def test_compiled_runs_resume_exactly(tmp_path: Path) -> None:
    options = {"steps": 2000, "eval.every": 500, "compile": "graph", "train.warmup": 200}
    killed_again_and_again("Pendulum-v1", tmp_path, "sac+tiny", kills=4, seed=2, **options)


GRAPH = {"device": "cuda", "compile": "cudagraph"}
OFTEN = {"envs": 4, "env.workers": "sync", "train.updates_per_decision": 2.0}


@pytest.mark.parametrize(
    "options",
    [
        *(pytest.param(options, marks=pytest.mark.slow) for options in ({}, OFTEN, {"precision": "bfloat16"})),
        *(
            pytest.param(options, marks=pytest.mark.gpu)
            for options in (
                {"device": "cuda"},
                {"device": "cuda", "replay.host": True},
                GRAPH,
                GRAPH | {"replay.host": True},
                GRAPH | {"precision": "bfloat16"},
                GRAPH | OFTEN,  # several updates a launch
            )
        ),
    ],
    ids=str,
)
def test_a_longer_run_in_two_parts_equals_one(tmp_path: Path, options: dict[str, Any]) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    training("Pendulum-v1", whole, "sac+tiny", steps=300, **options)()
    training("Pendulum-v1", parts, "sac+tiny", steps=150, **options)()
    end = scalars(parts / "metrics.jsonl")[-1]["env_steps"]
    api.resume(parts, steps=300)
    assert_same_run(whole, parts, end)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    training("Pendulum-v1", one, "sac+tiny", steps=300)()
    training("Pendulum-v1", two, "sac+tiny", steps=300)()
    api.train("Pendulum-v1", "sac+tiny", seed=4, run=other, **{**SMALL, "steps": 300})
    assert_same_run(one, two)
    name = "checkpoints/step_000000300/agent.safetensors"
    assert (one / name).read_bytes() != (other / name).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_signals_save_at_once_and_resume_exactly(tmp_path: Path, number: signal.Signals) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    training("Pendulum-v1", whole, "sac+tiny", steps=400)()

    def signalled() -> None:
        told = []

        def send(progress: api.Progress) -> None:
            told.append(progress.env_steps)
            if progress.env_steps == 210:
                os.kill(os.getpid(), number)

        result = api.train("Pendulum-v1", "sac+tiny", seed=3, run=cut, callback=send, **{**SMALL, "steps": 400})
        assert not result.finished

    assert forked(signalled)
    assert 210 in available(cut)  # not a mark of any schedule
    api.resume(cut)
    final = "checkpoints/step_000000400/agent.safetensors"
    assert (whole / final).read_bytes() == (cut / final).read_bytes()
    assert columns(whole / "eval.csv", ("seconds",)) == columns(cut / "eval.csv", ("seconds",))
