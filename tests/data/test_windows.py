"""Sequences against the rows they were made of; test_replay, test_chunks and test_frames read the other windows."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st

from softrl.data.priority import LAP, Proportional, Recency
from softrl.data.replay import Replay, ReplayConfig
from softrl.errors import UserError
from softrl.types import Spec, Step, Window

GAMMA = 0.9


def spec(length: int) -> Spec:
    return Spec({"state": (2,)}, 1, gamma=GAMMA, sequence=length)


def filled(world: Spec, ends: list[list[str]], capacity: int) -> Replay:
    """Observation (env, time), action 10 + time, reward = time; `ends` [rows][N] as the decisions' outcomes."""
    envs = len(ends[0])
    replay = Replay(ReplayConfig(capacity * envs), world, envs, GAMMA, seed=0)
    over = torch.zeros(envs, dtype=torch.bool)
    for time, hows in enumerate(ends):
        now = torch.full((envs,), float(time))
        terminated = torch.tensor([how == "terminated" for how in hows]) & ~over
        obs = {"state": torch.stack([torch.arange(envs).float(), now], 1)}
        replay.add(Step(obs, 10 + now[:, None], now, terminated, over))
        over = torch.tensor([how != "on" for how in hows]) & ~over
    return replay


def test_a_sequence_across_an_end_by_hand() -> None:
    # rows 0, 1: decisions, the second terminates; 2: the final observation; 3, 4: the next episode
    window = filled(spec(5), [["on"], ["terminated"], ["on"], ["on"], ["on"]], 10).sample(3)
    assert window.obs["state"][0].tolist() == [[0, time] for time in range(5)]
    assert window.action[0].tolist() == [[10], [11], [12], [13], [14]]
    assert window.reward[0].tolist() == [0, 1, 2, 3, 4]
    assert window.discount[0].tolist() == pytest.approx([0.9, 0, 0.9, 0.9, 0.9])
    assert window.first[0].tolist() == [True, False, False, True, False]
    assert window.last is not None
    assert window.last[0].tolist() == [False, False, True, False, False]
    assert window.last.dtype == window.first.dtype == torch.bool
    assert window.weight.tolist() == [1, 1, 1]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_sequences_are_the_rows_as_they_came(data: st.DataObject) -> None:
    """Any length, ring, environments and episodes: all that could be drawn, and nothing across the write position."""
    length, envs, rows = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 3)), data.draw(st.integers(6, 40))
    capacity = data.draw(st.integers(max(3, length), 12))
    hows = st.lists(st.sampled_from(["on", "on", "truncated", "terminated"]), min_size=envs, max_size=envs)
    ends = data.draw(st.lists(hows, min_size=rows, max_size=rows))
    replay = filled(spec(length), ends, capacity)
    last = torch.zeros(rows, envs, dtype=torch.bool)
    for time in range(1, rows):
        last[time] = torch.tensor([how != "on" for how in ends[time - 1]]) & ~last[time - 1]
    oldest = max(0, rows - capacity)
    assert len(replay) == rows - oldest - length + 1
    cells = (~replay.invalid.flatten()).nonzero().flatten()
    window = replay.window(cells, torch.ones(len(cells)))
    starts = {(int(state[0]), int(state[1])) for state in window.obs["state"][:, 0]}
    assert starts == {(env, time) for env in range(envs) for time in range(oldest, rows - length + 1)}
    for b, (env, start) in enumerate(window.obs["state"][:, 0].int().tolist()):
        times = torch.arange(start, start + length)
        finals = last[times, env]
        ended = torch.tensor([ends[time][env] == "terminated" for time in times.tolist()]) & ~finals
        assert window.obs["state"][b].tolist() == [[env, time] for time in times.tolist()]
        assert torch.equal(window.reward[b], times.float())
        assert torch.equal(window.action[b, :, 0], 10 + times.float())
        assert torch.equal(window.discount[b], torch.where(ended, 0.0, GAMMA))
        assert torch.equal(window.last[b], finals)  # type: ignore[index]
        assert window.first[b].tolist() == [time == 0 or bool(last[time - 1, env]) for time in times.tolist()]


def test_starts_are_uniform_wherever_episodes_end() -> None:
    ends = [["truncated" if time % 4 == 3 else "on", "on"] for time in range(33)]
    window = filled(spec(5), ends, 12).sample(40_000)
    cells = window.obs["state"][:, 0, 0] * 100 + window.obs["state"][:, 0, 1]
    counts = {cell: int((cells == cell).sum()) for cell in cells.unique().tolist()}
    assert len(counts) == 16  # 2 environments x rows 21..28, of which each has four rows behind it
    assert all(abs(count - 2500) < 250 for count in counts.values())  # 5 standard deviations


def same(one: Window, other: Window) -> None:
    assert torch.equal(one.obs["state"], other.obs["state"])
    assert all(a is b or torch.equal(a, b) for a, b in zip(one[1:], other[1:], strict=True))


def test_a_restored_replay_gives_the_same_sequences() -> None:
    ends = [["truncated" if time % 4 == 3 else "on", "on"] for time in range(33)]
    source, target = filled(spec(5), ends, 12), Replay(ReplayConfig(24), spec(5), 2, GAMMA, seed=1)
    target.restore(source.newest, [(source.oldest, source.rows(source.oldest, source.newest))])
    target.load_state_dict(source.state_dict())
    assert torch.equal(target.invalid, source.invalid)
    for _ in range(3):
        same(source.sample(16), target.sample(16))


def test_before_there_are_enough_rows_nothing_starts() -> None:
    assert len(filled(spec(5), [["on"]] * 4, 10)) == 0
    replay = filled(spec(5), [["on"]] * 5, 10)
    assert len(replay) == 1
    assert set(replay.sample(20).obs["state"][:, 0, 1].tolist()) == {0.0}


@pytest.mark.parametrize("sampler", [LAP(), Proportional(), Recency()], ids=lambda sampler: type(sampler).__name__)
def test_priorities_of_sequences_are_refused(sampler: Any) -> None:
    with pytest.raises(UserError, match=r"replay\.sampler at Uniform"):
        Replay(ReplayConfig(100, sampler=sampler), spec(5), 1, GAMMA, seed=0)


@pytest.mark.parametrize(("steps", "chunk"), [(3, 1), (1, 4)])
def test_returns_and_chunks_of_sequences_are_refused(steps: int, chunk: int) -> None:
    with pytest.raises(UserError, match=r"replay\.steps at 1"):
        Replay(ReplayConfig(100, steps), spec(5)._replace(chunk=chunk), 1, GAMMA, seed=0)


def test_a_ring_shorter_than_a_sequence_is_refused() -> None:
    with pytest.raises(UserError, match="raise it"):
        Replay(ReplayConfig(18), spec(10), 2, GAMMA, seed=0)
