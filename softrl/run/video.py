"""Frames to an mp4 file, and the frames of one episode until then."""

import os
from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from softrl.data.failures import one_line
from softrl.errors import UserError, disk_errors
from softrl.run.paths import standing

LARGEST = 2**31
"""Bytes of the frames of one film, which lie in memory until it is written."""


class EndlessError(UserError):
    """An episode that is too long for a film."""


class Reel(list[np.ndarray]):
    """The frames of one film."""

    def add(self, frame: np.ndarray) -> None:
        """Append one; raises EndlessError where all of them would take more memory than a film may."""
        if (len(self) + 1) * frame.nbytes > LARGEST:
            raise EndlessError(
                f"the video of one episode takes more than {LARGEST / 1e9:.1f} GB of memory after {len(self)} frames: "
                "give episodes an end, as with --env.time_limit 1000, or make it smaller with --video.size"
            )
        self.append(frame)


def target(path: str | Path) -> Path:
    """Where a video of that name is to be, from wherever; raises UserError where the name says that it is no mp4."""
    if Path(path).suffix.lower() != ".mp4":
        raise UserError(f"videos are .mp4 files, and '{path}' is to be another: name it {Path(path).stem}.mp4")
    return standing(path)


def write(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """Encode uint8 frames [H,W,3] of one size as H.264 in an mp4; the file appears whole or not at all.

    An odd height or width is padded by repeating the last row or column, since 4:2:0 colour needs even ones.

    Raises:
        UserError: PyAV is missing, there are no frames, or the file cannot be written.
    """
    try:
        import av
    except ImportError as error:
        raise UserError("videos need PyAV: install it with `pip install av`") from error
    temporary = path.with_name(f".{path.name}.partial")
    with disk_errors(f"{path}", "give the video another place"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with av.open(str(temporary), "w", format="mp4") as container:
                _encode(container, frames, fps)
            os.replace(temporary, path)
        except OSError:  # some errors of FFmpeg are those of the disk
            raise
        except av.FFmpegError as error:
            raise UserError(
                f"H.264 cannot encode the frames of {path.name} ({one_line(error)}): let the environment give another "
                "size, or use --video.every never"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)


def _encode(container: Any, frames: Iterable[np.ndarray], fps: float) -> None:
    from av import VideoFrame

    images = (VideoFrame.from_ndarray(_even(frame), format="rgb24") for frame in frames)
    first = next(images, None)
    if first is None:
        raise UserError("there are no frames to make a video of: let the episode take at least one step")
    try:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
    except ValueError as error:
        raise UserError(f"videos need a PyAV with libx264 ({error}): get it with `pip install av`") from error
    stream.width, stream.height, stream.pix_fmt = first.width, first.height, "yuv420p"
    for image in chain([first], images, [None]):  # None flushes the encoder
        container.mux(stream.encode(image))


def _even(frame: np.ndarray) -> np.ndarray:
    height, width, _ = frame.shape
    return np.ascontiguousarray(np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"))
