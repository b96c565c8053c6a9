"""softrl from Python: what the pages promise."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import softrl
from softrl import api
from softrl.api import Progress, RunResult
from softrl.data.collect import Collector
from softrl.errors import UserError
from softrl.run.trainer import Trainer

Trained = Callable[..., RunResult]
ReadCSV = Callable[[Path], list[dict[str, str]]]


@pytest.fixture(scope="module")
def run(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return trained(tmp_path_factory.mktemp("runs") / "pendulum")


def test_a_run_folder_holds_what_its_page_says(run: RunResult) -> None:
    names = {path.name for path in run.path.iterdir() if not path.name.startswith((".", "events.out.tfevents."))}
    expected = {"config.json", "spaces.json", "command.txt", "versions.json", "train.csv", "eval.csv", "episodes.csv"}
    assert names == expected | {"metrics.jsonl", "curve.png", "checkpoints", "log.txt"}
    assert list(run.path.glob("events.out.tfevents.*"))
    assert {p.name for p in (run.path / "checkpoints").iterdir()} == {"step_000000150", "step_000000300", "best"}


def test_evaluations_come_on_schedule(run: RunResult, read_csv: ReadCSV) -> None:
    table = read_csv(run.path / "eval.csv")
    assert [int(row["env_steps"]) for row in table] == [0, 150, 300]
    assert [int(row["updates"]) for row in table] == [0, 50, 200]  # none in the warm-up of 100
    assert run.finished
    assert run.last == float(table[-1]["return_mean"])
    assert run.best == max(float(row["return_mean"]) for row in table)
    assert len(read_csv(run.path / "episodes.csv")) == 3


def test_what_the_api_offers_is_at_hand(run: RunResult) -> None:
    assert isinstance(run, softrl.RunResult)
    for name in api.__all__:
        assert getattr(softrl, name) is getattr(api, name)


def test_training_episodes_are_counted_in_frames(run: RunResult, read_csv: ReadCSV) -> None:
    table = read_csv(run.path / "train.csv")
    assert [int(row["length"]) for row in table] == [60] * 5
    assert [int(row["env_steps"]) for row in table] == [60, 120, 180, 240, 300]
    assert all(row["success"] == "" for row in table)


def test_metrics_have_the_promised_tags(run: RunResult) -> None:
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    tags = set().union(*lines)
    losses = {"critic_loss", "actor_loss", "ent_coef_loss"}
    assert {
        f"train/{name}" for name in {*losses, "ent_coef", "entropy", "target_entropy", "q_mean", "n_updates"}
    } <= tags
    assert {"rollout/ep_rew_mean", "rollout/ep_len_mean", "time/fps", "time/updates_per_second"} <= tags
    assert {"eval/mean_reward", "eval/std_reward", "eval/mean_ep_length"} <= tags


def test_load_predict_evaluate(run: RunResult) -> None:
    policy = softrl.load(run.path)
    action, _ = policy.predict(np.zeros(3), deterministic=True)
    assert action.shape == (1,)
    assert abs(action[0]) <= 2  # the environment's bounds
    returns = softrl.evaluate(policy, "Pendulum-v1", episodes=3)
    assert len(returns) == 3
    assert returns == softrl.evaluate(run.path, episodes=3)
    assert returns != softrl.evaluate(run.path, episodes=3, seed=1)


def test_a_policy_makes_its_environment(trained: Trained, run: RunResult, tmp_path: Path) -> None:
    repeated = trained(tmp_path / "run", **{"steps": 150, "env.repeat": 3}).path
    policy = softrl.load(repeated)
    env = policy.make()
    seen, _ = env.reset(seed=1)
    action = policy.predict(seen)[0]
    stepped = env.step(env.action_space.encode(action))[0]  # type: ignore[attr-defined]
    thrice = gymnasium.make("Pendulum-v1")
    start, _ = thrice.reset(seed=1)
    np.testing.assert_array_equal(seen, start)
    for _ in range(3):
        expected = thrice.step(action)[0]
    np.testing.assert_allclose(stepped, expected, rtol=1e-5)
    env.close()


def test_checkpoints_are_told_apart(run: RunResult) -> None:
    def weights(which: str | int) -> torch.Tensor:
        return softrl.load(run.path, which).agent.actor.out.weight

    assert torch.equal(weights("latest"), weights(300))
    assert not torch.equal(weights("150"), weights(300))
    best = softrl.load(run.path / "checkpoints" / "best").agent.actor.out.weight
    assert torch.equal(best, weights("best"))
    with pytest.raises(UserError, match="150, 300"):
        weights(999)


def test_init_starts_from_another_runs_weights(trained: Trained, run: RunResult, tmp_path: Path) -> None:
    other = trained(tmp_path / "other", seed=5, init=run.path, steps=50)
    loaded, origin = softrl.load(other.path, 50).agent, softrl.load(run.path).agent
    assert torch.equal(loaded.actor.out.weight, origin.actor.out.weight)  # still warming up
    with pytest.raises(UserError, match="do not fit"):
        trained(tmp_path / "third", init=run.path, **{"agent.actor.trunk.hidden": (7,)})
    assert not (tmp_path / "third").exists()


def test_init_warms_up_with_the_loaded_policy_also_after_a_resume(
    trained: Trained, run: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[bool] = []
    choose = Collector.choose

    def watched(self: Collector, random: bool) -> torch.Tensor:
        chosen.append(random)
        return choose(self, random)

    monkeypatch.setattr(Collector, "choose", watched)
    monkeypatch.setattr(api, "curve", lambda path: None)
    other = trained(tmp_path / "other", init=run.path, steps=40).path
    softrl.resume(other, steps=130)
    assert len(chosen) >= 130
    assert not any(chosen)
    assert softrl.load(other).agent.optim.actor.count == 30  # updates begin after train.warmup all the same
    chosen.clear()
    trained(tmp_path / "fresh", steps=10)
    assert chosen[:10] == [True] * 10


def test_init_keeps_the_settings_of_the_new_run(trained: Trained, run: RunResult, tmp_path: Path) -> None:
    asked = {"agent.optim.actor.learning_rate": 1e-5, "agent.temperature.target_per_action": -2.0}
    other = trained(tmp_path / "other", init=run.path, steps=50, **asked)
    agent, origin = softrl.load(other.path).agent, softrl.load(run.path).agent
    assert torch.equal(agent.critic.out.weight, origin.critic.out.weight)
    assert float(agent.optim.actor.learning_rate) == pytest.approx(1e-5)
    assert (float(agent.optim.actor.count), float(origin.optim.actor.count)) == (0, 200)
    assert agent.temperature.target.tolist() == [-2.0]
    assert torch.equal(agent.temperature(), origin.temperature())


def test_a_recipe_knows_an_environment_under_all_its_names() -> None:
    names = ("cheetah_run", "cheetah-run", "dm_control/cheetah-run-v0")
    canonical, *others = (softrl.recipe("simba", name) for name in names)
    assert canonical.env.repeat == 2  # what simba changes for tasks of DeepMind Control
    assert others == [canonical] * 2
    with pytest.raises(UserError, match="did you mean 'cheetah_run'"):
        softrl.recipe("simba", "cheeta_run")


def test_a_callback_sees_progress_and_stops_the_run(trained: Trained, tmp_path: Path) -> None:
    seen: list[Progress] = []

    def stop(progress: Progress) -> bool:
        seen.append(progress)
        return "eval/mean_reward" in progress.values and progress.env_steps >= 150

    result = trained(tmp_path / "run", callback=stop)
    assert not result.finished
    assert seen[-1].env_steps == 150
    log, stopped = result.path / "log.txt", "stopped by the callback, which returned True, at 150 of 300 steps\n"
    assert log.read_text().count(stopped) == 1
    assert softrl.resume(result.path, callback=lambda progress: progress.env_steps == 300).finished
    assert log.read_text().count("stopped by the callback") == 1


def test_recipe_spec_and_own_loop() -> None:
    env = softrl.make("Pendulum-v1", seed=0)
    agent = softrl.recipe("sac").agent.build(softrl.spec(env))
    assert isinstance(agent, torch.nn.Module)
    obs, _ = env.reset()
    assert obs.dtype == np.float32
    action, _ = agent.act({"state": torch.from_numpy(obs[None])}, {})
    env.step(action[0].numpy())


def test_a_policy_loads_where_its_simulator_is_missing(
    run: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: Any, **__: Any) -> Any:
        raise gymnasium.error.DependencyNotInstalled("pygame is not installed")

    expected = softrl.load(run.path, env="Pendulum-v1").predict(np.ones(3))[0]
    monkeypatch.setattr(gymnasium, "make", absent)
    policy = softrl.load(run.path)
    np.testing.assert_array_equal(policy.predict(np.ones(3))[0], expected)
    with pytest.raises(UserError, match="cannot be made with the packages installed: pygame is not installed"):
        softrl.evaluate(policy)


def test_an_environment_that_does_not_fit_a_policy_is_refused(run: RunResult, tmp_path: Path) -> None:
    policy = softrl.load(run.path)
    seen = r"the policy takes state \[3\] and actions of 1 numbers, and this environment has"
    with pytest.raises(UserError, match=rf"{seen} state \[2\] and actions of 1 numbers"):
        softrl.evaluate(policy, "MountainCarContinuous-v0")
    with pytest.raises(UserError, match=rf"{seen} state \[4\] and actions of choices of 2 options"):
        api.evaluation(policy, "CartPole-v1", video=tmp_path / "episode.mp4")


def test_a_run_of_a_gpu_is_resumed_on_one_and_played_anywhere(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(tmp_path / "run", steps=60).path
    config = json.loads((run / "config.json").read_text()) | {"device": "cuda"}
    (run / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    kept = [path for path in run.rglob("*") if path.is_file() and path.name != ".lock"]
    before = [path.read_bytes() for path in kept]
    with pytest.raises(UserError, match=r"CUDA device and torch sees none: .* is resumed on one"):
        softrl.resume(run, steps=90)
    assert [path.read_bytes() for path in kept] == before
    assert len(softrl.evaluate(run, episodes=1)) == 1


def test_a_run_that_ends_before_it_learns_says_so(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path / "short", steps=60, quiet=False)
    assert "nothing will be learned: 60 steps end before train.warmup, 100, does" in capsys.readouterr().out
    trained(tmp_path / "long", steps=120, quiet=False)
    assert "nothing will be learned" not in capsys.readouterr().out


def test_what_will_hardly_be_meant_is_a_warning_where_nothing_is_printed(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    trained(tmp_path / "run", recipe="simba+sac_yarats+tiny", steps=60)
    *changes, last = (str(warning.message) for warning in recwarn)
    assert "recipe 'sac_yarats' changes agent.temperature.initial from 0.01, set by 'simba', to 0.1" in changes
    assert last.startswith("nothing will be learned: 60 steps")
    assert {Path(warning.filename).name for warning in recwarn} == {"conftest.py"}  # which calls softrl.train
    assert capsys.readouterr().out == ""


def test_an_action_of_the_environment_goes_back_to_what_agents_do(run: RunResult) -> None:
    env, policy = softrl.make("Pendulum-v1", seed=0), softrl.load(run.path)
    obs, _ = env.reset()
    own, _ = policy.predict(obs)
    unit, _ = policy.agent.act({"state": torch.from_numpy(obs[None])}, {}, deterministic=True)
    np.testing.assert_allclose(own, 2 * unit[0].numpy(), rtol=1e-6)  # torques of Pendulum are in [-2, 2]
    np.testing.assert_allclose(env.action_space.encode(own), unit[0].numpy(), rtol=1e-6)


def test_the_end_of_a_run_is_said_when_it_is_resumed(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tmp_path / "run", steps=60).path
    assert softrl.resume(run, quiet=False).finished
    assert f"{run} is at its end, 60 steps: ask for more to go on" in capsys.readouterr().out
    assert softrl.resume(run, steps=90, quiet=False).finished
    assert "is at its end" not in capsys.readouterr().out


def test_more_minutes_extend_a_run_that_its_minutes_ended(
    trained: Trained,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    read_csv: ReadCSV,
) -> None:
    monkeypatch.setattr(Trainer, "seconds", lambda self: self.count.env_steps)  # a step takes a second
    monkeypatch.setattr(api, "curve", lambda path: None)  # which takes longer than all the rest
    run = trained(tmp_path / "run", steps=240, minutes=1).path
    before = (run / "config.json").stat().st_mtime_ns
    for asked in ({}, {"steps": 300}, {"minutes": 1}):
        assert softrl.resume(run, quiet=False, **asked).finished
        assert "its 1 minutes are over: --minutes can extend them" in capsys.readouterr().out
        assert (run / "config.json").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="has 1 minutes already: --minutes can extend a run, not shorten it"):
        softrl.resume(run, minutes=0.5)
    softrl.resume(run, minutes=2)
    assert [int(row["env_steps"]) for row in read_csv(run / "eval.csv")][-1] == 120
    assert json.loads((run / "config.json").read_text())["minutes"] == 2.0


def test_a_finished_run_remembers_its_last_evaluation(run: RunResult) -> None:
    config = run.path / "config.json"
    before = config.stat().st_mtime_ns
    assert softrl.resume(run.path) == run
    assert config.stat().st_mtime_ns == before


def test_nothing_of_a_run_that_cannot_begin_stays_open(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither worker processes nor files, whichever step fails."""
    closed: list[Trainer] = []
    close = Trainer.close

    def watched(self: Trainer) -> None:
        closed.append(self)
        close(self)

    def fail(*_: Any) -> Any:
        raise UserError("the disk is full")

    monkeypatch.setattr(Trainer, "close", watched)
    monkeypatch.setattr(api, "curve", lambda path: None)
    options = {"envs": 2, "env.workers": "async", "steps": 60}
    first = trained(tmp_path / "first", **options).path
    assert len(closed) == 1
    with pytest.raises(UserError, match="do not fit"):
        trained(tmp_path / "second", init=first, **options, **{"agent.actor.trunk.hidden": (7,)})
    for method, use in (
        ("save", lambda: trained(tmp_path / "third", **options)),
        ("load", lambda: softrl.resume(first, steps=90)),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(Trainer, method, fail)
            with pytest.raises(UserError, match="the disk is full"):
                use()
    assert len(closed) == 4
    assert all(trainer.env.closed and not any(p.is_alive() for p in trainer.env.processes) for trainer in closed)  # type: ignore[attr-defined]


def test_a_made_environment_ends_when_it_is_told_to() -> None:
    env = softrl.make("Pendulum-v1", seed=0, repeat=4, time_limit=10)
    env.reset()
    infos = [env.step(np.zeros(1, np.float32)) for _ in range(3)]
    assert [truncated for _, _, _, truncated, _ in infos] == [False, False, True]
    assert infos[-1][-1]["frames"] == 2


def test_a_spec_of_an_environment_that_softrl_did_not_make_is_refused() -> None:
    with pytest.raises(UserError, match=r"write softrl\.spec\(softrl\.make\(env\)\)"):
        softrl.spec(gymnasium.make("Pendulum-v1"))


def test_an_object_of_the_users_is_never_stepped(trained: Trained, tmp_path: Path) -> None:
    env = gymnasium.make("Pendulum-v1")
    env.reset(seed=3)
    before = env.unwrapped.state.copy()  # type: ignore[attr-defined]
    trained(tmp_path / "run", env, steps=120)
    assert np.array_equal(env.unwrapped.state, before)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_updates_per_decision_do_not_depend_on_the_number_of_environments(
    trained: Trained, tmp_path: Path, read_csv: ReadCSV
) -> None:
    for envs in (1, 3):
        options = {"envs": envs, "env.workers": "sync", "steps": 160, "env.time_limit": None, "eval.episodes": 1}
        result = trained(tmp_path / str(envs), **options)
        last = read_csv(result.path / "eval.csv")[-1]
        decisions = int(last["decisions"])
        assert int(last["updates"]) == pytest.approx(decisions - 100, abs=3)


def test_frames_and_decisions_differ_with_action_repeat(trained: Trained, tmp_path: Path, read_csv: ReadCSV) -> None:
    result = trained(tmp_path / "run", **{"env.repeat": 7, "steps": 280})
    last = read_csv(result.path / "eval.csv")[-1]
    # 60 frames are 9 decisions, the last of 4 frames
    assert int(last["env_steps"]) >= 280
    assert int(last["decisions"]) == pytest.approx(int(last["env_steps"]) * 9 / 60, abs=1)


def test_what_cannot_be_leaves_nothing_on_the_disk(trained: Trained, tmp_path: Path) -> None:
    for env, options in (
        ("Pendulum-v2000", {}),
        ("CartPole-v1", {"recipe": "gsde"}),
        ("CartPole-v1", {"recipe": "qc"}),
        ("Pendulum-v1", {"recipe": "qc", "agent.chunk.length": 201}),
        ("Pendulum-v1", {"recipe": "nothing"}),
        ("Pendulum-v1", {"agent.critic.members": 0}),
        ("Pendulum-v1", {"agent.update": "sac_v1"}),
        ("Pendulum-v1", {"agent.critic.membres": 2}),
        ("Pendulum-v1", {"recipe": "qc+n_step+tiny"}),  # what follows is known only with the run's folder at hand
        ("Pendulum-v1", {"envs": 8, "replay.capacity": 10}),
    ):
        with pytest.raises(UserError):
            trained(tmp_path / "run", env, **options)
        assert list(tmp_path.iterdir()) == []


def test_a_run_is_refused_in_another_world(run: RunResult) -> None:
    for ask in (softrl.load, softrl.play, softrl.evaluate):
        with pytest.raises(UserError, match=r"takes state \[3\] and .*, and this environment has state \[2\]"):
            ask(run.path, env="MountainCarContinuous-v0")
    with pytest.raises(UserError, match="step_abc is no checkpoint"):
        softrl.load(run.path / "checkpoints" / "step_abc")


def test_evaluations_of_many_episodes_are_those_of_few_after_each_other(
    run: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = softrl.evaluate(run.path, episodes=3)
    monkeypatch.setattr("softrl.api.AT_ONCE", 2)
    assert softrl.evaluate(run.path, episodes=3) == pytest.approx(at_once)
    with pytest.raises(UserError, match="at least 1"):
        softrl.evaluate(run.path, episodes=0)
