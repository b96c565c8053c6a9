"""Signals, as Ctrl-C, end a run at its next step, with everything saved; before its first one, without a trace."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at Ctrl-C, SIGTERM, SIGUSR1 and a lost terminal; a second Ctrl-C ends the process at once.

    What was started with nohup outlives its terminal. Only the main thread hears signals.
    """

    def heard(number: int, frame: FrameType | None) -> None:
        stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ending = (signal.SIGINT, signal.SIGTERM, *deadly())
    before = {number: signal.signal(number, heard) for number in ending}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def deadly() -> list[signal.Signals]:
    """Signals of a terminal or a scheduler that would end this process, as they do where nobody has said otherwise."""
    known = (getattr(signal, name, None) for name in ("SIGHUP", "SIGUSR1"))
    ours = (signal.SIG_DFL, signal.default_int_handler)  # the latter while a run is set up
    return [number for number in known if number and signal.getsignal(number) in ours]


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Let other signals interrupt as Ctrl-C does, so that what was begun is cleared away; in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ending = (signal.SIGTERM, *deadly())
    before = {number: signal.signal(number, signal.default_int_handler) for number in ending}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
