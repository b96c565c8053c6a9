"""Files of flags: TOML for --config, printed by --print, and the config.json of any run."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from softrl.cli.flags import Words
from softrl.errors import UserError
from softrl.run.fields import TAG, fields, to_json
from softrl.run.kinds import parts, show
from softrl.run.modules import check_modules
from softrl.run.paths import expanded

NAMELESS = {TAG, "format"}
"""Keys of a config.json that are no flags: the parts come with the recipe."""

WHOLE = {"env.arguments"}
"""Tables that are the value of one flag."""


def with_file(found: Words) -> Words:
    """A command line with what the file of --config adds: what is typed wins, and `env.name` is the first word."""
    path = found.flags.get("config")
    if not path:
        return found
    given = load(expanded(path))
    if "config" in given:
        raise UserError(f"{path} sets config: a file of settings names no other, copy what is wanted of it")
    env = given.pop("env.name", "")
    filed = {name: text for name, text in given.items() if name not in found.flags}
    operands = found.operands or [env] * bool(env)
    return Words(operands, {**given, **found.flags}, found.switches, path, filed, env)


def load(path: Path) -> dict[str, str]:
    """The flags in a file, name -> text; raises UserError."""
    try:
        text = path.read_text("utf-8-sig")
        tables = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        if path.suffix == ".json":  # as in a run's folder; TOML is what people write
            check_modules(tables, path)
        return dict(flattened(tables))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give --config a .toml file or a config.json") from error
    except (ValueError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be understood ({error}): write TOML, such as agent.critic.members = 3"
        ) from error


def check_parts(path: Path, config: Any) -> None:
    """Raise UserError where a config.json has other parts than a configuration: they are no values that flags take."""
    if path.suffix == ".json":
        own = dict(classes(to_json(config)))
        for name, kind in classes(json.loads(path.read_text("utf-8-sig"))):
            if kind != own.get(name, kind):
                raise UserError(
                    f"{path} has {name} {kind}, and its recipe brings {own[name]}: such a part comes from Python, or "
                    "from a recipe of your own, as in --recipe sac+module:name"
                )


def classes(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The classes of the parts of a config.json, by dotted name."""
    for name, value in table.items():
        if isinstance(value, dict) and TAG in value:
            yield f"{prefix}{name}", value[TAG]
            yield from classes(value, f"{prefix}{name}.")


def flattened(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The values of nested tables, dotted name -> text as it would be typed."""
    for name, value in table.items():
        if isinstance(value, dict) and f"{prefix}{name}" not in WHOLE:
            yield from flattened(value, f"{prefix}{name}.")
        elif name not in NAMELESS:
            yield f"{prefix}{name}", (show(tuple(value)) or "()") if isinstance(value, list) else show(value)


def written(config: Any) -> str:
    """Every value of a configuration as a line of TOML that `load` reads."""
    values = [field for field in fields(config) if not parts(field.kind)]
    return "\n".join(f"{field.path} = {literal(field.value)}" for field in values)


def literal(value: Any) -> str:
    """A value in TOML, which writes text as JSON does and has no word for none."""
    if isinstance(value, dict):
        return json.dumps(show(value), ensure_ascii=False)
    return json.dumps(
        list(value) if isinstance(value, tuple) else "none" if value is None else value, ensure_ascii=False
    )
