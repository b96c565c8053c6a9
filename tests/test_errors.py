"""Modules of a person's own are named by words like `module:name`: whatever is wrong with them is one sentence."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from softrl.agent.updates import find as find_update
from softrl.cli.main import main
from softrl.data.names import canonical
from softrl.data.sources import described
from softrl.errors import UserError, import_errors
from softrl.recipes import find as find_recipe
from softrl.run.foreign import find as find_part

FINDERS: list[Callable[[str], Any]] = [
    canonical,
    described,
    find_recipe,
    find_update,
    lambda name: find_part(None, name),
]


@pytest.mark.parametrize("find", FINDERS, ids=["environment", "spec", "recipe", "update", "part"])
@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        ("./arena", "as in `import package.module`, must stand before the colon, and './arena' is a path"),
        ("tasks/arena", "'tasks/arena' is a path"),
        ("arena.py", "'arena.py' is a path"),
        ("", "'' is none"),
        ("absent", "(ModuleNotFoundError: No module named 'absent'): "),
        ("torn", "(SyntaxError: '(' was never closed (torn.py, line 1)): "),
        ("broken", "(NameError: name 'arena' is not defined): "),
        ("refusing", "choose another"),
    ],
)
def test_whatever_importing_raises_is_one_sentence(
    find: Callable[[str], Any], module: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torn.py").write_text("print(\n")
    (tmp_path / "broken.py").write_text("arena")
    (tmp_path / "refusing.py").write_text("from softrl.errors import UserError\nraise UserError('choose another')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError) as told:
        find(f"{module}:Arena-v0")
    assert sentence in str(told.value)
    assert "\n" not in str(told.value)


def test_the_command_line_says_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["./my_env:MyEnv-v0"], [":Pendulum-v1"], ["Pendulum-v1", "--recipe", "./my:recipe"]):
        assert main(["train", *words]) == 2
        assert "must stand before the colon" in capsys.readouterr().err


def test_what_is_imported_is_no_error() -> None:
    with import_errors("it", "os.path", "nothing"):
        assert os.path
