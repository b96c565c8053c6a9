"""Checkpoints: what was saved comes back, through crashes, full disks and falling back, and nothing else stays."""

import contextlib
import errno
import multiprocessing
import os
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from softrl.errors import UserError
from softrl.run.checkpoint import Checkpoints
from softrl.run.saved import available, needed_segments, read
from softrl.run.segments import Segments

LENGTH = 8


class World:
    """A run as the storage sees it: all of its state is a function of its step."""

    def __init__(self, run, ring, values, keep=2, capacity=30):
        self.ring = ring(capacity)
        self.agent = values({})
        self.clocks = values({})
        replay = Segments(run / "replay", self.ring, LENGTH)
        self.run = run
        self.checkpoints = Checkpoints(run, keep, agent=self.agent, replay=replay, clocks=self.clocks)

    def go(self, step):
        """Be at a step."""
        self.ring.add(step - self.ring.newest)
        self.agent.state = {"weight": torch.full((3,), float(step)), "count": torch.tensor(step)}
        self.clocks.state = {"next": {"eval": step + 1}, "generator": np.arange(step % 5), "loss": 0.1 * step}

    def save(self, step):
        self.go(step)
        return self.checkpoints.save(step)

    def check(self, step):
        """Whether every part is what it was at that step."""
        assert self.ring.newest == step
        rows = torch.arange(self.ring.oldest, step)
        if step:
            assert torch.equal(self.ring.content()["reward"], rows * 0.5)
            assert torch.equal(self.ring.content()["obs/state"][:, 0, 0], (rows % 251).to(torch.uint8))
        assert self.agent.state["weight"].tolist() == [step] * 3
        assert self.agent.state["count"].item() == step
        assert self.clocks.state["next"]["eval"] == step + 1
        assert self.clocks.state["generator"].tolist() == list(range(step % 5))
        assert self.clocks.state["loss"] == 0.1 * step


@pytest.fixture
def world(tmp_path, ring, values):
    def make(keep=2, capacity=30, run=tmp_path):
        return World(run, ring, values, keep, capacity)

    return make


def folders(run):
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def segment_files(run):
    return {path.name for path in (run / "replay").glob("*")}


def needed(run):
    paths = (run / "checkpoints").glob("step_*")
    return {reference.name for path in paths for reference in needed_segments(path)}


def test_saved_state_comes_back(world):
    first = world()
    for step in (0, 11, 47):
        first.save(step)
    second = world()
    assert second.checkpoints.load() == 47
    second.check(47)
    assert second.checkpoints.warnings == []


def test_saving_changes_no_state(world):
    here = world()
    here.go(20)
    torch_state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    here.checkpoints.save(20)
    here.checkpoints.mark_best(20)
    here.check(20)
    assert torch.equal(torch_state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])
    assert python_state == random.getstate()


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_are_kept_with_their_segments_and_nothing_else(world, tmp_path, keep, fast_disk):
    here = world(keep=keep, capacity=20)
    here.save(0)
    here.checkpoints.mark_best(0)
    for step in range(7, 120, 7):
        here.save(step)
        kept = list(range(0, step + 1, 7))[-keep:]
        assert folders(tmp_path) == ["best"] + [f"step_{s:09d}" for s in kept]
        assert segment_files(tmp_path) == needed(tmp_path)
    for step in kept:
        again = world(keep=keep, capacity=20)
        assert again.checkpoints.load(step) == step
        again.check(step)


def test_best_is_a_small_checkpoint_of_the_agent(world, tmp_path):
    here = world()
    here.save(10)
    here.checkpoints.mark_best(10)
    here.save(20)
    here.checkpoints.mark_best(20)
    here.save(90)
    step, parts, warnings = read(tmp_path, "best")
    assert (step, list(parts), warnings) == (20, ["agent"], [])
    assert parts["agent"]["weight"].tolist() == [20.0] * 3


def test_best_cannot_be_resumed(world):
    here = world()
    here.go(10)
    here.checkpoints.mark_best(10)
    with pytest.raises(UserError, match="lacks clocks, replay"):
        here.checkpoints.load("best")


def test_saving_the_same_step_again_replaces_it(world, tmp_path):
    here = world()
    here.save(10)
    here.agent.state = {"weight": torch.ones(1)}
    here.checkpoints.save(10)
    assert folders(tmp_path) == ["step_000000010"]
    assert read(tmp_path).parts["agent"]["weight"].tolist() == [1.0]


def test_a_load_of_the_past_leaves_the_later_ones_until_the_next_save(world, tmp_path):
    here = world(keep=3)
    for step in (10, 20, 30):
        here.save(step)
    again = world(keep=3)
    again.checkpoints.load(10)
    assert available(tmp_path) == [10, 20, 30]
    assert segment_files(tmp_path) == needed(tmp_path)
    again.save(15)
    assert available(tmp_path) == [10, 15]
    assert segment_files(tmp_path) == needed(tmp_path)
    last = world(keep=3)
    assert last.checkpoints.load() == 15
    last.check(15)


def test_segments_of_an_interrupted_future_are_deleted_on_load(world, tmp_path):
    here = world()
    here.save(20)
    (tmp_path / "replay" / "rows_000000000800.safetensors").write_bytes(b"x")
    again = world()
    again.checkpoints.load()
    assert segment_files(tmp_path) == needed(tmp_path) != set()


def test_a_torn_newest_is_refused_and_then_written_over(world, tmp_path):
    here = world()
    here.save(10)
    torn = here.save(20)
    (torn / "agent.safetensors").write_bytes(b"")
    again = world()
    assert again.checkpoints.load() == 10
    again.check(10)
    assert len(again.checkpoints.warnings) == 1
    assert "step_000000020" in again.checkpoints.warnings[0]
    again.save(15)
    assert available(tmp_path) == [10, 15]


@pytest.fixture
def fast_disk(monkeypatch):
    """Without waiting for the disk, which would take most of a test that saves hundreds of times."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


class Crash(BaseException):
    """A kill: nothing in the program may catch it and clean up."""


CALLS = [(os, "rename"), (os, "replace"), (os, "fsync"), (Path, "mkdir"), (Path, "unlink"), (shutil, "rmtree")]


def break_calls(monkeypatch, calls, number, error):
    """Let all calls from that number on fail before they do anything; a removal of a folder fails half-way."""
    count = 0
    for owner, name in calls:
        original = getattr(owner, name)

        def broken(*args, _name=name, _original=original, **kwargs):
            nonlocal count
            count += 1
            if count >= number:
                if _name == "rmtree":
                    os.unlink(next(Path(args[0]).iterdir()))
                raise error
            return _original(*args, **kwargs)

        monkeypatch.setattr(owner, name, broken)
    return lambda: count >= number


def scenario(here):
    """Everything that writes: wrap-around, dropping, the same step twice, the best more than once."""
    for step in (20, 40, 60, 60):
        here.save(step)
        here.checkpoints.mark_best(step)


def test_a_crash_between_any_two_steps_leaves_a_checkpoint_and_no_rubbish(world, tmp_path, fast_disk):
    number, reached = 0, True
    while reached:
        number += 1
        run = tmp_path / str(number)
        run.mkdir()
        here = world(run=run)
        here.save(0)
        with pytest.MonkeyPatch.context() as monkeypatch:
            hit = break_calls(monkeypatch, CALLS, number, Crash())
            with contextlib.suppress(Crash):
                scenario(here)
            reached = hit()
        at = here.ring.newest
        again = world(run=run)
        step = again.checkpoints.load()
        again.check(step)
        assert again.checkpoints.warnings == []
        assert step in (at, at - 20), "the checkpoint being made, or the one before it"
        if (run / "checkpoints" / "best").exists():
            assert read(run, "best").step in (at, at - 20)
        again.save(80)
        assert again.checkpoints.load() == 80
        assert all(name == "best" or name.removeprefix("step_").isdigit() for name in folders(run))
        assert segment_files(run) == needed(run)
    assert number > 100


@pytest.mark.parametrize("name", ["step_000000010", "best"])
def test_a_crash_while_one_makes_way_for_another_brings_it_back(world, tmp_path, monkeypatch, name):
    here = world(keep=1)
    here.save(10)
    here.checkpoints.mark_best(10)
    original = os.rename

    def crash(source, target):
        if str(source).endswith(".partial"):
            raise Crash
        original(source, target)

    monkeypatch.setattr(os, "rename", crash)
    with pytest.raises(Crash):
        here.checkpoints.mark_best(10) if name == "best" else here.checkpoints.save(10)
    monkeypatch.undo()
    assert not (tmp_path / "checkpoints" / name).exists()
    again = world(keep=1)
    assert again.checkpoints.load() == 10
    again.check(10)
    assert folders(tmp_path) == ["best", "step_000000010"]
    assert read(tmp_path, "best").parts["agent"]["count"].item() == 10


def test_a_disk_that_is_full_at_any_moment_loses_nothing(world, tmp_path, fast_disk):
    number, reached = 0, True
    while reached:
        number += 1
        run = tmp_path / str(number)
        run.mkdir()
        here = world(run=run)
        here.save(10)
        with pytest.MonkeyPatch.context() as monkeypatch:
            hit = break_calls(monkeypatch, [(os, "fsync"), (Path, "mkdir")], number, OSError(errno.ENOSPC, "full"))
            said = "no error"
            try:
                here.save(30)
            except UserError as error:
                said = str(error)
            reached = hit()
        assert ("the disk is full: nothing was lost" in said) == reached
        assert not list((run / "checkpoints").glob("*.partial"))
        assert segment_files(run) == needed(run)
        again = world(run=run)
        step = again.checkpoints.load()
        assert step in (10, 30)
        again.check(step)
        here.save(50)  # room was made, the same process goes on
        last = world(run=run)
        assert last.checkpoints.load() == 50
        last.check(50)
    assert number > 8


def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(world, tmp_path):
    here = world()
    (tmp_path / "checkpoints").write_text("a file in the way")
    with pytest.raises(UserError, match="cannot write"):
        here.save(10)


@pytest.mark.parametrize("action", ["save", "load"])
def test_a_leftover_that_cannot_be_removed_is_said_in_a_sentence(world, tmp_path, monkeypatch, action):
    here = world()
    here.save(10)
    (tmp_path / "checkpoints" / "step_000000020.partial").mkdir()

    def refuse(path):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(UserError, match="operation not permitted: nothing was lost, let it be written"):
        here.save(20) if action == "save" else here.checkpoints.load()


def test_killed_at_random_moments_it_goes_on_from_the_last_checkpoint(world, tmp_path):
    context = multiprocessing.get_context("fork")
    reached = context.Value("l", -1, lock=False)  # a kill while a lock is held would leave it held

    def work():
        here = world(keep=2, capacity=50)
        start = here.checkpoints.load() if available(tmp_path) else 0
        reached.value = start
        for step in range(start + 3, 100_000, 3):
            here.save(step)
            reached.value = step

    for delay, last in ((random.uniform(0.01, 0.12), i == 11) for i in range(12)):
        process = context.Process(target=work)
        process.start()
        time.sleep(delay)
        while last and reached.value <= 0:  # a busy machine has not let it come so far
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        if reached.value > 0:
            again = world(keep=2, capacity=50)
            step = again.checkpoints.load()
            again.check(step)
            assert again.checkpoints.warnings == []
            assert step in (reached.value, reached.value + 3)
    assert reached.value > 0


def test_a_manifest_that_cannot_be_read_for_a_moment_costs_nothing(world, tmp_path, monkeypatch):
    here = world()
    here.save(20)
    here.save(40)
    whole, read_bytes = segment_files(tmp_path), Path.read_bytes

    def flaky(path):
        if path.name == "manifest.json":
            raise OSError(errno.EIO, "Input/output error")
        return read_bytes(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", flaky)
        here.checkpoints._prune_segments()
    assert segment_files(tmp_path) == whole != set()
    again = world()
    assert again.checkpoints.load() == 40
    again.check(40)
