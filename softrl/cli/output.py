"""Standard output: whatever became of it, a command ends in order."""

import io
import os
import sys

from softrl.errors import UserError


def prepare() -> None:
    """Let standard output take every text: it may have been closed, or have an encoding that lacks some letters."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (open for the life of the process)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def answer(text: str) -> None:
    """Print what a command was asked for.

    Raises:
        BrokenPipeError: the reader, such as `head`, has seen enough.
        UserError: it cannot be written, as where the disk is full.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard()
        raise
    except OSError as error:
        discard()
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"cannot write standard output, {reason}: send it elsewhere") from error


def discard() -> None:
    """Send what is still buffered, and all that follows, nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
