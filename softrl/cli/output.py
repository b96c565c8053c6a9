"""Standard output, and warnings: whatever became of it, a command ends in order."""

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from softrl.errors import Caution, Refused, UserError


def prepare() -> None:
    """Let standard output take every text: it may have been closed, or have an encoding that lacks some letters."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (open for the life of the process)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


@contextmanager
def warnings_as_sentences() -> Iterator[None]:
    """Print our own warnings, which Python would show with a line of the source, like every other sentence."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, Caution | Refused):
                print(f"softrl: {message}", file=sys.stderr, flush=True)
            else:
                shown(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


def leave_out_cautions() -> None:
    """Say nothing from here on of what nobody may mean; what was damaged is said all the same."""
    warnings.simplefilter("ignore", Caution)


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
