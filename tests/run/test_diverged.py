"""A run whose learning diverged says so, and keeps nothing of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import softrl
from softrl.api import RunResult
from softrl.errors import UserError
from softrl.run.saved import read


def test_choices_of_weights_that_are_not_finite_are_not_evaluated(
    tmp_path: Path, trained: Callable[..., RunResult], read_csv: Callable[[Path], list[dict[str, str]]]
) -> None:
    """One-hots are finite whatever they are made of, and an evaluation may come before the next checkpoint."""
    rates = {"agent.optim.actor.learning_rate": 1e30, "agent.optim.value.learning_rate": 1e30}
    options: dict[str, Any] = {"steps": 200, "eval.every": 100, "checkpoint.every": 200, "train.warmup": 20, **rates}
    with pytest.raises(UserError, match=r"learning diverged: weights .* are not finite after 80 updates"):
        trained(tmp_path / "run", "CartPole-v1", "sac_discrete+tiny", **options)
    assert [row["env_steps"] for row in read_csv(tmp_path / "run" / "eval.csv")] == ["0"]
    for which in ("best", "latest"):
        for name, value in read(tmp_path / "run", which, only=["agent"]).parts["agent"].items():
            assert np.isfinite(np.asarray(value)).all(), name
    assert softrl.load(tmp_path / "run", "best").predict(np.zeros(4, np.float32))[0] in (0, 1)


def test_weights_that_are_not_finite_are_never_saved(trained: Callable[..., RunResult], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="learning diverged"):
        trained(tmp_path / "run", **{"agent.optim.actor.learning_rate": 1e38, "agent.optim.value.learning_rate": 1e38})
    policy = softrl.load(tmp_path / "run")  # the last good checkpoint
    assert all(p.isfinite().all() for p in policy.agent.parameters())
