"""The examples run as they are printed, only shorter."""

import math
import re
import runpy
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from softrl import api
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.types import Atoms

TRAIN = api.train
EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run folders go to a temporary place, and networks are small."""
    monkeypatch.chdir(tmp_path)
    train, recipe = api.train, api.recipe
    short = {"agent.actor.trunk.hidden": (16,), "agent.critic.trunk.hidden": (16,), "video.every": "never"}

    def small_train(*args: Any, **options: Any) -> Any:
        return train(*args, **{**options, **short, "train.warmup": 50, "eval.episodes": 1, "threads": 1})

    def small_recipe(name: str) -> Run:
        return override(recipe(name), {path: value for path, value in short.items() if path.startswith("agent")})

    monkeypatch.setattr(api, "train", small_train)
    monkeypatch.setattr(api, "recipe", small_recipe)


def run(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / name))


def test_train(capsys: pytest.CaptureFixture[str]) -> None:
    run("train.py")["main"]("Pendulum-v1", 200)
    assert "returns: [" in capsys.readouterr().out


def test_own_loop(capsys: pytest.CaptureFixture[str]) -> None:
    run("own_loop.py")["main"](420)
    out = capsys.readouterr().out
    assert "step 200: return" in out
    assert "critic loss" in out


def test_own_environment(capsys: pytest.CaptureFixture[str]) -> None:
    run("own_environment.py")["main"](200)
    assert "watts" in capsys.readouterr().out


def test_choices_and_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """Critics with three quantiles and plain ones; what is said of each component under its name is of that one."""
    run("choices_and_numbers.py")["main"]()
    out = capsys.readouterr().out
    assert re.findall(r"critics: (\w+)", out) == ["Quantile", "Scalar"]
    for name, options, most in (("choices", 25, math.log(25)), ("continuous", 4, 2 * math.log(2))):
        found = re.findall(rf"^{name}: log-probabilities \[(.+)\], entropy (.+)$", out, re.MULTILINE)
        assert len(found) == 2
        for listed, entropy in found:
            values = [float(value) for value in listed.split(", ")]
            assert len(values) == 3
            assert all(abs(value + math.log(options)) < 1.5 for value in values)  # nearly uniform, as it starts
            assert 0.8 * most < float(entropy) < 1.1 * most
    assert len(re.findall(r"critic loss \d", out)) == 2


@pytest.mark.slow
def test_deploy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The exported file acts as the policy does, which the example checks itself, normalised inside."""
    path = TRAIN("Pendulum-v1", recipe="simba+tiny", steps=150, threads=1).path
    run("deploy.py")["main"](str(path), str(tmp_path / "policy.pt2"))
    assert f"MB, the same actions as {path}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "recipe", "part"),
    [("own_trunk", "tqc+waves+tiny", "own_trunk:Sines"), ("own_head", "sac+tiny", "own_head:Expectile")],
)
@pytest.mark.slow
def test_own_parts(
    name: str, recipe: str, part: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part from elsewhere is trained, and found again on disk by its module."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import_module(name).main(150, recipe)
    assert "return: [" in capsys.readouterr().out
    [path] = Path("runs/Pendulum-v1", recipe).iterdir()
    assert f'"{part}"' in (path / "config.json").read_text()


def test_an_own_head_learns_what_its_equation_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The minimum of the loss is where expected excess above and below balance as tau to 1 - tau."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    head = import_module("own_head").Expectile(tau=0.3)
    atoms = Atoms(torch.tensor([[0.0, 1.0, 4.0]]), torch.tensor([[0.5, 0.25, 0.25]]))
    grid = torch.linspace(0, 4, 4001)
    best = grid[head.loss(grid[:, None, None], atoms)[:, 0].argmin()]
    # 0.3 (0.25 (4 - x) + 0.25 (1 - x)) = 0.7 * 0.5 x
    assert float(best) == pytest.approx(0.375 / 0.5, abs=2e-3)


@pytest.mark.slow
def test_compare(capsys: pytest.CaptureFixture[str]) -> None:
    run("compare.py")["main"]("Pendulum-v1", 150, 2, "sac+tiny", "tqc+tiny")
    out = capsys.readouterr().out
    assert re.findall(r"^(\w+)\+tiny: -\d+\.\d, 95% interval \[-", out, re.MULTILINE) == ["sac", "tqc"]
    better = r"^P\(tqc\+tiny > sac\+tiny\) = [01]\.\d\d, 95% interval \[[01]\.\d\d, [01]\.\d\d\]$"
    assert re.search(better, out, re.MULTILINE)
    assert Path("compare.png").exists()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 60
