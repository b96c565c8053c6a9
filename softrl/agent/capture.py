"""Recording an update once and replaying it: one launch instead of hundreds."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from softrl.errors import UserError
from softrl.types import Window

Call = Callable[[], Any]
WARM_UPS = 3
"""Calls before a recording, in which kernels are compiled and libraries reserve what they work with."""


class Graph(Protocol):
    """What records the work of a device."""

    def warm(self, call: Call) -> Any:
        """Do the work apart from other work; returns its result."""

    def record(self, call: Call) -> Any:
        """Note the work without doing it; returns where the results of replays will lie."""

    def replay(self) -> None:
        """Do the noted work again, at the same places in memory."""


class CudaGraph:
    """A CUDA graph. Random numbers go on from torch's default generator at each replay, as they do without a graph."""

    def __init__(self, pool: Any, stream: Any) -> None:
        self.graph, self.pool, self.stream = torch.cuda.CUDAGraph(), pool, stream

    def warm(self, call: Call) -> Any:
        here = torch.cuda.current_stream()
        self.stream.wait_stream(here)
        with torch.cuda.stream(self.stream):
            result = call()
        here.wait_stream(self.stream)
        return result

    def record(self, call: Call) -> Any:
        # The outer context leaves the stream also where a recording fails; other threads may use the device meanwhile.
        with (
            torch.cuda.stream(torch.cuda.current_stream()),
            torch.cuda.graph(self.graph, self.pool, self.stream, capture_error_mode="thread_local"),
        ):
            return call()

    def replay(self) -> None:
        self.graph.replay()


class CudaGraphs:
    """Makes the CUDA graphs of one function.

    They share memory and a stream, as they never run at once and results are used before the next replay. Functions
    share neither: libraries keep what they work with by stream, and torch frees it with any graph of that stream.
    """

    def __init__(self) -> None:
        self.place: tuple[Any, Any] | None = None  # not asked for before there is something to record

    def __call__(self) -> CudaGraph:
        if self.place is None:
            self.place = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
        return CudaGraph(*self.place)


class Captured:
    """A function of (agent, window, static flags) that is called a few times, then recorded, then replayed.

    Every call is one call of the function: the first ones do the work as it comes, a recording does none, and what it
    noted is replayed at once. There is a recording for each agent, each set of flags and each shape of window; windows
    are copied to where the recorded work reads them. State must be changed in place, and nothing may wait for the
    device. Results are overwritten by the next replay.
    """

    def __init__(self, function: Callable[..., Any], graph: Callable[[], Graph] | None = None) -> None:
        self.function, self.graph = function, graph or CudaGraphs()
        self.windows: dict[tuple[Any, ...], Window] = {}
        self.launches: dict[tuple[Any, ...], Launch] = {}

    def __call__(self, agent: Any, window: Window, **flags: Any) -> Any:
        shapes = tuple((tensor.shape, tensor.dtype) for tensor in tensors(window))
        if shapes not in self.windows:
            self.windows[shapes] = window.map(partial(torch.empty_like, memory_format=torch.contiguous_format))
        static = self.windows[shapes]
        for place, value in zip(tensors(static), tensors(window), strict=True):
            place.copy_(value, non_blocking=True)
        key = (id(agent), shapes, tuple(sorted(flags.items())))
        if key not in self.launches:
            # Nothing of this object is in the call: a cycle would keep a device's memory until it is looked for.
            self.launches[key] = Launch(self.graph(), partial(self.function, agent, static, **flags))
        return self.launches[key]()


class Launch:
    """One recording of a call that is the same every time."""

    def __init__(self, graph: Graph, call: Call) -> None:
        self.graph, self.call = graph, call
        self.calls = 0
        self.result: Any = None

    def __call__(self) -> Any:
        self.calls += 1
        if self.calls <= WARM_UPS:
            return self.graph.warm(self.call)
        if self.calls == WARM_UPS + 1:
            self.result = recorded(self.graph, self.call)
        self.graph.replay()
        return self.result


def recorded(graph: Graph, call: Call) -> Any:
    """Where the results of replays will lie; raises UserError for work that waits for the device."""
    try:
        return graph.record(call)
    except RuntimeError as error:
        raise UserError(f"this update cannot be a CUDA graph ({error}): use --compile graph") from error


def tensors(window: Window) -> list[Tensor]:
    """The tensors of a window, observations first."""
    return [*window.obs.values(), *(tensor for tensor in window[1:] if tensor is not None)]


def in_turn(update: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Several updates, one after the other: of (agent, window, flags), each flag a tuple with a value for each update.

    The rows of the window are those of the first update, then those of the second and so on. Returns what each returns.
    """

    def run(agent: Any, window: Window, **flags: tuple[Any, ...]) -> list[Any]:
        calls = [dict(zip(flags, values, strict=True)) for values in zip(*flags.values(), strict=True)]
        return [update(agent, part, **call) for part, call in zip(parts(window, len(calls)), calls, strict=True)]

    return run


def parts(window: Window, count: int) -> list[Window]:
    """The rows of a window as `count` windows of as many rows each."""
    if count == 1:
        return [window]
    split = window.map(lambda tensor: tensor.unflatten(0, (count, -1)))
    return [split.map(lambda tensor, i=i: tensor[i]) for i in range(count)]  # type: ignore[misc]
