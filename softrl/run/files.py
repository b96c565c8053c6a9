"""Files that survive a crash: durable writes, digests, append-only files that can be cut back, disk errors."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from softrl.errors import FULL, disk_errors


@contextmanager
def run_errors(run: Path, what: Path) -> Iterator[None]:
    """Turn a refusal to write `what` into one sentence that says whether the run in that folder can go on.

    Raises:
        UserError: the disk is full, or the place cannot be written.
    """
    try:
        yield
    except OSError as error:
        with disk_errors(f"{what}", way_out(run, error)):
            raise


def way_out(run: Path, error: OSError) -> str:
    """What to do about a refusal, which before a run's first checkpoint ends it."""
    remedy = "make room" if error.errno in FULL else "let it be written"
    if not os.path.isdir(run):
        return f"the run folder {run} no longer exists, start another run"
    if not any(run.glob("checkpoints/step_*[0-9]")):
        return f"{remedy} and start again"
    return f"nothing was lost, {remedy} and go on with `softrl resume`"


def write_durably(path: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the disk has the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder that may exist, and wait until the disk has its name."""
    if not path.is_dir():
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Put a whole file at `path`, or leave what was there: a temporary sibling, then a rename."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write_durably(temporary, data)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def digest(data: bytes) -> str:
    """Sha256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str:
    """Sha256 of a file in hexadecimal, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cut_back(path: Path, position: int) -> None:
    """Drop everything after `position`; a file that is gone or shorter (someone edited it) is kept as it is.

    Raises:
        UserError: the file of a run cannot be written.
    """
    with run_errors(path.parent, path):
        if path.exists() and path.stat().st_size > position:
            os.truncate(path, position)


class AppendedFile:
    """A file that only grows, knows how far the disk has it, and can be cut back to there."""

    def __init__(self, path: Path, header: bytes = b"") -> None:
        self.path = path
        self._header = header
        self._open()

    def append(self, data: bytes) -> None:
        """Add bytes and hand them to the operating system, so that another process sees whole records.

        Raises:
            UserError: the disk is full, or the file cannot be written.
        """
        with run_errors(self.path.parent, self.path):
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]

    def position(self) -> int:
        """Bytes that are on the disk for certain.

        Raises:
            UserError: the disk is full, or the file cannot be written.
        """
        with run_errors(self.path.parent, self.path):
            os.fsync(self._file.fileno())
        return self._file.tell()

    def cut(self, position: int) -> None:
        """Drop everything after `position`.

        Raises:
            UserError: it cannot be written.
        """
        self._file.close()
        cut_back(self.path, position)
        self._open()

    def drop_half_line(self) -> None:
        """Drop what stands behind the last newline: the file was cut short by somebody else.

        Raises:
            UserError: it cannot be read or written.
        """
        with run_errors(self.path.parent, self.path):
            whole = self.path.read_bytes().rfind(b"\n") + 1
        self.cut(whole)

    def close(self) -> None:
        """Close the file; nothing is lost by not calling this, every append was handed over."""
        self._file.close()

    def _open(self) -> None:
        with run_errors(self.path.parent, self.path):
            # no buffer: bytes that did not fit on a full disk must not come back when the file is closed
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 (open for the life of the run)
            if self._file.tell() == 0:
                self.append(self._header)
                sync_folder(self.path.parent)
