"""A large array in a file instead of in memory."""

import errno
import os
import shutil
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from softrl.errors import UserError, disk_errors
from softrl.types import Shape


def mapped(path: Path, shape: Shape) -> Tensor:
    """The uint8 array in a .npy file, to be read and written in place; a file that is not there is made.

    Raises:
        UserError: there is no room for it, or what is there has another shape; it is left as it is.
    """
    if not path.exists():
        make(path, shape)
    try:
        np.lib.format.open_memmap(path, mode="r")  # refuses a file that was cut short, which writing would lengthen
        array = np.lib.format.open_memmap(path, mode="r+")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no file of frames that can be read and written: move it away") from error
    if array.shape != shape or array.dtype != np.uint8 or not array.flags.c_contiguous:
        raise UserError(
            f"{path} holds {array.dtype} {list(array.shape)} where this run keeps uint8 {list(shape)}: it belongs to "
            "another run, so move it away or choose another folder"
        )
    return torch.from_numpy(array)


def take(file: int, start: int, size: int) -> None:
    """Take the room on the disk for so many bytes of a file behind its first `start`.

    Where the system cannot take it ahead, as macOS, the file only gets its length if there is as much room now.

    Raises:
        OSError: there is not.
    """
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is not None:
        allocate(file, start, size)
        return
    if shutil.disk_usage(file).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.ftruncate(file, start + size)


def make(path: Path, shape: Shape) -> None:
    """Make the file whole: all of its room is taken now, and none can be missing in the midst of a run; see `take`."""
    partial = path.with_name(f"{path.name}.partial")
    advice = "make room, lower replay.capacity, or leave out replay.memory_map"
    with disk_errors(f"{path} with {prod(shape) / 1e9:.1f} GB of frames", advice):
        try:
            with open(partial, "wb") as file:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                file.flush()
                take(file.fileno(), file.tell(), prod(shape))
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
