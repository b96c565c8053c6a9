from typing import Literal

import numpy as np
import pytest
from hypothesis import given, strategies as st

from softrl.run.kinds import conform, describe, parse, show

MODE = Literal["auto", "never"]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (int, "100_000", 100_000),
        (int, "100k", 100_000),
        (int, "0.1M", 100_000),
        (int, "1e5", 100_000),
        (int, "-3", -3),
        (float, "3e-4", 3e-4),
        (float, "-5", -5.0),
        (bool, "true", True),
        (bool, "false", False),
        (str, "none", "none"),
        (int | None, "none", None),
        (int | None, "7", 7),
        (int | MODE, "never", "never"),
        (int | MODE, "10k", 10_000),
        (str | None, "none", None),
        (tuple[int, ...], "256,256", (256, 256)),
        (tuple[int, ...], "(256, 256)", (256, 256)),
        (tuple[int, ...], "256", (256,)),
        (tuple[float, float], "0.9,0.999", (0.9, 0.999)),
    ],
)
def test_text_is_read_as_the_kind_says(kind, text, value):
    read = parse(kind, text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int, "1.5"),
        (int, "k"),
        (int, ""),
        (int, "1e400"),
        (int, "1e999999999"),
        (int, "nan"),
        (float, "nan"),
        (float, "inf"),
        (float, "x"),
        (bool, "1"),
        (bool, "True"),
        (MODE, "Never"),
        (int | None, "None of them"),
        (tuple[int, ...], "256,x"),
        (tuple[float, float], "0.9"),
    ],
)
def test_text_of_another_kind_is_refused(kind, text):
    with pytest.raises(ValueError, match=r"^takes .*, got "):
        parse(kind, text)


@pytest.mark.parametrize(
    ("kind", "value", "held"),
    [
        (int, 1e6, 1_000_000),
        (int, np.int64(3), 3),
        (float, 1, 1.0),
        (float, np.float32(0.5), 0.5),
        (tuple[int, ...], [256, 256], (256, 256)),
        (int | None, None, None),
    ],
)
def test_python_values_are_held_as_the_kind_says(kind, value, held):
    assert conform(kind, value) == held
    assert type(conform(kind, value)) is type(held)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, "3"),
        (int, 2**63),
        (float, 10**400),
        (int, float("nan")),
        (int, True),
        (int, 1.5),
        (float, "1"),
        (float, float("nan")),
        (bool, 1),
        (MODE, "x"),
        (tuple[int, ...], 3),
    ],
)
def test_python_values_of_another_kind_are_refused(kind, value):
    with pytest.raises(ValueError, match=r"^takes "):
        conform(kind, value)


@given(st.none() | st.integers(-(10**15), 10**15))
def test_shown_whole_numbers_can_be_typed_again(value):
    assert parse(int | None, show(value)) == value


@given(st.booleans() | st.floats(allow_nan=False, allow_infinity=False))
def test_shown_numbers_can_be_typed_again(value):
    assert parse(type(value), show(value)) == value


@given(st.lists(st.integers(1, 4096), min_size=1, max_size=4).map(tuple))
def test_shown_tuples_can_be_typed_again(value):
    assert parse(tuple[int, ...], show(value)) == value


def test_descriptions_read_as_the_end_of_a_sentence():
    assert describe(int) == "a whole number"
    assert describe(int | None) == "a whole number or none"
    assert describe(MODE) == "auto or never"
    assert describe(int | MODE) == "a whole number, auto or never"
    assert describe(bool) == "true or false"
    assert describe(tuple[int, ...]) == "values separated by commas (each a whole number)"
