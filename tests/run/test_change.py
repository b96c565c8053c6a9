"""Runs that go on with other settings: only what was named changes, the same after a kill, and the rest is refused."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control import AcrobotEnv

from softrl import api
from softrl.agent.agent import Agent
from softrl.agent.explore import RepeatedNoise
from softrl.data import envs
from softrl.errors import UserError
from softrl.recipes import RECIPES, apply, find
from softrl.run import change, resolve
from softrl.run.config import Run
from softrl.run.fields import fields, get, override
from softrl.run.saved import Saved, available, read
from softrl.run.trainer import Trainer
from softrl.types import Spec

RATE = "agent.optim.actor.learning_rate"
Started = Callable[[str], Path]


@pytest.fixture(scope="module")
def begun(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that stands at frame 150 of 150."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(api, "curve", lambda path: None)  # which takes longer than all the rest
        path: Path = trained(tmp_path_factory.mktemp("runs") / "run", steps=150, **{"log.every": 70}).path
    return path


@pytest.fixture
def started(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Started:
    """Gives copies of that run."""
    monkeypatch.setattr(api, "curve", lambda path: None)
    return lambda name: shutil.copytree(begun, tmp_path / name)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[Trainer]:
    """Lets a resume end as soon as it could begin; the trainers that did."""
    trainers: list[Trainer] = []
    monkeypatch.setattr(api, "finish", lambda trainer, *_: trainers.append(trainer))
    return trainers


def leaves(state: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(state, dict):
        for name, value in state.items():
            yield from leaves(value, f"{path}/{name}")
    elif isinstance(state, list):
        yield from leaves({str(number): value for number, value in enumerate(state)}, path)
    else:
        yield path, state.tolist() if isinstance(state, torch.Tensor | np.ndarray) else state


def edit(run: Path, path: str, value: Any) -> None:
    config = json.loads((run / "config.json").read_text())
    *inner, last = path.split(".")
    table = config
    for name in inner:
        table = table[name]
    table[last] = value
    (run / "config.json").write_text(json.dumps(config))


def told(run: Path) -> list[str]:
    return [line.split(" ", 2)[2] for line in (run / "log.txt").read_text().splitlines()]


def test_nothing_but_what_was_named_changes(started: Started, at_once: list[Trainer]) -> None:
    run = started("run")
    before = dict(leaves(read(run).parts))
    values: dict[str, Any] = {RATE: 1e-4, "agent.lookahead.tau": 0.01}
    api.resume(run, steps=200, command=["softrl", "resume", "a b"], **values)
    after = dict(leaves(read(run).parts))
    assert before.keys() == after.keys()
    changed = {name for name in before if before[name] != after[name]}
    settings = "/settings/run/"
    assert changed - {"/count/seconds", "/log/positions/log.txt"} == {
        "/agent/optim.actor.learning_rate",
        f"{settings}steps",
        f"{settings}{RATE.replace('.', '/')}",
        f"{settings}agent/lookahead/tau",
    }
    assert after["/agent/optim.actor.learning_rate"] == pytest.approx(1e-4)
    assert at_once[0].agent.lookahead.tau == 0.01
    config = api.configuration(run)
    assert (get(config, RATE), get(config, "agent.lookahead.tau"), config.steps) == (1e-4, 0.01, 200)
    assert told(run) == [
        f"from frame 150 on {RATE} is 0.0001, no longer 0.0003",
        "from frame 150 on agent.lookahead.tau is 0.01, no longer 0.005",
    ]
    assert (run / "command.txt").read_text().splitlines()[1:] == ["softrl resume 'a b'"]


def test_a_resume_without_values_changes_nothing_and_says_nothing(started: Started, at_once: list[Trainer]) -> None:
    run = started("run")
    files = [path for path in run.rglob("*") if path.is_file()]
    before = [path.read_bytes() for path in files]
    api.resume(run)
    assert [path.read_bytes() for path in files] == before


def test_killed_at_any_place_a_changed_run_goes_on_as_if_it_had_not_been(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, torn = started("whole"), started("torn")
    filmed: list[tuple[str, int]] = []
    monkeypatch.setattr(Trainer, "film", lambda self: filmed.append((self.folder.name, self.count.env_steps)))
    values: dict[str, Any] = {
        RATE: 1e-3,
        "train.batch": 16,
        "agent.temperature.target_per_action": -2.0,
        "eval.every": 40,
    }
    values |= {"train.gamma": 0.9, "replay.steps": 3, "train.updates_per_decision": 2, "video.every": 60}
    api.resume(whole, steps=190, **values)
    with monkeypatch.context() as killed:  # when config.json is written, and no checkpoint yet
        killed.setattr(Trainer, "save", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            api.resume(torn, steps=190, **values)
    api.resume(torn, callback=lambda progress: progress.env_steps >= 160)  # and again after its first checkpoint
    assert available(torn)[-1] == 160
    api.resume(torn)
    for run in (whole, torn):
        rows = [line.split(",")[:3] for line in (run / "eval.csv").read_text().splitlines()[3:]]
        assert rows == [["160", "160", "70"], ["190", "190", "130"]]
    name = "checkpoints/step_000000190/agent.safetensors"
    assert (whole / name).read_bytes() == (torn / name).read_bytes()
    assert filmed == [(name, frame) for name in ("whole", "torn") for frame in (180, 190)]
    assert sum("no longer" in line for line in told(torn)) == len(values)


@pytest.mark.parametrize(("steps", "mode"), [(200, "off"), (100_000, "graph")])
def test_whether_compiling_pays_is_asked_of_the_longer_run(
    started: Started, at_once: list[Trainer], monkeypatch: pytest.MonkeyPatch, steps: int, mode: str
) -> None:
    monkeypatch.setattr(resolve, "compiler", lambda: "g++")
    api.resume(started("run"), steps=steps, compile="auto")
    assert at_once[0].run.compile == mode


def test_what_a_callback_has_set_stays_unless_it_is_named(started: Started, at_once: list[Trainer]) -> None:
    run = started("run")

    def slow(trainer: Trainer, *_: Any) -> None:
        trainer.agent.optim.actor.learning_rate.fill_(1e-6)
        trainer.agent.temperature.target.fill_(-9.0)
        trainer.save()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(api, "finish", slow)
        api.resume(run)
    beside: dict[str, Any] = {"agent.optim.value.learning_rate": 1e-4, "agent.optim.actor.beta1": 0.5}
    itself: dict[str, Any] = {RATE: 3e-4}  # as config.json has it
    for values in ({}, beside, itself):
        api.resume(run, **values)
    rates = [float(trainer.agent.optim.actor.learning_rate) for trainer in at_once]
    assert rates == pytest.approx([1e-6, 1e-6, 3e-4])
    assert [trainer.agent.temperature.target.tolist() for trainer in at_once] == [[-9.0]] * 3
    assert told(run)[-1] == f"from frame 150 on {RATE} is 0.0003, as before"


def test_a_configuration_edited_by_hand_says_the_same_as_flags(started: Started, at_once: list[Trainer]) -> None:
    run = started("run")
    edit(run, RATE, 1e-2)
    edit(run, "agent.temperature.target_per_action", -3.0)
    api.resume(run)
    agent = at_once[0].agent
    assert float(agent.optim.actor.learning_rate) == pytest.approx(1e-2)
    assert float(agent.optim.value.learning_rate) == pytest.approx(3e-4)
    assert agent.temperature.target.tolist() == [-3.0]
    assert len(told(run)) == 2
    edit(run, "agent.critic.members", 3)
    with pytest.raises(
        UserError, match=r"agent.critic.members cannot .* from 2 to 3: .*; put 2 back in .*config.json$"
    ):
        api.resume(run)


@pytest.mark.parametrize(("path", "value"), [("collect", "auto"), ("compile", "auto"), ("threads", None)])
def test_what_is_left_to_softrl_by_hand_is_chosen(
    started: Started, at_once: list[Trainer], path: str, value: Any
) -> None:
    run = started("run")
    before = get(api.configuration(run), path)
    edit(run, path, value)
    api.resume(run)
    assert get(at_once[0].run, path) == before not in (value, None)


def test_a_run_stays_in_its_environment(started: Started) -> None:
    """Whatever says otherwise: a flag, an argument, or a hand in config.json."""
    run = started("run")
    other = "its own environment, Pendulum-v1: to learn in Acrobot-v1 from its weights, .*--init .*run"
    for ask in ({"env.name": "Acrobot-v1"}, {"env": "Acrobot-v1"}):
        with pytest.raises(UserError, match=f"{other}$"):
            api.resume(run, steps=160, **ask)
    with pytest.raises(UserError, match=r"takes state \[3\] and .*, and this environment has state \[6\]"):
        api.resume(run, steps=160, env=AcrobotEnv)
    edit(run, "env.name", "Acrobot-v1")
    with pytest.raises(UserError, match=f"{other}; put Pendulum-v1 back in .*config.json$"):
        api.resume(run, steps=160)


def test_a_video_that_cannot_be_made_is_refused_before_the_run_goes_on(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started("run")
    before = (run / "config.json").read_bytes()

    def undrawn(*arguments: Any, render: int = 0, **more: Any) -> Any:
        if render:
            raise UserError("no pictures")
        return make(*arguments, **more)

    make = envs.make
    monkeypatch.setattr(envs, "make", undrawn)
    with pytest.raises(UserError, match="no pictures"):
        api.resume(run, steps=400, **{"video.every": 200})
    assert (run / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("agent.actor.trunk.hidden", (16,)),
        ("agent.critic.trunk.activation", "tanh"),
        ("agent.explorer", RepeatedNoise()),
        ("agent.temperature.initial", 0.5),
        ("agent.update", "sac_v1"),
        ("agent.chunk.length", 2),
        ("env.time_limit", 70),
        ("seed", 1),
        ("envs", 2),
        ("replay.capacity", 5000),
        ("replay.memory_map", True),
        ("recipe", "redq"),
    ],
)
def test_what_cannot_change_is_refused_before_anything_is_touched(started: Started, path: str, value: Any) -> None:
    run = started("run")
    files = [file for file in run.rglob("*") if file.is_file()]
    before = [file.read_bytes() for file in files]
    with pytest.raises(UserError, match=rf"^{path} cannot change within a run, from .* with --init {run} from"):
        api.resume(run, **{path: value})
    assert [file.read_bytes() for file in files] == before


def test_a_checkpoint_that_does_not_say_what_it_was_made_with_goes_by_config_json(started: Started) -> None:
    assert change.made_with(Saved(1, {}, []), Path("run")) is None
    assert change.made_with(Saved(1, {"settings": {"run": {"type": "Another"}}}, []), Path("run")) is None
    run = started("run")
    assert change.made_with(read(run), run) == api.configuration(started("other"))


SPECS = (
    Spec({"state": (5,)}, 2),
    Spec({"pixels": (9, 64, 64)}, 2, stack=3),
    Spec({"pixels": (3, 64, 64)}, 2),
    Spec({"state": (5,)}, 0, choices=(3,)),
)


def built(run: Run) -> Agent | None:
    for spec in SPECS:
        try:
            torch.manual_seed(0)
            return run.agent.build(spec)
        except UserError:
            continue
    return None


def others(value: Any) -> Iterator[Any]:
    match value:
        case bool():
            yield not value
        case int() | float():
            yield from (value * 2, value / 2, value + 1)
        case None:
            yield from (1, 0.5)


@pytest.mark.slow
def test_whatever_can_change_is_in_the_state_only_where_it_is_listed() -> None:
    """Of each field of each part: a fresh agent with another value holds the same but for what is listed."""
    seen, found = set(), set()
    for name in RECIPES:
        run = apply(f"{find(name).complete_name}+tiny", Run())
        for field in fields(run):
            key = field.path, type(get(run, field.path.rpartition(".")[0])) if "." in field.path else None
            if key in seen or not field.path.startswith("agent.") or not change.can_change(field.path):
                continue
            seen.add(key)
            for value in others(field.value):
                try:
                    changed = override(run, {field.path: value})
                except UserError:
                    continue
                one, other = built(run), built(changed)
                if one is None or other is None:
                    continue
                left, right = one.state_dict(), other.state_dict()
                assert left.keys() == right.keys(), field.path
                differing = {entry for entry in left if not torch.equal(left[entry], right[entry])}
                assert all(field.path in change.IN_STATE.get(entry, ()) for entry in differing), (field.path, differing)
                found |= differing
                break
    assert found == change.IN_STATE.keys()
    assert len(seen) > 60
