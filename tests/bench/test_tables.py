"""benchmarks/tables.py: tables in Markdown, and the evaluations that make a return."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from tables import evaluations, mean_of_last, table


def test_a_table_in_markdown() -> None:
    assert table(["task", "mean"], [["walker", "1.0"]]) == ["| task | mean |", "| --- | --- |", "| walker | 1.0 |"]


def test_the_last_three_evaluations_make_a_return(tmp_path: Path) -> None:
    (tmp_path / "eval.csv").write_text("env_steps,return_mean\n0,9\n1,1\n2,2\n3,6\n")
    assert mean_of_last(evaluations(tmp_path)) == (1 + 2 + 6) / 3
    assert mean_of_last(evaluations(tmp_path)[:1]) == 9
