"""What tests of environments share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from softrl.data.envs import step


@pytest.fixture(scope="session")
def rows() -> Callable[..., list[Any]]:
    """Steps a vector; lists of observations, rewards, ends and frames, with actions drawn from `seed`."""

    def play(vec: Any, count: int, seed: int) -> list[Any]:
        rng = np.random.default_rng(seed)
        found = []
        for _ in range(count):
            action = rng.uniform(-1, 1, vec.action_space.shape).astype(np.float32)
            *outcome, info = step(vec, action)
            found.append([value.tolist() for value in (*outcome, info["frames"])])
        return found

    return play
