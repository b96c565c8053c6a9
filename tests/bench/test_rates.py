"""benchmarks/rates.py: how the speed of a list's lines is measured."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import rates

LINES = """
softrl train Hopper-v4 --recipe sac --steps 5M --minutes 30 --seed 1 --run runs/Hopper-v4/half_hour_sac/seed1
softrl train Hopper-v4 --recipe droq --train.warmup 900 --agent.critic.members 3 --steps 5M --seed 1
softrl train Hopper-v4 --recipe sac --steps 5M --minutes 30 --seed 2 --run runs/Hopper-v4/half_hour_sac/seed2
$PEERS_PYTHON benchmarks/peers/sb3_sac.py Hopper-v4 --run runs/Hopper-v4/sb3_sac/seed1
"""


def test_each_method_is_measured_once_with_the_settings_of_its_runs(tmp_path: Path) -> None:
    """DroQ makes twenty updates a step, so fewer steps are as long."""
    path = tmp_path / "list.txt"
    path.write_text(LINES.replace("$PEERS_PYTHON", "python"))
    measured = dict(rates.commands(path, updates=1000))
    assert list(measured) == [("Hopper-v4", "half_hour_sac"), ("Hopper-v4", "droq")]
    sac, droq = (" ".join(words).partition("--recipe ")[2] for words in measured.values())
    assert sac == "sac --env Hopper-v4 --steps 1000 --settle 333 --threads 1"
    assert droq == "droq --env Hopper-v4 --steps 50 --settle 16 --threads 1 --agent.critic.members 3"
