"""Replay against a list of episodes kept in the test; windows never cross episodes."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from softrl.agent.capture import parts
from softrl.data.priority import Proportional, Recency, Uniform
from softrl.data.replay import Replay, ReplayConfig
from softrl.errors import UserError
from softrl.types import Spec, Step

SPEC = Spec({"state": (2,)}, 1)


def row(time: int, over: list[bool], terminal: list[bool]) -> Step:
    """A row in which everything says where it is from: observation (env, time), action and reward = time."""
    envs = len(over)
    now = torch.full((envs,), float(time))
    return Step(
        {"state": torch.stack([torch.arange(envs).float(), now], 1)},
        now[:, None].clone(),
        now.clone(),
        torch.tensor(terminal),
        torch.tensor(over),
    )


def filled(lasts: list[list[bool]], terminals: list[list[bool]], capacity: int, steps: int, **config: Any) -> Replay:
    envs = len(lasts[0])
    replay = Replay(ReplayConfig(capacity * envs, steps, **config), SPEC, envs, gamma=0.5, seed=0)
    for time, (last, terminal) in enumerate(zip(lasts, terminals, strict=True)):
        replay.add(row(time, last, terminal))
    return replay


def test_one_step_by_hand() -> None:
    # rows 0, 1, 2: decisions; 3: final observation; 4, 5: the next episode
    lasts = [[False], [False], [False], [True], [False], [False]]
    terminals = [[False], [False], [True], [False], [False], [False]]
    window = filled(lasts, terminals, 10, 1).sample(200)
    starts = window.obs["state"][:, 0, 1]
    assert set(starts.tolist()) == {0.0, 1.0, 2.0, 4.0}  # not 3 (final), not 5 (its next row is unknown)
    assert torch.equal(window.obs["state"][:, 1, 1], starts + 1)
    assert torch.equal(window.reward[:, 0], starts)
    assert torch.equal(window.action[:, 0, 0], starts)
    assert torch.equal(window.discount[:, 0], torch.where(starts == 2, 0.0, 0.5))
    assert torch.equal(window.first[:, 0], (starts == 0) | (starts == 4))


def test_a_truncation_bootstraps_from_the_final_observation() -> None:
    lasts = [[False], [True], [False], [False]]
    window = filled(lasts, [[False]] * 4, 10, 3).sample(100)
    cut = window.obs["state"][:, 0, 1] == 0
    assert cut.any()
    assert (window.discount[cut] == 0.5).all()  # one decision, not three
    assert (window.obs["state"][cut][:, 1, 1] == 1).all()


def naive(lasts: Tensor, terminals: Tensor, env: int, start: int, steps: int, newest: int) -> tuple[float, float, int]:
    """Reward, discount and row of the observation after a window, step by step."""
    total, discount, time = 0.0, 1.0, start
    while True:
        total += discount * time
        discount *= 0.5
        ended = bool(terminals[time, env])
        time += 1
        if ended:
            return total, 0.0, time
        if bool(lasts[time, env]) or time - start == steps or time == newest:
            return total, discount, time


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_windows_equal_a_walk_through_the_rows(data: st.DataObject) -> None:
    """Random episodes, terminations, ring wrap-around, environments and horizons."""
    envs, steps = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 5))
    capacity, rows = data.draw(st.integers(steps + 3, 12)), data.draw(st.integers(3, 40))
    lasts, terminals = torch.zeros(rows, envs, dtype=torch.bool), torch.zeros(rows, envs, dtype=torch.bool)
    for env in range(envs):
        for time in range(1, rows):
            ends = (
                data.draw(st.sampled_from(["no", "no", "truncated", "terminated"]))
                if not lasts[time - 1, env]
                else "no"
            )
            lasts[time, env] = ends != "no"
            terminals[time - 1, env] = ends == "terminated"
    replay = filled(lasts.tolist(), terminals.tolist(), capacity, steps)
    oldest, newest = max(0, rows - capacity), rows - 1
    assert (replay.oldest, len(replay)) == (oldest, newest - oldest)
    if lasts[oldest:newest].all():
        return
    window = replay.sample(64)
    for b in range(64):
        env, start = (int(x) for x in window.obs["state"][b, 0])
        assert oldest <= start < newest
        assert not lasts[start, env]
        total, discount, after = naive(lasts, terminals, env, start, steps, newest)
        assert window.obs["state"][b, 1].tolist() == [env, after]
        assert abs(float(window.reward[b]) - total) < 1e-3
        assert float(window.discount[b]) == discount
        if start > oldest:
            assert bool(window.first[b]) == bool(lasts[start - 1, env])


def test_replay_is_ready_where_a_window_starts() -> None:
    """Not where rows are final observations alone, as after resumes that cut an episode at once."""
    replay = filled([[True, True]] * 3, [[False, False]] * 3, 6, 1)
    assert (len(replay), replay.ready) == (2, False)
    with pytest.raises(ValueError, match="nothing to sample"):
        replay.peek(1)
    replay.add(row(3, [True, False], [False, False]))
    assert not replay.ready  # what comes of the decision is not known yet
    replay.add(row(4, [True, True], [False, False]))
    assert replay.ready
    assert set(replay.sample(20).index.tolist()) == {3 * 2 + 1}
    for time in range(5, 10):  # row 3 makes room, and all others are final
        assert replay.ready
        replay.add(row(time, [True, True], [False, False]))
    assert not replay.ready


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(3, 6))
def test_ready_is_what_a_look_at_all_rows_says(lasts: list[bool], capacity: int) -> None:
    replay = filled([[lasts[0]]], [[False]], capacity, 1)
    for time, last in enumerate(lasts):
        replay.add(row(time + 1, [last], [False]))
        assert replay.ready == (not replay.start_mask.invalid.all())
        other = filled([[False]] * 3, [[False]] * 3, capacity, 1)
        assert other.ready
        other.restore(replay.newest, [(replay.oldest, replay.rows(replay.oldest, replay.newest))])
        assert other.ready == replay.ready


def test_starts_are_uniform_over_decisions() -> None:
    lasts = [[False, False], [True, False], [False, False], [False, True], [False, False], [False, False]]
    replay = filled(lasts, [[False, False]] * 6, 10, 1)
    window = replay.sample(80_000)
    cells = window.obs["state"][:, 0, 0] * 10 + window.obs["state"][:, 0, 1]
    counts = {cell: int((cells == cell).sum()) for cell in cells.unique().tolist()}
    assert len(counts) == 8  # 2 environments x 5 complete rows, less two final observations
    assert all(abs(count - 10_000) < 500 for count in counts.values())  # 5 standard deviations


def test_the_same_seed_draws_the_same_and_state_goes_on() -> None:
    rows = ([[False]] * 20, [[False]] * 20)
    first, second = filled(*rows, 30, 1), filled(*rows, 30, 1)
    assert torch.equal(first.sample(8).index, second.sample(8).index)
    state = first.state_dict()
    expected = first.sample(8).index
    second.sample(100)
    second.load_state_dict(state)
    assert torch.equal(second.sample(8).index, expected)


def test_rows_come_back_as_they_were() -> None:
    lasts = [[time % 5 == 4, time % 7 == 6] for time in range(33)]
    source = filled(lasts, [[False, False]] * 33, 12, 2)
    target = Replay(ReplayConfig(24, 2), SPEC, 2, gamma=0.5, seed=0)
    blocks = [(source.oldest, source.rows(source.oldest, 25)), (25, source.rows(25, 33))]
    target.restore(source.newest, blocks)
    assert torch.equal(target.ring, source.ring)
    window, again = source.sample(16), target.sample(16)
    assert torch.equal(window.obs["state"], again.obs["state"])


def test_a_million_steps_of_half_cheetah_fit_in_110_megabytes() -> None:
    replay = Replay(ReplayConfig(10_000), Spec({"state": (17,)}, 6), 1, gamma=0.99, seed=0)
    assert replay.ring.numel() * replay.ring.element_size() * 100 <= 110e6


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"capacity": 1}, {"capacity": 3, "steps": 3}])
def test_impossible_sizes_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UserError):
        ReplayConfig(**wrong)


def test_a_capacity_too_small_for_the_environments_is_refused() -> None:
    with pytest.raises(UserError, match="raise it"):
        Replay(ReplayConfig(10), SPEC, 8, gamma=0.9, seed=0)


@pytest.mark.parametrize("sampler", [Uniform(), Recency(least=3, cycle=7), Proportional()], ids=str)
@pytest.mark.parametrize("steps", [1, 3])
def test_samples_fetched_together_are_those_fetched_one_by_one(sampler: Any, steps: int) -> None:
    """Also where a start is drawn again, because an episode ends at every fourth row."""
    lasts = [[time % 4 == 3, time % 4 == 1] for time in range(33)]
    one, other = (filled(lasts, [[False, False]] * 33, 20, steps, sampler=sampler) for _ in range(2))
    for times in (3, 1, 4):
        together = other.sample(8, times)
        for part in parts(together, times):
            window = one.sample(8)
            assert torch.equal(window.obs["state"], part.obs["state"])
            assert all(torch.equal(a, b) for a, b in zip(window[1:7], part[1:7], strict=True))


def test_a_peek_shows_other_rows_than_those_just_sampled() -> None:
    replay = filled([[False]] * 900, [[False]] * 900, 1000, 1)
    sampled, peeked = replay.sample(8).index, replay.peek(8).index
    assert not set(sampled.tolist()) & set(peeked.tolist())
    assert torch.equal(replay.sample(8).index, peeked)


@pytest.mark.parametrize("sampler", [Recency(least=3, cycle=7), Proportional()], ids=str)
def test_a_peek_is_uniform_and_no_update(sampler: Any) -> None:
    replay = filled([[False]] * 20, [[False]] * 20, 30, 1, sampler=sampler)
    replay.update_priorities(torch.tensor([0]), torch.tensor([1e9]))
    assert len(replay.peek(100).index.unique()) > 10
    assert replay.state_dict()["sampler"]["updates"] == 0


def test_a_state_with_one_generator_for_all_is_still_read() -> None:
    replay = filled([[False]] * 20, [[False]] * 20, 30, 1)
    state = replay.state_dict()
    del state["draws"]
    expected = replay.sample(8).index
    replay.load_state_dict(state)
    assert torch.equal(replay.sample(8).index, expected)
