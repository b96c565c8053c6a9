from dataclasses import dataclass

import pytest
from hypothesis import given, strategies as st

from softrl.cli.flags import check, choose, count_operands, split, switches
from softrl.errors import UserError


@dataclass(frozen=True)
class Options:
    """Some options."""

    count: int = 1
    """How many."""
    low: float = 0.0
    """How low."""
    loud: bool = False
    """How loud."""


def test_both_spellings_negative_numbers_and_switches():
    found = split(["run", "--low", "-5", "--count=3", "--loud", "other"], switches(Options()))
    assert found[:3] == (["run", "other"], {"low": "-5", "count": "3"}, {"loud"})
    assert choose(Options(), found) == Options(count=3, low=-5.0, loud=True)


def test_the_last_of_a_repeated_flag_counts():
    assert split(["--low", "1", "--low=2"], set()).flags == {"low": "2"}


def test_a_value_may_hold_an_equals_sign():
    assert split(["--name=a=b", "--other", "c=d"], set()).flags == {"name": "a=b", "other": "c=d"}


@pytest.mark.parametrize("words", [["--low"], ["--low="], ["--low", "--loud"], ["--loud", "--low"]])
def test_a_missing_value_is_said_so(words):
    with pytest.raises(UserError, match="--low needs a value"):
        check(split(words, {"loud"}), ["low"])


def test_an_unknown_flag_is_named_before_its_missing_value():
    with pytest.raises(UserError, match=r"there is no flag '--lou'; did you mean '--loud'\?"):
        check(split(["--lou"], {"loud"}), ["low", "loud"])


def test_a_switch_takes_no_value():
    with pytest.raises(UserError, match="--loud takes no value"):
        split(["--loud=yes"], {"loud"})


def test_a_single_dash_is_no_flag():
    with pytest.raises(UserError, match="there is no flag '-n': flags have names in full after two dashes"):
        split(["run", "-n", "5"], set())


def test_words_are_counted():
    count_operands(["a"], 1, 1, "softrl play RUN")
    with pytest.raises(UserError, match="a word is missing; write softrl play RUN"):
        count_operands([], 1, 1, "softrl play RUN")
    with pytest.raises(UserError, match="'b' is a word too many"):
        count_operands(["a", "b"], 1, 1, "softrl play RUN")


words = st.text("abzAZ09._,/ *", min_size=1)


@given(st.dictionaries(words, words), st.lists(words))
def test_any_flags_come_out_as_they_went_in(flags, operands):
    line = [*operands, *(word for name, text in flags.items() for word in (f"--{name}", text))]
    assert split(line, set())[:3] == (operands, flags, set())
