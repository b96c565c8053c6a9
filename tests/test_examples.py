"""The examples run as they are printed, only shorter."""

import math
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from softrl import api
from softrl.run.config import Run
from softrl.run.fields import override

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


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 60
