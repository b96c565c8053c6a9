from typing import Literal

import numpy as np
import pytest
from hypothesis import given, strategies as st

from softrl.run.kinds import conform, describe, parse, show

NAMED = dict[str, bool | int | float | str | None]
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
        (NAMED | None, "none", None),
        (NAMED | None, "a=1_000,b=2.5,c=true", {"a": 1000, "b": 2.5, "c": True}),
        (NAMED, "a = 1e3, b=False ,c=None,d=wide angle", {"a": 1000.0, "b": False, "c": None, "d": "wide angle"}),
        (NAMED, 'a="1",b="x,y=\\"z\\"",c=2024-01-01,d=.5', {"a": "1", "b": 'x,y="z"', "c": "2024-01-01", "d": 0.5}),
        (NAMED, '{"a": 1, "b": null}', {"a": 1, "b": None}),
        (NAMED, "{}", {}),
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
        (NAMED, ""),
        (NAMED, "a"),
        (NAMED, "a="),
        (NAMED, "a:1"),
        (NAMED, "1a=1"),
        (NAMED, "a=nan"),
        (NAMED, "a=[1]"),
        (NAMED, 'a="1'),
        (NAMED, '{"a": [1]}'),
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
        (NAMED, {"a": np.int64(3), "b": True, "c": "x"}, {"a": 3, "b": True, "c": "x"}),
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
        (NAMED, {"a": [1]}),
        (NAMED, {"a b": 1}),
        (NAMED, {1: 1}),
        (NAMED, [("a", 1)]),
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


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.dictionaries(st.text("abz_", min_size=1), scalars))
def test_shown_names_with_values_can_be_typed_again(value):
    read = parse(NAMED, show(value))
    assert list(read.items()) == list(value.items())
    assert [type(entry) for entry in read.values()] == [type(entry) for entry in value.values()]


def test_descriptions_read_as_the_end_of_a_sentence():
    assert describe(int) == "a whole number"
    assert describe(int | None) == "a whole number or none"
    assert describe(MODE) == "auto or never"
    assert describe(int | MODE) == "a whole number, auto or never"
    assert describe(bool) == "true or false"
    assert describe(tuple[int, ...]) == "values separated by commas (each a whole number)"
