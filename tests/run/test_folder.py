"""Run folders: named, never overwritten, held by one process, and every damage said in a sentence."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import softrl
from softrl.errors import UserError
from softrl.run import folder
from softrl.run.folder import add_command, create, locked, read_config, write_config

FORK = multiprocessing.get_context("fork")


def make(tmp_path, env="cheetah_run", recipe="sac", seed=3, **options):
    return create({"recipe": recipe}, ["softrl", "train"], env=env, recipe=recipe, seed=seed, root=tmp_path, **options)


WITHOUT_LOCKS = """
import sys
sys.modules["fcntl"] = None  # as on Windows
from softrl.cli.main import main
sys.exit(main(["train", "CartPole-v1"]))
"""


def test_a_system_without_file_locks_is_told_of_in_one_sentence(tmp_path):
    done = subprocess.run([sys.executable, "-c", WITHOUT_LOCKS], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("softrl: this system has no file locks")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_names_are_counted_up_and_never_used_twice(tmp_path):
    paths = [make(tmp_path) for _ in range(3)]
    assert [str(path.relative_to(tmp_path)) for path in paths] == [
        "cheetah_run/sac/seed3",
        "cheetah_run/sac/seed3-1",
        "cheetah_run/sac/seed3-2",
    ]
    assert make(tmp_path, seed=4).name == "seed4"


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ("ALE/Pong-v5", "ALE_Pong-v5"),
        ("package.module:Id-v0", "package.module_Id-v0"),
        ("../../etc", "_.._etc"),
        ("..", "unnamed"),
        ("", "unnamed"),
        ("<lambda>", "_lambda_"),
    ],
)
def test_environment_names_are_one_path_component(tmp_path, env, name):
    assert make(tmp_path, env=env, recipe="redq+simba") == tmp_path / name / "redq+simba" / "seed3"


def test_first_files(tmp_path):
    path = create({"steps": 5}, ["softrl", "train", "a b"], env="e", recipe="r", seed=0, root=tmp_path)
    assert sorted(file.name for file in path.iterdir()) == ["command.txt", "config.json", "versions.json"]
    assert (path / "command.txt").read_text() == "softrl train 'a b'\n"
    assert json.loads((path / "config.json").read_text()) == {"format": 1, "steps": 5}
    assert read_config(path) == {"steps": 5}
    assert "python" in json.loads((path / "versions.json").read_text())
    assert path.stat().st_mode & 0o755 == 0o755


def test_a_name_of_any_bytes_is_kept(tmp_path):
    run = tmp_path / os.fsdecode(b"r\xfc")
    path = create({}, ["softrl", "train", "--run", str(run)], env="e", recipe="r", seed=0, run=run)
    add_command(path, ["softrl", "resume", str(run)])
    first, second = (path / "command.txt").read_bytes().splitlines()
    assert first.endswith(b"/r\xfc'")
    assert second.endswith(b"/r\xfc'")


def test_further_files_come_with_the_first_ones(tmp_path):
    path = make(tmp_path, more={"spaces.json": {"continuous": 1}})
    assert json.loads((path / "spaces.json").read_text()) == {"continuous": 1}
    assert sorted(file.name for file in path.iterdir())[-2:] == ["spaces.json", "versions.json"]


def test_a_path_is_a_run_or_one_of_its_checkpoints():
    assert folder.located("runs/a", "latest") == (Path("runs/a"), "latest")
    assert folder.located("runs/a/checkpoints/best", "latest") == (Path("runs/a"), "best")
    assert folder.located("runs/a/checkpoints/step_000000150", "latest") == (Path("runs/a"), 150)
    with pytest.raises(UserError, match="step_abc is no checkpoint"):
        folder.located("runs/a/checkpoints/step_abc", "latest")


def test_a_run_may_lie_in_a_folder_of_that_name(tmp_path: Path) -> None:
    run = tmp_path / "checkpoints" / "mine"
    run.mkdir(parents=True)
    (run / "config.json").write_text("{}")
    assert folder.located(run, "best") == (run, "best")


def test_a_given_folder_is_used_new_or_empty(tmp_path):
    assert make(tmp_path, run=tmp_path / "mine" / "deep") == tmp_path / "mine" / "deep"
    (tmp_path / "empty").mkdir()
    assert read_config(make(tmp_path, run=tmp_path / "empty")) == {"recipe": "sac"}


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_given_folder_that_exists_is_refused_untouched(tmp_path, kind):
    run = tmp_path / "mine"
    if kind == "folder":
        make(tmp_path, run=run)
    else:
        run.write_text("a thesis")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    told = {
        "folder": r"mine exists: go on with `softrl resume .*mine`, or give --run another folder$",
        "file": r"mine exists and is no run folder: give --run another one$",
    }
    with pytest.raises(UserError, match=told[kind]):
        make(tmp_path, run=run)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert not list(tmp_path.glob(".new-*"))


def test_a_link_to_an_empty_folder_is_not_called_a_run(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    with pytest.raises(UserError, match=r"link exists and is no run folder: .*, such as .*link/run$"):
        make(tmp_path, run=tmp_path / "link")
    assert make(tmp_path, run=tmp_path / "link" / "run").is_dir()


def test_a_command_to_go_on_can_be_pasted(tmp_path):
    make(tmp_path, run=tmp_path / "my run")
    with pytest.raises(UserError, match=r"`softrl resume '.*my run'`"):
        make(tmp_path, run=tmp_path / "my run")


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write a run folder in"):
        make(tmp_path / "file")


def test_processes_that_start_together_get_different_folders(tmp_path):
    workers = [FORK.Process(target=make, args=(tmp_path,)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    runs = sorted((tmp_path / "cheetah_run" / "sac").iterdir())
    assert [path.name for path in runs] == ["seed3", *[f"seed3-{k}" for k in range(1, 8)]]
    assert all(read_config(path) for path in runs)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (None, "there is no run folder"),
        ("", "has no config.json"),
        ("{", "torn or was edited"),
        ("[]", "torn or was edited"),
        ("{}", "torn or was edited"),
        ('{"format": "one"}', "torn or was edited"),
        ('{"format": 99}', r"made by a newer softrl \(format 99\): update softrl"),
    ],
)
def test_what_is_no_run_is_said_in_a_sentence(tmp_path, damage, sentence):
    run = tmp_path / "run"
    if damage is not None:
        run.mkdir()
    if damage:
        (run / "config.json").write_text(damage)
    with pytest.raises(UserError, match=sentence):
        read_config(run)


def test_a_folder_of_somebody_else_is_said_in_a_sentence(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "is_file", refuse)  # whoever runs tests as root may look into everything
    with pytest.raises(UserError, match="cannot be looked into, permission denied: ask whose it is"):
        read_config(tmp_path)


def test_a_config_is_replaced_whole(tmp_path):
    path = make(tmp_path)
    write_config(path, {"steps": 9})
    assert read_config(path) == {"steps": 9}
    assert sorted(file.name for file in path.iterdir()) == ["command.txt", "config.json", "versions.json"]


def test_one_process_at_a_time(tmp_path):
    with locked(tmp_path), pytest.raises(UserError, match="is in use by another process"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_an_error_inside_lets_go_and_is_not_taken_for_a_lock(tmp_path):
    with pytest.raises(BlockingIOError), locked(tmp_path):
        raise BlockingIOError("of somebody else")
    with locked(tmp_path):
        pass


def test_a_killed_trainer_leaves_no_lock_even_when_its_workers_live_on(tmp_path):
    worker_id = FORK.Value("l", 0)

    def worker():
        worker_id.value = os.getpid()
        time.sleep(60)

    def trainer():
        with locked(tmp_path):
            FORK.Process(target=worker).start()
            time.sleep(60)

    process = FORK.Process(target=trainer)
    process.start()
    try:
        while not worker_id.value:
            time.sleep(0.01)
        with pytest.raises(UserError, match="in use"), locked(tmp_path):
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        os.kill(worker_id.value, 0)  # it lives
        with locked(tmp_path):
            pass
    finally:
        os.kill(worker_id.value, signal.SIGKILL)


def test_a_forked_child_that_leaves_the_block_does_not_unlock_it(tmp_path):
    with locked(tmp_path):
        if os.fork() == 0:
            os._exit(1 if folder._lock_descriptors else 0)
        _, status = os.wait()
        assert os.waitstatus_to_exitcode(status) == 0
        with pytest.raises(UserError, match="in use"), locked(tmp_path):
            pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_locks_is_said_in_a_sentence(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(folder.fcntl, "flock", refuse)
    with pytest.raises(UserError, match="cannot be locked"), locked(tmp_path):
        pass
    with pytest.raises(UserError, match="cannot be locked"):
        softrl.train("Pendulum-v1", "sac+tiny", run=tmp_path / "run", steps=50)
    assert not (tmp_path / "run").exists()
