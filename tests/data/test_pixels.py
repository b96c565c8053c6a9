"""Pixel observations: what is stacked, how often it is drawn, how large, by whom, and that it goes on exactly."""

import json
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import PendulumEnv
from hypothesis import given, settings, strategies as st

from softrl.data import graphics
from softrl.data.envs import EnvConfig, describe, make, repeats, spec, vector
from softrl.data.partial import Partial
from softrl.data.pixels import Pixels, resized, usual_repeat
from softrl.data.snapshot import restore, restores, snapshot, snapshots
from softrl.errors import UserError

GEARS = "softrl/Gears-v0"
Rows = Callable[..., list[Any]]
drawing = pytest.mark.skipif(graphics.missing() is not None, reason="no OpenGL here")


def config(size: int = 16, stack: int = 3, **others: Any) -> EnvConfig:
    return EnvConfig(pixels=Pixels(size=size, stack=stack), **others)


class Drawn(gymnasium.Env[Any, Any]):
    """Draws its time in one grey, 6 x 8, and counts how often; ends after 10 frames."""

    observation_space = gymnasium.spaces.Box(0, 100, (1,))
    action_space = gymnasium.spaces.Discrete(2)
    render_mode = "rgb_array"

    def __init__(self, picture: Any = None) -> None:
        self.picture, self.time, self.drawn = picture, 0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.time = 0
        return np.zeros(1), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        return np.zeros(1), 1.0, self.time == 10, False, {}

    def render(self) -> Any:
        self.drawn += 1
        return np.full((6, 8, 3), self.time, np.uint8) if self.picture is None else self.picture


def shades(observation: np.ndarray) -> list[int]:
    """The grey of each frame of a stack of `Drawn`."""
    frames = observation.reshape(-1, 3, *observation.shape[1:])
    assert all((frame == frame.flat[0]).all() for frame in frames)
    return [int(frame.flat[0]) for frame in frames]


def test_by_hand() -> None:
    """Repeat 4 in an episode of 10 frames: drawn at the reset and after frames 4, 8 and 10, the newest last."""
    env = make(Drawn, config(5, 3, repeat=4))
    for episode in range(2):
        observation, info = env.reset()
        assert (shades(observation), info["frames"]) == ([0, 0, 0], 0)
        outcomes = [env.step(np.array([1.0, 0.0], np.float32)) for _ in range(3)]
        assert [shades(outcome[0]) for outcome in outcomes] == [[0, 0, 4], [0, 4, 8], [4, 8, 10]]
        assert [outcome[1:] for outcome in outcomes] == [
            (4.0, False, False, {"frames": 4}),
            (4.0, False, False, {"frames": 4}),
            (2.0, True, False, {"frames": 2}),
        ]
        assert env.unwrapped.drawn == 4 * (episode + 1)


@settings(max_examples=20)
@given(
    stack=st.integers(1, 6),
    repeat=st.integers(1, 3),
    limit=st.integers(1, 7),
    ends=st.lists(st.booleans(), min_size=1, max_size=12),
)
def test_stacks_are_those_of_a_list_of_frames(stack: int, repeat: int, limit: int, ends: list[bool]) -> None:
    """On a task with hybrid actions, beside Gymnasium's own environment of it, also with resets in mid-episode."""
    env = make(GEARS, config(8, stack, repeat=repeat, time_limit=limit), seed=3)
    own = gymnasium.make(GEARS, render_mode="rgb_array", width=8, height=8, max_episode_steps=limit)
    rng, seeds, over = np.random.default_rng(0), iter([3]), True
    frames: list[Any] = []
    for end in ends:
        if over or end:
            observation, _ = env.reset()
            own.reset(seed=next(seeds, None))
            frames, over = [own.render()], False
        else:
            action = rng.uniform(-1, 1, 5).astype(np.float32)
            observation, _, terminated, truncated, info = env.step(action)
            for _ in range(info["frames"]):
                own.step(env.action_space.decode(action))  # type: ignore[attr-defined]
            frames.append(own.render())
            over = terminated or truncated
        expected = ([frames[0]] * stack + frames)[-stack:]
        assert observation.shape == (3 * stack, 8, 8)
        assert observation.dtype == np.uint8
        assert observation in env.observation_space
        for place, frame in enumerate(expected):
            np.testing.assert_array_equal(observation[3 * place : 3 * place + 3].transpose(1, 2, 0), frame)


def test_an_observation_is_not_changed_by_the_next_step() -> None:
    env = make(Drawn, config(5, 2))
    first, _ = env.reset()
    before = first.copy()
    for _ in range(3):
        env.step(np.array([1.0, 0.0], np.float32))
    np.testing.assert_array_equal(first, before)


# ---------------------------------------------------------------- size


def area(picture: np.ndarray, size: int) -> np.ndarray:
    """Area averages by the definition: every pixel weighed by its overlap with the cell."""
    height, width, _ = picture.shape
    means = np.zeros((size, size, 3))
    for i in range(size):
        for j in range(size):
            weights = np.zeros((height, width))
            for y in range(height):
                for x in range(width):
                    down = min(y + 1, (i + 1) * height / size) - max(y, i * height / size)
                    across = min(x + 1, (j + 1) * width / size) - max(x, j * width / size)
                    weights[y, x] = max(down, 0.0) * max(across, 0.0)
            means[i, j] = np.einsum("yx,yxc->c", weights, picture) / weights.sum()
    return means


def test_four_pixels_become_their_mean() -> None:
    corner = np.array([[0, 40], [80, 120]], np.uint8)
    picture = np.kron(np.eye(2, dtype=np.uint8), corner)[:, :, None].repeat(3, 2)  # [4,4,3]
    assert resized(picture, 2)[:, :, 1].tolist() == [[60, 0], [0, 60]]


@pytest.mark.parametrize(("height", "width", "size"), [(6, 8, 2), (9, 6, 3), (12, 20, 4)])
def test_larger_pictures_are_averaged_over_areas(height: int, width: int, size: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    found = resized(picture, size)
    assert found.shape == (size, size, 3)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found.astype(float), area(picture, size), atol=1.5)  # rounded once a direction


def test_pictures_of_the_right_size_are_not_touched() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (7, 7, 3), np.uint8)
    assert resized(picture, 7) is picture


# ---------------------------------------------------------------- numbers chosen by themselves


@pytest.mark.parametrize(
    ("name", "repeat"),
    [
        ("cartpole_swingup", 8),
        ("dmc_cartpole-balance", 8),
        ("reacher_easy", 4),
        ("cheetah_run", 4),
        ("dm_control/ball_in_cup-catch-v0", 4),
        ("finger_spin", 2),
        ("walker_walk", 2),
        ("quadruped_run", 2),
        ("hopper_hop", 2),
        ("Pendulum-v1", 1),
        (GEARS, 1),
    ],
)
def test_planet_s_action_repeats(name: str, repeat: int) -> None:
    assert usual_repeat(name) == repeat
    assert repeats(name, EnvConfig()) == 1  # states are seen at every frame
    assert repeats(name, config()) == repeat
    assert repeats(name, config(repeat=3)) == 3
    assert repeats(lambda: gymnasium.make(name), config()) == 1


def test_a_single_environment_that_draws_has_a_process() -> None:
    kinds = []
    for workers in ("auto", "sync"):
        vec = vector(GEARS, config(workers=workers), 1, 0)
        kinds.append(type(vec).__name__)
        vec.close()
    assert kinds == ["Workers", "SyncVectorEnv"]


def test_what_agents_are_told() -> None:
    told = spec(make(GEARS, config(20, 2)))
    assert (told.obs, told.stack) == ({"pixels": (6, 20, 20)}, 2)
    assert (told.choices, told.continuous) == ((3,), 2)
    told = spec(make(GEARS))
    assert (told.obs, told.stack) == ({"state": (2,)}, 1)
    assert describe("cartpole_swingup")["pixels"] == "action repeat 8 unless set"
    assert describe(GEARS)["pixels"] == "action repeat 1 unless set"


# ---------------------------------------------------------------- vectors


@pytest.mark.parametrize(
    ("name", "count", "limit"),
    [(GEARS, 2, 4), pytest.param("cartpole_swingup", 1, 16, marks=drawing)],
    ids=["gears", "cartpole"],
)
@pytest.mark.slow
def test_processes_make_no_difference(name: str, count: int, limit: int, rows: Rows) -> None:
    """Across resets, and after states are put back into a vector of the other kind."""
    workers: tuple[Any, ...] = ("sync", "async")
    sync, other = (vector(name, config(12, time_limit=limit, workers=kind), count, 1) for kind in workers)
    np.testing.assert_array_equal(sync.reset()[0], other.reset()[0])
    found = rows(sync, 6, seed=2)
    assert found == rows(other, 6, seed=2)
    reset = next(np.array(observation) for observation, *_, frames in found if frames == [0] * count)
    np.testing.assert_array_equal(reset[:, :3], reset[:, 6:])  # the first frame, repeated
    assert len(np.unique(reset[:, 6:], axis=0)) == count  # each environment draws its own
    states = snapshots(other)
    expected = rows(other, 4, seed=3)
    restores(sync, states)
    assert rows(sync, 4, seed=3) == expected
    sync.close()
    other.close()


def from_disk(state: dict[str, Any]) -> dict[str, Any]:
    """The state as a checkpoint gives it back."""
    from softrl.run.state import join, split, to_json  # imports torch, which the workers here do without

    plain, arrays = split(state)
    return join(json.loads(to_json(plain)), arrays)


@pytest.mark.parametrize(
    ("name", "taken"),  # 5 decisions are a whole episode
    [
        *((GEARS, taken) for taken in (0, 1, 3, 5)),
        pytest.param("cartpole_swingup", 3, marks=drawing),
        pytest.param("cartpole_swingup", 5, marks=[drawing, pytest.mark.slow]),
        *(pytest.param("Hopper-v5", taken, marks=[drawing, pytest.mark.slow]) for taken in (0, 3, 5)),
    ],
)
def test_exact(name: str, taken: int) -> None:
    options = config(12, repeat=2, time_limit=9, partial=Partial(noise=0.1))
    env, other = make(name, options, seed=1), make(name, options, seed=2)
    rng = np.random.default_rng(0)

    def action() -> np.ndarray:
        return rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)

    env.reset()
    for _ in range(taken):
        _, _, terminated, truncated, _ = env.step(action())
    over = taken > 0 and (terminated or truncated)
    assert over or taken < 5
    other.reset()
    other.step(action())
    state = snapshot(env)
    assert state is not None
    restore(other, from_disk(state))
    for i in range(7):
        if over or i == 4:  # also a reset in the middle of an episode
            np.testing.assert_array_equal(env.reset()[0], other.reset()[0])
        chosen = action()
        observation, *outcome = env.step(chosen)
        observed, *others = other.step(chosen)
        np.testing.assert_array_equal(observation, observed)
        assert outcome == others
        over = bool(outcome[1] or outcome[2])
    env.close()
    other.close()


# ---------------------------------------------------------------- DeepMind Control


@drawing
def test_a_control_task_is_seen_through_its_camera() -> None:
    from dm_control import suite

    raw = suite.load("cartpole", "swingup", task_kwargs={"random": 5})
    raw.reset()
    env = make("cartpole_swingup", EnvConfig(pixels=Pixels(20, camera=1, stack=1)), render=36)
    seen = env.reset(seed=5)[0]
    np.testing.assert_array_equal(seen.transpose(1, 2, 0), raw.physics.render(20, 20, camera_id=1))
    assert not np.array_equal(seen.transpose(1, 2, 0), raw.physics.render(20, 20, camera_id=0))
    assert env.render().shape == (36, 36, 3)  # a video has its own size
    env.close()


@drawing
@pytest.mark.parametrize(("name", "camera"), [("quadruped_walk", 2), ("cartpole_swingup", 0)])
def test_the_camera_when_none_is_chosen(name: str, camera: int) -> None:
    env = make(name, EnvConfig(pixels=Pixels(20)))
    assert env.get_wrapper_attr("camera") == camera
    env.close()


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("size", 0, "a picture is at least 1 pixel wide"),
        ("stack", 0, "an observation has at least 1 frame"),
        ("stack", -2, "an observation has at least 1 frame"),
        ("camera", -1, "cameras are counted from 0"),
    ],
)
def test_fields_out_of_range(field: str, value: int, told: str) -> None:
    with pytest.raises(UserError) as refusal:
        Pixels(**{field: value})
    assert str(refusal.value) == f"env.pixels.{field} is {value}: {told}"


@drawing
def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(UserError, match="camera is 7: the task has cameras 0 to 1"):
        make("cartpole_swingup", EnvConfig(pixels=Pixels(camera=7)))


def test_a_camera_where_none_can_be_chosen() -> None:
    with pytest.raises(UserError, match="camera is 0: only DeepMind Control"):
        make(GEARS, EnvConfig(pixels=Pixels(camera=0)))


class Plain(PendulumEnv):
    """Takes no arguments, so that none can ask it for pictures."""

    def __init__(self) -> None:
        super().__init__()


def test_environments_without_pictures() -> None:
    gymnasium.register("SoftrlBlind-v0", entry_point=Plain, max_episode_steps=7)
    try:
        for source in ("SoftrlBlind-v0", PendulumEnv):
            with pytest.raises(UserError, match="gives no pictures: make it with render_mode='rgb_array'"):
                make(source, config())
    finally:
        del gymnasium.registry["SoftrlBlind-v0"]


@pytest.mark.parametrize(
    ("picture", "told"),
    [
        (np.zeros((4, 4), np.uint8), "ndarray [4, 4] of uint8"),
        (np.zeros((16, 16, 4), np.uint8), "ndarray [16, 16, 4] of uint8"),
        (np.zeros((16, 16, 3)), "ndarray [16, 16, 3] of float64"),
        ("text", "str [] of <U4"),
    ],
)
def test_what_is_no_picture(picture: Any, told: str) -> None:
    env = make(lambda: Drawn(picture), config())
    with pytest.raises(UserError) as refusal:
        env.reset()
    assert str(refusal.value).startswith(f"the environment's render() gave {told}: pixels need an array")


@pytest.mark.usefixtures("without_opengl")
@pytest.mark.parametrize("workers", ["sync", "async"])
def test_without_opengl_the_packages_are_named(workers: Any) -> None:
    for name in ("cartpole_swingup", "Hopper-v5"):
        with pytest.raises(UserError, match="apt-get install libegl1 libgl1 libosmesa6"):
            vector(name, config(workers=workers), 1, 0)
