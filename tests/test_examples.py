"""The examples run as they are printed, only shorter."""

import json
import math
import re
import runpy
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import softrl
from softrl import api
from softrl.agent.agent import Agent
from softrl.agent.config import AgentConfig
from softrl.cli.main import main
from softrl.math.chunks import masked
from softrl.math.rules import Minimum
from softrl.recipes import RECIPES, apply
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.types import Actions, Atoms, Spec, Window

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


def test_tune_searches_among_agents_that_learn(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    small = api.train
    monkeypatch.setattr(api, "train", lambda *args, **options: asked.append(options) or small(*args, **options))
    monkeypatch.setitem(sys.modules, "optuna", None)  # as where it is not installed
    run("tune.py")["main"]("Pendulum-v1", 210, 2)
    assert "best: " in capsys.readouterr().out
    for options in asked:
        assert options["train.warmup"] < 5_000  # steps by default
    first, second = (options["agent.lookahead.tau"] for options in asked)
    assert first != second


def test_own_loop(capsys: pytest.CaptureFixture[str]) -> None:
    run("own_loop.py")["main"](420)
    out = capsys.readouterr().out
    assert "step 200: return" in out
    assert "critic loss" in out


def test_own_loop_teaches_normalisers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row counts once, final observations among them, so that the loop serves every recipe of states."""
    agents: list[Agent] = []
    build = AgentConfig.build

    def kept(self: AgentConfig, spec: Spec) -> Agent:
        agents.append(build(self, spec))
        return agents[-1]

    monkeypatch.setattr(AgentConfig, "build", kept)
    monkeypatch.setattr(api, "recipe", lambda name: apply("simba+tiny", Run()))
    run("own_loop.py")["main"](300)
    normalizer = agents[0].encoder.normalizer
    assert float(normalizer.moments.count) == 300  # type: ignore[union-attr, arg-type]


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


class Grid(gymnasium.Env[Any, Any]):
    """A user's own, with a Box of two axes on both sides, and bounds that are not symmetric."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2, 3), np.float32)
    action_space = gymnasium.spaces.Box(np.array([[0.0], [-5.0]]), np.array([[2000.0], [1.0]]), dtype=np.float64)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros((2, 3), np.float32), {}

    def step(self, action: Any) -> Any:
        return np.full((2, 3), 0.5, np.float32), 0.0, False, False, {}


class Steps(Grid):
    """The same in whole numbers."""

    action_space = gymnasium.spaces.Box(0, 3, (2,), np.int64)


class Switches(Grid):
    """The same with choices that do not begin at 0."""

    action_space = gymnasium.spaces.MultiDiscrete([2, 3], start=[1, -1])


@pytest.mark.parametrize(
    ("env", "recipe"),
    [
        (Steps, "flashsac"),
        *(
            pytest.param(env, recipe, marks=pytest.mark.slow)
            for env, recipe in [("Pendulum-v1", "simba"), (Grid, "sac"), (Switches, "sac"), ("CartPole-v1", "simbav2")]
        ),
    ],
)
def test_deploy(env: Any, recipe: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The exported file acts as the policy does, which the example checks itself, normalised inside."""
    path = TRAIN(env, recipe=f"{recipe}+tiny", steps=150, threads=1, **{"env.time_limit": 50}).path
    run("deploy.py")["main"](str(path), str(tmp_path / "policy.pt2"))
    assert "MB, the same actions as the run's policy" in capsys.readouterr().out


def test_deploy_says_what_it_cannot_export() -> None:
    deployed = run("deploy.py")["Deployed"]
    chunked = softrl.recipe("qc").agent.build(Spec({"state": (3,)}, 1))
    box = gymnasium.spaces.Box(-1.0, 1.0, (1,))
    with pytest.raises(softrl.UserError, match="no pixels, chunks or worlds"):
        deployed(softrl.Policy(chunked, box, Run()))
    several = softrl.recipe("sac").agent.build(Spec({"state": (3,)}, 2))
    with pytest.raises(softrl.UserError, match="actions that are one array"):
        deployed(softrl.Policy(several, gymnasium.spaces.Tuple([box, box]), Run()))


@pytest.mark.parametrize(
    ("name", "recipe", "part"),
    [
        ("own_trunk", "tqc+waves+tiny", "own_trunk:Sines"),
        ("own_rule", "second+tiny", "own_rule:Ranked"),
        ("own_explorer", "drift+tiny", "own_explorer:Drift"),
        ("own_head", "sac+tiny", "own_head:Expectile"),
    ],
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


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Recipes of the examples are known during a test only."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    kept, modules = dict(RECIPES), ("own_trunk", "own_rule", "own_explorer")
    for name in modules:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield
    RECIPES.clear()
    RECIPES.update(kept)
    for name in modules:
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("forgotten")
def test_an_own_rule_is_what_its_sentence_says() -> None:
    """Means of three members are 2, 5 and 1; with rank 0 it is the minimum."""
    ranked = import_module("own_rule").Ranked
    value = torch.tensor([[1.0, 3.0], [5.0, 5.0], [0.0, 2.0]]).view(3, 1, 1, 2)  # [E,K,B,M]
    atoms = Atoms(value, torch.full_like(value, 0.5))
    for rank, expected in enumerate([[0.0, 2.0], [1.0, 3.0], [5.0, 5.0]]):
        assert ranked(rank)(atoms).value.view(-1).tolist() == expected
    assert torch.equal(ranked(0)(atoms).value, Minimum()(atoms).value)
    with pytest.raises(softrl.UserError, match="of 2 members it lies between 0 and 1"):
        override(apply("sac", Run()), {"agent.target_rule": ranked(2)}).agent.build(Spec({"state": (3,)}, 1))


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("recipe", ["tqc+own_trunk:waves", "own_rule:second+simba"])
def test_an_own_recipe_is_known_by_its_module(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its part has flags, and a name like it is answered with the module in front."""
    assert main(["train", "Pendulum-v1", "--recipe", recipe, "--help"]) == 0
    flag = "--agent.critic.trunk.hidden" if "waves" in recipe else "--agent.target_rule.rank"
    assert flag in capsys.readouterr().out
    name = recipe.split("+")["waves" in recipe]
    near = name[:-1]
    with pytest.raises(softrl.UserError, match=rf"no recipe '{near}'; did you mean '{name}'\? \(one of your own is"):
        apply(near, Run())


def test_an_own_head_learns_what_its_equation_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The minimum of the loss is where expected excess above and below balance as tau to 1 - tau."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    head = import_module("own_head").Expectile(tau=0.3)
    atoms = Atoms(torch.tensor([[0.0, 1.0, 4.0]]), torch.tensor([[0.5, 0.25, 0.25]]))
    grid = torch.linspace(0, 4, 4001)
    best = grid[head.loss(grid[:, None, None], atoms)[:, 0].argmin()]
    # 0.3 (0.25 (4 - x) + 0.25 (1 - x)) = 0.7 * 0.5 x
    assert float(best) == pytest.approx(0.375 / 0.5, abs=2e-3)


def test_an_own_loss_is_what_its_equation_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two weighted actions: 2 (0.25 (1 + 0) / 2 + 0.75 (0.25 + 0.25) / 2)."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    actor = torch.nn.Identity()
    part = import_module("own_loss").Effort(price=2.0).build(actor, Spec({"state": (3,)}, 2))
    value = torch.tensor([[[1.0, 0.0]], [[0.5, -0.5]]])  # [K,B,A]
    actions = Actions(value, torch.zeros(2, 1, 1), torch.tensor([[0.25], [0.75]]))
    losses = part(actor, torch.zeros(1, 3), actions)
    assert {name: float(loss) for name, loss in losses.items()} == {"effort_loss": 0.625}


@pytest.mark.parametrize("recipe", ["sac", "l2_init+bc", "optimistic", "qc_adaptive"])
def test_an_own_loss_is_what_the_own_update_adds(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part and the update with lines of its own make the same agent, weight by weight, and not the recipe's."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(import_module("own_update"), "PRICE", 10.0)
    config = softrl.recipe(recipe).agent
    length, flags = config.chunk.length, torch.zeros(8, 1, dtype=torch.bool)
    plan = masked(torch.rand(8, length, 2), torch.full((8,), length))
    numbers = plan if length > 1 else plan[..., :2], torch.randn(8, 1), torch.full((8, 1), 0.9)
    window = Window({"state": torch.randn(8, 2, 5)}, *numbers, flags, torch.ones(8), torch.arange(8))

    def learned(**parts: Any) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        agent = replace(config, **parts).build(Spec({"state": (5,)}, 2))
        for _ in range(3):
            agent.update(window)
        return agent.state_dict()

    plain, part = learned(), learned(penalty=import_module("own_loss").Effort(10.0))
    torch.testing.assert_close(part, learned(update="own_update:thrifty"))
    assert any(not torch.equal(weight, plain[name]) for name, weight in part.items() if name.startswith("actor."))


@pytest.mark.slow
def test_own_loss(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs, and each says on disk which part it had, and at which price."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import_module("own_loss").main(150, "sac+tiny")
    assert re.findall(r"price (\S+), return: \[", capsys.readouterr().out) == ["0.1", "10.0"]
    stored = [json.loads(path.read_text()) for path in Path("runs/Pendulum-v1/sac+tiny").glob("*/config.json")]
    parts = sorted((run["agent"]["penalty"] for run in stored), key=lambda part: part["price"])
    assert parts == [{"type": "own_loss:Effort", "price": price} for price in (0.1, 10.0)]


@pytest.mark.slow
def test_compare(capsys: pytest.CaptureFixture[str]) -> None:
    run("compare.py")["main"]("Pendulum-v1", 150, 2, "sac+tiny", "tqc+tiny")
    out = capsys.readouterr().out
    assert re.findall(r"^(\w+)\+tiny: interquartile mean -\d+\.\d, 95% interval \[-", out, re.MULTILINE) == [
        "sac",
        "tqc",
    ]
    better = r"^P\(tqc\+tiny > sac\+tiny\) = [01]\.\d\d, 95% interval \[[01]\.\d\d, [01]\.\d\d\]$"
    assert re.search(better, out, re.MULTILINE)
    assert Path("compare.png").exists()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 60
