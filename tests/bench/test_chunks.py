"""benchmarks/chunks.py at sizes that take a moment: how often plans are made, and what is kept."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import chunks
from raw import read


@pytest.mark.parametrize("length", [1, 3, 5])
def test_policies_are_asked_once_for_each_plan(length: int) -> None:
    assert chunks.asked(chunks.fixed(length)) == pytest.approx(1 / length)
    assert chunks.asked(chunks.adaptive(length, 5)) == pytest.approx(1 / length)


def test_deciding_takes_turns(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chunks.main(["act", "--rounds", "2", "--seconds", "0", "--lengths", "1,5"])
    first, second = read(kept, "chunks", "act")
    assert (first["round"], second["round"]) == ("1", "2")
    assert all(float(first[f"{name} ms"]) > 0 for name in ("fixed 1", "fixed 5", "adaptive 1", "adaptive 5"))
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()[-4:]] == [
        ["fixed", "1", "1.000"],
        ["fixed", "5", "0.200"],
        ["adaptive", "1", "1.000"],
        ["adaptive", "5", "0.200"],
    ]


@pytest.mark.slow
def test_updates_take_turns_with_the_plain_one(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chunks.main(["update", "--rounds", "1", "--seconds", "0", "--batches", "8,16", "--compile", "off"])
    for batch in (8, 16):
        (row,) = read(kept, "chunks", f"update_eager_{batch}")
        assert all(float(row[f"{recipe} ms"]) > 0 for recipe in ("sac", "qc", "qc_adaptive"))
    assert capsys.readouterr().out.count("over sac") == 4
