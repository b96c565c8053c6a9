"""What a person can get wrong, said in one sentence."""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class UserError(Exception):
    """A mistake or a circumstance outside the program: the command line prints the sentence and exits with code 2."""


def nearest(name: str, options: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: `; did you mean 'x'?`, or nothing when no option is near."""
    close = get_close_matches(name.lower(), {option.lower(): option for option in options}, n=1, cutoff=0.5)
    original = {option.lower(): option for option in options}
    return f"; did you mean '{original[close[0]]}'?" if close else ""


@contextmanager
def disk_errors(what: str, advice: str) -> Iterator[None]:
    """Turn an operating system's refusal to write `what` into one sentence that ends with `advice`.

    Raises:
        UserError: the disk is full, the quota used up, or the place cannot be written.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else (error.strerror or str(error)).lower()
        raise UserError(f"cannot write {what}, {reason}: {advice}") from error
