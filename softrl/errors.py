"""What a person can get wrong, said in one sentence."""

import errno
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

FULL = (errno.ENOSPC, errno.EDQUOT)
"""How an operating system says that nothing more fits: the disk is full, or the quota used up."""


class UserError(Exception):
    """A mistake or a circumstance outside the program: the command line prints the sentence and exits with code 2."""


class Caution(UserWarning):
    """What hardly anybody means and nothing forbids: the command line says it as a sentence, or nothing if quiet."""


class Refused(UserWarning):
    """What was passed over because it is damaged: the command line says it as a sentence, always."""


def own_traceback(error: BaseException | None) -> str:
    """The traceback of a person's own code that a sentence brings along, also out of a worker process; else nothing."""
    while isinstance(error, UserError):
        if notes := getattr(error, "__notes__", []):
            return str(notes[0])
        error = None if error.__cause__ is error else error.__cause__
    return ""


def nearest(name: str, options: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: `; did you mean 'x'?`, or nothing when no option is near."""
    close = get_close_matches(name.lower(), {option.lower(): option for option in options}, n=1, cutoff=0.5)
    original = {option.lower(): option for option in options}
    return f"; did you mean '{original[close[0]]}'?" if close else ""


def either(names: Sequence[str]) -> str:
    """Names as a sentence lists those of which one is to be chosen: `a`, `a or b`, `a, b or c`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


@contextmanager
def import_errors(what: str, module: str, advice: str = "") -> Iterator[None]:
    """Turn whatever the import of a person's module raises into one sentence: why not `what`, then `advice`.

    Where there is none it says where a module is looked for.

    Raises:
        UserError: the module is not there, is named by its path, or fails.
    """
    if not module or module.startswith(".") or module.endswith(".py") or "/" in module or "\\" in module:
        raise UserError(
            f"{what} cannot be imported: a module's name, as in `import package.module`, must stand before the colon, "
            f"and '{module}' is {'a path' if module else 'none'}"
        )
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # a module of a person's own may raise anything, or be a script
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        package = module.partition(".")[0]
        where = f"run from the folder that holds {package}, set PYTHONPATH to it, or install or mend its package"
        raise UserError(f"{what} cannot be imported ({reason}): {advice or where}") from error


@contextmanager
def disk_errors(what: str, advice: str) -> Iterator[None]:
    """Turn an operating system's refusal to write `what` into one sentence that ends with `advice`.

    Raises:
        UserError: the disk is full, the quota used up, or the place cannot be written.
    """
    try:
        yield
    except OSError as error:
        reason = "the disk is full" if error.errno in FULL else (error.strerror or str(error)).lower()
        raise UserError(f"cannot write {what}, {reason}: {advice}") from error
