"""benchmarks/pushed.py: lengths by hand, what pushes that matter to nobody leave equal, and two runs end to end."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from softrl import api

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import pushed


def test_lengths_by_hand() -> None:
    """Plans of 2, 3, 1 and, cut by the end, 2 decisions."""
    opened = np.array([1, 0, 1, 0, 0, 1, 1, 0], bool)
    lengths = pushed.executed(opened)
    assert lengths.tolist() == [2, 0, 3, 0, 0, 1, 2, 0]
    # the first plan made after each step; nobody knows how long the cut one would have become
    assert pushed.following(lengths).tolist() == [3, 3, 1, 1, 1, 0, 0, 0]


def test_single_actions_have_no_lengths() -> None:
    lengths = pushed.executed(np.array([], bool))
    assert pushed.mean(lengths) is None
    after, elsewhere = pushed.split(pushed.following(lengths), np.zeros(7, bool))
    assert pushed.mean(after) is pushed.mean(elsewhere) is None


def test_steps_near_a_push_are_neither_after_it_nor_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushed, "FAR", 3)
    hit = np.zeros(9, bool)
    hit[4] = True
    after, elsewhere = pushed.split(np.array([1, 2, 3, 4, 5, 6, 7, 8, 0]), hit)
    assert after.tolist() == [5]
    assert elsewhere.tolist() == [1, 2, 8]  # steps 0, 1 and 7, but not 8, which no plan follows


def test_pushes_that_change_nothing_leave_both_means_equal() -> None:
    """Lengths that depend on the ones before, drawn without regard to pushes."""
    rng, means = np.random.default_rng(0), []
    for _ in range(200):
        opened, hit = np.zeros(1000, bool), rng.random(1000) < 0.02
        step, length = 0, 1
        while step < 1000:
            opened[step] = True
            length = length if rng.random() < 0.7 else int(rng.integers(1, 6))
            step += length
        after, elsewhere = pushed.split(pushed.following(pushed.executed(opened)), hit)
        means.append((after.mean(), elsewhere.mean()))
    difference = np.diff(means, axis=1)[:, 0]
    assert abs(difference.mean()) < 3 * difference.std() / np.sqrt(200)


def episode(method: str, seed: int, i: int, total: float, after: float | None = None) -> pushed.Episode:
    return pushed.Episode("task", method, seed, pushed.PUSHED, i, total, None, after, None if after is None else 4.0)


def test_the_summary_by_hand() -> None:
    played = [episode("qc", seed, i, 10.0 * seed + i, 1.0 + i) for seed in (1, 2) for i in (0, 1)]
    found = {line["of"]: line for line in pushed.summary([*played, episode("qc", 2, 2, 99.0)])}
    assert set(found) == {"return", "after a push", "elsewhere", "after less elsewhere"}
    assert found["return"]["mean"] == pytest.approx((10 + 11 + 20 + 21 + 99) / 5)
    assert found["after a push"]["mean"] == 1.5
    assert found["after less elsewhere"]["mean"] == -2.5
    assert (found["after less elsewhere"]["low"], found["after less elsewhere"]["high"]) == (-3.0, -2.0)
    assert found["return"]["runs"] == 2


def test_methods_are_compared_on_equal_episodes() -> None:
    better = [episode("qc", 1, i, total) for i, total in enumerate((5.0, 105.0))]
    worse = [episode("sac", 1, i, total) for i, total in enumerate((3.0, 103.0))]
    (line,) = pushed.contests([*worse, *better])
    assert (line["method"], line["mean"], line["low"], line["high"]) == ("qc less sac", 2.0, 2.0, 2.0)


@pytest.mark.slow
def test_runs_are_played_with_and_without_pushes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushed, "RESULTS", tmp_path / "results")
    small = {"steps": 100, "env.time_limit": 80, "video.every": "never", "threads": 1, "eval.episodes": 1}
    runs = []
    for recipe in ("sac", "qc", "qc_adaptive"):
        run = tmp_path / f"{recipe}_pushed" / "seed1"
        api.train("cartpole_swingup", f"{recipe}+tiny", seed=1, run=run, **small, **{"env.push.probability": 0.1})
        runs.append(str(run))
    pushed.main([*runs, "--episodes", "3", "--probability", "0.05", "--size", "1"])
    with (tmp_path / "results" / "episodes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["world"]) for row in rows[::3]] == [
        (f"{recipe}_pushed", world) for recipe in ("sac", "qc", "qc_adaptive") for world in ("still", "pushed")
    ]
    assert {row["length"] for row in rows if row["method"] == "qc_pushed"} == {"5.0"}
    assert {row["length"] for row in rows if row["method"] == "sac_pushed"} == {""}
    totals = {(row["world"], row["episode"]): row["total"] for row in rows if row["method"] == "qc_pushed"}
    assert all(totals["still", i] != totals["pushed", i] for i in "012")
    with (tmp_path / "results" / "summary.csv").open(newline="") as file:
        summary = {(row["method"], row["world"], row["of"]): row for row in csv.DictReader(file)}
    assert float(summary["qc_pushed", "pushed", "after less elsewhere"]["mean"]) == 0
    assert ("qc_pushed less sac_pushed", "still", "return") in summary
