"""Arrays in files: what was there before is refused and kept, and the room for what is made is really taken."""

import os
import resource
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from softrl.data.mapped import mapped
from softrl.errors import UserError


def test_what_is_written_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "frames.npy"
    mapped(path, (4, 6))[2] = torch.arange(6, dtype=torch.uint8)
    expected = np.zeros((4, 6), np.uint8)
    expected[2] = range(6)
    assert np.array_equal(np.load(path), expected)
    assert torch.equal(mapped(path, (4, 6)), torch.from_numpy(expected))


@pytest.mark.parametrize("content", [b"", b"notes of mine", np.lib.format.MAGIC_PREFIX + b"\x01\x00\x10\x00{'descr'"])
def test_a_file_that_holds_no_frames_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "frames.npy"
    path.write_bytes(content)
    with pytest.raises(UserError, match="move it away"):
        mapped(path, (4, 1, 3, 2, 3))
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "other", [np.zeros((4, 6), np.float32), np.zeros((4, 6), np.uint8, "F")], ids=["type", "order"]
)
def test_an_array_of_another_kind_is_refused(tmp_path: Path, other: np.ndarray) -> None:
    np.save(tmp_path / "frames.npy", other)
    with pytest.raises(UserError, match="another run"):
        mapped(tmp_path / "frames.npy", (4, 6))


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    mapped(tmp_path / "frames.npy", (40, 6))
    os.truncate(tmp_path / "frames.npy", 200)
    with pytest.raises(UserError, match="move it away"):
        mapped(tmp_path / "frames.npy", (40, 6))


def test_room_is_really_taken(tmp_path: Path) -> None:
    """A limit of the system's own on the size of files refuses it at once; a file that is made has all its blocks."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(UserError, match="cannot write"):
            mapped(tmp_path / "frames.npy", (1000, 1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
    mapped(tmp_path / "frames.npy", (1000, 1000))
    assert os.stat(tmp_path / "frames.npy").st_blocks * 512 >= 1_000_000


def test_where_room_cannot_be_taken_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS."""
    monkeypatch.delattr(os, "posix_fallocate")
    frames = mapped(tmp_path / "frames.npy", (40, 6))
    frames[39] = 7
    assert np.load(tmp_path / "frames.npy").sum() == 6 * 7
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=999_999))
    with pytest.raises(UserError, match=r"with 0\.0 GB of frames, the disk is full: make room, lower replay\.capacity"):
        mapped(tmp_path / "more.npy", (1000, 1000))
    assert [path.name for path in tmp_path.iterdir()] == ["frames.npy"]
