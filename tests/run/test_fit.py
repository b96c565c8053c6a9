"""What a run is fitted to."""

from dataclasses import replace
from typing import Any

import pytest

from softrl.run.config import Run
from softrl.run.fields import override
from softrl.run.fit import roomy


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({"steps": 5_000}, 2 * 5_001),
        ({"steps": 5_000, "envs": 2, "env.repeat": 3}, 2 * 5_006),
        ({"steps": 10**6}, 1_000_000),
        ({"steps": 5_000, "replay.capacity": 3_000}, 3_000),
        ({"steps": 5_000, "replay.memory_map": True}, 1_000_000),
        ({"steps": 1}, 1_000),
    ],
)
def test_replay_has_room_for_all_that_a_run_can_bring_and_no_more(options: dict[str, Any], rows: int) -> None:
    run = override(Run(), {"env.name": "Pendulum-v1", **options})
    assert roomy(run, "Pendulum-v1") == replace(run.replay, capacity=rows)
