"""Stacks against whole episodes in Python lists: every start, around episode ends and the ring's write position."""

import errno
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from softrl.data.priority import LAP, Recency
from softrl.data.replay import Replay, ReplayConfig
from softrl.errors import UserError
from softrl.types import Spec, Step, Window

GAMMA = 0.5
SIZE = (2, 3)
SPEC = Spec({"pixels": (9, *SIZE)}, 1, gamma=GAMMA, stack=3)


class Seen(NamedTuple):
    """A row of an episode, as an environment gave it."""

    time: int
    pixels: Tensor  # [3*S,H,W]
    last: bool


class World:
    """Environments whose pictures say where they are from, and the naive memory: lists of whole episodes."""

    def __init__(self, spec: Spec, envs: int, length: int, folder: Path | None = None, **replay: Any) -> None:
        self.spec, self.envs, self.length, self.time = spec, envs, length, 0
        self.config, self.folder = ReplayConfig(length * envs, memory_map=folder is not None, **replay), folder
        self.replay = Replay(self.config, spec, envs, GAMMA, seed=0, folder=folder)
        self.episodes: list[list[list[Seen]]] = [[[]] for _ in range(envs)]
        self.terminated: set[tuple[int, int]] = set()
        self.over = [False] * envs  # the next row is a final observation

    def picture(self, env: int) -> Tensor:
        colours = torch.tensor([env, self.time, 255 - self.time], dtype=torch.uint8)
        return colours[:, None, None] + 16 * torch.arange(6, dtype=torch.uint8).reshape(SIZE)

    def look(self, env: int) -> Tensor:
        """The stacked observation: what was seen before moves on by one picture, the first is repeated."""
        episode, new = self.episodes[env][-1], self.picture(env)
        return torch.cat([episode[-1].pixels[3:], new]) if episode else new.repeat(self.spec.stack, 1, 1)

    def step(self, ends: list[str]) -> None:
        """One row; `ends` says how the decision of each environment ends its episode, if it does."""
        closing, looks = self.over, [self.look(env) for env in range(self.envs)]
        terminated = [how == "terminated" and not over for how, over in zip(ends, closing, strict=True)]
        self.over = [how != "on" and not over for how, over in zip(ends, closing, strict=True)]
        for env, over in enumerate(closing):
            self.episodes[env][-1].append(Seen(self.time, looks[env], over))
            if terminated[env]:
                self.terminated.add((env, self.time))
            if over:
                self.episodes[env].append([])
        now = torch.full((self.envs,), float(self.time))
        left = 3 - now % 3
        pixels = torch.stack(looks)
        step = Step({"pixels": pixels}, now[:, None], now, torch.tensor(terminated), torch.tensor(closing), left)
        self.replay.add(step)
        self.time += 1

    def rows(self, env: int) -> list[Seen]:
        return [seen for episode in self.episodes[env] for seen in episode]

    def starts(self) -> set[tuple[int, int]]:
        """(env, time) of every row that can start a window: its stack and all that must follow are still here."""
        oldest, ahead = max(0, self.time - self.length), self.spec.sequence - 1 if self.spec.sequence else 1
        return {
            (env, seen.time)
            for env, episodes in enumerate(self.episodes)
            for episode in episodes
            for age, seen in enumerate(episode)
            if oldest <= seen.time - min(age, self.spec.stack - 1)
            and seen.time + ahead < self.time
            and (self.spec.sequence or not seen.last)
        }

    def window(self) -> tuple[list[tuple[int, int]], Window]:
        """The window of every start that replay allows."""
        cells = (~self.replay.invalid.flatten()).nonzero().flatten()
        oldest = max(0, self.time - self.length)
        times = oldest + (cells // self.envs - oldest) % self.length
        starts = list(zip((cells % self.envs).tolist(), times.tolist(), strict=True))
        return starts, self.replay.window(cells, torch.ones(len(cells)))

    def after(self, env: int, start: int) -> int:
        """Row of the observation after a window of an n-step return or a whole chunk."""
        rows, horizon, time = self.rows(env), max(self.config.steps, self.spec.chunk), start
        while True:
            time += 1
            if rows[time].last or time == self.time - 1 or time - start == horizon:
                return time


def lives(data: st.DataObject, spec: Spec, **replay: Any) -> World:
    """A world of any length of ring, environments and episodes."""
    rows = spec.sequence or max(replay.get("steps", 1), spec.chunk) + 1
    world = World(
        spec, data.draw(st.integers(1, 3)), data.draw(st.integers(max(rows, 3) + spec.stack - 1, 12)), **replay
    )
    hows = st.sampled_from(["on", "on", "on", "truncated", "terminated"])
    for _ in range(data.draw(st.integers(3, 34))):
        world.step(data.draw(st.lists(hows, min_size=world.envs, max_size=world.envs)))
    return world


def spec(stack: int, **fields: Any) -> Spec:
    return Spec({"pixels": (3 * stack, *SIZE)}, 1, gamma=GAMMA, stack=stack, **fields)


def check(world: World) -> None:
    """Every start, its two observations and its numbers."""
    starts, window = world.window()
    assert set(starts) == world.starts()
    for b, (env, start) in enumerate(starts):
        rows, after = world.rows(env), world.after(env, start)
        assert torch.equal(window.obs["pixels"][b, 0], rows[start].pixels)
        assert torch.equal(window.obs["pixels"][b, 1], rows[after].pixels)
        ended = (env, after - 1) in world.terminated
        assert float(window.discount[b, 0]) == (0.0 if ended else GAMMA ** (after - start))
        assert float(window.reward[b, 0]) == sum(GAMMA**i * (start + i) for i in range(after - start))
        assert float(window.action[b, 0, 0]) == start
        assert bool(window.first[b, 0]) == (start == 0 or rows[start - 1].last)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_windows_of_one_decision_equal_whole_episodes(data: st.DataObject) -> None:
    check(lives(data, spec(data.draw(st.integers(1, 4)))))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_n_step_windows_equal_whole_episodes(data: st.DataObject) -> None:
    check(lives(data, spec(data.draw(st.integers(1, 4))), steps=data.draw(st.integers(2, 5))))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_chunks_equal_whole_episodes(data: st.DataObject) -> None:
    check(lives(data, spec(data.draw(st.integers(1, 4)), chunk=data.draw(st.integers(2, 4)))))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_sequences_equal_whole_episodes(data: st.DataObject) -> None:
    world = lives(data, spec(data.draw(st.integers(1, 3)), sequence=data.draw(st.integers(1, 5))))
    starts, window = world.window()
    assert set(starts) == world.starts()
    for b, (env, start) in enumerate(starts):
        rows = world.rows(env)[start : start + world.spec.sequence]
        assert torch.equal(window.obs["pixels"][b], torch.stack([seen.pixels for seen in rows]))


def test_the_stack_at_an_episodes_start_by_hand() -> None:
    world = World(SPEC, 1, 20)
    for ends in ("on", "truncated", "on", "on", "on"):  # rows 0, 1; 2 is the final observation; 3, 4 a new episode
        world.step([ends])
    starts, window = world.window()
    times = window.obs["pixels"][:, :, 1::3, 0, 0]  # the second colour of each picture
    assert starts == [(0, 0), (0, 1), (0, 3)]
    assert times[:, 0].tolist() == [[0, 0, 0], [0, 0, 1], [3, 3, 3]]
    assert times[:, 1].tolist() == [[0, 0, 1], [0, 1, 2], [3, 3, 4]]


def test_no_window_needs_overwritten_pictures() -> None:
    world = World(SPEC, 1, 8)
    for _ in range(20):  # one long episode: rows 12..19 are here, and 12, 13 lack what was before them
        world.step(["on"])
    assert set(world.replay.sample(500).reward.flatten().tolist()) == {14.0, 15.0, 16.0, 17.0, 18.0}


def test_nor_does_one_of_a_restored_ring() -> None:
    """Before another row is added."""
    world, other = World(SPEC, 1, 8), World(SPEC, 1, 8).replay
    for _ in range(20):
        world.step(["on"])
    replay = world.replay
    other.restore(replay.newest, [(replay.oldest, replay.rows(replay.oldest, replay.newest))])
    assert torch.equal(other.invalid, replay.invalid)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(5, 8))
def test_ready_is_what_a_look_at_all_rows_says(lasts: list[bool], capacity: int) -> None:
    """Also where rows are final observations alone, and the stack of the only start is overwritten."""
    replay, pixels = Replay(ReplayConfig(capacity), SPEC, 1, GAMMA, seed=0), torch.zeros(1, 9, *SIZE, dtype=torch.uint8)
    for last in lasts:
        no = torch.tensor([False])
        replay.add(Step({"pixels": pixels}, torch.zeros(1, 1), torch.zeros(1), no, torch.tensor([last])))
        assert replay.ready == (not replay.start_mask.invalid.all())


@pytest.mark.parametrize("sampler", [LAP(), Recency(least=3, cycle=7)], ids=["lap", "recency"])
def test_other_samplers_leave_them_out_too(sampler: Any) -> None:
    world = World(SPEC, 2, 9, sampler=sampler)
    for time in range(40):
        world.step(["truncated" if (time + 3 * env) % 7 == 6 else "on" for env in range(2)])
        if time:
            window = world.replay.sample(20)
            drawn = {(int(cell) % 2, int(reward)) for cell, reward in zip(window.index, window.reward, strict=True)}
            assert drawn <= world.starts()
            world.replay.update_priorities(window.index, torch.rand(20) * 3)


def test_two_stacks_of_one_decision_share_their_memory() -> None:
    world = World(SPEC, 1, 8)
    for _ in range(6):
        world.step(["on"])
    pixels = world.replay.sample(32).obs["pixels"]
    assert pixels.shape == (32, 2, 9, *SIZE)
    assert pixels.dtype == torch.uint8
    assert pixels.untyped_storage().nbytes() == 32 * 4 * 3 * 6


def test_a_peek_is_not_changed_by_the_next_sample() -> None:
    world = World(SPEC, 1, 30)
    for _ in range(25):
        world.step(["on"])
    pixels = world.replay.peek(16).obs["pixels"]
    before = pixels.clone()
    world.replay.sample(16)
    assert torch.equal(pixels, before)


def test_numbers_beside_pixels_stay_as_they_are() -> None:
    both = Spec({"state": (2,), "pixels": (3, *SIZE)}, 1)
    replay = Replay(ReplayConfig(10), both, 1, GAMMA, seed=0)
    for time in range(6):
        obs = {"state": torch.full((1, 2), time + 0.5), "pixels": torch.full((1, 3, *SIZE), time, dtype=torch.uint8)}
        no = torch.zeros(1, dtype=torch.bool)
        replay.add(Step(obs, torch.zeros(1, 1), torch.zeros(1), no, no))
    window = replay.sample(50)
    assert torch.equal(window.obs["state"][:, :, 0] - 0.5, window.obs["pixels"][:, :, 0, 0, 0].float())


# ------------------------------------------------------------ bytes, files, checkpoints


def test_frames_are_kept_once() -> None:
    """As many bytes as the rows say, at a thousandth of the size: 1M frames of 84 x 84, and of 64 x 64."""
    large = Replay(ReplayConfig(1000), Spec({"pixels": (9, 84, 84)}, 6, stack=3), 1, GAMMA, seed=0).bytes
    assert large.frames == 1000 * 84 * 84 * 3
    assert sum(large) <= 1.02 * large.frames
    small = Replay(ReplayConfig(1000), Spec({"pixels": (3, 64, 64)}, 6, sequence=50), 1, GAMMA, seed=0).bytes
    assert sum(small) * 1000 <= 12.5e9


def test_the_stated_bytes_are_all_that_there_is() -> None:
    replay = Replay(ReplayConfig(50), SPEC, 2, GAMMA, seed=0)
    held = [value for value in vars(replay).values() if isinstance(value, Tensor)]
    held += [value for frames in replay.frames.values() for value in vars(frames).values() if isinstance(value, Tensor)]
    storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in held}
    assert sum(replay.bytes) <= sum(storages.values()) <= sum(replay.bytes) + 100  # a few indices beside


def grown(folder: Path | None, rows: int = 40, length: int = 11) -> World:
    world = World(SPEC, 2, length, folder)
    for time in range(rows):
        world.step(["truncated" if (time + 2 * env) % 5 == 4 else "on" for env in range(2)])
    return world


def same(one: Window, other: Window) -> None:
    assert torch.equal(one.obs["pixels"], other.obs["pixels"])
    assert all(torch.equal(a, b) for a, b in zip(one[1:7], other[1:7], strict=True))


def test_a_file_gives_what_memory_gives(tmp_path: Path) -> None:
    one, other = grown(None), grown(tmp_path)
    assert torch.equal(one.replay.frames["pixels"].ring, other.replay.frames["pixels"].ring)
    for _ in range(5):
        same(one.replay.sample(16), other.replay.sample(16))
    held = np.load(tmp_path / "frames.npy", mmap_mode="r")
    assert np.array_equal(held, one.replay.frames["pixels"].ring.numpy())
    assert [path.name for path in tmp_path.iterdir()] == ["frames.npy"]


def test_large_rows_are_saved_in_smaller_files() -> None:
    assert Replay(ReplayConfig(1000), Spec({"state": (17,)}, 6), 1, GAMMA, seed=0).segment == 4096
    pixels = Replay(ReplayConfig(1000), Spec({"pixels": (9, 84, 84)}, 6, stack=3), 4, GAMMA, seed=0).segment
    assert pixels * 4 * 84 * 84 * 3 <= 2**25 < (pixels + 2) * 4 * 84 * 84 * 3


def test_a_file_of_another_shape_is_refused_and_kept(tmp_path: Path) -> None:
    grown(tmp_path)
    before = (tmp_path / "frames.npy").read_bytes()
    with pytest.raises(UserError, match="belongs to another run"):
        World(SPEC, 2, 12, tmp_path)
    assert (tmp_path / "frames.npy").read_bytes() == before


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"the disk is full: make room, lower replay\.capacity"):
        World(SPEC, 1, 20, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_map_without_pixels_or_folder_is_refused(tmp_path: Path) -> None:
    config = ReplayConfig(100, memory_map=True)
    with pytest.raises(UserError, match="memory_map"):
        Replay(config, Spec({"state": (2,)}, 1), 1, GAMMA, seed=0, folder=tmp_path)
    with pytest.raises(UserError, match="memory_map"):
        Replay(config, SPEC, 1, GAMMA, seed=0)


@pytest.mark.parametrize("length", [3, 4])
def test_a_ring_with_no_room_for_a_stack_is_refused(length: int) -> None:
    with pytest.raises(UserError, match="raise it"):
        World(SPEC, 1, length)
