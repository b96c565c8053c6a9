"""benchmarks/tables.py and asked.py: what the measuring programs share."""

import argparse
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from asked import answered, one_of, positive, several
from tables import evaluations, mean_of_last, table

from softrl.errors import UserError


def test_a_table_in_markdown() -> None:
    assert table(["task", "mean"], [["walker", "1.0"]]) == ["| task | mean |", "| --- | --- |", "| walker | 1.0 |"]


def test_the_last_three_evaluations_make_a_return(tmp_path: Path) -> None:
    (tmp_path / "eval.csv").write_text("env_steps,return_mean\n0,9\n1,1\n2,2\n3,6\n")
    assert mean_of_last(evaluations(tmp_path)) == (1 + 2 + 6) / 3
    assert mean_of_last(evaluations(tmp_path)[:1]) == 9


def test_arguments_are_numbers_and_names() -> None:
    assert several(positive)("1,32") == [1, 32]
    assert several(one_of(["a", "b"]))("b") == ["b"]
    for text in ("0", "-1", "x", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="at least 1"):
            positive(text)
    with pytest.raises(argparse.ArgumentTypeError, match="'c' is none of a, b"):
        one_of(["a", "b"])("c")


def test_a_mistake_is_a_sentence_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise UserError("there is no run folder x")

    with pytest.raises(SystemExit) as exit_code:
        answered(fails)
    assert exit_code.value.code == 2
    assert capsys.readouterr().err == "there is no run folder x\n"
