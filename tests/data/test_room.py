"""Workers have room in memory, or a sentence says how many have."""

import resource
from pathlib import Path

import pytest

from softrl.data import room
from softrl.data.envs import EnvConfig, vector
from softrl.errors import UserError
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.run.resolve import cautions


def test_more_workers_than_have_room_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "memory", lambda: 8_000_000_000)
    with pytest.raises(
        UserError,
        match=r"envs is 100000: each has a process of 10 MB or more, and there are 8 GB of memory: use at most 800, "
        r"about 80 with a simulator, or --env.workers sync",
    ):
        vector("Pendulum-v1", EnvConfig(), 100_000, 0)
    room.check_room(800)


def test_a_crowd_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "memory", lambda: 8_000_000_000)
    run = override(Run(), {"envs": 81})
    assert cautions(run) == [
        "81 environments in processes of their own may need 8 GB of memory, and there are 8: use about 80, or "
        "--env.workers sync, where they have a simulator"
    ]
    assert cautions(override(run, {"envs": 80})) == cautions(override(run, {"envs": 801})) == []
    assert cautions(override(run, {"env.workers": "sync"})) == []


@pytest.mark.parametrize(("text", "bytes_there"), [("123456\n", 123456), ("max\n", None), ("", None)])
def test_a_container_may_have_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, bytes_there: int | None
) -> None:
    monkeypatch.setattr(room, "GROUPS", tmp_path)
    monkeypatch.setattr(room, "OWN", tmp_path / "absent")
    whole = room.memory()
    assert whole > 100_000_000
    (tmp_path / "memory.max").write_text(text)
    assert room.memory() == (bytes_there or whole)


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("0::/slurm/job_7/step_0", "slurm/job_7/memory.max"),
        ("4:memory:/slurm/job_7/step_0", "memory/slurm/job_7/memory.limit_in_bytes"),
        ("9:cpu,memory:/slurm/job_7", "memory/slurm/memory.limit_in_bytes"),
    ],
)
def test_a_job_of_a_scheduler_may_have_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, file: str
) -> None:
    """Its limit is that of the tightest group around this process."""
    monkeypatch.setattr(room, "GROUPS", tmp_path)
    monkeypatch.setattr(room, "OWN", tmp_path / "own")
    (tmp_path / "own").write_text(f"3:cpuset:/elsewhere\n{line}\n")
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("7000000\n")
    assert room.memory() == 7_000_000


def test_a_system_that_starts_no_more_processes_is_told() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    vector("Pendulum-v1", EnvConfig(workers="async"), 1, 0).close()  # the server that forks has its own limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 8, hard))
    try:
        with pytest.raises(UserError, match=r"starts no 40 processes \(Too many open files\): lower envs"):
            vector("Pendulum-v1", EnvConfig(workers="async"), 40, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
