"""benchmarks/heavy.py at sizes that take a moment: who takes part, what is kept, and what the ratios mean."""

import sys
from pathlib import Path

import pytest
import torch

from softrl.types import Spec

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import heavy
import ratios
from plain.windows import decisions, sequences, stretches, transitions
from raw import read

pytestmark = pytest.mark.slow  # they build networks of the published sizes

SMALL = ("--size", "16", "--batch", "2", "--length", "3", "--compile", "off", "--seconds", "0", "--threads", "1")


def test_pixels_take_turns(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heavy.main(["pixels", *SMALL, "--rounds", "2", "--precision", "bfloat16"])
    names = ("floor", "plain", "eager_bfloat16")
    assert {path.name for path in kept.iterdir()} == {f"pixels-{name}.csv" for name in names}
    first, second = read(kept, "pixels", "eager_bfloat16")
    assert (first["round"], second["round"], first["size"], first["batch"]) == ("1", "2", "16.0", "2.0")
    assert float(first["ms"]) > 0
    told = capsys.readouterr().out.splitlines()[-3:]
    assert [line.split(":")[0] for line in told] == ["pixels, floor", "pixels, plain", "pixels, eager bfloat16"]


def test_what_updates_learn_from_is_fetched_moved_and_learned_from(kept: Path) -> None:
    heavy.main(["sampling", *SMALL, "--rounds", "3", "--precision", "float32"])
    names = [
        f"{recipe}-{name}" for recipe in ("sac_ae", "drq", "curl") for name in ("fetching", "moving", "eager_float32")
    ]
    assert {path.name for path in kept.iterdir()} == {f"sampling-{name}.csv" for name in names}
    found = {figure.what: figure for figure in ratios.sampling(kept)}
    assert found.keys() == {"sac_ae, eager float32", "drq, eager float32", "curl, eager float32"}
    assert all(0 < figure.ratios[0] < 1 for figure in found.values())


@pytest.mark.parametrize("recipe", ["dreamer", "latent_sac", "smac"])
def test_world_models_take_turns(kept: Path, recipe: str) -> None:
    heavy.main(["worlds", *SMALL, "--rounds", "1", "--only", recipe])
    names = ("floor", "plain", "eager_float32", "eager_bfloat16")
    assert {path.name for path in kept.iterdir()} == {f"{recipe}-{name}.csv" for name in names}


def test_particles_take_turns_with_latent_sac(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heavy.main(["smac", *SMALL, "--rounds", "1", "--particles", "1,2"])
    names = {f"particles-eager-{name}.csv" for name in ("latent_sac", "smac_1", "smac_2")}
    assert {path.name for path in kept.iterdir()} == names
    assert capsys.readouterr().out.count("of latent_sac") == 2


def test_ratios_are_taken_within_each_round() -> None:
    times = {"floor": [1.0, 10.0], "plain": [4.0, 60.0], "eager": [2.0, 20.0]}
    lines = dict(line.split(": ", 1) for line in heavy.compared(times))
    assert lines["eager"] == "11 (2 to 20) ms; 2 (2 to 2) of the floor; 2.5 (2 to 3) times as fast as plain code"
    assert lines["plain"] == "32 (4 to 60) ms; 5 (4 to 6) of the floor"


def test_plain_code_is_given_the_same_numbers() -> None:
    window = decisions(Spec({"pixels": (3, 4, 4)}, 2), 5)
    now, action, reward, after, going = transitions(window)
    assert torch.equal(torch.stack([now, after], 1), window.obs["pixels"])
    assert torch.equal(action, window.action[:, 0])
    assert torch.equal(reward, window.reward)
    assert torch.equal(going, torch.ones(5, 1))
    window = sequences(Spec({"pixels": (3, 4, 4)}, 2), 5, 3)
    pixels, action, reward = stretches(window)
    assert torch.equal(pixels.transpose(0, 1), window.obs["pixels"])
    assert torch.equal(action[1:].transpose(0, 1), window.action[:, :-1])
    assert torch.equal(reward[1:].transpose(0, 1), window.reward[:, :-1])
    assert not action[0].any()
    assert not reward[0].any()
