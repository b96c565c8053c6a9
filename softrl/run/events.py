"""TensorBoard event files that can be cut back to a checkpoint."""

import io
import math
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from softrl.run.files import AppendedFile, cut_back, run_errors

_PATTERN = "events.out.tfevents.*"
_OURS = ".softrl"  # ends the names of files that a load may delete; a callback may write others
_LONGEST = 100  # frames of a video in an event file; TensorBoard loads every byte
_SLOWEST = 60_000  # milliseconds of one of them; a GIF has room for ten times as many


class Events:
    """Scalars and videos for TensorBoard, x axis environment steps.

    Records go straight into the file: tensorboardX's own writer has a thread and a queue, which a fork of
    environment workers would copy, and hides how far the disk has got.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, int] = {}  # finished files of earlier processes, with their lengths
        self._file: AppendedFile | None = None  # opened by the first record: a resume must not leave empty files

    def scalars(self, env_steps: int, values: Mapping[str, float]) -> None:
        """Write one point for every tag."""
        from tensorboardX.proto.summary_pb2 import Summary

        self._write(env_steps, Summary(value=[Summary.Value(tag=tag, simple_value=v) for tag, v in values.items()]))

    def video(self, env_steps: int, tag: str, frames: Sequence[np.ndarray], fps: float) -> None:
        """Write uint8 frames [H,W,3] as an animated image under `media/`, thinned out to a hundred."""
        from PIL import Image

        stride = math.ceil(len(frames) / _LONGEST)
        images = [Image.fromarray(frame) for frame in frames[::stride]]
        buffer = io.BytesIO()
        duration = min(1000 * stride / fps, _SLOWEST)  # milliseconds a frame
        images[0].save(buffer, format="GIF", save_all=True, append_images=images[1:], duration=duration, loop=0)
        self.picture(env_steps, tag, buffer.getvalue())

    def picture(self, env_steps: int, tag: str, data: bytes) -> None:
        """Write an encoded image, still or animated, under `media/`."""
        from PIL import Image
        from tensorboardX.proto.summary_pb2 import Summary

        width, height = Image.open(io.BytesIO(data)).size
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=data)
        self._write(env_steps, Summary(value=[Summary.Value(tag=f"media/{tag}", image=image)]))

    def state_dict(self) -> dict[str, Any]:
        """Bytes of every event file that are on the disk for certain."""
        if self._file is not None:
            self._files[self._file.path.name] = self._file.position()
        return {"files": dict(self._files)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Cut the event files back; those of ours born later are deleted, the next record opens a new one.

        A running TensorBoard would lose its place in a file that is cut and written again.
        """
        self.close()
        self._file = None
        self._files = dict(state["files"])
        for path in self._folder.glob(_PATTERN):
            if path.name in self._files:
                cut_back(path, self._files[path.name])
            elif path.name.endswith(_OURS):
                with run_errors(self._folder, path):
                    path.unlink()

    def close(self) -> None:
        """Close the file that is open."""
        if self._file is not None:
            self._file.close()

    def _write(self, env_steps: int, summary: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        if self._file is None:
            name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{len(self._files)}{_OURS}"
            first = Event(wall_time=time.time(), file_version="brain.Event:2")
            self._file = AppendedFile(self._folder / name, _record(first.SerializeToString()))
        event = Event(wall_time=time.time(), step=env_steps, summary=summary)
        self._file.append(_record(event.SerializeToString()))


def _record(data: bytes) -> bytes:
    """TensorFlow's record framing: length, its checksum, data, its checksum."""
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))
