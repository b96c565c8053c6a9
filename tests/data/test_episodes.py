"""The best episodes against a list of all that ended: any episodes, environments and rings, also after a resume."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from safetensors.torch import load, save
from torch import Tensor

from softrl.data.episodes import Ranked, Unranked, ranking
from softrl.data.replay import Replay, ReplayConfig
from softrl.types import Spec, Step, Window

HOST = torch.device("cpu")


class Past(NamedTuple):
    """Rewards and final observations, [T,N] each."""

    reward: Tensor
    last: Tensor


def told(past: Past, share: float, length: int) -> Ranked:
    part = Ranked(share, length, past.last.shape[1], HOST)
    for row, (reward, last) in enumerate(zip(*past, strict=True)):
        part.add(row, reward, last)
    return part


def expected(past: Past, share: float, length: int) -> list[list[bool]]:
    """Which cells of the ring belong to the best, by a walk through the past; [L][N]."""
    rows, envs = past.last.shape
    episodes = []  # environment, rows, return, final row
    for env in range(envs):
        begun = 0
        for row in past.last[:, env].nonzero().flatten().tolist():
            episodes.append((env, range(begun, row), float(past.reward[begun:row, env].sum()), row))
            begun = row + 1
    newest_end = max((final for *_, final in episodes), default=-1)
    held = [episode for episode in episodes if episode[3] > newest_end - length + 1]
    answer = [[False] * envs for _ in range(length)]
    if held:
        returns = sorted(total for _, _, total, _ in held)
        least = returns[int(np.ceil((1 - share) * (len(returns) - 1) - 1e-9))]
        median = returns[(len(returns) - 1) // 2]
        for env, span, total, _ in held:
            for row in span:
                if row >= rows - length:
                    answer[row % length][env] = total >= least and total > median
    return answer


def found(part: Ranked, length: int, envs: int) -> list[list[bool]]:
    cells = part.best(torch.arange(length * envs))
    assert cells is not None
    return cells.view(length, envs).tolist()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_best_equal_a_walk_through_the_past(data: st.DataObject) -> None:
    """Whole rewards, whose sums have no rounding; a final observation has none, as the collector gives it."""
    envs, rows, length = (data.draw(st.integers(least, most)) for least, most in ((1, 3), (1, 40), (3, 15)))
    share = data.draw(st.sampled_from([0.1, 0.25, 0.5]))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    last = torch.rand(rows, envs, generator=generator) < 0.3
    last[0] = False
    last[1:] &= ~last[:-1]  # an episode has at least one decision
    past = Past(torch.randint(-2, 4, (rows, envs), generator=generator).float() * ~last, last)
    part = told(past, share, length)
    assert found(part, length, envs) == expected(past, share, length)
    again = Ranked(share, length, envs, HOST)
    again.load_state_dict(kept(part.state_dict()))
    more = Past(torch.ones(5, envs), torch.tensor([[True], [False], [True], [False], [False]]).expand(5, envs))
    for row in range(5):
        assert found(again, length, envs) == found(part, length, envs)
        for each in (part, again):
            each.add(rows + row, more.reward[row] * ~more.last[row], more.last[row])


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_when_they_are_asked_for_makes_no_difference(data: st.DataObject) -> None:
    """A checkpoint asks as well: a run that was resumed knows what it would have known."""
    rows, length = (data.draw(st.integers(least, most)) for least, most in ((2, 40), (3, 15)))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    asked = data.draw(st.sets(st.integers(0, rows - 1)))
    past = Past(torch.randn(rows, 2, generator=generator), torch.rand(rows, 2, generator=generator) < 0.3)
    once, often = told(past, 0.25, length), Ranked(0.25, length, 2, HOST)
    for row, (reward, last) in enumerate(zip(*past, strict=True)):
        often.add(row, reward, last)
        if row in asked:
            often.best(torch.zeros(1, dtype=torch.long))
    assert found(often, length, 2) == found(once, length, 2)
    assert torch.equal(often.finished, once.finished)


def kept(state: dict[str, object]) -> dict[str, object]:
    """A state as a checkpoint brings it back."""
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    return {**state, **load(save(tensors))}


def episodes(*returns: float) -> Past:
    """One environment, two decisions an episode."""
    reward = [number for total in returns for number in (total, 0.0, 0.0)]
    return Past(torch.tensor(reward)[:, None], torch.tensor([False, False, True] * len(returns))[:, None])


@pytest.mark.parametrize(
    ("returns", "share", "best"),
    [
        ((5.0,), 0.1, []),  # there is nothing to be better than
        ((3.0, 7.0), 0.1, [1]),
        ((0.1, 0.1, 0.1, 0.1), 0.5, []),  # all are alike
        ((0.0,) * 20 + (1.0,), 0.1, [20]),  # the first success at a sparse task
        (tuple(range(10)), 0.2, [8, 9]),
        (tuple(range(10)), 0.5, [5, 6, 7, 8, 9]),
        ((4.0, 1.0, 4.0, 2.0, 0.0), 0.1, [0, 2]),  # two are the best
    ],
)
def test_which_are_the_best_by_hand(returns: tuple[float, ...], share: float, best: list[int]) -> None:
    past = episodes(*returns)
    cells = told(past, share, 100).best(torch.arange(len(past.last)))
    assert cells is not None
    assert sorted({row // 3 for row in cells.nonzero().flatten().tolist()}) == best
    assert not cells[2::3].any()  # final observations hold no decision


def test_an_episode_that_goes_on_is_not_judged() -> None:
    past = episodes(1.0, 2.0)
    running = Past(torch.cat([past.reward, torch.full((2, 1), 50.0)]), torch.cat([past.last, torch.zeros(2, 1).bool()]))
    cells = told(running, 0.5, 100).best(torch.arange(8))
    assert cells is not None
    assert cells.nonzero().flatten().tolist() == [3, 4]


def test_a_return_counts_what_the_ring_has_lost() -> None:
    """The better episode lost its first row, and with it its reward."""
    past = Past(
        torch.tensor([[9.0], [0], [0], [0], [3], [0], [0]]),
        torch.tensor([[False]] * 3 + [[True], [False], [False], [True]]),
    )
    cells = told(past, 0.5, 6).best(torch.arange(6))
    assert cells is not None
    assert cells.nonzero().flatten().tolist() == [1, 2]


def test_without_a_share_nobody_is_ranked() -> None:
    part = ranking(0.0, 10, 1, HOST)
    assert isinstance(part, Unranked)
    part.add(0, torch.ones(1), torch.ones(1).bool())
    assert part.best(torch.arange(3)) is None
    assert part.state_dict() == {}


def sampled(best: float, chunk: int = 1) -> tuple[Replay, Window]:
    """Episodes of three decisions, whose number and place are observed and whose return is their number modulo 10."""
    spec = Spec({"state": (2,)}, 1, chunk=chunk, best=best)
    replay = Replay(ReplayConfig(60), spec, 1, 0.9, seed=0)
    for row in range(100):
        episode, place = divmod(row, 4)
        state = torch.tensor([[float(episode), float(place)]])
        reward = torch.tensor([float(episode % 10)]) * (place == 1)
        flags = torch.tensor([place == 2]), torch.tensor([place == 3])
        replay.add(Step({"state": state}, torch.zeros(1, 1), reward, *flags))
    return replay, replay.sample(400)


@pytest.mark.parametrize("chunk", [1, 3])
def test_windows_say_whether_their_episode_is_one_of_the_best(chunk: int) -> None:
    """Of episodes 10 to 24, which are held, those of return 8 and 9 are the best tenth."""
    _, window = sampled(0.1, chunk)
    episode = window.obs["state"][:, 0, 0]
    assert window.best is not None
    assert torch.equal(window.best, (episode == 18) | (episode == 19))
    assert window.best.any()
    assert sampled(0.0, chunk)[1].best is None


def test_a_restored_replay_points_out_the_same() -> None:
    source, _ = sampled(0.1)
    target = Replay(ReplayConfig(60), source.spec, 1, 0.9, seed=1)
    target.restore(source.newest, [(source.oldest, source.rows(source.oldest, source.newest))])
    target.load_state_dict(source.state_dict())
    one, other = source.sample(50), target.sample(50)
    assert one.best is not None
    assert other.best is not None
    assert torch.equal(one.best, other.best)
    assert one.best.any()


def test_an_episode_that_a_resume_cut_is_not_judged() -> None:
    part = told(episodes(-9.0, -8.0), 0.5, 100)
    part.add(6, torch.tensor([-1.0]), torch.tensor([False]))
    part.cut(torch.tensor([True]))
    part.add(7, torch.zeros(1), torch.tensor([True]))
    assert part.best(torch.arange(8)).nonzero().flatten().tolist() == [3, 4]
    part.add(8, torch.tensor([-1.0]), torch.tensor([False]))  # the next one is
    part.add(9, torch.zeros(1), torch.tensor([True]))
    assert part.best(torch.arange(10))[8]
