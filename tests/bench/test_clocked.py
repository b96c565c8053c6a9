"""benchmarks/clocked.py: curves read at the steps that their time has on one processor, by hand."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import clocked
import raw

MINUTES = 2.5
RATE, EVALUATION = 10.0, 10.0  # env steps a second, seconds
COMPILING = 30.0  # seconds
# 150 s less 30, and 100 random steps of 0.1 s: 130 s, of which a step takes 0.1 and 10 / 100 for evaluations
STEPS = 650.0


def run(results: Path, method: str, seed: int, returns: Sequence[float], minutes: float = MINUTES) -> None:
    """A run with an evaluation every 100 steps and 20 seconds, which began to learn after 100 steps."""
    folder = results / method / "cheetah_run" / f"seed{seed}"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"minutes": minutes, "env": {"name": "cheetah_run"}}))
    rows = [f"{100 * i},{max(0, 100 * i - 100)},{value},{20 * i}" for i, value in enumerate(returns)]
    (folder / "eval.csv").write_text("\n".join(["env_steps,updates,return_mean,seconds", *rows]) + "\n")


def rate(results: Path, method: str, cpu: str = "this one", time: str = "2026-11-02", steps: float = RATE) -> None:
    row = {"measurement": time, "time": time, "cpu": cpu, "processors": "2", "threads": "1"}
    row |= {"steps_per_second": str(steps), "evaluation_seconds": str(EVALUATION), "first_seconds": str(COMPILING)}
    raw.add(results / "speed", raw.RATES, method, row | {"command": "loop --env cheetah_run"})


def test_returns_at_the_steps_that_the_time_has(tmp_path: Path) -> None:
    rate(tmp_path, "long")
    run(tmp_path, "long", 1, [0, 1, 2, 3, 4, 5, 6, 70, 80])
    run(tmp_path, "long", 2, [0, 3, 4, 5, 6, 7, 8, 90], minutes=3.0)
    with (tmp_path / "long/cheetah_run/seed2/eval.csv").open("a") as file:
        file.write("640,540,1000,128\n")  # where the clock once ended it
    # of 650 steps a third are 216 (evaluations 0, 1, 2), two thirds 433 (2, 3, 4), and the last evaluation is at 600
    assert "| cheetah_run | long | 2.5 | 650 | 1.7 | 4.0 | 6.0 | 1.4 | 2 |" in clocked.clocked(tmp_path)
    assert clocked.clocked(tmp_path)[0] == "Read at the steps that the time has on one core of this one:"


def test_runs_that_end_before_are_named_and_have_no_line(tmp_path: Path) -> None:
    for method, evaluations in {"enough": 6, "short": 5}.items():
        rate(tmp_path, method)
        run(tmp_path, method, 1, range(evaluations + 1))
    lines = clocked.clocked(tmp_path)
    assert lines[-1] == "Not long enough for that: `short` on cheetah_run."
    assert [line.split(" | ")[1] for line in lines if line.startswith("| cheetah_run")] == ["enough"]


def test_all_methods_are_given_the_same_time(tmp_path: Path) -> None:
    for method, minutes in {"long": 3.0, "usual": MINUTES}.items():
        rate(tmp_path, method)
        run(tmp_path, method, 1, range(20), minutes)
    assert "| cheetah_run | long | 2.5 | 650 | 1.0 | 3.0 | 5.0 |  | 1 |" in clocked.clocked(tmp_path)


def test_methods_without_a_measured_rate_are_read_at_their_own_time(tmp_path: Path) -> None:
    run(tmp_path, "own", 1, [0, 1, 2, 3, 4, 5, 6])
    run(tmp_path, "better", 1, [0, 1, 2, 3, 4, 5, 9])
    lines = clocked.clocked(tmp_path)
    assert lines[-2:] == [
        "| cheetah_run | better | 2.5 | 600 | 1.0 | 3.0 | 6.0 |  | 1 |",
        "| cheetah_run | own | 2.5 | 600 | 1.0 | 3.0 | 5.0 |  | 1 |",
    ]


def test_rates_are_of_the_processor_that_was_measured_last(tmp_path: Path) -> None:
    rate(tmp_path, "sac", cpu="older", time="2026-11-01", steps=1e9)
    rate(tmp_path, "sac")
    run(tmp_path, "sac", 1, range(8))
    (group,) = clocked.found(tmp_path)
    assert clocked.on(group, clocked.rates(tmp_path / "speed")["sac", "cheetah_run"]).steps == pytest.approx(STEPS)


def test_nothing_without_runs_that_a_clock_ends(tmp_path: Path) -> None:
    assert clocked.clocked(tmp_path) == []
