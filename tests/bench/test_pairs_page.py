"""benchmarks/pairs.py: how pairs end, kept and told."""

import csv
import re
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import pairs


def test_pairs_are_tried_kept_and_told(tmp_path: Path) -> None:
    pairs.attempt(tmp_path / "pairs.csv", [("tqc", "layer_norm"), ("redq", "tqc"), ("tqc", "simba")])
    with (tmp_path / "pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["first"], row["second"], row["end"]) for row in rows] == [
        ("tqc", "layer_norm", "trained"),
        ("redq", "tqc", "refused"),
        ("tqc", "simba", "trained"),
    ]
    assert [bool(row["sentence"]) for row in rows] == [False, True, False]
    pairs.write(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "of 3 ordered pairs 2 trained" in text
    assert "| tqc | 2 | none |" in text
    assert "| redq | 0 | tqc |" in text
    [newer] = re.findall(r"^Newer than that, and in no pair yet: (.+)\.$", text, re.MULTILINE)
    assert set(newer.split(", ")) == set(pairs.NAMES) - {"tqc", "redq", "layer_norm", "simba"}


def test_the_pairs_of_one_recipe_are_tried_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "verdict", lambda first, second: ("trained", ""))
    monkeypatch.setattr(pairs, "versions", lambda: {"commit": "later"})
    kept = tmp_path / "pairs.csv"
    kept.write_text("first,second,end,sentence,commit\ntqc,simba,trained,,then\nredq,tqc,refused,no,then\n")
    pairs.again(kept, "redq")
    with kept.open(newline="") as file:
        rows = {(row["first"], row["second"]): (row["end"], row["commit"]) for row in csv.DictReader(file)}
    assert rows["tqc", "simba"] == ("trained", "then")
    assert rows["redq", "tqc"] == rows["tqc", "redq"] == ("trained", "later")
    assert len(rows) == 1 + 2 * (len(pairs.NAMES) - 1)
    pairs.write(tmp_path)
    assert re.search("at commit (then and later|later and then)\\.", (tmp_path / "README.md").read_text())


def test_the_page_is_what_the_kept_pairs_and_the_recipes_say(tmp_path: Path) -> None:
    """Where this fails for a new recipe: benchmarks/pairs.py --page."""
    shutil.copy(pairs.RESULTS / "pairs.csv", tmp_path)
    pairs.write(tmp_path)
    assert (tmp_path / "README.md").read_text() == (pairs.RESULTS / "README.md").read_text()
