"""Pictures and films on disk, and pictures in TensorBoard's files, are those that were given."""

import io
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from softrl.errors import UserError
from softrl.run import pictures
from softrl.run.events import Events

PICTURE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def film(frames: int = 12, height: int = 21, width: int = 34) -> Tensor:
    """A block of one colour that moves to the right, a pixel with each frame, over a grey ground."""
    shown = torch.full((frames, 3, height, width), 90, dtype=torch.uint8)
    for t in range(frames):
        shown[t, :, 4:12, t : t + 8] = torch.tensor([220, 40, 60], dtype=torch.uint8)[:, None, None]
    return shown


def shown(path: Path) -> np.ndarray:
    """The frames of a video, [T,H,W,3]."""
    with av.open(str(path)) as container:
        assert float(container.streams.video[0].average_rate) == pictures.RATE
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def tags(folder: Path) -> set[str]:
    """The tags in TensorBoard's files."""
    from tensorboardX.proto.event_pb2 import Event

    found = set()
    for path in folder.glob("events.out.tfevents.*"):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            found |= {value.tag for value in Event.FromString(data[12 : 12 + length]).summary.value}
            data = data[16 + length :]
    return found


def test_a_png_holds_every_byte() -> None:
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(pictures.encoded(PICTURE)))), PICTURE)


def test_it_appears_whole_in_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "media" / "100_truth.png"
    pictures.write(path, pictures.encoded(PICTURE))
    assert np.array_equal(np.asarray(Image.open(path)), PICTURE)
    assert [file.name for file in path.parent.iterdir()] == ["100_truth.png"]


def test_pictures_and_films_are_named_by_step(tmp_path: Path) -> None:
    events, media = Events(tmp_path), tmp_path / "media"
    still = torch.from_numpy(PICTURE).movedim(-1, 0)
    pictures.show(media, 300, events, {"truth": still}, {"truth": film(), "other": film(3)})
    events.close()
    assert sorted(path.name for path in media.iterdir()) == ["300_other.mp4", "300_truth.mp4", "300_truth.png"]
    assert np.array_equal(np.asarray(Image.open(media / "300_truth.png")), PICTURE)
    assert len(shown(media / "300_other.mp4")) == 3
    assert tags(tmp_path) == {"media/truth"}


def test_a_film_shows_every_frame_at_twice_its_size(tmp_path: Path) -> None:
    events, given = Events(tmp_path), film()
    pictures.show(tmp_path, 0, events, {}, {"moving": given})
    seen = shown(tmp_path / "0_moving.mp4")
    assert seen.shape == (12, 42, 68, 3)
    for t, frame in enumerate(seen):
        for y, x in ((8, t + 4), (1, 1), (8, t + 11), (18, 30)):  # inside the block, and outside
            colour = frame[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].astype(int).reshape(4, 3)
            assert np.abs(colour - given[t, :, y, x].numpy()).max() < 25, (t, y, x)


def test_nothing_to_show_leaves_nothing(tmp_path: Path) -> None:
    pictures.show(tmp_path / "media", 0, Events(tmp_path), {}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "media").write_text("a file in the way")
    with pytest.raises(UserError, match="cannot write"):
        pictures.write(tmp_path / "media" / "1.png", b"")
    with pytest.raises(UserError, match="cannot write"):
        pictures.show(tmp_path / "media", 1, Events(tmp_path), {}, {"film": film()})


def test_films_without_pyav_are_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match="pip install av"):
        pictures.show(tmp_path, 1, Events(tmp_path), {}, {"film": film()})
