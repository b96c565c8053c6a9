"""What the curves show is what the runs measured."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from softrl.errors import UserError
from softrl.plots import curves
from softrl.plots.curves import aligned, curve, plot
from softrl.plots.load import load
from softrl.plots.reference import published
from softrl.plots.style import GREY, line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MakeRun = Callable[..., Path]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> "list[Figure]":
    """Figures that would have been written."""
    caught: list[Figure] = []
    monkeypatch.setattr(curves, "save", lambda figure, out: caught.append(figure) or out)
    return caught


def labels(figure: "Figure") -> set[str]:
    return {text.get_text() for text in figure.legends[0].get_texts()}


def test_seeds_are_averaged_where_all_of_them_have_been(make_run: MakeRun) -> None:
    runs = [
        load(make_run(seed=0, returns=(0.0, 10.0, 20.0, 30.0), every=10)),
        load(make_run(seed=1, returns=(4.0, 8.0), every=20)),  # evaluated half as often, and only up to 20
    ]
    steps, table = aligned(runs)
    assert steps.tolist() == [0, 10, 20]
    assert table.tolist() == [[0, 10, 20], [4, 6, 8]]


def test_by_recipe_draws_a_panel_for_each_environment(make_run: MakeRun, figures: "list[Figure]") -> None:
    runs = [make_run(env, "sac", seed, (0.0, 100.0 * (seed + 1))) for env in ("a_b", "c_d") for seed in (0, 1)]
    runs.append(make_run("a_b", "tqc", 0, (0.0, 7.0), repeat=4))
    plot(runs, Path("x.png"))
    (figure,) = figures
    first, second = figure.axes
    assert [first.get_title(), second.get_title()] == ["a_b", "c_d"]
    assert labels(figure) == {"sac (2 seeds)", "tqc, repeat 4", "95% bootstrap interval"}
    drawn = {drawing.get_label(): drawing.get_ydata().tolist() for drawing in first.get_lines()}
    assert drawn["sac (2 seeds)"] == [0, 150]  # mean of 100 and 200
    assert drawn["tqc, repeat 4"] == [0, 7]
    band = first.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == (0, 200)  # two seeds: the interval is their range


def test_a_recipe_keeps_its_colour_in_all_panels(make_run: MakeRun, figures: "list[Figure]") -> None:
    runs = [make_run("a", "sac"), make_run("a", "tqc"), make_run("b", "tqc")]
    plot(runs, Path("x.png"))
    colors = [{drawing.get_label(): drawing.get_color() for drawing in axis.get_lines()} for axis in figures[0].axes]
    assert colors == [{"sac": line(0)["color"], "tqc": line(1)["color"]}, {"tqc": line(1)["color"]}]


def test_by_env_and_by_seed(make_run: MakeRun, figures: "list[Figure]") -> None:
    runs = [make_run("a", seed=0), make_run("a", seed=1), make_run("b", seed=0)]
    plot(runs, Path("x.png"), by="env")
    assert [axis.get_title() for axis in figures[0].axes] == ["sac"]
    assert labels(figures[0]) == {"a (2 seeds)", "b", "95% bootstrap interval"}
    plot(runs, Path("x.png"), by="seed")
    assert [axis.get_title() for axis in figures[1].axes] == ["a", "b"]
    assert labels(figures[1]) == {"seed0", "seed1"}  # the panel says the environment


def test_runs_of_one_seed_that_differ_are_two_experiments(make_run: MakeRun, figures: "list[Figure]") -> None:
    """As after `softrl train E` and `softrl train E --agent.critic.members 3`, two seeds of the second."""
    runs = [
        make_run(returns=(0.0, 10.0), config={"agent": {"type": "AgentConfig", "critic": {"members": 2}}}),
        *(
            make_run(
                seed=seed,
                folder=f"seed{seed}-1",
                returns=(0.0, 20.0 + 20 * seed),
                config={"agent": {"type": "AgentConfig", "critic": {"members": 3}}, "steps": 50, "device": "cuda"},
            )
            for seed in (0, 1)
        ),
    ]
    parent = runs[0].parent
    plot([parent, runs[0]], Path("x.png"))  # given twice, drawn once
    drawn = {drawing.get_label(): drawing.get_ydata().tolist() for drawing in figures[0].axes[0].get_lines()}
    assert drawn["sac, members 2"] == [0, 10]
    assert drawn["sac, members 3 (2 seeds)"] == [0, 30]
    plot([parent], Path("x.png"), by="env")
    assert labels(figures[1]) - {"95% bootstrap interval"} == {
        "cheetah_run, members 2",
        "cheetah_run, members 3 (2 seeds)",
    }
    plot([parent], Path("x.png"), by="seed")
    assert labels(figures[2]) == {"seed0", "seed0-1", "seed1-1"}
    assert len(figures[2].axes[0].get_lines()) == 3


def test_a_seed_that_was_run_twice_is_no_second_seed(make_run: MakeRun, figures: "list[Figure]") -> None:
    plot([make_run(), make_run(folder="seed0-1", config={"steps": 7})], Path("x.png"))
    assert "sac (2 runs)" in labels(figures[0])


def test_published_points_stand_at_their_budget(make_run: MakeRun, figures: "list[Figure]") -> None:
    plot([make_run("cheetah_run", every=100_000)], Path("x.png"), reference="sac[pytorch_sac]")
    (axis,) = figures[0].axes
    (points,) = axis.containers
    assert points.lines[0].get_xdata().tolist() == [100_000, 200_000]  # of 100k .. 1M: the run ends at 200k
    assert points.lines[0].get_color() == GREY
    assert "sac[pytorch_sac] published, from states, repeat 1" in labels(figures[0])


def test_a_short_run_sees_the_first_published_point(make_run: MakeRun, figures: "list[Figure]") -> None:
    plot(
        [make_run("cheetah_run", every=1000, returns=(90.0, 99.0)), make_run("no_such_task")],
        Path("x.png"),
        reference="sac[pytorch_sac]",
    )
    known, unknown = figures[0].axes
    assert known.containers[0].lines[0].get_xdata().tolist() == [100_000]
    (score,) = [score for score in published("sac[pytorch_sac]", {"cheetah_run"}) if score.env_steps == 100_000]
    assert score.sd is not None
    assert known.get_xlim()[1] > 100_000  # and the axes show all of it
    assert known.get_ylim()[0] < score.mean - score.sd
    assert known.get_ylim()[1] > score.mean + score.sd
    assert not unknown.containers


def test_points_take_the_colour_of_their_task(make_run: MakeRun, figures: "list[Figure]") -> None:
    runs = [make_run("walker_walk"), make_run("cheetah_run")]
    plot(runs, Path("x.png"), by="env", reference="sac[pytorch_sac]")
    (axis,) = figures[0].axes
    assert {points.lines[0].get_color() for points in axis.containers} == {line(0)["color"], line(1)["color"]}


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_the_suffix_says_the_format(make_run: MakeRun, tmp_path: Path, name: str, start: bytes) -> None:
    out = plot([make_run()], tmp_path / name)
    assert out == tmp_path / name
    assert out.read_bytes().startswith(start)


def test_curve_is_written_into_the_run(make_run: MakeRun) -> None:
    run = make_run(returns=(3.0,))  # a single evaluation is a point
    out = curve(run)
    assert out == run / "curve.png"
    assert out.read_bytes().startswith(b"\x89PNG")


def test_drawing_leaves_the_readers_settings_alone(make_run: MakeRun) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    curve(make_run())
    assert dict(matplotlib.rcParams) == before


def test_mistakes_are_found_before_anything_is_written(make_run: MakeRun, tmp_path: Path) -> None:
    out, good, bad = tmp_path / "a.png", make_run(), make_run(seed=1)
    (bad / "eval.csv").unlink()
    for runs, target, reference, sentence in [
        ([good, bad], out, None, "eval.csv"),
        ([], out, None, "nothing to plot"),
        ([good], out.with_suffix(".gif"), None, "png"),
        ([good], out, "sac[pytorchsac]", "did you mean 'sac\\[pytorch_sac\\]'"),
    ]:
        with pytest.raises(UserError, match=sentence):
            plot(runs, target, reference=reference)
    assert not out.exists()
