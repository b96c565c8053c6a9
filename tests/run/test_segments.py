"""Replay segments: written once, wrapped around, pruned, and read back row for row."""

import os

import pytest
import torch
from hypothesis import given, settings, strategies as st

from softrl.data.replay import Replay, ReplayConfig
from softrl.run.segments import Segments
from softrl.types import Spec, Step

LENGTH = 8


def restored(ring, folder, state, capacity):
    fresh = ring(capacity)
    Segments(folder, fresh, LENGTH).load_state_dict(state)
    return fresh


def same(a, b):
    assert (a.oldest, a.newest) == (b.oldest, b.newest)
    left, right = a.content(), b.content()
    assert left.keys() == right.keys()
    assert all(torch.equal(left[key], right[key]) and left[key].dtype == right[key].dtype for key in left)


def files(folder):
    return sorted(path.name for path in folder.glob("*"))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.lists(st.integers(0, 30), min_size=1, max_size=6))
def test_every_save_comes_back_whatever_the_capacity(ring, tmp_path_factory, capacity, additions):
    folder = tmp_path_factory.mktemp("replay")
    replay = ring(capacity)
    segments = Segments(folder, replay, LENGTH)
    for count in additions:
        replay.add(count)
        state = segments.state_dict()
        same(replay, restored(ring, folder, state, capacity))
        segments.prune({reference.name for reference in segments.references})
        assert files(folder) == sorted(reference.name for reference in segments.references)
        loose = sum(len(state[end].get("reward", ())) for end in ("head", "tail"))
        assert loose < 2 * LENGTH, "a checkpoint holds less than two segments of rows itself"


def test_a_full_segment_is_never_rewritten(ring, tmp_path):
    replay = ring(100)
    segments = Segments(tmp_path, replay, LENGTH)
    replay.add(20)
    segments.state_dict()
    assert files(tmp_path) == ["rows_000000000000.safetensors", "rows_000000000008.safetensors"]
    before = {name: os.stat(tmp_path / name) for name in files(tmp_path)}
    replay.add(10)
    state = segments.state_dict()
    assert [name for name, _, _ in state["segments"]] == files(tmp_path)
    assert len(files(tmp_path)) == 3
    for name, stat in before.items():
        after = os.stat(tmp_path / name)
        assert (after.st_mtime_ns, after.st_ino) == (stat.st_mtime_ns, stat.st_ino)
    assert len(state["tail"]["reward"]) == 30 - 24


def test_an_old_segment_serves_while_part_of_it_is_in_the_ring(ring, tmp_path):
    replay = ring(16)
    segments = Segments(tmp_path, replay, LENGTH)
    replay.add(16)
    segments.state_dict()
    replay.add(4)  # rows 0..3 are overwritten
    state = segments.state_dict()
    assert state["segments"][0][0] == "rows_000000000000.safetensors"
    assert state["head"] == {}
    same(replay, restored(ring, tmp_path, state, 16))


def test_rows_overwritten_before_any_checkpoint_go_into_the_head(ring, tmp_path):
    replay = ring(16)
    segments = Segments(tmp_path, replay, LENGTH)
    replay.add(21)  # holds 5..20
    state = segments.state_dict()
    assert files(tmp_path) == ["rows_000000000008.safetensors"]
    assert len(state["head"]["reward"]) == 3
    assert len(state["tail"]["reward"]) == 5
    same(replay, restored(ring, tmp_path, state, 16))


def test_segments_from_after_the_checkpoint_are_written_again(ring, tmp_path):
    replay = ring(100)
    segments = Segments(tmp_path, replay, LENGTH)
    replay.add(10)
    early = segments.state_dict()
    replay.add(10)
    segments.state_dict()

    resumed = ring(100)
    again = Segments(tmp_path, resumed, LENGTH)
    again.load_state_dict(early)
    resumed.add(10, salt=1000)  # another future
    state = again.state_dict()
    same(resumed, restored(ring, tmp_path, state, 100))


def test_the_length_of_the_run_that_wrote_them_is_kept(ring, tmp_path):
    replay = ring(100)
    replay.add(20)
    state = Segments(tmp_path, replay, LENGTH).state_dict()
    resumed = ring(100)
    longer = Segments(tmp_path, resumed, 4 * LENGTH)
    longer.load_state_dict(state)
    same(replay, resumed)
    assert longer.state_dict()["length"] == LENGTH


def test_prune_removes_leftovers_and_nothing_else(ring, tmp_path):
    replay = ring(100)
    segments = Segments(tmp_path, replay, LENGTH)
    replay.add(8)
    segments.state_dict()
    (tmp_path / ".rows_000000000008.safetensors.tmp").write_bytes(b"half")
    (tmp_path / "rows_000000000800.safetensors").write_bytes(b"future")
    (tmp_path / "notes.txt").write_text("mine")
    segments.prune({"rows_000000000000.safetensors"})
    assert files(tmp_path) == ["notes.txt", "rows_000000000000.safetensors"]


def test_what_was_pruned_is_written_again(ring, tmp_path):
    replay = ring(100)
    segments = Segments(tmp_path, replay, LENGTH)
    replay.add(8)
    segments.state_dict()
    segments.prune(set())
    assert files(tmp_path) == []
    same(replay, restored(ring, tmp_path, segments.state_dict(), 100))


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_less_than_a_segment_makes_no_file(ring, tmp_path, rows):
    replay = ring(100)
    replay.add(rows)
    state = Segments(tmp_path, replay, LENGTH).state_dict()
    assert files(tmp_path) == []
    same(replay, restored(ring, tmp_path, state, 100))


# ------------------------------------------------------------ frames of replay

PIXELS = Spec({"pixels": (6, 4, 5)}, 1, stack=2)


def filmed(start, stop, replay):
    """Add rows of random pictures; an episode has five rows, and environments are out of step."""
    for time in range(start, stop):
        pixels = torch.randint(256, (2, 6, 4, 5), generator=torch.Generator().manual_seed(time), dtype=torch.uint8)
        now = torch.full((2,), float(time))
        last = torch.tensor([time % 5 == 4, time % 5 == 2])
        replay.add(Step({"pixels": pixels}, now[:, None], now, torch.zeros(2, dtype=torch.bool), last))


def empty(folder):
    return Replay(ReplayConfig(22, memory_map=folder is not None), PIXELS, 2, 0.9, seed=0, folder=folder)


@pytest.mark.parametrize("rows", [5, 11, 40])
@pytest.mark.parametrize("mapped", [False, True], ids=["memory", "file"])
def test_a_resumed_replay_of_frames_draws_and_goes_on_exactly(tmp_path, rows, mapped):
    """Also in a folder where the file of frames is ahead of the checkpoint."""
    folder = tmp_path if mapped else None
    replay = empty(folder)
    filmed(0, rows, replay)
    segments = Segments(tmp_path / "replay", replay, LENGTH)
    state, sampling = segments.state_dict(), replay.state_dict()
    assert all(state[end]["obs.pixels"].dtype == torch.uint8 for end in ("head", "tail") if state[end])
    expected = [replay.sample(16) for _ in range(3)]
    filmed(rows, rows + 7, replay)
    later = replay.sample(16)

    again = empty(folder)
    Segments(tmp_path / "replay", again, LENGTH).load_state_dict(state)
    again.load_state_dict(sampling)
    resumed = [again.sample(16) for _ in range(3)]
    filmed(rows, rows + 7, again)
    for before, after in zip([*expected, later], [*resumed, again.sample(16)], strict=True):
        assert torch.equal(before.obs["pixels"], after.obs["pixels"])
        assert all(torch.equal(a, b) for a, b in zip(before[1:7], after[1:7], strict=True))


def test_segments_hold_frames_as_bytes(tmp_path):
    replay = Replay(ReplayConfig(40), PIXELS, 2, 0.9, seed=0)
    filmed(0, 16, replay)
    segments = Segments(tmp_path / "replay", replay, LENGTH)
    segments.state_dict()
    frames, numbers = LENGTH * 2 * 3 * 4 * 5, LENGTH * 2 * 4 * replay.ring.shape[-1]
    assert len(segments.references) == 2
    assert all(frames + numbers < reference.bytes < frames + numbers + 1000 for reference in segments.references)
