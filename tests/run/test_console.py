"""Consoles: a bar on a terminal, lines elsewhere, silence when asked; cheap in between."""

import functools
import io
import os
import pty
import subprocess
import sys
import time

import pytest

from softrl.run.console import COMPILING, Live, Plain, Quiet, Status, open_console


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_pause_for_compiling_is_announced(capsys):
    open_console(100, compiled=True).close()
    assert capsys.readouterr().out == f"{COMPILING}\n"
    for silent in (open_console(100, start=100, compiled=True), open_console(100, quiet=True, compiled=True)):
        silent.close()
    assert capsys.readouterr().out == ""


def test_the_console_suits_the_output(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert isinstance(open_console(100), Plain)
    assert isinstance(open_console(100, quiet=True), Quiet)


def test_plain_lines_every_few_seconds_and_at_each_evaluation(clock, capsys):
    console = Plain(100_000, seconds=5.0)
    console.progress(0)
    for step in range(1, 11):
        clock[0] += 1.0
        console.episode(step, float(step), 0.25)
        console.progress(step * 1000)
    console.evaluation(10_000, 123.456)
    console.learned({"train/critic_loss": 0.123456, "train/batch_reward": 0.5, "train/entropy": 1.0})
    clock[0] += 5.0
    console.progress(15_000)
    console.close()
    assert capsys.readouterr().out.splitlines() == [
        "5,000/100,000 steps  episode 5 of 0.2 s  return 5.0  1,000 steps/s  0:01:35 left",
        "10,000/100,000 steps  episode 10 of 0.2 s  return 10.0  1,000 steps/s  0:01:30 left",
        "10,000/100,000 steps  evaluation 123.5",
        "15,000/100,000 steps  episode 10 of 0.2 s  batch reward 0.5  critic 0.1235  "
        "return 10.0  eval 123.5  1,000 steps/s  0:01:25 left",
    ]


def test_quiet_says_nothing(capsys):
    console = open_console(10, quiet=True)
    console.progress(1)
    console.episode(1, 1.0, 0.1)
    console.learned({"train/critic_loss": 1.0})
    console.evaluation(1, 1.0)
    console.say("line")
    console.close()
    assert capsys.readouterr() == ("", "")


def test_the_pace_is_that_of_the_recent_past(clock):
    status = Status(10_000, seconds=1.0)
    for step in range(100):  # fast at first
        clock[0] += 1.0
        status.due(step * 50)
    for step in range(100):
        clock[0] += 1.0
        status.due(4950 + step)
    assert "1 steps/s" in status.text()


def test_a_run_that_stands_still_or_has_passed_its_end_promises_nothing_odd(clock):
    status = Status(100, seconds=1.0)
    status.due(0)
    clock[0] += 1.0
    status.due(0)
    assert status.text() == "0 steps/s"
    clock[0] += 1.0
    status.due(102)
    assert status.text() == "51 steps/s  0:00:00 left"


def test_steps_that_no_clock_will_see_have_no_time_left(clock):
    """As where the minutes are meant to end a run: `--steps 9e18 --minutes 30`."""
    status = Status(9 * 10**18, seconds=1.0)
    for step in (0, 10):
        status.due(step)
        clock[0] += 1.0
    assert status.text() == "10 steps/s"


@pytest.mark.parametrize("kind", [Plain, functools.partial(Live, start=0)])
def test_the_clock_may_end_a_run_before_its_steps_do(clock, capsys, kind):
    """Ten minutes at ten steps a second: of 10^5 steps, which would take hours, and of 3000, which take half of it."""
    for total, left in ((100_000, "0:09:58 left"), (3000, "0:04:58 left")):
        console = kind(total, seconds=1.0, left=600.0)
        for step in (0, 10, 20):
            console.progress(step)
            clock[0] += 1.0
        console.close()
        assert left in capsys.readouterr().out


def test_minutes_that_are_over_leave_no_time(clock):
    status = Status(1000, seconds=1.0, left=1.5)
    for step in (0, 10, 20):
        status.due(step)
        clock[0] += 1.0
    assert status.text() == "10 steps/s  0:00:00 left"


def test_progress_between_two_drawings_is_cheap():
    console = Plain(10**9, seconds=1e9)
    console.progress(0)
    began = time.perf_counter()
    for step in range(10_000):
        console.progress(step)
    assert time.perf_counter() - began < 0.5  # 50 microseconds each, on a busy machine


FIGURES = "400/1,000 steps  episode 1 of 0.1 s  batch reward 0.5  critic 2  reconstruction 0.01235  return 12.0"


def test_a_live_bar_on_a_terminal(monkeypatch, clock):
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "140")
        console = open_console(1000, start=200)
        assert isinstance(console, Live)
        console.progress(200)
        clock[0] += 2.0
        console.episode(1, 12.0, 0.1)
        console.progress(400)
        console.learned({"train/batch_reward": 0.5, "train/reconstruction_loss": 0.0123456, "train/critic_loss": 2.0})
        console.evaluation(400, 34.5)
        console.say("a [line] above")
        console.close()
        terminal.flush()
        shown = ""
        while "\x1b[?25h" not in shown:  # the cursor comes back at the very end
            shown += os.read(reader, 100_000).decode(errors="replace")
    os.close(reader)
    for text in ("400/1000", "return 12.0", "eval 34.5", "100 steps/s", "0:00:06 left", "a [line] above", FIGURES):
        assert text in shown, text


def test_rich_is_imported_by_the_bar_alone():
    code = "import sys; from softrl.run.console import Plain; Plain(1); print('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_a_run_goes_on_when_nobody_reads_any_more(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        for console in (Plain(100), Live(100, 0)):
            console.evaluation(0, 1.0)
            console.say("again")
            console.close()
