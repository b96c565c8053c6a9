"""Videos: playable, of even size, whole or not there, and refused in a sentence."""

import sys

import av
import numpy as np
import pytest

from softrl.errors import UserError
from softrl.run.video import Reel, write


def grey(height, width, count):
    return [np.full((height, width, 3), 20 * index, np.uint8) for index in range(count)]


@pytest.mark.parametrize(("size", "even"), [((64, 48), (64, 48)), ((63, 65), (64, 66))])
def test_what_is_written_can_be_played(tmp_path, size, even):
    path = tmp_path / "videos" / "0.mp4"
    write(path, iter(grey(*size, 10)), fps=20.0)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == 20.0
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(frames) == 10
    for index, frame in enumerate(frames):
        assert frame.shape == (*even, 3)
        assert abs(frame.astype(float).mean() - 20 * index) < 4
    assert list(path.parent.iterdir()) == [path]


def test_an_old_video_is_replaced_only_by_a_whole_one(tmp_path):
    path = tmp_path / "0.mp4"
    path.write_bytes(b"old")

    def broken():
        yield from grey(32, 32, 3)
        raise RuntimeError("the environment failed")

    with pytest.raises(RuntimeError, match="the environment failed"):
        write(path, broken(), fps=20.0)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_encoder_refuses(tmp_path):
    """Level 6.2 of H.264 ends at 16384 rows and columns."""
    with pytest.raises(UserError, match=r"H.264 cannot encode the frames of 0.mp4 \(.+\): let the environment give"):
        write(tmp_path / "0.mp4", grey(4, 20_000, 2), fps=20.0)
    assert list(tmp_path.iterdir()) == []


def test_no_frames(tmp_path):
    with pytest.raises(UserError, match="no frames"):
        write(tmp_path / "0.mp4", [], fps=20.0)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write(tmp_path / "file" / "0.mp4", grey(32, 32, 2), fps=20.0)


def test_without_pyav(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match="pip install av"):
        write(tmp_path / "0.mp4", grey(32, 32, 2), fps=20.0)


def test_a_film_longer_than_memory_is_refused(monkeypatch):
    monkeypatch.setattr("softrl.run.video.LARGEST", 3 * 32 * 32 * 3)
    reel = Reel()
    for frame in grey(32, 32, 3):
        reel.add(frame)
    with pytest.raises(UserError, match=r"after 3 frames: give episodes an end, .* with --video\.size"):
        reel.add(grey(32, 32, 1)[0])
    assert len(reel) == 3
