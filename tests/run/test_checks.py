"""What is found out before a run begins."""

import pytest

from softrl.errors import UserError
from softrl.run.checks import checked
from softrl.run.config import Run
from softrl.run.fields import override


def test_a_plan_may_be_as_long_as_an_episode_has_decisions() -> None:
    def asked(length: int) -> None:
        values = {"env.name": "Pendulum-v1", "env.repeat": 4, "env.time_limit": 10, "agent.chunk.length": length}
        checked("Pendulum-v1", override(Run(), values))

    asked(3)
    with pytest.raises(UserError, match="longer than an episode of 3 decisions"):
        asked(4)
