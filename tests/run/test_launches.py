"""How many updates share a launch, what it is told, and what of it is kept."""

from dataclasses import make_dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from softrl.data.replay import Replay
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.run.launches import launch_sizes, next_launch, updates_per_launch
from softrl.run.trainer import Counters, Trainer
from softrl.types import Spec


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


@pytest.mark.parametrize(
    ("most", "cycle", "sizes"),
    [(1, 1, [1]), (1, 2, [1]), (16, 1, [16, 8, 4, 2, 1]), (15, 3, [15, 6, 3]), (20, 20, [20])],
)
def test_launches_have_few_sizes_in_whole_cycles(most: int, cycle: int, sizes: list[int]) -> None:
    assert launch_sizes(most, cycle) == sizes


@pytest.mark.parametrize(
    ("recipe", "options", "updates"),
    [
        ("redq", {}, 20),  # the actor once in twenty
        ("droq", {}, 20),
        ("sac", {}, 1),
        ("sac", {"envs": 16}, 16),
        ("sac", {"envs": 16, "train.actor_every": 3}, 15),
        ("sac", {"envs": 100}, 32),
        ("redq", {"compile": "graph"}, 1),
        ("redq+per", {}, 1),
        ("redq+resets", {}, 1),
        ("redq+wasserstein", {}, 1),
        ("redq", {"agent.regularizer": make_dataclass("Own", (), namespace={"build": print})()}, 1),
        ("redq+l2_init", {}, 20),
        ("sac_v1_hard", {}, 1),  # the target once in a thousand
    ],
)
def test_as_many_updates_share_a_launch_as_are_owed_at_once(recipe: str, options: dict[str, Any], updates: int) -> None:
    run = override(apply(recipe, Run()), {"compile": "cudagraph", **options})
    replay = Replay(replace(run.replay, capacity=1_000), Spec({"state": (2,)}, 1), 1, 0.99, seed=0)
    assert updates_per_launch(run, replay) == updates


@pytest.mark.parametrize(
    ("done", "owed", "cycle", "sizes"),
    [
        (0, 32, 1, [16, 16]),
        (0, 15, 1, [8, 4, 2, 1]),
        (92, 16, 1, [4, 2, 1, 1, 8]),  # the hundredth update is looked at, and so made alone
        (3, 8, 2, [1, 4, 2, 1]),  # the policy moves at every second one
    ],
)
def test_launches_are_as_large_as_what_is_owed(done: int, owed: int, cycle: int, sizes: list[int]) -> None:
    run: Any = override(Run(), {"train.actor_every": cycle, "log.diagnostics": 100})
    made: list[int] = []
    while sum(made) < owed:
        made.append(next_launch(run, 16, done + sum(made), owed - sum(made)))
    assert made == sizes
