"""Environments that cannot give their state, or fail at it."""

from typing import Any

import pytest
from gymnasium.envs.classic_control import PendulumEnv

from softrl.data.envs import EnvConfig, make, vector
from softrl.data.snapshot import restores, snapshot, snapshots
from softrl.errors import UserError


class Faulty(PendulumEnv):
    """Fails where it is to speak for itself."""

    fault = ""

    def snapshot(self) -> dict[str, Any]:
        if self.fault == "snapshot":
            raise AttributeError("no such joint")
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        raise RuntimeError("cannot be put there")


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("snapshot", "the environment Faulty raised AttributeError in snapshot: no such joint"),
        ("restore", "the environment Faulty raised RuntimeError in restore: cannot be put there"),
    ],
)
def test_methods_of_its_own_that_fail_are_told(monkeypatch: pytest.MonkeyPatch, fault: str, sentence: str) -> None:
    monkeypatch.setattr(Faulty, "fault", fault)
    vec = vector(Faulty, EnvConfig(workers="sync"), 1, 0)
    vec.reset()
    with pytest.raises(UserError, match=sentence):
        restores(vec, snapshots(vec))


def test_what_lies_too_deep_is_opaque() -> None:
    env = make(PendulumEnv, seed=0)
    env.reset()
    held: list[Any] = []
    env.unwrapped.held = held  # type: ignore[attr-defined]
    assert snapshot(env) is not None
    for _ in range(5000):
        held.append([])
        [held] = held
    assert snapshot(env) is None
