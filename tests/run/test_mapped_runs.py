"""Runs whose frames lie in a file, and runs whose environments draw beside the learning: killed, they go on exactly."""

import functools
import importlib
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from softrl import api
from softrl.data.names import GEARS
from softrl.run.saved import available

SPAWN = multiprocessing.get_context("spawn")  # a forked child would take this process's server of workers for its own
SMALL: dict[str, Any] = {
    "steps": 240,
    "env.pixels.size": 16,
    "env.pixels.stack": 2,
    "env.time_limit": 25,
    "env.workers": "sync",
    "train.warmup": 40,
    "train.batch": 4,
    "train.updates_per_decision": 0.25,
    "replay.capacity": 100,  # overwritten twice
    "eval.every": 60,
    "eval.episodes": 1,
    "log.diagnostics": None,
    "video.every": "never",
    "threads": 1,
}
RECIPE = "sac_pixels+tiny"


def begun(path: Path, **options: Any) -> None:
    importlib.import_module("torch").set_num_threads(1)
    api.train(GEARS, RECIPE, run=path, **{**SMALL, **options})


def in_child(work: Any, kill_at: int | None = None, path: Path | None = None) -> None:
    """Do the work in a child, killed with -9 a little after the checkpoint of that step is on disk."""
    child = SPAWN.Process(target=work)
    child.start()
    deadline = time.monotonic() + 200
    while kill_at is not None and path is not None and child.is_alive() and time.monotonic() < deadline:
        if path.is_dir() and kill_at in available(path):
            time.sleep(0.03)
            os.kill(child.pid or 0, signal.SIGKILL)
            break
        time.sleep(0.005)
    child.join(200)
    assert child.exitcode in (0, -signal.SIGKILL)


def assert_same(one: Path, other: Path) -> None:
    name = "checkpoints/step_000000240/agent.safetensors"
    assert (one / name).read_bytes() == (other / name).read_bytes()

    def returns(path: Path) -> list[str]:
        return [line.rpartition(",")[0] for line in (path / "train.csv").read_text().splitlines()]

    assert returns(one) == returns(other)


def killed_and_resumed(folder: Path, kills: tuple[int, ...], **options: Any) -> None:
    whole, torn = folder / "whole", folder / "torn"
    in_child(functools.partial(begun, whole, **options))
    in_child(functools.partial(begun, torn, **options), kills[0], torn)
    for kill in kills[1:]:
        in_child(functools.partial(api.resume, torn), kill, torn)
    in_child(functools.partial(api.resume, torn))
    assert_same(whole, torn)


@pytest.mark.slow
def test_frames_in_a_file_leave_no_trace_of_a_stop(tmp_path: Path) -> None:
    """Stopped in the middle and resumed, after the ring was overwritten: as if never stopped, and as from memory."""
    short = {**SMALL, "steps": 120, "replay.capacity": 60, "replay.memory_map": True}
    whole = api.train(GEARS, RECIPE, run=tmp_path / "whole", **short).path
    part = api.train(GEARS, RECIPE, run=tmp_path / "part", callback=lambda told: told.env_steps >= 60, **short)
    assert not part.finished
    api.resume(part.path)
    held = api.train(GEARS, RECIPE, run=tmp_path / "held", **{**short, "replay.memory_map": False}).path
    name = "checkpoints/step_000000120/agent.safetensors"
    assert (whole / name).read_bytes() == (part.path / name).read_bytes() == (held / name).read_bytes()
    assert (whole / "frames.npy").exists()


@pytest.mark.slow
def test_kills_and_frames_in_a_file(tmp_path: Path) -> None:
    killed_and_resumed(tmp_path, (60, 120, 180), **{"replay.memory_map": True})


@pytest.mark.slow
def test_kills_and_processes_that_draw_beside_the_learning(tmp_path: Path) -> None:
    killed_and_resumed(tmp_path, (60, 120, 180), **{"collect": "async", "env.workers": "async", "envs": 2})
