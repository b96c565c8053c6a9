"""Event files: valid records that TensorBoard reads, cut back with the rest of the log."""

import io
import struct

import numpy as np
import pytest
from PIL import Image
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from softrl.run.events import Events


def read_events(path):
    """Events of a file; every length and checksum is verified."""
    data = path.read_bytes()
    events = []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12])[0] == masked_crc32c(data[:8])
        record = data[12 : 12 + length]
        assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked_crc32c(record)
        events.append(Event.FromString(record))
        data = data[16 + length :]
    return events


def files(folder):
    return sorted(folder.glob("events.out.tfevents.*"))


def points(folder):
    """(step, tag, value) of all files."""
    found = []
    for path in files(folder):
        first, *events = read_events(path)
        assert first.file_version == "brain.Event:2"
        found += [(event.step, value.tag, value.simple_value) for event in events for value in event.summary.value]
    return sorted(found)


def test_scalars_are_there_at_once(tmp_path):
    events = Events(tmp_path)
    assert files(tmp_path) == [], "a run that writes nothing leaves nothing"
    events.scalars(10, {"eval/mean_reward": 1.5, "train/critic_loss": 0.25})
    events.scalars(2**40, {"eval/mean_reward": -2.0})
    assert points(tmp_path) == [
        (10, "eval/mean_reward", 1.5),
        (10, "train/critic_loss", 0.25),
        (2**40, "eval/mean_reward", -2.0),
    ]


def test_values_that_are_not_finite_are_kept(tmp_path):
    events = Events(tmp_path)
    events.scalars(1, {"a": float("inf")})
    assert points(tmp_path) == [(1, "a", float("inf"))]


def test_files_of_others_are_left_alone(tmp_path):
    """A callback may write into the folder of its run."""
    other = tmp_path / "events.out.tfevents.1.host"
    other.write_bytes(b"theirs")
    events = Events(tmp_path)
    state = events.state_dict()
    events.scalars(1, {"a": 1.0})
    events.load_state_dict(state)
    assert files(tmp_path) == [other]
    assert other.read_bytes() == b"theirs"


def test_resume_cuts_back_and_goes_on_in_a_new_file(tmp_path):
    first = Events(tmp_path)
    first.scalars(1, {"a": 1.0})
    state = first.state_dict()
    first.scalars(2, {"a": 2.0})  # after the checkpoint
    old = files(tmp_path)

    second = Events(tmp_path)
    second.load_state_dict(state)
    second.scalars(2, {"a": 2.5})
    assert len(files(tmp_path)) == 2
    assert points(tmp_path) == [(1, "a", 1.0), (2, "a", 2.5)]
    again = second.state_dict()
    second.scalars(3, {"a": 3.0})

    third = Events(tmp_path)
    third.load_state_dict(again)
    third.scalars(3, {"a": 3.5})
    assert points(tmp_path) == [(1, "a", 1.0), (2, "a", 2.5), (3, "a", 3.5)]
    assert set(old) < set(files(tmp_path))

    fourth = Events(tmp_path)
    fourth.load_state_dict(state)
    assert files(tmp_path) == old, "files born after the checkpoint are gone"
    assert points(tmp_path) == [(1, "a", 1.0)]


@pytest.mark.parametrize(("frames", "kept"), [(1, 1), (60, 60), (250, 84)])
def test_videos_are_animated_images_under_media(tmp_path, frames, kept):
    shades = [np.full((12, 16, 3), index, np.uint8) for index in range(frames)]
    Events(tmp_path).video(7, "evaluation", shades, fps=25.0)
    (path,) = files(tmp_path)
    _, event = read_events(path)
    (value,) = event.summary.value
    assert (event.step, value.tag, value.image.height, value.image.width) == (7, "media/evaluation", 12, 16)
    assert Image.open(io.BytesIO(value.image.encoded_image_string)).n_frames == kept


def test_a_frame_of_hours_is_shown_for_a_minute(tmp_path):
    Events(tmp_path).video(7, "evaluation", [np.full((4, 4, 3), 99 * i, np.uint8) for i in range(2)], fps=1e-4)
    (path,) = files(tmp_path)
    [value] = read_events(path)[1].summary.value
    assert Image.open(io.BytesIO(value.image.encoded_image_string)).info["duration"] == 60_000
