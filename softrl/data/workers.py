"""Worker processes of vector environments: how they start, and how their failures are told."""

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any

import gymnasium
from gymnasium.vector import AsyncVectorEnv
from gymnasium.vector.async_vector_env import AsyncState, _async_worker

from softrl.errors import UserError

SILENT = 100  # above every level of Gymnasium's log
HERE = "softrl.data.envs"
SIMULATORS = ("mujoco", "dm_control.suite")
"""What takes seconds to import, and opens a connection to the graphics driver that cannot be shared with a fork."""


def start_method(drawing: bool) -> str:
    """How workers start: never by forking this process, in which torch has threads whose locks a copy would inherit.

    What takes long to import, and is needed here, is imported once for all, in the server that they are forks of;
    environments that are `drawing` import their simulator themselves.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return "spawn"
    simulators = [name for name in SIMULATORS if name in sys.modules and not drawing]
    multiprocessing.set_forkserver_preload([HERE, *simulators])
    return "forkserver"


GRACE = 300
"""Seconds after which a worker that was sent a signal looks whether its trainer is gone."""


def outlive_signals() -> None:
    """Let a worker outlive what is meant for its parent, which still asks it for its state before it saves.

    Ctrl-C in a terminal does not reach a session of its own. Signals to all processes of a job do: a trainer that hears
    them saves, however long that takes, and one that ignores them goes on, so a worker ends when its trainer has.
    """
    if os.name == "posix":
        os.setsid()
        signal.signal(signal.SIGALRM, end_without_trainer)
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"):
            signal.signal(getattr(signal, name), lambda number, frame: signal.alarm(GRACE))


def end_without_trainer(number: int, frame: FrameType | None) -> None:
    """End this process, unless its trainer still lives; then look again later."""
    trainer = multiprocessing.parent_process()
    if trainer is None or not trainer.is_alive():
        raise SystemExit(1)
    signal.alarm(GRACE)


def work(index: int, factory: Any, pipe: Any, parent_pipe: Any, shared: Any, errors: Any, *more: Any) -> None:
    """Serve a vector from a process of its own, and end without a word when the trainer is gone."""
    try:
        env = factory()
    except Exception as error:
        parent_pipe.close()  # or the end of the trainer would not be heard
        with suppress(EOFError, OSError):
            pipe.recv()  # the first question to be answered
            errors.put((index, type(error), error, "".join(traceback.format_exception(error))))
            pipe.send((None, False))
        return
    try:
        _async_worker(index, lambda: env, pipe, parent_pipe, shared, errors, *more)
    except (BrokenPipeError, ConnectionResetError):
        trainer = multiprocessing.parent_process()
        if trainer is None:
            raise
        trainer.join(1)  # its pipes close one after the other
        if trainer.is_alive():
            raise


def kill(process: Any) -> None:
    """End a worker and what its environment has started, a simulator for instance."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, OSError):  # it had not come to a session of its own yet
        process.kill()


class Workers(AsyncVectorEnv):
    """Environments in processes of their own, which put off other signals and are ended by SIGKILL."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **{"worker": work, **named})

    def close_extras(self, timeout: float | None = None, terminate: bool = False) -> None:
        """Let the workers end, or end them."""
        if terminate:
            for process in self.processes:
                kill(process)
            self._state = AsyncState.DEFAULT  # nobody is left to be waited for
        super().close_extras(timeout, terminate)


@contextmanager
def unimported_main() -> Iterator[None]:
    """Keep workers from importing the user's script, which would run it again where no `__name__` guards it.

    They do not need it: what they are given is pickled by value.
    """
    main = vars(sys.modules["__main__"])
    told = {name: main.get(name) for name in ("__file__", "__spec__")}
    main.update(dict.fromkeys(told))
    try:
        yield
    finally:
        main.update(told)


@contextmanager
def told_once() -> Iterator[None]:
    """Let what a worker raises while it makes its environment pass as it was raised."""
    level, gymnasium.logger.min_level = gymnasium.logger.min_level, SILENT  # it would print the worker's traceback
    try:
        yield
    except UserError as error:
        [first, *_] = error.args
        raise first if isinstance(first, UserError) else error from None
    finally:
        gymnasium.logger.min_level = level


@contextmanager
def worker_errors(vec: Any) -> Iterator[None]:
    """Turn the failures of a vector's workers into UserError, and end the workers that are left."""
    level, gymnasium.logger.min_level = gymnasium.logger.min_level, SILENT  # it would print the worker's traceback
    try:
        yield
    except UserError as error:
        end(vec)
        [first, *_] = error.args
        if isinstance(first, UserError):  # as it came out of a worker
            raise UserError(str(first)) from first
        raise
    except (EOFError, OSError) as error:
        end(vec)
        raise UserError(
            "a process of the environment died, perhaps killed for want of memory: resume from the last checkpoint, or "
            "start with fewer environments or --env.workers sync"
        ) from error
    except KeyboardInterrupt:
        end(vec)  # `close` would wait for a step that may never come
        raise
    finally:
        gymnasium.logger.min_level = level


def end(vec: Any) -> None:
    """End what is left of a vector: workers, whose replies may never come, at once; what runs here is closed."""
    closings = [env.close for env in getattr(vec, "envs", [])] or [partial(vec.close, terminate=True)]
    for close in closings:
        with suppress(Exception):  # what is told is the failure before it, and the others are closed all the same
            close()
    vec.closed = True
