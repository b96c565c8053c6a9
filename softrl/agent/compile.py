"""Compiling an update into one graph; nothing of it shows in the maths."""

import functools
import shutil
from collections.abc import Callable
from typing import Any, Literal

import torch

from softrl.errors import UserError

Mode = Literal["auto", "off", "graph", "cudagraph"]
MODES: dict[str, str | None] = {"graph": None, "cudagraph": "reduce-overhead"}


def compiled(update: Callable[..., Any], mode: Mode) -> Callable[..., Any]:
    """The same function of (agent, window, static flags), run eagerly, as one graph, or as one CUDA graph.

    `auto` is for `softrl.run.resolve` to decide, and means off here. Random numbers are drawn by torch's own kernels
    in the same order in every mode, so modes agree up to rounding. Raises UserError where the machine cannot compile.
    """
    if mode in ("off", "auto"):
        return update
    if mode == "cudagraph" and not torch.cuda.is_available():
        raise UserError("--compile cudagraph needs a CUDA device and none is here: use --compile graph or off")
    if compiler() is None and not torch.cuda.is_available():
        raise UserError("--compile graph needs a C++ compiler and none is here: install g++, or use --compile off")
    graphs = torch.compile(update, fullgraph=True, dynamic=False, mode=MODES[mode])

    @functools.wraps(update)
    def call(*args: Any, **flags: Any) -> Any:
        # Tracing of autograd.grad is a switch of torch >= 2.13; without it the graph would break at each gradient.
        with torch._dynamo.config.patch(trace_autograd_ops=True), torch._inductor.config.patch(fallback_random=True):
            return graphs(*args, **flags)

    return call


def compiler() -> str | None:
    """The path of a C++ compiler, or None."""
    return shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")
