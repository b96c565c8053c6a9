"""A back-end is chosen before MuJoCo is imported, and nothing but pictures needs one."""

import os
import subprocess
import sys

import pytest

from softrl.data import graphics
from softrl.errors import UserError

STATES_WITHOUT_OPENGL = """
import sys
from softrl.data import graphics
graphics.egl_works = lambda: False
graphics.ctypes.util.find_library = lambda name: None
from softrl.data.envs import make
from softrl.errors import UserError
import numpy as np
for name in ("cartpole_swingup", "Hopper-v5", "Pendulum-v1"):
    env = make(name, seed=0)
    env.reset()
    env.step(np.zeros(env.action_space.shape, np.float32))
assert not [name for name in sys.modules if name.startswith("OpenGL")], "OpenGL was imported"
for name in ("cartpole_swingup", "Hopper-v5"):
    try:
        make(name, render=32)
    except UserError as error:
        print(error)
"""


def run(code: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}
    return subprocess.run(
        [sys.executable, "-c", code], env={**kept, **environment}, check=True, capture_output=True, text=True
    ).stdout


def test_states_need_no_opengl_and_pictures_say_what_to_install() -> None:
    assert run(STATES_WITHOUT_OPENGL).splitlines() == [graphics.ADVICE] * 2


UNKNOWN_BACK_END = """
from softrl.data.envs import make
from softrl.errors import UserError
try:
    make("cartpole_swingup")
except UserError as error:
    print(error)
"""


def test_a_back_end_that_does_not_exist_is_named() -> None:
    told = run(UNKNOWN_BACK_END, MUJOCO_GL="foo")
    assert told.startswith("MuJoCo does not start with MUJOCO_GL=foo (RuntimeError: ")
    assert told.endswith("or to disabled where nothing is to be rendered\n")


@pytest.mark.parametrize("before", [None, ""])
@pytest.mark.parametrize(
    ("egl", "osmesa", "chosen"), [(True, "x", "egl"), (False, "x", "osmesa"), (False, None, "disabled")]
)
def test_the_first_back_end_that_works(
    monkeypatch: pytest.MonkeyPatch, egl: bool, osmesa: str | None, chosen: str, before: str | None
) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    if before is not None:
        monkeypatch.setenv("MUJOCO_GL", before)
    monkeypatch.setattr(graphics.sys, "platform", "linux")
    monkeypatch.setattr(graphics, "egl_works", lambda: egl)
    monkeypatch.setattr(graphics.ctypes.util, "find_library", lambda name: osmesa)
    assert graphics.choose() == chosen
    assert os.environ["MUJOCO_GL"] == chosen
    assert (graphics.missing() is None) == (chosen != "disabled")


@pytest.mark.parametrize(("egl", "works"), [(True, "egl"), (False, None)])
def test_who_switched_rendering_off_is_not_told_to_install_what_is_there(
    monkeypatch: pytest.MonkeyPatch, egl: bool, works: str | None
) -> None:
    monkeypatch.setenv("MUJOCO_GL", "false")
    monkeypatch.setattr(graphics, "egl_works", lambda: egl)
    monkeypatch.setattr(graphics.ctypes.util, "find_library", lambda name: None)
    off = f"rendering is switched off by MUJOCO_GL=false, and {works} would work here: unset it, or set it to {works}"
    assert graphics.missing() == (off if works else graphics.ADVICE)


def test_what_the_user_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "off")
    monkeypatch.setattr(graphics, "first_working", lambda: "egl")
    assert graphics.choose() == "off"
    with pytest.raises(UserError, match="MUJOCO_GL=off"):
        graphics.prepare(32)
    graphics.prepare(None)


def test_a_missing_egl_library_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(graphics.ctypes, "CDLL", absent)
    assert not graphics.egl_works()


@pytest.mark.skipif(graphics.missing() is not None, reason="no OpenGL here")
@pytest.mark.slow
def test_rendering_is_timed() -> None:
    assert 1 < graphics.speed(16) < 1e6
