"""Memory that is used up, in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

from softrl.errors import UserError

ALLOCATORS = ("DefaultCPUAllocator", "out of memory", "Storage size calculation overflowed")
"""What torch says in errors of no kind of their own."""


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn what Python, NumPy or torch raise for want of memory into a UserError; all else passes."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        told = [part for part in str(error).split(". ") if any(name in part for name in ALLOCATORS)]
        if not told and not isinstance(error, MemoryError):
            raise
        reason = f" ({(told or [str(error)])[0]})" if str(error) else ""
        raise UserError(
            f"there is not enough memory{reason}: lower --replay.capacity, --train.batch, --envs or the sizes of "
            "networks or of the action space; a run that has a checkpoint goes on with `softrl resume`"
        ) from error
