"""The shape of the code base: imports only go down, files stay short, nothing asks what kind a thing is."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "softrl"
FLOORS = {
    "types": 0, "errors": 0, "math": 1, "nn": 2, "agent": 3, "data": 3, "run": 4, "recipes": 5,
    "plots": 6, "api": 7, "bench": 7, "cli": 8, "__init__": 0,
}  # fmt: skip
APART = [("agent", "data"), ("data", "agent"), ("data", "nn")]
PLOTS_MAY = {"softrl.math.stats", "softrl.errors"}
FILES = sorted(ROOT.rglob("*.py"))


def floor_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        elif isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
    return [name for name in names if name == "softrl" or name.startswith("softrl.")]


def test_every_file_stands_on_a_floor() -> None:
    assert {floor_of(path) for path in FILES} <= set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    here = floor_of(path)
    for name in imported(path):
        there = name.split(".")[1] if "." in name else "__init__"
        assert there == here or FLOORS[there] < FLOORS[here], f"{path} imports {name}"
        assert (here, there) not in APART, f"{path} imports {name}: {here} must not know {there}"
        if here == "plots":
            assert there == "plots" or name in PLOTS_MAY, f"{path} imports {name}: plots read files, never objects"


def test_parts_do_not_import_siblings() -> None:
    for folder in ("trunks", "actors", "encoders"):
        for path in (ROOT / "nn" / folder).glob("*.py"):
            siblings = {f"softrl.nn.{folder}.{other.stem}" for other in path.parent.glob("*.py")}
            assert not siblings & set(imported(path)), f"{path} imports a sibling"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_over_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_the_agent_never_asks_what_kind_a_part_is() -> None:
    for path in (ROOT / "agent").glob("*.py"):
        calls = [
            n.func.id
            for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        ]
        assert not {"isinstance", "hasattr"} & set(calls), f"{path} asks for a type"


def test_the_update_fits_on_one_screen() -> None:
    tree = ast.parse((ROOT / "agent" / "update.py").read_text())
    update = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "update")
    assert update.end_lineno is not None
    assert update.end_lineno - update.lineno < 50


def classes(path: Path) -> list[ast.ClassDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]


def is_abstract(method: ast.FunctionDef) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "abstractmethod" for d in method.decorator_list)


def test_no_class_overrides_a_concrete_method() -> None:
    """Every class of ours is abstract, or final: what a base class implements, nobody changes."""
    ours = {c.name: c for path in FILES for c in classes(path)}
    for c in ours.values():
        for base in (ours[b.id] for b in c.bases if isinstance(b, ast.Name) and b.id in ours):
            concrete = {m.name for m in base.body if isinstance(m, ast.FunctionDef) and not is_abstract(m)}
            defined = {m.name for m in c.body if isinstance(m, ast.FunctionDef)} - {"__init__"}
            assert not concrete & defined, f"{c.name} overrides {concrete & defined} of {base.name}"
