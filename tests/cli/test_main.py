import io
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from softrl.cli import doctor
from softrl.cli.commands import COMMANDS
from softrl.cli.main import main
from softrl.cli.output import answer
from softrl.errors import UserError
from softrl.run.config import Run


def test_help_names_every_command(capsys):
    for words in ([], ["--help"], ["-h"], ["help"]):
        assert main(words) == 0
        out = capsys.readouterr().out
        assert all(f"  softrl {name}" in out for name in COMMANDS)


def test_help_answers_in_half_a_second_and_loads_nothing_heavy():
    code = "import sys; from softrl.cli.main import main; main(['--help']); print(*sys.modules)"
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.perf_counter() - began < 2.0  # half a second, on a machine that is doing other things
    assert not {"torch", "numpy", "gymnasium", "mujoco", "matplotlib"} & set(done.stdout.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_page_in_full_sentences(name, capsys):
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: softrl {name}")
    assert COMMANDS[name].about.endswith(".")


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "0.1.0\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["tran"], "there is no command 'tran'; did you mean 'train'?"),
        (["xyz"], "there is no command 'xyz': choose one of train, resume,"),
        (["resume"], "a word is missing; write softrl resume RUN [--steps N]"),
        (["play", "a", "b"], "'b' is a word too many; write softrl play RUN"),
        (["evaluate", "a", "--episode", "3"], "there is no flag '--episode'; did you mean '--episodes'?"),
        (["evaluate", "a", "--episodes"], "--episodes needs a value"),
        (["evaluate", "a", "--episodes", "--json"], "--episodes needs a value"),
        (["evaluate", "a", "--episodes", "ten"], "episodes takes a whole number, got 'ten'"),
        (["evaluate", "a", "--episodes", "0"], "episodes is 0"),
        (["evaluate", "a", "--json=yes"], "--json takes no value"),
        (["evaluate", "a", "--checkpoint", "newest"], "checkpoint takes a whole number, latest or best, got 'newest'"),
        (["evaluate", "a", "--zzz", "1"], "there is no flag '--zzz'; --help lists them"),
        (["plot", "a", "--by", "colour"], "by takes recipe, env or seed, got 'colour'"),
        (["recipes", "sho", "sac"], "write softrl recipes list, show NAME or diff A B, not 'sho sac'"),
        (["recipes", "show", "sacc"], "there is no recipe 'sacc'; did you mean 'sac'?"),
        (["envs", "shw", "cheetah_run"], "write softrl envs list [PATTERN] or softrl envs show ENV"),
        (["envs", "show", "cheeta_run"], "unknown environment 'cheeta_run'; did you mean 'cheetah_run'?"),
        (["bench", "updates"], "there is nothing to measure called 'updates'; did you mean 'update'?"),
        (["envs", "list", "qqqq"], "no environment matches 'qqqq'"),
    ],
)
def test_mistakes_are_said_in_one_sentence(refused, words, sentence):
    assert refused(*words).startswith(sentence)


def test_debug_shows_where_a_mistake_was_noticed(capsys):
    assert main(["tran", "--debug"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("softrl: there is no command 'tran'")


def test_debug_is_offered_where_a_persons_own_code_failed(monkeypatch, refused, capsys):
    def fail(words):
        error = UserError("the environment Late raised KeyError in step: 'valve' (plant.py:43)")
        error.add_note("plant.py, line 43")
        raise UserError(str(error)) from error

    monkeypatch.setattr(doctor, "main", fail)
    sentence = "the environment Late raised KeyError in step: 'valve' (plant.py:43)"
    assert refused("doctor") == f"{sentence}; --debug shows the traceback"
    assert main(["doctor", "--debug"]) == 2
    err = capsys.readouterr().err
    assert "plant.py, line 43" in err
    assert err.splitlines()[-1] == f"softrl: {sentence}"


def test_a_sentence_of_several_lines_becomes_one(monkeypatch, refused):
    def fail(words):
        raise UserError("one\n  two")

    monkeypatch.setattr(doctor, "main", fail)
    assert refused("doctor") == "one two"


def test_an_interrupt_has_its_own_exit_code(monkeypatch, capsys):
    def interrupt(words):
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "main", interrupt)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), ""),
        (MemoryError("Unable to allocate 7.45 GiB for an array"), " (Unable to allocate 7.45 GiB for an array)"),
        (
            RuntimeError(
                "[enforce fail at a.cpp:1] err == 0. DefaultCPUAllocator: can't allocate memory: 9 bytes. Error"
            ),
            " (DefaultCPUAllocator: can't allocate memory: 9 bytes)",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB.\nGPU"), " (CUDA out of memory)"),
    ],
)
def test_memory_that_is_used_up_is_said_in_one_sentence(monkeypatch, refused, error, reason):
    def fail(words):
        raise error

    monkeypatch.setattr(doctor, "main", fail)
    assert refused("doctor").startswith(f"there is not enough memory{reason}: lower --replay.capacity, --train.batch")


def test_a_defect_is_not_dressed_up_as_a_mistake(monkeypatch):
    def fail(words):
        raise ZeroDivisionError

    monkeypatch.setattr(doctor, "main", fail)
    with pytest.raises(ZeroDivisionError):
        main(["doctor"])


def test_a_reader_that_closes_early_is_no_error():
    command = f"{sys.executable} -m softrl.cli.main envs list; echo $? >&2"
    done = subprocess.run(["bash", "-c", f"({command}) | head -n 1"], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert done.stderr == "0\n"


@pytest.mark.parametrize(
    ("target", "code", "err"),
    [
        ("&-", 0, ""),
        ("/dev/full", 2, "softrl: cannot write standard output, no space left on device: send it elsewhere\n"),
    ],
)
def test_an_output_that_cannot_be_written_is_no_defect(target, code, err):
    command = f"{sys.executable} -m softrl.cli.main --help >{target}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, err)


def test_letters_that_the_output_lacks_are_escaped(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(doctor, "main", lambda words: answer("rä"))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    assert main(["doctor"]) == 0
    assert written.getvalue() == b"r\\xe4\n"


def test_a_run_is_trained_also_where_nobody_reads_what_it_says(monkeypatch, here, small):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", buffering=1) as gone:  # as with PYTHONUNBUFFERED
        monkeypatch.setattr(sys, "stdout", gone)
        words = ["train", "Pendulum-v1", "--recipe", "sac+tiny", "--run", "run", *small, "--steps", "10"]
        assert main([word for word in words if word != "--quiet"]) == 0
    assert (here / "run" / "checkpoints" / "step_000000010").is_dir()


def test_python_finds_the_command_as_a_module():
    done = subprocess.run([sys.executable, "-m", "softrl", "tran"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "softrl: there is no command 'tran'; did you mean 'train'?\n")


@pytest.mark.parametrize(("what", "about"), [("update", "The time of one update"), ("envs", "What N environments")])
def test_each_page_of_bench_says_what_is_measured(what, about, capsys):
    assert main(["bench", what, "--help"]) == 0
    told = capsys.readouterr().out
    assert about in told
    assert "Flags of softrl train that begin with --agent, " in told


def test_bench_prints_the_lines_that_its_module_reports(monkeypatch, capsys):
    @dataclass(frozen=True)
    class Options:
        """Flags."""

        pairs: int = 10
        """Pairs of measurements."""

    module = SimpleNamespace(
        Options=Options,
        settable=lambda options: (Run(), ["train.gamma"]),
        report=lambda options, settings: [f"{options.pairs} pairs", f"{settings}"],
    )
    monkeypatch.setitem(sys.modules, "softrl.bench.update", module)
    assert main(["bench", "--pairs", "3"]) == main(["bench", "update", "--pairs=3"]) == 0
    assert capsys.readouterr().out == "3 pairs\n{}\n" * 2
    assert main(["bench", "--train.gamma", "0.9"]) == 0
    assert capsys.readouterr().out == "10 pairs\n{'train.gamma': 0.9}\n"
