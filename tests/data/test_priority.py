"""Samplers against naive lists: what may be drawn, how often, with what weight, and exact continuation."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st

from softrl.data.priority import LAP, Proportional, Recency, Ring, Sampler, Uniform
from softrl.data.replay import Replay, ReplayConfig
from softrl.errors import UserError
from softrl.types import Spec, Step

CPU = torch.device("cpu")
SAMPLERS = [Uniform(), Proportional(), LAP(), Recency(least=3, cycle=7)]


class World:
    """A ring that grows as replay's does, and a sampler that watches; `rows` is the naive list of all rows ever."""

    def __init__(self, config: Any, length: int, envs: int, seed: int = 0) -> None:
        self.length, self.envs = length, envs
        self.sampler: Sampler = config.build(length, envs, CPU)
        self.invalid = torch.ones(length, envs, dtype=torch.bool)
        self.rows: list[list[bool]] = []  # whether each row is `last`
        self.generator = torch.Generator().manual_seed(seed)

    @property
    def ring(self) -> Ring:
        return Ring(self.invalid, len(self.rows), self.generator)

    def add(self, last: list[bool]) -> None:
        here = len(self.rows) % self.length
        if self.rows:
            self.invalid[here - 1] = torch.tensor(self.rows[-1])
        self.invalid[here] = True
        self.rows.append(last)
        self.sampler.add(self.ring)

    def startable(self) -> list[int]:
        """Cells that hold a decision whose next row is known, by the naive list, the oldest first."""
        times = range(max(0, len(self.rows) - self.length), len(self.rows) - 1)
        return [t % self.length * self.envs + e for t in times for e in range(self.envs) if not self.rows[t][e]]

    def draw(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.sampler.draw(self.ring, batch)


def grown(config: Any, rows: int, length: int, envs: int, every: int = 5) -> World:
    """Episodes of `every` rows, the last of them a final observation; environments are out of step."""
    world = World(config, length, envs)
    for time in range(rows):
        world.add([(time + env) % every == every - 1 for env in range(envs)])
    return world


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SAMPLERS), st.integers(2, 9), st.integers(1, 3), st.data())
def test_only_decisions_with_a_known_outcome_start(config: Any, length: int, envs: int, data: st.DataObject) -> None:
    """Random episodes, environments and ring wrap-around: the draws are among the naive list's."""
    world = World(config, length, envs)
    world.add([False] * envs)
    for _ in range(data.draw(st.integers(1, 25))):
        world.add([not ended and data.draw(st.booleans()) for ended in world.rows[-1]])
        if allowed := world.startable():
            cells, weights = world.draw(16)
            assert set(cells.tolist()) <= set(allowed)
            assert weights.shape == (16,)
            assert weights.max() == 1
            world.sampler.update_priorities(cells, torch.rand(16, generator=world.generator) * 3)


class Naive:
    """Priorities in a dictionary by cell: proportional sampling as the paper's algorithm 1 has it."""

    def __init__(self, world: World, alpha: float, epsilon: float) -> None:
        self.world, self.alpha, self.epsilon = world, alpha, epsilon
        self.greatest, self.held = 1.0, dict[int, float]()

    def add(self) -> None:
        allowed = self.world.startable()
        self.held = {cell: self.held.get(cell, self.greatest) for cell in allowed}

    def update_priorities(self, cells: list[int], errors: list[float]) -> None:
        new = dict[int, float]()
        for cell, error in zip(cells, errors, strict=True):
            value = (abs(error) + self.epsilon) ** self.alpha
            self.greatest = max(self.greatest, value)
            new[cell] = max(value, new.get(cell, 0.0))
        self.held |= {cell: value for cell, value in new.items() if cell in self.held}


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 9), st.integers(1, 3), st.data())
def test_priorities_equal_a_naive_list(length: int, envs: int, data: st.DataObject) -> None:
    """Rows added, overwritten and given errors in any order, also at cells that can start nothing."""
    world = World(Proportional(alpha=0.7, epsilon=0.01), length, envs)
    naive = Naive(world, 0.7, 0.01)
    for _ in range(data.draw(st.integers(1, 25))):
        ended = world.rows[-1] if world.rows else [True] * envs
        world.add([not over and data.draw(st.booleans()) for over in ended])
        naive.add()
        cells = data.draw(st.lists(st.integers(0, length * envs - 1), max_size=6))
        if cells:
            errors = [data.draw(st.floats(-20, 20, width=32)) for _ in cells]
            world.sampler.update_priorities(torch.tensor(cells), torch.tensor(errors))
            naive.update_priorities(cells, errors)
        leaves = world.sampler.tree.leaves.tolist()  # type: ignore[attr-defined]
        expected = [naive.held.get(cell, 0.0) for cell in range(length * envs)]
        torch.testing.assert_close(torch.tensor(leaves), torch.tensor(expected), rtol=1e-5, atol=0)


def shares(world: World, batches: int, batch: int) -> torch.Tensor:
    """How often each cell is drawn."""
    cells = torch.cat([world.draw(batch)[0] for _ in range(batches)])
    return cells.bincount(minlength=world.length * world.envs) / (batches * batch)


def test_proportional_draws_in_proportion() -> None:
    world = grown(Proportional(alpha=0.5), rows=23, length=10, envs=2)
    cells = torch.tensor(world.startable())
    errors = torch.linspace(0.1, 4, len(cells))
    world.sampler.update_priorities(cells, errors)
    expected = torch.zeros(20).index_add(0, cells, errors.sqrt() / errors.sqrt().sum())
    assert (shares(world, 200, 500) - expected).abs().max() < 0.003


def test_the_batch_takes_one_cell_from_each_part_of_the_total() -> None:
    """Equal priorities and as many draws as cells: each part of the total is one cell."""
    world = grown(Proportional(), rows=9, length=20, envs=1, every=100)
    assert sorted(world.draw(8)[0].tolist()) == list(range(8))


def test_weights_undo_the_bias_as_beta_grows() -> None:
    world = grown(Proportional(alpha=1.0, beta=0.4, anneal=2, epsilon=1e-12), rows=3, length=8, envs=1)
    world.sampler.update_priorities(torch.tensor([0, 1]), torch.tensor([0.25, 1.0]))
    for beta in (0.4, 0.7, 1.0, 1.0):
        cells, weights = world.draw(5)  # of five equal parts the first is cell 0's
        assert cells.tolist() == [0, 1, 1, 1, 1]
        torch.testing.assert_close(weights, torch.where(cells == 0, 1.0, 0.25**beta))


def test_full_correction_makes_the_weighted_mean_uniform() -> None:
    """sum_i P(i) w_i f(i) / sum_i P(i) w_i at beta = 1 is the plain mean of f, here f = cell."""
    world = grown(Proportional(beta=1.0), rows=12, length=20, envs=1, every=100)
    world.sampler.update_priorities(torch.arange(11), torch.linspace(0.5, 2, 11))
    drawn = [world.draw(1000) for _ in range(50)]
    cells, weights = (torch.cat(parts) for parts in zip(*drawn, strict=True))
    assert abs(float((weights * cells).sum() / weights.sum()) - 5.0) < 0.02


def test_lap_clips_priorities_at_one_and_weighs_nothing() -> None:
    world = grown(LAP(alpha=0.5), rows=5, length=8, envs=1, every=100)
    world.sampler.update_priorities(torch.arange(4), torch.tensor([0.0, 0.5, 4.0, 16.0]))
    cells, weights = world.draw(8)
    assert cells.tolist() == [0, 1, 2, 2, 3, 3, 3, 3]  # 1 : 1 : 2 : 4
    assert torch.equal(weights, torch.ones(8))


def test_new_decisions_get_the_greatest_priority_seen() -> None:
    world = grown(LAP(alpha=1.0), rows=3, length=8, envs=1, every=100)
    world.sampler.update_priorities(torch.tensor([0]), torch.tensor([7.0]))
    world.sampler.update_priorities(torch.tensor([0]), torch.tensor([2.0]))
    world.add([False])
    assert world.sampler.tree.leaves.tolist() == [2.0, 1.0, 7.0, 0, 0, 0, 0, 0]  # type: ignore[attr-defined]


def test_an_error_that_comes_late_does_not_wake_an_overwritten_row() -> None:
    world = grown(LAP(), rows=6, length=4, envs=1, every=100)
    cells, _ = world.draw(6)
    for _ in range(3):
        world.add([False])
    newest = (len(world.rows) - 1) % 4
    world.sampler.update_priorities(torch.tensor([newest]), torch.tensor([float("inf")]))
    assert world.sampler.tree.leaves[newest] == 0  # type: ignore[attr-defined]
    assert newest in cells.tolist()


def test_recency_shrinks_along_the_cycle() -> None:
    config = Recency(eta=0.9, least=10, cycle=500)
    # eta^(1000 k / K) = 0.9^(2 k): 0.81 of the rows at the first update, 0.9^2k later, never below `least`
    assert [config.recent(k, 1000) for k in (0, 1, 2, 499, 500)] == [810, 656, 531, 10, 810]


def test_recency_is_annealed_to_uniform() -> None:
    config = Recency(eta=0.8, anneal=1000, least=10, cycle=500)
    # the first update of a cycle takes eta_t^2 of the rows, with eta_t 0.8, 0.9, 1 and 1
    assert [config.recent(t, 1000) for t in (0, 500, 1000, 5000)] == [640, 810, 1000, 1000]
    assert config.recent(1499, 1000) == 1000
    assert Recency(eta=0.8, final_eta=0.8, anneal=1000, least=10, cycle=500).recent(5000, 1000) == 640


@pytest.mark.parametrize("rows", [15, 47])
def test_recency_is_uniform_over_the_newest_cells(rows: int) -> None:
    world = grown(Recency(eta=0.5, least=6, cycle=1000), rows, length=20, envs=2)
    for _ in range(200):  # by now eta^k has left only `least` rows: the 6 cells of the last 3 complete rows of time
        world.draw(1)
    newest = [t % 20 * 2 + e for t in range(rows - 4, rows - 1) for e in range(2) if not world.rows[t][e]]
    share = shares(world, 100, 500)
    assert set(share.nonzero().flatten().tolist()) == set(newest)
    assert (share[newest] - 1 / len(newest)).abs().max() < 0.01


def test_recency_finds_a_decision_even_when_the_newest_rows_are_final() -> None:
    world = World(Recency(eta=0.01, least=1, cycle=1), length=10, envs=2)
    for last in (False, False, True, False):
        world.add([last, last])
    assert set(world.draw(20)[0].tolist()) == {2, 3}


@pytest.mark.parametrize("finals", [2, 3, 6])
def test_recency_looks_further_back_where_resumes_have_cut(finals: int) -> None:
    """A run that is cut at once, again and again, leaves one final observation each time."""
    world = World(Recency(eta=0.01, least=1, cycle=1), length=10, envs=2)
    for last in (False, *[True] * finals, False):
        world.add([last, last])
    assert set(world.draw(20)[0].tolist()) == {0, 1}


def test_uniform_is_uniform() -> None:
    world = grown(Uniform(), rows=23, length=10, envs=2)
    cells = world.startable()
    share = shares(world, 100, 500)
    assert set(share.nonzero().flatten().tolist()) == set(cells)
    assert (share[cells] - 1 / len(cells)).abs().max() < 0.006


@pytest.mark.parametrize("config", SAMPLERS, ids=lambda config: type(config).__name__)
@pytest.mark.parametrize("rows", [6, 33])
def test_a_saved_sampler_goes_on_exactly(config: Any, rows: int) -> None:
    world, other = grown(config, rows, length=16, envs=2), grown(config, 0, length=16, envs=2)
    for _ in range(9):
        cells, _ = world.draw(8)
        world.sampler.update_priorities(cells, torch.rand(8, generator=world.generator) * 5)
    other.invalid, other.rows = world.invalid.clone(), list(world.rows)
    other.generator.set_state(world.generator.get_state())
    other.sampler.load_state_dict(world.sampler.state_dict())
    for time in range(20):
        for one in (world, other):
            one.add([time % 4 == 3] * 2)
        (cells, weights), (again, same) = world.draw(8), other.draw(8)
        assert torch.equal(cells, again)
        assert torch.equal(weights, same)
        errors = torch.rand(8, generator=torch.Generator().manual_seed(time)) * 9
        world.sampler.update_priorities(cells, errors)
        other.sampler.update_priorities(again, errors)


def test_a_checkpoint_holds_four_bytes_a_stored_row() -> None:
    world = grown(Proportional(), rows=50, length=1000, envs=2)
    tensors = [value for value in world.sampler.state_dict().values() if isinstance(value, torch.Tensor)]
    assert sum(value.numel() * value.element_size() for value in tensors) == 4 * 50 * 2 + 4


def replayed(config: Any) -> Replay:
    """Replay itself, wrapped around, with an episode end every fourth row; rewards are the row's time."""
    replay = Replay(ReplayConfig(24, sampler=config), Spec({"state": (1,)}, 1), 2, gamma=0.9, seed=0)
    for time in range(31):
        now, last = torch.full((2,), float(time)), torch.full((2,), time % 4 == 3)
        replay.add(Step({"state": now[:, None]}, now[:, None], now, torch.zeros(2, dtype=torch.bool), last))
    return replay


@pytest.mark.parametrize("config", SAMPLERS, ids=lambda config: type(config).__name__)
def test_replay_draws_with_it_and_goes_on_exactly(config: Any) -> None:
    replay, other = replayed(config), replayed(config)
    for _ in range(5):
        window = replay.sample(16)
        times = window.reward[:, 0]
        assert ((times >= 19) & (times < 30) & (times % 4 != 3)).all()
        assert torch.equal(replay.columns["reward"].flatten()[window.index], times)
        replay.update_priorities(window.index, (times - 25).abs())
    other.load_state_dict(replay.state_dict())
    assert torch.equal(other.sample(16).index, replay.sample(16).index)


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        (Proportional, {"alpha": -0.1}),
        (Proportional, {"beta": 1.1}),
        (Proportional, {"anneal": 0}),
        (Proportional, {"epsilon": 0.0}),
        (LAP, {"alpha": -1.0}),
        (Recency, {"eta": 0.0}),
        (Recency, {"eta": 1.5}),
        (Recency, {"final_eta": 0.0}),
        (Recency, {"final_eta": 1.1}),
        (Recency, {"anneal": 0}),
        (Recency, {"least": 0}),
        (Recency, {"cycle": 0}),
    ],
)
def test_impossible_values_are_refused(config: Any, wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        config(**wrong)
