"""What a person can get wrong, said in one sentence."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake or a circumstance outside the program: the command line prints the sentence and exits with code 2."""


def nearest(name: str, options: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: `; did you mean 'x'?`, or nothing when no option is near."""
    close = get_close_matches(name.lower(), {option.lower(): option for option in options}, n=1, cutoff=0.5)
    original = {option.lower(): option for option in options}
    return f"; did you mean '{original[close[0]]}'?" if close else ""
