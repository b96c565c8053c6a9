"""Parts that nobody could load again are refused before a run has a folder."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from softrl import api
from softrl.errors import UserError
from softrl.math.rules import Minimum
from softrl.run.config import Run
from softrl.run.fields import from_json, override, to_json
from softrl.run.readback import check_readable


class Colour(Enum):
    RED = 1


@dataclass(frozen=True)
class Own(Minimum):
    """A rule from elsewhere, with what a configuration can hold and what it cannot."""

    weights: Any = ()
    """Anything."""
    ranks: list[int] = field(default_factory=list)
    """Kinds that no configuration knows."""


@dataclass(frozen=True)
class Counted(Minimum):
    """A rule with a field that nobody gives."""

    places: int = 2
    """Given."""
    twice: int = field(init=False, default=4)
    """Not given."""


def configured(rule: Any) -> Run:
    return override(Run(), {"agent.target_rule": rule})


def test_what_can_be_read_back_is_taken() -> None:
    check_readable(Run())
    check_readable(configured(Counted(3)))
    again = from_json(Run, to_json(configured(Counted(3))))
    assert again.agent.target_rule == Counted(3)


@pytest.mark.parametrize(
    ("rule", "named"),
    [(Own(ranks=[1]), r"Own.ranks = \[1\]"), (Own(weights=Colour.RED), "Own.weights"), (Own(weights=len), "Own.weig")],
)
def test_what_cannot_is_named(rule: Any, named: str) -> None:
    with pytest.raises(UserError, match=named):
        check_readable(configured(rule))


def test_a_class_within_a_function_is_refused_before_there_is_a_folder(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Local(Minimum):
        """Nobody can import it."""

    with pytest.raises(UserError, match="Local"):
        api.train("Pendulum-v1", "sac+tiny", run=tmp_path / "run", **{"agent.target_rule": Local()})
    assert not (tmp_path / "run").exists()
