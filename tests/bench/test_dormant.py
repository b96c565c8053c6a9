"""benchmarks/dormant.py: what two small runs say, by hand."""

import json
from pathlib import Path

import dormant
import pytest

LOOK = {f"train/{name}": 0.5 for name in dormant.COLUMNS[4:]}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two methods, one seed each; both looked at their networks twice, and at nothing else once."""
    for method, share in (("none", 0.25), ("redo", 0.0)):
        run = tmp_path / "runs" / "cheetah_run" / f"plasticity_{method}" / "seed1"
        run.mkdir(parents=True)
        lines = [
            {"env_steps": 1, "train/q_mean": 3.0},
            {"env_steps": 2, "train/n_updates": 16.0, **LOOK},
            {"env_steps": 3, "train/n_updates": 24.0, **LOOK, "train/critic_dormant_share": share},
        ]
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        results = tmp_path / "results" / f"plasticity_{method}" / "cheetah_run" / "seed1"
        results.mkdir(parents=True)
        returns = (1, 2, 3, 4) if method == "none" else (9, 6, 6, 6)
        (results / "eval.csv").write_text("return_mean\n" + "".join(f"{value}\n" for value in returns))
    return tmp_path


def test_each_look_is_a_row(runs: Path) -> None:
    rows = list(dormant.diagnostics(runs / "runs" / "cheetah_run" / "plasticity_none" / "seed1"))
    assert [row[:5] for row in rows] == [("none", "1", "2", "16", "0.5"), ("none", "1", "3", "24", "0.25")]
    assert {len(row) for row in rows} == {len(dormant.COLUMNS)}


def test_the_best_stands_first_with_what_was_seen_last(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dormant, "HERE", runs / "here")
    (runs / "here").mkdir()
    (runs / "results").rename(runs / "here" / "results")
    dormant.main([])
    first, second = capsys.readouterr().out.splitlines()[2:]
    assert first.startswith("| redo | 1 | 6 | 6 | 0 | 0.5 |")
    assert second.startswith("| none | 1 | 3 | 3 | 0.25 | 0.5 |")
