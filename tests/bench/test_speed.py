"""benchmarks/speed.py with processes that only pretend to measure: who takes turns, what is kept and told."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import ratios
import raw
import speed
import speed_page
from ratios import Figure, figures
from raw import newest, read
from speed_page import page, source

from softrl.plots.bars import Bar

MS = {"act": 0.5, "environment": 0.5, "replay add": 0.25, "replay sample": 0.25, "transfer": 0.0, "update": 3.0}
LOOP = {"steps_per_second": 200.0, "outside": 0.1, "ms": {**MS, "log": 0.25, "rest": 0.25}, "peak_mib": 812.4}
"""A step of 5 ms."""
PEER = {"versions": {"somebody": "1.0"}}


class Pretended:
    """What processes would have printed: our loop, those of peers, an update."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.turns: dict[str, int] = {}
        self.drawn: dict[str, list[Bar]] = {}

    def __call__(self, command: list[str], threads: int) -> dict[str, Any]:
        self.commands.append(command)
        if "update" in command:
            turn = self.turns["update"] = self.turns.get("update", 0) + 1
            part = {"ms": 4.0, "median": 1.05, "lowest": 1.0, "highest": 1.2, "first_seconds": 30.0 / turn}
            return {"measured": {"compiled": part, "eager": part | {"median": 3.0, "highest": 3.5}}, "gflop": 0.72}
        if "envs" in command:
            turn = self.turns["envs"] = self.turns.get("envs", 0) + 1
            cells = {n: {"steps_per_second": 100.0 * turn * int(n), "updates_per_step": 0.9} for n in ("1", "4")}
            sync = {n: cell | {"steps_per_second": 200.0} for n, cell in cells.items()}
            alone = {kind: {"1": 3000.0, "4": 6000.0} for kind in ("sync", "async")}
            return {"decisions_per_second": alone, "training": {"sync": sync, "async": cells}}
        name = next((peer for peer in ("sb3", "sbx", "torchrl") if peer in command), "softrl")
        turn = self.turns[name] = self.turns.get(name, 0) + 1
        if name == "softrl":
            return LOOP | {"steps_per_second": 200.0 + turn}
        return PEER | {"steps_per_second": {"sb3": 50.0, "sbx": 200.0 * turn, "torchrl": 100.0}[name]}


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretended:
    """Raw numbers go to a folder of the test, and this process keeps its processors, of which it is told two."""
    pretended = Pretended()
    monkeypatch.setattr(speed, "RESULTS", tmp_path)
    monkeypatch.setattr(speed, "PICTURE", tmp_path / "speed.png")
    monkeypatch.setattr(speed, "measured", pretended)
    monkeypatch.setattr(speed, "multiplies_bfloat16", lambda: False)
    monkeypatch.setattr(speed_page, "bars", lambda panels, out: pretended.drawn.update(panels))
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    return pretended


def named(found: list[Figure]) -> dict[str, Figure]:
    """Figures by what they are."""
    return {figure.what: figure for figure in found}


def test_ratios_are_of_loops_in_the_same_round(pretended: Pretended, tmp_path: Path, capsys: Any) -> None:
    speed.main(["loop", "--algorithm", "crossq", "--peers", "python", "--rounds", "3"])
    assert [words[2] if words[0] == "python" else "ours" for words in pretended.commands] == ["ours", "sb3", "sbx"] * 3
    found = named(figures(tmp_path))
    over_sb3 = found["softrl over Stable-Baselines3, HalfCheetah-v5"]
    assert over_sb3.ratios == (202 / 50, 201 / 50, 203 / 50)
    assert (over_sb3.target, over_sb3.bound, over_sb3.verdict) == (3.0, ">= 3", "yes")
    ((family, panel),) = pretended.drawn.items()
    assert family == f"crossq: environment steps a second, over a peer's\n{speed_page.processor(over_sb3)}"
    assert panel[0] == Bar(over_sb3.what, *over_sb3.ratios, 3.0, "(>= 3)")
    over_sbx = found["softrl over SBX, HalfCheetah-v5"]
    assert over_sbx.ratios == (202 / 400, 203 / 600, 201 / 200)
    assert over_sbx.verdict == "no"
    assert over_sbx.more == {"env steps/s, ours and theirs": "202.0 and 400.0"}
    assert "over SBX, HalfCheetah-v5: 0.505 (0.34 to 1.00; target >= 1.2: missed)" in capsys.readouterr().out


def test_too_few_turns_say_nothing_and_the_newest_measurement_counts(
    pretended: Pretended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for begun, rounds in (("2030-01-01", 3), ("2030-01-02", 4), ("2030-01-03", 2)):
        monkeypatch.setattr(speed, "BEGUN", begun)
        speed.main(["loop", "--algorithm", "tqc", "--peers", "python", "--rounds", str(rounds)])
    figure, half = figures(tmp_path)
    assert "bfloat16" not in figure.what
    assert half.ratios == ()  # as the processor cannot
    assert {turn[0]["measurement"] for turn in figure.turns} == {"2030-01-02"}
    assert len(figure.turns) == 4


def test_a_recipe_is_raced_with_the_settings_that_a_peer_has(pretended: Pretended, tmp_path: Path) -> None:
    speed.main(["loop", "--algorithm", "tqc_2", "--peers", "python", "--rounds", "3"])
    ours, theirs = (" ".join(words) for words in pretended.commands[:2])
    assert "--recipe tqc " in ours
    assert ours.endswith(" --agent.critic.members 2")
    assert "sbx --algorithm tqc_2 " in theirs
    figure = named(figures(tmp_path))["softrl over SBX, HalfCheetah-v5"]
    assert (figure.target, figure.family.partition(":")[0]) == (1.2, "tqc, agent.critic.members 2")


def test_machines_and_environments_are_told_apart() -> None:
    def row(cpu: str, env: str, measurement: str) -> raw.Row:
        place = {"cpu": cpu, "processors": "2", "threads": "2", "command": f"softrl bench loop --env {env} --steps 9"}
        return {"measurement": measurement, **place}

    rows = [row("a", "Hopper-v5", "1"), row("b", "Hopper-v5", "2"), row("a", "Ant-v5", "3"), row("a", "Hopper-v5", "4")]
    assert [[rows.index(row) for (row,) in group] for group in newest(raw.single(rows), 1)] == [[3], [1], [2]]


def test_shares_of_a_step_and_its_breakdown(pretended: Pretended, tmp_path: Path) -> None:
    speed.main(["loop", "--peers", "python", "--rounds", "3"])
    found = named(figures(tmp_path))
    assert found["acting"].ratios == (0.1, 0.1, 0.1)
    assert (found["acting"].verdict, found["outside the update"].verdict) == ("no", "yes")
    text = (tmp_path / "README.md").read_text()
    assert "| update | 3.000 | 60.0% |" in text
    assert "| transfer | 0.000 | 0.0% |" in text


def test_waiting_for_pictures(pretended: Pretended, tmp_path: Path, capsys: Any) -> None:
    speed.main(["waiting", "--only", "drq", "--rounds", "3"])
    assert [" ".join(words[-10:]) for words in pretended.commands] == [
        "--recipe drq --env cartpole_swingup --settle 80 --steps 480 --threads 2"
    ] * 3
    figure = named(figures(tmp_path))["drq, cartpole_swingup"]
    assert (figure.ratios, figure.verdict, figure.more) == ((0.1, 0.1, 0.1), "no", {"ms": "5.0"})
    assert "round 3: drq waits 10.0% of 5 ms a step" in capsys.readouterr().out


def test_the_share_of_fetching_and_moving_pictures(pretended: Pretended, tmp_path: Path) -> None:
    """Of 10 ms for a sample and 30 for an update, 2 of them to move it, 12 have made what is learned from."""
    times = {"fetching": 10.0, "moving": 2.0, "eager float32": 30.0}
    for name, ms in times.items():
        for turn in (1, 2, 3):
            speed.keep("sampling-drq", name, 1, ["x"], turn, {"ms": ms, "size": 84.0, "batch": 128.0, "length": 50.0})
    (figure,) = ratios.sampling(tmp_path)
    assert (figure.ratios, figure.verdict, figure.more) == ((0.3, 0.3, 0.3), "no", {"ms": "12.0"})
    assert (figure.family[-18:], figure.what) == ("size 84, batch 128", "drq, eager float32")


def test_torchrl_runs_as_it_is_and_compiled(pretended: Pretended) -> None:
    speed.main(["loop", "--algorithm", "redq", "--peers", "python", "--rounds", "1"])
    plain = "torchrl --algorithm redq --env HalfCheetah-v5 --steps 150 --settle 25 --rows 100000 --threads 2"
    theirs = [" ".join(words[2:]) for words in pretended.commands if words[0] == "python"]
    assert theirs == [plain, f"{plain} --compile"]


@pytest.mark.parametrize("able", [False, True])
def test_bfloat16_is_measured_where_the_processor_has_it(
    pretended: Pretended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, able: bool
) -> None:
    monkeypatch.setattr(speed, "multiplies_bfloat16", lambda: able)
    speed.main(["all", "--peers", "python", "--rounds", "3"])
    assert sum("bfloat16" in words for words in pretended.commands) == (6 if able else 0)
    found = named(figures(tmp_path))
    update = found["bfloat16"]
    assert update.target == 0.65
    assert (update.ratios, update.verdict) == (((1.05, 1.0, 1.2), "no") if able else ((), ratios.CANNOT))
    loop = next(figure for what, figure in found.items() if what.startswith("softrl bfloat16 over SBX"))
    assert (loop.target, bool(loop.ratios)) == (2.2, able)
    assert ((tmp_path / "README.md").read_text().count(ratios.CANNOT) > 0) is not able


def test_everything_is_all_measures_and_all_races(pretended: Pretended) -> None:
    speed.main(["everything", "--peers", "python", "--rounds", "1", "--only", "drq"])
    said = [" ".join(words) for words in pretended.commands]
    for algorithm in ratios.TARGETS:
        assert any(f"--algorithm {algorithm} " in line for line in said), algorithm
    for what in ("bench update", "bench envs", "bench loop --json --device cpu --recipe drq"):
        assert any(what in line for line in said), what


def test_what_compiling_takes_stands_beside_a_race(pretended: Pretended, tmp_path: Path) -> None:
    for name, seconds in {"softrl": (20.0, 3.5, 4.0), "sb3": (0.5, 0.25, 0.75)}.items():
        for turn, more in enumerate(seconds, 1):
            result = {"steps_per_second": 100.0, "first_seconds": more, "versions": {}}
            speed.keep("loop-crossq", name, 1, ["python", "--env", "Hopper-v5"], turn, result)
    (figure,) = [figure for figure in ratios.loops(tmp_path, "crossq") if figure.ratios]
    assert figure.more[ratios.FIRST_CALL] == "20.0, then 3.5 and 0.5, then 0.2"


def test_updates_have_the_range_of_all_pairs(pretended: Pretended, tmp_path: Path) -> None:
    speed.main(["update", "--rounds", "2"])
    found = named(figures(tmp_path))
    assert (found["compiled"].ratios, found["compiled"].verdict) == ((1.05, 1.0, 1.2), "yes")
    assert (found["eager"].ratios, found["eager"].verdict) == ((3.0, 1.0, 3.5), "")
    assert found["compiled"].more[ratios.FIRST_CALL] == "30.0, then 15.0"


def test_on_a_gpu_updates_are_cuda_graphs_and_the_gpu_is_told(
    pretended: Pretended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_gpu(command: list[str], threads: int) -> dict[str, Any]:
        result = pretended(command, threads)
        part = result["measured"]["compiled"]
        return result | ({"measured": {"CUDA graph": part}} if "cudagraph" in command else {})

    monkeypatch.setattr(speed, "measured", on_gpu)
    monkeypatch.setattr(speed.torch.cuda, "get_device_name", lambda: "a GPU")
    speed.main(["update", "--rounds", "1", "--device", "cuda"])
    speed.main(["recipes", "--only", "tqc", "--device", "cuda"])
    assert all("--device cuda" in " ".join(words) for words in pretended.commands)
    assert ["--precision" in words for words in pretended.commands] == [False, False, True, False]
    for table, name in (("update", "CUDA graph"), ("update", "bfloat16"), ("recipes", "update")):
        assert [row["gpu"] for row in read(tmp_path, table, name)] == ["a GPU"]
    assert named(figures(tmp_path))["CUDA graph"].target == 1.1


def test_measurements_without_the_time_of_compiling_say_nothing_of_it() -> None:
    assert ratios.first_call([{"first_seconds": ""}, {}]) == ""
    assert ratios.first_call([{}, {"first_seconds": "9.04"}]) == "9.0"


@pytest.mark.parametrize(
    ("recipe", "env"),
    [
        ("tqc", "Hopper-v5"),
        ("ddsac", "CartPole-v1"),
        ("sac_hybrid", speed.GEARS),
        ("drq", speed.GEARS),
        ("dreamer", "cartpole_swingup"),
        ("latent_sac+discrete_latents", "cartpole_swingup"),
    ],
)
def test_memory_is_measured_where_a_recipe_can_act(recipe: str, env: str) -> None:
    assert speed.task(recipe, "Hopper-v5") == env


def test_recipes_have_a_ratio_and_the_memory_of_a_run(pretended: Pretended, tmp_path: Path) -> None:
    for what in ("recipes", "memory"):
        speed.main([what, "--only", "tqc,sac_discrete,sac_hybrid,sac_ae"])
    updates, runs = pretended.commands[:4], pretended.commands[4:]
    assert ["--choices" in words for words in updates] == [False, True, True, False]
    tasks = [words[words.index("--env") + 1] for words in runs]
    assert tasks == ["HalfCheetah-v5", "CartPole-v1", "softrl/Gears-v0", "softrl/Gears-v0"]
    assert all("--device cpu" in " ".join(words) for words in pretended.commands)
    tqc, discrete, *_ = figures(tmp_path)
    assert (tqc.what, tqc.ratios, tqc.verdict) == ("tqc", (1.05, 1.0, 1.2), "yes")
    assert dict(tqc.more) == {"ms": "4.00", "s for the first": "30.0", "GFLOP": "0.72"}
    assert discrete.what == "sac_discrete"
    lines = (tmp_path / "README.md").read_text().splitlines()
    here = speed_page.processor(tqc)
    assert f"| tqc | 1.050 | 1.00 to 1.20 | 1 | <= 1.5 | yes | 4.00 | 30.0 | 0.72 | {here} | 1 |" in lines
    assert f"| tqc | 812 | {here} | 4 |" in lines  # after what was counted and what had choices, one or six
    assert any("--recipe NAME" in line for line in lines)
    assert "--recipe tqc" not in "".join(lines)


def test_many_environments_are_held_against_one_in_this_process(pretended: Pretended, tmp_path: Path) -> None:
    speed.main(["envs", "--counts", "1,4", "--rounds", "3", "--steps", "7"])
    assert [" ".join(words[-8:]) for words in pretended.commands] == [
        "--env HalfCheetah-v5 --envs 1,4 --threads 2 --steps 7"
    ] * 3
    found = named(figures(tmp_path))
    assert found["sync, N = 4, HalfCheetah-v5"].ratios == (1.0, 1.0, 1.0)
    many = found["async, N = 4, HalfCheetah-v5"]
    assert (many.ratios, many.verdict) == ((4.0, 2.0, 6.0), "")
    assert list(many.more.values()) == ["800.0", "6000", "0.90"]
    assert list(many.more)[1] == "decisions/s alone"


def test_a_recipe_that_cannot_be_measured_is_told_and_the_next_has_its_turn(
    pretended: Pretended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def failing(command: list[str], threads: int) -> dict[str, Any]:
        if "tqc" in command:
            raise SystemExit("softrl bench\nsoftrl: no")
        return pretended(command, threads)

    monkeypatch.setattr(speed, "measured", failing)
    speed.main(["recipes", "--only", "tqc,sac"])
    assert "tqc: softrl: no" in capsys.readouterr().out
    assert [figure.what for figure in figures(tmp_path)] == ["sac"]


def test_new_columns_are_empty_in_the_rows_before(tmp_path: Path) -> None:
    raw.add(tmp_path, "loop", "softrl bfloat16", {"a": "1"})
    raw.add(tmp_path, "loop", "softrl bfloat16", {"b": "2"})
    assert (tmp_path / "loop-softrl_bfloat16.csv").read_text().splitlines() == ["a,b", "1,", ",2"]
    assert read(tmp_path, "loop", "softrl bfloat16") == [{"a": "1", "b": ""}, {"a": "", "b": "2"}]


def test_heavy_updates_beside_their_floor_and_plain_code(pretended: Pretended, tmp_path: Path) -> None:
    sizes = {"size": 84.0, "batch": 128.0}
    for turn, ms in enumerate((60.0, 50.0, 80.0), start=1):
        for name, took in (("floor", 40.0), ("plain", 200.0), ("compiled float32", ms)):
            speed.keep("pixels", name, 2, ["heavy.py"], turn, {"ms": took, **sizes})
    over_floor, plain = figures(tmp_path)
    assert (over_floor.what, over_floor.ratios) == ("compiled float32 over the floor", (1.5, 1.25, 2.0))
    assert (plain.what, plain.ratios) == ("plain code over compiled float32", (200 / 60, 2.5, 4.0))
    assert (plain.family, plain.verdict, over_floor.verdict) == ("pixels: update, size 84, batch 128", "yes", "no")


def test_further_latents_beside_one(pretended: Pretended, tmp_path: Path) -> None:
    sizes = {"size": 64.0, "batch": 50.0}
    for turn, ms in enumerate((60.0, 50.0, 55.0), start=1):
        for name, took in (("latent_sac", 50.0), ("smac_8", ms), ("smac_32", 80.0)):
            speed.keep("particles-compiled", name, 2, ["heavy.py"], turn, {"ms": took, **sizes})
    few, many = figures(tmp_path)
    assert (few.family, few.what) == (
        "smac: update over that of latent_sac, size 64, batch 50",
        "smac, K = 8, compiled",
    )
    assert (few.ratios, few.bound, few.verdict) == ((1.1, 1.0, 1.2), "<= 1.1", "yes")
    assert (many.ratios, many.verdict) == ((1.6, 1.6, 1.6), "no")


def test_rows_say_where_they_come_from(pretended: Pretended, tmp_path: Path) -> None:
    speed.main(["loop", "--algorithm", "tqc", "--peers", "python", "--rounds", "1"])
    (ours,), (theirs,) = read(tmp_path, "loop-tqc", "softrl"), read(tmp_path, "loop-tqc", "sb3")
    assert ours["measurement"] == theirs["measurement"] == speed.BEGUN
    assert theirs["versions"] == "somebody=1.0"
    assert ours["versions"].startswith("python=")
    assert ours["command"].startswith("python -m softrl.cli.main bench loop --json --device cpu --recipe tqc")
    assert source(ours)[-1] != source(theirs)[-1]


def test_processors_are_told_apart_where_they_are_drawn_together() -> None:
    def measured(cpu: str) -> Figure:
        return Figure("sac", "compiled", (1.0, 1.0, 1.0), 1.1, False, (({"cpu": cpu},),), {})

    one, other = measured("AMD EPYC"), measured("Intel(R) Xeon(R) Processor @ 2.80GHz")
    assert speed_page.bar(one, [one, one]).label == "compiled"
    assert speed_page.bar(one, [one, other]).label == "compiled (AMD EPYC)"
    assert speed_page.bar(other, [one, other]).label == "compiled (Intel Xeon @ 2.80GHz)"


@pytest.mark.parametrize(
    ("lowest", "highest", "verdict"), [(0.5, 2.0, "yes"), (0.49, 1.1, "disturbed"), (0.9, 2.01, "disturbed")]
)
def test_a_ratio_of_a_disturbed_machine_meets_nothing(lowest: float, highest: float, verdict: str) -> None:
    """Beyond twice the median, or below half of it, a turn shows another program's work."""
    figure = Figure("sac", "compiled", (1.0, lowest, highest), 1.1, False, (({},),), {})
    assert figure.verdict == verdict
    assert ("target <= 1.1: met" if verdict == "yes" else "target <= 1.1: disturbed") in figure.sentence()


def test_a_page_without_numbers_has_no_figures(tmp_path: Path) -> None:
    assert figures(tmp_path) == []
    assert "| ratio |" not in "\n".join(page(tmp_path, []))


def test_a_process_that_fails_ends_a_race() -> None:
    with pytest.raises(SystemExit, match="out of order"):
        speed.measured([sys.executable, "-c", "raise SystemExit('out of order')"], 1)
    assert speed.measured([sys.executable, "-c", "print('words'); print('{\"a\": 1.0}')"], 1) == {"a": 1.0}
