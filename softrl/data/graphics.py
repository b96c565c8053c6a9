"""Headless OpenGL: which back-end MuJoCo renders with, how fast, and what to install where there is none."""

import ctypes
import ctypes.util
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from softrl.errors import UserError

OFF = "disabled"
ADVICE = (
    "rendering needs OpenGL, which is not here: on Debian or Ubuntu run `apt-get install libegl1 libgl1 libosmesa6`"
)
SCENE = """<mujoco><worldbody>
  <light pos="0 0 3"/><geom type="plane" size="2 2 .1"/><geom pos="0 0 .3" size=".3"/>
</worldbody></mujoco>"""
TRIED = 20  # pictures
DEVICES = 16
PLATFORM_DEVICE = 0x313F  # EGL_PLATFORM_DEVICE_EXT


def choose() -> str:
    """The back-end MuJoCo uses: MUJOCO_GL as the user set it, else egl, osmesa or disabled, whichever works first.

    MuJoCo and dm_control read MUJOCO_GL when they are imported, so this comes before either. With `disabled` neither
    touches OpenGL, and environments whose observations are states work without it.
    """
    if not os.environ.get("MUJOCO_GL") and sys.platform == "linux":  # set to nothing, MuJoCo would look for a screen
        os.environ["MUJOCO_GL"] = first_working()
    return os.environ.get("MUJOCO_GL", "glfw")


def first_working() -> str:
    """egl, osmesa or disabled, whichever works here first."""
    return "egl" if egl_works() else "osmesa" if ctypes.util.find_library("OSMesa") else OFF


def missing() -> str | None:
    """The sentence that says what to do before anything can be rendered, or None when it should work."""
    name = choose()
    if name not in (OFF, "disable", "off", "false", "0"):
        return None
    here = first_working()
    if here == OFF:
        return ADVICE
    return f"rendering is switched off by MUJOCO_GL={name}, and {here} would work here: unset it, or set it to {here}"


def prepare(render: int | None) -> None:
    """Choose a back-end for a MuJoCo environment; raises UserError where it shall render and cannot."""
    sentence = missing()
    if sentence and render:
        raise UserError(sentence)


@contextmanager
def back_end_named() -> Iterator[None]:
    """Turn what a simulator raises at its import, where it opens the back-end, into a sentence about MUJOCO_GL.

    Raises:
        UserError: the back-end is unknown, or not installed.
    """
    try:
        yield
    except ModuleNotFoundError:
        raise
    except Exception as error:  # of every kind: it is the system's library that fails
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"MuJoCo does not start with MUJOCO_GL={choose()} ({reason}): unset it, or set it to egl, osmesa or glfw, "
            f"or to {OFF} where nothing is to be rendered"
        ) from error


def speed(size: int) -> float:
    """Pictures of a small scene, `size` pixels high and wide, in a second; raises whatever rendering raises."""
    choose()
    import mujoco

    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with mujoco.Renderer(model, size, size) as renderer:

        def draw() -> None:
            renderer.update_scene(data)
            renderer.render()

        draw()  # the first picture prepares the others
        began = time.perf_counter()
        for _ in range(TRIED):
            draw()
    return TRIED / (time.perf_counter() - began)


def egl_works() -> bool:
    """Whether EGL opens a display on some device, which the library alone does not tell: it needs a driver."""
    try:
        library = ctypes.CDLL("libEGL.so.1")
        ctypes.CDLL("libGL.so.1")
        pointer, integer = ctypes.c_void_p, ctypes.c_int
        library.eglGetProcAddress.restype = pointer
        query = ctypes.CFUNCTYPE(integer, integer, ctypes.POINTER(pointer), ctypes.POINTER(integer))(
            library.eglGetProcAddress(b"eglQueryDevicesEXT")
        )
        display_of = ctypes.CFUNCTYPE(pointer, integer, pointer, pointer)(
            library.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
        )
    except (OSError, AttributeError, TypeError):
        return False
    devices, count = (pointer * DEVICES)(), integer()
    query(DEVICES, devices, ctypes.byref(count))
    displays = [display_of(PLATFORM_DEVICE, devices[i], None) for i in range(count.value)]
    return any(display and library.eglInitialize(pointer(display), None, None) for display in displays)
