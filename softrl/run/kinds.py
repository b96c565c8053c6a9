"""Kinds of values: what a field's annotation accepts, from Python, JSON or a flag's text."""

import dataclasses
import json
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

SCALES = {"k": 1_000, "m": 1_000_000}
LARGEST = 2**63 - 1


class Basic(NamedTuple):
    """A plain type: its name in a sentence, and how it is read from a Python value and from text."""

    name: str
    check: Callable[[Any], Any]
    read: Callable[[str], Any]


def whole(value: Any) -> int:
    """A whole number of any numeric type, 1e6 included; raises ValueError for anything else."""
    number = real(value)
    if number != int(number) or abs(int(value)) > LARGEST:
        raise ValueError
    return int(value)


def real(value: Any) -> float:
    """A finite number of any numeric type; raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError from error
    if not math.isfinite(number):
        raise ValueError
    return number


def whole_text(text: str) -> int:
    """100000, 100_000, 100k, 1e5 or 0.1M as a whole number; raises ValueError for anything else."""
    scale = SCALES.get(text[-1:].lower(), 1)
    try:
        number = Decimal(text[:-1] if scale > 1 else text) * scale
    except ArithmeticError as error:
        raise ValueError from error
    # Compared before it is converted: int(Decimal("1e999999")) would take for ever.
    if not number.is_finite() or abs(number) > LARGEST or number != int(number):
        raise ValueError
    return int(number)


def chosen(options: dict[Any, Any]) -> Callable[[Any], Any]:
    """A reader of the values under `options`, which raises ValueError for any other."""

    def choose(value: Any) -> Any:
        for option, meaning in options.items():
            if type(value) is type(option) and value == option:
                return meaning
        raise ValueError

    return choose


BASICS = {
    int: Basic("a whole number", whole, whole_text),
    float: Basic("a number", real, lambda text: real(float(text))),
    bool: Basic("true or false", chosen({True: True, False: False}), chosen({"true": True, "false": False})),
    NoneType: Basic("none", chosen({None: None}), chosen({"none": None})),
}


PAIR = re.compile(r"""\s*(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|[^,"\s][^,"]*)(?:,|$)""")
WORDS = {"true": True, "false": False, "none": None, "null": None}


def pairs(text: str) -> dict[str, Any]:
    """size=48,wind=true,name=wide, or a JSON object, as names and scalars; raises ValueError for anything else."""
    if text.startswith("{"):
        return mapping(json.loads(text))
    found: dict[str, Any] = {}
    place = 0
    while not found or place < len(text):
        pair = PAIR.match(text, place)
        if pair is None:
            raise ValueError
        found[pair[1]], place = scalar(pair[2].strip()), pair.end()
    return mapping(found)


def scalar(text: str) -> Any:
    """A value as TOML or JSON writes it, or else text; raises ValueError for a list."""
    if text.startswith('"'):
        return json.loads(text)
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    with suppress(tomllib.TOMLDecodeError):
        value = tomllib.loads(f"value = {text}")["value"]
        return value if isinstance(value, bool | int | float | str | list) else text  # which might be a date
    with suppress(ValueError):
        return float(text)
    return text


def mapping(value: Any) -> dict[str, Any]:
    """Names and scalars, in a dict of their own; raises ValueError for anything else."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name.isidentifier() for name in value):
        raise ValueError
    return {name: plain(entry) for name, entry in value.items()}


def plain(value: Any) -> bool | int | float | str | None:
    """A scalar of JSON; raises ValueError for anything else."""
    if value is None or isinstance(value, bool | str):
        return value
    return int(value) if isinstance(value, Integral) else real(value)


def is_mapping(kind: Any) -> bool:
    """Whether a kind accepts names with values."""
    return any(get_origin(member) is dict for member in alternatives(kind))


def alternatives(kind: Any) -> list[Any]:
    """The members of a union, or the kind itself; text comes last because it accepts what the others are read from."""
    members = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return sorted(members, key=lambda member: member is str)


def parts(kind: Any) -> dict[str, Any]:
    """The part classes that a kind accepts, by name."""
    members = (member for member in alternatives(kind) if isinstance(member, type))
    return {member.__name__: member for member in members if dataclasses.is_dataclass(member)}


def conform(kind: Any, value: Any) -> Any:
    """A Python value as a field of this kind holds it; raises ValueError("takes ..., got ...")."""
    return _convert(kind, value, from_text=False)


def parse(kind: Any, text: str) -> Any:
    """The value that a flag's text means; raises ValueError("takes ..., got ...")."""
    return _convert(kind, text, from_text=True)


def _convert(kind: Any, value: Any, *, from_text: bool) -> Any:
    for alternative in alternatives(kind):
        with suppress(ValueError):
            return _convert_one(alternative, value, from_text=from_text)
    raise ValueError(f"takes {describe(kind)}, got {value!r}")


def _convert_one(kind: Any, value: Any, *, from_text: bool) -> Any:
    if get_origin(kind) is Literal:
        return chosen({option: option for option in get_args(kind)})(value)
    if get_origin(kind) is tuple:
        values = _split(value) if from_text else _sequence(value)
        return tuple(_convert(inner, item, from_text=from_text) for inner, item in element_kinds(kind, values))
    if get_origin(kind) is dict:
        return pairs(value) if from_text else mapping(value)
    if kind in BASICS:
        return BASICS[kind].read(value) if from_text else BASICS[kind].check(value)
    if not isinstance(value, kind):
        raise ValueError
    return value


def _split(text: str) -> list[str]:
    return [item.strip() for item in text.strip("()[]").split(",") if item.strip()]


def _sequence(value: Any) -> list[Any]:
    if not isinstance(value, (tuple, list)):
        raise ValueError
    return list(value)


def element_kinds(kind: Any, values: list[Any]) -> Iterable[tuple[Any, Any]]:
    """Pairs of kind and value for the elements of a tuple; raises ValueError when their number is wrong."""
    inner = get_args(kind)
    if inner[-1] is Ellipsis:
        inner = (inner[0],) * len(values)
    if len(inner) != len(values):
        raise ValueError(f"takes {len(inner)} values, got {len(values)}")
    return list(zip(inner, values, strict=True))


def describe(kind: Any) -> str:
    """What a kind accepts, as in `takes a whole number or none`."""
    names = [name for alternative in alternatives(kind) for name in _names(alternative)]
    last = "none" if "none" in names else names[-1]
    others = ", ".join(name for name in names if name != last)
    return f"{others} or {last}" if others else last


def _names(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return [str(option) for option in get_args(kind)]
    if get_origin(kind) is tuple:
        return [f"values separated by commas (each {describe(get_args(kind)[0])})"]
    if get_origin(kind) is dict:
        return ["NAME=VALUE separated by commas (numbers, text, true or false)"]
    if kind in BASICS:
        return [BASICS[kind].name]
    return ["text" if kind is str else str(kind.__name__)]


def show(value: Any) -> str:
    """A value as it is typed after a flag; a part by its class name."""
    if isinstance(value, tuple):
        return ",".join(show(item) for item in value)
    if isinstance(value, dict):
        return ",".join(f"{name}={quoted(entry)}" for name, entry in value.items()) or "{}"
    if dataclasses.is_dataclass(value):
        return type(value).__name__
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def quoted(value: Any) -> str:
    """A scalar as `pairs` reads it: text stands between quotation marks where it would be taken for something else."""
    text = show(value)
    if not isinstance(value, str):
        return text
    with suppress(ValueError):
        if pairs(f"name={text}") == {"name": text}:
            return text
    return json.dumps(text, ensure_ascii=False)
