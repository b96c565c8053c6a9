"""A run that is ended before its first checkpoint leaves nothing, or a folder that the next one can have."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import softrl
from softrl.errors import UserError
from softrl.run.folder import create, locked
from softrl.run.trainer import Trainer

FORK = multiprocessing.get_context("fork")
EMPTY = (
    "eval.csv",
    "log.txt",
    "dataset.safetensors",
    "frames.npy.partial",
    "checkpoints/step_000000000.partial/agent.safetensors",
)


def make(run: Path, recipe: str = "sac") -> Path:
    return create({"recipe": recipe}, ["softrl"], env="e", recipe=recipe, seed=0, run=run)


def killed(run: Path) -> Path:
    """A run folder as a process leaves it that is killed while it makes its first checkpoint."""
    make(run)
    with locked(run):
        pass
    for name in EMPTY:
        write(run / name, "env_steps\n")
    return run


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_folder_of_a_run_that_never_began_is_had_anew(tmp_path: Path) -> None:
    run = killed(tmp_path / "run")
    assert make(run, "redq") == run
    assert "redq" in (run / "config.json").read_text()
    assert sorted(path.name for path in run.iterdir()) == ["command.txt", "config.json", "versions.json"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("checkpoints/step_000000000/manifest.json", "{}"),
        ("checkpoints/best/manifest.json", "{}"),
        ("eval.csv", "env_steps\n0\n"),  # whose checkpoints somebody has thrown away
        ("notes.txt", "mine"),
    ],
)
def test_what_is_of_worth_stays(tmp_path: Path, name: str, text: str) -> None:
    run = killed(tmp_path / "run")
    write(run / name, text)
    with pytest.raises(UserError, match="exists: go on with"):
        make(run)
    assert (run / name).read_text() == text


def test_a_folder_that_is_being_filled_is_not_taken(tmp_path: Path) -> None:
    run = killed(tmp_path / "run")
    with locked(run), pytest.raises(UserError, match="is in use by another process"):
        make(run)
    assert (run / "log.txt").exists()


def test_of_processes_that_want_one_folder_one_has_it(tmp_path: Path) -> None:
    run = killed(tmp_path / "run")

    def want(number: int) -> None:
        try:
            make(run, str(number))
        except UserError:
            os._exit(1)
        os._exit(0)

    workers = [FORK.Process(target=want, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(worker.exitcode or 0 for worker in workers) == [0, *[1] * 7]
    assert f'"{[worker.exitcode for worker in workers].index(0)}"' in (run / "config.json").read_text()


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C interrupts, as it does where the tests do not run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_before_the_first_checkpoint_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def interrupted(trainer: Any) -> None:
        assert trainer.folder.exists()
        os.kill(os.getpid(), number)
        threading.Event().wait(5)

    monkeypatch.setattr(Trainer, "save", interrupted)
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        softrl.train("Pendulum-v1", "sac+tiny", run=tmp_path / "run", steps=50, **{"video.every": "never"})
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is before
