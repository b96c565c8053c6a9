"""Environments come from names, factories and objects; what cannot be made is told in one sentence."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import PendulumEnv
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import OrderEnforcing, RescaleAction, TimeLimit

from softrl.data.control import Control
from softrl.data.envs import EnvConfig, make, vector
from softrl.data.gears import Gears
from softrl.data.names import GEARS
from softrl.data.pixels import Pixels
from softrl.data.sources import build
from softrl.errors import UserError, own_traceback


def length(env: gymnasium.Env[Any, Any]) -> int:
    env.reset(seed=0)
    action, frames, over = env.action_space.sample() * 0, 0, False
    while not over:
        _, _, terminated, truncated, _ = env.step(action)
        over, frames = terminated or truncated, frames + 1
    return frames


@pytest.mark.parametrize(
    ("source", "own"),
    [
        ("Pendulum-v1", 200),
        (lambda: gymnasium.make("Pendulum-v1"), 200),
        (gymnasium.make("Pendulum-v1"), 200),
        (TimeLimit(PendulumEnv(), 40), 40),
        ("pendulum_swingup", 1000),
    ],
    ids=["name", "factory", "object", "object without a spec", "control"],
)
def test_time_limits_replace_each_other(source: Any, own: int) -> None:
    assert length(build(source, None, None)) == own
    assert length(build(source, 30, None)) == 30
    assert length(build(source, 1100, None)) == 1100


def test_an_object_is_a_template() -> None:
    for template in (gymnasium.make("Pendulum-v1"), PendulumEnv(), RescaleAction(gymnasium.make("Pendulum-v1"), -1, 1)):
        template.reset(seed=3)
        before = np.array(template.unwrapped.state)
        first, second = build(template, None, None), build(template, None, None)
        first.reset(seed=0)
        first.step(first.action_space.sample())
        assert first.unwrapped is not second.unwrapped is not template.unwrapped
        assert first.action_space == template.action_space
        np.testing.assert_array_equal(template.unwrapped.state, before)


class Scaled(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A wrapper that a spec cannot describe."""

    def step(self, action: Any) -> Any:
        observation, reward, *rest = self.env.step(action)
        return observation, float(reward) * 10, *rest


def test_wrappers_that_a_spec_cannot_describe_are_kept() -> None:
    env = build(Scaled(gymnasium.make("Pendulum-v1")), None, None)
    assert isinstance(env, Scaled)


def test_what_was_set_on_an_object_is_kept() -> None:
    template = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    template.unwrapped.force_mag = 5.0  # type: ignore[attr-defined]
    for env in (build(template, None, None), build(template, 30, None), build(template, None, 32)):
        assert env.unwrapped.force_mag == 5.0  # type: ignore[attr-defined]
    undrawn = gymnasium.make("CartPole-v1")
    assert build(undrawn, None, 32).render_mode == "rgb_array"  # made anew, because it is to draw


def layers(env: Any) -> list[type]:
    return [type(env), *(layers(env.env) if isinstance(env, gymnasium.Wrapper) else [])]


@pytest.mark.parametrize("name", ["Pendulum-v1", "Hopper-v5"])
def test_copies_of_an_object_have_the_layers_of_its_id(name: str) -> None:
    """So that a run that learned in one can be resumed in the other."""
    assert layers(build(gymnasium.make(name), None, None)) == layers(build(name, None, None))


def test_a_limit_inside_of_wrappers_is_replaced() -> None:
    wrapped = RescaleAction(gymnasium.make("Pendulum-v1"), -1, 1)
    assert length(build(wrapped, 250, None)) == 250
    assert length(build(lambda: RescaleAction(gymnasium.make("Pendulum-v1"), -1, 1), 250, None)) == 250
    assert length(wrapped) == 200


class Unique(PendulumEnv):
    """Holds something that cannot be copied."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("there is one of me")


def test_an_object_that_cannot_be_copied_asks_for_a_factory() -> None:
    with pytest.raises(UserError, match=r"there is one of me.*give a factory"):
        build(Unique(), None, None)


def test_factories_must_return_environments() -> None:
    with pytest.raises(UserError, match="returned int"):
        build(lambda: 3, None, None)  # type: ignore[arg-type, return-value]


class Unplugged(gymnasium.Env[Any, Any]):
    """Cannot be made."""

    def __init__(self, port: int = 0) -> None:
        raise SystemExit(2) if port else ConnectionError("no robot\n at /dev/null.")


def failing() -> gymnasium.Env[Any, Any]:
    return Unplugged(port=1)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (Unplugged, r"^the environment cannot be made, Unplugged\(\) raised ConnectionError: no robot at /dev/null \("),
        (failing, r"failing\(\) raised SystemExit: 2 \(test_sources\.py:"),
        (partial(Unplugged, 0), r"partial\(\) raised ConnectionError: no robot"),
        (lambda port: None, r"<lambda>\(\) raised TypeError: .* missing 1 required positional argument: 'port'"),
    ],
)
def test_a_factory_that_raises_is_told(source: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as told:
        build(source, None, None)
    assert own_traceback(told.value).startswith("Traceback")


def test_a_factory_makes_a_new_environment_at_each_call() -> None:
    """Stable-Baselines3 takes `lambda: env`; here two environments would be one."""
    env = gymnasium.make("Pendulum-v1")
    with pytest.raises(UserError, match="returned the same environment again: let it make a new one at each call"):
        vector(lambda: env, EnvConfig(workers="sync"), 2, 0)
    rewrapped = PendulumEnv()
    build(lambda: TimeLimit(rewrapped, 5), None, None)
    with pytest.raises(UserError, match="the same environment again"):
        build(lambda: TimeLimit(rewrapped, 5), None, None)


@dataclass
class Equal(PendulumEnv):
    """Equal to its likes, and so without a hash."""

    size: int = 1

    def __post_init__(self) -> None:
        super().__init__()


def test_new_environments_that_equal_each_other_are_no_mistake() -> None:
    for _ in range(2):
        vector(Equal, EnvConfig(workers="sync"), 2, 0).close()  # closed, and made again
    env = gymnasium.make("Pendulum-v1")
    vector(env, EnvConfig(workers="sync"), 2, 0).close()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: Any, **__: Any) -> None:
        raise gymnasium.error.DependencyNotInstalled("Box2D is not installed, run `pip install box2d`")

    monkeypatch.setattr(gymnasium, "make", absent)
    with pytest.raises(UserError, match=r"LunarLanderContinuous-v3 cannot be made .* run `pip install box2d`") as told:
        build("LunarLanderContinuous-v3", None, None)
    assert str(told.value).endswith("; pip install 'softrl[box2d]' brings it")


def test_old_versions_do_not_warn(recwarn: pytest.WarningsRecorder) -> None:
    build("Hopper-v4", None, None)
    assert not [warning for warning in recwarn if "out of date" in str(warning.message)]


def test_the_suite_is_loaded_without_its_own_limit() -> None:
    assert isinstance(build("dm_control/reacher-easy-v0", None, None).unwrapped, Control)


class Plain(PendulumEnv):
    """Registered by a user; takes no arguments."""

    def __init__(self) -> None:
        super().__init__()


def test_registered_environments_need_not_know_of_rendering() -> None:
    gymnasium.register("SoftrlPlain-v0", entry_point=Plain, max_episode_steps=7)
    try:
        assert length(build("SoftrlPlain-v0", None, None)) == 7
    finally:
        del gymnasium.registry["SoftrlPlain-v0"]


class Window:
    """Of a screen; there is one of it."""

    __module__ = "pygame.surface"

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("cannot pickle 'pygame.surface.Surface' object")


def test_copies_of_an_environment_on_the_screen_stay_off_it() -> None:
    template = gymnasium.make("CartPole-v1", render_mode="human")
    bare: Any = template.unwrapped
    bare.force_mag, bare.screen = 5.0, Window()
    copied: Any = build(template, None, None).unwrapped
    assert (copied.render_mode, copied.screen, copied.force_mag) == (None, None, 5.0)
    assert (bare.render_mode, type(bare.screen)) == ("human", Window)
    bare.windows = [Window()]  # where nobody looks for it: the object is made anew
    anew: Any = build(template, None, None).unwrapped
    assert (anew.render_mode, anew.force_mag) == (None, 10.0)


@pytest.mark.filterwarnings("ignore:.*doesn't natively support it")
def test_copies_of_what_is_shown_from_outside_stay_off_the_screen() -> None:
    template = gymnasium.make(GEARS, render_mode="human")
    for render in (None, 32):
        assert layers(build(template, None, render)) == [TimeLimit, OrderEnforcing, Gears]


class Board(PendulumEnv):
    """Squares in rows and columns; draws each in a pixel."""

    def __init__(self, render_mode: str | None = None, width: int = 3, height: int = 2) -> None:
        super().__init__(render_mode)
        self.squares = height, width

    def render(self) -> Any:
        return np.zeros((*self.squares, 3), np.uint8)


def test_a_world_keeps_its_size_when_it_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """`width` and `height` of a registered environment need not be those of its pictures."""
    for kwargs, squares in (({}, (2, 3)), ({"width": 7}, (2, 7))):
        spec = EnvSpec("Board-v0", entry_point=Board, kwargs=kwargs)
        monkeypatch.setitem(gymnasium.registry, "Board-v0", spec)
        for source in ("Board-v0", gymnasium.make("Board-v0")):
            for drawn in (None, 32):
                assert build(source, None, drawn).unwrapped.squares == squares  # type: ignore[attr-defined]
    seen = make("Board-v0", EnvConfig(pixels=Pixels(size=20, stack=1)))
    assert seen.reset()[0].shape == (3, 20, 20)
    assert seen.unwrapped.squares == (2, 7)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "given"), [("Hopper-v5", {}), (GEARS, {}), (GEARS, {"width": 12})])
def test_pictures_are_of_the_size_asked_for_where_nobody_chose_another(name: str, given: dict[str, int]) -> None:
    drawn: Any = build(gymnasium.make(name, **given), None, 32).unwrapped
    assert (drawn.width, drawn.height) == (given.get("width", 32), 32)


def test_pictures_of_an_environment_without_them_are_refused() -> None:
    with pytest.raises(UserError, match="render_mode='rgb_array'"):
        build(PendulumEnv, None, 32)
    assert build(lambda: PendulumEnv("rgb_array"), None, 32).render_mode == "rgb_array"
    assert build("Hopper-v5", None, 32).render_mode == "rgb_array"


def test_a_module_registers_its_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`module:Id-v0`, as `gymnasium.make` takes it."""
    (tmp_path / "arena.py").write_text(
        "import gymnasium\n"
        "from gymnasium.envs.classic_control import PendulumEnv\n"
        "gymnasium.register('Arena-v0', entry_point=PendulumEnv, max_episode_steps=7)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert length(build("arena:Arena-v0", None, None)) == 7
    with pytest.raises(UserError, match="'nowhere:Arena-v0' cannot be imported"):
        build("nowhere:Arena-v0", None, None)
    (tmp_path / "script.py").write_text("import sys; sys.exit('usage: script FILE')")
    with pytest.raises(UserError, match=r"'script:Arena-v0' cannot be imported \(SystemExit: usage: script FILE"):
        build("script:Arena-v0", None, None)


def licensed() -> gymnasium.Env[Any, Any]:
    raise SystemExit("no licence")


def test_an_environment_that_ends_the_process_is_told() -> None:
    gymnasium.register("Licensed-v0", entry_point=licensed)
    with pytest.raises(UserError, match="Licensed-v0 cannot be made: no licence"):
        build("Licensed-v0", None, None)


@pytest.mark.parametrize("source", [5, gymnasium.make_vec("Pendulum-v1", 2)], ids=["number", "vector"])
def test_what_is_no_environment_is_refused(source: Any) -> None:
    with pytest.raises(UserError, match="is no environment: give a name"):
        build(source, None, None)


@pytest.mark.parametrize("space", ["observation_space", "action_space"])
def test_an_environment_without_a_space_is_refused(space: str) -> None:
    def spaceless() -> gymnasium.Env[Any, Any]:
        env = PendulumEnv()
        delattr(env, space)
        return env

    with pytest.raises(UserError, match=f"PendulumEnv has no {space}: set it in __init__"):
        build(spaceless, None, None)


def test_a_task_that_has_gone_names_the_one_that_took_its_place() -> None:
    with pytest.raises(UserError, match=r"HalfCheetah-v3 cannot be made .*; use HalfCheetah-v5$"):
        make("HalfCheetah-v3", EnvConfig())
