"""Dotted paths into frozen dataclasses: list, read and replace the fields of a configuration, and write it as JSON."""

import ast
import dataclasses
import inspect
import itertools
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple, TypeVar, get_origin, get_type_hints

from softrl.errors import UserError, either, nearest
from softrl.run import foreign
from softrl.run.familiar import FAMILIAR, NAMELESS, REMARKS
from softrl.run.kinds import alternatives, conform, element_kinds, is_mapping, parse, parts, show

C = TypeVar("C")
WHOLE = "the configuration"
"""What all fields together are called."""
TAG = "type"
"""The JSON key that names the class of a part, with its module where it comes from another package."""
ABSENT = "absent"
ARGUMENTS = "env.arguments"
OWN_PART = "one of your own comes with a recipe of your own, --recipe module:name"


class Field(NamedTuple):
    """One value of a configuration, as a flag or a recipe addresses it."""

    path: str
    kind: Any
    value: Any
    help: str


def kinds(part: Any) -> dict[str, Any]:
    """The annotation of each field of a part's class, resolved."""
    return _kinds(part)


def helps(part: Any) -> dict[str, str]:
    """The sentence under each field of a part's class: the string literal that follows its line."""
    return _helps(part)


# Cached because a stack of recipes asks some thousand times.
@cache
def _kinds(part: Any) -> dict[str, Any]:
    hints = get_type_hints(part)
    return {field.name: hints[field.name] for field in dataclasses.fields(part) if field.init}


@cache
def _helps(part: Any) -> dict[str, str]:
    try:
        source = inspect.getsource(part)
    except (OSError, TypeError):  # a part that was typed into an interpreter
        return {}
    body = ast.parse(textwrap.dedent(source)).body[0].body  # type: ignore[attr-defined]
    return {
        line.target.id: inspect.cleandoc(text)
        for line, below in itertools.pairwise(body)
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(text := below.value.value, str)
    }


def fields(config: Any, prefix: str = "") -> Iterator[Field]:
    """Every value of a configuration, part by part: exactly the fields of the parts that it holds."""
    texts, known = helps(type(config)), kinds(type(config))
    values, inner = members(config)
    for name, value in values.items():
        yield Field(f"{prefix}{name}", known[name], value, texts.get(name, ""))
    for name, part in inner.items():
        yield from fields(part, f"{prefix}{name}.")


def settings(config: Any) -> list[str]:
    """The paths of the values of a configuration that are no parts, and no places for one."""
    return [field.path for field in fields(config) if not parts(field.kind)]


def members(config: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a part holds: values, and parts that hold something themselves."""
    held = {name: getattr(config, name) for name in kinds(type(config))}
    inner = {name: value for name, value in held.items() if dataclasses.is_dataclass(value) and kinds(type(value))}
    return {name: value for name, value in held.items() if name not in inner}, inner


def flat(config: Any, prefix: str = "") -> dict[str, str]:
    """Every part and value of a configuration as text, dotted path -> class name or value, in the order of `fields`."""
    values, inner = members(config)
    texts = {f"{prefix}{name}": show(value) for name, value in values.items()}
    for name, part in inner.items():
        texts |= {f"{prefix}{name}": show(part)} | flat(part, f"{prefix}{name}.")
    return texts


def difference(one: Any, other: Any) -> list[tuple[str, str, str]]:
    """Where two configurations differ: dotted path and both values as text, `absent` for what only one of them has."""
    left, right = unlike(one, other), unlike(other, one)
    return [(path, left.get(path, ABSENT), right.get(path, ABSENT)) for path in left | right]


def unlike(config: Any, other: Any, prefix: str = "") -> dict[str, str]:
    """What `flat` says of a configuration, without what another has just the same."""
    theirs = {name: getattr(other, name, ABSENT) for name in kinds(type(config))}
    values, inner = members(config)
    texts = {f"{prefix}{name}": show(value) for name, value in values.items() if value != theirs[name]}
    for name, part in inner.items():
        if part != theirs[name]:
            own = {f"{prefix}{name}": show(part)} if type(part) is not type(theirs[name]) else {}
            texts |= own | unlike(part, theirs[name], f"{prefix}{name}.")
    return texts


class NoFieldError(UserError):
    """A path leads to no field; `part` is the path of what was looked into for it, and `name` what was looked for."""

    def __init__(self, prefix: str, name: str, hint: str) -> None:
        super().__init__(f"there is no field '{prefix}{name}'{hint}")
        self.part, self.name = prefix.removesuffix("."), name


def get(config: Any, path: str) -> Any:
    """The value or part at a dotted path; raises UserError with the nearest path when there is none."""
    return _descend(config, path)[1]


def _descend(config: Any, path: str) -> tuple[Any, Any]:
    kind, value, prefix = None, config, ""
    for name in path.split("."):
        kind, value = _field(value, prefix, name)
        prefix += f"{name}."
    return kind, value


def _field(part: Any, prefix: str, name: str) -> tuple[Any, Any]:
    """Kind and value of the field `name` of the part at `prefix`."""
    if dataclasses.is_dataclass(part) and name in kinds(type(part)):
        return kinds(type(part))[name], getattr(part, name)
    known = [field.path for field in fields(part, prefix)] if dataclasses.is_dataclass(part) else []
    hint = suggestion(prefix + name, known) or "; softrl train ENV --help lists the fields"
    raise NoFieldError(prefix, name, hint)


def suggestion(path: str, known: Iterable[str], dashes: str = "") -> str:
    """The end of a sentence about an unknown path: those that are meant, else the nearest, else nothing.

    Where known words have `dashes` in front on the command line, they get them here.
    """
    paths, word = list(known), path.lower().replace("-", "_")
    remark = REMARKS.get(word, "")
    meant = [other for other in FAMILIAR.get(word, "").split() if other in paths]
    if not meant and word in NAMELESS:
        return NAMELESS[word]
    if not meant:
        meant = [other for other in paths if other.rpartition(".")[2] == word]
        remark = own_argument(path, meant, dashes) if ARGUMENTS in paths else ""
    if not meant:
        return nearest(path, paths).replace("'", f"'{dashes}", 1) + remark
    quoted = [f"'{dashes}{other}'" for other in meant]
    return f"; did you mean {either(quoted)}{remark}?"


def own_argument(path: str, meant: Iterable[str], dashes: str) -> str:
    """What to say where an unknown path may be an argument of the environment's own."""
    name = path.removeprefix("env.")
    if not name.isidentifier() or not any(other.startswith("env.") for other in (path, *meant)):
        return ""
    return f" (an argument of the environment itself is {dashes}{ARGUMENTS} {name}=VALUE)"


def read(config: Any, texts: Mapping[str, str]) -> dict[str, Any]:
    """The values that flags mean, dotted path -> text; raises UserError for an unknown path or an unfit text."""
    values = {}
    for path, text in texts.items():
        kind, value = _descend(config, path)
        if value is None and parts(kind) and text != "none":
            raise UserError(f"'{path}' is a part, and none here: choose it with a recipe that has it; {OWN_PART}")
        if dataclasses.is_dataclass(value):
            inner = ", ".join(field.path for field in fields(value, f"{path}.")) or "it has none"
            raise UserError(f"'{path}' is a part: choose it with a recipe, or set its fields ({inner}); {OWN_PART}")
        with _naming(path):
            values[path] = parse(kind, text)
    return values


def override(config: C, changes: Mapping[str, Any], prefix: str = "") -> C:
    """A copy with other values, dotted path -> value or part; raises UserError for what does not exist or does not fit.

    Fields of one part change together, so that a check never compares a new value with one about to be replaced.
    """
    by_field: dict[str, dict[str, Any]] = {}
    for path, value in changes.items():
        name, _, below = path.partition(".")
        by_field.setdefault(name, {})[below] = value
    updated = {}
    for name, inner in by_field.items():
        kind, value = _field(config, prefix, name)
        if "" in inner:
            with _naming(prefix + name):
                given = inner.pop("")
                value = given if foreign.belongs(kind, given) else conform(kind, given)
        updated[name] = override(value, inner, f"{prefix}{name}.") if inner else value
    with _in(prefix.removesuffix("."), updated):
        return dataclasses.replace(config, **updated)  # type: ignore[type-var]


@contextmanager
def _in(path: str, names: Collection[str]) -> Iterator[None]:
    """Put the path of a part before a complaint that begins with the name of one of its fields."""
    try:
        yield
    except UserError as error:
        if path in ("", WHOLE) or str(error).partition(" ")[0] not in names:
            raise
        raise UserError(f"{path}.{error}") from error


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Turn the complaint about a value into a sentence that names its field."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"{path} {error}") from None


def to_json(value: Any, kind: Any = None) -> Any:
    """A configuration, in a field of some kind, as plain JSON values; every part names its class."""
    if dataclasses.is_dataclass(value):
        inner = {name: to_json(getattr(value, name), known) for name, known in kinds(type(value)).items()}
        return {TAG: foreign.tag(kind, type(value))} | inner
    if isinstance(value, tuple):
        return [to_json(item, inner) for inner, item in element_kinds(sequences(kind)[0], list(value))]
    return value


def from_json(kind: Any, data: Any, path: str = WHOLE) -> Any:
    """What `to_json` wrote, for a field of this kind; raises UserError for what this version does not know."""
    if isinstance(data, dict) and not is_mapping(kind):
        tag = str(data.get(TAG, ""))
        part = foreign.find(kind, tag)
        unknown = [] if part is None else [name for name in data if name != TAG and name not in kinds(part)]
        if unknown and ":" in tag:
            listed = ", ".join(f"'{name}'" for name in unknown)
            raise UserError(
                f"{path} has {listed} in the configuration, which {tag} lacks: give its class back what it had, or "
                "change the configuration as you have changed the class"
            )
        if part is None or unknown:
            raise UserError(f"{path} was written by another version of softrl: install that one to read it")
        inner = {name: name if path == WHOLE else f"{path}.{name}" for name in data.keys() - {TAG}}
        with _in(path, inner):
            return part(**{name: from_json(kinds(part)[name], data[name], below) for name, below in inner.items()})
    with _naming(path):
        if isinstance(data, list) and (several := sequences(kind)):
            return tuple(from_json(inner, item, path) for inner, item in element_kinds(several[0], data))
        return conform(kind, data)


def sequences(kind: Any) -> list[Any]:
    """The members of a kind that are tuples, at most one in a configuration."""
    return [member for member in alternatives(kind) if get_origin(member) is tuple]
