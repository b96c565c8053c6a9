"""The shape of the code base: imports only go down, files stay short, nothing asks what kind a thing is."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "softrl"
FLOORS = {
    "types": 0, "errors": 0, "math": 1, "nn": 2, "agent": 3, "data": 3, "run": 4, "recipes": 5,
    "plots": 6, "api": 7, "bench": 7, "cli": 8, "__main__": 9, "__init__": 0,
}  # fmt: skip
APART = [("agent", "data"), ("data", "agent"), ("data", "nn")]
PLOTS_MAY = {"softrl.math.stats", "softrl.errors"}
FILES = sorted(ROOT.rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def floor_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree_of(path)):
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


def beside(tree: ast.AST) -> set[str]:
    """Modules that are imported for more than annotations."""
    if isinstance(tree, ast.If) and isinstance(tree.test, ast.Name) and tree.test.id == "TYPE_CHECKING":
        return set()
    own = {tree.module} if isinstance(tree, ast.ImportFrom) and tree.module else set()
    return own.union(*map(beside, ast.iter_child_nodes(tree)))


def test_no_imports_go_in_a_circle() -> None:
    def name(path: Path) -> str:
        return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")

    left = {name(path): beside(tree_of(path)) - {name(path)} for path in FILES}  # a package imports its modules so
    while at_the_bottom := [module for module, needs in left.items() if not needs & set(left)]:
        for module in at_the_bottom:
            del left[module]
    assert not left, f"in a circle, or above one: {sorted(left)}"


def test_parts_do_not_import_siblings() -> None:
    for folder in ("trunks", "actors", "encoders"):
        for path in (ROOT / "nn" / folder).glob("*.py"):
            siblings = {f"softrl.nn.{folder}.{other.stem}" for other in path.parent.glob("*.py")}
            assert not siblings & set(imported(path)), f"{path} imports a sibling"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_over_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def calls(tree: ast.AST) -> list[str]:
    """Names of the functions that are called, but for those that word a complaint."""
    if isinstance(tree, ast.Raise):
        return []
    called = [tree.func.id] if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) else []
    return called + [name for child in ast.iter_child_nodes(tree) for name in calls(child)]


def test_the_agent_never_asks_what_kind_a_part_is() -> None:
    """But for the table of `action_space.py`, which says what becomes of a part in another space."""
    for path in (ROOT / "agent").glob("*.py"):
        asked = {"isinstance", "issubclass", "hasattr", *(["type"] if path.stem != "action_space" else [])}
        assert not asked & set(calls(tree_of(path))), f"{path} asks for a type"


def test_the_update_fits_on_one_screen() -> None:
    tree = tree_of(ROOT / "agent" / "update.py")
    update = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "update")
    assert update.end_lineno is not None
    assert update.end_lineno - update.lineno < 50
    tests = [ast.unparse(n.test) for n in ast.walk(update) if isinstance(n, ast.If | ast.IfExp | ast.While)]
    assert tests == ["actor", "follow"]  # what differs between recipes are parts, not branches


@cache
def classes(path: Path) -> list[ast.ClassDef]:
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef)]


def is_abstract(method: ast.FunctionDef) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "abstractmethod" for d in method.decorator_list)


Key = tuple[str, str]
"""A class: its module, and its name there."""


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def known_in(path: Path) -> dict[str, Key]:
    """Where the names of a file come from that may be those of classes."""
    imports = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom) and node.module]
    far = {alias.asname or alias.name: (str(node.module), alias.name) for node in imports for alias in node.names}
    return far | {local.name: (module_of(path), local.name) for local in classes(path)}


def bases(path: Path, c: ast.ClassDef) -> list[Key]:
    """The classes that a class names as its bases; `Base[T]` is Base."""
    known = known_in(path)
    plain = [base.value if isinstance(base, ast.Subscript) else base for base in c.bases]
    return [known[base.id] for base in plain if isinstance(base, ast.Name) and base.id in known]


def test_no_class_overrides_a_concrete_method() -> None:
    """Every class of ours is abstract, or final: what an ancestor implements, nobody changes."""
    ours = {(module_of(path), c.name): c for path in FILES for c in classes(path)}
    above = {(module_of(path), c.name): bases(path, c) for path in FILES for c in classes(path)}

    def ancestors(key: Key) -> set[Key]:
        direct = {base for base in above.get(key, []) if base in ours}
        return direct.union(*(ancestors(base) for base in direct))

    for key, c in ours.items():
        defined = {m.name for m in c.body if isinstance(m, ast.FunctionDef)} - {"__init__"}
        for base in ancestors(key):
            concrete = {m.name for m in ours[base].body if isinstance(m, ast.FunctionDef) and not is_abstract(m)}
            assert not concrete & defined, f"{key} overrides {concrete & defined} of {base}"
