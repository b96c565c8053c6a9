"""Compiling updates, one or several a launch; nothing of it shows in the maths."""

import itertools
import shutil
import sys
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, Literal

import torch
from torch import Tensor

from softrl.agent.capture import Captured, in_turn
from softrl.errors import UserError
from softrl.types import Metrics, Window

Mode = Literal["auto", "off", "graph", "cudagraph"]
LASTING = ("agent", "L['agent']", "G[", "dict(", "type(")
"""How the names of guards begin whose result never changes, in the spellings of torch's versions."""
NUMBERS = itertools.count()


def compiled(update: Callable[..., Any], mode: Mode, device: str = "cpu") -> Callable[..., Any]:
    """The same function of (agent, window, static flags), run eagerly, as one graph, or as one CUDA graph.

    `auto` is for `softrl.run.resolve` to decide, and means off here. Random numbers are drawn by torch's own kernels
    in the same order in every mode, so modes agree up to rounding. A compiled function expects agents whose parts stay
    the ones it was first called with, on this device. Raises UserError where the machine cannot compile.
    """
    step = traced(update, mode, device)
    return Captured(step) if mode == "cudagraph" else step


def launched(update: Callable[..., Any], mode: Mode, device: str = "cpu") -> Callable[..., list[Any]]:
    """Several updates a call, as `in_turn` has them; as a CUDA graph all of them are one launch.

    What is compiled is the single update: twenty in one graph would take twenty times as long to compile.
    """
    step = in_turn(traced(update, mode, device))
    return Captured(step) if mode == "cudagraph" else step


def traced(update: Callable[..., Any], mode: Mode, device: str) -> Callable[..., Any]:
    """The same function, run eagerly or as one graph, launched kernel by kernel; raises UserError as `compiled` does.

    CUDA graphs are left to `softrl.agent.capture`: inductor's own give results that the next call frees, look at every
    weight's address before each launch, and cannot hold several updates.
    """
    if mode in ("off", "auto"):
        return update
    if mode == "cudagraph" and not torch.cuda.is_available():
        raise UserError("--compile cudagraph needs a CUDA device and none is here: use --compile graph or off")
    if mode == "cudagraph" and device != "cuda":  # a graph of what the processor does is empty
        raise UserError(f"--compile cudagraph is for --device cuda, and this is --device {device}: use --compile graph")
    if compiler() is None:  # on a GPU as well: what launches its kernels is compiled here
        raise UserError(f"--compile {mode} needs a C++ compiler and none is here: install g++, or use --compile off")
    options: dict[str, Any] = {
        "fallback_random": True,
        "guard_filter_fn": guards_of_the_call,
        "cpp_wrapper": device == "cpu",  # calls the kernels from C++: a tenth of an update there
        "size_asserts": False,
        "alignment_asserts": False,
        "reorder_for_locality": False,  # puts what is only logged behind the step, and keeps what it reads
        "unroll_reductions_threshold": 9,  # a softmax over eight experts would start threads for every row
    }
    try:
        torch._dynamo.config.trace_autograd_ops = True  # torch imports it at this moment, and makes its cache
    except OSError as error:
        raise UserError(
            f"--compile {mode} needs a folder for what is compiled ({error}): set TORCHINDUCTOR_CACHE_DIR or TMPDIR to "
            "one that can be written, or use --compile off"
        ) from error
    # Where a graph broke at a gradient, the next gradient through the same pass would find it used up.
    return torch.compile(with_own_code_object(update), fullgraph=True, dynamic=False, options=options)


def with_own_code_object(function: Any) -> Callable[..., Any]:
    """The same function with a code object of its own.

    Graphs are kept by code object, and guards do not look into agents: two agents that differ in their parts would
    share one.
    """
    code = function.__code__.replace(co_name=f"{function.__name__}_{next(NUMBERS)}")
    copy = FunctionType(code, function.__globals__, code.co_name, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def packed(update: Callable[..., tuple[Metrics, Tensor]]) -> Callable[..., tuple[tuple[str, ...], Tensor, Tensor]]:
    """The same update with its metrics as names and one vector [n]: a graph hands out one tensor instead of a dozen."""

    def run(agent: Any, window: Window, **flags: bool) -> tuple[tuple[str, ...], Tensor, Tensor]:
        metrics, error = update(agent, window, **flags)
        return tuple(metrics), torch.stack(tuple(metrics.values())), error

    return run


def guards_of_the_call(guards: Sequence[Any]) -> list[bool]:
    """Which guards to check at every call: those of the window and the flags, not the thousand of the agent's parts."""
    return [not guard.name.startswith(LASTING) for guard in guards]


def compile_errors() -> tuple[type[Exception], ...]:
    """What torch raises where it cannot compile, before anything of an update is made; nothing where it never tried."""
    known = sys.modules.get("torch._dynamo.exc")  # whose import takes a second
    return (known.TorchDynamoException,) if known else ()


def refusal(text: str) -> str:
    """What torch, or the compiler that it called, says first of what is wrong."""
    lines = [line for line in map(str.strip, text.splitlines()) if line] or ["it does not say why"]
    return next((line.rpartition("error: ")[2] for line in lines if "error: " in line), lines[0])


def compiler() -> str | None:
    """The path of a C++ compiler, or None."""
    return shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")
