"""Windows of chunks against a walk through the rows: they cross no episode, and leave no plan where that counts."""

from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from softrl.data.chunks import WHOLE, critic_actions, drawn_lengths
from softrl.data.replay import Replay, ReplayConfig
from softrl.errors import UserError
from softrl.types import Spec, Step, Window

GAMMA = 0.5
FAR = 100.0
"""Stored actions are FAR and more, so that none of them can be taken for one that was made up."""


class Past(NamedTuple):
    """What happened, [T,N] each."""

    last: Tensor
    terminated: Tensor
    left: Tensor


def spec(chunk: int, prefixes: bool) -> Spec:
    return Spec({"state": (2,)}, 1, chunk=chunk, gamma=GAMMA, prefixes=prefixes)


def past(ends: list[list[str]], left: list[list[int]]) -> Past:
    """`ends` [T][N] says how the decision of each row ends its episode, if it does; the next row is then the last."""
    last = torch.zeros(len(ends), len(ends[0]), dtype=torch.bool)
    terminated = torch.zeros_like(last)
    for time in range(len(ends) - 1):
        for env, how in enumerate(ends[time]):
            if how != "on" and not last[time, env]:
                last[time + 1, env] = True
                terminated[time, env] = how == "terminated"
    return Past(last, terminated, torch.tensor(left))


def filled(happened: Past, capacity: int, world: Spec) -> Replay:
    """Observation (env, time), action FAR + 50 env + time, reward = time + 1."""
    envs = happened.last.shape[1]
    replay = Replay(ReplayConfig(capacity * envs), world, envs, gamma=GAMMA, seed=0)
    for time, (last, terminated, left) in enumerate(zip(*happened, strict=True)):
        now = torch.full((envs,), float(time))
        env = torch.arange(envs).float()
        observation = {"state": torch.stack([env, now], 1)}
        replay.add(Step(observation, (FAR + 50 * env + now)[:, None], now + 1, terminated, last, left))
    return replay


def longest(happened: Past, env: int, start: int, world: Spec) -> int:
    """Decisions from a start up to an end of the episode, the newest row, the plan's end, or the horizon."""
    length, newest = 0, len(happened.last) - 1
    while True:
        length += 1
        after = start + length
        if happened.last[after, env] or after == newest or length == world.chunk:
            return length
        if world.prefixes and length == happened.left[start, env]:
            return length


def check(window: Window, happened: Past, world: Spec) -> None:
    for b in range(len(window.weight)):
        (env, start), (same, after) = ((int(x) for x in row) for row in window.obs["state"][b])
        m = after - start
        limit = longest(happened, env, start, world)
        assert env == same
        assert not happened.last[start, env]
        assert m == limit or (world.prefixes and 1 <= m < limit)
        ended = bool(happened.terminated[start:after, env].any())
        reward = sum(GAMMA**i * (start + i + 1) for i in range(m))
        assert float(window.reward[b]) == pytest.approx(reward, rel=1e-5)
        assert float(window.discount[b]) == (0.0 if ended else GAMMA**m)
        action, mark = window.action[b, :, 0], window.action[b, :, 1]  # [h]
        length = int(mark.sum())
        assert mark.tolist() == [1.0] * length + [0.0] * (world.chunk - length)
        assert action[:m].tolist() == [FAR + 50 * env + start + i for i in range(m)]
        assert (action[m:].abs() <= 1).all()  # made up, and never taken from another episode
        assert (action[length:] == 0).all()
        if ended:
            most = min(int(happened.left[start, env]), world.chunk) if world.prefixes else world.chunk
            assert m <= length <= most
            assert world.prefixes or length == most
        else:
            assert length == m


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_windows_equal_a_walk_through_the_rows(data: st.DataObject) -> None:
    """Any episodes (also shorter than a chunk), plans, wrap-around, environments, horizons."""
    world = spec(data.draw(st.integers(2, 5)), data.draw(st.booleans()))
    envs, rows = data.draw(st.integers(1, 3)), data.draw(st.integers(3, 40))
    capacity = data.draw(st.integers(world.chunk + 1, 12))
    hows = st.sampled_from(["on", "on", "on", "truncated", "terminated"])
    ends = data.draw(st.lists(st.lists(hows, min_size=envs, max_size=envs), min_size=rows, max_size=rows))
    left = data.draw(st.lists(st.lists(st.integers(1, 7), min_size=envs, max_size=envs), min_size=rows, max_size=rows))
    happened = past(ends, left)
    replay = filled(happened, capacity, world)
    if not happened.last[replay.oldest : rows - 1].all():
        check(replay.sample(64), happened, world)


def test_windows_start_at_every_decision() -> None:
    happened = past([["on"]] * 3 + [["truncated"]] + [["on"]] * 6, [[1]] * 10)
    window = filled(happened, 20, spec(3, prefixes=False)).sample(2000)
    starts = window.obs["state"][:, 0, 1]
    counts = {int(t): int((starts == t).sum()) for t in starts.unique()}
    assert sorted(counts) == [0, 1, 2, 3, 5, 6, 7, 8]  # not 4 (final), not 9 (no outcome yet)
    assert min(counts.values()) > 150  # of 250, six standard deviations


def by_start(window: Window, start: int) -> tuple[Tensor, Tensor]:
    """Actions with marks and discounts of the windows with this start."""
    here = window.obs["state"][:, 0, 1] == start
    assert here.any()
    return window.action[here], window.discount[here, 0]


def test_a_termination_inside_a_chunk_ends_every_plan_that_begins_so() -> None:
    happened = past([["on"], ["terminated"], ["on"], ["on"]], [[1]] * 4)
    action, discount = by_start(filled(happened, 10, spec(4, prefixes=False)).sample(500), 0)
    assert (discount == 0).all()
    assert (action[..., 1] == 1).all()  # told as a whole plan
    assert action[:, 2:, 0].std() == pytest.approx(1 / 3**0.5, abs=0.05)  # uniform in [-1, 1]


def test_a_termination_on_the_last_step_of_a_chunk() -> None:
    happened = past([["on"], ["on"], ["terminated"], ["on"], ["on"]], [[1]] * 5)
    action, discount = by_start(filled(happened, 10, spec(3, prefixes=False)).sample(500), 0)
    assert (discount == 0).all()
    assert (action[..., 0] == FAR + torch.arange(3)).all()


def test_a_truncation_bootstraps_with_what_was_executed() -> None:
    happened = past([["on"], ["truncated"], ["on"], ["on"]], [[1]] * 4)
    action, discount = by_start(filled(happened, 10, spec(4, prefixes=False)).sample(500), 0)
    assert (discount == GAMMA**2).all()
    assert (action[..., 1] == torch.tensor([1.0, 1.0, 0.0, 0.0])).all()


def test_values_of_beginnings_come_from_what_one_plan_did() -> None:
    """A plan of three and one of two: the reaction at row 3 is no part of what was planned at row 0."""
    left = [[3], [2], [1], [2], [1], [1], [1]]
    window = filled(past([["on"]] * 7, left), 10, spec(5, prefixes=True)).sample(4000)
    lengths = {start: by_start(window, start)[0][..., 1].sum(-1) for start in range(5)}
    assert [int(lengths[start].max()) for start in range(5)] == [3, 2, 1, 2, 1]
    share = {k: float((lengths[0] == k).float().mean()) for k in (1, 2, 3)}
    for k, expected in {1: (1 - WHOLE) / 3, 2: (1 - WHOLE) / 3, 3: WHOLE + (1 - WHOLE) / 3}.items():
        assert share[k] == pytest.approx(expected, abs=0.07)


def test_plans_that_were_made_longer_are_as_long_as_a_window() -> None:
    """A data set may come from a policy that plans further ahead."""
    window = filled(past([["on"]] * 9, [[100]] * 9), 10, spec(3, prefixes=True)).sample(4000)
    length = by_start(window, 0)[0][..., 1].sum(-1)
    for k, expected in {1: (1 - WHOLE) / 3, 2: (1 - WHOLE) / 3, 3: WHOLE + (1 - WHOLE) / 3}.items():
        assert float((length == k).float().mean()) == pytest.approx(expected, abs=0.08)


def test_a_window_that_ended_stands_for_the_length_it_was_to_have() -> None:
    inside = torch.tensor([[True], [True], [False], [False]]).expand(4, 3)
    answer = critic_actions(torch.full((4, 3, 1), FAR), inside, torch.tensor([2, 3, 4]), torch.Generator())
    assert answer[..., 1].sum(-1).tolist() == [2, 3, 4]
    assert (answer[:, :2, 0] == FAR).all()
    assert (answer[:, 2:, 0].abs() <= 1).all()


def test_drawn_lengths_are_of_beginnings() -> None:
    left = torch.arange(1, 7).repeat(1000)
    length = drawn_lengths(left, torch.Generator())
    assert ((length >= 1) & (length <= left)).all()
    assert float((length == left)[left == 4].float().mean()) == pytest.approx(WHOLE + (1 - WHOLE) / 4, abs=0.06)


@pytest.mark.parametrize("whole", [1.0, 0.2])
def test_every_length_is_told_how_often_it_ends_an_episode(whole: float) -> None:
    """Each decision ends the episode with probability 0.2, whatever is done: a plan of k is survived with 0.8^k."""
    draw, rows, chunk = torch.Generator().manual_seed(0), 40_000, 4
    replay = Replay(ReplayConfig(rows), spec(chunk, prefixes=True)._replace(gamma=1.0), 1, gamma=1.0, seed=0)
    left, over = 0, False
    for death, length in torch.rand(rows, 2, generator=draw).tolist():
        left = (chunk if length < whole else 1) if over or left <= 1 else left - 1
        last, over = over, not over and death < 0.2
        one = torch.ones(1)
        replay.add(
            Step({"state": torch.tensor([[left, last]])}, one[:, None], one, one.bool() & over, one.bool() & last, left)
        )
    window = replay.sample(40_000)
    planned = window.obs["state"][:, 0, 0] == chunk  # where a policy asks: at the start of a plan
    length = window.action[..., 1].sum(-1)
    for k in range(1, chunk + 1):
        survived = window.discount[planned & (length == k), 0]
        assert float(survived.mean()) == pytest.approx(0.8**k, abs=5 * 0.5 / len(survived) ** 0.5)


def test_peeking_leaves_no_trace() -> None:
    happened = past([["on"], ["terminated"]] * 10, [[1]] * 20)
    one, other = (filled(happened, 30, spec(3, prefixes=True)) for _ in range(2))
    one.peek(16)
    assert torch.equal(one.sample(16).action, other.sample(16).action)


def test_plans_are_saved_with_the_rows() -> None:
    happened = past([["on"]] * 12, [[3 - time % 3] for time in range(12)])
    source = filled(happened, 8, spec(3, prefixes=True))
    target = Replay(ReplayConfig(8), source.spec, 1, gamma=GAMMA, seed=0)
    target.restore(source.newest, [(source.oldest, source.rows(source.oldest, source.newest))])
    assert torch.equal(source.sample(64).action, target.sample(64).action)


def test_whole_plans_need_no_extra_column() -> None:
    happened = past([["on"]] * 4, [[1]] * 4)
    widths = [filled(happened, 8, spec(3, prefixes)).ring.shape[-1] for prefixes in (False, True)]
    assert widths == [7, 8]


def test_n_step_returns_of_chunks_are_refused() -> None:
    with pytest.raises(UserError, match=r"leave replay\.steps at 1"):
        Replay(ReplayConfig(100, steps=3), spec(5, prefixes=False), 1, gamma=GAMMA, seed=0)


def test_a_capacity_too_small_for_a_chunk_is_refused() -> None:
    with pytest.raises(UserError, match="raise it"):
        Replay(ReplayConfig(10), spec(5, prefixes=False), 2, gamma=GAMMA, seed=0)
