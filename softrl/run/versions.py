"""What a run was made with: versions of python and the packages, the commit of softrl, the machine."""

import json
import platform
import subprocess
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path

import softrl

_PACKAGES = ("softrl", "torch", "numpy", "mujoco", "gymnasium", "dm-control", "safetensors")
_DESCRIPTION = Path("/proc/cpuinfo")
COMPUTING = _PACKAGES[:-1]
"""Packages whose versions may change numbers."""
CODE = ("softrl", "benchmarks/*.py")
"""Files of a checkout that decide what a run or a measurement is; results that are collected there do not."""


def moved_on(run: Path, log: Callable[[str], None]) -> list[str]:
    """What has another version now than when a run began, said and logged: what follows may be other numbers."""
    try:
        before = json.loads((run / "versions.json").read_bytes())
    except (OSError, ValueError):
        return []
    now = {name: _version(name) for name in COMPUTING}
    if "(family" in str(before.get("cpu")):  # older runs know no more than its name
        now["cpu"] = _cpu()
    other = [f"{name} {before[name]} is now {now[name]}" for name in now if before.get(name, now[name]) != now[name]]
    told = [f"{', '.join(other)}: what follows may differ from what it would have been"] if other else []
    for line in told:
        log(line)
    return told


def versions() -> dict[str, str | None]:
    """Versions by name; None for what is not installed, or not known. Imports none of the packages."""
    return {
        "python": platform.python_version(),
        **{package: _version(package) for package in _PACKAGES},
        "commit": _commit(Path(softrl.__file__).parent),
        "platform": platform.platform(),
        "cpu": _cpu(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit(package: Path) -> str | None:
    """Commit of the checkout that holds the package, with "-dirty" where its code is not that of the commit.

    None when the package is installed, or git does not answer.
    """
    if not (package.parent / ".git").exists():
        return None  # a virtual environment inside somebody's repository is not a checkout of softrl
    git = partial(subprocess.run, cwd=package.parent, capture_output=True, text=True, timeout=10)
    try:
        commit = git(["git", "rev-parse", "HEAD"], check=True).stdout.strip()
        changed = git(["git", "diff", "--quiet", "HEAD", "--", *CODE]).returncode
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}-dirty" if changed == 1 else commit


def _cpu() -> str:
    """The processor's name; behind it family and model, because one name may stand for two, one twice as fast."""
    try:
        lines = _DESCRIPTION.read_text().splitlines()
    except OSError:
        lines = []
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed(lines))}
    kind = [f"{word} {told[name]}" for name, word in (("cpu family", "family"), ("model", "model")) if name in told]
    name = told.get("model name", platform.processor())
    return f"{name} ({', '.join(kind)})" if kind else name
