"""benchmarks/run --collect: what is copied, and the table by hand."""

import csv
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import collecting
from jobs import Job

REFERENCE = """suite,task,method,env_steps,action_repeat,mean,sd,seeds,how,source
dmc_pixels,cheetah_run,sac_ae,300,4,100.0,,10,figure,from pixels
dmc_pixels,cheetah_run,sac_pixels[sac_ae],300,4,60.0,30.0,10,figure,from pixels too
dmc_pixels,cheetah_run,drq[dreamer],300,2,300.0,50.0,10,file,of one protocol
dmc_state,cheetah_run,sac[pytorch_sac],300,1,100.0,20.0,3,file,somewhere
dmc_state,cheetah_run,sac[pytorch_sac],600,1,900.0,20.0,3,file,another budget
dmc_state,walker_walk,sac[pytorch_sac],300,1,900.0,,1,file,another task
"""


def run(
    folder: Path, recipe: str, task: str, seed: int, returns: list[float], pixels: int | None = None, steps: int = 300
) -> Job:
    """A finished run with these evaluations, 100 steps apart, from pictures where they have a size."""
    path = folder / task / recipe / f"seed{seed}"
    (path / "checkpoints" / f"step_{steps:09d}").mkdir(parents=True)
    seen = pixels and {"type": "Pixels", "size": pixels, "stack": 3, "camera": None}
    env = {"name": task, "repeat": 4 if pixels else 1, "pixels": seen}
    config = {"recipe": recipe, "seed": seed, "steps": steps, "env": env}
    (path / "config.json").write_text(json.dumps(config))
    rows = [f"{100 * i},{value}" for i, value in enumerate(returns)]
    (path / "eval.csv").write_text("\n".join(["env_steps,return_mean", *rows]) + "\n")
    (path / "metrics.jsonl").write_text("large")
    return Job(("softrl", "train", task), path)


def benchmarks(folder: Path) -> Path:
    path = folder / "benchmarks"
    (path / "results").mkdir(parents=True)
    (path / "reference.csv").write_text(REFERENCE)
    return path


def test_means_of_the_last_three_evaluations_beside_published_rows(tmp_path: Path) -> None:
    target = benchmarks(tmp_path)
    jobs = [
        run(tmp_path, "sac", "cheetah_run", 1, [0, 60, 90, 120]),  # 90
        run(tmp_path, "sac", "cheetah_run", 2, [0, 70, 70, 70]),  # 70
    ]
    assert collecting.collect(jobs, target) == 0
    lines = (target / "results" / "README.md").read_text().splitlines()
    assert "| cheetah_run | sac | state | 300 | 1 | 80.0 | 14.1 | 70.0 to 90.0 | 2 |  | these runs |" in lines
    assert "| cheetah_run | sac[pytorch_sac] | state | 300 | 1 | 100.0 | 20.0 |  | 3 |  | somewhere |" in lines
    assert not any("another" in line or "from pixels" in line for line in lines)
    # the larger of one sd, 20, and 15%, 15
    assert (
        "- cheetah_run, sac, 2 seeds: 80.0, target 80.0 (sac[pytorch_sac] less the larger of one sd and 15%): met"
        in lines
    )
    assert sorted(path.name for path in (target / "results/sac/cheetah_run/seed1").iterdir()) == [
        "config.json",
        "eval.csv",
    ]


def test_runs_from_pixels_are_held_against_published_ones_from_pixels(tmp_path: Path) -> None:
    target = benchmarks(tmp_path)
    jobs = [
        run(tmp_path, "sac_ae", "cheetah_run", 1, [0, 90, 90, 90], pixels=84),
        run(tmp_path, "sac_ae_64", "cheetah_run", 1, [0, 84, 84, 84], pixels=64),
        run(tmp_path, "sac_pixels_64", "cheetah_run", 1, [0, 29, 29, 29], pixels=64),
        run(tmp_path, "drq_64", "cheetah_run", 1, [0, 250, 250, 250], pixels=64),
        run(tmp_path, "smac_32", "cheetah_run", 1, [0, 10, 10, 10], pixels=32),
    ]
    assert collecting.collect(jobs, target) == 0
    lines = (target / "results" / "README.md").read_text().splitlines()
    assert "| cheetah_run | sac_ae_64 | pixels | 300 | 4 | 84.0 |  |  | 1 |  | these runs |" in lines
    assert "| cheetah_run | sac_ae | pixels | 300 | 4 | 100.0 |  |  | 10 |  | from pixels |" in lines
    assert not any("pytorch_sac" in line for line in lines)
    assert [line for line in lines if line.startswith("- ")] == [
        "- cheetah_run, drq_64, one seed: 250.0, target 250.0 (drq[dreamer] less the larger of one sd and 15%): met",
        "- cheetah_run, sac_ae, one seed: 90.0, target 85.0 (sac_ae less the larger of one sd and 15%): met",
        "- cheetah_run, sac_ae_64, one seed: 84.0, target 85.0 (sac_ae less the larger of one sd and 15%): missed",
        "- cheetah_run, sac_pixels_64, one seed: 29.0, target 30.0 "
        "(sac_pixels[sac_ae] less the larger of one sd and 15%): missed",
    ]


def test_a_smaller_budget_stands_beside_the_next_published_one_without_a_verdict(tmp_path: Path) -> None:
    target = benchmarks(tmp_path)
    collecting.collect([run(tmp_path, "sac", "cheetah_run", 1, [0, 90, 90], steps=200)], target)
    text = (target / "results" / "README.md").read_text()
    assert "sac[pytorch_sac] | state | 300 |" in text
    assert "sac[pytorch_sac] | state | 600 |" not in text
    assert "- cheetah_run" not in text


def test_executed_lengths_are_averaged_as_returns_are(tmp_path: Path) -> None:
    target = benchmarks(tmp_path)
    jobs = [run(tmp_path, "qc_adaptive", "cheetah_run", seed, []) for seed in (1, 2)]
    for job, length in zip(jobs, (2.0, 3.0), strict=True):
        rows = [f"{100 * i},{i},{length + i}" for i in range(4)]
        (job.folder / "eval.csv").write_text("\n".join(["env_steps,return_mean,chunk_length", *rows]) + "\n")
    collecting.collect(jobs, target)
    text = (target / "results" / "README.md").read_text()
    assert "| cheetah_run | qc_adaptive | state | 300 | 1 | 2.0 | 0.0 | 2.0 to 2.0 | 2 | 4.50 | these runs |" in text


def test_every_target_is_published() -> None:
    """The names in the code are those of the file that is read, from the kind of observations that is meant."""
    with (Path(collecting.__file__).parent / "reference.csv").open(newline="") as file:
        known = {(collecting.seen(row), row["method"]) for row in csv.DictReader(file)}
    for sees, targets in collecting.TARGETS.items():
        assert {(sees, name) for names in targets.values() for name in names} - {("state", collecting.PEER)} <= known


def test_the_figures_of_the_papers_from_pixels() -> None:
    """Of SAC+AE at 100k and 500k frames, read off its figure: what runs of cartpole_swingup are held against."""
    with (Path(collecting.__file__).parent / "reference.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "sac_ae" and row["task"] == "cartpole_swingup"]
    assert {row["env_steps"]: row["mean"] for row in rows}.items() >= {"100000": "260.0", "500000": "730.0"}.items()
    assert {(row["suite"], row["action_repeat"], row["how"]) for row in rows} == {("dmc_pixels", "8", "figure")}


def test_the_2018_recipe_is_held_against_stable_baselines(tmp_path: Path) -> None:
    target = benchmarks(tmp_path)
    theirs = run(tmp_path, "sb3_sac", "Hopper-v4", 1, [0, 1000, 1000, 1000])
    ours = run(tmp_path, "sac_v1", "Hopper-v4", 1, [0, 799, 799, 799])
    assert collecting.collect([theirs, ours], target) == 0
    text = (target / "results" / "README.md").read_text()
    assert (
        "- Hopper-v4, sac_v1, one seed: 799.0, target 800.0 (0.8 of Stable-Baselines3's SAC in the same budget): missed"
        in text
    )
    assert "- Hopper-v4, sb3_sac" not in text


def test_runs_that_are_not_done_are_left_out_and_other_text_is_kept(tmp_path: Path) -> None:
    target = benchmarks(tmp_path)
    readme = target / "results" / "README.md"
    readme.write_text(f"before\n{collecting.BEGIN}\nold\n{collecting.END}\nafter\n")
    cut = run(tmp_path, "sac", "cheetah_run", 1, [0, 60])
    assert collecting.collect([cut], target) == 1
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "cheetah_run" not in text
    assert collecting.collect([cut], target) == 1
    assert readme.read_text() == text


def test_runs_that_the_clock_ends_have_a_table_of_their_own(tmp_path: Path) -> None:
    target = benchmarks(tmp_path)
    jobs = [
        run(tmp_path, "half_hour_sac", "cheetah_run", 1, [], steps=400),
        run(tmp_path, "half_hour_sac", "cheetah_run", 2, [], steps=400),
        run(tmp_path, "half_hour_tqc", "cheetah_run", 1, [], steps=400),
        run(tmp_path, "sac", "cheetah_run", 1, [0, 60, 90, 120]),
    ]
    for job, offset in zip(jobs[:3], (0.0, 20.0, 60.0), strict=True):
        config = json.loads((job.folder / "config.json").read_text())
        (job.folder / "config.json").write_text(json.dumps(config | {"minutes": 3.0}))
        # evaluations at 0, 50 .. 200 seconds: the last is made when the time is over
        rows = [f"{100 * i},{10 * i + offset},{50 * i}" for i in range(5)]
        (job.folder / "eval.csv").write_text("\n".join(["env_steps,return_mean,seconds", *rows]) + "\n")
    collecting.collect(jobs, target)
    lines = (target / "results" / "README.md").read_text().splitlines()
    ours = [line for line in lines if "half_hour" in line]
    # after 60 s: mean of 0, 10; after 120 s: of 0, 10, 20; at the end: of 20, 30, 40; the best first
    assert ours == [
        "| cheetah_run | half_hour_tqc | 3 | 400 | 65.0 | 70.0 | 90.0 |  | 1 |",
        "| cheetah_run | half_hour_sac | 3 | 400 | 15.0 | 20.0 | 40.0 | 14.1 | 2 |",
    ]
    assert "| cheetah_run | sac | state | 300 | 1 | 90.0 |  |  | 1 |  | these runs |" in lines


def test_runs_of_altered_code_are_named(tmp_path: Path) -> None:
    jobs = [run(tmp_path, "sac", "cheetah_run", seed, [0, 60, 90, 120]) for seed in (1, 2)]
    for job, commit in zip(jobs, ("abc", "abc-dirty"), strict=True):
        (job.folder / "versions.json").write_text(json.dumps({"commit": commit}))
    folder = benchmarks(tmp_path)
    assert collecting.collect(jobs, folder) == 0
    told = "The code of 1 of these 2 runs had changes beside the commit it names: `sac/cheetah_run/seed2`."
    assert told in (folder / "results" / "README.md").read_text()
    (folder / "results" / "sac" / "cheetah_run" / "seed2" / "versions.json").write_text("{}")
    assert collecting.altered(folder / "results") == []
