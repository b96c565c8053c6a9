"""What a run sets for the whole process, and what its caller had before."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from softrl.errors import UserError
from softrl.nn.processor import usual_products
from softrl.run.heap import give_back
from softrl.run.seed import Generators, convolution_switches

TRAINING = threading.Lock()
"""Held by the training of this process: global generators serve one at a time."""


@contextmanager
def left_as_it_was() -> Iterator[None]:
    """Inside, a run may set what is the whole process's; afterwards its caller finds it again.

    That is torch's threads, products and switches, glibc's heap, and the global generators of python, numpy and torch,
    those of a GPU where it was in use. Raises UserError where another training of this process is under way.
    """
    if not TRAINING.acquire(blocking=False):
        raise UserError(
            "another training runs in this process, and both would draw from the same generators: use a process for "
            "each, as multiprocessing or several shells give them"
        )
    with ExitStack() as held:  # each is given back, whatever becomes of the others
        held.callback(TRAINING.release)
        generators = Generators()
        held.callback(usual_products)
        held.callback(give_back)
        held.callback(torch.set_num_threads, torch.get_num_threads())
        for switch in reversed(convolution_switches()):  # what is held last is given back first
            held.callback(setattr, *switch)
        held.callback(generators.load_state_dict, generators.state_dict())
        yield
