"""Signals ask once to stop, and are as before afterwards."""

import os
import signal
import threading

import pytest

from softrl.run.signals import stopped_by_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_asks_to_stop(number: signal.Signals) -> None:
    asked: list[bool] = []
    before = signal.signal(number, signal.SIG_DFL)  # under nohup it may be ignored, and would stay so
    try:
        with stopped_by_signals(lambda: asked.append(True)):
            os.kill(os.getpid(), number)
            assert asked == [True]
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def pressed_twice() -> None:
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_second_ctrl_c_is_the_usual_one() -> None:
    with pytest.raises(KeyboardInterrupt), stopped_by_signals(lambda: None):
        pressed_twice()


def test_other_threads_leave_signals_alone() -> None:
    handlers = []

    def work() -> None:
        with stopped_by_signals(lambda: None):
            handlers.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [before]


def test_what_outlives_its_terminal_goes_on() -> None:
    """As nohup has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_by_signals(lambda: None):
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
