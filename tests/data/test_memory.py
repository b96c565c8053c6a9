"""Memory that is there, and memory that is not."""

import pytest
import torch

from softrl.data import room
from softrl.data.memory import reserved
from softrl.data.replay import Replay, ReplayConfig
from softrl.errors import UserError
from softrl.types import Spec

HERE = torch.device("cpu")


def test_it_has_the_shape_and_the_type_asked_for() -> None:
    x = reserved((2, 3), torch.uint8, HERE)
    assert (x.shape, x.dtype) == ((2, 3), torch.uint8)


def test_more_than_the_machine_has_is_refused_in_a_sentence() -> None:
    with pytest.raises(UserError, match=r"4,503,599.6 GB.*replay.capacity"):
        reserved((2**50,), torch.float32, HERE)
    with pytest.raises(UserError, match="memory_map"):
        Replay(ReplayConfig(capacity=10**12), Spec({"pixels": (9, 84, 84)}, 1, stack=3), 1, 0.99, seed=0)


def test_more_than_a_container_may_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "memory", lambda: 4_000)
    assert reserved((1000,), torch.float32, HERE).shape == (1000,)
    with pytest.raises(UserError, match=r"0\.0 GB, which this machine does not have"):
        reserved((1001,), torch.float32, HERE)
