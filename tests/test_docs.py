"""What the documentation names exists, and every numbered equation of the theory says what computes it."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
NAME = re.compile(r"`(softrl(?:\.[A-Za-z_]\w*)+)")
TESTS = re.compile(r"`(tests/[\w/]+\.py)`")


def resolve(name: str) -> Any:
    """The object with a dotted name: the longest module that can be imported, then attributes."""
    parts = name.split(".")
    for depth in range(len(parts), 0, -1):
        try:
            found: Any = import_module(".".join(parts[:depth]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[depth:]:
            found = getattr(found, attribute)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_resolve(page: Path) -> None:
    for name in set(NAME.findall(page.read_text())):
        found = resolve(name)
        home = getattr(found, "__module__", name)
        if name.count(".") > 1 and home.startswith("softrl."):  # not what the package hands on
            assert name.startswith(home), f"{name} is imported from {home}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_that_are_named_exist(page: Path) -> None:
    for name in TESTS.findall(page.read_text()):
        assert (DOCS.parent / name).is_file(), name


@pytest.mark.parametrize("name", ["softrl.math.returns.no_such_value", "softrl.nowhere.at_all", "softrl.math.nothing"])
def test_a_name_that_does_not_resolve_is_found(name: str) -> None:
    with pytest.raises((AttributeError, ModuleNotFoundError)):
        resolve(name)


def test_each_equation_is_numbered_in_order_and_names_its_function() -> None:
    pieces = re.split(r"\\tag\{(\d+)\}", (DOCS / "theory.md").read_text())
    numbers, texts = [int(number) for number in pieces[1::2]], pieces[2::2]
    assert numbers == list(range(1, 33))
    for number, text in zip(numbers, texts, strict=True):
        arrow = text.split("\n\n")[1]
        assert re.match(r"→.*`softrl\.", arrow), f"equation {number} names no function"


def test_equations_are_cited_by_numbers_that_exist() -> None:
    text = re.sub(r"\\tag\{\d+\}", "", (DOCS / "theory.md").read_text())
    cited = {int(number) for number in re.findall(r"[^\w)]\((\d+)\)", text)}
    assert cited
    assert cited <= set(range(1, 33))
