"""Run folders as softrl leaves them, made of given numbers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HEADING = "env_steps,decisions,updates,return_mean,return_sd,return_min,return_max,length_mean,success_mean,seconds"

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    def make(
        env: str = "cheetah_run",
        recipe: str = "sac",
        seed: int = 0,
        returns: tuple[float, ...] = (1.0, 200.0, 350.0),
        every: int = 10_000,
        repeat: int = 1,
        folder: str | None = None,
        config: dict[str, Any] | None = None,
    ) -> Path:
        path = tmp_path / "runs" / env / recipe / (folder or f"seed{seed}")
        path.mkdir(parents=True)
        whole = {"format": 1, "recipe": recipe, "seed": seed, "env": {"name": env, "repeat": repeat}} | (config or {})
        (path / "config.json").write_text(json.dumps(whole))
        rows = [
            f"{i * every},{i * every // repeat},{i * every},{value},{value / 10},{value / 2},{value * 2},1000.0,,{i}.5"
            for i, value in enumerate(returns)
        ]
        (path / "eval.csv").write_text("\n".join([HEADING, *rows]) + "\n")
        return path

    return make
