"""benchmarks/run against a `softrl` that only pretends to learn: what it skips, resumes, waits for and gives up."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import jobs

BENCHMARKS = Path(jobs.__file__).parent

PRETENDER = '''#!{python}
"""train ENV --run DIR ..., or resume DIR: a checkpoint and an evaluation at 100, 200 and 300."""
import fcntl, json, pathlib, sys, time
words = sys.argv[1:]
pathlib.Path("{calls}").open("a").write(" ".join(words) + "\\n")
folder = pathlib.Path(words[words.index("--run") + 1] if words[0] == "train" else words[1])
if "mistaken" in str(folder):
    print("softrl: there is no recipe 'x'")
    raise SystemExit(2)
if words[0] == "train":
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({{"steps": 300}}))
    (folder / "eval.csv").write_text("env_steps,return_mean\\n")
lock = (folder / ".lock").open("w")
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
done = len(list(folder.glob("checkpoints/step_*")))
for step in (100, 200, 300)[done:]:
    time.sleep({pause})
    with (folder / "eval.csv").open("a") as file:
        file.write(f"{{step}},{{step / 2}}\\n")
    (folder / "checkpoints" / f"step_{{step:09d}}").mkdir(parents=True)
    if "fragile" in str(folder) and step == 100:
        raise SystemExit(1)
'''


class Bench:
    """A folder with a list, a pretender and its calls."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, folder / "calls"
        self.calls.touch()

    def start(self, *names: str, pause: float = 0.0, flags: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Start the program on a list of runs of these names."""
        pretender = self.folder / "softrl"
        pretender.write_text(PRETENDER.format(python=sys.executable, calls=self.calls, pause=pause))
        pretender.chmod(0o755)
        lines = [f"softrl train cheetah_run --run {self.folder / name}  # a comment" for name in names]
        (self.folder / "list.txt").write_text("\n".join(["# a list", "", *lines]))
        return subprocess.Popen(
            [sys.executable, BENCHMARKS / "runs.py", self.folder / "list.txt", "--every", "0.1", *flags],
            env={**os.environ, "SOFTRL": str(pretender)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def finish(self, *names: str, pause: float = 0.0, flags: tuple[str, ...] = ()) -> tuple[int, str]:
        """Exit code and output of the program."""
        process = self.start(*names, pause=pause, flags=flags)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output

    def called(self) -> list[str]:
        """What the pretender was called with, without the folder's path."""
        return self.calls.read_text().replace(f"{self.folder}/", "").splitlines()

    def wait_for(self, path: str) -> None:
        """Until a path exists."""
        deadline = time.monotonic() + 30
        while not (self.folder / path).exists():
            assert time.monotonic() < deadline, f"{path} did not appear"
            time.sleep(0.02)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_trains_with_one_thread_and_then_skips(bench: Bench) -> None:
    assert bench.finish("a", "b")[0] == 0
    trained = ["train cheetah_run --run a --threads 1", "train cheetah_run --run b --threads 1"]
    assert sorted(bench.called()) == trained
    code, output = bench.finish("a", "b")
    assert code == 0
    assert output.count("done before") == 2
    assert sorted(bench.called()) == trained


def test_resumes_what_was_cut(bench: Bench) -> None:
    bench.finish("a")
    shutil.rmtree(bench.folder / "a" / "checkpoints" / "step_000000300")
    code, output = bench.finish("a")
    assert code == 0
    assert bench.called()[-1] == "resume a"
    assert "a: 300 of 300, return 150.0, done" in output


def test_a_run_that_was_cut_before_its_first_checkpoint_begins_anew(bench: Bench) -> None:
    bench.finish("a")
    shutil.rmtree(bench.folder / "a" / "checkpoints")
    assert bench.finish("a")[0] == 0
    assert bench.called() == ["train cheetah_run --run a --threads 1"] * 2


def test_a_run_that_fails_is_resumed(bench: Bench) -> None:
    code, output = bench.finish("fragile")
    assert code == 0
    assert "ended with code 1" in output
    assert bench.called() == ["train cheetah_run --run fragile --threads 1", "resume fragile"]


def test_a_mistake_is_given_up_and_the_others_go_on(bench: Bench) -> None:
    code, output = bench.finish("mistaken", "a")
    assert code == 1
    assert "there is no recipe 'x'" in output
    assert "given up" in output
    assert sorted(call.split()[3] for call in bench.called()) == ["a", "mistaken"]  # two at a time, in either order


@pytest.mark.slow
def test_no_more_runs_at_a_time_than_workers(bench: Bench) -> None:
    process = bench.start("a", "b", pause=0.3, flags=("--workers", "1"))
    bench.wait_for("a/checkpoints")
    assert not (bench.folder / "b").exists()
    process.communicate(timeout=60)
    assert (bench.folder / "b").exists()


@pytest.mark.slow
def test_killed_and_started_again_it_waits_for_the_runs_that_go_on(bench: Bench) -> None:
    first = bench.start("a", pause=0.5)
    bench.wait_for("a/checkpoints/step_000000100")
    first.kill()
    first.wait()
    code, output = bench.finish("a")
    assert code == 0
    assert "a: 300 of 300" not in output  # it was somebody else's
    assert bench.called() == ["train cheetah_run --run a --threads 1"]
    assert jobs.Job(("softrl", "train"), bench.folder / "a").done()


def test_stopped_it_stops_its_runs(bench: Bench) -> None:
    process = bench.start("a", pause=5.0)
    bench.wait_for("a/.lock")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "start again to go on" in output
    assert not jobs.Job(("softrl", "train"), bench.folder / "a").occupied()


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    jobs.Job(("softrl", "train", "cheetah_run", "--run", str(tmp_path)), tmp_path).command()
    assert (tmp_path / "thesis.tex").exists()


def test_a_folder_is_occupied_while_it_is_locked(tmp_path: Path) -> None:
    job = jobs.Job(("softrl", "train"), tmp_path)
    assert not job.occupied()
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert job.occupied()
    assert not job.occupied()


def test_run_folders_are_those_of_softrl_train(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("softrl train cheetah_run --recipe redq+simba --seed 3\nsoftrl train Hopper-v5\n")
    assert [str(job.folder) for job in jobs.read(path, Path())] == [
        "runs/cheetah_run/redq+simba/seed3",
        "runs/Hopper-v5/sac/seed0",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("softrl train a\nsoftrl train a --recipe sac", "two lines train in runs/a/sac/seed0"),
        ("$SOFTRL_NOT_SET x.py --run b", "a variable is not set"),
        ("python x.py", "give it --run FOLDER"),
    ],
)
def test_lists_that_cannot_be(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(SystemExit, match=sentence):
        jobs.read(path, Path())


def test_the_lists_of_the_project_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEERS_PYTHON", "python")
    for path in sorted((BENCHMARKS / "lists").glob("*.txt")):
        assert jobs.read(path, Path()), path
