"""benchmarks/arguments.py: numbers, names, and mistakes in a sentence."""

import argparse
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from arguments import answered, one_of, positive, several

from softrl.errors import UserError


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
