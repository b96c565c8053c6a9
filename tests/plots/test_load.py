"""Run folders are read as they are, and what is wrong with one is said in a sentence."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from softrl.errors import UserError
from softrl.plots import load as load_module
from softrl.plots.load import found, load
from softrl.run import folder

MakeRun = Callable[..., Path]


def test_a_run_is_its_configuration_and_its_columns(make_run: MakeRun) -> None:
    path = make_run("walker_walk", "sac+tiny", seed=3, returns=(5.0, 50.5), every=10_000, repeat=2)
    run = load(path)
    assert (run.env, run.recipe, run.seed, run.repeat) == ("walker_walk", "sac+tiny", 3, 2)
    assert run.steps.tolist() == [0, 10_000]
    assert run.returns.tolist() == [5.0, 50.5]
    assert run.table["decisions"].tolist() == [0, 5000]
    assert np.isnan(run.table["success_mean"]).all()  # the environment reports no success: blank cells


def test_a_line_that_is_being_written_is_not_read(make_run: MakeRun) -> None:
    path = make_run(returns=(1.0, 2.0))
    with open(path / "eval.csv", "a") as file:
        file.write("20000,20000,20000,987.65,1,2,3,1000,,9")  # no end of line: more digits may follow
    assert load(path).returns.tolist() == [1.0, 2.0]


def test_nothing_but_two_files_is_needed(make_run: MakeRun) -> None:
    path = make_run()
    assert sorted(file.name for file in path.iterdir()) == ["config.json", "eval.csv"]
    load(path)


def test_a_folder_of_runs_stands_for_all_of_them(make_run: MakeRun, tmp_path: Path) -> None:
    paths = [make_run(recipe=recipe, seed=seed) for recipe in ("sac", "tqc") for seed in (0, 1)]
    assert found(paths[2]) == [paths[2]]
    assert found(paths[0].parent) == paths[:2]
    assert found(tmp_path) == paths
    assert found(tmp_path / "nowhere") == [tmp_path / "nowhere"]


def test_what_a_killed_start_has_left_is_no_run(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run()
    left = path.parent / ".new-x1y2"
    left.mkdir()
    (left / "config.json").write_text("{}")
    assert found(tmp_path) == [path]


def test_links_to_runs_are_followed_once(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run()
    links = tmp_path / "links"
    links.mkdir()
    (links / "a").symlink_to(path)
    (links / "up").symlink_to(links)
    assert found(links) == [links / "a"]


def test_a_path_that_cannot_be_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read, File name too long"):
        found(tmp_path / ("x" * 300))


def test_what_is_no_run_folder(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=r"no run folder.*softrl train"):
            load(path)


def test_a_run_of_a_newer_version_is_refused(make_run: MakeRun) -> None:
    assert load_module.FORMAT == folder.FORMAT  # plots know no more of a run than its files
    with pytest.raises(UserError, match="was made by a newer softrl"):
        load(make_run(config={"format": folder.FORMAT + 1}))


@pytest.mark.parametrize("content", [None, "", "env_steps,return_mean,return_sd\n"])
def test_a_run_without_evaluations(make_run: MakeRun, content: str | None) -> None:
    path = make_run()
    (path / "eval.csv").unlink()
    if content is not None:
        (path / "eval.csv").write_text(content)
    with pytest.raises(UserError, match=r"no evaluation in eval\.csv yet"):
        load(path)


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "env_steps,return_mean,return_sd\n1,2\n", "env_steps\nabc\n"])
def test_a_table_that_is_none(make_run: MakeRun, content: str) -> None:
    path = make_run()
    (path / "eval.csv").write_text(content)
    with pytest.raises(UserError, match=r"leave this run out"):
        load(path)


@pytest.mark.parametrize("content", [b"\x80\x81\n", b"env_steps\n\0\n", None])
def test_a_table_that_cannot_be_read_is_named(make_run: MakeRun, content: bytes | None) -> None:
    table = make_run() / "eval.csv"
    table.unlink()
    table.mkdir() if content is None else table.write_bytes(content)
    with pytest.raises(UserError, match=r"eval\.csv (cannot be read|is damaged).*leave this run out"):
        load(table.parent)


@pytest.mark.parametrize(
    "content", ["{", "[]", json.dumps({"recipe": "sac"}), json.dumps({"env": 3, "recipe": 1, "seed": 1})]
)
def test_a_configuration_that_is_none(make_run: MakeRun, content: str) -> None:
    path = make_run()
    (path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config.json is damaged or from another softrl"):
        load(path)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("20000,1\n", "line 4 has 2 cells, and the heading"),
        ("0,0,0,1,1,1,1,1000,,9\n", "env_steps does not increase"),
    ],
)
def test_a_table_that_was_edited_is_refused(make_run: MakeRun, more: str, words: str) -> None:
    path = make_run(returns=(1.0, 2.0))
    table = path / "eval.csv"
    table.write_text(table.read_text() + more)
    with pytest.raises(UserError, match=words):
        load(path)


def test_blank_lines_are_no_rows(make_run: MakeRun) -> None:
    path = make_run(returns=(1.0, 2.0))
    table = path / "eval.csv"
    table.write_text(table.read_text() + "\n")
    assert load(path).returns.tolist() == [1.0, 2.0]
