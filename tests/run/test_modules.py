"""Reading a run's configuration runs no code that may have come with it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from softrl.cli.main import main
from softrl.errors import UserError
from softrl.run.config import Run
from softrl.run.fields import to_json
from softrl.run.folder import write_config
from softrl.run.modules import check_modules, modules

RAN = "raise KeyboardInterrupt('code of a run ran')\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, in which modules are looked for."""
    monkeypatch.chdir(tmp_path)
    others = [
        path for path in sys.path if Path(path).name != "benchmarks"
    ]  # which has a runs.py, found before a folder
    monkeypatch.setattr(sys, "path", [*others, ""])
    return tmp_path


def write(path: Path, text: str = RAN) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def made(run: Path, **entries: Any) -> Path:
    """A run folder with nothing but a configuration."""
    write(run / "config.json", json.dumps({"format": 1, **to_json(Run()), **entries}))
    return run


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("runs.stranger.payload", "runs/stranger/payload.py"),
        ("runs.stranger.sub.payload", "runs/stranger/sub/payload.py"),
        ("runs.stranger.sub", "runs/stranger/sub/__init__.py"),
        ("runs.payload", "runs/payload.py"),  # unpacked beside the run
        ("runs.other.payload", "runs/other/payload.py"),
        ("other.payload", "other/payload.py"),  # another run, elsewhere
        ("runs.stranger.a:b", "runs/stranger/a:b.py"),
    ],
)
def test_code_that_lies_with_runs_is_refused(here: Path, module: str, file: str) -> None:
    run = made(here / "runs" / "stranger")
    made(here / "other")
    write(here / file)
    for path in (run, Path("runs/stranger"), Path("runs/../runs/stranger")):
        with pytest.raises(UserError, match=r"names the module '.*', which lies with runs, in .*, and no run may"):
            check_modules({"agent": [{"type": f"{module}:X"}]}, path)
    assert not any(name.startswith(("runs", "other")) for name in sys.modules)


@pytest.mark.parametrize("which", ["run", "the folder of runs"])
def test_links_hide_nothing(here: Path, which: str) -> None:
    away = here / "away"
    run = made(away / "stranger")
    write(run / "payload.py")
    link, target = (Path("runs"), away) if which == "the folder of runs" else (Path("runs", "stranger"), run)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(target)
    for path in (run, Path("runs/stranger")):
        with pytest.raises(UserError, match="lies with runs"):
            check_modules({"name": "runs.stranger.payload:X"}, path)


def test_the_working_folder_may_be_a_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(here / "stranger")
    write(run / "payload.py")
    monkeypatch.chdir(run)
    for path in (Path("."), Path("../stranger")):
        with pytest.raises(UserError, match="lies with runs"):
            check_modules({"name": "payload:X"}, path)


@pytest.mark.parametrize("name", ["mine:X", "package.mine:X", "collections.abc:X", "softrl.nn.heads:X", "absent.one:X"])
def test_modules_beside_runs_and_installed_ones_are_ones_own(here: Path, name: str) -> None:
    write(here / "config.json", '{"format": "of something else"}')
    for file in ("mine.py", "package/mine.py"):
        write(here / file)
    check_modules({"name": name, "recipe": f"sac+{name}"}, made(here / "runs" / "one"))


def test_several_may_be_named_in_one_text() -> None:
    assert modules("sac+a.b:c+d:e") >= {"a.b", "d"}
    assert modules("Pendulum-v1") == modules("sac+tiny") == set()


PART = {"type": "runs.stranger.payload:X"}
NAMED = {"env": {"name": "runs.stranger.payload:Pendulum-v1"}}


@pytest.mark.parametrize("entries", [NAMED, {"log": PART}, {"agent": {"update": PART["type"]}}])
@pytest.mark.parametrize(
    "words",
    [
        *(("evaluate", "R"), ("play", "R"), ("resume", "R")),
        ("train", "Pendulum-v1", "--init", "R"),
        ("train", "--config", "R/config.json"),
    ],
    ids=" ".join,
)
def test_commands_refuse_it(
    here: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], entries: dict[str, Any]
) -> None:
    run = made(here / "runs" / "stranger", **entries)
    write(run / "payload.py")
    assert main([word.replace("R", "runs/stranger", 1) if word[0] == "R" else word for word in words]) == 2
    assert "names the module 'runs.stranger.payload', which lies with runs" in capsys.readouterr().err


def test_a_run_is_not_made_unreadable(here: Path) -> None:
    write(here / "runs" / "tasks.py")
    run = made(here / "runs" / "mine")
    before = (run / "config.json").read_bytes()
    with pytest.raises(UserError, match="lies with runs"):
        write_config(run, {"env": {"name": "runs.tasks:Pendulum-v1"}})
    assert (run / "config.json").read_bytes() == before


def test_a_run_that_could_not_be_read_again_is_not_begun(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "mine" / "tasks.py", "")
    words = ["train", "mine.tasks:Pendulum-v1", "--recipe", "sac+tiny", "--steps", "10", "--run", "mine/run"]
    assert main(words) == 2
    assert "mine/run names the module 'mine.tasks', which lies with runs" in capsys.readouterr().err
    assert not (here / "mine" / "run").exists()
