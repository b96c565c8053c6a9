"""benchmarks/reached.py on evaluations made up here."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import reached


def run(folder: Path, returns: list[float]) -> None:
    """A run's results, with an evaluation every six minutes from the start on."""
    folder.mkdir(parents=True)
    rows = [f"{value},{360 * i}" for i, value in enumerate(returns)]
    (folder / "eval.csv").write_text("\n".join(["return_mean,seconds", *rows]) + "\n")


def test_three_evaluations_in_a_row_at_the_mean_of_the_peer_s_last_three(tmp_path: Path) -> None:
    run(tmp_path / "hour_sb3_sac/Hopper-v4/seed1", [900.0, 80.0, 100.0, 120.0])
    run(tmp_path / "hour_sb3_sac/Hopper-v4/seed2", [0.0, 60.0, 60.0, 60.0])
    run(tmp_path / "hour_sb3_sac/Ant-v4/seed1", [5.0])  # of which there is nothing to compare
    run(tmp_path / "hour_fast/Hopper-v4/seed1", [0.0, 80.0, 81.0, 200.0, 0.0])
    line = reached.reached(tmp_path)[2:]
    assert line == ["| Hopper-v4 | 80.0 | 2 and 1 | 18.0 | <= 20 | yes |"]
    run(tmp_path / "hour_fast/Hopper-v4/seed2", [90.0, 90.0, 79.9, 90.0, 90.0, 90.0])
    line = reached.reached(tmp_path)[2:]
    assert line == ["| Hopper-v4 | 80.0 | 2 and 2 | 18.0, 30.0 | <= 20 | no |"]


@pytest.mark.parametrize("returns", [[], [3.0, 3.0], [3.0, 3.0, 2.0, 3.0, 3.0]])
def test_a_return_that_is_not_reached(returns: list[float]) -> None:
    assert reached.minutes(list(enumerate(returns)), 3.0) is None


def test_there_is_no_table_without_results(tmp_path: Path) -> None:
    assert reached.reached(tmp_path) == []
