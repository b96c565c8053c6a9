"""Configurations that were edited by hand are read, or refused with one sentence."""

import contextlib
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from softrl.cli.main import main
from softrl.errors import UserError
from softrl.run.config import Run
from softrl.run.fields import from_json, override, to_json


def members_of(data: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in data.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from members_of(value, (*path, name))


@pytest.mark.parametrize("bad", [[1], [[None]], {"a": 1}, {"type": 3}, {"type": None}, True, 1.5, "?"], ids=str)
def test_a_configuration_edited_by_hand_is_read_or_refused_with_a_sentence(bad: Any) -> None:
    """Whatever stands in the place of whatever."""
    whole = json.dumps(to_json(Run()))
    for path in members_of(json.loads(whole)):
        data = json.loads(whole)
        inner = functools.reduce(lambda table, name: table[name], path[:-1], data)
        inner[path[-1]] = bad
        with contextlib.suppress(UserError):
            from_json(Run, data)


def test_a_list_in_the_place_of_a_number_is_named() -> None:
    with pytest.raises(UserError, match=r"^steps takes a whole number, got \[100\]$"):
        from_json(Run, {**to_json(Run()), "steps": [100]})


@pytest.mark.parametrize(
    ("field", "most"), [("train.batch", 2**20), ("threads", 1024), ("envs", 100_000), ("eval.episodes", 100_000)]
)
def test_numbers_that_no_machine_can_serve_are_refused(field: str, most: int) -> None:
    override(Run(), {field: most})
    with pytest.raises(UserError, match=f"{field} is {most + 1}: it must be at most {most}"):
        override(Run(), {field: most + 1})


def test_the_command_line_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"format": 1, **to_json(Run())}
    config["train"]["batch"] = [256]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main(["resume", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "softrl: train.batch takes a whole number, got [256]\n"
    assert main(["train", "Pendulum-v1", "--run", str(tmp_path / "run"), "--train.batch", "1e9"]) == 2
    assert "at most 1048576" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
