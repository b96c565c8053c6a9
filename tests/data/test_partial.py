"""Losses of observations: their probabilities, their sizes, their blanks, and draws that go on exactly."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from softrl.data.envs import EnvConfig, make
from softrl.data.partial import Partial
from softrl.data.pixels import Pixels
from softrl.data.snapshot import restore, snapshot
from softrl.errors import UserError

STEPS = 2_000


class Constant(gymnasium.Env[Any, Any]):
    """Always the same four numbers, and a grey picture; never ends."""

    action_space = gymnasium.spaces.Discrete(2)
    observation_space = gymnasium.spaces.Box(-2, 3, (4,))  # whose bounds noise crosses
    render_mode = "rgb_array"
    state = np.array([1.0, -2.0, 3.0, 0.5], np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.state.copy(), {}

    def step(self, action: Any) -> Any:
        return self.state.copy(), 0.0, False, False, {}

    def render(self) -> Any:
        return np.full((8, 8, 3), 100, np.uint8)


def seen(partial: Partial, steps: int = STEPS, pixels: Pixels | None = None) -> np.ndarray:
    """Observations of an episode from its reset on, [steps,..]."""
    env = make(Constant, EnvConfig(partial=partial, pixels=pixels), seed=0)
    first, _ = env.reset()
    observations = [first, *(env.step(np.array([1.0, 0.0], np.float32))[0] for _ in range(steps - 1))]
    assert all(observation in env.observation_space for observation in observations)
    return np.array(observations)


def near(rate: Any, probability: float, draws: int) -> bool:
    """Whether a frequency is within four standard deviations of a probability."""
    return bool(np.all(np.abs(rate - probability) < 4 * np.sqrt(probability * (1 - probability) / draws)))


def test_nothing_is_lost_by_default() -> None:
    env = make(Constant, EnvConfig())
    assert "Obscured" not in str(env)
    assert (seen(Partial(), 5) == Constant.state).all()


@pytest.mark.parametrize("probability", [0.1, 0.7])
def test_flicker_blanks_whole_observations(probability: float) -> None:
    observations = seen(Partial(flicker=probability))
    blank = (observations == 0).all(1)
    assert near(blank.mean(), probability, STEPS)
    assert (observations[~blank] == Constant.state).all()
    pictures = seen(Partial(flicker=probability), 400, Pixels(8, stack=1))
    black = (pictures == 0).all((1, 2, 3))
    assert near(black.mean(), probability, 400)
    assert (pictures[~black] == 100).all()


def test_flicker_is_drawn_anew_at_each_step() -> None:
    """Pairs of successive blanks are as frequent as independence says; a stuck draw would give 0.3."""
    blank = (seen(Partial(flicker=0.3)) == 0).all(1)
    assert near((blank[1:] & blank[:-1]).mean(), 0.09, STEPS // 2)


@pytest.mark.parametrize("probability", [0.2, 0.9])
def test_entries_are_missing_one_by_one(probability: float) -> None:
    observations = seen(Partial(missing=probability))
    absent = observations == 0
    assert near(absent.mean(0), probability, STEPS)
    assert near((absent[:, 0] & absent[:, 1]).mean(), probability**2, STEPS)
    assert (observations[~absent] == np.broadcast_to(Constant.state, observations.shape)[~absent]).all()


def test_pixels_are_missing_with_their_three_colours() -> None:
    frames = seen(Partial(missing=0.25), 200, Pixels(8, stack=1))  # [200,3,8,8]
    absent = frames == 0
    assert (absent == absent[:, :1]).all()
    assert near(absent[:, 0].mean(0), 0.25, 200)
    assert near(absent[:, 0].mean(), 0.25, 200 * 64)
    assert (frames[~absent] == 100).all()


def test_noise_on_states_is_gaussian() -> None:
    noise = seen(Partial(noise=0.5)) - Constant.state
    count = noise.size
    assert abs(noise.mean()) < 4 * 0.5 / np.sqrt(count)
    assert abs(noise.std() - 0.5) < 4 * 0.5 / np.sqrt(2 * count)
    assert near((np.abs(noise) < 0.5).mean(), 0.6827, count)
    assert np.abs(np.corrcoef(noise.T) - np.eye(4)).max() < 4 / np.sqrt(STEPS)


@pytest.mark.parametrize("sigma", [0.02, 0.1])
def test_noise_on_pixels_is_in_units_of_a_picture_from_minus_to_plus_a_half(sigma: float) -> None:
    frames = seen(Partial(noise=sigma), 100, Pixels(8, stack=1))
    noise = (frames / 255 - 0.5) - (100 / 255 - 0.5)
    count = noise.size
    rounding = 1 / 255 / np.sqrt(12)
    assert abs(noise.mean()) < 4 * sigma / np.sqrt(count)
    assert noise.std() == pytest.approx(np.hypot(sigma, rounding), rel=4 / np.sqrt(2 * count))


def test_noise_on_pixels_is_cut_at_black_and_white() -> None:
    frames = seen(Partial(noise=5.0), 50, Pixels(8, stack=1))
    assert frames.dtype == np.uint8
    assert near((frames == 0).mean(), 0.469, frames.size)  # P(100 + 1275 n <= 0.5) = Phi(-0.078)
    assert near((frames == 255).mean(), 0.452, frames.size)  # P(100 + 1275 n >= 254.5) = 1 - Phi(0.121)


def test_blanks_are_blank_in_spite_of_noise() -> None:
    observations = seen(Partial(flicker=0.5, noise=1.0))
    assert near((observations == 0).all(1).mean(), 0.5, STEPS)
    assert near((observations == 0).any(1).mean(), 0.5, STEPS)


def test_a_frame_stays_lost_while_it_is_in_the_stack() -> None:
    stacks = seen(Partial(flicker=0.4, noise=0.1), 60, Pixels(8, stack=3))  # [60,9,8,8]
    assert (stacks[0, :3] == stacks[0, 3:6]).all()
    np.testing.assert_array_equal(stacks[1:, :6], stacks[:-1, 3:])
    assert 0 < (stacks[:, 6:] == 0).all((1, 2, 3)).mean() < 1


def test_losses_leave_the_task_alone() -> None:
    """The same seed starts the same episodes, whatever is seen of them."""
    rewards = []
    for partial in (Partial(), Partial(noise=2.0), Partial(missing=0.5)):
        env = make("Pendulum-v1", EnvConfig(partial=partial), seed=4)
        total = []
        for _ in range(2):
            env.reset()
            total += [env.step(np.zeros(1, np.float32))[1] for _ in range(5)]
        rewards.append(total)
    assert rewards[0] == rewards[1] == rewards[2]


def test_a_seed_decides_what_is_lost() -> None:
    runs = []
    for seed in (1, 1, 2):
        env = make(Constant, EnvConfig(partial=Partial(noise=1.0)), seed=seed)
        runs.append(np.array([env.reset()[0], *(env.step(np.zeros(2, np.float32))[0] for _ in range(3))]))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_exact() -> None:
    options = EnvConfig(partial=Partial(flicker=0.2, noise=0.3, missing=0.1, velocities=False), time_limit=9)
    env, other = make("cartpole_swingup", options, seed=0), make("cartpole_swingup", options, seed=1)
    env.reset()
    other.reset()
    for _ in range(5):
        env.step(np.ones(1, np.float32))
    state = snapshot(env)
    assert state is not None
    restore(other, state)
    for i in range(12):
        if i == 4:
            np.testing.assert_array_equal(env.reset()[0], other.reset()[0])
        np.testing.assert_array_equal(env.step(np.ones(1, np.float32))[0], other.step(np.ones(1, np.float32))[0])


@pytest.mark.parametrize(("name", "kept"), [("walker_walk", slice(0, 15)), ("ball_in_cup_catch", slice(0, 4))])
def test_velocities_are_left_out(name: str, kept: slice) -> None:
    whole, masked = make(name, seed=3), make(name, EnvConfig(partial=Partial(velocities=False)), seed=3)
    observations = (whole.reset()[0], masked.reset()[0])
    assert masked.observation_space.shape == observations[1].shape
    for _ in range(3):
        np.testing.assert_array_equal(observations[0][kept], observations[1])
        action = np.full(whole.action_space.shape, 0.3, np.float32)
        observations = (whole.step(action)[0], masked.step(action)[0])


@pytest.mark.parametrize(
    ("name", "told"), [("quadruped_walk", "egocentric_state and imu"), ("dog_stand", "inertial_sensors")]
)
def test_velocities_among_other_numbers_are_not_passed_over(name: str, told: str) -> None:
    with pytest.raises(UserError, match=f"false, and {told} of this task have velocities among other numbers"):
        make(name, EnvConfig(partial=Partial(velocities=False)))


@pytest.mark.parametrize(("name", "pixels"), [("Pendulum-v1", None), ("softrl/Gears-v0", Pixels(8))])
def test_velocities_that_no_one_names(name: str, pixels: Pixels | None) -> None:
    with pytest.raises(UserError, match=r"env\.partial\.velocities is false"):
        make(name, EnvConfig(partial=Partial(velocities=False), pixels=pixels))


@pytest.mark.parametrize(
    ("field", "value"), [("flicker", -0.1), ("flicker", 1.1), ("missing", 2.0), ("missing", -1.0), ("noise", -0.5)]
)
def test_fields_out_of_range(field: str, value: float) -> None:
    with pytest.raises(UserError) as refusal:
        Partial(**{field: value})
    assert str(refusal.value).startswith(f"env.partial.{field} is {value}: ")
