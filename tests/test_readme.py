"""What README.md names is there: commands and their flags, recipes, files, targets of make, and what Python imports."""

import ast
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import softrl
from softrl.cli import commands
from softrl.cli.flags import check, split, switches
from softrl.cli.train import Options, configured, understood
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.fields import fields, flat, override

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "README.md").read_text()
[BLOCK] = re.findall(r"^```python\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL)
TREE = ast.parse(BLOCK)
CODES = re.findall(r"`([^`]+)`", PAGE.replace("```", "").replace(BLOCK, "").replace("\n", " "))
LINES = re.findall(r"^    (.+?)(?:  +#.*)?$", PAGE.replace(BLOCK, ""), re.MULTILINE)
VALUES = {"ENV": "Pendulum-v1", "NAME": "sac", "$seed": "0"}
COMMANDS = [found for text in (*LINES, *CODES) for found in re.findall(r"softrl (?:[a-z]+\b(?! *=)|--)[^;>]*", text)]
FLAGS = sorted({code.partition(" >")[0] for code in CODES if code.startswith("--")})
NAMED = re.search(r"`softrl recipes` lists them: (.+?)\. Goal", PAGE, re.DOTALL)
FILES = [code for code in CODES if re.match(r"(docs|examples|softrl|benchmarks)/", code)]
LINKS = re.findall(r"\]\(([^):]+)\)", PAGE)


def words(text: str) -> list[str]:
    return [VALUES.get(word, word) for word in shlex.split(text)]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command: str) -> None:
    name, *rest = words(command)[1:]
    if name == "--help":
        return
    commands.find(name)
    kinds: Any = getattr(import_module(f"softrl.cli.{name}"), "Options", None)
    found = split(rest, switches(kinds()) | {"help"} if kinds else {"help"})
    if name == "train":
        understood(found)
    else:
        changed = list(flat(Run())) if name == "resume" else []
        check(found, [field.path for field in fields(kinds())] + changed if kinds else [])


@pytest.mark.parametrize("code", FLAGS)
def test_flags_are_known(code: str) -> None:
    found = split(["Pendulum-v1", *words(code)], switches(Options()) | {"help"})
    resumed = import_module("softrl.cli.resume").Options()
    known = flat(configured(found)).keys() | flat(Options()).keys() | flat(resumed).keys()
    check(found._replace(flags=dict.fromkeys(found.flags, "a value")), known)


def test_recipes_exist() -> None:
    assert NAMED
    names = [name for name in re.findall(r"`([^`]+)`", NAMED[1]) if name != "+"]
    assert len(names) > 25
    for name in names:
        apply(name, Run())


def test_files_exist() -> None:
    assert len(FILES) > 10
    for name in {*FILES, *LINKS}:
        path, _, heading = name.partition("#")
        assert (ROOT / path).exists(), name
        assert not heading or f"\n## {heading.replace('-', ' ')}\n" in (ROOT / path).read_text().lower(), name


def test_targets_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    asked = [text.removeprefix("make ") for text in (*LINES, *CODES) if text.startswith("make ")]
    assert {"train", "test"} <= set(asked) <= set(targets)


def test_what_python_names_is_there() -> None:
    modules = [node for node in ast.walk(TREE) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in modules] == ["import softrl"]
    used = {
        node.attr
        for node in ast.walk(TREE)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "softrl"
    }
    assert used >= {"train", "load", "evaluate", "make"}
    for name in used:
        assert getattr(softrl, name)


def test_rlpd_has_its_target_entropy_and_networks() -> None:
    """Half a nat an action (arXiv 2302.02948), also where redq has a table of targets by task."""
    [told] = re.findall(r"`(--recipe \S+) --replay\.dataset DATA` is RLPD .+? with\s+`(--\S+ \S+)`", PAGE, re.DOTALL)
    found = split(["HalfCheetah-v5", *words(" ".join(told))], [])
    run = override(configured(found), understood(found)[1])
    trunk: Any = run.agent.critic.trunk
    temperature: Any = run.agent.temperature
    assert (temperature.target_per_action, temperature.initial) == (-0.5, 1.0)
    assert (run.agent.critic.members, trunk.hidden, trunk.norm) == (10, (256, 256), "layer")
    assert (run.train.updates_per_decision, run.train.actor_every) == (20.0, 20)
    assert run.replay.dataset_share == 0.5
