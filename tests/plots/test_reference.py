"""Published scores are found, read without loss, and asked for by the right names."""

import csv
from pathlib import Path

import pytest

from softrl.errors import UserError
from softrl.plots import reference
from softrl.plots.reference import published, scores

ORIGINAL = Path(__file__).parents[2] / "benchmarks" / "reference.csv"


def test_every_row_is_read() -> None:
    with open(ORIGINAL, newline="") as file:
        rows = list(csv.DictReader(file))
    read = scores()
    assert len(read) == len(rows) > 100
    for score, row in zip(read, rows, strict=True):
        assert (score.task, score.method, str(score.env_steps)) == (row["task"], row["method"], row["env_steps"])
        assert score.mean == float(row["mean"])
        assert score.sd == (float(row["sd"]) if row["sd"] else None)


def test_the_scores_that_the_benchmarks_cite() -> None:
    """Figures that the core is measured against (denisyarats/pytorch_sac: data/sac.csv)."""
    walker = {score.env_steps: score for score in published("sac[pytorch_sac]", {"walker_walk"})}
    assert walker[100_000].repeat == 1
    assert walker[100_000].seeds >= 1
    tasks = {score.task for score in published("sac[pytorch_sac]", {score.task for score in scores()})}
    assert tasks == {
        "cartpole_swingup",
        "cartpole_swingup_sparse",
        "cheetah_run",
        "walker_walk",
        "finger_spin",
        "ball_in_cup_catch",
        "reacher_easy",
    }


def test_a_name_without_brackets_is_every_source() -> None:
    methods = {score.method for score in published("sac", {"cheetah_run"})}
    assert {"sac[pytorch_sac]", "sac[simba]", "sac[td-mpc2]"} <= methods
    assert {score.task for score in published("sac", {"cheetah_run", "no_task"})} == {"cheetah_run"}


def test_an_unknown_method_names_the_nearest_and_the_list() -> None:
    with pytest.raises(UserError, match=r"sac\[crossq\].*did you mean 'sac\[pytorch_sac\]'\?"):
        published("pytorch_sac", {"cheetah_run"})


def test_a_method_without_a_score_here_says_where_it_has_some() -> None:
    with pytest.raises(UserError, match=r"no published score on cheetah_run, only on HalfCheetah-v4, Hopper-v4"):
        published("sac[crossq]", {"cheetah_run"})


def test_an_installed_copy_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heading = ORIGINAL.read_text().splitlines()[0]
    (tmp_path / "reference.csv").write_text(f"{heading}\nsuite,task,sac[mine],7,1,2.5,,1,file,here\n")
    monkeypatch.setattr(reference, "files", lambda package: tmp_path)
    (score,) = scores()
    assert (score.method, score.env_steps, score.mean, score.sd) == ("sac[mine]", 7, 2.5, None)


def test_a_method_that_is_nearly_known_is_named_without_its_source() -> None:
    with pytest.raises(UserError, match=r"did you mean 'sac'\?"):
        published("sacc", {"cheetah_run"})
