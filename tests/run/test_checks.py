"""What is found out before a run begins."""

import gymnasium
import pytest
from gymnasium.wrappers import NormalizeObservation, NormalizeReward, TimeAwareObservation

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


def test_statistics_that_evaluations_do_not_share_are_told() -> None:
    said: list[str] = []
    checked(lambda: NormalizeReward(TimeAwareObservation(gymnasium.make("Pendulum-v1"))), Run(), said.append)
    checked(lambda: NormalizeObservation(gymnasium.make("Pendulum-v1")), Run(), said.append)
    checked("Pendulum-v1", Run(), said.append)
    assert [line.split()[0] for line in said] == ["NormalizeReward", "NormalizeObservation"]
    assert [line.partition("recipe ")[2].split()[0] for line in said] == ["scale_rewards", "normalize"]
