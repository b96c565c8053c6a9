"""`make train` asks for an action repeat only where its first task is learned from states."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ([], "cartpole_swingup --recipe sac --steps 100k --seed 0 --env.repeat 4"),
        (["RECIPE=drq"], "cartpole_swingup --recipe drq --steps 100k --seed 0"),
        (["RECIPE=sac_v1", "SEED=3"], "cartpole_swingup --recipe sac_v1 --steps 100k --seed 3"),
        (["ENV=cheetah_run", "ARGS=--quiet"], "cheetah_run --recipe sac --steps 100k --seed 0 --quiet"),
    ],
)
def test_train(words: list[str], arguments: str) -> None:
    told = subprocess.run(["make", "-n", "train", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    [said] = re.findall(r"softrl train (.+)", told)
    assert " ".join(said.split()) == arguments
