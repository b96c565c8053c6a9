"""A run in bfloat16: other numbers than in float32, float32 on disk, and resumed exactly."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from softrl import api

SMALL: dict[str, Any] = {
    "steps": 80,
    "agent.actor.trunk.hidden": (16,),
    "agent.critic.trunk.hidden": (16,),
    "train.batch": 8,
    "train.warmup": 20,
    "env.time_limit": 20,
    "eval.every": 40,
    "eval.episodes": 1,
    "log.diagnostics": None,
    "video.every": "never",
    "threads": 1,
}
WEIGHTS = "checkpoints/step_000000080/agent.safetensors"


@pytest.mark.slow
def test_matrix_products_in_bfloat16(tmp_path: Path) -> None:
    half = {**SMALL, "precision": "bfloat16"}
    full = api.train("Pendulum-v1", run=tmp_path / "full", **SMALL).path
    whole = api.train("Pendulum-v1", run=tmp_path / "whole", **half).path
    part = api.train("Pendulum-v1", run=tmp_path / "part", callback=lambda told: told.env_steps >= 40, **half)
    assert not part.finished
    api.resume(part.path)
    assert (whole / WEIGHTS).read_bytes() == (part.path / WEIGHTS).read_bytes()

    one, other = load_file(full / WEIGHTS), load_file(whole / WEIGHTS)
    trained = [name for name in one if name.endswith("weight")]
    assert trained
    for name in trained:
        assert other[name].dtype == torch.float32
        assert not torch.equal(one[name], other[name]), name
        torch.testing.assert_close(one[name], other[name], rtol=0.1, atol=0.1)  # the same run but for the rounding
        # and more than a bfloat16 holds: updates are not rounded away
        assert not torch.equal(other[name], other[name].bfloat16().float()), name
