"""Still pictures to png files."""

import io
from pathlib import Path

import numpy as np

from softrl.run.files import disk_errors, make_folder, replace_file


def encoded(pixels: np.ndarray) -> bytes:
    """A png of uint8 pixels [H,W,3]."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def write(path: Path, png: bytes) -> None:
    """Put a picture at `path`, whole or not at all.

    Raises:
        UserError: the disk is full or the place cannot be written.
    """
    with disk_errors(f"{path}", "make room, then resume"):
        make_folder(path.parent)
        replace_file(path, png)
