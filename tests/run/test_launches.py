"""What a launch of updates is told, and what of it is kept."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from softrl.run.config import Run
from softrl.run.fields import override
from softrl.run.trainer import Counters, Trainer


@pytest.mark.parametrize(
    ("made", "count", "actor", "follow"),
    [
        (1, 1, (False,), (False,)),
        (2, 1, (True,), (False,)),
        (3, 1, (False,), (True,)),
        (6, 6, (False, True, False, True, False, True), (False, False, True, False, False, True)),
    ],
)
def test_policy_and_target_move_at_multiples_of_their_own_numbers(
    made: int, count: int, actor: tuple[bool, ...], follow: tuple[bool, ...]
) -> None:
    """Of the newest `count` updates out of `made`, counted from one; the errors of the last are remembered."""
    told: list[Any] = []

    def update(agent: Any, window: Any, **flags: Any) -> list[tuple[tuple[str, ...], Tensor, Tensor]]:
        told.append(flags)
        return [(("loss",), torch.full((1,), float(i)), torch.full((2,), float(i))) for i in range(count)]

    trainer: Any = SimpleNamespace(
        run=override(Run(), {"train.actor_every": 2, "train.target_every": 3}),
        count=Counters(updates=made),
        agent=None,
        compiled_update=update,
        log=SimpleNamespace(add=lambda names, values: told.append(values.item())),
        experience=SimpleNamespace(update_priorities=lambda index, error: told.append(error.tolist())),
    )
    Trainer.launch_updates(trainer, SimpleNamespace(index=torch.arange(2)), count)  # type: ignore[arg-type]
    assert told == [{"actor": actor, "follow": follow}, *map(float, range(count)), [count - 1.0] * 2]
