"""Arguments of these programs: numbers and names, several at once, and mistakes told in a sentence."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from softrl.errors import UserError


def positive(text: str) -> int:
    """A whole number of at least one."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least 1")
    return int(text)


def several(read: Callable[[str], Any]) -> Callable[[str], Sequence[Any]]:
    """Values separated by commas."""
    return lambda text: [read(word) for word in text.split(",")]


def one_of(names: Iterable[str]) -> Callable[[str], str]:
    """One of these names."""
    known = list(names)

    def read(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"'{text}' is none of {', '.join(known)}")
        return text

    return read


def answered(main: Callable[[], object]) -> None:
    """Run a program; what a person got wrong is one sentence and exit code 2."""
    try:
        main()
    except UserError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
