"""`softrl doctor`: what is here, what is missing, and the command that mends it."""

import platform
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from ctypes.util import find_library
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from softrl.cli.options import parse
from softrl.cli.output import answer

if TYPE_CHECKING:
    from packaging.requirements import Requirement

INSTALL = "apt-get install libegl1 libgl1 libosmesa6"
LIBRARIES = {"EGL": "libegl1", "GL": "libgl1", "OSMesa": "libosmesa6"}
DRAWING = {
    "pygame": ("classic", "pictures of CartPole, Pendulum, Acrobot and MountainCar"),
    "Box2D": ("box2d", "LunarLander, BipedalWalker and CarRacing"),
}
"""Modules that some environments of Gymnasium ask for: the extra that brings each, and what for."""
PICTURE = 84
"""Height and width in pixels of a picture whose speed is told."""
SPACE = 2 * 10**9
"""Bytes that a run with its checkpoints may take."""
BFLOAT16 = {
    True: "the processor multiplies it: --precision bfloat16 can be tried",
    False: "not in this processor: --precision bfloat16 would be slower than float32",
    None: "unknown: the system does not tell what the processor multiplies",
}


PROGRAM = """#include <Python.h>
#include <omp.h>
#include <vector>
int number() { return omp_get_max_threads(); }
int count() { return static_cast<int>(std::vector<int>{number()}.size()); }
"""
"""What compiling an update needs of a compiler: the headers of Python and OpenMP, and the standard library."""


class Finding(NamedTuple):
    """One line of the report."""

    subject: str
    state: str
    remedy: str = ""  # empty where nothing is amiss


@dataclass(frozen=True)
class Options:
    """This command has no flags."""


def main(words: Sequence[str]) -> None:
    """Examine this machine; raises UserError."""
    if parse("doctor", words, Options(), 0, 0):
        for subject, state, remedy in findings():
            answer(f"{subject:<14} {state}" + (f"\n{'':<14} -> {remedy}" if remedy else ""))


def findings() -> Iterator[Finding]:
    """The whole report, also where packages are missing."""
    yield from packages()
    if find_spec("torch"):
        yield from processor()
    yield from graphics()
    yield from drawing()
    yield disk(Path())


def packages() -> Iterator[Finding]:
    """Python, and whether each package that softrl asks for is there in a version that it works with."""
    yield Finding("python", platform.python_version())
    if not find_spec("packaging"):
        yield Finding("softrl", "its installation is incomplete", "pip install -e .")
        return
    from packaging.requirements import Requirement

    for requirement in map(Requirement, metadata.requires("softrl") or []):
        if requirement.marker is None:  # the others belong to extras
            yield package(requirement)


def package(requirement: "Requirement") -> Finding:
    """Whether one package is there in a version that fits."""
    remedy = f"pip install '{requirement}'"
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Finding(requirement.name, "missing", remedy)
    if version in requirement.specifier:
        return Finding(requirement.name, version)
    return Finding(requirement.name, f"{version}, and softrl works with {requirement.specifier}", remedy)


def processor() -> Iterator[Finding]:
    """Threads, bfloat16, GPU and compiler, as torch and the system see them."""
    import torch

    from softrl.agent.compile import compiler
    from softrl.nn.processor import multiplies_bfloat16
    from softrl.run.threads import processors

    yield Finding("threads", f"{torch.get_num_threads()} of torch, on {processors()} cores")
    yield Finding("bfloat16", BFLOAT16[multiplies_bfloat16()])
    yield gpu(torch.cuda.is_available(), shutil.which("nvidia-smi"))
    yield compiling(compiler())


def gpu(usable: bool, driver: str | None) -> Finding:
    """The GPU that torch can use, if any, and what is wrong when there is a driver and no GPU."""
    if usable:
        import torch

        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        there = f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB"
        if not find_spec("triton"):
            return Finding("gpu", f"{there}; without Triton updates run uncompiled there", "pip install triton")
        return Finding("gpu", there)
    if driver:
        return Finding(
            "gpu", "its driver is here, but torch cannot use it", "pip install torch with CUDA: see pytorch.org"
        )
    return Finding("gpu", "none: everything runs on the processor")


def compiling(path: str | None) -> Finding:
    """The C++ compiler at a path, if any, tried on five lines."""
    if path is None:
        return Finding("compiler", "none: updates run uncompiled", "apt-get install g++")
    with tempfile.TemporaryDirectory() as folder:
        command = [path, "-x", "c++", "-std=c++20", "-fopenmp", "-fPIC", "-shared", "-", "-o", f"{folder}/tried.so"]
        command += [f"-I{sysconfig.get_path('include')}"]
        done = subprocess.run(command, input=PROGRAM, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return Finding("compiler", path)
    from softrl.agent.compile import refusal

    package = "python3-dev" if "Python.h" in done.stderr else "g++"
    return Finding("compiler", f"{path} fails: {refusal(done.stderr)}", f"apt-get install {package}, or --compile off")


def graphics() -> Iterator[Finding]:
    """The libraries that render videos and pixel observations, and whether MuJoCo really does."""
    for name, debian in LIBRARIES.items():
        found = find_library(name)
        yield Finding(f"lib{name}", found or "missing", "" if found else f"apt-get install {debian} (or: make system)")
    yield rendering()


def rendering() -> Finding:
    """The back-end that MuJoCo uses, tried."""
    from softrl.data.graphics import ADVICE, choose, missing, speed

    if sentence := missing():
        told = "none: states can be learned from, not pixels, and there are no videos"
        return Finding("rendering", told, INSTALL if sentence == ADVICE else sentence)
    try:
        rate = speed(PICTURE)
    except Exception as error:  # of every kind: it is the system's library that fails
        remedy = f"{INSTALL}, or set MUJOCO_GL to egl or osmesa"
        return Finding("rendering", f"fails with MUJOCO_GL={choose()}: {error}", remedy)
    return Finding("rendering", f"works with MUJOCO_GL={choose()}: {rate:.0f} small pictures a second")


def drawing() -> Iterator[Finding]:
    """What draws, or is, an environment of Gymnasium and comes with an extra of softrl's own."""
    for name, (extra, what) in DRAWING.items():
        if find_spec(name):
            yield Finding(name.lower(), f"here, for {what}")
        else:
            yield Finding(name.lower(), f"not here, and needed for {what} alone", f"pip install 'softrl[{extra}]'")


def disk(folder: Path) -> Finding:
    """Room for runs in a folder."""
    free = shutil.disk_usage(folder).free
    remedy = "" if free >= SPACE else "make room, or give --run a folder on another disk"
    return Finding("disk", f"{free / 10**9:.1f} GB free in {folder.resolve()}", remedy)
