"""Numbers that are none are located, and those too small for float32 are zeros."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import Tensor

from softrl.data import envs
from softrl.data.collect import Collector
from softrl.data.envs import EnvConfig
from softrl.errors import UserError
from softrl.types import Obs, Step


class Given(gymnasium.Env[Any, Any]):
    """Says what it was told to, at every step."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))

    def __init__(self, obs: float, reward: float) -> None:
        self.obs, self.reward = obs, reward

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return np.zeros(2), {}

    def step(self, action: Any) -> Any:
        return np.array([0.0, self.obs]), self.reward, False, False, {}


class Resting:
    """Does nothing, and remembers nothing."""

    def initial(self, count: int) -> dict[str, Tensor]:
        return {}

    def act(self, obs: Obs, carry: dict[str, Tensor], deterministic: bool = False) -> tuple[Tensor, dict[str, Tensor]]:
        return torch.zeros(len(obs["state"]), 1), carry

    def watch(self, obs: Obs, action: Tensor, carry: dict[str, Tensor]) -> dict[str, Tensor]:
        return carry

    def observe(self, row: Step, carry: dict[str, Tensor]) -> dict[str, Tensor]:
        return carry


def collector(obs: float, reward: float) -> Collector:
    env = envs.vector(lambda: Given(obs, reward), EnvConfig(workers="sync"), 3, seed=0)
    return Collector(env, Resting(), envs.spec(env), seed=0)


@pytest.mark.parametrize(
    ("obs", "reward", "words"),
    [
        (np.nan, 0.0, r"an observation that is not finite.*\(nan in entry 1, environment 0 of 3\)"),
        (1e300, 0.0, r"an observation that is not finite.*\(1e\+300|inf in entry 1, environment 0 of 3\)"),
        (0.0, np.inf, r"a reward that is not finite.*\(inf, environment 0 of 3\)"),
    ],
)
def test_a_number_that_is_not_finite_is_located(obs: float, reward: float, words: str) -> None:
    with pytest.raises(UserError, match=words):
        collector(obs, reward).collect()


def test_small_numbers_are_no_failure_where_a_person_wants_to_hear_of_them() -> None:
    made = collector(1e-50, 1e-50)
    with np.errstate(all="raise"):
        row = made.collect().row
        assert made.collect().row.obs["state"].tolist() == [[0.0, 0.0]] * 3
    assert row.reward.tolist() == [0.0] * 3
