"""Workers start cleanly, stay out of Ctrl-C's reach, and fail in one sentence."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from softrl.data.envs import EnvConfig, step, vector
from softrl.data.snapshot import snapshots
from softrl.data.workers import end_without_trainer, start_method
from softrl.errors import UserError, own_traceback

SYNC, ASYNC = EnvConfig(workers="sync"), EnvConfig(workers="async")


class Still(gymnasium.Env[Any, Any]):
    """Nothing happens."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        return np.zeros(1), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return np.zeros(1), 1.0, False, False, {}


class Failing(Still):
    """Raises an exception that cannot be pickled."""

    def step(self, action: Any) -> Any:
        class LocalError(Exception):
            """Known nowhere else."""

        raise LocalError("100%d broken")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM])
def test_workers_outlive_what_is_meant_for_their_trainer(number: signal.Signals) -> None:
    """An alarm is what they set themselves at the others, and find their trainer alive when it rings."""
    vec = vector(Still, ASYNC, 2, 0)
    vec.reset()
    for process in vec.processes:
        os.kill(process.pid, number)
    assert len(snapshots(vec)) == 2
    vec.close()


def test_a_worker_without_a_trainer_ends_when_it_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    alarms: list[int] = []
    monkeypatch.setattr(signal, "alarm", alarms.append)
    with pytest.raises(SystemExit):  # this process has no trainer
        end_without_trainer(signal.SIGALRM, None)
    assert alarms == []


def test_workers_are_out_of_reach_of_ctrl_c() -> None:
    vec = vector(Still, ASYNC, 2, 0)
    assert {os.getsid(process.pid) for process in vec.processes} & {os.getsid(0)} == set()
    vec.close()


@pytest.mark.parametrize("config", [SYNC, ASYNC], ids=["sync", "async"])
def test_an_environment_that_fails_is_told(config: EnvConfig, capfd: pytest.CaptureFixture[str]) -> None:
    vec = vector(Failing, config, 2, 0)
    vec.reset()
    with pytest.raises(UserError) as told:
        step(vec, np.zeros((2, 1), np.float32))
    where = f"test_workers.py:{Failing.step.__code__.co_firstlineno + 4}"
    assert str(told.value) == f"the environment Failing raised LocalError in step: 100%d broken ({where})"
    assert 'raise LocalError("100%d broken")' in own_traceback(told.value)
    assert told.value.__cause__ is not None
    vec.close()
    assert capfd.readouterr() == ("", "")


class Clinging(Failing):
    """Cannot be closed either, and notes that it was asked to."""

    closed: list["Clinging"]

    def close(self) -> None:
        self.closed.append(self)
        raise OSError("the port is busy")


def test_environments_here_are_closed_once_after_a_failure() -> None:
    """Each of them, whatever befalls the others."""
    env = type("Clinging", (Clinging,), {"closed": []})
    vec = vector(env, SYNC, 3, 0)
    vec.reset()
    with pytest.raises(UserError, match="broken"):
        step(vec, np.zeros((3, 1), np.float32))
    vec.close()
    assert len(env.closed) == len(set(map(id, env.closed))) == 3


def test_a_worker_that_dies_is_told() -> None:
    vec = vector(Still, ASYNC, 2, 0)
    vec.reset()
    os.kill(vec.processes[1].pid, signal.SIGKILL)
    with pytest.raises(UserError, match="a process of the environment died"):
        step(vec, np.zeros((2, 1), np.float32))
    vec.processes[0].join(10)
    assert not vec.processes[0].is_alive()
    vec.close()


SCRIPT = """
import numpy as np
import gymnasium
from softrl.data.envs import EnvConfig, step, vector

class Mine(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))
    def reset(self, *, seed=None, options=None):
        return np.zeros(1), {}
    def step(self, action):
        return np.zeros(1), 1.0, False, False, {}

print("once")
vec = vector(Mine, EnvConfig(), 2, 0)
vec.reset()
print(step(vec, np.zeros((2, 1), np.float32))[1].tolist())
vec.close()
"""


def test_a_script_without_a_guard_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["once", "[1.0, 1.0]"]
    assert done.stderr == ""


KILLED = """
import os, signal
import numpy as np
from softrl.data.envs import EnvConfig, vector
vec = vector("Pendulum-v1", EnvConfig(workers="async"), 2, 0)
vec.reset()
vec.step_async(np.zeros((2, 1), np.float32))
print(*[process.pid for process in vec.processes], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_workers_do_not_outlive_a_killed_run_and_end_without_a_word() -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    assert "Traceback" not in done.stderr
    workers = [Path("/proc") / pid for pid in done.stdout.split()]
    assert len(workers) == 2
    for _ in range(100):
        if not any(worker.exists() for worker in workers):
            return
        time.sleep(0.1)
    raise AssertionError("workers are left")


class Large(Still):
    """Observes more than a pipe holds at once: the number of steps, a million times."""

    observation_space = gymnasium.spaces.Box(0, 255, (1_000_000,), np.float32)

    def __init__(self) -> None:
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        return np.zeros(1_000_000, np.float32), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return np.full(1_000_000, self.steps, np.float32), 1.0, False, False, {}


def test_observations_come_through_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes through the pipes of a step is small; the caller gets a copy, which later steps leave alone."""
    vec = vector(Large, ASYNC, 2, 0)
    vec.reset()
    sizes = []
    for pipe in vec.parent_pipes:
        received = pipe._recv

        def counted(size: int, read: Any = received) -> Any:
            sizes.append(size)
            return read(size)

        monkeypatch.setattr(pipe, "_recv", counted)
    first, second = (step(vec, np.zeros((2, 1), np.float32))[0] for _ in range(2))
    assert (first == 1).all()
    assert (second == 2).all()
    assert 0 < sum(sizes) < 10_000
    vec.close()


@pytest.mark.parametrize("drawing", [True, False])
def test_no_simulator_is_imported_for_workers_that_draw(monkeypatch: pytest.MonkeyPatch, drawing: bool) -> None:
    import mujoco  # noqa: F401

    told: list[list[str]] = []
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["forkserver"])
    monkeypatch.setattr(multiprocessing, "set_forkserver_preload", told.append)
    assert start_method(drawing) == "forkserver"
    assert ("mujoco" in told[0]) != drawing
    assert "softrl.data.envs" in told[0]


def test_workers_answer_after_a_sigterm_that_everybody_got() -> None:
    vec = vector("Pendulum-v1", ASYNC, 2, 0)
    vec.reset()
    for process in vec.processes:
        os.kill(process.pid, signal.SIGTERM)
    time.sleep(0.3)
    assert None not in snapshots(vec)
    vec.close()
    assert not any(process.is_alive() for process in vec.processes)


class Hanging(Still):
    """Never answers."""

    def step(self, action: Any) -> Any:
        time.sleep(1000)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises, also where tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_does_not_wait_for_an_environment_that_hangs() -> None:
    vec = vector(Hanging, ASYNC, 1, 0)
    vec.reset()
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        step(vec, np.zeros((1, 1), np.float32))
    assert vec.closed  # and closing it again waits for nobody
    vec.processes[0].join(10)
    assert not vec.processes[0].is_alive()


def test_workers_of_a_vector_that_is_forgotten_are_ended() -> None:
    vec = vector(Hanging, ASYNC, 1, 0)
    vec.reset()
    vec.step_async(np.zeros((1, 1), np.float32))
    [process] = vec.processes
    del vec
    process.join(10)
    assert not process.is_alive()


class Absent(Still):
    """Can be made here, and nowhere else."""

    def __init__(self) -> None:
        if multiprocessing.parent_process():
            raise ConnectionError("port 5555 is in use")


def test_what_a_worker_raises_while_it_makes_its_environment_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"Absent\(\) raised ConnectionError: port 5555 is in use"):
        vector(Absent, ASYNC, 2, 0)
    assert capfd.readouterr() == ("", "")


def test_a_name_that_only_this_process_knows_serves_its_workers() -> None:
    gymnasium.register("Registered-v0", entry_point=Still)
    try:
        vec = vector("Registered-v0", ASYNC, 2, 0)
        vec.reset()
        step(vec, np.zeros((2, 1), np.float32))
        vec.close()
    finally:
        del gymnasium.registry["Registered-v0"]


class Simulated(Failing):
    """Starts a process of its own; the first of two environments fails."""

    def __init__(self) -> None:
        super().__init__()
        self.simulator = subprocess.Popen(["sleep", "600"])

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return np.array([self.simulator.pid], np.float32), {}


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc").exists(), reason="asks Linux for processes")
def test_what_environments_have_started_ends_with_them() -> None:
    vec = vector(Simulated, ASYNC, 2, 0)
    started = vec.reset()[0][:, 0].astype(int).tolist()
    assert all(map(running, started))
    with pytest.raises(UserError, match="broken"):
        step(vec, np.zeros((2, 1), np.float32))
    deadline = time.monotonic() + 10
    while any(map(running, started)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(running, started))
