"""Collection on an environment that counts: what becomes a row, and what does not."""

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import Tensor

from softrl.data import envs
from softrl.data.collect import Collector, uniform
from softrl.data.envs import EnvConfig
from softrl.data.pixels import Pixels
from softrl.data.replay import Replay, ReplayConfig
from softrl.data.snapshot import restores
from softrl.errors import UserError
from softrl.types import Obs, Spec, Step

UNIT = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
REAL = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)


class Counting(gymnasium.Env[Any, Any]):
    """Observation (episode, time); reward = time; ends after `length` steps, by termination in odd episodes."""

    def __init__(self, length: int = 3, poison: str = "", bad: float = np.nan) -> None:
        self.observation_space, self.action_space, self.bad = REAL, UNIT, bad
        self.length, self.poison, self.episode, self.time = length, poison, -1, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.episode, self.time = self.episode + 1, 0
        return np.array([self.episode, 0.0], np.float32), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        over = self.time == self.length
        odd = self.episode % 2 == 1
        bad = self.bad if self.time == 2 else 0.0
        obs = np.array([self.episode, self.time + (bad if self.poison == "observation" else 0.0)], np.float32)
        info = {"is_success": odd} if over else {}
        return obs, self.time + (bad if self.poison == "reward" else 0.0), over and odd, over and not odd, info


class Silent(Counting):
    """Says nothing of success."""

    def step(self, action: Any) -> Any:
        return *super().step(action)[:4], {}


class Constant:
    """Acts 0.5, remembers how many acts an episode has had, and keeps the rows it is shown."""

    def __init__(self, value: float = 0.5) -> None:
        self.value, self.rows = value, list[Step]()

    def initial(self, count: int) -> dict[str, Tensor]:
        return {"acts": torch.zeros(count)}

    def observe(self, row: Step, carry: dict[str, Tensor]) -> dict[str, Tensor]:
        self.rows.append(row)
        return carry

    def act(self, obs: Obs, carry: dict[str, Tensor], deterministic: bool = False) -> Any:
        count = len(next(iter(obs.values())))
        return torch.full((count, 1), self.value), {"acts": carry["acts"] + 1}

    def watch(self, obs: Obs, action: Tensor, carry: dict[str, Tensor]) -> dict[str, Tensor]:
        return carry


def collector(count: int = 1, policy: Any = None, **options: Any) -> Collector:
    vec = envs.vector(lambda: Counting(**options), EnvConfig(workers="sync"), count, seed=0)
    return Collector(vec, policy or Constant(), envs.spec(vec), seed=0)


def test_two_episodes_row_by_row() -> None:
    made = collector()
    rows = [made.collect() for _ in range(8)]
    steps = [r.row for r in rows]
    # episode 0: times 0 1 2, its final observation; episode 1: the same, terminated
    assert [int(s.obs["state"][0, 0]) for s in steps] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert [int(s.obs["state"][0, 1]) for s in steps] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert [float(s.reward[0]) for s in steps] == [1, 2, 3, 0, 1, 2, 3, 0]
    assert [bool(s.terminated[0]) for s in steps] == [False] * 6 + [True, False]
    assert [bool(s.last[0]) for s in steps] == [False, False, False, True] * 2
    assert [float(s.action[0, 0]) for s in steps] == [0.5, 0.5, 0.5, 0.0] * 2


def test_a_reset_is_no_frame_and_no_decision() -> None:
    made = collector()
    collected = [made.collect() for _ in range(8)]
    assert [c.frames for c in collected] == [1, 1, 1, 0] * 2
    assert [c.decisions for c in collected] == [1, 1, 1, 0] * 2


def test_episode_statistics() -> None:
    made = collector()
    episodes = [episode for _ in range(8) for episode in made.collect().episodes]
    assert [(e.total, e.frames, e.success) for e in episodes] == [(6.0, 3, 0.0), (6.0, 3, 1.0)]


def test_an_episode_of_an_environment_that_is_silent_has_no_success() -> None:
    """Also beside another that speaks in the same step."""
    kinds = iter([Counting, Silent])
    vec = envs.vector(lambda: next(kinds)(), EnvConfig(workers="sync"), 2, seed=0)
    made = Collector(vec, Constant(), envs.spec(vec), seed=0)
    found = [[(e.env, e.success) for e in made.collect().episodes] for _ in range(3)]
    assert found == [[], [], [(0, 0.0), (1, None)]]


def test_replay_never_sees_a_transition_across_a_reset() -> None:
    made = collector(3)
    replay = Replay(ReplayConfig(300), made.spec, 3, gamma=0.9, seed=0)
    for _ in range(40):
        replay.add(made.collect().row)
    window = replay.sample(500)
    here, after = window.obs["state"][:, 0], window.obs["state"][:, 1]
    assert torch.equal(here[:, 0], after[:, 0])  # the same episode
    assert torch.equal(here[:, 1] + 1, after[:, 1])  # one step on
    terminal = (here[:, 0] % 2 == 1) & (after[:, 1] == 3)
    assert torch.equal(window.discount[:, 0] == 0, terminal)


def test_what_is_remembered_starts_afresh_with_each_episode() -> None:
    made = collector()
    seen = []
    for _ in range(6):
        made.collect()
        seen.append(int(made.carry["acts"][0]))
    assert seen == [1, 2, 3, 0, 1, 2]


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize(("poison", "bad"), [("observation", np.nan), ("reward", np.nan), ("reward", -1e39)])
def test_numbers_that_are_not_finite_end_the_run_with_a_sentence(poison: str, bad: float) -> None:
    made = collector(poison=poison, bad=bad)
    made.collect()
    with pytest.raises(UserError, match=f"{poison} that is not finite"):
        made.collect()


class Powerless(Counting):
    """Cannot even be reset."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        raise RuntimeError("no power")


@pytest.mark.parametrize("workers", ["sync", pytest.param("async", marks=pytest.mark.slow)])
def test_a_first_reset_that_fails_is_told_in_one_sentence(workers: Any) -> None:
    vec = envs.vector(Powerless, EnvConfig(workers=workers), 2, seed=0)
    with pytest.raises(UserError, match="no power") as refusal:
        Collector(vec, Constant(), envs.spec(vec), seed=0)
    assert "\n" not in str(refusal.value)
    vec.close()


def test_a_policy_that_diverged_is_named() -> None:
    with pytest.raises(UserError, match="learning diverged"):
        collector(policy=Constant(float("nan"))).collect()


def test_warm_up_actions_are_uniform_and_seeded() -> None:
    actions = torch.cat([collector(1).collect(random=True).row.action for _ in range(2)])
    assert actions[0] == actions[1]
    made = collector(200)
    action = made.collect(random=True).row.action
    assert action.min() < -0.9
    assert action.max() > 0.9
    assert abs(float(action.mean())) < 0.15


def test_warm_up_numbers_are_the_draws_of_a_uniform_tensor() -> None:
    """Continuous runs meet the same actions as before there were choices."""
    drawn = uniform(Spec({"state": (2,)}, 3), 5, torch.Generator().manual_seed(7))
    assert torch.equal(drawn, torch.rand((5, 3), generator=torch.Generator().manual_seed(7)).mul(2).sub(1))


def test_warm_up_choices_are_uniform_one_hots() -> None:
    drawn = uniform(Spec({"state": (2,)}, 1, (3, 2)), 20_000, torch.Generator().manual_seed(0))
    assert drawn.shape == (20_000, 6)
    first, second, number = drawn.split((3, 2, 1), -1)
    for one_hots in (first, second):
        assert set(one_hots.unique().tolist()) == {0.0, 1.0}
        assert torch.equal(one_hots.sum(-1), torch.ones(20_000))
    joint = torch.einsum("bi,bj->ij", first, second) / 20_000
    torch.testing.assert_close(joint, torch.full((3, 2), 1 / 6), atol=0.01, rtol=0)
    assert number.min() < -0.99
    assert number.max() > 0.99


@pytest.mark.parametrize("name", ["CartPole-v1", "softrl/Gears-v0"])
def test_choices_go_on_exactly(name: str) -> None:
    """Rows after a load are the rows that would have come; actions in them are one-hots before numbers."""
    options = EnvConfig(time_limit=9, workers="sync")

    def fresh(seed: int) -> Collector:
        vec = envs.vector(name, options, 2, seed)
        return Collector(vec, Constant(), envs.spec(vec), seed)

    made, other = fresh(1), fresh(2)
    run(made, 13)
    run(other, 4)
    other.load_state_dict(made.state_dict())
    expected = run(made, 30)
    assert_equal(run(other, 30), expected)
    chosen = torch.cat([row.action[~row.last, : made.spec.choices[0]] for row in expected])
    assert torch.equal(chosen.sum(-1), torch.ones(len(chosen)))


def run(made: Collector, steps: int) -> list[Step]:
    return [made.collect(random=True).row for _ in range(steps)]


def assert_equal(one: list[Step], other: list[Step]) -> None:
    for a, b in zip(one, other, strict=True):
        assert a.obs.keys() == b.obs.keys()
        assert all(torch.equal(a.obs[name], b.obs[name]) for name in a.obs)
        assert all(torch.equal(x, y) for x, y in zip(a[1:], b[1:], strict=True))


@pytest.mark.parametrize("after", [0, 2, 3, 5])
def test_state_goes_on_exactly(after: int) -> None:
    """In the middle of an episode, and between its end and the reset."""
    made = collector(2)
    run(made, after)
    state = made.state_dict()
    expected = run(made, 10)
    other = collector(2)
    run(other, 1)
    other.load_state_dict(state)
    assert_equal(run(other, 10), expected)


class Opaque(Counting):
    """An environment whose state is hidden in an object."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = object()


def loaded(steps: int) -> Collector:
    """What goes on from so many steps."""
    vecs = [envs.vector(Opaque, EnvConfig(workers="sync"), 1, seed=0) for _ in range(2)]
    made, other = (Collector(vec, Constant(), envs.spec(vec), seed=0) for vec in vecs)
    run(made, steps)
    other.load_state_dict(made.state_dict())
    return other


def test_an_environment_without_state_is_reset_and_its_episode_closed() -> None:
    other = loaded(1)
    assert (other.exact.tolist(), other.cut.tolist()) == ([False], [True])
    assert not loaded(3).cut  # whose episode was over
    first, second = other.collect(), other.collect()
    assert bool(first.row.last[0])
    assert first.row.obs["state"].tolist() == [[0.0, 1.0]]  # the observation at which it was cut
    assert first.frames == 0
    assert second.row.obs["state"][0, 1] == 0  # a new episode
    assert not second.row.last[0]
    assert other.collect().episodes + other.collect().episodes == [(0, 6.0, 3, 0.0)]


class Placed(Opaque):
    """Episodes start at a place that the seed decides."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        observation, info = super().reset(seed=seed)
        return observation + self.np_random.normal(), info


def begins(state: Any) -> list[list[float]]:
    """The first observations after a resume."""
    vec = envs.vector(Placed, EnvConfig(workers="sync"), 2, seed=0)
    made = Collector(vec, Constant(), envs.spec(vec), seed=0)
    made.load_state_dict(state)
    made.collect()
    vec.close()
    return made.obs["state"].tolist()


def test_episodes_after_a_cut_are_those_of_the_row() -> None:
    """Else every resume would begin with the same ones, and a run that is preempted often would see no others."""
    vec = envs.vector(Placed, EnvConfig(workers="sync"), 2, seed=0)
    made = Collector(vec, Constant(), envs.spec(vec), seed=0)
    states = []
    for rows in (5, 45):
        run(made, rows)
        states.append(made.state_dict() | {"exact": [False, False]})
    early, late = (begins(state) for state in states)
    assert begins(states[0]) == early
    assert not np.isin(early, late).any()
    assert early[0] != early[1]
    del states[0]["rows"]  # as an older version left it
    assert len(begins(states[0])) == 2


@pytest.mark.slow
def test_environments_that_draw_from_their_process_start_anew_as_well() -> None:
    found = []
    for seed in (1, 1, 2):
        vec = envs.vector(Drawing, EnvConfig(workers="async"), 1, seed=0)
        restores(vec, [None], seed)
        found.append(float(envs.step(vec, np.zeros((1, 1), np.float32))[0][0, 0]))
        vec.close()
    assert found[0] == found[1] != found[2]


class Drawing(Opaque):
    """Starts where NumPy's global generator says."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return np.array([np.random.normal(), 0.0], np.float32), {}


def seen_from_gears(workers: Any, size: int = 6, **others: Any) -> Collector:
    config = EnvConfig(pixels=Pixels(size, stack=2), time_limit=5, workers=workers, **others)
    vec = envs.vector("softrl/Gears-v0", config, 2, seed=0)
    return Collector(vec, Constant(), envs.spec(vec), seed=0)


def test_pixels_are_collected_as_they_are() -> None:
    made = seen_from_gears("sync")
    rows = run(made, 9)
    assert all(list(row.obs) == ["pixels"] for row in rows)
    assert all(row.obs["pixels"].dtype == torch.uint8 for row in rows)
    assert all(row.obs["pixels"].shape == (2, 6, 6, 6) for row in rows)
    # rows are observations in their order: the older frame of each is the newer frame of the one before
    for before, after in pairwise(rows):
        if not before.last.any():
            assert torch.equal(after.obs["pixels"][:, :3], before.obs["pixels"][:, 3:])
    assert [int(row.last.sum()) for row in rows] == [0] * 5 + [2] + [0] * 3


@pytest.mark.parametrize("workers", ["sync", "async"])
def test_a_step_in_two_halves_is_a_step(workers: Any) -> None:
    """Also where the state is taken from one vector and put into another between steps."""
    whole, halves = seen_from_gears("sync"), seen_from_gears(workers)
    expected = run(whole, 14)
    found = []
    for i in range(14):
        halves.begin(random=True)
        torch.rand(7)  # what an update draws meanwhile is none of the environments' business
        found.append(halves.finish().row)
        if i == 7:
            state = halves.state_dict()
            halves.env.close()
            halves = seen_from_gears(workers)
            halves.load_state_dict(state)
    assert_equal(found, expected)
    halves.env.close()


def test_halves_come_in_turn() -> None:
    made = collector()
    with pytest.raises(RuntimeError, match="no step was begun"):
        made.finish()
    made.begin()
    with pytest.raises(RuntimeError, match="not finished"):
        made.begin()
    with pytest.raises(RuntimeError, match="before its state is taken"):
        made.state_dict()
    made.finish()
    made.state_dict()


class Marking(Counting):
    """Leaves a file when it steps."""

    def __init__(self, mark: Path) -> None:
        super().__init__()
        self.mark = mark

    def step(self, action: Any) -> Any:
        self.mark.touch()
        return super().step(action)


@pytest.mark.slow
def test_environments_step_while_their_caller_does_something_else(tmp_path: Path) -> None:
    """A worker leaves a mark before the outcome of the step is asked for."""
    mark = tmp_path / "stepped"

    vec = envs.vector(lambda: Marking(mark), EnvConfig(workers="async"), 1, seed=0)
    made = Collector(vec, Constant(), envs.spec(vec), seed=0)
    made.begin()
    for _ in range(500):
        if mark.exists():
            break
        time.sleep(0.02)
    assert mark.exists()
    assert float(made.finish().row.reward) == 1.0
    vec.close()
