"""How old the weights are that choose an action: one decision of each environment at most, however fast anything is."""

from math import ceil, floor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.run.resolve import resolve
from softrl.run.trainer import Trainer

STEPS = 12
SMALL = {"env.name": "Pendulum-v1", "train.warmup": 20, "train.batch": 8, "threads": 1, "compile": "off"}


class Action(NamedTuple):
    """An action of the policy for every environment."""

    chosen: int  # updates before it was chosen
    weights: int  # updates behind the weights that it was chosen with, as these weights are recognised
    arrived: int  # updates before its outcome came into replay


class Watched(Trainer):
    """Remembers which updates came before which action, and from how many decisions each update learned."""

    def __init__(self, run: Run, folder: Path) -> None:
        folder.mkdir()
        super().__init__(run, run.env.name, folder)
        self.actions: list[Action] = []
        self.learned: list[int] = []
        self.past = {0: self.actor()}  # updates -> weights
        self.choose, self.collector.choose = self.collector.choose, self.chosen  # type: ignore[method-assign]

    def actor(self) -> Tensor:
        return torch.cat([weight.detach().flatten() for weight in self.agent.actor.parameters()])

    def chosen(self, random: bool) -> Tensor:
        self.random, self.before = random, self.count.updates
        self.weights = next(updates for updates, past in self.past.items() if torch.equal(past, self.actor()))
        return self.choose(random)

    def update(self, *how: Any) -> None:
        before = self.count.updates
        super().update(*how)
        self.learned += [self.count.decisions] * (self.count.updates - before)
        self.past[self.count.updates] = self.actor()

    def record_step(self, got: Any) -> None:
        if not self.random:
            self.actions.append(Action(self.before, self.weights, self.count.updates))
        super().record_step(got)


def watched(folder: Path, **options: Any) -> Watched:
    run = resolve(override(apply("sac+tiny", override(Run(), SMALL)), options))
    trainer = Watched(run, folder)
    while len(trainer.actions) < STEPS:
        trainer.advance()
    trainer.close()
    return trainer


@pytest.mark.parametrize(
    ("workers", "envs", "updates"),
    [("sync", 1, 0.3), ("sync", 3, 1.5), pytest.param("async", 2, 2.5, marks=pytest.mark.slow)],
)
def test_the_age_of_weights(tmp_path: Path, workers: str, envs: int, updates: float) -> None:
    """Both ways make the same updates before the same action; `async` makes them one vector step earlier in the data.

    So the weights of an action lack nothing but the newest decision of each environment, and while it is on its way no
    more updates are made than one decision of each environment owes. Neither grows with time, nor with speed.
    """
    options = {"envs": envs, "train.updates_per_decision": updates, "device": "cpu"}
    sync = watched(tmp_path / "sync", collect="sync", **options)
    beside = watched(tmp_path / "async", collect="async", **{"env.workers": workers}, **options)
    owed = [floor(updates * envs * i + 1e-9) for i in range(STEPS + 1)]
    for trainer in (sync, beside):
        assert [action.chosen for action in trainer.actions] == owed[:-1]
        assert [action.weights for action in trainer.actions] == owed[:-1]
    assert [action.arrived for action in sync.actions] == owed[:-1]
    assert [action.arrived for action in beside.actions] == owed[1:]
    assert max(action.arrived - action.chosen for action in beside.actions) == ceil(updates * envs)
    assert beside.learned == [decisions - envs for decisions in sync.learned]
