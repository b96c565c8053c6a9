import json
import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings, strategies as st

from softrl.errors import UserError
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.familiar import FAMILIAR, REMARKS
from softrl.run.fields import difference, fields, flat, from_json, get, override, read, suggestion, to_json


@dataclass(frozen=True)
class Plain:
    """Layers."""

    widths: tuple[int, ...] = (4, 4)
    """Units of each layer."""


@dataclass(frozen=True)
class Skips:
    """Layers with skips."""

    blocks: int = 2
    """Blocks
    of two layers."""


@dataclass(frozen=True)
class Nothing:
    """A part without fields."""


@dataclass(frozen=True)
class Root:
    """A configuration."""

    steps: int = 10
    """Steps to take."""
    low: float = 0.0
    """Lower bound."""
    high: float = 1.0
    """Upper bound."""
    trunk: Plain | Skips = field(default_factory=Plain)
    """Body."""
    extras: tuple[Plain | Skips, ...] = ()
    """More bodies."""
    neutral: Nothing = field(default_factory=Nothing)
    """Nothing."""
    rate: float | None = None
    """A rate."""
    spare: Skips | None = None
    """A part that may be absent."""

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise UserError(f"low {self.low} is not below high {self.high}")


def test_every_field_is_listed_with_its_help_and_values_before_parts():
    listed = {field.path: (field.value, field.help) for field in fields(Root(trunk=Skips(3)))}
    assert listed["steps"] == (10, "Steps to take.")
    assert listed["trunk.blocks"] == (3, "Blocks\nof two layers.")
    assert listed["neutral"] == (Nothing(), "Nothing.")
    assert list(listed) == ["steps", "low", "high", "extras", "neutral", "rate", "spare", "trunk.blocks"]


def test_override_replaces_values_deep_inside_and_leaves_the_original():
    root = Root()
    changed = override(root, {"trunk.widths": [8], "steps": 1e3, "rate": 1})
    assert changed == Root(steps=1000, trunk=Plain((8,)), rate=1.0)
    assert root == Root()


def test_a_part_can_be_replaced_and_its_fields_set_at_once():
    assert override(Root(), {"trunk.blocks": 5, "trunk": Skips()}).trunk == Skips(5)


def test_fields_that_a_check_compares_change_together():
    assert override(Root(), {"low": 5, "high": 6}) == Root(low=5.0, high=6.0)
    with pytest.raises(UserError, match=r"low 5.0 is not below high 1.0"):
        override(Root(), {"low": 5})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"step": 3}, "there is no field 'step'; did you mean 'steps'?"),
        ({"widths": (3,)}, "there is no field 'widths'; did you mean 'trunk.widths'?"),
        ({"trunk.width": (3,)}, "there is no field 'trunk.width'; did you mean 'trunk.widths'?"),
        ({"steps.more": 3}, "there is no field 'steps.more'; softrl train ENV --help lists the fields"),
        ({"trunk": Skips(), "trunk.widths": (3,)}, "there is no field 'trunk.widths'; did you mean 'trunk.blocks'?"),
        ({"steps": "ten"}, "steps takes a whole number, got 'ten'"),
        ({"trunk": Root()}, "trunk takes Plain or Skips, got Root("),
        ({"trunk.widths": (3, "x")}, "trunk.widths takes values separated by commas"),
    ],
)
def test_what_does_not_exist_or_fit_is_refused_with_a_sentence(changes, sentence):
    with pytest.raises(UserError) as refusal:
        override(Root(), changes)
    assert str(refusal.value).startswith(sentence)


def test_texts_are_read_as_the_fields_that_they_are_for():
    texts = {"steps": "10k", "trunk.widths": "8,8", "rate": "none"}
    assert read(Root(), texts) == {"steps": 10_000, "trunk.widths": (8, 8), "rate": None}


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ({"steps": "ten"}, "steps takes a whole number, got 'ten'"),
        ({"trunk": "Skips"}, "'trunk' is a part: choose it with a recipe, or set its fields (trunk.widths)"),
        ({"neutral": "x"}, "'neutral' is a part: choose it with a recipe, or set its fields (it has none)"),
        ({"blocks": "3"}, "there is no field 'blocks'"),
        ({"spare": "Skips"}, "'spare' is a part, and none here: choose it with a recipe that has it"),
    ],
)
def test_texts_that_cannot_be_read_are_refused(texts, sentence):
    with pytest.raises(UserError) as refusal:
        read(Root(), texts)
    assert str(refusal.value).startswith(sentence)


def test_what_is_called_otherwise_elsewhere_is_recognised():
    for word, meant in FAMILIAR.items():
        paths = meant.split()
        for spelling in (word, word.replace("_", "-"), word.upper()):
            told = suggestion(spelling, ["other.part", *reversed(paths)])
            assert re.findall(r"'([\w.]+)'", told) == paths
            assert told.endswith(f"'{REMARKS.get(word, '')}?")
        elsewhere = suggestion(word, ["other.part"])  # where this recipe has no such field
        assert not any(f"'{path}'" in elsewhere for path in paths)


def test_all_fields_of_a_name_are_suggested_in_their_order():
    known = ["b.rate", "a.rate", "c.rate", "c.other"]
    assert suggestion("rate", known) == "; did you mean 'b.rate', 'a.rate' or 'c.rate'?"
    assert suggestion("rate", known[1:3], "--") == "; did you mean '--a.rate' or '--c.rate'?"
    assert suggestion("a.rat", known, "--") == "; did you mean '--a.rate'?"


def test_familiar_names_stand_for_fields_that_exist():
    paths = {field.path for name in ("sac", "drq") for field in fields(apply(name, Run()))}
    meant = {path for several in FAMILIAR.values() for path in several.split()}
    assert meant - paths == {"run", "quiet", "env"}  # which are options of commands


def test_get_finds_values_and_parts():
    assert get(Root(), "trunk.widths") == (4, 4)
    assert get(Root(), "trunk") == Plain()
    with pytest.raises(UserError, match="there is no field"):
        get(Root(), "trunk.blocks")


def test_difference_names_values_and_kinds_of_parts():
    assert difference(Root(), Root(steps=3)) == [("steps", "10", "3")]
    assert set(difference(Root(), Root(trunk=Skips()))) == {
        ("trunk", "Plain", "Skips"),
        ("trunk.widths", "4,4", "absent"),
        ("trunk.blocks", "absent", "2"),
    }
    assert flat(Root())["trunk"] == "Plain"


roots = st.builds(
    Root,
    steps=st.integers(0, 2**60),
    high=st.floats(0.5, 1e300),
    rate=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    trunk=st.builds(Skips, st.integers(-(2**60), 2**60)) | st.builds(Plain, st.lists(st.integers(1, 9)).map(tuple)),
    extras=st.lists(st.builds(Skips) | st.builds(Plain)).map(tuple),
)


@given(roots)
@settings(max_examples=40)
def test_json_gives_the_same_configuration_back(root):
    assert from_json(Root, json.loads(json.dumps(to_json(root)))) == root


def test_json_that_another_version_wrote_is_refused():
    data = to_json(Root())
    sentence = r"^trunk was written by another version of softrl: install that one to read it$"
    with pytest.raises(UserError, match=sentence):
        from_json(Root, data | {"trunk": {"type": "Mixture"}})
    with pytest.raises(UserError, match=sentence):
        from_json(Root, data | {"trunk": {"type": "Plain", "gates": 3}})
    with pytest.raises(UserError, match=r"^the configuration was written by another version"):
        from_json(Root, {})
    with pytest.raises(UserError, match=r"^steps takes a whole number, got 'x'$"):
        from_json(Root, data | {"steps": "x"})


def test_json_of_an_older_version_takes_defaults_for_what_it_lacks():
    data = to_json(Root(steps=3))
    del data["rate"]
    assert from_json(Root, data) == Root(steps=3)


def test_a_complaint_about_a_field_says_where_it_lies() -> None:
    with pytest.raises(UserError, match=r"^agent\.optim\.actor\.learning_rate is -1\.0: it must be positive"):
        override(Run(), {"agent.optim.actor.learning_rate": -1.0})
    known = to_json(Run())
    known["agent"]["optim"]["actor"]["learning_rate"] = "x"
    with pytest.raises(UserError, match=r"^agent\.optim\.actor\.learning_rate takes a number, got 'x'"):
        from_json(Run, known)
