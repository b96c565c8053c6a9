"""Evaluation: whole episodes on given seeds, which disturb nothing; and the policy as its users call it."""

from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from softrl.agent.agent import Agent
from softrl.agent.chunk import Chunk
from softrl.agent.config import AgentConfig
from softrl.data import envs
from softrl.data.envs import EnvConfig
from softrl.data.pixels import Pixels
from softrl.errors import UserError
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.trunks.mlp import MLP
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.evaluate import Policy, caution, evaluate, film, filmed, pace
from softrl.types import Spec

CONFIG = EnvConfig(workers="sync")


class Walk(gymnasium.Env[Any, Any]):
    """Starts at a seeded place, pays the place, ends after 3 to 6 steps; the seed decides all."""

    observation_space = gymnasium.spaces.Box(-10.0, 10.0, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-2.0, 6.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.place, self.time = self.np_random.uniform(), 0
        self.length = int(self.np_random.integers(3, 7))
        return np.array([self.place], np.float32), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        over = self.time == self.length
        return np.array([self.place], np.float32), self.place, over, False, {"is_success": self.length == 6}

    def render(self) -> Any:
        return np.full((8, 8, 3), self.time, np.uint8)


@pytest.fixture
def agent() -> Agent:
    torch.manual_seed(0)
    env = envs.make(Walk, CONFIG)
    return AgentConfig(actor=Gaussian(MLP((8,)))).build(envs.spec(env))


def expected(seed: int) -> tuple[float, int]:
    env = Walk()
    env.reset(seed=seed)
    return env.place * env.length, env.length


def test_each_episode_is_the_one_of_its_seed(agent: Agent) -> None:
    vec = envs.vector(Walk, CONFIG, 4, seed=0)
    for seeds in ([1, 2, 3, 4], [7, 7, 8, 9]):  # again in the same environments
        result = evaluate(agent, vec, seeds)
        truth = [expected(seed) for seed in seeds]
        assert result.returns == pytest.approx([total for total, _ in truth])
        assert result.lengths == [length for _, length in truth]
        assert result.successes == [float(length == 6) for _, length in truth]


class Silent(Walk):
    """Says nothing of success where the episode is short."""

    def step(self, action: Any) -> Any:
        *outcome, info = super().step(action)
        return *outcome, info if self.length == 6 else {}


def test_episodes_of_whose_success_nothing_is_said_do_not_count_as_failed(agent: Agent) -> None:
    seeds = list(range(8))
    lengths = [expected(seed)[1] for seed in seeds]
    assert set(lengths) > {6}
    assert evaluate(agent, envs.vector(Silent, CONFIG, 8, seed=0), seeds).successes == [1.0] * lengths.count(6)
    assert evaluate(agent, envs.vector(Silent, CONFIG, 1, seed=0), [lengths.index(min(lengths))]).successes == []


def test_a_policy_that_diverged_is_named_and_the_environment_is_not(agent: Agent) -> None:
    with torch.no_grad():
        for weight in agent.actor.parameters():
            weight.fill_(float("nan"))
    for attempt in (
        lambda: evaluate(agent, envs.vector(Walk, CONFIG, 1, seed=0), [1]),
        lambda: film(agent, envs.make(Walk, CONFIG), 1, lambda picture: None),
    ):
        with pytest.raises(UserError, match="learning diverged: the policy's actions are not finite"):
            attempt()


@pytest.mark.parametrize("deterministic", [True, False])
def test_training_goes_on_as_if_nothing_had_been(agent: Agent, deterministic: bool) -> None:
    before = {name: value.clone() for name, value in agent.state_dict().items()}
    rng = torch.get_rng_state()
    evaluate(agent, envs.vector(Walk, CONFIG, 2, seed=0), [1, 2], deterministic)
    assert torch.equal(torch.get_rng_state(), rng)
    assert all(torch.equal(value, before[name]) for name, value in agent.state_dict().items())


def test_a_film_has_a_picture_for_every_state_and_the_return(agent: Agent) -> None:
    pictures: list[np.ndarray] = []
    total = film(agent, envs.make(Walk, CONFIG), 5, pictures.append)
    truth, length = expected(5)
    assert total == pytest.approx(truth)
    assert [int(picture[0, 0, 0]) for picture in pictures] == list(range(length + 1))


def test_predict_returns_actions_in_the_environments_units(agent: Agent) -> None:
    policy = Policy(agent, Walk.action_space, Run())
    unit, _ = agent.act({"state": torch.tensor([[0.3]])}, {}, deterministic=True)
    action, state = policy.predict(np.array([0.3]))
    assert action.shape == (1,)
    assert action.dtype == np.float32
    assert action[0] == pytest.approx(-2 + 4 * (float(unit) + 1))  # [-1, 1] -> [-2, 6]
    assert state == {}


def test_predict_takes_one_observation_or_many(agent: Agent) -> None:
    policy = Policy(agent, Walk.action_space, Run())
    many, _ = policy.predict(np.array([[0.3], [0.6]]))
    assert many.shape == (2, 1)
    assert many[0] == pytest.approx(policy.predict(np.array([0.3]))[0])
    assert not np.allclose(
        policy.predict(np.array([0.3]), deterministic=False)[0],
        policy.predict(np.array([0.3]), deterministic=False)[0],
    )


class Told:
    """Acts as it is told, whatever it sees, and remembers what that was."""

    def __init__(self, flat: list[list[float]], obs: dict[str, Any]) -> None:
        self.flat, self.spec, self.seen = torch.tensor(flat), SimpleNamespace(obs=obs), list[torch.Tensor]()
        self.temperature = SimpleNamespace(target=torch.zeros(1))

    def initial(self, count: int) -> dict[str, Any]:
        return {}

    def act(self, obs: Any, carry: Any, deterministic: bool) -> Any:
        [observation] = obs.values()
        self.seen.append(observation)
        return self.flat[: len(observation)], carry


def told(space: gymnasium.Space[Any], flat: list[list[float]], width: int = 4) -> Policy:
    return Policy(Told(flat, {"state": (width,)}), space, Run())  # type: ignore[arg-type]


def test_predict_returns_a_choice() -> None:
    policy = told(gymnasium.spaces.Discrete(3, start=1), [[0, 0, 1], [1, 0, 0]])
    one, many = policy.predict(np.zeros(4))[0], policy.predict(np.zeros((2, 4)))[0]
    assert (one, type(one)) == (3, np.int64)
    assert (many.tolist(), many.dtype) == ([3, 1], np.int64)


def test_predict_rounds_where_the_environment_counts() -> None:
    policy = told(gymnasium.spaces.Box(0, 4, (1,), np.int64), [[0.3]])
    action, _ = policy.predict(np.zeros(4))
    assert (action.tolist(), action.dtype) == ([3], np.int64)  # as the environment gets it while training


@pytest.mark.parametrize("name", ["CartPole-v1", "softrl/Gears-v0", "Pendulum-v1"])
def test_what_predict_returns_steps_gymnasiums_own_environments(name: str) -> None:
    """One action an environment, N of them a vector of environments, both as Gymnasium makes them."""
    env, vec = gymnasium.make(name), gymnasium.make_vec(name, 2, vectorization_mode="sync")
    shaped = envs.spec(envs.make(name))
    policy = told(env.action_space, torch.rand(2, shaped.action).tolist(), *shaped.obs["state"])
    one = policy.predict(env.reset(seed=0)[0])[0]
    assert env.action_space.contains(one)
    alone = env.step(one)[0]
    many = policy.predict(vec.reset(seed=[0, 1])[0])[0]
    assert vec.action_space.contains(many)
    np.testing.assert_allclose(vec.step(many)[0][0], alone, rtol=1e-6)


def test_predict_takes_pixels_of_one_environment_or_of_many() -> None:
    agent = Told([[0.5], [-0.5]], {"pixels": (6, 8, 8)})
    policy = Policy(agent, Walk.action_space, Run())  # type: ignore[arg-type]
    pictures = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 8), np.uint8)
    assert policy.predict(pictures[0])[0].tolist() == [4.0]
    assert policy.predict(pictures)[0].tolist() == [[4.0], [0.0]]
    assert [(seen.shape, seen.dtype) for seen in agent.seen] == [
        ((1, 6, 8, 8), torch.uint8),
        ((2, 6, 8, 8), torch.uint8),
    ]
    np.testing.assert_array_equal(agent.seen[1].numpy(), pictures)


@pytest.mark.parametrize(
    ("obs", "sentence"),
    [
        (
            np.zeros((6, 8, 8)),
            r"float64 \[6, 8, 8\]: it takes pixels \[6, 8, 8\], or N of them, as uint8; policy\.make",
        ),
        (np.zeros((8, 8, 6), np.uint8), r"uint8 \[8, 8, 6\]: it takes pixels"),
        (np.zeros(6, np.uint8), r"uint8 \[6\]: it takes pixels"),
    ],
)
def test_predict_refuses_what_is_no_observation(obs: np.ndarray, sentence: str) -> None:
    policy = Policy(Told([[0.5]], {"pixels": (6, 8, 8)}), Walk.action_space, Run())  # type: ignore[arg-type]
    with pytest.raises(UserError, match=sentence):
        policy.predict(obs)
    with pytest.raises(UserError, match=r"float64 \[3\]: it takes state \[4\], or N of them"):
        told(Walk.action_space, [[0.5]]).predict(np.zeros(3))


@pytest.mark.parametrize("obs", [[0, 0, np.nan, 0], [[0, 0, 0, 0], [0, np.inf, 0, 0]], [0, 0, 0, 1e300]])
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_predict_refuses_what_is_not_finite(obs: Any) -> None:
    """Nobody moves a plant by such an action."""
    with pytest.raises(UserError, match="given an observation that is not finite"):
        told(Walk.action_space, [[0.5], [0.5]]).predict(np.array(obs))


@pytest.mark.parametrize(
    ("obs", "shown"), [({}, "dict"), ([[1, 2], [3]], "list"), (["a"] * 4, "list"), (None, "NoneT")]
)
def test_predict_refuses_what_are_no_numbers(obs: Any, shown: str) -> None:
    with pytest.raises(UserError, match=rf"the policy was given {shown}.*: it takes state \[4\], or N of them$"):
        told(Walk.action_space, [[0.5]]).predict(obs)


@pytest.mark.parametrize("workers", ["sync", "async"])
def test_episodes_from_pixels(workers: Any) -> None:
    """Evaluated side by side and filmed, they are those of Gymnasium's own environment."""
    config = EnvConfig(pixels=Pixels(6, stack=2), time_limit=3, workers=workers)
    agent = Told([[1.0, 0.0, 0.0, 0.3, -0.2]] * 2, {"pixels": (6, 6, 6)})
    vec = envs.vector("softrl/Gears-v0", config, 2, 0)
    result = evaluate(agent, vec, [5, 6])  # type: ignore[arg-type]
    vec.close()
    pictures: list[np.ndarray] = []
    alone = film(agent, envs.make("softrl/Gears-v0", config), 5, pictures.append)  # type: ignore[arg-type]
    truths = []
    for seed in (5, 6):
        own = gymnasium.make("softrl/Gears-v0")
        own.reset(seed=seed)
        action = {"gear": 0, "throttle": np.array([0.9, -0.6], np.float32)}
        truths.append(sum(float(own.step(action)[1]) for _ in range(3)))
    assert result.returns == pytest.approx(truths, rel=1e-6)
    assert result.lengths == [3, 3]
    assert alone == pytest.approx(truths[0], rel=1e-6)
    assert [picture.shape for picture in pictures] == [(6, 6, 3)] * 4
    assert {seen.dtype for seen in agent.seen} == {torch.uint8}


@pytest.mark.parametrize(
    ("broken", "words"), [("obs", "an observation that is not"), ("reward", "a reward that is not")]
)
def test_an_environment_that_returns_no_numbers_is_refused(agent: Agent, broken: str, words: str) -> None:
    class Broken(Walk):
        def step(self, action: Any) -> Any:
            obs, reward, *rest = super().step(action)
            return (obs * np.nan, reward, *rest) if broken == "obs" else (obs, np.inf, *rest)

    with pytest.raises(UserError, match=words):
        evaluate(agent, envs.vector(Broken, CONFIG, 2, seed=0), [1, 2])


class Stalled(Walk):
    """Ends where the seed has it start low; pays one a step, and has never succeeded."""

    def step(self, action: Any) -> Any:
        over = super().step(action)[2]
        return np.array([self.place], np.float32), 1.0, over and self.place < 0.5, False, {"is_success": over}


def test_an_episode_that_never_ends_is_cut_and_counts(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softrl.run.evaluate.LONGEST", 6)
    seeds = list(range(20))
    starts, lengths = zip(*((Walk().reset(seed=seed)[0][0], expected(seed)[1]) for seed in seeds), strict=True)
    ends = [start < 0.5 for start in starts]
    truth = [length if end else 6 for length, end in zip(lengths, ends, strict=True)]
    assert 6 in [length for length, end in zip(lengths, ends, strict=True) if end]  # which ends when it would be cut
    vec = envs.vector(Stalled, CONFIG, 20, seed=0)
    for _ in range(2):  # again in the same environments
        result = evaluate(agent, vec, seeds)
        assert (result.returns, result.lengths) == (truth, truth)
        assert result.cut == [not end for end in ends]
        assert result.successes == [float(end or length == 6) for length, end in zip(lengths, ends, strict=True)]
        assert caution(result).startswith(f"{sum(result.cut)} of 20 evaluation episodes had no end after 6 decisions")
    assert caution(evaluate(agent, envs.vector(Walk, CONFIG, 20, seed=0), seeds)) == ""


def test_a_film_that_never_ends_is_refused(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softrl.run.evaluate.LONGEST", 6)
    high = next(seed for seed in range(100) if Walk().reset(seed=seed)[0] >= 0.5)
    with pytest.raises(UserError, match=r"not ended after 6 decisions: .* --env\.time_limit 1000, from Python \*\*"):
        film(agent, envs.make(Stalled, CONFIG), high, lambda picture: None)


def test_a_film_draws_nothing_of_trainings_numbers_and_is_that_of_its_seed() -> None:
    """A world model draws latents whenever it acts."""
    world = envs.make(Walk, CONFIG)
    recurrent = apply("latent_sac+states+tiny", Run()).agent.build(envs.spec(world))
    before = torch.get_rng_state()
    first = film(recurrent, world, 5, lambda frame: None)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert film(recurrent, world, 5, lambda frame: None) == first


def test_those_who_begin_an_episode_forget_their_plans() -> None:
    agent = AgentConfig(chunk=Chunk(3)).build(Spec({"state": (1,)}, 1))
    policy = Policy(agent, gymnasium.spaces.Box(-1, 1, (1,)), Run())
    _, state = policy.predict(np.zeros((2, 1), np.float32))
    new, _ = policy.predict(np.ones((2, 1), np.float32))
    on, _ = policy.predict(np.ones((2, 1), np.float32), state)
    mixed, _ = policy.predict(np.ones((2, 1), np.float32), state, episode_start=np.array([True, False]))
    assert mixed[0] == pytest.approx(new[0])
    assert mixed[1] == pytest.approx(on[1])
    assert new[1] != pytest.approx(on[1])


@pytest.mark.parametrize(
    ("seen", "remembered", "begun"), [(2, 3, None), (1, 3, None), (3, 1, None), (2, 0, None), (2, 2, 3)]
)
def test_a_state_of_other_environments_is_refused(seen: int, remembered: int, begun: int | None) -> None:
    agent = AgentConfig(chunk=Chunk(3)).build(Spec({"state": (1,)}, 1))
    policy = Policy(agent, gymnasium.spaces.Box(-1, 1, (1,)), Run())
    state = policy.predict(np.zeros((remembered, 1), np.float32))[1] if remembered else {}
    episode_start = None if begun is None else np.ones(begun, bool)
    with pytest.raises(UserError, match=f"one of {seen} environments" if begun is None else "has 3 entries for 2"):
        policy.predict(np.zeros((seen, 1), np.float32), state, episode_start=episode_start)


def test_what_is_no_state_is_refused_and_starts_may_be_numbers(agent: Agent) -> None:
    policy = Policy(agent, Walk.action_space, Run())
    with pytest.raises(UserError, match="was given a state that is not one of 1 environments"):
        policy.predict(np.array([0.3]), (1, 2))  # type: ignore[arg-type]
    expected, state = policy.predict(np.zeros((2, 1)))
    np.testing.assert_array_equal(policy.predict(np.zeros((2, 1)), state, np.array([1, 0]))[0], expected)


class Rolling(Walk):
    """Draws from the process while it is made."""

    render_mode = "rgb_array"

    def __init__(self) -> None:
        super().__init__()
        np.random.rand()


def test_a_film_leaves_the_process_its_draws(agent: Agent) -> None:
    before = np.random.get_state()[2]
    filmed(agent, Rolling, Run(), 3)
    assert np.random.get_state()[2] == before


@pytest.mark.parametrize(
    ("said", "shown"), [(25, 25.0), ("50", 50.0), (None, 30.0), ("fast", 30.0), (1e-4, 30.0), (float("nan"), 30.0)]
)
def test_a_video_is_as_fast_as_its_environment_says_where_that_can_be(said: Any, shown: float) -> None:
    assert pace(said) == shown
