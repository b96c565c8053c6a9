"""Every test runs on one thread and from the same seeds."""

import csv
import gc
import importlib
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch and numpy are imported

import numpy as np
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
# What thousands of tests leave behind is walked through at every collection, which costs more than what it frees.
gc.set_threshold(50_000, 20, 100)
# How fast a busy machine draws examples says nothing of the code.
settings.register_profile("softrl", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("softrl")


def pytest_configure(config: pytest.Config) -> None:
    """Show GPUs with `-m gpu` alone: other tests fork, which fails once a GPU is in use, and run on `auto` devices.

    Torch reads the variable when it is first asked for devices, which is after this.
    """
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what needs a GPU where none is seen."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("no GPU is seen")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what tests counted: sums of the numbers that they recorded as the property `counted`, by name."""
    counted: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            counted.update({value[0]: value[1]} if name == "counted" else {})
    if counted:
        told = ", ".join(f"{count} {name}" for name, count in sorted(counted.items()))
        terminalreporter.write_line(f"counted: {told}")


@pytest.fixture(autouse=True)
def seeded():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def without_opengl(monkeypatch):
    """Nothing can be rendered; what reads MUJOCO_GL when it is imported has been, for the tests that follow."""
    from softrl.data import graphics

    graphics.choose()
    importlib.import_module("dm_control.suite")  # and with it mujoco
    monkeypatch.setenv("MUJOCO_GL", graphics.OFF)
    monkeypatch.setattr(graphics, "first_working", lambda: graphics.OFF)


@pytest.fixture(scope="session")
def trained():
    """Trains three hundred steps into a folder, by default `sac` on Pendulum-v1."""
    from softrl import api  # takes seconds, which most tests do without

    short = {"steps": 300, "eval.every": 150, "video.every": "never", "env.time_limit": 60, "threads": 1}

    def train(path: Path, env: Any = "Pendulum-v1", recipe: str = "sac+tiny", **options: Any) -> api.RunResult:
        return api.train(env, recipe, run=path, **{**short, **options})

    return train


@pytest.fixture(scope="session")
def read_csv():
    """Reads the rows of a table with a heading, a dict each."""

    def read(path: Path) -> list[dict[str, str]]:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    return read
