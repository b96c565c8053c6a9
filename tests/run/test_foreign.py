import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from softrl.errors import UserError
from softrl.recipes import RECIPES, apply
from softrl.recipes.recipe import Recipe
from softrl.run.config import Run
from softrl.run.fields import fields, flat, from_json, override, to_json

HERE = __name__


@dataclass(frozen=True)
class Sines:
    """A trunk from another package."""

    waves: int = 3
    """How many."""
    needs = frozenset[str]()

    def build(self, inputs: int, members: int = 1) -> tuple[int, int]:
        return inputs, members


@dataclass(frozen=True)
class Headless:
    """A part that can do half of what a head can."""

    width = 1

    def atoms(self, row: object) -> object:
        return row


@dataclass(frozen=True)
class Loud:
    """What can be called."""

    volume: int = 1
    """How loud."""

    def __call__(self) -> int:
        return self.volume


@dataclass(frozen=True)
class Root:
    """A configuration with parts in its fields and in a tuple."""

    sound: Loud = field(default_factory=Loud)
    """A sound."""
    sounds: tuple[Loud, ...] = ()
    """Several."""


@dataclass(frozen=True)
class Quiet:
    """Another sound."""

    def __call__(self) -> int:
        return 0


def with_sines() -> Run:
    return override(Run(), {"agent.critic.trunk": Sines(5)})


def test_a_part_that_can_do_the_same_is_taken_and_has_fields_like_any_other() -> None:
    run = override(with_sines(), {"agent.critic.trunk.waves": 7})
    assert run.agent.critic.trunk == Sines(7)
    assert {"agent.critic.trunk.waves": "How many."}.items() <= {f.path: f.help for f in fields(run)}.items()
    assert flat(run)["agent.critic.trunk"] == "Sines"


def test_it_is_written_with_its_module_and_found_again() -> None:
    written = json.loads(json.dumps(to_json(with_sines())))
    assert written["agent"]["critic"]["trunk"] == {"type": f"{HERE}:Sines", "waves": 5}
    assert written["agent"]["actor"]["trunk"]["type"] == "MLP"  # what softrl knows needs no module
    assert from_json(Run, written) == with_sines()


SCRIPT = """
import json, sys
from dataclasses import dataclass
from softrl.run.config import Run
from softrl.run.fields import from_json, override, to_json

print("ran", file=sys.stderr)

@dataclass(frozen=True)
class Sines:
    waves: int = 3
    needs = frozenset()
    def build(self, inputs, members=1):
        return inputs

if __name__ == "__main__":
    run = override(Run(), {"agent.critic.trunk": Sines(5)})
    assert from_json(Run, to_json(run)) == run
    print(json.dumps(to_json(run)))
"""


@pytest.mark.parametrize("words", [["my_sines.py"], pytest.param(["-m", "my_sines"], marks=pytest.mark.slow)])
def test_a_part_of_the_script_that_runs_is_found_in_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    (tmp_path / "my_sines.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr.count("ran") == 1  # the script is not imported a second time by itself
    written = json.loads(done.stdout)
    assert written["agent"]["critic"]["trunk"] == {"type": "my_sines:Sines", "waves": 5}
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_sines", raising=False)
    assert from_json(Run, written).agent.critic.trunk.waves == 5


def test_parts_in_a_tuple_are_found_again_too() -> None:
    root = override(Root(), {"sound": Quiet()})
    assert from_json(Root, to_json(Root(root.sound, (Loud(2), Quiet())))) == Root(Quiet(), (Loud(2), Quiet()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (
            "agent.critic.head",
            Headless(),
            r"or a part like them: Headless has no clipped, equal_weights, loss",
        ),
        ("agent.critic.trunk", Sines, r"agent\.critic\.trunk takes MLP, .*, got <class"),
        ("agent.critic.trunk", Run().agent.critic.head, r"agent\.critic\.trunk takes MLP, .*, got Scalar"),
        ("agent.target_rule", Headless(), r"has no __call__, check"),
        ("agent.imitation", Sines(), r"Sines has no best"),  # a setting of some, and no setting of others
        ("agent.encoder", Sines(), r"Sines has no check, latents, policy_trunk, sequence, views"),
        ("agent.critic", Sines(), r"Sines has no judges, members"),
        ("eval", Sines(), r"eval takes EvalConfig, got Sines"),  # a part without methods has no likes
        ("steps", Sines(), r"steps takes a whole number, got Sines"),
    ],
)
def test_what_cannot_stand_there_is_refused(path: str, value: object, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        override(Run(), {path: value})


@pytest.mark.parametrize("tag", ["no_such_module:Sines", f"{HERE}:Cosines"])
def test_a_part_that_is_gone_is_said_so(tag: str) -> None:
    written = to_json(with_sines())
    written["agent"]["critic"]["trunk"]["type"] = tag
    with pytest.raises(UserError, match=rf"the configuration's part '{tag}' cannot be imported"):
        from_json(Run, written)


def test_a_field_that_a_part_has_no_longer_is_named() -> None:
    """Nobody is to look for another version of softrl."""
    written = to_json(with_sines())
    written["agent"]["critic"]["trunk"] |= {"share": 0.5, "mix": 1}
    told = rf"^agent\.critic\.trunk has 'share', 'mix' in the configuration, which {HERE}:Sines lacks: "
    with pytest.raises(UserError, match=told):
        from_json(Run, written)


@pytest.mark.parametrize("tag", ["os:getcwd", "collections:OrderedDict", f"{HERE}:Headless", "softrl.nn.heads:Scalar"])
def test_what_a_configuration_names_is_a_part_of_that_kind(tag: str) -> None:
    """A configuration comes from a file: it cannot have just anything that is importable called."""
    written = to_json(with_sines())
    written["agent"]["critic"]["trunk"] = {"type": tag}
    with pytest.raises(UserError, match=rf"holds '{tag}' where .* or a part like them must stand"):
        from_json(Run, written)


def test_a_part_without_a_source_has_no_help_and_works() -> None:
    lines = "@dataclass(frozen=True)\nclass Typed:\n    size: int = 1\n    needs = frozenset()\n    build = None\n"
    space = {"dataclass": dataclass, "__name__": "__main__"}
    exec(lines, space)
    run = override(Run(), {"agent.actor.trunk": space["Typed"]()})
    assert {"agent.actor.trunk.size": ""}.items() <= {f.path: f.help for f in fields(run)}.items()


def test_a_recipe_of_another_package_stacks_with_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe("waves", "Sines.", None, {"agent.critic.trunk": Sines()}, ("agent.critic.trunk",))
    monkeypatch.setitem(RECIPES, "waves", recipe)
    run = apply("tqc+waves+tiny", Run())
    assert run.agent.critic.trunk == Sines()
    assert run.agent.critic.members == 5
