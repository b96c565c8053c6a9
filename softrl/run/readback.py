"""Whether a run's configuration can be read back from its folder, asked before there is one."""

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from softrl.agent.action_space import from_elsewhere, nested_parts
from softrl.errors import UserError
from softrl.run.config import Run
from softrl.run.fields import from_json, kinds, to_json

KEPT = "numbers, text, true or false, none, tuples of these, and other parts"
UNKEPT = (TypeError, ValueError, AttributeError, IndexError)
"""What writing or reading raises of values that no field of a configuration knows."""


def check_readable(run: Run) -> None:
    """Refuse parts from elsewhere that nobody could load again; raises UserError."""
    try:
        written = json.dumps(to_json(run))
        again = json.dumps(to_json(from_json(Run, json.loads(written))))
    except UNKEPT as error:
        where = ", ".join(lost(run)) or str(error)
        raise UserError(
            f"the run could not be loaded again, for {where} cannot be kept: a part may hold {KEPT}"
        ) from error
    if again != written:
        raise UserError(f"the run could not be loaded again as it is: parts of your own may hold {KEPT}")


def lost(run: Run) -> Iterator[str]:
    """The fields of parts from elsewhere whose values cannot be written and read back."""
    for part in filter(from_elsewhere, nested_parts(run)):
        for name in (field.name for field in fields(part) if field.init):
            if not readable(kinds(type(part))[name], getattr(part, name)):
                yield f"{type(part).__name__}.{name} = {getattr(part, name)!r}"


def readable(kind: Any, value: Any) -> bool:
    """Whether a value in a field of this kind can be written and read back."""
    try:
        from_json(kind, json.loads(json.dumps(to_json(value, kind))))
    except (*UNKEPT, UserError):
        return False
    return True
