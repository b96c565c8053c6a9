"""What encoders show, to the media folder of a run: still pictures as png, films as mp4. Shapes: see `softrl.types`."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from softrl.errors import disk_errors
from softrl.run import video
from softrl.run.events import Events
from softrl.run.files import make_folder, replace_file

RATE = 10.0
"""Frames a second of a film, slow enough to see where prediction leaves the truth."""
ENLARGED = 2
"""Height and width of a film's pixels: a video has one sample of colour for each 2x2 pixels."""


def show(
    media: Path, env_steps: int, events: Events, pictures: Mapping[str, Tensor], films: Mapping[str, Tensor]
) -> None:
    """Write pictures [3,H,W] and films [T,3,H,W], bytes by name, to <env_steps>_<name>.png and .mp4.

    Pictures go to TensorBoard too. Films do not: as a GIF one takes ten times the room, and all of it is loaded.

    Raises:
        UserError: the disk is full, the place cannot be written, or PyAV is missing.
    """
    for name, picture in pictures.items():
        png = encoded(picture.movedim(0, -1).numpy(force=True))
        write(media / f"{env_steps}_{name}.png", png)
        events.picture(env_steps, name, png)
    for name, film in films.items():
        video.write(media / f"{env_steps}_{name}.mp4", enlarged(film), RATE)


def encoded(pixels: np.ndarray) -> bytes:
    """A png of uint8 pixels [H,W,3]."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def enlarged(film: Tensor) -> np.ndarray:
    """The frames of a film as a video is written from, bytes [T,3,H,W] -> [T,2*H,2*W,3]."""
    frames = film.movedim(1, -1).numpy(force=True)
    return frames.repeat(ENLARGED, 1).repeat(ENLARGED, 2)


def write(path: Path, png: bytes) -> None:
    """Put a picture at `path`, whole or not at all.

    Raises:
        UserError: the disk is full or the place cannot be written.
    """
    with disk_errors(f"{path}", "make room, then resume"):
        make_folder(path.parent)
        replace_file(path, png)
