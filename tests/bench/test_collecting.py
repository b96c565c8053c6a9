"""benchmarks/run --collect: what is copied, and the table by hand."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import collecting
from jobs import Job

REFERENCE = """suite,task,method,env_steps,action_repeat,mean,sd,seeds,how,source
dmc_state,cheetah_run,sac[pytorch_sac],300,1,100.0,20.0,3,file,somewhere
dmc_state,cheetah_run,sac[pytorch_sac],600,1,900.0,20.0,3,file,another budget
dmc_state,walker_walk,sac[pytorch_sac],300,1,900.0,,1,file,another task
"""


def run(folder: Path, recipe: str, task: str, seed: int, returns: list[float], steps: int = 300) -> Job:
    """A finished run with these evaluations, 100 steps apart."""
    path = folder / task / recipe / f"seed{seed}"
    (path / "checkpoints" / f"step_{steps:09d}").mkdir(parents=True)
    config = {"recipe": recipe, "seed": seed, "steps": steps, "env": {"name": task, "repeat": 1}}
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
    assert "| cheetah_run | sac | 300 | 1 | 80.0 | 14.1 | 2 | these runs |" in lines
    assert "| cheetah_run | sac[pytorch_sac] | 300 | 1 | 100.0 | 20.0 | 3 | somewhere |" in lines
    assert not any("another" in line for line in lines)
    # the larger of one sd, 20, and 15%, 15
    assert "- cheetah_run, sac: 80.0, target 80.0 (pytorch_sac less the larger of one sd and 15%): met" in lines
    assert sorted(path.name for path in (target / "results/sac/cheetah_run/seed1").iterdir()) == [
        "config.json",
        "eval.csv",
    ]


def test_the_2018_recipe_is_held_against_stable_baselines(tmp_path: Path) -> None:
    target = benchmarks(tmp_path)
    theirs = run(tmp_path, "sb3_sac", "Hopper-v4", 1, [0, 1000, 1000, 1000])
    ours = run(tmp_path, "sac_v1", "Hopper-v4", 1, [0, 799, 799, 799])
    assert collecting.collect([theirs, ours], target) == 0
    text = (target / "results" / "README.md").read_text()
    assert (
        "- Hopper-v4, sac_v1: 799.0, target 800.0 (0.8 of Stable-Baselines3's SAC in the same budget): missed" in text
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
